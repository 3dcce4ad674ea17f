//! Errors as providers tell them.
//!
//! The shapes of all protocols are tried, whichever the provider speaks: hosts that imitate a
//! protocol often imitate its errors badly.

use serde_json::Value;

use super::error::{ApiError, ErrorKind};

/// Longer messages are cut: a provider may repeat the whole request in one.
const MAX_MESSAGE: usize = 4096;

/// Reads the body of an answer whose status is an error.
pub(super) fn read(status: u16, body: &[u8]) -> ApiError {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let error = parsed.and_then(|value| from_json(status, &value));
    error
        .unwrap_or_else(|| {
            // HTML of a proxy, or nothing: of no use to a client.
            let message = format!("the provider answered with status {status} and no readable error");
            ApiError::new(status, ErrorKind::from_status(status), message)
        })
        .redacted()
}

/// Reads an error that arrives inside of a stream that began well.
pub(super) fn in_stream(value: &Value) -> ApiError {
    let error = from_json(0, value);
    let mut error =
        error.unwrap_or_else(|| ApiError::upstream("the provider reported an error without details"));
    if error.status == 0 {
        error.status = error.kind.status();
    }
    error.redacted()
}

/// An error of an AWS event stream: its name and a payload with a message.
pub(super) fn of_exception(name: &str, payload: &[u8]) -> ApiError {
    let kind = ErrorKind::from_name(name).unwrap_or(ErrorKind::Internal);
    let message = serde_json::from_slice::<Value>(payload).ok().and_then(|value| message_of(&value));
    let message = message.unwrap_or_else(|| format!("the provider's stream failed: {name}"));
    ApiError::new(kind.status(), kind, message).redacted()
}

fn from_json(status: u16, value: &Value) -> Option<ApiError> {
    // A stream of Gemini's without SSE is an array, also of one error.
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let inner = value.get("error").filter(|error| error.is_object() || error.is_string()).unwrap_or(value);
    let message = message_of(inner).or_else(|| message_of(value))?;
    let named = |name: &str| inner.get(name).and_then(Value::as_str);
    let code = named("code").map(str::to_owned);
    let names = [named("code"), named("status"), named("__type"), named("type")];
    let kind = if has_invalid_key(inner) { ErrorKind::Authentication } else { kind(status, &names) };
    // Google's code is the status.
    let told = inner.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status =
        if status == 0 { told.filter(|code| (400..600).contains(code)).unwrap_or(0) } else { status };
    let param = named("param").map(str::to_owned);
    Some(ApiError { status, kind, message, code, param })
}

fn kind(status: u16, names: &[Option<&str>]) -> ErrorKind {
    // Names of AWS come with a namespace: `com.amazonaws...#ThrottlingException`.
    let bare = |name: &&str| ErrorKind::from_name(name.rsplit('#').next().unwrap_or(name));
    let named = names.iter().flatten().find_map(bare);
    match named {
        // Some providers call nearly everything an invalid request; the status knows better.
        Some(ErrorKind::InvalidRequest | ErrorKind::Internal) | None if status >= 400 => {
            ErrorKind::from_status(status)
        }
        Some(kind) => kind,
        None => ErrorKind::Internal,
    }
}

/// Google answers a wrong key with 400, as if the client were at fault.
fn has_invalid_key(error: &Value) -> bool {
    let mut details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    details.any(|detail| detail.get("reason").and_then(Value::as_str) == Some("API_KEY_INVALID"))
}

fn message_of(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| {
        ["message", "Message", "detail", "error", "msg"].iter().find_map(|name| value.get(name)?.as_str())
    })?;
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_MESSAGE).unwrap_or(text.len());
    text.get(..end).map(str::to_owned)
}
