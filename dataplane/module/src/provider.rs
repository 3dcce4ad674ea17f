//! The filter of a cluster: one attempt at one provider. It calls the crate `ai` at each step of the attempt's stream, and
//! does to the stream what it says.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ai::exchange::{Exchange, Outcome, Passage, Policy, Refusal, Reply, RequestHead, Step};
use ai::labels;
use ai::prices::Cost;
use ai_config::{
    COUNTED_KEY, ClusterConfig, CredentialHeader, FALLBACK_KEY, LIMIT_ANSWER_NAMESPACE, METADATA_NAMESPACE,
    MODEL_HEADER, POLICY_KEY, RoutePolicy, VERSION,
};

use crate::abi::{Body, Definer, HeaderMap, MetadataSource, Next, Scope, Stream, Waker};
use crate::consulting;
use crate::ejection::Member;
use crate::metrics::{self, Attempt, Ending, Metrics};
use crate::placement::{self, BodyStatus, HeadersStatus, HeldBody};
use crate::prices;
use crate::telling::{Told, tell_error, tell_finding};

/// Under this key a request keeps, for its next attempts, what it was like before the first one.
const ORIGINAL_KEY: &str = "chancery.ai.original";

/// Headers that an attempt may change, and that the next one needs as they were. Envoy keeps the changes of one attempt
/// for the next one, which may go to another provider.
const RESTORED: [&str; 9] = [
    ":path",
    "accept-encoding",
    "anthropic-version",
    "api-key",
    "authorization",
    "content-length",
    "content-type",
    "x-api-key",
    "x-goog-api-key",
];

/// Names the fields of a request that the provider's protocol has no place for.
const LOST_HEADER: &str = "x-chancery-ai-not-carried";

/// The longest value of that header, in bytes.
const MAX_LOST: usize = 1024;

/// Tells what an answer costs, in US dollars.
const COST_HEADER: &str = "x-chancery-ai-cost";

/// How much of an answer is held back until it is known what it costs, in bytes. A longer one goes on without the header.
const MAX_HELD_ANSWER: usize = 16 * 1024 * 1024;

/// The scheme of bearer tokens (RFC 6750).
const BEARER: &[u8] = b"Bearer ";

/// How long a server that is asked about a prompt or an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Policies of routes that are kept parsed. A route table that changes brings new ones, so there must be an end.
const MAX_POLICIES: usize = 1024;

/// A configuration: what is done for one cluster.
#[derive(Debug)]
pub(crate) struct Config {
    cluster: Arc<ClusterConfig>,
    /// Set where other clusters can take its requests.
    member: Option<Arc<Member>>,
    metrics: Metrics,
    policies: RwLock<HashMap<Vec<u8>, Arc<Policy>>>,
    no_policy: Arc<Policy>,
    scope: Scope,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not one that this module understands.
    pub(crate) fn new(settings: &[u8], definer: &mut Definer) -> Result<Self, String> {
        let cluster: ClusterConfig = serde_json::from_slice(settings).map_err(|error| error.to_string())?;
        placement::check_version(cluster.version)?;
        let metrics = Metrics::define(definer, &[]).ok_or("Envoy does not define its metrics")?;
        Waker::new(definer).into_iter().for_each(consulting::begin);
        Ok(Self {
            member: cluster.pool_member.as_deref().map(Member::of),
            cluster: Arc::new(cluster),
            metrics,
            policies: RwLock::default(),
            no_policy: Arc::default(),
            scope: definer.scope(),
        })
    }

    /// Envoy is about to forget it.
    pub(crate) fn end(&self) {
        consulting::end(self.scope);
    }

    /// Ejects the provider from its pool, if it has answered that it wants no requests for a time.
    fn eject(&self, stream: &Stream, provider: &str, status: u16) {
        let Some((member, name)) = self.member.as_ref().zip(self.cluster.pool_member.as_deref()) else {
            return;
        };
        let header = |name: &str| std::str::from_utf8(stream.header(HeaderMap::Response, name)?).ok();
        let asked_for = ai::ejection::asked_for(status, header, SystemTime::now());
        if asked_for.is_some_and(|time| member.eject(time)) {
            self.metrics.eject(stream, provider, name);
        }
    }

