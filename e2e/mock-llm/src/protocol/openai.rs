//! OpenAI's endpoints that are no conversations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::CREATED;
use super::read::{list, member, text, texts};
use crate::embedding::embedding;
use crate::error::Fault;
use crate::reply::Reply;
use crate::words::count_words;

/// How many members a vector has unless the request says so.
const DIMENSIONS: u64 = 1536;
/// The most that may be asked for.
const MOST_DIMENSIONS: u64 = 4096;
/// The least of all PNGs: one transparent pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

pub(super) fn embeddings(body: &Value) -> Result<Reply, Fault> {
    let inputs = match body.get("input") {
        // Tokens instead of text: their JSON stands for the text.
        Some(Value::Array(many)) if many.iter().any(|one| !one.is_string()) => {
            many.iter().map(ToString::to_string).collect()
        }
        input => texts(input),
    };
    if inputs.is_empty() {
        return Err(Fault::new(400, "'$.input' is invalid."));
    }
    let dimensions = member(body, "dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let dimensions = usize::try_from(dimensions.min(MOST_DIMENSIONS)).unwrap_or_default();
    let is_base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let row = |(index, input): (usize, &String)| {
        let vector = embedding(input, dimensions);
        let vector = if is_base64 {
            json!(STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
        } else {
            json!(vector)
        };
        json!({ "object": "embedding", "index": index, "embedding": vector })
    };
    let tokens: u64 = inputs.iter().map(|input| count_words(input)).sum();
    let answer = json!({
        "object": "list",
        "data": inputs.iter().enumerate().map(row).collect::<Vec<_>>(),
        "model": text(body, "model"),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    });
    Ok(Reply::json(200, &answer))
}

pub(super) fn models() -> Reply {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "mock" });
    let models: Vec<Value> = ["mock-large", "mock-small"].into_iter().map(model).collect();
    Reply::json(200, &json!({ "object": "list", "data": models }))
}

pub(super) fn images(body: &Value) -> Reply {
    let count = member(body, "n").and_then(Value::as_u64).unwrap_or(1).clamp(1, 10);
    let as_url = body.get("response_format").and_then(Value::as_str) == Some("url");
    let image = |number| match as_url {
        true => json!({ "url": format!("https://images.example/{number}.png") }),
        false => json!({ "b64_json": PNG }),
    };
    let input = count_words(&text(body, "prompt"));
    let output = count * 272;
    let answer = json!({
        "created": CREATED,
        "data": (0..count).map(image).collect::<Vec<_>>(),
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": {
            "input_tokens": input,
            "input_tokens_details": { "image_tokens": 0, "text_tokens": input },
            "output_tokens": output,
            "total_tokens": input + output,
        },
    });
    Reply::json(200, &answer)
}

/// Bytes that are no text, all of them, so that whoever takes them for text is found out. The input is at
/// their end.
pub(super) fn speech(body: &Value) -> Result<Reply, Fault> {
    let input = text(body, "input");
    if input.is_empty() {
        return Err(Fault::new(400, "Missing required parameter: 'input'."));
    }
    let content_type = match text(body, "response_format").as_str() {
        "wav" => "audio/wav",
        "opus" => "audio/opus",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "pcm" => "audio/pcm",
        _ => "audio/mpeg",
    };
    let bytes: Vec<u8> = (0..=u8::MAX).rev().chain(input.bytes()).collect();
    Ok(Reply::bytes(200, content_type, bytes))
}

pub(super) fn moderations(body: &Value) -> Result<Reply, Fault> {
    let inputs = match body.get("input") {
        Some(Value::Array(parts)) if parts.iter().any(Value::is_object) => {
            vec![list(body, "input").iter().map(|part| text(part, "text")).collect::<Vec<_>>().join(" ")]
        }
        input => texts(input),
    };
    if inputs.is_empty() {
        return Err(Fault::new(400, "'$.input' is invalid."));
    }
    const CATEGORIES: [&str; 13] = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    let all = |value: &dyn Fn(&str) -> Value| -> Value {
        CATEGORIES
            .iter()
            .map(|name| ((*name).to_owned(), value(name)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let result = |input: &String| {
        let is_violent = input.to_lowercase().contains("kill");
        json!({
            "flagged": is_violent,
            "categories": all(&|name| json!(name == "violence" && is_violent)),
            "category_scores": all(&|name| json!(if name == "violence" && is_violent { 0.9 } else { 0.01 })),
            "category_applied_input_types": all(&|_| json!(["text"])),
        })
    };
    let answer = json!({
        "id": "modr-0c9e77aa01bc5a1f0e4b6f",
        "model": text(body, "model"),
        "results": inputs.iter().map(result).collect::<Vec<_>>(),
    });
    Ok(Reply::json(200, &answer))
}
