//! Requests of every client, written for every provider.

use ai::protocol::{ClientProtocol, ProviderProtocol, RequestOptions, translate_request};
use serde_json::{Value, json};

use crate::conversations::{ANTHROPIC, CHAT, GEMINI, conversation};
use crate::harness::{json as translate, options, paths, refused, request};

use ClientProtocol::{AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses};
use ProviderProtocol::{
    AnthropicMessages as ToAnthropic, BedrockConverse as ToBedrock, Gemini as ToGemini,
    OpenAiChat as ToOpenAi,
};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What every client's conversation becomes; ids are those of the client, or made for Gemini's.
fn expected(provider: ProviderProtocol, ids: [&str; 2], stop: bool) -> Value {
    let text = match provider {
        ToOpenAi => CHAT.to_owned(),
        ToAnthropic => ANTHROPIC.replace(r#"[{"type":"text","text":"Be brief."}]"#, r#""Be brief.""#),
        ToGemini => GEMINI
            .replace(r#""parameters":{"type":"OBJECT""#, r#""parametersJsonSchema":{"type":"object""#)
            .replace("NUMBER", "number")
            .replace("INTEGER", "integer"),
        ToBedrock => r#"{"system":[{"text":"Be brief."}],"messages":[
            {"role":"user","content":[{"text":"What is this?"},{"image":{"format":"jpeg","source":{"bytes":"SU1H"}}}]},
            {"role":"assistant","content":[{"text":"I look."},
                {"toolUse":{"toolUseId":"call_a","name":"look","input":{"z":1.50,"a":12345678901234567890123}}},
                {"toolUse":{"toolUseId":"call_b","name":"list","input":{}}}]},
            {"role":"user","content":[{"toolResult":{"toolUseId":"call_a","content":[{"text":"a cat"}]}},
                {"toolResult":{"toolUseId":"call_b","content":[{"json":{"n":2}}]}},{"text":"So?"}]}],
            "inferenceConfig":{"maxTokens":200,"temperature":0.3,"topP":0.9,"stopSequences":["END"]},
            "toolConfig":{"tools":[{"toolSpec":{"name":"look","description":"Looks.","inputSchema":{"json":{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"integer"}},"required":["z"]}}}},
                {"toolSpec":{"name":"list","inputSchema":{"json":{"type":"object","properties":{}}}}}],"toolChoice":{"any":{}}}}"#
            .to_owned(),
    };
    let text = text.replace("call_a", ids[0]).replace("call_b", ids[1]);
    let mut value = parsed(&text);
    if !stop {
        for at in
            ["/stop", "/stop_sequences", "/generationConfig/stopSequences", "/inferenceConfig/stopSequences"]
        {
            let (parent, name) = at.rsplit_once('/').unwrap();
            if let Some(map) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
                map.remove(name);
            }
        }
    }
    value
}

#[test]
fn the_same_conversation_from_every_client_to_every_provider() {
    for client in ClientProtocol::ALL {
        for provider in ProviderProtocol::ALL {
            let ids = if client == Gemini { ["call_0", "call_1"] } else { ["call_a", "call_b"] };
            let mut wanted = expected(provider, ids, client != OpenAiResponses);
            let (body, lost) = translate(client, provider, conversation(client));
            if provider == ToAnthropic {
                // A single text is written as such.
                wanted["messages"][2]["content"][1]["content"] = json!("{\"n\": 2}");
            }
            if provider == ToOpenAi && client == Gemini {
                wanted["messages"][4]["content"] = json!("{\"n\": 2}");
            }
            if provider == ToOpenAi && client == OpenAiResponses {
                wanted["messages"][1]["content"][1]["image_url"]["detail"] = json!("auto");
            }
            assert_eq!(body, wanted, "{client:?} to {provider:?}");
            assert!(lost.is_empty(), "{client:?} to {provider:?}: {lost:?}");
            let raw = String::from_utf8(request(client, provider, conversation(client)).body).unwrap();
            // The key order and the digits of arguments survive.
            let digits = if provider == ToOpenAi {
                r#"{\"z\":1.50,\"a\":12345678901234567890123}"#
            } else {
                r#"{"z":1.50,"a":12345678901234567890123}"#
            };
            assert!(raw.contains(digits), "{client:?} to {provider:?}: {raw}");
        }
    }
}