    /// The policy that a route's metadata holds; `None` if it cannot be read.
    fn policy(&self, text: Option<&[u8]>) -> Option<Arc<Policy>> {
        let Some(text) = text else { return Some(self.no_policy.clone()) };
        if let Some(known) = self.policies.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Some(known.clone());
        }
        let policy: RoutePolicy = serde_json::from_slice(text).ok()?;
        if policy.version != VERSION {
            return None;
        }
        // Expressions were compiled by the control plane, too, so that none is one that cannot be.
        let policy = Arc::new(Policy::new(policy).ok()?);
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        if policies.len() >= MAX_POLICIES {
            policies.clear();
        }
        policies.insert(text.to_owned(), policy.clone());
        Some(policy)
    }
}

/// One attempt at one provider.
#[derive(Debug)]
pub(crate) struct Filter {
    config: Arc<Config>,
    exchange: Option<Exchange>,
    /// The request's body, as far as it is held back.
    body: Vec<u8>,
    passage: Passage,
    began: Instant,
    /// What the request has for labels of users' own.
    labels: labels::Values,
    /// The status of the answer, once it is there.
    status: Option<u16>,
    /// When the first piece of the answer's body came.
    first_piece: Option<Duration>,
    /// Whether the answer was whole: its last piece has come, which may still wait for a server.
    is_whole: bool,
    is_settled: bool,
    /// What stands in the dynamic metadata.
    told: Told,
    /// Whether the access log can have the tokens of a stream that its client leaves.
    is_usage_told: bool,
    /// Whether it is told what guards that only report have found in the request.
    is_shadow_told: bool,
    /// Set where limits or budgets count the tokens of the request: how many were told last.
    tokens_told: Option<u64>,
    /// Whether limits count them.
    is_limited: bool,
    /// Whether the stream was answered here, so that nothing of it is ours any more.
    is_given_up: bool,
    /// Whether the answer's head waits for what the answer costs.
    holds_for_cost: bool,
    /// What a server is being asked about.
    asked: Option<AskedAbout>,
    /// What of the answer goes on next; while a server is asked, it waits.
    ready: Vec<u8>,
}

/// What a server is being asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedAbout {
    Request,
    Answer,
}

