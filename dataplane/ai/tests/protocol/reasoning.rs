//! Reasoning, its signatures and prompt-cache marks in requests.

use ai::protocol::{ClientProtocol, ProviderProtocol, RequestOptions, translate_request};
use serde_json::json;

use crate::harness::{json as translate, options, paths};

use ClientProtocol::{AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses};
use ProviderProtocol::{
    AnthropicMessages as ToAnthropic, BedrockConverse as ToBedrock, Gemini as ToGemini,
    OpenAiChat as ToOpenAi,
};

#[test]
fn prompt_cache_marks_between_anthropic_and_bedrock() {
    let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
        "tools":[{"name":"t","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#;
    let (value, lost) = translate(AnthropicMessages, ToBedrock, body);
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(value["system"], json!([{"text":"s"},{"cachePoint":{"type":"default","ttl":"1h"}}]));
    assert_eq!(value["toolConfig"]["tools"][1], json!({"cachePoint":{"type":"default"}}));
    assert_eq!(value["messages"][0]["content"][1], json!({"cachePoint":{"type":"default"}}));
    let (value, lost) = translate(AnthropicMessages, ToAnthropic, body);
    assert!(lost.is_empty());
    assert_eq!(value["system"][0]["cache_control"], json!({"type":"ephemeral","ttl":"1h"}));
}

#[test]
fn signed_reasoning_goes_back_to_who_signed_it() {
    // What Claude thought, as each client holds it after an answer of Anthropic's.
    let anthropic = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"T","signature":"U0lH"},{"type":"redacted_thinking","data":"UkVE"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]}"#;
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"T","reasoning_details":[{"type":"reasoning.text","text":"T","signature":"AnthropicSigU0lH"},{"type":"reasoning.encrypted","data":"AnthropicSigUkVE"}]},{"role":"user","content":"c"}]}"#;
    let responses = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"T"}],"encrypted_content":"AnthropicSigU0lH"},{"type":"reasoning","summary":[],"encrypted_content":"redactedAnthropicSigUkVE"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"T","thought":true},{"text":"","thought":true,"thoughtSignature":"AnthropicSigU0lH"},{"text":"","thought":true,"thoughtSignature":"redactedAnthropicSigUkVE"},{"text":"b"}]},{"role":"user","parts":[{"text":"c"}]}]}"#;
    let wanted = json!([{"type":"thinking","thinking":"T","signature":"U0lH"},{"type":"redacted_thinking","data":"UkVE"},{"type":"text","text":"b"}]);
    for (client, body) in
        [(AnthropicMessages, anthropic), (OpenAiChat, chat), (OpenAiResponses, responses), (Gemini, gemini)]
    {
        let (value, lost) = translate(client, ToAnthropic, body);
        assert_eq!(value["messages"][1]["content"], wanted, "{client:?}");
        assert!(lost.is_empty(), "{client:?} {lost:?}");
        let (value, _) = translate(client, ToBedrock, body);
        assert_eq!(
            value["messages"][1]["content"][0],
            json!({"reasoningContent":{"reasoningText":{"text":"T","signature":"U0lH"}}}),
            "{client:?}"
        );
        // Another provider would refuse them.
        let (value, lost) = translate(client, ToGemini, body);
        assert!(!value.to_string().contains("U0lH") && !value.to_string().contains("UkVE"), "{value}");
        assert!(lost.iter().all(|field| field.harmless) && lost.len() >= 2, "{lost:?}");
    }
}

#[test]
fn signatures_of_gemini_calls_come_back_from_every_client() {
    let call = json!({"functionCall":{"name":"f","args":{}},"thoughtSignature":"U0lH"});
    let anthropic = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"GeminiSigTagU0lH"},{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r"}]}]}"#;
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"GeminiSigTagU0lH"}}}]},{"role":"tool","tool_call_id":"c","content":"r"}]}"#;
    let responses = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[],"encrypted_content":"GeminiSigTagU0lH"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r"}]}"#;
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{},"id":"c"},"thoughtSignature":"U0lH"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","id":"c","response":{"output":"r"}}}]}]}"#;
    for (client, body) in
        [(AnthropicMessages, anthropic), (OpenAiChat, chat), (OpenAiResponses, responses), (Gemini, gemini)]
    {
        let (value, lost) = translate(client, ToGemini, body);
        assert_eq!(value["contents"][1]["parts"], json!([call]), "{client:?}");
        assert!(lost.is_empty(), "{client:?} {lost:?}");
    }
    // A third-generation model refuses calls of other models without a stand-in.
    let options = RequestOptions { model: Some("gemini-3-pro"), ..options() };
    let body = chat.replace("GeminiSigTagU0lH", "");
    let translated = translate_request(OpenAiChat, ToGemini, body.as_bytes(), &options).unwrap();
    assert!(String::from_utf8(translated.body).unwrap().contains("skip_thought_signature_validator"));
}