#[test]
fn the_model_can_be_replaced() {
    for client in ClientProtocol::ALL {
        for provider in ProviderProtocol::ALL {
            let options = RequestOptions { model: Some("other"), ..options() };
            let body = conversation(client).as_bytes();
            let translated = translate_request(client, provider, body, &options).unwrap();
            assert_eq!(translated.model, "other");
            let value: Value = serde_json::from_slice(&translated.body).unwrap();
            // Gemini and Bedrock have it in the path.
            let in_body = matches!(provider, ToOpenAi | ToAnthropic);
            assert_eq!(value.get("model").is_some_and(|model| model == "other"), in_body);
        }
    }
}

#[test]
fn streams_are_asked_for_where_the_protocol_does() {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let translated = request(OpenAiChat, ToOpenAi, body);
    assert!(translated.stream && !translated.context.include_usage);
    let value: Value = serde_json::from_slice(&translated.body).unwrap();
    assert_eq!(value["stream_options"], json!({"include_usage":true}));
    assert_eq!(translate(OpenAiChat, ToAnthropic, body).0["stream"], true);
    assert_eq!(translate(OpenAiChat, ToGemini, body).0.get("stream"), None);
    let gemini = RequestOptions { path_stream: Some(true), ..options() };
    let translated =
        translate_request(Gemini, ToAnthropic, crate::harness::minimal(Gemini).as_bytes(), &gemini).unwrap();
    assert!(translated.stream);
}

#[test]
fn unknown_fields_are_named_and_refused_in_strict_mode() {
    let cases = [
        (
            OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"u"}},{"type":"text","text":"a"}]}]}"#,
            "messages[0].content[0].video_url",
        ),
        (OpenAiChat, r#"{"model":"m","novel":1,"messages":[{"role":"user","content":"a"}]}"#, "novel"),
        (
            AnthropicMessages,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a","novel":{}}]}]}"#,
            "messages[0].content[0].novel",
        ),
        (
            Gemini,
            r#"{"contents":[{"parts":[{"text":"a","videoMetadata":{}}]}]}"#,
            "contents[0].parts[0].videoMetadata",
        ),
        (OpenAiResponses, r#"{"model":"m","input":"a","text":{"novel":1}}"#, "text.novel"),
    ];
    for (client, body, path) in cases {
        for provider in ProviderProtocol::ALL {
            if path.ends_with("video_url") && provider == ToOpenAi {
                continue;
            }
            let (_, lost) = translate(client, provider, body);
            assert_eq!(paths(&lost), [path], "{client:?} to {provider:?}");
            let strict = RequestOptions { strict: true, ..options() };
            let error = translate_request(client, provider, body.as_bytes(), &strict).unwrap_err();
            assert_eq!((error.status, error.field.as_deref()), (400, Some(path)));
        }
    }
}

