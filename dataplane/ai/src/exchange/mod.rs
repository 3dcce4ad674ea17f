//! One attempt at one provider: what its request becomes, what passes back, and what it has cost.
//!
//! The module calls, in this order: [`Exchange::begin`] with the head of the request; [`Exchange::request`] with the
//! whole body if [`Exchange::needs_body`], else [`Exchange::request_passes`] with its pieces and
//! [`Exchange::request_has_passed`] at its end; [`Exchange::hear`] with the
//! answer of a server that [`Step::Ask`] is about; [`Exchange::head`] for what the request's head becomes; then the methods
//! of the answer, after each piece [`Exchange::ask_about_answer`]; and [`Exchange::outcome`] whenever it ends.

mod answer;
mod asking;
#[cfg(test)]
mod cost_tests;
mod edits;
mod enrich;
mod events;
mod fallback;
mod guarding;
mod policy;
mod redaction;
mod refusal;
mod shadow;
#[cfg(test)]
mod tests;
mod tokens;
mod translation;

use std::sync::Arc;

use ai_config::{ClusterConfig, Provider, Schema};

pub use answer::Passage;
pub use asking::Step;
pub use guarding::Findings;
pub use policy::Policy;
pub use refusal::Refusal;
pub use shadow::Consultation;

pub use crate::guard::hooks::{Question, Reply};
use crate::guard::{Finding, Framing};
use crate::json::{Capture, Edit, Object};
use crate::operation::Operation;
use crate::prices::{Cost, Prices, Sale, Spent};
use crate::provider::{self, Facts, ModelIn, PathInput};
use crate::usage::Usage;
use answer::Answer;
use asking::Asking;
use fallback::Fallback;
use guarding::Guarding;
use redaction::Redaction;
use shadow::Shadow;
use tokens::Untold;
use translation::{Spoken, Translation};

/// The head of a request as the client sent it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a str,
    /// `:path`, with its query.
    pub path: &'a str,
    /// Whether there is a body.
    pub has_body: bool,
    /// Whether there is a header `anthropic-version`, which only clients of Anthropic send.
    pub has_anthropic_version: bool,
    /// Whether the body has a content encoding.
    pub is_encoded: bool,
    /// Whether the connection is to change its protocol (a WebSocket).
    pub is_upgrade: bool,
    /// The time in seconds since 1970.
    pub now: u64,
    /// The cheaper models, one of which it is to be, as JSON text; absent: it may ask for what it wants.
    pub fallback: Option<&'a [u8]>,
}

/// What the head of a request to the provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `:path`, with its query.
    pub path: String,
}

/// What an attempt has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The model that was asked for: the Backend's own, or else what the client called it.
    pub model: String,
    /// The model that answered, if it said so.
    pub provider_model: Option<String>,
    /// Whether the answer was a stream.
    pub streaming: bool,
    /// Why the choices of the answer have ended, as far as the provider has said so, in the words of
    /// [`finish_reason`](crate::protocol::finish_reason).
    pub finish_reasons: Vec<&'static str>,
    /// What it has cost, as far as the provider has said so.
    pub usage: Option<Usage>,
    /// How many tokens it has come to, those that the provider has not told among them.
    pub tokens: u64,
    /// The tokens that it is billed for, if it is known for how many.
    pub spent: Option<Spent>,
    /// The model that the provider was asked for, which the client may have called otherwise.
    pub sent_model: Option<String>,
    /// Fields of the request, as paths, that the provider's protocol has no place for.
    pub lost: Vec<String>,
}

/// One attempt.
#[derive(Debug)]
pub struct Exchange {
    cluster: Arc<ClusterConfig>,
    policy: Arc<Policy>,
    facts: Facts,
    operation: Operation,
    query: String,
    is_post: bool,
    has_body: bool,
    /// The model that the provider gets, as soon as it is known.
    model: Option<String>,
    /// The client's name of the model, where the route has another one for it.
    alias: Option<String>,
    /// Set where a cheaper model is to be asked for.
    fallback: Option<Fallback>,
    /// Whether a stream is asked for.
    streaming: bool,
    /// Whether the client must not see the event with the usage, since it did not ask for it.
    hides_usage: bool,
    /// What the client speaks, as far as the head tells.
    spoken: Spoken,
    is_anthropic: bool,
    now: u64,
    /// Set where the client speaks another protocol than the provider.
    translation: Option<Translation>,
    /// Watches a request that passes in pieces.
    request: Option<Capture>,
    /// Set where the answer is an error that may repeat the gateway's credential.
    redaction: Option<Redaction>,
    answer: Answer,
    /// How long the request's body is, as the client has sent it.
    request_bytes: usize,
    /// What of the answer the provider has not told the tokens of.
    untold: Untold,
    /// What the guard of requests has come to.
    request_finding: Option<Finding>,
    /// Set where the answer is guarded.
    guarding: Option<Guarding>,
    /// Guards that change nothing.
    shadow: Shadow,
    /// Servers that are asked.
    asking: Asking,
    /// How an answer that is guarded is cut into events, if it is a stream.
    framing: Option<Framing>,
}

