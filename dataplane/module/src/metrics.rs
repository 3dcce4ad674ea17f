//! The module's metrics, under the names that users of kgateway's AI gateway script against, and those of
//! OpenTelemetry's conventions for generative AI.
//!
//! An attempt is counted by the filter of its cluster, when it ends, whatever ends it. The metrics of such a filter stand
//! in the scope of the cluster, so that Envoy puts the cluster's name before each. Those of a filter of a listener have no
//! prefix. So attempts are counted by the metrics of a listener's configuration, which shares them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ai::exchange::Outcome;
use ai::guard::Verdict;
use ai::labels::{self, Places};
use ai::prices::{Cost, Micros};
use ai::provider::Facts;
use ai_config::MetricLabel;

use crate::abi::{Counter, Definer, Histogram, Recorder, Scope, Stream};

/// Different models in the labels of all metrics; Envoy keeps every label for ever, and a client may name any model.
const MAX_MODELS: usize = 256;

/// In place of further models, and of models that nobody was served by.
const OTHER_MODELS: &str = "other";

/// The models that stand in labels.
static MODELS: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// The values that stand in labels of users' own.
static PLACES: Mutex<Option<Places>> = Mutex::new(None);

/// What of the costs is not counted yet, since it makes no whole millionth of a dollar.
static MICROS: Mutex<Option<Micros>> = Mutex::new(None);

/// The metrics of each listener's configuration that Envoy has. They are the same metrics under different numbers.
static SHARED: RwLock<Vec<(Scope, Metrics)>> = RwLock::new(Vec::new());

/// The metrics of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// What the counters of tokens have in labels beside `llm` and `model`.
    labels: Arc<[MetricLabel]>,
    prompt: Counter,
    completion: Counter,
    rate_limited: Counter,
    cost: Counter,
    unpriced: Counter,
    ejections: Counter,
    guards: Counter,
    crowded_out: Counter,
    token_usage: Histogram,
    duration: Histogram,
    first_token: Histogram,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The facts about the provider.
    pub facts: &'a Facts,
    /// What was asked for (`gen_ai.operation.name`).
    pub operation: &'static str,
    /// What it has come to.
    pub outcome: &'a Outcome,
    /// What it costs, if it is billed for anything.
    pub cost: Option<Cost<'a>>,
    /// How it has ended.
    pub ending: Ending,
    /// From its beginning to its end.
    pub duration: Duration,
    /// From its beginning to the first piece of the answer's body.
    pub first_piece: Option<Duration>,
    /// The values of labels of users' own.
    pub labels: &'a labels::Values,
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a whole answer.
    Whole,
    /// With an answer of this status, from 400 on.
    Error(u16),
    /// In the middle of an answer: the provider broke off, or the client went away.
    Cut,
    /// Without an answer.
    NoAnswer,
}

impl Ending {
    /// The kind of the error (`error.type` in OpenTelemetry's conventions); `None` if there is none.
    pub(crate) fn error_type(self) -> Option<Cow<'static, str>> {
        match self {
            Self::Whole => None,
            Self::Error(status) => Some(status.to_string().into()),
            Self::Cut => Some("cut".into()),
            Self::NoAnswer => Some("no_answer".into()),
        }
    }
}

impl Metrics {
    /// Defines them, those of tokens with these labels, too; `None` if Envoy refuses.
    pub(crate) fn define(definer: &mut Definer, own: &[MetricLabel]) -> Option<Self> {
        // https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, as Prometheus spells it. Envoy's histograms
        // hold whole numbers, so that times are in milliseconds, and say so.
        let own_names = own.iter().map(|label| label.name.as_str());
        let labels: Vec<_> = ["llm", "model"].into_iter().chain(own_names).collect();
        let gen_ai = [
            "gen_ai_operation_name",
            "gen_ai_provider_name",
            "gen_ai_request_model",
            "gen_ai_response_model",
        ];
        let [operation, provider, request, response] = gen_ai;
        Some(Self {
            labels: own.into(),
            prompt: definer.counter("ai_prompt_tokens_total", &labels)?,
            completion: definer.counter("ai_completion_tokens_total", &labels)?,
            rate_limited: definer.counter("ai_rate_limited_tokens_total", &labels)?,
            cost: definer.counter("ai_cost_micro_usd_total", &labels)?,
            unpriced: definer.counter("ai_unpriced_requests_total", &["llm", "model"])?,
            ejections: definer.counter("ai_ejections_total", &["llm", "cluster"])?,
            guards: definer.counter("ai_guard_verdicts_total", &["phase", "verdict"])?,
            crowded_out: definer.counter("ai_label_values_crowded_out_total", &["label"])?,
            token_usage: definer.histogram(
                "gen_ai_client_token_usage",
                &[operation, provider, request, response, "gen_ai_token_type"],
            )?,
            duration: definer.histogram(
                "gen_ai_server_request_duration_milliseconds",
                &[operation, provider, request, response, "error_type"],
            )?,
            first_token: definer.histogram("gen_ai_server_time_to_first_token_milliseconds", &gen_ai)?,
        })
    }

    /// Counts an attempt: by the metrics that are shared, or, if there are none, by these, as long as there is a stream.
    pub(crate) fn settle(&self, stream: Option<&Stream>, attempt: &Attempt<'_>) {
        // The lock is held until all is counted: so long the configuration stays.
        let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
        match (shared.last(), stream) {
            (Some((scope, metrics)), _) => metrics.count(scope, attempt),
            (None, Some(stream)) => self.count(stream, attempt),
            (None, None) => {}
        }
    }

