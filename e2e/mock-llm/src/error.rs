//! Errors in the form of each provider.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::event_stream;
use crate::reply::Reply;
use crate::route::Provider;

/// An error, before a provider's form.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) message: String,
    /// The provider's word for it; that of the status when absent.
    pub(crate) code: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None }
    }

    pub(crate) fn coded(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: Some(code) }
    }

    /// The answer that reports it.
    pub(crate) fn reply(&self, provider: Provider) -> Reply {
        let reply = Reply::json(self.status, &self.body(provider));
        match provider {
            Provider::Bedrock => {
                let exception = self.code.unwrap_or_else(|| bedrock(self.status));
                reply.with("x-amzn-errortype", exception).with("x-amzn-requestid", AWS_REQUEST_ID)
            }
            Provider::Anthropic => reply.with("request-id", ANTHROPIC_REQUEST_ID),
            Provider::AzureOpenAi => reply.with("apim-request-id", AWS_REQUEST_ID),
            Provider::OpenAi => reply.with("x-request-id", OPENAI_REQUEST_ID),
            Provider::Gemini | Provider::Mistral | Provider::Vertex => reply,
        }
    }

    /// The same in a list of one, as Gemini does where the answer would be a list.
    pub(crate) fn reply_in_list(&self, provider: Provider) -> Reply {
        Reply::json(self.status, &json!([self.body(provider)]))
    }

    fn body(&self, provider: Provider) -> Value {
        let Self { status, message, code } = self;
        match provider {
            Provider::OpenAi => {
                let (kind, default) = openai(*status);
                let code = code.or(default);
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
            Provider::AzureOpenAi => {
                let code = code.map_or_else(|| status.to_string(), str::to_owned);
                json!({ "error": { "code": code, "message": message } })
            }
            Provider::Mistral if *status == 401 => json!({ "detail": message }),
            // The message is the place; what is wrong with it has a form of its own.
            Provider::Mistral if *status == 422 => {
                let place: Vec<&str> = std::iter::once("body").chain(message.split('.')).collect();
                let detail = json!([{ "type": code, "loc": place, "msg": "Extra inputs are not permitted" }]);
                let (kind, message) = ("invalid_request_error", json!({ "detail": detail }));
                json!({ "object": "error", "message": message, "type": kind, "param": null, "code": null })
            }
            Provider::Mistral => {
                let (kind, default) = mistral(*status);
                let code = code.unwrap_or(default);
                json!({ "object": "error", "message": message, "type": kind, "param": null, "code": code })
            }
            Provider::Anthropic => {
                let kind = code.unwrap_or_else(|| anthropic(*status));
                let error = json!({ "type": kind, "message": message });
                json!({ "type": "error", "error": error, "request_id": ANTHROPIC_REQUEST_ID })
            }
            Provider::Gemini | Provider::Vertex => {
                let mut error = json!({ "code": status, "message": message, "status": google(*status) });
                if let Some(reason) = code {
                    let details = json!([{
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": reason,
                        "domain": "googleapis.com",
                        "metadata": { "service": "generativelanguage.googleapis.com" },
                    }]);
                    error["details"] = details;
                }
                json!({ "error": error })
            }
            Provider::Bedrock => json!({ "message": message }),
        }
    }

    /// The event that reports it in a stream that has begun.
    pub(crate) fn event(&self, provider: Provider) -> Bytes {
        let body = self.body(provider);
        match provider {
            Provider::Anthropic => format!("event: error\ndata: {body}\n\n").into(),
            Provider::Gemini | Provider::Vertex => format!("data: {body}\r\n\r\n").into(),
            Provider::OpenAi | Provider::AzureOpenAi | Provider::Mistral => {
                format!("data: {body}\n\n").into()
            }
            Provider::Bedrock => {
                let exception = bedrock_in_stream(self.status);
                let headers = [
                    (":exception-type", exception),
                    (":content-type", "application/json"),
                    (":message-type", "exception"),
                ];
                event_stream::message(&headers, body.to_string().as_bytes()).into()
            }
        }
    }
}

const AWS_REQUEST_ID: &str = "7c1e4b1a-8f0e-4b6f-9a51-2d1d3f0c9e77";
const ANTHROPIC_REQUEST_ID: &str = "req_011CMockMockMockMockMock";
const OPENAI_REQUEST_ID: &str = "req_5a1f0e4b6f9a512d1d3f0c9e77aa01bc";

/// What a provider says to a status that a test forces.
pub(crate) fn forced(status: u16) -> Fault {
    let message = match status {
        400 => "The request is not valid.",
        401 => "The API key is not valid.",
        403 => "This key may not do that.",
        404 => "The model does not exist or you do not have access to it.",
        413 => "The request is larger than the maximum size.",
        429 => "Rate limit reached, try again later.",
        503 => "The service is not available.",
        529 => "Overloaded",
        _ => "An internal error occurred.",
    };
    Fault::new(status, message)
}

fn openai(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        503 => ("service_unavailable_error", None),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

fn mistral(status: u16) -> (&'static str, &'static str) {
    match status {
        404 => ("invalid_model", "1500"),
        429 => ("rate_limited", "1300"),
        500.. => ("internal_server_error", "1000"),
        _ => ("invalid_request_error", "1400"),
    }
}

fn anthropic(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn google(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

fn bedrock(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

fn bedrock_in_stream(status: u16) -> &'static str {
    match status {
        400..=428 => "validationException",
        429 => "throttlingException",
        503 | 529 => "serviceUnavailableException",
        _ => "internalServerException",
    }
}
