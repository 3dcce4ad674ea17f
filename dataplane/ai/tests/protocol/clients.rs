//! What a client of each protocol understands. The readers are strict about what SDKs rely on, and
//! know nothing of the code under test.

use ai::framing::sse::SseParser;
use ai::protocol::ClientProtocol;
use serde_json::Value;

use crate::responses_client::{responses_stream, responses_unary};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) signature: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) stop: &'static str,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cached: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Said {
    pub(crate) fn with_usage(self, input: u64, output: u64, cached: u64) -> Self {
        Self { input, output, cached, ..self }
    }
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is text in {value}"))
}

pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is a number in {value}"))
}

pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list in {value}"))
}

/// The argument objects as they stand in the text: a parsed number would have lost its digits.
fn raw_objects(body: &str, name: &str) -> Vec<String> {
    let marker = format!("\"{name}\":{{");
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find(&marker) {
        rest = &rest[at + marker.len() - 1..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&serde_json::value::RawValue>();
        found.push(values.next().unwrap().unwrap().get().to_owned());
    }
    found
}

pub(crate) fn read_unary(client: ClientProtocol, body: &str) -> Said {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    match client {
        ClientProtocol::OpenAiChat => chat_unary(&value),
        ClientProtocol::OpenAiResponses => responses_unary(&value),
        ClientProtocol::AnthropicMessages => anthropic_unary(&value, body),
        ClientProtocol::Gemini => gemini_chunks(&[value], body),
    }
}

pub(crate) fn read_stream(client: ClientProtocol, body: &str) -> Said {
    let events = events(body);
    match client {
        ClientProtocol::OpenAiChat => chat_stream(&events),
        ClientProtocol::OpenAiResponses => responses_stream(&events),
        ClientProtocol::AnthropicMessages => anthropic_stream(&events),
        ClientProtocol::Gemini => {
            let chunks: Vec<Value> =
                events.iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
            gemini_chunks(&chunks, body)
        }
    }
}

pub(crate) fn events(body: &str) -> Vec<(Option<String>, String)> {
    let mut parser = SseParser::new();
    let mut events = Vec::new();
    parser
        .push(body.as_bytes(), |event| events.push((event.event.map(str::to_owned), event.data.to_owned())))
        .unwrap();
    assert_eq!(parser.finish(), None, "the last event is complete");
    events
}

fn chat_stop(reason: &str) -> &'static str {
    match reason {
        "stop" => "end",
        "length" => "length",
        "tool_calls" => "tool",
        "content_filter" => "filtered",
        other => panic!("unknown finish_reason {other}"),
    }
}

fn chat_usage(said: &mut Said, usage: &Value) {
    said.input = number(usage, "prompt_tokens");
    said.output = number(usage, "completion_tokens");
    assert_eq!(number(usage, "total_tokens"), said.input + said.output);
    said.cached = number(&usage["prompt_tokens_details"], "cached_tokens");
}

fn chat_signature(said: &mut Said, message: &Value) {
    let details = message["reasoning_details"].as_array();
    for detail in details.into_iter().flatten() {
        if let Some(signature) = detail["signature"].as_str() {
            said.signature.push_str(signature);
        }
    }
}

fn chat_unary(value: &Value) -> Said {
    assert_eq!(value["object"], "chat.completion");
    assert!(!text(value, "id").is_empty(), "{value}");
    let choice = &list(value, "choices")[0];
    let message = &choice["message"];
    assert_eq!(message["role"], "assistant");
    let mut said = Said { stop: chat_stop(text(choice, "finish_reason")), ..Said::default() };
    said.text = message["content"].as_str().unwrap_or("").to_owned();
    said.reasoning = message["reasoning_content"].as_str().unwrap_or("").to_owned();
    chat_signature(&mut said, message);
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        assert!(!text(call, "id").is_empty());
        assert_eq!(call["type"], "function");
        let function = &call["function"];
        said.calls.push(Call {
            name: text(function, "name").into(),
            arguments: text(function, "arguments").into(),
        });
    }
    chat_usage(&mut said, &value["usage"]);
    said
}

fn chat_stream(events: &[(Option<String>, String)]) -> Said {
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(last.1, "[DONE]");
    let mut said = Said::default();
    let mut first = true;
    let mut id = None;
    for (name, data) in chunks {
        assert_eq!(*name, None);
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(*id.get_or_insert_with(|| chunk["id"].clone()), chunk["id"], "all chunks have one id");
        if let Some(usage) = chunk["usage"].as_object() {
            assert!(list(&chunk, "choices").is_empty());
            chat_usage(&mut said, &Value::Object(usage.clone()));
            continue;
        }
        let choice = &list(&chunk, "choices")[0];
        let delta = &choice["delta"];
        assert_eq!(delta["role"] == "assistant", std::mem::take(&mut first), "the role comes first and once");
        assert!(said.stop.is_empty(), "nothing follows the finish_reason");
        said.text += delta["content"].as_str().unwrap_or("");
        said.reasoning += delta["reasoning_content"].as_str().unwrap_or("");
        chat_signature(&mut said, delta);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(number(call, "index")).unwrap();
            let function = &call["function"];
            if index == said.calls.len() {
                assert!(!text(call, "id").is_empty());
                assert_eq!(call["type"], "function");
                said.calls.push(Call { name: text(function, "name").into(), ..Call::default() });
            } else {
                assert!(
                    call.get("id").is_none() && function.get("name").is_none(),
                    "only the first delta names it"
                );
            }
            said.calls[index].arguments += text(function, "arguments");
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            said.stop = chat_stop(reason);
        }
    }
    said
}