impl Exchange {
    /// Begins an attempt.
    ///
    /// # Errors
    /// The request cannot be sent to this provider.
    pub fn begin(
        cluster: Arc<ClusterConfig>,
        policy: Arc<Policy>,
        head: &RequestHead<'_>,
    ) -> Result<Self, Refusal> {
        let (path, query) = head.path.split_once('?').unwrap_or((head.path, ""));
        let operation = Operation::of(path);
        let facts = provider::facts(&cluster.provider);
        let is_post = head.method == "POST" && head.has_body;
        let named = match &operation {
            Operation::ModelMethod { model, .. } | Operation::BedrockModel { model, .. } => {
                Some(model.clone())
            }
            _ => None,
        };
        let asks_for_stream = match &operation {
            Operation::ModelMethod { method, .. } => method == "streamGenerateContent",
            Operation::BedrockModel { method, .. } => method == "converse-stream",
            _ => false,
        };
        let forces = policy.translation.is_some_and(|translation| translation.always);
        let spoken = translation::spoken(&operation, &cluster.provider, facts.schema, forces);
        let mut fallback = Fallback::of(head, &facts, &cluster, &operation, spoken)?;
        let cluster = match &mut fallback {
            Some(fallback) => fallback.applied(cluster, &facts)?,
            None => cluster,
        };
        let own = match &cluster.provider {
            Provider::AzureOpenAi { deployment, .. } => Some(deployment.clone()),
            _ => cluster.model.clone(),
        };
        let mut exchange = Self {
            facts,
            query: provider::without_credentials(query),
            is_post,
            has_body: head.has_body,
            model: own,
            alias: None,
            fallback,
            streaming: asks_for_stream || (policy.streaming && operation.is_chat()),
            hides_usage: false,
            spoken,
            is_anthropic: head.has_anthropic_version,
            now: head.now,
            translation: None,
            request: None,
            redaction: None,
            answer: Answer::default(),
            request_bytes: 0,
            untold: Untold::default(),
            request_finding: None,
            guarding: None,
            shadow: Shadow::default(),
            asking: Asking::default(),
            framing: None,
            operation,
            cluster,
            policy,
        };
        if let Some(named) = named {
            exchange.name_model(named);
        }
        exchange.check_model()?;
        exchange.check_guardable(head.is_encoded, head.is_upgrade)?;
        if head.is_encoded || head.is_upgrade {
            exchange.shadow_cannot_read();
        }
        Ok(exchange)
    }

    /// Takes note of the model that the client names, which counts unless the Backend names one.
    fn name_model(&mut self, named: String) {
        if self.model.is_some() {
            return;
        }
        self.model = match self.policy.model_aliases.get(&named) {
            Some(model) => {
                self.alias = Some(named.clone());
                Some(model.clone())
            }
            None => Some(named.clone()),
        };
        self.take_cheaper(&named);
    }

    /// The model that stands in the body, if the client's is replaced.
    fn model_of_body(&self) -> Option<&str> {
        let own = self.cluster.model.as_deref();
        let is_other = self.alias.is_some() || self.fallback.is_some();
        let other = self.model.as_deref().filter(|_| is_other);
        own.or(other).filter(|_| self.facts.model_in == ModelIn::Body)
    }

    /// The paths of some providers hold a model.
    fn check_model(&self) -> Result<(), Refusal> {
        let is_missing = self.model.is_none()
            && self.facts.model_in == ModelIn::Path
            && self.operation.is_chat()
            && self.spoken == Spoken::Native;
        match is_missing {
            true => Err(Refusal::bad_request(
                self.facts.schema,
                "model",
                "neither the request nor the Backend names a model",
            )),
            false => Ok(()),
        }
    }

    /// Whether an answer that is no stream tells what it costs, in a header: then nothing of it may go on before its end.
    pub fn tells_cost(&self) -> bool {
        self.policy.cost_header && !self.is_stream()
    }

