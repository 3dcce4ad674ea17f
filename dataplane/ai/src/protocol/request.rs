use xxhash_rust::xxh3::xxh3_64;

use super::error::RequestError;
use super::json::{Map, RawJson};
use super::lost::{Lost, LostField};
use super::model::Request;
use super::{ClientProtocol, ProviderProtocol};
use super::{anthropic, bedrock, gemini, openai_chat, openai_responses, signature};

/// What the gateway knows about a request besides its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestOptions<'a> {
    /// The model to ask for instead of the client's.
    pub model: Option<&'a str>,
    /// The model in the path, where Gemini clients name it.
    pub path_model: Option<&'a str>,
    /// Whether the path asks for a stream; Gemini clients decide by path.
    pub path_stream: Option<bool>,
    /// Whether a Gemini client streams a JSON array, as it does without `alt=sse`.
    pub json_array: bool,
    /// Refuse the request if a field would be lost that is not harmless.
    pub strict: bool,
    /// The limit of the answer where the provider asks for one and the client gives none.
    pub default_max_tokens: u32,
}

impl Default for RequestOptions<'_> {
    fn default() -> Self {
        Self {
            model: None,
            path_model: None,
            path_stream: None,
            json_array: false,
            strict: false,
            default_max_tokens: 4096,
        }
    }
}

/// A request in the provider's protocol.
#[derive(Debug, Clone)]
pub struct TranslatedRequest {
    /// The body for the provider.
    pub body: Vec<u8>,
    /// The model asked for. It goes into the URL for Gemini, Vertex and Bedrock.
    pub model: String,
    /// Whether the client asks for a stream.
    pub stream: bool,
    /// The fields that are not carried.
    pub lost: Vec<LostField>,
    /// What the translation of the answer must know.
    pub context: RequestContext,
}

/// What the translation of an answer must know about its request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The model asked for, for answers that do not name theirs.
    pub model: String,
    /// Whether the client asks for a stream.
    pub stream: bool,
    /// Whether the client wants the usage in its stream.
    pub include_usage: bool,
    /// Whether a Gemini client streams a JSON array.
    pub json_array: bool,
    /// Distinguishes the ids made for this answer from those of others. Derived from the body; callers
    /// may set another of up to 30 letters and digits (OpenAI takes ids of calls of up to 40).
    pub id_seed: String,
    /// When the answer is made, in seconds since 1970, for protocols that tell. Callers set it.
    pub created: u64,
    pub(super) echo: Vec<(String, RawJson)>,
}

/// Translates a request.
///
/// # Errors
/// When the body is not a request of the client's protocol, when a field that cannot be left out has
/// no place in the provider's protocol, and in strict mode when any field would be lost that is not
/// harmless.
pub fn translate_request(
    client: ClientProtocol,
    provider: ProviderProtocol,
    body: &[u8],
    options: &RequestOptions<'_>,
) -> Result<TranslatedRequest, RequestError> {
    let mut lost = Lost::default();
    let mut request = read(client, body, options, &mut lost)?;
    if let Some(model) = options.model {
        request.model = model.to_owned();
    }
    if request.model.is_empty() {
        return Err(RequestError::invalid(Some("model"), "the field is required"));
    }
    if request.messages.iter().all(|message| message.role.is_system()) {
        let field = match client {
            ClientProtocol::OpenAiResponses => "input",
            ClientProtocol::Gemini => "contents",
            _ => "messages",
        };
        return Err(RequestError::invalid(Some(field), "there is no message to answer"));
    }
    signature::settle(&mut request, client, provider, &mut lost);
    let written = write(&request, client, provider, options, &mut lost)?;
    if let Some(field) = lost.fields.iter().find(|field| options.strict && !field.harmless) {
        return Err(RequestError::refused(&field.path, format!("not carried: {}", field.reason)));
    }
    let context = RequestContext {
        model: request.model.clone(),
        stream: request.stream,
        include_usage: request.include_usage,
        json_array: options.json_array,
        id_seed: format!("{:016x}", xxh3_64(body)),
        created: 0,
        echo: request.echo,
    };
    Ok(TranslatedRequest {
        body: written.to_bytes(),
        model: request.model,
        stream: request.stream,
        lost: lost.fields,
        context,
    })
}

fn read(
    client: ClientProtocol,
    body: &[u8],
    options: &RequestOptions<'_>,
    lost: &mut Lost,
) -> Result<Request, RequestError> {
    match client {
        ClientProtocol::OpenAiChat => openai_chat::request_reader::read(body, lost),
        ClientProtocol::OpenAiResponses => openai_responses::request_reader::read(body, lost),
        ClientProtocol::AnthropicMessages => anthropic::request_reader::read(body, lost),
        ClientProtocol::Gemini => gemini::request_reader::read(body, options, lost),
    }
}

fn write(
    request: &Request,
    client: ClientProtocol,
    provider: ProviderProtocol,
    options: &RequestOptions<'_>,
    lost: &mut Lost,
) -> Result<Map, RequestError> {
    let max = options.default_max_tokens;
    match provider {
        ProviderProtocol::OpenAiChat => openai_chat::request_writer::write(request, client, lost),
        ProviderProtocol::AnthropicMessages => anthropic::request_writer::write(request, client, max, lost),
        ProviderProtocol::Gemini => gemini::request_writer::write(request, client, lost),
        ProviderProtocol::BedrockConverse => bedrock::request_writer::write(request, client, max, lost),
    }
}