#[test]
fn tool_choice_in_all_shapes() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]"#;
    let chat = |rest: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],{tools},{rest}}}"#)
    };
    let cases = [
        (r#""tool_choice":"auto""#, json!({"type":"auto"}), json!({"mode":"AUTO"}), json!({"auto":{}})),
        (r#""tool_choice":"required""#, json!({"type":"any"}), json!({"mode":"ANY"}), json!({"any":{}})),
        (
            r#""tool_choice":{"type":"function","function":{"name":"f"}}"#,
            json!({"type":"tool","name":"f"}),
            json!({"mode":"ANY","allowedFunctionNames":["f"]}),
            json!({"tool":{"name":"f"}}),
        ),
    ];
    for (rest, anthropic, gemini, bedrock) in cases {
        let body = chat(rest);
        assert_eq!(translate(OpenAiChat, ToAnthropic, &body).0["tool_choice"], anthropic);
        assert_eq!(translate(OpenAiChat, ToGemini, &body).0["toolConfig"]["functionCallingConfig"], gemini);
        assert_eq!(translate(OpenAiChat, ToBedrock, &body).0["toolConfig"]["toolChoice"], bedrock);
    }
    let none = chat(r#""tool_choice":"none""#);
    assert_eq!(translate(OpenAiChat, ToAnthropic, &none).0["tool_choice"], json!({"type":"none"}));
    assert_eq!(translate(OpenAiChat, ToBedrock, &none).0.get("toolConfig"), None);
    let allowed = chat(
        r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}"#,
    );
    let (value, lost) = translate(OpenAiChat, ToAnthropic, &allowed);
    assert_eq!((value["tools"].as_array().unwrap().len(), &value["tools"][0]["name"]), (1, &json!("g")));
    assert_eq!((&value["tool_choice"], lost.len()), (&json!({"type":"any"}), 0));
    let single = chat(r#""parallel_tool_calls":false"#);
    assert_eq!(
        translate(OpenAiChat, ToAnthropic, &single).0["tool_choice"],
        json!({"type":"auto","disable_parallel_tool_use":true})
    );
    for provider in [ToGemini, ToBedrock] {
        assert_eq!(paths(&translate(OpenAiChat, provider, &single).1), ["parallel_tool_calls"]);
    }
    let anthropic = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}"#;
    let (value, _) = translate(AnthropicMessages, ToOpenAi, anthropic);
    assert_eq!(value["tool_choice"], json!({"type":"function","function":{"name":"f"}}));
    assert_eq!(value["parallel_tool_calls"], false);
}

#[test]
fn formats_of_the_answer() {
    let schema = r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"const":1e400}},"additionalProperties":false}"#;
    let bodies = [
        (
            OpenAiChat,
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"s","strict":true,"schema":{schema}}}}}}}"#
            ),
        ),
        (
            OpenAiResponses,
            format!(
                r#"{{"model":"m","input":"a","text":{{"format":{{"type":"json_schema","name":"s","schema":{schema}}}}}}}"#
            ),
        ),
        (
            AnthropicMessages,
            format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],"output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}}}}"#
            ),
        ),
        (
            Gemini,
            format!(
                r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"generationConfig":{{"responseMimeType":"application/json","responseJsonSchema":{schema}}}}}"#
            ),
        ),
    ];
    for (client, body) in bodies {
        for provider in ProviderProtocol::ALL {
            let translated = request(client, provider, &body);
            assert!(translated.lost.is_empty(), "{:?}", translated.lost);
            let text = String::from_utf8(translated.body).unwrap();
            let wanted = if provider == ToBedrock {
                serde_json::to_string(schema).unwrap()
            } else {
                schema.to_owned()
            };
            assert!(text.contains(&wanted), "{client:?} to {provider:?}: {text}");
        }
    }
}

