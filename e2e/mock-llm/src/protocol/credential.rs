//! Who may ask: each provider's own headers, and its own words for a refusal.

use crate::error::Fault;
use crate::knobs::Knobs;
use crate::reply::Request;
use crate::route::{Operation, Provider, Route};
use crate::sigv4::{self, Refusal};

pub(super) fn check(route: &Route, request: &Request<'_>, knobs: &Knobs) -> Result<(), Fault> {
    let is_let_in = |key: &str| knobs.keys.as_ref().is_none_or(|keys| keys.iter().any(|one| one == key));
    match route.provider {
        Provider::OpenAi => match request.bearer() {
            Some(key) if is_let_in(key) => Ok(()),
            Some(_) => Err(Fault::new(401, "Incorrect API key provided.")),
            None => {
                Err(Fault { status: 401, message: "You didn't provide an API key.".to_owned(), code: None })
            }
        },
        Provider::Mistral => match request.bearer() {
            Some(key) if is_let_in(key) => Ok(()),
            _ => Err(Fault::new(401, "Unauthorized")),
        },
        Provider::AzureOpenAi => {
            let key = request.header("api-key").or(request.bearer());
            // The newer paths have no versions.
            let needs_version = route.model.is_some();
            match key {
                Some(key) if is_let_in(key) => {}
                _ => return Err(Fault::new(401, "Access denied due to invalid subscription key.")),
            }
            if needs_version && request.parameter("api-version").is_none_or(str::is_empty) {
                return Err(Fault::new(404, "Resource not found"));
            }
            Ok(())
        }
        Provider::Anthropic => {
            match request.header("x-api-key").or(request.bearer()) {
                Some(key) if is_let_in(key) => {}
                Some(_) => return Err(Fault::new(401, "invalid x-api-key")),
                None => return Err(Fault::new(401, "x-api-key header is required")),
            }
            match request.header("anthropic-version") {
                Some(_) => Ok(()),
                None => Err(Fault::new(400, "anthropic-version: header is required")),
            }
        }
        // Its endpoint that speaks OpenAI's protocol wants a bearer token, and no other does.
        Provider::Gemini if route.operation == Operation::Chat => match request.bearer() {
            Some(key) if is_let_in(key) => Ok(()),
            _ => Err(Fault::new(401, "Missing or invalid Authorization header.")),
        },
        Provider::Gemini => match request.header("x-goog-api-key").or(request.parameter("key")) {
            Some(key) if is_let_in(key) => Ok(()),
            Some(_) => {
                let message = "API key not valid. Please pass a valid API key.";
                Err(Fault::coded(400, "API_KEY_INVALID", message))
            }
            None => Err(Fault::new(403, "Method doesn't allow unregistered callers.")),
        },
        Provider::Vertex => match request.bearer().or(request.header("x-goog-api-key")) {
            Some(key) if is_let_in(key) => Ok(()),
            _ => Err(Fault::new(401, "Request had invalid authentication credentials.")),
        },
        Provider::Bedrock => bedrock(request, knobs, is_let_in),
    }
}

fn bedrock(request: &Request<'_>, knobs: &Knobs, is_let_in: impl Fn(&str) -> bool) -> Result<(), Fault> {
    // Bedrock's own API keys are bearer tokens.
    if let Some(key) = request.bearer() {
        return match is_let_in(key) {
            true => Ok(()),
            false => Err(Fault::new(403, "Authentication failed: Please make sure your API Key is valid.")),
        };
    }
    if !sigv4::is_signed(request.head) {
        let code = "MissingAuthenticationTokenException";
        return Err(Fault::coded(403, code, Refusal::Missing.to_string()));
    }
    let Some(keys) = &knobs.aws_keys else { return Ok(()) };
    sigv4::verify(request.head, request.body, keys, request.now).map_err(|refusal| {
        let code = match refusal {
            Refusal::Missing => "MissingAuthenticationTokenException",
            Refusal::Malformed(_) => "IncompleteSignatureException",
            Refusal::UnknownKey => "UnrecognizedClientException",
            Refusal::Expired | Refusal::Mismatch(_) => "InvalidSignatureException",
        };
        Fault::coded(403, code, refusal.to_string())
    })
}

/// All credentials of a request, as they came.
pub(super) fn all(headers: &http::HeaderMap) -> String {
    let names = ["authorization", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token"];
    let values = names.iter().flat_map(|name| headers.get_all(*name));
    values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(" ")
}
