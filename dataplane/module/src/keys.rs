//! The filter of a listener that asks for virtual keys. Routes enable it whose policies ask for one: it finds the key that a
//! request shows, looks whether it may ask for the model, and leaves what the key's budgets are to reserve for the filter of
//! rate limits, which comes after it.

use std::sync::Arc;
use std::time::SystemTime;

use ai::exchange::Refusal;
use ai::keys::sharing::Question;
use ai::keys::{self, Keys, Market};
use ai_config::{
    KEYS_KEY, KeysConfig, METADATA_NAMESPACE, OFFERS_KEY, Offer, SPENDING_NAMESPACE, Schema, VirtualKey,
};

use crate::abi::{HeaderMap, MetadataSource, Stream};
use crate::holding::Holding;
use crate::placement::{self, BodyStatus, HeadersStatus, text};
use crate::prices;
use crate::spending::Spending;

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

/// One request, whose body may be held back for what its key may do with it.
#[derive(Debug)]
pub(crate) struct Filter {
    config: Arc<Config>,
    request: Holding<Arc<VirtualKey>>,
    /// Set once the request may go on, if it is counted in budgets.
    spending: Option<Arc<Spending>>,
}

impl Filter {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, request: Holding::new(), spending: None }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        self.request.give_up();
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        match self.begin(stream, end) {
            Ok(status) => status,
            Err(refusal) => self.request.refuse(stream, &refusal),
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
        if end || !keys::needs_body(&key) {
            let asks_nothing = end && matches!(text(stream, ":method"), "GET" | "HEAD" | "OPTIONS");
            let body = (!asks_nothing).then_some(b"".as_slice());
            self.spending = admit(stream, &key, body, schema)?;
            return Ok(HeadersStatus::Continue);
        }
        if placement::is_encoded(stream) {
            return Err(Refusal::encoded(schema, "the API key is for what stands"));
        }
        Ok(self.request.hold(stream, key, schema))
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let limit = self.config.max_request_bytes;
        let spending = &mut self.spending;
        self.request.on_body(stream, limit, end, |stream, key, schema, body| {
            *spending = admit(stream, key, Some(body), schema)?;
            Ok(())
        })
    }

    pub(crate) fn on_request_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        self.request.on_trailers(stream)
    }

    /// The stream is over; `stream` is `None` if it is gone already.
    pub(crate) fn on_end(&mut self, stream: Option<&mut Stream>) {
        if let Some(spending) = self.spending.take() {
            spending.end(stream);
        }
    }
}

/// Lets a request pass if its key may send it, and notes what the key's budgets are to reserve. `body` is `None` where nothing is
/// asked of a model.
fn admit(
    stream: &mut Stream,
    key: &Arc<VirtualKey>,
    body: Option<&[u8]>,
    schema: Schema,
) -> Result<Option<Arc<Spending>>, Refusal> {
    let prices = prices::shared();
    let offers = if keys::counts_money(key) { offers(stream, schema)? } else { Vec::new() };
    let market = Market { offers: &offers, prices: Some(&prices), now: now() };
    let reservation = keys::admit(key, text(stream, ":path"), body, &market, schema)?;
    if key.budgets.is_empty() {
        let metadata = keys::begun(key, "", reservation, Question::None);
        stream.set_metadata(SPENDING_NAMESPACE, &metadata);
        return Ok(None);
    }
    Ok(Some(Spending::begin(stream, Arc::clone(key), reservation)))
}

/// What requests of the route may be billed for. Of one that says nothing, no money is counted yet: the key has just got its budget.
fn offers(stream: &Stream, schema: Schema) -> Result<Vec<Offer>, Refusal> {
    let text = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, OFFERS_KEY);
    text.map_or(Ok(Vec::new()), serde_json::from_slice)
        .map_err(|_| Refusal::misconfigured(schema, "the models of this route cannot be read"))
}

/// In seconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