#[test]
fn media_that_a_provider_cannot_take_are_refused_by_name() {
    let chat = |part: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
    let url = chat(r#"{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}"#);
    let error = refused(OpenAiChat, ToBedrock, &url);
    assert_eq!(error.field.as_deref(), Some("messages[0].content[0]"));
    assert_eq!(
        translate(OpenAiChat, ToAnthropic, &url).0["messages"][0]["content"][0]["source"],
        json!({"type":"url","url":"https://example.com/a.png"})
    );
    assert_eq!(
        translate(OpenAiChat, ToGemini, &url).0["contents"][0]["parts"][0],
        json!({"fileData":{"mimeType":"image/png","fileUri":"https://example.com/a.png"}})
    );
    let audio = chat(r#"{"type":"input_audio","input_audio":{"data":"QQ==","format":"wav"}}"#);
    refused(OpenAiChat, ToAnthropic, &audio);
    refused(OpenAiChat, ToBedrock, &audio);
    assert_eq!(
        translate(OpenAiChat, ToGemini, &audio).0["contents"][0]["parts"][0],
        json!({"inlineData":{"mimeType":"audio/wav","data":"QQ=="}})
    );
    let pdf = chat(
        r#"{"type":"file","file":{"filename":"My_report (1).pdf","file_data":"data:application/pdf;base64,UERG"}}"#,
    );
    assert_eq!(
        translate(OpenAiChat, ToAnthropic, &pdf).0["messages"][0]["content"][0],
        json!({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"UERG"},"title":"My_report (1).pdf"})
    );
    assert_eq!(
        translate(OpenAiChat, ToBedrock, &pdf).0["messages"][0]["content"][0],
        json!({"document":{"format":"pdf","name":"My report (1) pdf","source":{"bytes":"UERG"}}})
    );
    let stored = chat(r#"{"type":"file","file":{"file_id":"file-1"}}"#);
    for provider in [ToAnthropic, ToGemini, ToBedrock] {
        refused(OpenAiChat, provider, &stored);
    }
    // Python's SDK writes base64 for URLs.
    let gemini = r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"-_-_"}}]}]}"#;
    assert!(translate(Gemini, ToAnthropic, gemini).0.to_string().contains("+/+/"));
}

#[test]
fn several_answers_need_a_provider_that_gives_them() {
    let body = r#"{"model":"m","n":2,"messages":[{"role":"user","content":"a"}]}"#;
    assert_eq!(translate(OpenAiChat, ToOpenAi, body).0["n"], 2);
    assert_eq!(translate(OpenAiChat, ToGemini, body).0["generationConfig"]["candidateCount"], 2);
    for provider in [ToAnthropic, ToBedrock] {
        assert_eq!(refused(OpenAiChat, provider, body).field.as_deref(), Some("n"));
    }
}

#[test]
fn images_in_tool_results() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"SU1H"}}]}]}]}"#;
    let (value, lost) = translate(AnthropicMessages, ToOpenAi, body);
    assert_eq!(value["messages"][2], json!({"role":"tool","tool_call_id":"c","content":"r"}));
    assert_eq!(value["messages"][3]["content"][0]["image_url"]["url"], "data:image/png;base64,SU1H");
    assert_eq!(paths(&lost), ["messages[2].content[0].is_error"]);
    let (value, _) = translate(AnthropicMessages, ToBedrock, body);
    assert_eq!(
        value["messages"][2]["content"][0]["toolResult"],
        json!({"toolUseId":"c","content":[{"text":"r"},{"image":{"format":"png","source":{"bytes":"SU1H"}}}],"status":"error"})
    );
    let (value, _) = translate(AnthropicMessages, ToGemini, body);
    assert_eq!(
        value["contents"][2]["parts"],
        json!([{"functionResponse":{"name":"f","response":{"error":"r"}}},{"inlineData":{"mimeType":"image/png","data":"SU1H"}}])
    );
}

#[test]
fn results_in_any_order_find_their_calls() {
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n":1}}},{"functionCall":{"name":"f","args":{"n":2}}},{"functionCall":{"name":"g","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"g","response":{"output":"G"}}},{"functionResponse":{"name":"f","response":{"output":"F1"}}},{"functionResponse":{"name":"f","response":{"output":"F2"}}}]}]}"#;
    let (value, _) = translate(Gemini, ToOpenAi, body);
    let results: Vec<(&str, &str)> = value["messages"].as_array().unwrap()[2..]
        .iter()
        .map(|message| (message["tool_call_id"].as_str().unwrap(), message["content"].as_str().unwrap()))
        .collect();
    assert_eq!(results, [("call_2", "G"), ("call_0", "F1"), ("call_1", "F2")]);
    let orphan =
        r#"{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"g","response":{}}}]}]}"#;
    assert_eq!(
        refused(Gemini, ToOpenAi, orphan).field.as_deref(),
        Some("contents[0].parts[0].functionResponse")
    );
}

