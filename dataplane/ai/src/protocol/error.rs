//! Errors: what kinds there are, and how each protocol names them.

use super::ClientProtocol;
use super::json::{Json, Map};

/// What an error is about, independent of how a protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong.
    InvalidRequest,
    /// The credential is missing or wrong.
    Authentication,
    /// The credential does not permit the request.
    Permission,
    /// There is no such model or resource.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens.
    RateLimit,
    /// The provider is overloaded or unavailable.
    Overloaded,
    /// The provider did not answer in time.
    Timeout,
    /// Anything else that failed on the provider's side.
    Internal,
}

impl ErrorKind {
    /// The kind that an HTTP status stands for.
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            500.. => Self::Internal,
            _ => Self::InvalidRequest,
        }
    }

    /// The HTTP status that stands for the kind.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Overloaded => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
        }
    }

    /// The kind that a provider's own name stands for, whichever protocol it is of.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "invalid_request_error"
            | "INVALID_ARGUMENT"
            | "FAILED_PRECONDITION"
            | "OUT_OF_RANGE"
            | "ValidationException"
            | "validationException" => Self::InvalidRequest,
            "authentication_error"
            | "UNAUTHENTICATED"
            | "UnrecognizedClientException"
            | "invalid_api_key" => Self::Authentication,
            "permission_error" | "PERMISSION_DENIED" | "AccessDeniedException" | "billing_error" => {
                Self::Permission
            }
            "not_found_error" | "NOT_FOUND" | "ResourceNotFoundException" | "model_not_found" => {
                Self::NotFound
            }
            "request_too_large" => Self::TooLarge,
            "rate_limit_error"
            | "rate_limit_exceeded"
            | "insufficient_quota"
            | "RESOURCE_EXHAUSTED"
            | "ThrottlingException"
            | "throttlingException"
            | "ServiceQuotaExceededException" => Self::RateLimit,
            "overloaded_error"
            | "UNAVAILABLE"
            | "ServiceUnavailableException"
            | "serviceUnavailableException"
            | "ModelNotReadyException" => Self::Overloaded,
            "timeout_error" | "DEADLINE_EXCEEDED" | "ModelTimeoutException" => Self::Timeout,
            "api_error"
            | "server_error"
            | "INTERNAL"
            | "UNKNOWN"
            | "InternalServerException"
            | "internalServerException"
            | "ModelErrorException"
            | "ModelStreamErrorException"
            | "modelStreamErrorException" => Self::Internal,
            _ => return None,
        })
    }

    /// The `type` of OpenAI's errors.
    pub(super) fn openai_type(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::NotFound | Self::TooLarge => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_error",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
            Self::Internal => "server_error",
        }
    }

    /// The `code` of errors inside a stream of the Responses API, which is a closed list there.
    pub(super) fn responses_code(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit_exceeded",
            Self::InvalidRequest | Self::NotFound | Self::TooLarge => "invalid_prompt",
            _ => "server_error",
        }
    }

    /// The `type` of Anthropic's errors.
    pub(super) fn anthropic_type(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
            Self::Internal => "api_error",
        }
    }

    /// The `status` of Google's errors.
    pub(super) fn google_status(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::TooLarge => "INVALID_ARGUMENT",
            Self::Authentication => "UNAUTHENTICATED",
            Self::Permission => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::RateLimit => "RESOURCE_EXHAUSTED",
            Self::Overloaded => "UNAVAILABLE",
            Self::Timeout => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An error as it is told to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), code: None, param: None }
    }

    /// An error of what the provider sent: the gateway cannot make sense of it.
    pub(super) fn upstream(message: impl Into<String>) -> Self {
        Self::new(502, ErrorKind::Internal, message)
    }

    pub(super) fn bad_arguments() -> Self {
        Self::upstream("the model called a tool with arguments that are not a JSON object")
    }

    pub(super) fn truncated() -> Self {
        Self::upstream("the provider's stream ended before the answer was complete")
    }

    /// The error without anything that may hold fragments of the gateway's credential.
    pub(super) fn redacted(mut self) -> Self {
        let sensitive = matches!(self.status, 401 | 403)
            || matches!(self.kind, ErrorKind::Authentication | ErrorKind::Permission);
        if sensitive {
            self.message = "the provider refused the gateway's credentials".to_owned();
            self.code = None;
            self.param = None;
        }
        self
    }

    pub(super) fn body(&self, client: ClientProtocol) -> Map {
        match client {
            ClientProtocol::OpenAiChat | ClientProtocol::OpenAiResponses => self.openai(),
            ClientProtocol::AnthropicMessages => Map::tagged("error").with(
                "error",
                Map::tagged(self.kind.anthropic_type()).with("message", self.message.as_str()),
            ),
            ClientProtocol::Gemini => Map::new().with(
                "error",
                Map::new()
                    .with("code", u64::from(self.status))
                    .with("message", self.message.as_str())
                    .with("status", self.kind.google_status()),
            ),
        }
    }

    fn openai(&self) -> Map {
        let optional = |text: &Option<String>| text.as_ref().map_or(Json::Null, Json::from);
        let error = Map::new()
            .with("message", self.message.as_str())
            .with("type", self.kind.openai_type())
            .with("param", optional(&self.param))
            .with("code", optional(&self.code));
        Map::new().with("error", error)
    }
}

/// Why a request cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestError {
    /// The HTTP status of the answer.
    pub status: u16,
    /// What is wrong, for the client.
    pub message: String,
    /// The path of the field at fault.
    pub field: Option<String>,
}

impl RequestError {
    pub(super) fn invalid(field: Option<&str>, message: impl Into<String>) -> Self {
        let field = field.filter(|path| !path.is_empty()).map(str::to_owned);
        Self { status: 400, message: message.into(), field }
    }

    /// The error of a field that the provider has no place for and that cannot be left out.
    pub(super) fn refused(path: &str, reason: impl Into<String>) -> Self {
        Self::invalid(Some(path), reason)
    }

    /// The body that tells the client, in its own protocol.
    pub fn to_client_body(&self, client: ClientProtocol) -> Vec<u8> {
        let mut error = ApiError::new(self.status, ErrorKind::from_status(self.status), self.to_string());
        error.param.clone_from(&self.field);
        error.body(client).to_bytes()
    }
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for RequestError {}

/// The body of an error of the gateway itself, in the client's own protocol.
///
/// `code` is a machine-readable name of the error; only OpenAI's protocols have a place for it.
pub fn error_body(
    client: ClientProtocol,
    status: u16,
    kind: ErrorKind,
    code: Option<&str>,
    message: &str,
) -> Vec<u8> {
    let mut error = ApiError::new(status, kind, message);
    error.code = code.map(str::to_owned);
    error.body(client).to_bytes()
}
