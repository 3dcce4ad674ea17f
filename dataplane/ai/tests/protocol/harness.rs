//! Runs a translation and takes the result apart.

use ai::framing::event_stream::write_json_event;
use ai::protocol::{
    ClientProtocol, LostField, ProviderProtocol, RequestContext, RequestError, RequestOptions,
    ResponseTranslator, TranslatedRequest, translate_request,
};
use serde_json::Value;

/// The smallest request of each client protocol.
pub(crate) fn minimal(client: ClientProtocol) -> &'static str {
    match client {
        ClientProtocol::OpenAiChat => r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        ClientProtocol::OpenAiResponses => r#"{"model":"m","input":"Hi"}"#,
        ClientProtocol::AnthropicMessages => {
            r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}"#
        }
        ClientProtocol::Gemini => r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#,
    }
}

pub(crate) fn options() -> RequestOptions<'static> {
    RequestOptions { path_model: Some("m"), ..RequestOptions::default() }
}

pub(crate) fn request(client: ClientProtocol, provider: ProviderProtocol, body: &str) -> TranslatedRequest {
    translate_request(client, provider, body.as_bytes(), &options())
        .unwrap_or_else(|e| panic!("{client:?} to {provider:?}: {e}"))
}

pub(crate) fn refused(client: ClientProtocol, provider: ProviderProtocol, body: &str) -> RequestError {
    translate_request(client, provider, body.as_bytes(), &options()).expect_err("it is refused")
}

/// The body for the provider and the fields that were lost.
pub(crate) fn json(
    client: ClientProtocol,
    provider: ProviderProtocol,
    body: &str,
) -> (Value, Vec<LostField>) {
    let translated = request(client, provider, body);
    (serde_json::from_slice(&translated.body).expect("the body is JSON"), translated.lost)
}

pub(crate) fn paths(lost: &[LostField]) -> Vec<&str> {
    lost.iter().map(|field| field.path.as_str()).collect()
}

pub(crate) fn context(client: ClientProtocol, stream: bool) -> RequestContext {
    let mut context = request(client, ProviderProtocol::OpenAiChat, minimal(client)).context;
    context.stream = stream;
    context.include_usage = true;
    context.id_seed = "seed".into();
    context.created = 1_700_000_000;
    context
}

/// The content type of a provider's answer.
pub(crate) fn content_type(provider: ProviderProtocol, stream: bool) -> &'static str {
    match (provider, stream) {
        (_, false) => "application/json",
        (ProviderProtocol::BedrockConverse, true) => "application/vnd.amazon.eventstream",
        (_, true) => "text/event-stream; charset=utf-8",
    }
}

pub(crate) struct Run {
    pub(crate) status: u16,
    pub(crate) out: Vec<u8>,
    pub(crate) failed: bool,
    pub(crate) usage: Option<ai::protocol::Usage>,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).expect("the output is JSON")
    }
}

pub(crate) fn run(
    client: ClientProtocol,
    provider: ProviderProtocol,
    context: RequestContext,
    status: u16,
    content_type: &str,
    chunks: &[&[u8]],
) -> Run {
    let mut translator = ResponseTranslator::new(client, provider, context, status, content_type);
    let mut out = Vec::new();
    for chunk in chunks {
        translator.push(chunk, &mut out);
    }
    translator.finish(&mut out);
    Run { status: translator.status(), out, failed: translator.failed(), usage: translator.usage() }
}

/// Encodes lines of `kind payload` as a Bedrock stream.
pub(crate) fn bedrock_stream(lines: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, payload) = line.split_once(' ').expect("a kind and a payload");
        write_json_event(&mut out, kind, payload).expect("it fits");
    }
    out
}