#[test]
fn how_much_a_model_reasons() {
    let chat = |model: &str, rest: &str| {
        format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"a"}}],"reasoning_effort":"medium"{rest}}}"#
        )
    };
    let (value, _) = translate(OpenAiChat, ToAnthropic, &chat("claude-sonnet-4-5", ""));
    assert_eq!(value["thinking"], json!({"type":"enabled","budget_tokens":8192}));
    assert_eq!(value["max_tokens"], 8192 + 4096);
    let (value, lost) = translate(
        OpenAiChat,
        ToAnthropic,
        &chat("claude-sonnet-4-5", r#","max_tokens":4000,"temperature":0.5"#),
    );
    assert_eq!((&value["thinking"]["budget_tokens"], &value["max_tokens"]), (&json!(3000), &json!(4000)));
    assert_eq!(paths(&lost), ["temperature"]);
    let (value, lost) =
        translate(OpenAiChat, ToAnthropic, &chat("claude-sonnet-4-5", r#","max_tokens":500"#));
    assert_eq!((value.get("thinking"), paths(&lost)), (None, vec!["reasoning_effort"]));
    let (value, _) = translate(OpenAiChat, ToAnthropic, &chat("claude-opus-4-6", ""));
    assert_eq!(
        (&value["thinking"], &value["output_config"]),
        (&json!({"type":"adaptive"}), &json!({"effort":"medium"}))
    );
    for (provider, model) in
        [(ToAnthropic, "claude-opus-4-8"), (ToBedrock, "us.anthropic.claude-opus-5-v1:0")]
    {
        let (value, lost) =
            translate(OpenAiChat, provider, &chat(model, r#","temperature":0.5,"top_p":0.9,"top_k":4"#));
        assert!(value.to_string().contains(r#""display":"summarized""#), "{value}");
        assert_eq!(paths(&lost), ["temperature", "top_p", "top_k"]);
    }
    let (value, _) = translate(OpenAiChat, ToGemini, &chat("gemini-2.5-pro", ""));
    assert_eq!(
        value["generationConfig"]["thinkingConfig"],
        json!({"thinkingBudget":8192,"includeThoughts":true})
    );
    let (value, _) = translate(OpenAiChat, ToGemini, &chat("gemini-3-pro", ""));
    assert_eq!(
        value["generationConfig"]["thinkingConfig"],
        json!({"thinkingLevel":"medium","includeThoughts":true})
    );
    let (value, _) = translate(OpenAiChat, ToBedrock, &chat("us.anthropic.claude-sonnet-4-5-v1:0", ""));
    assert_eq!(
        value["additionalModelRequestFields"],
        json!({"thinking":{"type":"enabled","budget_tokens":8192}})
    );
    let (value, _) = translate(OpenAiChat, ToBedrock, &chat("openai.gpt-oss-120b-1:0", ""));
    assert_eq!(value["additionalModelRequestFields"], json!({"reasoning_effort":"medium"}));
    let anthropic = |thinking: &str| {
        format!(
            r#"{{"model":"m","max_tokens":30000,"messages":[{{"role":"user","content":"a"}}],"thinking":{thinking}}}"#
        )
    };
    let (value, _) =
        translate(AnthropicMessages, ToOpenAi, &anthropic(r#"{"type":"enabled","budget_tokens":20000}"#));
    assert_eq!(value["reasoning_effort"], "high");
    let (value, _) = translate(AnthropicMessages, ToGemini, &anthropic(r#"{"type":"disabled"}"#));
    assert_eq!(value["generationConfig"]["thinkingConfig"], json!({"thinkingBudget":0}));
    let (value, _) =
        translate(AnthropicMessages, ToAnthropic, &anthropic(r#"{"type":"enabled","budget_tokens":20000}"#));
    assert_eq!(value["thinking"], json!({"type":"enabled","budget_tokens":20000}));
    let (value, _) = translate(AnthropicMessages, ToAnthropic, &anthropic(r#"{"type":"between_tools"}"#));
    assert_eq!(value["thinking"], json!({"type":"between_tools"}));
    let gemini = r#"{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true}}}"#;
    assert_eq!(translate(Gemini, ToOpenAi, gemini).0["reasoning_effort"], "low");
}

#[test]
fn harmless_losses_pass_strict_mode() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#;
    let strict = RequestOptions { strict: true, ..options() };
    let translated = translate_request(AnthropicMessages, ToGemini, body.as_bytes(), &strict).unwrap();
    assert_eq!(paths(&translated.lost), ["messages[0].content[0].cache_control"]);
    assert!(translated.lost[0].harmless);
}
