//! The filter of a listener that asks for virtual keys, and looks at the claims of tokens. Routes enable it whose policies ask for
//! a key, or whose requests are counted in budgets over claims: it finds the key that a request shows, looks whether it may ask for
//! the model, and leaves what the budgets are to reserve for the filter of rate limits, which comes after it.

use std::sync::Arc;
use std::time::SystemTime;

use ai::exchange::Refusal;
use ai::keys::sharing::Question;
use ai::keys::{Account, Claimed, Claims, Keys, Market};
use ai_config::{
    CLAIMS_KEY, CLAIMS_STATE_KEY, KEYS_KEY, KeysConfig, METADATA_NAMESPACE, OFFERS_KEY, Offer,
    SPENDING_NAMESPACE, Schema, VirtualKey,
};

use crate::abi::{Definer, HeaderMap, MetadataSource, Scope, Stream, Waker};
use crate::holding::Holding;
use crate::placement::{self, BodyStatus, HeadersStatus, text};
use crate::spending::Spending;
use crate::{prices, settling};

/// A configuration: the keys that routes ask for, and their budgets over claims.
#[derive(Debug)]
pub(crate) struct Config {
    keys: Keys,
    claims: Claims,
    max_request_bytes: u32,
    limits_cluster: String,
    scope: Scope,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not one that this module understands.
    pub(crate) fn new(settings: &[u8], definer: &Definer) -> Result<Self, String> {
        let config: KeysConfig = serde_json::from_slice(settings).map_err(|error| error.to_string())?;
        placement::check_version(config.version)?;
        let KeysConfig { max_request_bytes, limits_cluster, .. } = config;
        let (keys, claims) = (Keys::new(config.sets)?, Claims::new(config.claims)?);
        if !limits_cluster.is_empty() {
            Waker::new(definer).into_iter().for_each(settling::begin);
        }
        Ok(Self { keys, claims, max_request_bytes, limits_cluster, scope: definer.scope() })
    }

    /// The cluster of the service that counts.
    pub(crate) fn limits_cluster(&self) -> &str {
        &self.limits_cluster
    }

    /// Envoy is about to forget it.
    pub(crate) fn end(&self) {
        settling::end(self.scope);
    }
}

/// One request, whose body may be held back for what its sender may do with it.
#[derive(Debug)]
pub(crate) struct Filter {
    config: Arc<Config>,
    request: Holding<Arc<Account>>,
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
        let schema = placement::schema(stream);
        let account = Account { key: self.key(stream, schema)?, claimed: self.claimed(stream, schema)? };
        let account = Arc::new(account);
        if account.is_free() {
            // Nothing is said about the token, or the filter is enabled for another route than the one that was chosen in the end.
            return Ok(HeadersStatus::Continue);
        }
        if stream.header(HeaderMap::Request, "upgrade").is_some() {
            account.check_upgrade(schema)?;
        }
        if end || !account.needs_body() {
            let asks_nothing = end && matches!(text(stream, ":method"), "GET" | "HEAD" | "OPTIONS");
            let body = (!asks_nothing).then_some(b"".as_slice());
            self.spending = admit(stream, &account, body, schema)?;
            return Ok(HeadersStatus::Continue);
        }
        if placement::is_encoded(stream) {
            let subject = if account.key.is_some() { "the API key is for" } else { "a budget counts" };
            return Err(Refusal::encoded(schema, &format!("{subject} what stands")));
        }
        Ok(self.request.hold(stream, account, schema))
    }

    /// The key that the request shows, where the route asks for one. It is taken off.
    fn key(&self, stream: &mut Stream, schema: Schema) -> Result<Option<Arc<VirtualKey>>, Refusal> {
        let Some(set) = route_text(stream, KEYS_KEY) else { return Ok(None) };
        let header = |name: &str| stream.header(HeaderMap::Request, name);
        let shown = self.config.keys.shown(set, header, now(), schema)?;
        stream.remove_header(HeaderMap::Request, shown.header);
        Ok(Some(shown.key))
    }

    /// The budgets over claims that the request is counted in.
    fn claimed(&self, stream: &Stream, schema: Schema) -> Result<Claimed, Refusal> {
        let Some(set) = route_text(stream, CLAIMS_KEY) else { return Ok(Claimed::default()) };
        self.config.claims.claimed(set, stream.state(CLAIMS_STATE_KEY), schema)
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let limit = self.config.max_request_bytes;
        let spending = &mut self.spending;
        self.request.on_body(stream, limit, end, |stream, account, schema, body| {
            *spending = admit(stream, account, Some(body), schema)?;
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

/// A text of the engine's in the metadata of the route.
fn route_text<'a>(stream: &'a Stream, key: &str) -> Option<&'a str> {
    let text = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, key)?;
    Some(std::str::from_utf8(text).unwrap_or_default())
}

/// Lets a request pass if it may be sent, and notes what its budgets are to reserve. `body` is `None` where nothing is asked of a
/// model.
fn admit(
    stream: &mut Stream,
    account: &Arc<Account>,
    body: Option<&[u8]>,
    schema: Schema,
) -> Result<Option<Arc<Spending>>, Refusal> {
    let prices = prices::shared();
    let offers = if account.counts_money() { offers(stream, schema)? } else { Vec::new() };
    let market = Market { offers: &offers, prices: Some(&prices), now: now() };
    let reserved = account.admit(text(stream, ":path"), body, &market, schema)?;
    if account.is_counted() {
        return Ok(Some(Spending::begin(stream, Arc::clone(account), reserved)));
    }
    stream.set_metadata(SPENDING_NAMESPACE, &account.begun("", reserved, Question::None));
    Ok(None)
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
