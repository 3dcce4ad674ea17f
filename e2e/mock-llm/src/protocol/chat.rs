//! OpenAI's chat completions, and what Azure and Mistral make of them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::read::json_pieces;
use super::{CREATED, STATUS_IN_STREAM, chat_request, sse};
use crate::answer::{Answer, Call, Finish, Usage, answer};
use crate::error::{self, Fault};
use crate::reply::Reply;
use crate::route::{Provider, Route};
use crate::words::pieces;

const FINGERPRINT: &str = "fp_3f1a5c7d9e";

pub(super) fn reply(route: &Route, body: &Value) -> Result<Reply, Fault> {
    let ask = chat_request::read(route, body)?;
    let answer = answer(&ask);
    let provider = route.provider;
    if body.get("stream").and_then(Value::as_bool) != Some(true) {
        let whole = whole(provider, &ask.model, &answer);
        return Ok(with_headers(provider, Reply::json(200, &whole)));
    }
    let wants_usage = body.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
    let events = events(provider, &ask.model, &answer, wants_usage);
    let error = error::forced(STATUS_IN_STREAM).event(provider);
    Ok(with_headers(provider, Reply::stream("text/event-stream; charset=utf-8", events, error)))
}

fn with_headers(provider: Provider, reply: Reply) -> Reply {
    match provider {
        Provider::OpenAi => reply
            .with("x-request-id", "req_0c9e77aa01bc5a1f0e4b6f9a512d1d3f")
            .with("openai-version", "2020-10-01")
            .with("openai-processing-ms", "42")
            .with("x-ratelimit-limit-requests", "10000")
            .with("x-ratelimit-remaining-requests", "9999"),
        Provider::AzureOpenAi => reply
            .with("apim-request-id", "0c9e77aa-01bc-5a1f-0e4b-6f9a512d1d3f")
            .with("x-ms-region", "East US"),
        _ => reply,
    }
}

fn id(provider: Provider) -> &'static str {
    match provider {
        Provider::Mistral => "0c9e77aa01bc4a1f8e4b6f9a512d1d3f",
        _ => "chatcmpl-CMock0c9e77aa01bc5a1f0e4b6f",
    }
}

fn call_id(provider: Provider, call: &Call) -> String {
    match provider {
        // Mistral insists on nine letters and digits.
        Provider::Mistral => format!("mock{:05}", call.number),
        _ => format!("call_{:024}", call.number),
    }
}

fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop | Finish::StopText(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
    }
}

fn usage(provider: Provider, usage: Usage) -> Value {
    let mut value = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    });
    if provider != Provider::Mistral {
        value["prompt_tokens_details"] = json!({ "cached_tokens": usage.cached, "audio_tokens": 0 });
        value["completion_tokens_details"] = json!({
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        });
    }
    value
}

/// What Azure says of a text that it finds harmless.
fn harmless() -> Value {
    let safe = json!({ "filtered": false, "severity": "safe" });
    json!({ "hate": safe, "self_harm": safe, "sexual": safe, "violence": safe })
}

fn function(provider: Provider, call: &Call) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
    json!({ "id": call_id(provider, call), "type": "function", "function": function })
}

fn whole(provider: Provider, model: &str, answer: &Answer) -> Value {
    let calls: Vec<Value> = answer.calls.iter().map(|call| function(provider, call)).collect();
    let is_mistral = provider == Provider::Mistral;
    let content = match calls.is_empty() {
        true => json!(answer.text),
        false if is_mistral => json!(""),
        false => Value::Null,
    };
    let mut message = json!({ "role": "assistant", "content": content });
    if is_mistral {
        message["tool_calls"] = if calls.is_empty() { Value::Null } else { calls.into() };
    } else {
        message["refusal"] = Value::Null;
        message["annotations"] = json!([]);
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
    }
    let mut choice = json!({ "index": 0, "message": message, "finish_reason": finish(answer) });
    let mut whole = frame(provider, model, "chat.completion");
    if !is_mistral {
        choice["logprobs"] = Value::Null;
    }
    if provider == Provider::AzureOpenAi {
        choice["content_filter_results"] = harmless();
        whole["prompt_filter_results"] = prompt_filter();
    }
    whole["choices"] = json!([choice]);
    whole["usage"] = usage(provider, answer.usage);
    in_tier(whole, answer)
}

