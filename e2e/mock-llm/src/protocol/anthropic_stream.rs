//! The events of Anthropic's messages.

use bytes::Bytes;
use serde_json::{Value, json};

use super::anthropic::{blocks, frame, stop, usage};
use super::read::{json_pieces, text};
use super::{STATUS_IN_STREAM, sse};
use crate::answer::Answer;
use crate::error;
use crate::route::Provider;
use crate::words::pieces;

/// The events of a message, and the one that reports an error.
pub(super) fn events(model: &str, answer: &Answer) -> (Vec<Bytes>, Bytes) {
    let mut begun = frame(model, Vec::new());
    // Some of the output is counted before there is any.
    begun["usage"] = usage(answer.usage, 1);
    let mut events = vec![json!({ "type": "message_start", "message": begun })];
    for (index, block) in blocks(answer).iter().enumerate() {
        events.extend(of_block(index, block));
        if index == 0 {
            events.insert(2, json!({ "type": "ping" }));
        }
    }
    let (reason, sequence) = stop(answer);
    let delta = json!({ "stop_reason": reason, "stop_sequence": sequence });
    let usage = json!({
        "input_tokens": answer.usage.input - answer.usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.usage.cached,
        "output_tokens": answer.usage.output,
    });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    let error = error::forced(STATUS_IN_STREAM).event(Provider::Anthropic);
    (events.iter().map(sse::typed).collect(), error)
}

fn of_block(index: usize, block: &Value) -> Vec<Value> {
    let kind = text(block, "type");
    let mut start = block.clone();
    let delta = |kind: &str, member: &str, piece: Value| {
        let mut delta = json!({ "type": kind });
        delta[member] = piece;
        json!({ "type": "content_block_delta", "index": index, "delta": delta })
    };
    let mut deltas = Vec::new();
    match kind.as_str() {
        "text" => {
            start["text"] = json!("");
            let said = text(block, "text");
            deltas.extend(pieces(&said).into_iter().map(|piece| delta("text_delta", "text", json!(piece))));
        }
        "thinking" => {
            start["thinking"] = json!("");
            start["signature"] = json!("");
            let thought = text(block, "thinking");
            let piece = |piece| delta("thinking_delta", "thinking", json!(piece));
            deltas.extend(pieces(&thought).into_iter().map(piece));
            deltas.push(delta("signature_delta", "signature", block["signature"].clone()));
        }
        _ => {
            start["input"] = json!({});
            // The first piece is always empty.
            let parts = std::iter::once(String::new()).chain(json_pieces(&block["input"]));
            deltas.extend(parts.map(|piece| delta("input_json_delta", "partial_json", json!(piece))));
        }
    }
    let start = json!({ "type": "content_block_start", "index": index, "content_block": start });
    let stop = json!({ "type": "content_block_stop", "index": index });
    std::iter::once(start).chain(deltas).chain([stop]).collect()
}
