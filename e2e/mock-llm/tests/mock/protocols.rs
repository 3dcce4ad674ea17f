//! Each provider in its own form: texts, tokens, tools and streams.

use anyhow::Result;
use mock_llm::event_stream::crc32;
use mock_llm::words::{TOKENS_OF_CALL, TOKENS_OF_TOOL, count_words};
use mock_llm::{MockLlm, Provider};
use serde_json::{Value, json};

use crate::asks::{
    ANTHROPIC, AZURE, BEDROCK, CLAUDE_ON_VERTEX, GEMINI, OPENAI, RESPONSES, VERTEX, chat, converse, gemini,
    messages, post_as, schema,
};
use crate::client::{post, send};

/// The text and the input and output tokens of an answer, wherever its protocol has them.
fn parts(answer: &Value) -> (String, u64, u64) {
    let text = ["/choices/0/message/content", "/output/0/content/0/text", "/content/0/text"];
    let text =
        text.into_iter().chain(["/candidates/0/content/parts/0/text", "/output/message/content/0/text"]);
    let text = text.filter_map(|path| answer.pointer(path)?.as_str()).next().unwrap_or_default().to_owned();
    let number = |names: [&str; 4]| {
        let usage = answer.get("usage").or(answer.get("usageMetadata")).unwrap_or(&Value::Null);
        names.iter().find_map(|name| usage.get(name)?.as_u64()).unwrap_or_default()
    };
    let input = number(["prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens"]);
    let output = number(["completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens"]);
    (text, input, output)
}

