//! What is refused, each time in the form of the provider.

use anyhow::Result;
use mock_llm::MockLlm;
use serde_json::{Value, json};

use crate::asks::{
    ANTHROPIC, AZURE, BEDROCK, GEMINI, OPENAI, RESPONSES, chat, converse, gemini, messages, post_as, schema,
};
use crate::client::{post, send};

#[tokio::test]
async fn results_without_calls_are_refused() -> Result<()> {
    let mock = MockLlm::start().await?;
    let asked = [
        (
            OPENAI,
            json!({ "model": "m", "messages": [{ "role": "tool", "tool_call_id": "c", "content": "r" }] }),
        ),
        (
            ANTHROPIC,
            json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c", "content": "r" }] }] }),
        ),
        (
            RESPONSES,
            json!({ "model": "m", "input": [{ "type": "function_call_output", "call_id": "c", "output": "r" }] }),
        ),
        (
            &format!("{GEMINI}:generateContent"),
            json!({ "contents": [{ "role": "user", "parts": [
                { "functionResponse": { "name": "f", "response": {} } }] }] }),
        ),
        (
            &format!("{BEDROCK}/converse"),
            json!({ "toolConfig": {}, "messages": [{ "role": "user", "content": [
                { "toolResult": { "toolUseId": "c", "content": [{ "text": "r" }] } }] }] }),
        ),
    ];
    for (path, body) in asked {
        let answer = post_as(&mock, path, &body).await?;
        assert!(
            answer.status == 400 && answer.text().contains("answers no call"),
            "{path}: {}",
            answer.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn whoever_has_no_key_is_refused_in_the_form_of_the_provider() -> Result<()> {
    let mock = MockLlm::start().await?;
    let refused = |path: &str, headers: &'static [(&str, &str)], body: Value| {
        let (path, mock) = (path.to_owned(), &mock);
        async move { send(mock, "POST", &path, headers, body.to_string()).await }
    };
    let openai = refused(OPENAI, &[], chat("hi", json!({}))).await?;
    assert_eq!((openai.status, &openai.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    let key = &[("x-api-key", "k")];
    let anthropic = refused(ANTHROPIC, &[], messages("hi", json!({}))).await?;
    assert_eq!((anthropic.status, &anthropic.json()["error"]["type"]), (401, &json!("authentication_error")));
    let anthropic = refused(ANTHROPIC, key, messages("hi", json!({}))).await?;
    assert_eq!((anthropic.status, &anthropic.json()["type"]), (400, &json!("error")));
    let path = format!("{GEMINI}:generateContent");
    let answer = refused(&path, &[], gemini("hi", json!({}))).await?;
    assert_eq!((answer.status, &answer.json()["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    assert_eq!(refused(&format!("{path}?key=k"), &[], gemini("hi", json!({}))).await?.status, 200);
    let in_list = refused(&format!("{GEMINI}:streamGenerateContent"), &[], gemini("hi", json!({}))).await?;
    assert_eq!(in_list.json()[0]["error"]["status"], "PERMISSION_DENIED");
    let azure = refused(AZURE, &[("api-key", "k")], chat("hi", json!({}))).await?;
    assert_eq!(azure.status, 200);
    let path = AZURE.split('?').next().unwrap_or_default();
    assert_eq!(refused(path, &[("api-key", "k")], chat("hi", json!({}))).await?.status, 404);
    let bedrock = refused(&format!("{BEDROCK}/converse"), &[], converse("hi", json!({}))).await?;
    assert_eq!(bedrock.header("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));

    mock.change_knobs(|knobs| knobs.keys = Some(vec!["other".to_owned()]));
    let answer = post(&mock, &format!("{GEMINI}:generateContent"), &gemini("hi", json!({}))).await?;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    Ok(())
}

/// Each of these is what a careless translation sends.
#[tokio::test]
async fn what_the_real_servers_refuse_is_refused() -> Result<()> {
    let mock = MockLlm::start().await?;
    let gemini_path = format!("{GEMINI}:generateContent");
    let converse_path = format!("{BEDROCK}/converse");
    let closed = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let function = json!({ "name": "f", "parameters": closed });
    let thinking = json!({ "type": "enabled", "budget_tokens": 2048 });
    let open = json!({ "name": "form", "strict": true, "schema": schema() });
    let history = json!({ "messages": [
        { "role": "user", "content": [{ "text": "a" }] },
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "1", "name": "f", "input": {} } }] },
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "content": [{ "text": "r" }] } }] },
    ] });
    let refused = [
        (OPENAI, chat("a", json!({ "top_k": 1 })), 400, "top_k"),
        (
            OPENAI,
            chat("a", json!({ "response_format": { "type": "json_schema", "json_schema": open } })),
            400,
            "schema",
        ),
        (
            OPENAI,
            chat("a", json!({ "model": "mistral-small", "max_completion_tokens": 1 })),
            422,
            "extra_forbidden",
        ),
        (
            OPENAI,
            json!({ "model": "mistral-small", "messages": [{ "role": "user", "content": "a", "refusal": null }] }),
            422,
            "refusal",
        ),
        (ANTHROPIC, messages("a", json!({ "n": 1 })), 400, "n: Extra inputs"),
        (ANTHROPIC, messages("a", json!({ "temperature": 1.5 })), 400, "temperature"),
        (ANTHROPIC, messages("a", json!({ "thinking": thinking })), 400, "budget_tokens"),
        (
            ANTHROPIC,
            messages(
                "a",
                json!({ "max_tokens": 4096, "thinking": thinking, "tool_choice": { "type": "any" } }),
            ),
            400,
            "tool_choice",
        ),
        (&gemini_path, gemini("a", json!({ "stream": true })), 400, "stream"),
        (
            &gemini_path,
            gemini("a", json!({ "generationConfig": { "max_tokens": 1 } })),
            400,
            "generation_config",
        ),
        (
            &gemini_path,
            gemini("a", json!({ "tools": [{ "functionDeclarations": [function] }] })),
            400,
            "additionalProperties",
        ),
        (&converse_path, history, 400, "toolConfig"),
    ];
    for (path, body, status, word) in &refused {
        let answer = post_as(&mock, path, body).await?;
        assert_eq!(answer.status, *status, "{path} {body}: {}", answer.text());
        assert!(answer.text().contains(word), "{word}: {}", answer.text());
    }
    mock.change_knobs(|knobs| knobs.lenient = true);
    for (path, body, ..) in &refused {
        let answer = post_as(&mock, path, body).await?;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    }
    Ok(())
}