fn anthropic_stop(reason: &str) -> &'static str {
    match reason {
        "end_turn" | "stop_sequence" => "end",
        "max_tokens" => "length",
        "tool_use" => "tool",
        "refusal" => "filtered",
        other => panic!("unknown stop_reason {other}"),
    }
}

fn anthropic_usage(said: &mut Said, usage: &Value) {
    said.cached = number(usage, "cache_read_input_tokens");
    said.input = number(usage, "input_tokens") + said.cached + number(usage, "cache_creation_input_tokens");
    said.output = number(usage, "output_tokens");
}

fn anthropic_unary(value: &Value, body: &str) -> Said {
    assert_eq!(value["type"], "message");
    assert_eq!(value["role"], "assistant");
    let mut said = Said { stop: anthropic_stop(text(value, "stop_reason")), ..Said::default() };
    let mut inputs = raw_objects(body, "input").into_iter();
    for block in list(value, "content") {
        match text(block, "type") {
            "text" => said.text += text(block, "text"),
            "thinking" => {
                said.reasoning += text(block, "thinking");
                said.signature += text(block, "signature");
            }
            "tool_use" => {
                assert!(!text(block, "id").is_empty());
                said.calls.push(Call { name: text(block, "name").into(), arguments: inputs.next().unwrap() });
            }
            other => panic!("unknown block {other}"),
        }
    }
    anthropic_usage(&mut said, &value["usage"]);
    said
}

fn anthropic_stream(events: &[(Option<String>, String)]) -> Said {
    let mut said = Said::default();
    let mut open: Option<String> = None;
    let mut blocks = 0;
    let mut signed = false;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    for (name, data) in events {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"].as_str(), name.as_deref());
        match text(&event, "type") {
            "message_start" => {
                let message = &event["message"];
                assert_eq!(message["content"], Value::Array(vec![]));
                assert!(message["stop_reason"].is_null());
                number(&message["usage"], "input_tokens");
            }
            "content_block_start" => {
                assert_eq!(open, None);
                assert_eq!(number(&event, "index"), blocks);
                let block = &event["content_block"];
                open = Some(text(block, "type").to_owned());
                signed = false;
                if block["type"] == "tool_use" {
                    assert_eq!(block["input"], serde_json::json!({}));
                    said.calls.push(Call { name: text(block, "name").into(), ..Call::default() });
                }
            }
            "content_block_delta" => {
                assert_eq!(number(&event, "index"), blocks);
                let delta = &event["delta"];
                match (open.as_deref().unwrap(), text(delta, "type")) {
                    ("text", "text_delta") => said.text += text(delta, "text"),
                    ("thinking", "thinking_delta") => {
                        assert!(!signed, "the signature ends the thinking");
                        said.reasoning += text(delta, "thinking");
                    }
                    ("thinking", "signature_delta") => {
                        signed = true;
                        said.signature += text(delta, "signature");
                    }
                    ("tool_use", "input_json_delta") => {
                        said.calls.last_mut().unwrap().arguments += text(delta, "partial_json");
                    }
                    other => panic!("{other:?}"),
                }
            }
            "content_block_stop" => {
                assert_eq!(number(&event, "index"), blocks);
                blocks += 1;
                open.take().unwrap();
            }
            "message_delta" => {
                assert_eq!(open, None);
                said.stop = anthropic_stop(text(&event["delta"], "stop_reason"));
                anthropic_usage(&mut said, &event["usage"]);
            }
            "message_stop" => (),
            other => panic!("unknown event {other}"),
        }
    }
    said
}

fn gemini_chunks(chunks: &[Value], body: &str) -> Said {
    let mut said = Said::default();
    let mut args = raw_objects(body, "args").into_iter();
    for chunk in chunks {
        assert!(said.stop.is_empty(), "the finishReason is on the last chunk");
        text(chunk, "modelVersion");
        text(chunk, "responseId");
        let candidate = &list(chunk, "candidates")[0];
        assert_eq!(candidate["content"]["role"], "model");
        for part in list(&candidate["content"], "parts") {
            if let Some(call) = part.get("functionCall") {
                assert!(!text(call, "id").is_empty());
                said.calls.push(Call { name: text(call, "name").into(), arguments: args.next().unwrap() });
                continue;
            }
            let target = if part["thought"] == true { &mut said.reasoning } else { &mut said.text };
            *target += text(part, "text");
            said.signature += part["thoughtSignature"].as_str().unwrap_or("");
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            said.stop = match reason {
                "STOP" if said.calls.is_empty() => "end",
                "STOP" => "tool",
                "MAX_TOKENS" => "length",
                "SAFETY" => "filtered",
                other => panic!("unknown finishReason {other}"),
            };
            let usage = &chunk["usageMetadata"];
            said.input = number(usage, "promptTokenCount");
            said.output =
                number(usage, "candidatesTokenCount") + usage["thoughtsTokenCount"].as_u64().unwrap_or(0);
            said.cached = usage["cachedContentTokenCount"].as_u64().unwrap_or(0);
            assert_eq!(number(usage, "totalTokenCount"), said.input + said.output);
        }
    }
    said
}
