//! The module's metrics, under the names that users of kgateway's AI gateway script against, and those of
//! OpenTelemetry's conventions for generative AI.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use ai::exchange::Outcome;
use ai::provider::Facts;

use crate::abi::{Counter, Definer, Stream};

/// Different models in the labels of one configuration's metrics; Envoy keeps every label for ever, and a client may
/// name any model.
const MAX_MODELS: usize = 64;

/// In place of further models.
const OTHER_MODELS: &str = "other";

/// The metrics of one configuration.
#[derive(Debug)]
pub(crate) struct Metrics {
    prompt: Counter,
    completion: Counter,
    rate_limited: Counter,
    models: RwLock<BTreeSet<String>>,
}

impl Metrics {
    /// Defines them; `None` if Envoy refuses.
    pub(crate) fn define(definer: &mut Definer) -> Option<Self> {
        let labels = ["llm", "model"];
        Some(Self {
            prompt: definer.counter("prompt_tokens_total", &labels)?,
            completion: definer.counter("completion_tokens_total", &labels)?,
            rate_limited: definer.counter("rate_limited_tokens_total", &labels)?,
            models: RwLock::default(),
        })
    }

    /// Counts what an attempt has cost.
    pub(crate) fn settle(&self, stream: &mut Stream, facts: &Facts, outcome: &Outcome) {
        let Some(usage) = &outcome.usage else { return };
        let model = self.label(&outcome.model);
        let labels = [facts.name, model];
        stream.count(self.prompt, labels, usage.prompt.unwrap_or_default());
        stream.count(self.completion, labels, usage.completion.unwrap_or_default());
        stream.count(self.rate_limited, labels, usage.total());
    }

    /// The model, if there are not too many already.
    fn label<'a>(&self, model: &'a str) -> &'a str {
        if self.models.read().unwrap_or_else(PoisonError::into_inner).contains(model) {
            return model;
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.contains(model) {
            return model;
        }
        if models.len() >= MAX_MODELS {
            return OTHER_MODELS;
        }
        models.insert(model.to_owned());
        model
    }
}
