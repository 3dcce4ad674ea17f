//! Budgets: read into what the service that counts is told.

use std::sync::Arc;

use ai::prices::micros;
use ai_config::CheaperModel;
use crds::budget::{
    Budget, BudgetAction, BudgetFallback, BudgetLimit, BudgetSpec, ClaimSelector, Period, Spenders, Unpriced,
};
use crds::core::ObjectMeta;
use crds::virtual_key::VirtualKey;
use crds::{NamespacedName, ObjectKey};
use jiff::tz::TimeZoneDatabase;
use limit_rule::{Counted, Unit};

use super::claim;
use super::view::View;
use crate::resources::has_labels;
use crate::status::{
    BudgetAccounts, BudgetFacts, BudgetSpenders, Condition, ConditionType, Facts, Reason, Rejection, Report,
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
        let applied = read(budget, &key.to_string())
            .map(|rule| Applied { refuses_unpriced: refuses_unpriced(budget, &rule), rule });
        applied.map_err(|error| error.within(&format!("Budget {}", NamespacedName::of(&budget.metadata))))
    };
    selected.map(read).collect()
}

/// Whether a budget is about the key with this metadata.
fn is_about(budget: &Budget, key: &ObjectMeta) -> bool {
    match (&budget.spec.keys, &budget.spec.claims) {
        (Some(keys), _) => has_labels(key.labels.as_ref(), &keys.match_labels),
        (None, claims) => claims.is_none(),
    }
}

/// Whether a request that it counts may ask for no model without a known price.
pub(super) fn refuses_unpriced(budget: &Budget, rule: &limit_rule::Budget) -> bool {
    rule.counted == Counted::Money && budget.spec.unpriced != Some(Unpriced::Allow)
}

/// A budget with this key as a spender. Of one over claims, requests name the spender.
///
/// # Errors
/// It makes no sense. Without it, its keys and tokens may not be used.
pub(super) fn read(budget: &Budget, key: &str) -> Result<limit_rule::Budget, Rejection> {
    let BudgetSpec { keys, claims, limit, per, time_zone, spenders, action, fallback, unpriced } =
        &budget.spec;
    let spenders = spenders.unwrap_or(Spenders::Together);
    if let Some(claims) = claims {
        claim::check(claims, keys.is_some())?;
    }
    check_spenders(claims.as_ref(), spenders)?;
    let (counted, limit) = read_limit(limit)?;
    if unpriced.is_some() && counted != Counted::Money {
        let text = "is for a limit in usd alone";
        return Err(Rejection::at(Reason::Invalid, "spec.unpriced", text));
    }
    let fallback = read_fallback(*action, fallback.as_ref())?;
    let time_zone = time_zone.as_deref().map(read_time_zone).transpose()?;
    let spender = match spenders {
        Spenders::Together | Spenders::EachClaim => String::new(),
        Spenders::EachKey => key.to_owned(),
    };
    Ok(limit_rule::Budget {
        name: NamespacedName::of(&budget.metadata).to_string(),
        counted,
        limit,
        per: unit(*per),
        time_zone: time_zone.unwrap_or_default(),
        spender,
        is_listed: spenders == Spenders::EachClaim,
        is_audit: *action == Some(BudgetAction::Audit),
        fallback,
    })
}

/// Who spends must be known by what the budget is about.
fn check_spenders(claims: Option<&ClaimSelector>, spenders: Spenders) -> Result<(), Rejection> {
    let invalid = |field, text| Err(Rejection::at(Reason::Invalid, field, text));
    let each = claims.and_then(|claims| claims.each.as_ref());
    match (claims, spenders) {
        (Some(_), Spenders::EachKey) => invalid("spec.spenders", "must not be EachKey with claims"),
        (_, Spenders::EachClaim) if each.is_none() => {
            invalid("spec.claims.each", "must be set with spenders EachClaim")
        }
        (_, Spenders::Together) if each.is_some() => {
            invalid("spec.claims.each", "is for spenders EachClaim alone")
        }
        _ => Ok(()),
    }
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
    let is_at_work = budget.spec.claims.is_none() || claim::are_counted(view, &key.namespace);
    let condition = match &read {
        Ok(_) if !is_at_work => {
            let text = "nothing is counted: a route of this namespace that leads to AI backends and verifies tokens does not exist";
            Condition::bad(ConditionType::Accepted, Reason::TargetNotFound, text)
        }
        Ok(_) => Condition::good(ConditionType::Accepted, Reason::Accepted, "the budget can be applied"),
        Err(rejection) => Condition::rejected(ConditionType::Accepted, rejection),
    };
    let spenders = || match budget.spec.spenders.unwrap_or(Spenders::Together) {
        Spenders::Together => BudgetSpenders::Together,
        Spenders::EachKey => BudgetSpenders::Keys(spenders(view, budget)),
        Spenders::EachClaim => {
            let each = budget.spec.claims.as_ref().and_then(|claims| claims.each.clone());
            BudgetSpenders::Claim(each.unwrap_or_default())
        }
    };
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
