//! Answers of the gateway itself, in the form that clients of the provider read.

use ai_config::{GuardRejection, Schema};
use serde_json::{Map, Value, json};

use crate::protocol::{ClientProtocol, RequestError};

const JSON: &str = "application/json";

/// Why a request does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// For the access log: which of our reasons it is.
    pub details: &'static str,
}

impl Refusal {
    /// The request is at fault: `field` names what is.
    pub fn bad_request(schema: Schema, field: &str, message: &str) -> Self {
        Self::new(schema, 400, field, message, "chancery_ai_bad_request")
    }

    /// The request cannot be translated: said in the client's own protocol.
    pub fn of_client(error: &RequestError, client: ClientProtocol) -> Self {
        Self {
            status: error.status,
            content_type: JSON,
            body: error.to_client_body(client),
            details: "chancery_ai_not_translatable",
        }
    }

    /// The request is larger than is read.
    pub fn too_large(schema: Schema, limit: u32) -> Self {
        let message = format!("the request body is larger than {limit} bytes");
        Self::new(schema, 413, "", &message, "chancery_ai_request_too_large")
    }

    /// The body has a content encoding, under which it cannot be read. `why` says what it is read for.
    pub fn encoded(schema: Schema, why: &str) -> Self {
        let message = format!("{why} in the request body, which has a content-encoding");
        Self::new(schema, 415, "model", &message, "chancery_ai_request_encoded")
    }

    /// The request has trailers, where its body is read.
    pub fn with_trailers(schema: Schema) -> Self {
        Self::bad_request(schema, "", "requests with trailers are not supported")
    }

    /// The gateway's configuration is at fault.
    pub fn misconfigured(schema: Schema, message: &str) -> Self {
        Self::new(schema, 500, "", message, "chancery_ai_misconfigured")
    }

    /// The client has not shown a key that is taken here.
    pub fn unauthenticated(schema: Schema, message: &str) -> Self {
        Self::new(schema, 401, "", message, "chancery_key_refused")
    }

    /// The client's key is not for what is asked.
    pub fn forbidden(schema: Schema, field: &str, message: &str) -> Self {
        Self::new(schema, 403, field, message, "chancery_key_not_for_this")
    }

    /// The budget of the client's key is spent, and there is no cheaper model for what is asked.
    pub fn spent(schema: Schema) -> Self {
        let message = "a budget of this API key is spent, and there is no cheaper model for this request";
        Self::new(schema, 429, "", message, "chancery_budget_spent")
    }

    /// A guard rejects the request: with the policy's own words, whatever the client speaks.
    pub(super) fn by_guard(rejection: &GuardRejection) -> Self {
        let is_json = serde_json::from_str::<Map<String, Value>>(&rejection.message).is_ok();
        Self {
            status: rejection.status,
            content_type: if is_json { JSON } else { "text/plain" },
            body: rejection.message.clone().into_bytes(),
            details: "chancery_ai_guard_rejected",
        }
    }

    fn new(schema: Schema, status: u16, field: &str, message: &str, details: &'static str) -> Self {
        let body = error_body(schema, status, field, message);
        Self { status, content_type: JSON, body: body.to_string().into_bytes(), details }
    }
}

/// An error in the form of a provider's own.
pub(super) fn error_body(schema: Schema, status: u16, field: &str, message: &str) -> Value {
    let field = (!field.is_empty()).then_some(field);
    match schema {
        Schema::OpenAi => json!({"error": {
            "message": message, "type": kind(status), "param": field, "code": null,
        }}),
        Schema::Anthropic => json!({"type": "error", "error": {"type": kind(status), "message": message}}),
        Schema::Gemini => {
            json!({"error": {"code": status, "message": message, "status": google_status(status)}})
        }
        Schema::Bedrock => json!({"message": message}),
    }
}

/// OpenAI's and Anthropic's words.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// The words of Google's APIs (`google.rpc.Code`).
fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        429 => "RESOURCE_EXHAUSTED",
        400..500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