    /// What the attempt costs so far; `None` if it is billed for nothing, or nobody knows for what.
    pub fn cost<'a>(&self, outcome: &Outcome, prices: &'a Prices) -> Option<Cost<'a>> {
        let spent = outcome.spent?;
        let sale = Sale {
            backend: &self.cluster.backend,
            provider: self.facts.name,
            answered: outcome.provider_model.as_deref(),
            asked: outcome.sent_model.as_deref(),
            now: i64::try_from(self.now).unwrap_or(i64::MAX),
        };
        Some(prices.cost(&sale, &spent))
    }

    /// The facts about the provider.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What the client asks for.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Whether the whole body is needed before the request can go on.
    pub fn needs_body(&self) -> bool {
        if self.guards_request() {
            return self.has_body;
        }
        self.edits_body()
    }

    /// Whether the body may be changed for the provider.
    fn edits_body(&self) -> bool {
        if !self.is_post || !self.operation.is_chat() {
            return false;
        }
        // Its protocol, or what it is in the provider's.
        if self.spoken != Spoken::Native || self.fallback.is_some() {
            return true;
        }
        let edits_model = self.facts.model_in == ModelIn::Body
            && (self.cluster.model.is_some() || !self.policy.model_aliases.is_empty());
        // Whether the client wants a stream, and whether it asks for its usage.
        self.has_edits() || edits_model || (self.facts.schema == Schema::OpenAi) || self.sets_stream()
    }

    /// Whether policy or Backend have something to say about the body.
    fn has_edits(&self) -> bool {
        !self.policy.defaults.is_empty() || !self.cluster.defaults.is_empty() || self.has_messages()
    }

    /// Whether a body that was translated may still change: it has the Backend's model already.
    fn edits_translation(&self) -> bool {
        self.has_edits()
            || self.alias.is_some()
            || self.fallback.is_some()
            || self.streaming
            || self.sets_stream()
    }

    /// Whether the body has to say that a stream is wanted.
    fn sets_stream(&self) -> bool {
        self.policy.streaming && matches!(self.facts.schema, Schema::OpenAi | Schema::Anthropic)
    }

    fn has_messages(&self) -> bool {
        !self.policy.prepend.is_empty() || !self.policy.append.is_empty()
    }

    /// Looks at a piece of a request that passes as it is.
    fn watch_request(&mut self, piece: &[u8]) {
        self.request_bytes = self.request_bytes.saturating_add(piece.len());
        if self.is_post && self.model.is_none() && self.facts.model_in == ModelIn::Body {
            self.request.get_or_insert_with(|| Capture::new(&["model"])).push(piece);
        }
    }

    /// What the body becomes for the provider.
    fn edit_request(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let schema = self.facts.schema;
        let object = Object::parse(body)
            .map_err(|error| Refusal::bad_request(schema, "", &format!("the request body {error}")))?;
        let Some(translated) = self.translate(body, &object)? else {
            self.streaming |= object.is_true("stream");
            if let Some(named) = object.string("model") {
                self.name_model(named);
            }
            if self.facts.model_in == ModelIn::Path && self.model.is_none() {
                let message = "neither the request nor the Backend names a model";
                return Err(Refusal::bad_request(schema, "model", message));
            }
            self.check_cheaper()?;
            let edits = self.edits(&object)?;
            return Ok(edited(&object, &edits));
        };
        self.check_cheaper()?;
        if !self.edits_translation() {
            return Ok(Some(translated));
        }
        // Policies are about what the provider gets.
        let object = Object::parse(&translated)
            .map_err(|error| Refusal::misconfigured(schema, &format!("the translated request {error}")))?;
        let edits = self.edits(&object)?;
        Ok(Some(edited(&object, &edits).unwrap_or(translated)))
    }

    /// What the head of the request becomes.
    pub fn head(&self) -> Head {
        let input = PathInput {
            operation: &self.operation,
            query: &self.query,
            model: self.model.as_deref().unwrap_or_default(),
            streaming: self.streaming,
        };
        Head { path: provider::path(&self.cluster.provider, self.cluster.path.as_ref(), &input) }
    }

    /// Whether the answer is a stream.
    pub fn is_stream(&self) -> bool {
        match &self.translation {
            Some(translation) => translation.is_stream(),
            None => self.answer.is_stream(),
        }
    }

    /// The tokens that the provider has told so far.
    pub fn usage(&self) -> Option<Usage> {
        match &self.translation {
            Some(translation) => translation.usage(),
            None => self.answer.usage(),
        }
    }

    /// What it has come to so far.
    pub fn outcome(&self) -> Outcome {
        let text = |json: &[u8]| serde_json::from_slice::<String>(json).ok();
        let watched = self.request.as_ref().and_then(|request| request.get("model")).and_then(text);
        let (provider_model, finish_reasons) = match &self.translation {
            Some(translation) => (translation.model(), translation.finish_reasons()),
            None => (self.answer.model(), self.answer.finish_reasons(self.facts.schema)),
        };
        let sent_model = self.model.clone().or(watched);
        let usage = self.usage();
        let spent = self.spent(usage);
        Outcome {
            model: self.alias.clone().or_else(|| sent_model.clone()).unwrap_or_default(),
            sent_model,
            provider_model,
            streaming: self.is_stream(),
            finish_reasons,
            usage,
            tokens: spent.map_or(0, |spent| spent.usage.total()),
            spent,
            lost: self.translation.as_ref().map(|translation| translation.lost.clone()).unwrap_or_default(),
        }
    }
}

/// The text with the edits; `None` if it says all of them already.
fn edited(object: &Object<'_>, edits: &[Edit]) -> Option<Vec<u8>> {
    edits.iter().any(|edit| !object.holds(edit)).then(|| object.with(edits))
}