#[tokio::test]
async fn all_say_the_same_and_count_the_same() -> Result<()> {
    let mock = MockLlm::start().await?;
    let said = "one two three";
    let none = json!({});
    let asked = [
        (OPENAI, chat(said, none.clone())),
        (OPENAI, chat(said, json!({ "model": "mistral-large-latest" }))),
        (AZURE, chat(said, none.clone())),
        (RESPONSES, json!({ "model": "gpt-5.2", "input": said })),
        (ANTHROPIC, messages(said, none.clone())),
        (&format!("{GEMINI}:generateContent"), gemini(said, none.clone())),
        (&format!("{VERTEX}:generateContent"), gemini(said, none.clone())),
        (&format!("{BEDROCK}/converse"), converse(said, none)),
    ];
    for (path, body) in asked {
        let answer = post_as(&mock, path, &body).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let expected = "You said: one two three";
        assert_eq!(parts(&answer.json()), (expected.to_owned(), 3, count_words(expected)), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn streams_joined_are_the_text() -> Result<()> {
    let mock = MockLlm::start().await?;
    let expected = "You said: one two three";
    let join = |events: &[Value], path: &str| {
        events.iter().filter_map(|event| event.pointer(path)?.as_str()).collect::<String>()
    };
    let said = "one two three";

    let body = chat(said, json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let openai = post(&mock, OPENAI, &body).await?;
    assert_eq!(join(&openai.events(), "/choices/0/delta/content"), expected);
    assert!(openai.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(openai.events().last().unwrap()["usage"]["total_tokens"], 8);
    let without = post(&mock, OPENAI, &chat(said, json!({ "stream": true }))).await?;
    assert!(!without.text().contains("usage"), "{}", without.text());

    let azure = post(&mock, AZURE, &body).await?;
    assert_eq!(azure.events()[0]["choices"], json!([]));
    assert_eq!(join(&azure.events(), "/choices/0/delta/content"), expected);

    let body = json!({ "model": "gpt-5.2", "input": said, "stream": true });
    let responses = post(&mock, RESPONSES, &body).await?.events();
    let deltas: Vec<Value> =
        responses.iter().filter(|event| event["type"] == "response.output_text.delta").cloned().collect();
    assert_eq!(join(&deltas, "/delta"), expected);
    let numbers: Vec<u64> = responses.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..responses.len() as u64).collect::<Vec<_>>());

    let anthropic = post(&mock, ANTHROPIC, &messages(said, json!({ "stream": true }))).await?;
    assert_eq!(join(&anthropic.events(), "/delta/text"), expected);
    assert!(anthropic.text().starts_with("event: message_start\ndata: {"));
    assert!(anthropic.text().contains("event: ping\n"));

    let body = messages(said, json!({ "stream": true, "anthropic_version": "vertex-2023-10-16" }));
    let vertex = post(&mock, CLAUDE_ON_VERTEX, &body).await?;
    assert_eq!(join(&vertex.events(), "/delta/text"), expected);

    let path = "/candidates/0/content/parts/0/text";
    let gemini_events =
        post(&mock, &format!("{GEMINI}:streamGenerateContent?alt=sse"), &gemini(said, json!({}))).await?;
    assert!(gemini_events.text().ends_with("\r\n\r\n"));
    assert_eq!(join(&gemini_events.events(), path), expected);
    let array = post(&mock, &format!("{GEMINI}:streamGenerateContent"), &gemini(said, json!({}))).await?;
    assert!(array.pieces.len() > 1);
    assert_eq!(join(array.json().as_array().unwrap(), path), expected);
    Ok(())
}

#[tokio::test]
async fn event_stream_frames_have_their_crcs() -> Result<()> {
    let mock = MockLlm::start().await?;
    let path = format!("{BEDROCK}/converse-stream");
    let body = post_as(&mock, &path, &converse("one two three", json!({}))).await?.body();
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
    let (mut at, mut payloads) = (0, Vec::new());
    while at < body.len() {
        let (length, headers) = (number(at) as usize, number(at + 4) as usize);
        assert_eq!(number(at + 8), crc32(&body[at..at + 8]));
        assert_eq!(number(at + length - 4), crc32(&body[at..at + length - 4]));
        payloads.push(serde_json::from_slice::<Value>(&body[at + 12 + headers..at + length - 4])?);
        at += length;
    }
    let text: String =
        payloads.iter().filter_map(|payload| payload.pointer("/delta/text")?.as_str()).collect();
    assert_eq!(text, "You said: one two three");
    assert_eq!(payloads.last().unwrap()["usage"]["totalTokens"], 8);
    Ok(())
}

#[tokio::test]
async fn tools_are_called_with_arguments_of_their_schema() -> Result<()> {
    let mock = MockLlm::start().await?;
    let said = "parallel weather";
    let function = json!({ "name": "get_weather", "parameters": schema() });
    let tools = json!({ "tools": [{ "type": "function", "function": function }] });
    let openai = post(&mock, OPENAI, &chat(said, tools.clone())).await?.json();
    assert_eq!(openai["choices"][0]["finish_reason"], "tool_calls");
    let calls = &openai["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"London"}"#);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(openai["usage"]["prompt_tokens"], 2 + TOKENS_OF_TOOL);
    assert_eq!(openai["usage"]["completion_tokens"], 2 * TOKENS_OF_CALL);

    let tools = json!({ "tools": [{ "name": "get_weather", "input_schema": schema() }] });
    let anthropic = post(&mock, ANTHROPIC, &messages(said, tools)).await?.json();
    assert_eq!(anthropic["stop_reason"], "tool_use");
    assert_eq!(anthropic["content"][1]["input"], json!({ "city": "London" }));

    let tools = json!({ "tools": [{ "functionDeclarations": [function] }] });
    let answer = post(&mock, &format!("{GEMINI}:generateContent"), &gemini(said, tools)).await?.json();
    let parts = &answer["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["functionCall"], json!({ "name": "get_weather", "args": { "city": "Paris" } }));
    assert!(parts[0]["thoughtSignature"].is_string() && parts[1].get("thoughtSignature").is_none());

    let mistral =
        json!({ "model": "mistral-large", "tools": [{ "type": "function", "function": function }] });
    let answer = post(&mock, OPENAI, &chat(said, mistral)).await?.json();
    let id = answer["choices"][0]["message"]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.chars().all(|letter| letter.is_ascii_alphanumeric()), "{id}");
    Ok(())
}

#[tokio::test]
async fn thoughts_caches_and_limits_are_reported() -> Result<()> {
    let mock = MockLlm::start().await?;
    let said = "two cached words more";
    let usage =
        post(&mock, OPENAI, &chat(said, json!({ "reasoning_effort": "low" }))).await?.json()["usage"].take();
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 6);
    assert_eq!(usage["completion_tokens"], 12);

    let thinking = json!({ "max_tokens": 2000, "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let answer = post(&mock, ANTHROPIC, &messages(said, thinking)).await?.json();
    assert_eq!(answer["content"][0]["thinking"], "Thinking about: two cached words more");
    assert_eq!(answer["usage"]["input_tokens"], 2);
    assert_eq!(answer["usage"]["cache_read_input_tokens"], 2);

    let config = json!({ "generationConfig": { "thinkingConfig": { "includeThoughts": true } } });
    let answer = post(&mock, &format!("{GEMINI}:generateContent"), &gemini(said, config)).await?.json();
    assert_eq!(answer["candidates"][0]["content"]["parts"][0]["thought"], true);
    let counts = &answer["usageMetadata"];
    assert_eq!((&counts["thoughtsTokenCount"], &counts["candidatesTokenCount"]), (&json!(6), &json!(6)));
    assert_eq!(counts["totalTokenCount"], 16);

    let limited = json!({ "inferenceConfig": { "maxTokens": 3 } });
    let answer = post_as(&mock, &format!("{BEDROCK}/converse"), &converse(said, limited)).await?.json();
    assert_eq!(answer["stopReason"], "max_tokens");
    assert_eq!(answer["output"]["message"]["content"][0]["text"], "You said: two");

    let answer =
        post(&mock, ANTHROPIC, &messages(said, json!({ "stop_sequences": ["words"] }))).await?.json();
    assert_eq!(answer["stop_reason"], "stop_sequence");
    assert_eq!(answer["stop_sequence"], "words");
    Ok(())
}

#[tokio::test]
async fn the_other_endpoints_answer() -> Result<()> {
    let mock = MockLlm::start().await?;
    let body = json!({ "model": "e", "input": ["a b", "c"], "dimensions": 4 });
    let vectors = post(&mock, "/v1/embeddings", &body).await?.json();
    assert_eq!(vectors["data"][1]["embedding"].as_array().map(Vec::len), Some(4));
    assert_eq!(vectors["usage"]["prompt_tokens"], 3);
    let models = send(&mock, "GET", "/v1/models", &[("authorization", "Bearer k")], String::new()).await?;
    assert_eq!(models.json()["object"], "list");
    let image = post(&mock, "/v1/images/generations", &json!({ "prompt": "a cat" })).await?.json();
    assert!(image["data"][0]["b64_json"].is_string());
    let speech = post(&mock, "/v1/audio/speech", &json!({ "input": "hello" })).await?;
    assert_eq!((speech.header("content-type"), speech.body().len()), (Some("audio/mpeg"), 256 + 5));
    let judged = post(&mock, "/v1/moderations", &json!({ "input": ["hello", "kill"] })).await?.json();
    assert_eq!(
        (&judged["results"][0]["flagged"], &judged["results"][1]["flagged"]),
        (&json!(false), &json!(true))
    );
    let count = post(&mock, "/v1/messages/count_tokens", &messages("one two", json!({}))).await?.json();
    assert_eq!(count, json!({ "input_tokens": 2 }));
    let count = post(&mock, &format!("{GEMINI}:countTokens"), &gemini("one two", json!({}))).await?.json();
    assert_eq!(count["totalTokens"], 2);
    let content = json!({ "content": { "parts": [{ "text": "a" }] }, "outputDimensionality": 4 });
    let vector = post(&mock, &format!("{GEMINI}:embedContent"), &content).await?.json();
    assert_eq!(vector["embedding"]["values"].as_array().map(Vec::len), Some(4));
    assert_eq!(post(&mock, "/nowhere", &json!({})).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn what_was_asked_is_recorded_with_its_provider() -> Result<()> {
    let mock = MockLlm::start().await?;
    post(&mock, OPENAI, &chat("a", json!({ "model": "codestral-2508" }))).await?;
    post(&mock, AZURE, &chat("a", json!({}))).await?;
    let providers: Vec<_> = mock.recording().all().iter().map(|request| request.provider()).collect();
    assert_eq!(providers, [Some(Provider::Mistral), Some(Provider::AzureOpenAi)]);
    Ok(())
}