impl Filter {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            exchange: None,
            body: Vec::new(),
            passage: Passage::AsItIs,
            began: Instant::now(),
            labels: labels::Values::new(),
            status: None,
            first_piece: None,
            is_whole: false,
            is_settled: false,
            told: Told::default(),
            is_usage_told: false,
            is_shadow_told: false,
            tokens_told: None,
            is_limited: false,
            is_given_up: false,
            holds_for_cost: false,
            asked: None,
            ready: Vec::new(),
        }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        self.is_given_up = true;
        self.exchange = None;
        self.asked = None;
        self.body = Vec::new();
        self.ready = Vec::new();
    }

    fn refuse(&mut self, stream: &mut Stream, refusal: &Refusal) {
        tell_error(stream, &Ending::Error(refusal.status));
        self.give_up();
        stream.respond(refusal.status, refusal.content_type, &refusal.body, refusal.details);
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        restore(stream);
        self.labels = metrics::label_values(stream);
        self.told = Told::of(stream);
        self.is_limited = stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, COUNTED_KEY).is_some();
        self.tokens_told = (self.is_limited || self.told.is_spending()).then_some(0);
        let begun = self.begin(stream, end);
        let exchange = match begun {
            Ok(exchange) => self.exchange.insert(exchange),
            Err(refusal) => {
                self.refuse(stream, &refusal);
                return HeadersStatus::Stop;
            }
        };
        stream.ensure_header(HeaderMap::Request, ":authority", self.config.cluster.authority.as_bytes());
        if let Some(header) = &self.config.cluster.passthrough {
            pass_credential(stream, header);
        }
        // The route is chosen; the header has done its work.
        stream.remove_header(HeaderMap::Request, MODEL_HEADER);
        // Answers are read, so they must not be compressed.
        stream.remove_header(HeaderMap::Request, "accept-encoding");
        if exchange.needs_body() {
            self.body = placement::room_for_body(stream);
            return HeadersStatus::Stop;
        }
        stream.ensure_header(HeaderMap::Request, ":path", exchange.head().path.as_bytes());
        self.tell_progress(stream);
        HeadersStatus::Continue
    }

    fn begin(&mut self, stream: &Stream, end: bool) -> Result<Exchange, Refusal> {
        let cluster = &self.config.cluster;
        let schema = ai::provider::facts(&cluster.provider).schema;
        let policy = self
            .config
            .policy(stream.metadata(MetadataSource::Route, METADATA_NAMESPACE, POLICY_KEY))
            .ok_or_else(|| Refusal::misconfigured(schema, "the AI policy of this route cannot be read"))?;
        let headers = stream.headers(HeaderMap::Request);
        let text = |name| headers.get(name).and_then(|value| std::str::from_utf8(value).ok());
        let head = RequestHead {
            method: text(":method").unwrap_or_default(),
            path: text(":path").unwrap_or_default(),
            has_body: !end,
            has_anthropic_version: text("anthropic-version").is_some(),
            is_encoded: text("content-encoding").is_some_and(|encoding| encoding != "identity"),
            is_upgrade: text("upgrade").is_some(),
            now: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            fallback: stream.metadata(MetadataSource::Dynamic, LIMIT_ANSWER_NAMESPACE, FALLBACK_KEY),
        };
        let mut exchange = Exchange::begin(cluster.clone(), policy, &head)?;
        if exchange.asks() {
            exchange.note_headers(headers.iter());
        }
        Ok(exchange)
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let Some(exchange) = self.exchange.as_mut() else { return BodyStatus::Stop };
        if !exchange.needs_body() {
            stream.body(Body::Request, |piece| exchange.request_passes(piece));
            if end {
                exchange.request_has_passed();
                consulting::ask(exchange.take_consultations());
            }
            return BodyStatus::Continue;
        }
        let limit = self.config.cluster.max_request_bytes;
        match placement::hold_body(&mut self.body, stream, limit, end) {
            HeldBody::Whole => self.send_request(stream),
            HeldBody::Part => BodyStatus::Stop,
            HeldBody::TooLarge => {
                let refusal = Refusal::too_large(exchange.facts().schema, limit);
                self.refuse(stream, &refusal);
                BodyStatus::Stop
            }
        }
    }

    /// The request is whole: it goes on as the provider wants it, or a server is asked first.
    fn send_request(&mut self, stream: &mut Stream) -> BodyStatus {
        let body = std::mem::take(&mut self.body);
        let Some(exchange) = self.exchange.as_mut() else { return BodyStatus::Stop };
        let step = exchange.request(body);
        match self.take_step(stream, step) {
            Ok(Some(body)) => {
                stream.ensure_body(Body::Request, &body);
                BodyStatus::Continue
            }
            Ok(None) => {
                stream.replace_body(Body::Request, b"");
                BodyStatus::Stop
            }
            Err(refusal) => {
                self.refuse(stream, &refusal);
                BodyStatus::Stop
            }
        }
    }

    /// What comes next with the request: its body, after its head was made what the provider wants; `None` if a server is
    /// being asked.
    fn take_step(
        &mut self,
        stream: &mut Stream,
        mut step: Result<Step, Refusal>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(exchange) = self.exchange.as_mut() else { return Ok(None) };
        while let Ok(Step::Ask(question)) = &step {
            if stream.ask(question, PATIENCE) {
                self.asked = Some(AskedAbout::Request);
                return Ok(None);
            }
            step = exchange.hear(None);
        }
        consulting::ask(exchange.take_consultations());
        let findings = exchange.findings();
        if let Some(finding) = findings.request {
            self.config.metrics.guard(Some(stream), "request", finding.verdict);
            tell_finding(stream, "request_guard", &finding);
        }
        if let Some(finding) = findings.shadow_request {
            self.is_shadow_told = true;
            self.config.metrics.guard(Some(stream), "request_shadow", finding.verdict);
            tell_finding(stream, "request_guard_shadow", &finding);
        }
        let Step::Send(body) = step? else { return Ok(None) };
        stream.ensure_header(HeaderMap::Request, ":path", exchange.head().path.as_bytes());
        stream.ensure_header(HeaderMap::Request, "content-length", body.len().to_string().as_bytes());
        self.tell_progress(stream);
        Ok(Some(body))
    }

    /// The server that was asked has answered, or, with `None`, has not.
    pub(crate) fn on_reply(&mut self, stream: &mut Stream, reply: Option<Reply<'_>>) -> Next {
        let Some(exchange) = self.exchange.as_mut() else { return Next::Wait };
        match self.asked.take() {
            None => Next::Wait,
            Some(AskedAbout::Request) => {
                let step = exchange.hear(reply);
                match self.take_step(stream, step) {
                    Ok(Some(body)) => {
                        stream.append_body(Body::StoppedRequest, &body);
                        Next::SendRequest
                    }
                    Ok(None) => Next::Wait,
                    Err(refusal) => {
                        tell_error(stream, &Ending::Error(refusal.status));
                        self.give_up();
                        Next::Respond(refusal)
                    }
                }
            }
            Some(AskedAbout::Answer) => {
                let mut passed = exchange.hear_about_answer(reply);
                self.ready.append(&mut passed);
                // While more of the stream is to come, its next piece asks.
                if self.is_whole && self.ask_about_answer(stream) {
                    return Next::Wait;
                }
                let ready = std::mem::take(&mut self.ready);
                stream.append_body(Body::StoppedResponse, &ready);
                self.after_piece(stream);
                Next::SendResponse
            }
        }
    }

    /// Asks a server about the answer if it has to be asked now: whether it is being asked.
    fn ask_about_answer(&mut self, stream: &mut Stream) -> bool {
        let Some(exchange) = self.exchange.as_mut() else { return false };
        while self.asked.is_none() {
            let Some(question) = exchange.ask_about_answer(&mut self.ready) else { return false };
            if stream.ask(&question, PATIENCE) {
                self.asked = Some(AskedAbout::Answer);
            } else {
                self.ready.extend(exchange.hear_about_answer(None));
            }
        }
        true
    }

    pub(crate) fn on_request_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        if self.is_given_up {
            return HeadersStatus::Stop;
        }
        let needs_body = self.exchange.as_ref().is_some_and(Exchange::needs_body);
        if needs_body {
            // The body has ended before the trailers; there is no piece of it any more to put the new one into.
            let schema = ai::provider::facts(&self.config.cluster.provider).schema;
            self.refuse(stream, &Refusal::with_trailers(schema));
            return HeadersStatus::Stop;
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.request_has_passed();
            consulting::ask(exchange.take_consultations());
        }
        HeadersStatus::Continue
    }

    pub(crate) fn on_response_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        let Some(exchange) = self.exchange.as_mut() else { return HeadersStatus::Continue };
        let text =
            |name| stream.header(HeaderMap::Response, name).and_then(|value| std::str::from_utf8(value).ok());
        let status = text(":status").and_then(|status| status.parse().ok()).unwrap_or_default();
        let is_encoded = text("content-encoding").is_some_and(|encoding| encoding != "identity");
        let content_type = text("content-type").unwrap_or_default().to_owned();
        self.status = Some(status);
        self.config.eject(stream, exchange.facts().name, status);
        if !(200..300).contains(&status) {
            exchange.redact(credentials(stream, &self.config.cluster.credentials));
        }
        self.passage = exchange.answer_begins(status, &content_type, is_encoded);
        if end {
            self.passage = Passage::AsItIs;
            self.is_whole = true;
        }
        match self.passage {
            Passage::AsItIs => {}
            Passage::Changed => stream.remove_header(HeaderMap::Response, "content-length"),
            Passage::Replaced => {
                stream.remove_header(HeaderMap::Response, "content-length");
                stream.remove_header(HeaderMap::Response, "content-encoding");
                stream.set_header(HeaderMap::Response, "content-type", b"application/json");
            }
            Passage::Translated(content_type) => {
                stream.remove_header(HeaderMap::Response, "content-length");
                stream.set_header(HeaderMap::Response, "content-type", content_type.as_bytes());
                let lost = exchange.outcome().lost;
                if !lost.is_empty() {
                    stream.set_header(HeaderMap::Response, LOST_HEADER, header_list(&lost).as_bytes());
                }
            }
        }
        self.holds_for_cost = !end && status < 400 && exchange.tells_cost();
        let is_held = !end && (self.holds_for_cost || exchange.holds_answer());
        if !end && status < 400 && (exchange.is_stream() || self.told.counts_money()) {
            self.tell_progress(stream);
        } else {
            tell_error(stream, &self.ending());
        }
        if is_held { HeadersStatus::Stop } else { HeadersStatus::Continue }
    }

    pub(crate) fn on_response_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        let Some(exchange) = self.exchange.as_mut() else { return BodyStatus::Continue };
        self.first_piece.get_or_insert_with(|| self.began.elapsed());
        let is_changed = self.passage != Passage::AsItIs || self.holds_for_cost;
        stream.body(Body::Response, |piece| {
            if let Some(mut bytes) = exchange.answer_piece(piece) {
                self.ready.append(&mut bytes);
            } else if self.holds_for_cost {
                self.ready.extend_from_slice(piece);
            }
        });
        if end {
            self.is_whole = true;
            let mut rest = exchange.answer_ends();
            if is_changed {
                self.ready.append(&mut rest);
            }
        }
        consulting::ask(exchange.take_consultations());
        if is_changed {
            let is_asking = self.ask_about_answer(stream);
            self.holds_for_cost &= self.ready.len() <= MAX_HELD_ANSWER;
            let is_waiting = is_asking || (self.holds_for_cost && !end);
            let ready = if is_waiting { Vec::new() } else { std::mem::take(&mut self.ready) };
            stream.replace_body(Body::Response, &ready);
            if is_waiting {
                return BodyStatus::Stop;
            }
        }
        if !end && self.exchange.as_ref().is_some_and(Exchange::holds_answer) {
            return BodyStatus::Stop;
        }
        self.after_piece(stream);
        BodyStatus::Continue
    }

    /// A piece of the answer goes on, perhaps the last one.
    fn after_piece(&mut self, stream: &mut Stream) {
        let Some(exchange) = self.exchange.as_mut() else { return };
        let end = self.is_whole;
        if let Some((status, content_type)) = exchange.replaced() {
            stream.set_header(HeaderMap::Response, ":status", status.to_string().as_bytes());
            stream.set_header(HeaderMap::Response, "content-type", content_type.as_bytes());
            stream.remove_header(HeaderMap::Response, "content-encoding");
            self.status = Some(status);
        }
        let is_news = !end && !self.is_usage_told && exchange.is_stream() && exchange.usage().is_some();
        // Where nobody counts them, they are told at the end.
        let more = self.tokens_told.filter(|_| !end).and_then(|told| {
            let tokens = exchange.tokens();
            (tokens != told).then_some(tokens)
        });
        if end {
            self.tell_cost(stream);
            self.settle(Some(stream));
        }
        if is_news {
            self.is_usage_told = true;
            self.tell_progress(stream);
        } else if let Some(tokens) = more {
            self.tokens_told = Some(tokens);
            if let Some(exchange) = &self.exchange {
                self.told.spend_so_far(exchange, tokens);
            }
            if self.is_limited {
                Told::tell_tokens(stream, tokens);
            }
        }
    }

    /// Tells the client what the answer costs, whose head has waited for it.
    fn tell_cost(&mut self, stream: &mut Stream) {
        if !std::mem::take(&mut self.holds_for_cost) {
            return;
        }
        let prices = prices::shared();
        let cost = self.exchange.as_ref().and_then(|exchange| exchange.cost(&exchange.outcome(), &prices));
        if let Some(Cost::Known { amount, .. }) = cost {
            stream.set_header(HeaderMap::Response, COST_HEADER, amount.to_string().as_bytes());
        }
    }

    pub(crate) fn on_response_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        if let Some(exchange) = self.exchange.as_mut() {
            let mut rest = exchange.answer_ends();
            consulting::ask(exchange.take_consultations());
            self.is_whole = true;
            if exchange.has_open_question() {
                self.ready.append(&mut rest);
                if self.ask_about_answer(stream) {
                    return HeadersStatus::Stop;
                }
            } else if self.holds_for_cost {
                self.ready.append(&mut rest);
            }
        }
        self.is_whole = true;
        if self.holds_for_cost {
            self.tell_cost(stream);
            let ready = std::mem::take(&mut self.ready);
            stream.append_body(Body::StoppedResponse, &ready);
        }
        self.settle(Some(stream));
        HeadersStatus::Continue
    }

    /// The filter ends. Envoy does not tell a filter of a cluster that its stream is complete when the attempt was given
    /// up: for the next one, or since the client has left.
    pub(crate) fn on_destroy(&mut self) {
        self.settle(None);
    }

    pub(crate) fn on_stream_complete(&mut self, stream: &mut Stream) {
        self.settle(Some(stream));
    }

    /// Counts what the attempt has cost, once, whatever ended it.
    fn settle(&mut self, stream: Option<&mut Stream>) {
        let Some(exchange) = self.exchange.as_ref().filter(|_| !self.is_settled) else { return };
        self.is_settled = true;
        let (outcome, facts) = (exchange.outcome(), *exchange.facts());
        let prices = prices::shared();
        let cost = exchange.cost(&outcome, &prices);
        let attempt = Attempt {
            facts: &facts,
            operation: exchange.operation().otel_name(),
            outcome: &outcome,
            cost,
            ending: self.ending(),
            duration: self.began.elapsed(),
            first_piece: self.first_piece,
            labels: &self.labels,
        };
        self.config.metrics.settle(stream.as_deref(), &attempt);
        let findings = exchange.findings();
        let shadow_request = findings.shadow_request.filter(|_| !self.is_shadow_told);
        let findings = [
            ("response", "response_guard", findings.response),
            ("request_shadow", "request_guard_shadow", shadow_request),
            ("response_shadow", "response_guard_shadow", findings.shadow_response),
        ];
        let findings = findings.map(|(phase, name, finding)| {
            if let Some(finding) = &finding {
                self.config.metrics.guard(stream.as_deref(), phase, finding.verdict);
            }
            (name, finding)
        });
        if let Some(stream) = stream {
            self.tell(stream, &outcome, cost);
            for (name, finding) in findings {
                if let Some(finding) = finding {
                    tell_finding(stream, name, &finding);
                }
            }
        }
    }

    /// How it ends, if it ends now.
    fn ending(&self) -> Ending {
        match self.status {
            None => Ending::NoAnswer,
            Some(status) if status >= 400 => Ending::Error(status),
            Some(_) if !self.is_whole => Ending::Cut,
            Some(_) => Ending::Whole,
        }
    }

    fn tell_progress(&mut self, stream: &mut Stream) {
        let Some(exchange) = &self.exchange else { return };
        let (outcome, prices) = (exchange.outcome(), prices::shared());
        let cost = exchange.cost(&outcome, &prices);
        self.tell(stream, &outcome, cost);
    }

    /// Writes into the dynamic metadata what the attempt has come to if it ends now. More than once: when the provider
    /// breaks off, or the client leaves, Envoy writes the access log and ends the span before this filter hears of it.
    fn tell(&mut self, stream: &mut Stream, outcome: &Outcome, cost: Option<Cost<'_>>) {
        let Some(exchange) = &self.exchange else { return };
        let ending = self.ending();
        self.told.tell(stream, &self.config.cluster.backend, exchange, outcome, cost, &ending);
    }
}