    /// Counts that a member of a pool is ejected.
    pub(crate) fn eject(&self, stream: &Stream, llm: &str, cluster: &str) {
        self.count_one(Some(stream), |metrics| metrics.ejections, &[llm, cluster]);
    }

    /// Counts what the guard of requests or answers (`phase`) has come to.
    pub(crate) fn guard(&self, stream: Option<&Stream>, phase: &str, verdict: Verdict) {
        self.count_one(stream, |metrics| metrics.guards, &[phase, verdict.name()]);
    }

    /// Adds one to a counter: to that of the metrics that are shared, or, if there are none, of these, as long as there is
    /// a stream.
    fn count_one(&self, stream: Option<&Stream>, counter: impl Fn(&Self) -> Counter, labels: &[&str]) {
        let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
        match (shared.last(), stream) {
            (Some((scope, metrics)), _) => scope.count(counter(metrics), labels, 1),
            (None, Some(stream)) => stream.count(counter(self), labels, 1),
            (None, None) => {}
        }
    }

    fn count(&self, recorder: &impl Recorder, attempt: &Attempt<'_>) {
        let Attempt { facts, operation, outcome, cost, ending, duration, first_piece, labels: values } =
            attempt;
        let is_served = outcome.usage.is_some();
        let model = label(&outcome.model, is_served);
        let answered = outcome.provider_model.as_deref().map_or(model, |model| label(model, is_served));
        if outcome.usage.is_some() || outcome.tokens > 0 {
            let own = self.place(recorder, values, &[facts.name, model]);
            let own = own.iter().map(String::as_str);
            let labels: Vec<_> = [facts.name, model].into_iter().chain(own).collect();
            recorder.count(self.rate_limited, &labels, outcome.tokens);
            match cost {
                Some(Cost::Known { amount, .. }) => {
                    let mut micros = MICROS.lock().unwrap_or_else(PoisonError::into_inner);
                    let more = micros.get_or_insert_default().add(&labels, *amount);
                    drop(micros);
                    recorder.count(self.cost, &labels, more);
                }
                Some(Cost::Unknown) => recorder.count(self.unpriced, &[facts.name, model], 1),
                None => {}
            }
            if let Some(usage) = &outcome.usage {
                let (prompt, completion) =
                    (usage.prompt.unwrap_or_default(), usage.completion.unwrap_or_default());
                recorder.count(self.prompt, &labels, prompt);
                recorder.count(self.completion, &labels, completion);
                for (kind, tokens) in [("input", prompt), ("output", completion)] {
                    let labels = [*operation, facts.otel_name, model, answered, kind];
                    recorder.record(self.token_usage, &labels, tokens);
                }
            }
        }
        let error = ending.error_type().unwrap_or_default();
        let labels = [*operation, facts.otel_name, model, answered, &error];
        recorder.record(self.duration, &labels, milliseconds(*duration));
        if let (Some(first), true, Ending::Whole | Ending::Cut) = (first_piece, outcome.streaming, ending) {
            let labels = [*operation, facts.otel_name, model, answered];
            recorder.record(self.first_token, &labels, milliseconds(*first));
        }
    }

    /// What stands in the labels of users' own. `series` is what stands in the others.
    fn place(&self, recorder: &impl Recorder, values: &labels::Values, series: &[&str]) -> Vec<String> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let placed = places.get_or_insert_default().place(&self.labels, values, series);
        drop(places);
        for label in &placed.crowded_out {
            recorder.count(self.crowded_out, &[label], 1);
        }
        placed.values
    }
}

/// Counts what a guard has come to of which no stream is there any more: by the metrics that are shared, if there are some.
pub(crate) fn count_guard(phase: &str, verdict: Verdict) {
    let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    if let Some((scope, metrics)) = shared.last() {
        scope.count(metrics.guards, &[phase, verdict.name()], 1);
    }
}

/// The values of labels of users' own that a request has.
pub(crate) fn label_values(stream: &Stream) -> labels::Values {
    let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    let labels = shared.last().map(|(_, metrics)| metrics.labels.clone()).unwrap_or_default();
    drop(shared);
    labels::read(&labels, |label| stream.state(&label.state_key()))
}

/// Has attempts counted by the metrics of this configuration.
pub(crate) fn share(scope: Scope, metrics: Metrics) {
    SHARED.write().unwrap_or_else(PoisonError::into_inner).push((scope, metrics));
}

/// Has no attempt counted by the metrics of this configuration any more, once this has returned.
pub(crate) fn end_sharing(scope: Scope) {
    SHARED.write().unwrap_or_else(PoisonError::into_inner).retain(|(shared, _)| *shared != scope);
}

/// The model as a label. Only models that have served a request take up a place.
fn label(model: &str, is_served: bool) -> &str {
    if MODELS.read().unwrap_or_else(PoisonError::into_inner).contains(model) {
        return model;
    }
    if !is_served {
        return OTHER_MODELS;
    }
    let mut models = MODELS.write().unwrap_or_else(PoisonError::into_inner);
    if models.len() >= MAX_MODELS && !models.contains(model) {
        return OTHER_MODELS;
    }
    models.insert(model.to_owned());
    model
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