fn prompt_filter() -> Value {
    json!([{ "prompt_index": 0, "content_filter_results": harmless() }])
}

fn frame(provider: Provider, model: &str, object: &str) -> Value {
    let mut frame = json!({ "id": id(provider), "object": object, "created": CREATED, "model": model });
    if provider != Provider::Mistral {
        frame["system_fingerprint"] = json!(FINGERPRINT);
    }
    if provider == Provider::OpenAi {
        frame["service_tier"] = json!("default");
    }
    frame
}

/// A frame with the tier of service of the answer.
fn in_tier(mut frame: Value, answer: &Answer) -> Value {
    if answer.usage.is_other_tier && frame.get("service_tier").is_some() {
        frame["service_tier"] = json!("flex");
    }
    frame
}

fn events(provider: Provider, model: &str, answer: &Answer, wants_usage: bool) -> Vec<Bytes> {
    let mut deltas = Vec::new();
    if answer.calls.is_empty() {
        deltas.push(json!({ "role": "assistant", "content": "", "refusal": null }));
        deltas.extend(pieces(&answer.text).iter().map(|piece| json!({ "content": piece })));
    } else if provider == Provider::Mistral {
        // Whole calls, all in one piece.
        let numbered = answer.calls.iter().enumerate().map(|(index, call)| {
            let mut call = function(provider, call);
            call["index"] = json!(index);
            call
        });
        deltas.push(json!({ "role": "assistant", "content": "" }));
        deltas.push(json!({ "content": "", "tool_calls": numbered.collect::<Vec<_>>() }));
    } else {
        deltas.push(json!({ "role": "assistant", "content": null, "refusal": null }));
        for (index, call) in answer.calls.iter().enumerate() {
            let mut begun = function(provider, call);
            begun["index"] = json!(index);
            begun["function"]["arguments"] = json!("");
            deltas.push(json!({ "tool_calls": [begun] }));
            let more = |piece| json!({ "index": index, "function": { "arguments": piece } });
            deltas.extend(
                json_pieces(&call.arguments).into_iter().map(|piece| json!({ "tool_calls": [more(piece)] })),
            );
        }
    }
    let chunk = |delta: Value, finish_reason: Value| {
        let mut chunk = frame(provider, model, "chat.completion.chunk");
        let mut choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        match provider {
            Provider::Mistral => {}
            Provider::AzureOpenAi => choice["content_filter_results"] = json!({}),
            _ => {
                choice["logprobs"] = Value::Null;
                chunk["obfuscation"] = json!("x8Qv2");
            }
        }
        chunk["choices"] = json!([choice]);
        if wants_usage && provider != Provider::Mistral {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut chunks = Vec::new();
    if provider == Provider::AzureOpenAi {
        let empty = json!({ "id": "", "object": "", "created": 0, "model": "", "choices": [] });
        let mut filter = empty;
        filter["prompt_filter_results"] = prompt_filter();
        chunks.push(filter);
    }
    chunks.extend(deltas.into_iter().map(|delta| chunk(delta, Value::Null)));
    let last = if provider == Provider::Mistral { json!({ "content": "" }) } else { json!({}) };
    let mut last = chunk(last, json!(finish(answer)));
    if provider == Provider::Mistral {
        // Asked for or not, in the chunk that ends the answer.
        last["usage"] = usage(provider, answer.usage);
    }
    chunks.push(last);
    if wants_usage && provider != Provider::Mistral {
        let mut chunk = frame(provider, model, "chat.completion.chunk");
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(provider, answer.usage);
        chunks.push(chunk);
    }
    let done = Bytes::from_static(b"data: [DONE]\n\n");
    let chunks = chunks.into_iter().map(|chunk| in_tier(chunk, answer));
    chunks.map(|chunk| sse::data(&chunk)).chain([done]).collect()
}
