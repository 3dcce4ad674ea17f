//! The filter that asks for virtual keys: the AI engine in listeners, once more, under a name of its own.
//!
//! It stands in every listener and is disabled but for the routes that ask for keys. Listeners only name it and get it apart
//! (ECDS), so that a key that comes or goes changes no listener. There is one for all listeners of a Gateway, with the keys of
//! all its routes; a route says by its metadata of which set it asks for one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ai_config::{
    KEYS_FILTER, KEYS_KEY, KeysConfig, MAX_REQUEST_BYTES, METADATA_NAMESPACE, OFFERS_KEY, VERSION, VirtualKey,
};
use ir::{ClientKey, KeyDemand, KeySet, ModuleSource};
use limit_rule::Budget;
use proto::core::TypedExtensionConfig;
use proto::dynamic_module_filter::DynamicModuleFilter;
use proto::hcm::HttpFilter;
use proto::route::Route;

use super::discovered::discovered_filter;
use super::engine;
use super::optional_filters::note;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.keys";

/// What is told to the client of a key that opens nothing.
const BLOCKED: &str = "a budget of this API key cannot be applied";

/// The filter as it stands in a listener.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<DynamicModuleFilter>(NAME)
}

/// Has requests of a route asked for a key.
pub(super) fn demand(ir: &KeyDemand, route: &mut Route) {
    note(route, METADATA_NAMESPACE, KEYS_KEY, ir.set.to_string());
    if let Some(offers) = &ir.offers {
        note(route, METADATA_NAMESPACE, OFFERS_KEY, offers.clone());
    }
}

/// The filter that listeners name. An earlier version of a route, which is served still, may name an earlier version of a set:
/// then the keys are those that both have, so that one that was taken back opens nothing.
pub(super) fn extension<'a>(
    module: &ModuleSource,
    sets: impl IntoIterator<Item = &'a KeySet>,
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
    engine::named_extension(NAME, module, KEYS_FILTER, &config(by_name))
}

/// The filter with no key at all.
pub(super) fn without_keys(module: &ModuleSource) -> DynamicModuleFilter {
    engine::configured(module, KEYS_FILTER, &config(BTreeMap::new()))
}

fn config(sets: BTreeMap<String, ai_config::KeySet>) -> KeysConfig {
    KeysConfig { version: VERSION, max_request_bytes: MAX_REQUEST_BYTES, sets }
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
