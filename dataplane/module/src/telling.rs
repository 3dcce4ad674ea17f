//! What an attempt has come to, in the dynamic metadata of its stream: for access logs, spans and rate limits.

use std::sync::Arc;

use ai::exchange::{Exchange, Outcome};
use ai::guard::Finding;
use ai::keys::{MAX_MICROS, Reservation};
use ai::metadata::Metadata;
use ai::prices::{self as pricing, Cost, Source};

use crate::abi::Stream;
use crate::metrics::Ending;
use crate::prices;
use crate::spending::Spending;

/// The namespace (the name that users of kgateway's AI gateway know).
const RESULT_NAMESPACE: &str = "ai.kgateway.io";

/// There, how many tokens count for limits.
const TOKENS_KEY: &str = "rate_limited_tokens";

/// There, what budgets of money are charged, in millionths of a US dollar.
const CHARGED_KEY: &str = "charged_micros";

/// What an attempt has written into the dynamic metadata. It is written several times, and each value that Envoy merges costs
/// about as much as to find out that it is there already for all of them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    written: Metadata,
    /// Set where the request is counted in budgets.
    spending: Option<Arc<Spending>>,
}

impl Told {
    /// Nothing yet, of a new attempt.
    pub(crate) fn of(stream: &Stream) -> Self {
        Self { written: Metadata::default(), spending: Spending::of(stream) }
    }

    /// Whether the request is counted in budgets.
    pub(crate) fn is_spending(&self) -> bool {
        self.spending.is_some()
    }

    /// Whether a budget counts what the request costs.
    pub(crate) fn counts_money(&self) -> bool {
        self.spending.as_ref().is_some_and(|spending| spending.counts_money())
    }

    /// Tells what the attempt has come to if it ends now.
    pub(crate) fn tell(
        &mut self,
        stream: &mut Stream,
        backend: &str,
        exchange: &Exchange,
        outcome: &Outcome,
        cost: Option<Cost<'_>>,
        ending: &Ending,
    ) {
        let (facts, operation) = (exchange.facts(), exchange.operation().otel_name());
        let mut result = result(backend, facts.name, outcome);
        // For spans, by the names of OpenTelemetry.
        result.text("operation", operation);
        result.text("span_name", format!("{operation} {}", outcome.model).trim_end());
        result.text("provider_name", facts.otel_name);
        if let Some(cost) = cost {
            add_cost(&mut result, &cost);
        }
        let mut news = result.without(&self.written);
        // These are told alone as well.
        news.number(TOKENS_KEY, outcome.tokens);
        if let Some(charged) = self.spend(exchange, outcome.tokens, cost) {
            news.number(CHARGED_KEY, charged);
        }
        add_error(&mut news, ending);
        stream.set_metadata(RESULT_NAMESPACE, &news);
        self.written = result;
    }

    /// Tells how many tokens limits count so far.
    pub(crate) fn tell_tokens(stream: &mut Stream, tokens: u64) {
        let mut result = Metadata::new();
        result.number(TOKENS_KEY, tokens);
        stream.set_metadata(RESULT_NAMESPACE, &result);
    }

    /// Counts for budgets what the attempt comes to if it ends now.
    pub(crate) fn spend_so_far(&self, exchange: &Exchange, tokens: u64) {
        let prices = prices::shared();
        let cost = self.counts_money().then(|| exchange.cost(&exchange.outcome(), &prices)).flatten();
        self.spend(exchange, tokens, cost);
    }

    /// Counts for budgets what the attempt comes to if it ends now. Gives what budgets of money are charged: of what has no known price, what
    /// was reserved.
    fn spend(&self, exchange: &Exchange, tokens: u64, cost: Option<Cost<'_>>) -> Option<u64> {
        let spending = self.spending.as_deref()?;
        let micros = spending.counts_money().then(|| match cost {
            Some(Cost::Known { amount, .. }) => amount.micros_rounded_up().min(MAX_MICROS),
            Some(Cost::Unknown) => spending.reserved_micros(),
            None if exchange.is_billed_unknown() => spending.reserved_micros(),
            None => 0,
        });
        spending.spend(Reservation { tokens, micros: micros.unwrap_or_default() });
        micros
    }
}

/// Tells how an attempt ends, if it ends now.
pub(crate) fn tell_error(stream: &mut Stream, ending: &Ending) {
    let mut result = Metadata::new();
    add_error(&mut result, ending);
    stream.set_metadata(RESULT_NAMESPACE, &result);
}

/// Tells what a guard has come to.
pub(crate) fn tell_finding(stream: &mut Stream, name: &str, finding: &Finding) {
    let mut result = Metadata::new();
    result.text(name, finding.verdict.name());
    let names: Vec<&str> = finding.names.iter().map(String::as_str).collect();
    result.texts(&format!("{name}_found"), &names);
    stream.set_metadata(RESULT_NAMESPACE, &result);
}

fn add_error(result: &mut Metadata, ending: &Ending) {
    match ending.error_type() {
        Some(error) => result.text("error_type", &error),
        // Another one may have been told before.
        None => result.null("error_type"),
    }
}

/// Tells what an attempt costs, if that is known, and otherwise that it is not.
fn add_cost(result: &mut Metadata, cost: &Cost<'_>) {
    match cost {
        Cost::Known { amount, source, is_estimated } => {
            result.text("cost", &amount.to_string());
            result.truth("cost_estimated", *is_estimated);
            match source {
                Source::List(name) => result.text("price", &format!("PriceList {name}")),
                Source::Public => result.text("price", &format!("public {}", pricing::date())),
            }
        }
        // Another price may have been told before.
        Cost::Unknown => ["cost", "cost_estimated", "price"].into_iter().for_each(|name| result.null(name)),
    }
    result.truth("unpriced", *cost == Cost::Unknown);
}

/// What an attempt has come to, for access logs and rate limits.
fn result(backend: &str, provider: &str, outcome: &Outcome) -> Metadata {
    let mut result = Metadata::new();
    result.text("provider", provider);
    result.text("model", &outcome.model);
    result.text("backend", backend);
    result.truth("streaming", outcome.streaming);
    if let Some(model) = &outcome.provider_model {
        result.text("provider_model", model);
    }
    if !outcome.finish_reasons.is_empty() {
        result.texts("finish_reasons", &outcome.finish_reasons);
    }
    if let Some(usage) = &outcome.usage {
        for (key, value) in [
            ("prompt_tokens", usage.prompt),
            ("completion_tokens", usage.completion),
            ("total_tokens", Some(usage.total())),
            ("cached_tokens", usage.cached),
            ("cache_creation_tokens", usage.cache_creation),
            ("reasoning_tokens", usage.reasoning),
        ] {
            if let Some(value) = value {
                result.number(key, value);
            }
        }
    }
    result
}
