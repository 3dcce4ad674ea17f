//! The events of OpenAI's responses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::read::{json_pieces, text};
use super::{responses, sse};
use crate::answer::{Answer, Finish};
use crate::words::pieces;

/// The events of a response, and the one that reports an error.
pub(super) fn events(body: &Value, answer: &Answer) -> (Vec<Bytes>, Bytes) {
    let begun = responses::begun(body);
    let mut events = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
    ];
    for (index, item) in responses::output(answer).iter().enumerate() {
        match text(item, "type").as_str() {
            "message" => message(&mut events, index, item, answer),
            "reasoning" => reasoning(&mut events, index, item, answer),
            _ => call(&mut events, index, item),
        }
    }
    let end = if answer.finish == Finish::Length { "response.incomplete" } else { "response.completed" };
    events.push(json!({ "type": end, "response": responses::response(body, answer) }));

    let numbered = events.iter_mut().enumerate().map(|(number, event)| {
        event["sequence_number"] = json!(number);
        sse::typed(event)
    });
    let message = "The server had an error while processing your request.";
    let error = json!({
        "type": "error",
        "code": "server_error",
        "message": message,
        "param": null,
        "sequence_number": 1_000,
    });
    (numbered.collect(), sse::typed(&error))
}

/// An item as it begins: without its content.
fn added(index: usize, item: &Value, emptied: &str, empty: Value) -> Value {
    let mut item = item.clone();
    item["status"] = json!("in_progress");
    item[emptied] = empty;
    json!({ "type": "response.output_item.added", "output_index": index, "item": item })
}

fn done(index: usize, item: &Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": index, "item": item })
}

fn message(events: &mut Vec<Value>, index: usize, item: &Value, answer: &Answer) {
    let id = &item["id"];
    let event = |name: &str| {
        let name = format!("response.{name}");
        json!({ "type": name, "item_id": id, "output_index": index, "content_index": 0 })
    };
    let with = |mut event: Value, name: &str, value: Value| {
        event[name] = value;
        event
    };
    events.push(added(index, item, "content", json!([])));
    let empty = json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": "" });
    events.push(with(event("content_part.added"), "part", empty));
    for piece in pieces(&answer.text) {
        let mut delta = with(event("output_text.delta"), "delta", json!(piece));
        delta["logprobs"] = json!([]);
        delta["obfuscation"] = json!("x8Qv2");
        events.push(delta);
    }
    let whole = with(event("output_text.done"), "text", json!(answer.text));
    events.push(with(whole, "logprobs", json!([])));
    events.push(with(event("content_part.done"), "part", item["content"][0].clone()));
    events.push(done(index, item));
}

fn reasoning(events: &mut Vec<Value>, index: usize, item: &Value, answer: &Answer) {
    let id = &item["id"];
    let thinking = answer.thinking.as_deref().unwrap_or_default();
    let event = |name: &str, member: &str, value: Value| {
        let name = format!("response.reasoning_summary_{name}");
        let mut event = json!({ "type": name, "item_id": id, "output_index": index, "summary_index": 0 });
        event[member] = value;
        event
    };
    let mut begun = item.clone();
    begun["summary"] = json!([]);
    events.push(json!({ "type": "response.output_item.added", "output_index": index, "item": begun }));
    events.push(event("part.added", "part", json!({ "type": "summary_text", "text": "" })));
    events.extend(pieces(thinking).into_iter().map(|piece| event("text.delta", "delta", json!(piece))));
    events.push(event("text.done", "text", json!(thinking)));
    events.push(event("part.done", "part", json!({ "type": "summary_text", "text": thinking })));
    events.push(done(index, item));
}

fn call(events: &mut Vec<Value>, index: usize, item: &Value) {
    let id = &item["id"];
    let arguments = text(item, "arguments");
    let event = |name: &str, member: &str, value: Value| {
        let name = format!("response.function_call_arguments.{name}");
        let mut event = json!({ "type": name, "item_id": id, "output_index": index });
        event[member] = value;
        event
    };
    events.push(added(index, item, "arguments", json!("")));
    let value: Value = serde_json::from_str(&arguments).unwrap_or_default();
    events.extend(json_pieces(&value).into_iter().map(|piece| event("delta", "delta", json!(piece))));
    let mut last = event("done", "arguments", json!(arguments));
    last["name"] = item["name"].clone();
    events.push(last);
    events.push(done(index, item));
}