#[test]
fn state_that_the_gateway_does_not_keep_is_refused() {
    for field in [
        r#""previous_response_id":"r""#,
        r#""conversation":"c""#,
        r#""background":true"#,
        r#""prompt":{"id":"p"}"#,
    ] {
        let body = format!(r#"{{"model":"m","input":"a",{field}}}"#);
        for provider in ProviderProtocol::ALL {
            refused(OpenAiResponses, provider, &body);
        }
    }
}

#[test]
fn system_messages_later_in_a_conversation() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"one"},{"role":"user","content":"a"},{"role":"developer","content":"two"},{"role":"user","content":"b"}]}"#;
    let (value, lost) = translate(OpenAiChat, ToAnthropic, body);
    assert_eq!(value["system"], json!([{"type":"text","text":"one"},{"type":"text","text":"two"}]));
    assert_eq!(value["messages"].as_array().unwrap().len(), 1, "turns of one side are merged");
    assert_eq!(paths(&lost), ["messages[2]"]);
    let (value, lost) = translate(OpenAiChat, ToOpenAi, body);
    assert_eq!(value["messages"][2]["role"], "developer");
    assert!(lost.is_empty());
}

#[test]
fn what_providers_would_refuse_is_smoothed_out() {
    // Ids of other characters, blank texts, and an assistant's turn without anything in it.
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":" \n"},{"role":"user","content":"b"},{"role":"assistant","content":"","tool_calls":[{"id":"functions.f:0","function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"functions.f:0","content":"r"}]}"#;
    let (value, _) = translate(OpenAiChat, ToBedrock, body);
    let roles: Vec<&str> =
        value["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let id = &value["messages"][1]["content"][0]["toolUse"]["toolUseId"];
    assert!(id.as_str().unwrap().starts_with("functions_f_0"));
    assert_eq!(*id, value["messages"][2]["content"][0]["toolResult"]["toolUseId"]);
    let (value, _) = translate(OpenAiChat, ToAnthropic, body);
    assert!(!value.to_string().contains("functions.f:0"), "{value}");
    // The pieces of a streamed answer, as Gemini's clients keep them.
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"},{"text":"\n\n"},{"text":"d"}]},{"role":"user","parts":[{"text":"e"}]}]}"#;
    let (value, _) = translate(Gemini, ToAnthropic, gemini);
    assert_eq!(value["messages"][0]["content"].as_array().unwrap().len(), 2);
    assert_eq!(value["messages"][1]["content"], json!([{"type":"text","text":"c\n\nd"}]));
    // Claude Code's identifiers are longer than OpenAI takes.
    let long = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],"metadata":{{"user_id":"{}"}}}}"#,
        "u".repeat(65)
    );
    let (value, lost) = translate(AnthropicMessages, ToOpenAi, &long);
    assert_eq!((value.get("user"), paths(&lost)), (None, vec!["metadata.user_id"]));
}

#[test]
fn limits_of_the_answer_in_all_spellings() {
    let chat = |model: &str, field: &str| {
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"a"}}],"{field}":77}}"#)
    };
    for field in ["max_tokens", "max_completion_tokens"] {
        assert_eq!(translate(OpenAiChat, ToAnthropic, &chat("m", field)).0["max_tokens"], 77);
        assert_eq!(translate(OpenAiChat, ToOpenAi, &chat("m", field)).0[field], 77);
    }
    assert_eq!(translate(OpenAiChat, ToOpenAi, &chat("gpt-5", "max_tokens")).0["max_completion_tokens"], 77);
    assert_eq!(translate(OpenAiChat, ToAnthropic, crate::harness::minimal(OpenAiChat)).0["max_tokens"], 4096);
    let gemini = r#"{"contents":[{"parts":[{"text":"a"}]}],"generation_config":{"max_output_tokens":77}}"#;
    assert_eq!(translate(Gemini, ToBedrock, gemini).0["inferenceConfig"]["maxTokens"], 77);
}