/// Paths in one header value, as many as fit. They hold names that the client has chosen.
fn header_list(paths: &[String]) -> String {
    let is_plain = |path: &&String| path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let mut list = String::new();
    for path in paths.iter().filter(is_plain) {
        if list.len() + path.len() + 2 > MAX_LOST {
            list.push_str(", ...");
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(path);
    }
    list
}

/// Brings the head of the request into the form that it had before the first attempt.
fn restore(stream: &mut Stream) {
    let Some(original) = stream.state(ORIGINAL_KEY).map(<[u8]>::to_vec) else {
        // One line for each header: its value, or nothing at all if it is not there. No value holds a line feed.
        let mut original = Vec::with_capacity(512);
        let headers = stream.headers(HeaderMap::Request);
        for name in RESTORED {
            if let Some(value) = headers.get(name) {
                original.push(b'=');
                original.extend_from_slice(value);
            }
            original.push(b'\n');
        }
        stream.set_state(ORIGINAL_KEY, &original);
        return;
    };
    for (name, line) in RESTORED.into_iter().zip(original.split(|byte| *byte == b'\n')) {
        match line.split_first() {
            Some((_, value)) => stream.set_header(HeaderMap::Request, name, value),
            None => stream.remove_header(HeaderMap::Request, name),
        }
    }
}

/// The credentials that the request went out with. Envoy adds them behind this filter, to the same headers.
fn credentials<'a>(stream: &'a Stream, headers: &'a [CredentialHeader]) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter_map(|CredentialHeader { name, prefix }| {
        let value = stream.header(HeaderMap::Request, name)?;
        Some(value.strip_prefix(prefix.as_bytes()).unwrap_or(value))
    })
}

/// Puts the client's own credential where the provider looks for it. A client that knows the provider has done so
/// itself.
fn pass_credential(stream: &mut Stream, header: &CredentialHeader) {
    if header.name == "authorization" || stream.header(HeaderMap::Request, &header.name).is_some() {
        return;
    }
    let Some(value) = stream.header(HeaderMap::Request, "authorization") else { return };
    let bare = match value.split_at_checked(BEARER.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(BEARER) => token.trim_ascii(),
        _ => value,
    };
    let value = [header.prefix.as_bytes(), bare].concat();
    stream.set_header(HeaderMap::Request, &header.name, &value);
    stream.remove_header(HeaderMap::Request, "authorization");
}
