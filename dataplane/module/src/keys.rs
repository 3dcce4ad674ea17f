//! The filter of a listener that asks for virtual keys. Routes enable it whose policies ask for one: it finds the key that a
//! request shows, looks whether it may ask for the model, and leaves what the key's budgets are to reserve for the filter of
//! rate limits, which comes after it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use ai::exchange::Refusal;
use ai::keys::{self, Keys};
use ai::model_routing::{self, Named};
use ai_config::{KEYS_KEY, KeysConfig, METADATA_NAMESPACE, SPENDING_NAMESPACE, Schema, VirtualKey};

use crate::abi::{Body, HeaderMap, MetadataSource, Stream};
use crate::placement::{self, BodyStatus, HeadersStatus, HeldBody, text};

/// A configuration: the keys that routes ask for.
#[derive(Debug)]
pub(crate) struct Config {
    keys: Keys,
    max_request_bytes: u32,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not one that this module understands.
    pub(crate) fn new(settings: &[u8]) -> Result<Self, String> {
        let config: KeysConfig = serde_json::from_slice(settings).map_err(|error| error.to_string())?;
        placement::check_version(config.version)?;
        Ok(Self { max_request_bytes: config.max_request_bytes, keys: Keys::new(config)? })
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Filter {
    config: Arc<Config>,
    /// The request's body, as far as it is held back.
    body: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The body is read for what this key may do with it; a refusal has this schema.
    Reads(Arc<VirtualKey>, Schema),
    /// Everything passes.
    Passes,
    /// The request was answered here.
    Answered,
}

impl Filter {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, body: Vec::new(), state: State::Passes }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        self.state = State::Answered;
        self.body = Vec::new();
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        match self.begin(stream, end) {
            Ok(status) => status,
            Err(refusal) => self.refuse(stream, &refusal),
        }
    }

    fn begin(&mut self, stream: &mut Stream, end: bool) -> Result<HeadersStatus, Refusal> {
        let Some(set) = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, KEYS_KEY) else {
            // The filter is enabled for another route than the one that was chosen in the end, which asks for no key.
            return Ok(HeadersStatus::Continue);
        };
        let schema = placement::schema(stream);
        let set = std::str::from_utf8(set).unwrap_or_default();
        let header = |name: &str| stream.header(HeaderMap::Request, name);
        let shown = self.config.keys.shown(set, header, now(), schema)?;
        let key = shown.key;
        stream.remove_header(HeaderMap::Request, shown.header);
        if stream.header(HeaderMap::Request, "upgrade").is_some() {
            keys::check_upgrade(&key, schema)?;
        }
        let asks_nothing = end && matches!(text(stream, ":method"), "GET" | "HEAD" | "OPTIONS");
        if end || !keys::needs_body(&key) {
            if !asks_nothing {
                check_model(stream, &key, b"", schema)?;
            }
            note(stream, &key, b"", asks_nothing);
            return Ok(HeadersStatus::Continue);
        }
        if placement::is_encoded(stream) {
            return Err(Refusal::encoded(schema, "the API key is for what stands"));
        }
        self.body = placement::room_for_body(stream);
        self.state = State::Reads(key, schema);
        Ok(HeadersStatus::Stop)
    }

    fn refuse(&mut self, stream: &mut Stream, refusal: &Refusal) -> HeadersStatus {
        self.give_up();
        stream.respond(refusal.status, refusal.content_type, &refusal.body, refusal.details);
        HeadersStatus::Stop
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let (key, schema) = match &self.state {
            State::Reads(key, schema) => (key.clone(), *schema),
            State::Passes => return BodyStatus::Continue,
            State::Answered => return BodyStatus::Stop,
        };
        let limit = self.config.max_request_bytes;
        let refusal = match placement::hold_body(&mut self.body, stream, limit, end) {
            HeldBody::Whole => check_model(stream, &key, &self.body, schema).err(),
            HeldBody::Part => return BodyStatus::Stop,
            HeldBody::TooLarge => Some(Refusal::too_large(schema, limit)),
        };
        if let Some(refusal) = refusal {
            self.refuse(stream, &refusal);
            return BodyStatus::Stop;
        }
        let body = std::mem::take(&mut self.body);
        note(stream, &key, &body, false);
        self.state = State::Passes;
        stream.replace_body(Body::Request, &body);
        BodyStatus::Continue
    }

    pub(crate) fn on_request_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        match self.state {
            State::Passes => HeadersStatus::Continue,
            State::Answered => HeadersStatus::Stop,
            // The body has ended before the trailers; there is no piece of it any more to put all of it into.
            State::Reads(_, schema) => self.refuse(stream, &Refusal::with_trailers(schema)),
        }
    }
}

/// Whether the key may ask for the model that the request names.
fn check_model(stream: &Stream, key: &VirtualKey, body: &[u8], schema: Schema) -> Result<(), Refusal> {
    if key.models.is_none() {
        return Ok(());
    }
    let model = match model_routing::named(text(stream, ":path"))? {
        Named::ByPath(model) => Some(model),
        Named::ByBody => model_routing::named_by(body, schema)?,
    };
    keys::check_model(key, model.as_deref(), schema)
}

/// Notes whose key it is, and what its budgets are to reserve.
fn note(stream: &mut Stream, key: &VirtualKey, body: &[u8], asks_nothing: bool) {
    let tokens = if asks_nothing { 0 } else { keys::estimate(text(stream, ":path"), body) };
    let spending = keys::spending(key, &request_name(), tokens);
    stream.set_metadata(SPENDING_NAMESPACE, &spending);
}

/// A name that no other request of any proxy has.
fn request_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let random = || RandomState::new().hash_one(SystemTime::now());
        format!("{:016x}{:016x}", random(), random())
    });
    format!("{}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// In seconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
