//! What is counted of the requests of a rule, and in which budgets.

use std::sync::Arc;

use ir::{Access, ClaimSet, Counted, FilterPart, TokenDemand};

use super::claim;
use super::destinations::{Destinations, RuleTranslator};
use crate::AiEngine;
use crate::gateway::facts::{PolicyEffect, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// The policy of a rule in which it is said what each limit counts.
///
/// # Errors
/// It counts tokens, which nobody tells, or asks for keys or has budgets over claims, which nobody looks at.
pub(super) fn counted(
    policy: &ir::RoutePolicy,
    destinations: &Destinations,
    claims: Option<&ClaimSet>,
    engine: &AiEngine,
) -> Result<ir::RoutePolicy, Rejection> {
    let mut policy = policy.clone();
    let access = &mut policy.access;
    if let Some(TokenDemand::Set { payload_key, .. }) = &access.tokens {
        access.claims = claims.map(|claims| claim::demand(claims, payload_key));
    }
    let wants = |what: &str| {
        let message = format!("its {what} need the AI engine, which the proxies do not have");
        Err(Rejection::new(Reason::AiEngineUnavailable, message))
    };
    match engine {
        AiEngine::Unavailable(_) if access.keys.is_some() => return wants("virtual keys"),
        AiEngine::Unavailable(_) if access.claims.is_some() => return wants("budgets over claims"),
        _ => {}
    }
    // Nobody else changes the model of a request.
    let can_fall_back = destinations.any_ai && !destinations.any_without_engine;
    access.keys.iter_mut().for_each(|keys| keys.falls_back &= can_fall_back);
    access.claims.iter_mut().for_each(|claims| claims.falls_back &= can_fall_back);
    let of_keys = access.keys.iter().map(|keys| &keys.budgets);
    let mut budgets = of_keys.chain(access.claims.iter().map(|claims| &claims.budgets));
    if budgets.any(|budgets| budgets.contains_key(&Counted::Money)) {
        access.offers = serde_json::to_string(&destinations.offers).ok();
    }
    let usual = if destinations.any_ai { Counted::Tokens } else { Counted::Requests };
    for limit in &mut policy.shared_limits {
        let counted = *limit.counted.get_or_insert(usual);
        if counted == Counted::Tokens && destinations.any_uncounted {
            let message = "its rate limits need the AI engine, which the proxies do not have";
            return Err(Rejection::new(Reason::AiEngineUnavailable, message));
        }
    }
    Ok(policy)
}

impl<V: View> RuleTranslator<'_, V> {
    /// The budgets over claims in which the requests of the rule are counted: where it leads to an AI backend, and tokens are
    /// verified.
    pub(super) fn claims(
        &self,
        access: &Access,
        destinations: &Destinations,
        out: &mut TranslatedRoute,
    ) -> Option<Arc<ClaimSet>> {
        if !destinations.any_ai || !matches!(access.tokens, Some(TokenDemand::Set { .. })) {
            return None;
        }
        let namespace = &self.key.name.namespace;
        let set = self.view.claim_set(namespace)?;
        self.tell(&claim::counted_in(namespace), PolicyEffect::Applies, out);
        out.parts.push(FilterPart::Claims(set.clone()));
        Some(set)
    }
}
