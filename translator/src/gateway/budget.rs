//! Budgets: read into what the service that counts is told.

use std::sync::Arc;

use ai::prices::micros;
use ai_config::CheaperModel;
use crds::budget::{
    Budget, BudgetAction, BudgetFallback, BudgetLimit, BudgetSpec, Period, Spenders, Unpriced,
};
use crds::core::ObjectMeta;
use crds::virtual_key::VirtualKey;
use crds::{NamespacedName, ObjectKey};
use jiff::tz::TimeZoneDatabase;
use limit_rule::{Counted, Unit};

use super::view::View;
use crate::resources::has_labels;
use crate::status::{
    BudgetAccounts, BudgetFacts, Condition, ConditionType, Facts, Reason, Rejection, Report,
};

/// A budget as it is applied to a key.
pub(super) struct Applied {
    pub rule: limit_rule::Budget,
    /// Whether no model may be asked for that has no known price.
    pub refuses_unpriced: bool,
}

/// The budgets of a key, by what is wrong with one that cannot be applied.
pub(super) fn of_key(
    view: &impl View,
    key: &NamespacedName,
    metadata: &ObjectMeta,
) -> Vec<Result<Applied, Rejection>> {
    let selected = view.objects_in::<Budget>(&key.namespace).filter(|budget| is_about(budget, metadata));
    let read = |budget: &Arc<Budget>| {
        let applied = read(budget, &key.to_string()).map(|rule| Applied {
            refuses_unpriced: rule.counted == Counted::Money && budget.spec.unpriced != Some(Unpriced::Allow),
            rule,
        });
        applied.map_err(|error| error.within(&format!("Budget {}", NamespacedName::of(&budget.metadata))))
    };
    selected.map(read).collect()
}

/// Whether a budget is about the key with this metadata.
fn is_about(budget: &Budget, key: &ObjectMeta) -> bool {
    let labels = budget.spec.keys.as_ref().map(|keys| &keys.match_labels);
    labels.is_none_or(|wanted| has_labels(key.labels.as_ref(), wanted))
}

/// A budget with this key as a spender.
///
/// # Errors
/// It makes no sense. Without it, its keys may not be used.
fn read(budget: &Budget, key: &str) -> Result<limit_rule::Budget, Rejection> {
    let BudgetSpec { keys: _, limit, per, time_zone, spenders, action, fallback, unpriced } = &budget.spec;
    let (counted, limit) = read_limit(limit)?;
    if unpriced.is_some() && counted != Counted::Money {
        let text = "is for a limit in usd alone";
        return Err(Rejection::at(Reason::Invalid, "spec.unpriced", text));
    }
    let fallback = read_fallback(*action, fallback.as_ref())?;
    let time_zone = time_zone.as_deref().map(read_time_zone).transpose()?;
    let spender = match spenders.unwrap_or(Spenders::Together) {
        Spenders::Together => String::new(),
        Spenders::EachKey => key.to_owned(),
    };
    Ok(limit_rule::Budget {
        name: NamespacedName::of(&budget.metadata).to_string(),
        counted,
        limit,
        per: unit(*per),
        time_zone: time_zone.unwrap_or_default(),
        spender,
        is_audit: *action == Some(BudgetAction::Audit),
        fallback,
    })
}

fn read_limit(limit: &BudgetLimit) -> Result<(Counted, u64), Rejection> {
    let BudgetLimit { requests, tokens, usd } = limit;
    let (counted, field, number) = match (requests, tokens, usd) {
        (Some(requests), None, None) => (Counted::Requests, "requests", *requests),
        (None, Some(tokens), None) => (Counted::Tokens, "tokens", *tokens),
        (None, None, Some(usd)) => {
            let micros =
                micros(usd).map_err(|text| Rejection::at(Reason::Invalid, "spec.limit.usd", text))?;
            return Ok((Counted::Money, micros));
        }
        _ => {
            let text = "exactly one of requests, tokens and usd must be set";
            return Err(Rejection::at(Reason::Invalid, "spec.limit", text));
        }
    };
    let number = u64::try_from(number)
        .map_err(|_| Rejection::at(Reason::Invalid, format!("spec.limit.{field}"), "is below zero"))?;
    Ok((counted, number))
}

/// What the AI engine is told about a request for which nothing is left.
fn read_fallback(
    action: Option<BudgetAction>,
    fallback: Option<&BudgetFallback>,
) -> Result<String, Rejection> {
    let invalid = |text: &str| Err(Rejection::at(Reason::Invalid, "spec.fallback", text));
    match (action == Some(BudgetAction::Fallback), fallback) {
        (false, None) => Ok(String::new()),
        (false, Some(_)) => invalid("is for the action Fallback alone"),
        (true, None) => invalid("must be set with the action Fallback"),
        (true, Some(fallback)) if fallback.models.is_empty() => invalid("has no models"),
        (true, Some(fallback)) => {
            let model = |model: &crds::budget::CheaperModel| CheaperModel {
                from: model.from.clone().unwrap_or_else(|| "*".to_owned()),
                to: model.to.clone(),
            };
            let models: Vec<_> = fallback.models.iter().map(model).collect();
            Ok(serde_json::to_string(&models).unwrap_or_default())
        }
    }
}

/// The name of a time zone. The database is a part of the program: every replica knows the same ones.
fn read_time_zone(name: &str) -> Result<String, Rejection> {
    TimeZoneDatabase::bundled().get(name).map(|_| name.to_owned()).map_err(|_| {
        let text = format!("{name:?} is no time zone of the IANA database, such as Europe/Berlin");
        Rejection::at(Reason::Invalid, "spec.timeZone", text)
    })
}

fn unit(period: Period) -> Unit {
    match period {
        Period::Second => Unit::Second,
        Period::Minute => Unit::Minute,
        Period::Hour => Unit::Hour,
        Period::Day => Unit::Day,
        Period::Week => Unit::Week,
        Period::Month => Unit::Month,
        Period::Year => Unit::Year,
    }
}

/// What to tell about a Budget.
pub(crate) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let budget = view.object::<Budget>(key)?;
    let read = read(budget, "");
    let condition = match &read {
        Ok(_) => Condition::good(ConditionType::Accepted, Reason::Accepted, "the budget can be applied"),
        Err(rejection) => Condition::rejected(ConditionType::Accepted, rejection),
    };
    let spenders = || (budget.spec.spenders == Some(Spenders::EachKey)).then(|| spenders(view, budget));
    let accounts = read.ok().map(|read| Arc::new(BudgetAccounts { budget: read, spenders: spenders() }));
    Some(Report {
        object: ObjectKey::of::<Budget>(key.clone()).to_ref(),
        generation: budget.metadata.generation.unwrap_or_default(),
        facts: Facts::Budget(BudgetFacts { conditions: vec![condition], accounts, spend: None }),
    })
}

/// The keys that a budget is about, as accounts name them.
fn spenders(view: &impl View, budget: &Budget) -> Vec<String> {
    let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
    let keys = view.objects_in::<VirtualKey>(namespace).filter(|key| is_about(budget, &key.metadata));
    keys.map(|key| NamespacedName::of(&key.metadata).to_string()).collect()
}
