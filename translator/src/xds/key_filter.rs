//! The filter that asks for virtual keys: the AI engine in listeners, once more, under a name of its own.
//!
//! It looks at the claims of tokens as well, for budgets over them. It stands in every listener and is disabled but for the routes
//! that ask for keys or count requests in such budgets. Listeners only name it and get it apart
//! (ECDS), so that a key that comes or goes changes no listener. There is one for all listeners of a Gateway, with the keys of
//! all its routes; a route says by its metadata of which set it asks for one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use ai_config::{
    CLAIMS_KEY, CLAIMS_STATE_KEY, ClaimBudget, ClaimRule, KEYS_FILTER, KEYS_KEY, KeysConfig,
    MAX_REQUEST_BYTES, METADATA_NAMESPACE, OFFERS_KEY, RequiredClaim, VERSION, VirtualKey,
};
use ir::{Access, ClaimSet, ClientKey, Counted, KeySet, ModuleSource};
use limit_rule::Budget;
use proto::core::TypedExtensionConfig;
use proto::dynamic_module_filter::DynamicModuleFilter;
use proto::hcm::HttpFilter;
use proto::pack;
use proto::route::Route;
use proto::set_filter_state::Config as SetFilterState;
use proto::wkt::Any;

use super::discovered::discovered_filter;
use super::filter_state::written;
use super::optional_filters::{enabled, note};
use super::{engine, token_filter};

/// The name of the filter.
pub(super) const NAME: &str = "chancery.keys";

/// The name of the filter before it, which takes down the claims of tokens.
pub(super) const CLAIMS_NAME: &str = "chancery.claims";

/// What is told to the client of a key that opens nothing.
const BLOCKED: &str = "a budget of this API key cannot be applied";

/// The filter as it stands in a listener.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<DynamicModuleFilter>(NAME)
}

/// What a route asks for, if it asks for something: a key, or to have its requests counted in budgets over claims.
pub(super) fn demand(access: &Access, route: &mut Route) -> HashMap<String, Any> {
    let Access { keys, claims, offers, .. } = access;
    let mut configs = HashMap::new();
    let (keys, claims) = (keys.as_ref(), claims.as_ref());
    let names = [(KEYS_KEY, keys.map(|keys| keys.set.to_string()))];
    let names = names.into_iter().chain([(CLAIMS_KEY, claims.map(|claims| claims.set.to_string()))]);
    for (key, name) in names.chain([(OFFERS_KEY, offers.clone())]) {
        name.into_iter().for_each(|name| note(route, METADATA_NAMESPACE, key, name));
    }
    if keys.is_some() || claims.is_some() {
        configs.extend(enabled(&[NAME]));
    }
    if let Some(claims) = claims {
        configs.insert(CLAIMS_NAME.to_owned(), claims_of(&claims.payload_key));
    }
    configs
}

/// How many budgets a request of a route has at most, by what they count: those of its key, and those of its token.
pub(super) fn budgets(access: &Access) -> BTreeMap<Counted, usize> {
    let of_keys = access.keys.iter().flat_map(|keys| &keys.budgets);
    let all = of_keys.chain(access.claims.iter().flat_map(|claims| &claims.budgets));
    let mut budgets = BTreeMap::new();
    all.for_each(|(counted, most)| *budgets.entry(*counted).or_default() += most);
    budgets
}

/// Whether a request over a budget can go on with a cheaper model.
pub(super) fn falls_back(access: &Access) -> bool {
    let of_keys = access.keys.as_ref().is_some_and(|keys| keys.falls_back);
    of_keys || access.claims.as_ref().is_some_and(|claims| claims.falls_back)
}

/// The filter that takes down no claims: that of a route that says nothing.
pub(super) fn no_claims() -> Any {
    pack(&SetFilterState::default())
}

/// It takes down the claims of a token that was verified, which stand under this key, where the filter of keys can read them. No
/// client has a part in it: they stand in metadata that Envoy's own filter of tokens alone writes.
fn claims_of(payload_key: &str) -> Any {
    let format = format!("%DYNAMIC_METADATA({}:{payload_key})%", token_filter::METADATA_NAMESPACE);
    let value = written(CLAIMS_STATE_KEY.to_owned(), format);
    pack(&SetFilterState { on_request_headers: vec![value], ..SetFilterState::default() })
}

