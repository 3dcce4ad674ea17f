//! Gemini's native API: `generateContent` and `streamGenerateContent`.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, TEXT, count_tokens, text_pieces};
use super::credential::Credential;
use crate::recording::RecordedRequest;

/// The one header in which Chancery may send the key. The API's `key` query parameter is refused here:
/// a key in a URL ends up in logs.
pub(super) const KEY_HEADER: &str = "x-goog-api-key";

/// A method of a model, taken from a path `/{v1|v1beta}/models/{model}:{method}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    model: &'a str,
    method: Method,
}

#[derive(Debug, PartialEq, Eq)]
enum Method {
    GenerateContent,
    StreamGenerateContent,
}

impl<'a> Call<'a> {
    /// The call that a path means, if it is one of this API.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v1beta/").or_else(|| path.strip_prefix("/v1/"))?;
        let (model, method) = rest.strip_prefix("models/")?.rsplit_once(':')?;
        let method = match method {
            "generateContent" => Method::GenerateContent,
            "streamGenerateContent" => Method::StreamGenerateContent,
            _ => return None,
        };
        (!model.is_empty() && !model.contains('/')).then_some(Self { model, method })
    }
}

/// Answers `request`, which is `call`.
pub(super) fn answer(request: &RecordedRequest, call: &Call<'_>, credential: &Credential) -> Answer {
    match credential {
        Credential::Valid => {}
        Credential::Missing => return unregistered(),
        Credential::Invalid => return invalid_key(),
    }
    let prompt = match prompt(&request.json()) {
        Ok(prompt) => prompt,
        Err(message) => return error(StatusCode::BAD_REQUEST, message),
    };
    let usage = usage(count_tokens(&prompt), TEXT);
    let wants_events =
        request.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    match call.method {
        Method::GenerateContent => Answer::json(StatusCode::OK, &whole(call.model, &usage)),
        Method::StreamGenerateContent if wants_events => events(&chunks(call.model, &usage)),
        Method::StreamGenerateContent => array(&chunks(call.model, &usage)),
    }
}

/// An error in the shape of `google.rpc.Status`.
pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    let name = match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500..=599 => "INTERNAL",
        _ => "UNKNOWN",
    };
    let body = json!({"error": {"code": status.as_u16(), "message": message, "status": name}});
    Answer::json(status, &body)
}

fn unregistered() -> Answer {
    error(
        StatusCode::FORBIDDEN,
        "Method doesn't allow unregistered callers (callers without established identity). \
         Please use API Key or other form of API consumer identity to call this API.",
    )
}

fn invalid_key() -> Answer {
    let body = json!({"error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"}
        }]
    }});
    Answer::json(StatusCode::BAD_REQUEST, &body)
}

/// All text of the contents and of the system instruction.
fn prompt(body: &Value) -> Result<String, &'static str> {
    if !body.is_object() {
        return Err("Invalid JSON payload received. The root must be an object.");
    }
    let contents = body["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents = contents.ok_or("* GenerateContentRequest.contents: contents is not specified")?;
    let system = body.get("systemInstruction").or_else(|| body.get("system_instruction"));
    let parts =
        system.into_iter().chain(contents).filter_map(|content| content["parts"].as_array()).flatten();
    Ok(parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "))
}

fn usage(prompt: usize, answer: &str) -> Value {
    let candidates = count_tokens(answer);
    json!({
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": candidates}]
    })
}

fn response(model: &str, candidate: &Value, usage: &Value) -> Value {
    json!({
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "UxQ6aM_sKbjFnvgPocrJaA"
    })
}

fn whole(model: &str, usage: &Value) -> Value {
    let candidate = json!({
        "content": {"parts": [{"text": TEXT}], "role": "model"},
        "finishReason": "STOP",
        "avgLogprobs": -0.017_732_446_392_377_216
    });
    response(model, &candidate, usage)
}

/// Every chunk is a response of its own; the last one says why it ended and what was used in all.
fn chunks(model: &str, usage: &Value) -> Vec<Value> {
    let prompt = &usage["promptTokenCount"];
    let so_far = json!({"promptTokenCount": prompt, "totalTokenCount": prompt});
    let pieces = text_pieces();
    let last = pieces.len() - 1;
    let chunk = |(index, text): (usize, &&str)| {
        let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}});
        if index == last {
            candidate["finishReason"] = "STOP".into();
        }
        response(model, &candidate, if index == last { usage } else { &so_far })
    };
    pieces.iter().enumerate().map(chunk).collect()
}

fn events(chunks: &[Value]) -> Answer {
    Answer::events(chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n").into()).collect())
}

/// Without `alt=sse` the API streams one JSON array, element by element.
fn array(chunks: &[Value]) -> Answer {
    let mut pieces: Vec<Bytes> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let before = if index == 0 { "[" } else { ",\r\n" };
        pieces.push(format!("{before}{chunk:#}\n").into());
    }
    pieces.push(Bytes::from_static(b"]\n"));
    Answer::json_pieces(pieces)
}