/// The filter that listeners name. An earlier version of a route, which is served still, may name an earlier version of a set:
/// then the keys are those that both have, so that one that was taken back opens nothing.
pub(super) fn extension<'a>(
    module: &ModuleSource,
    sets: impl IntoIterator<Item = &'a KeySet>,
    claims: impl IntoIterator<Item = &'a ClaimSet>,
    limits_cluster: &str,
) -> TypedExtensionConfig {
    let mut by_name: BTreeMap<String, ai_config::KeySet> = BTreeMap::new();
    for set in sets {
        match by_name.entry(set.name.to_string()) {
            Entry::Occupied(mut known) => known.get_mut().keys.retain(|hash, _| set.keys.contains_key(hash)),
            Entry::Vacant(free) => {
                let keys = set.keys.iter().map(|(hash, key)| (hash.clone(), virtual_key(key)));
                free.insert(ai_config::KeySet { salt: set.salt.clone(), keys: keys.collect() });
            }
        }
    }
    let limits_cluster = limits_cluster.to_owned();
    let config = KeysConfig { limits_cluster, ..config(by_name, claims_by_name(claims)) };
    engine::named_extension(NAME, module, KEYS_FILTER, &config)
}

/// The filter with no key at all.
pub(super) fn without_keys(module: &ModuleSource) -> DynamicModuleFilter {
    engine::configured(module, KEYS_FILTER, &config(BTreeMap::new(), BTreeMap::new()))
}

fn config(
    sets: BTreeMap<String, ai_config::KeySet>,
    claims: BTreeMap<String, Vec<ClaimBudget>>,
) -> KeysConfig {
    KeysConfig {
        version: VERSION,
        max_request_bytes: MAX_REQUEST_BYTES,
        sets,
        claims,
        ..KeysConfig::default()
    }
}

/// Of several versions of a set, as above, the budgets of all count: of one with two versions, the one that leaves less.
fn claims_by_name<'a>(sets: impl IntoIterator<Item = &'a ClaimSet>) -> BTreeMap<String, Vec<ClaimBudget>> {
    let mut by_name: BTreeMap<String, BTreeMap<&str, &ir::ClaimBudget>> = BTreeMap::new();
    let limit = |budget: &ir::ClaimBudget| budget.rule.as_ref().map(|rule| rule.limit);
    for set in sets {
        let known = by_name.entry(set.name.to_string()).or_default();
        for budget in &set.budgets {
            let kept = known.entry(&budget.name).or_insert(budget);
            if limit(budget) < limit(kept) {
                *kept = budget;
            }
        }
    }
    let named = |(name, budgets): (String, BTreeMap<&str, &ir::ClaimBudget>)| {
        (name, budgets.into_values().map(claim_budget).collect())
    };
    by_name.into_iter().map(named).collect()
}

fn claim_budget(budget: &ir::ClaimBudget) -> ClaimBudget {
    let ir::ClaimBudget { name, claims, each, rule, refuses_unpriced } = budget;
    let required =
        |(name, value): &(String, String)| RequiredClaim { name: name.clone(), value: value.clone() };
    ClaimBudget {
        name: name.clone(),
        claims: claims.iter().map(required).collect(),
        each: each.clone(),
        rule: rule.as_ref().map(|rule| ClaimRule {
            counted: rule.counted.name().to_owned(),
            text: rule.to_text(),
            refuses_unpriced: *refuses_unpriced,
        }),
    }
}

fn virtual_key(key: &ClientKey) -> VirtualKey {
    let ClientKey { name, models, expires, budgets, is_blocked, refuses_unpriced } = key;
    let texts = budgets
        .iter()
        .map(|(counted, budgets)| (counted.name().to_owned(), budgets.iter().map(Budget::to_text).collect()));
    VirtualKey {
        name: name.clone(),
        models: models.clone(),
        expires: *expires,
        blocked: is_blocked.then(|| BLOCKED.to_owned()),
        refuses_unpriced: *refuses_unpriced,
        budgets: texts.collect(),
    }
}
