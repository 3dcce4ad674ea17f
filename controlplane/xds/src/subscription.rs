//! What a stream asked for, of one type: the wildcard rules of [the protocol].
//!
//! [the protocol]: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::resource_type::ResourceType;

/// The name that stands for everything.
const WILDCARD: &str = "*";

/// The names a client wants, and whether it wants everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    wildcard: bool,
    names: BTreeSet<Arc<str>>,
    /// State of the world only: no request has named anything yet, so an empty list still means "all".
    legacy: bool,
}

/// What a request changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Names asked for, each of which the client waits for an answer to.
    pub(crate) asked: Vec<Arc<str>>,
    /// Names given up.
    pub(crate) dropped: Vec<Arc<str>>,
    /// The wildcard came on.
    pub(crate) wildcard_on: bool,
    /// The wildcard went off.
    pub(crate) wildcard_off: bool,
}

impl Subscription {
    /// Before the first request of a type.
    pub(crate) fn new(kind: ResourceType) -> Self {
        Self { wildcard: false, names: BTreeSet::new(), legacy: kind.has_legacy_wildcard() }
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether the client wants nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.wildcard && self.names.is_empty()
    }

    /// The names asked for one by one.
    pub(crate) fn names(&self) -> &BTreeSet<Arc<str>> {
        &self.names
    }

    /// Whether the client wants the resource of that name.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The first delta request of a type: without names it is the legacy wildcard, where there is one.
    pub(crate) fn begin_delta(&mut self, subscribe: &[String], unsubscribe: &[String]) -> Change {
        let everything = [WILDCARD.to_owned()];
        let legacy = subscribe.is_empty() && self.legacy;
        self.change_delta(if legacy { &everything } else { subscribe }, unsubscribe)
    }

    /// A later delta request. The wildcard, legacy or not, stays until `*` is unsubscribed.
    pub(crate) fn change_delta(&mut self, subscribe: &[String], unsubscribe: &[String]) -> Change {
        let mut change = Change::default();
        for name in subscribe {
            if name == WILDCARD {
                change.wildcard_on |= !std::mem::replace(&mut self.wildcard, true);
            } else {
                let name: Arc<str> = name.as_str().into();
                self.names.insert(name.clone());
                change.asked.push(name);
            }
        }
        for name in unsubscribe {
            if name == WILDCARD {
                change.wildcard_off |= std::mem::replace(&mut self.wildcard, false);
            } else if let Some(name) = self.names.take(name.as_str()) {
                change.dropped.push(name);
            } else if self.wildcard {
                // Never asked for by name, but the client throws it away all the same.
                change.dropped.push(name.as_str().into());
            }
        }
        change.wildcard_on &= self.wildcard;
        change
    }

    /// A state-of-the-world request, which states the whole list anew. An empty list means "all" until
    /// the first request that names something, and "nothing" from then on.
    pub(crate) fn restate(&mut self, names: &[String]) -> Change {
        let mut wanted: BTreeSet<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
        let explicit = wanted.remove(WILDCARD);
        let legacy = self.legacy && names.is_empty();
        self.legacy = legacy;

        let wildcard = explicit || legacy;
        let before = std::mem::replace(&mut self.wildcard, wildcard);
        let change = Change {
            asked: wanted.difference(&self.names).cloned().collect(),
            dropped: self.names.difference(&wanted).cloned().collect(),
            wildcard_on: wildcard && !before,
            wildcard_off: before && !wildcard,
        };
        self.names = wanted;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn listed(names: &[Arc<str>]) -> Vec<&str> {
        names.iter().map(|name| &**name).collect()
    }

    #[test]
    fn first_delta_request_without_names_is_a_wildcard_for_clusters_only() {
        let mut clusters = Subscription::new(ResourceType::Cluster);
        assert!(clusters.begin_delta(&[], &[]).wildcard_on);
        assert!(clusters.covers("any"));
        let mut endpoints = Subscription::new(ResourceType::Endpoint);
        assert!(!endpoints.begin_delta(&[], &[]).wildcard_on);
        assert!(endpoints.is_empty());
    }

    #[test]
    fn delta_names_do_not_end_a_wildcard_but_unsubscribing_it_does() {
        let mut subscription = Subscription::new(ResourceType::Cluster);
        subscription.begin_delta(&[], &[]);
        let change = subscription.change_delta(&strings(&["a"]), &[]);
        assert_eq!(listed(&change.asked), ["a"]);
        assert!(subscription.covers("b"));
        assert!(subscription.change_delta(&[], &strings(&["*"])).wildcard_off);
        assert!(subscription.covers("a") && !subscription.covers("b"));
    }

    #[test]
    fn delta_unsubscribe_under_a_wildcard_reports_the_name_as_thrown_away() {
        let mut subscription = Subscription::new(ResourceType::Endpoint);
        subscription.begin_delta(&strings(&["*"]), &[]);
        assert_eq!(listed(&subscription.change_delta(&[], &strings(&["a"])).dropped), ["a"]);
        subscription.change_delta(&[], &strings(&["*"]));
        assert!(subscription.change_delta(&[], &strings(&["b"])).dropped.is_empty());
    }

    #[test]
    fn restated_names_end_the_legacy_wildcard_for_good() {
        let mut subscription = Subscription::new(ResourceType::Listener);
        assert!(subscription.restate(&[]).wildcard_on);
        assert_eq!(subscription.restate(&[]), Change::default());
        let change = subscription.restate(&strings(&["a"]));
        assert!(change.wildcard_off);
        assert_eq!(listed(&change.asked), ["a"]);
        let change = subscription.restate(&[]);
        assert_eq!(listed(&change.dropped), ["a"]);
        assert!(subscription.is_empty());
    }

    #[test]
    fn restated_star_is_a_wildcard_beside_names() {
        let mut subscription = Subscription::new(ResourceType::Route);
        let change = subscription.restate(&strings(&["*", "a"]));
        assert!(change.wildcard_on && subscription.is_wildcard());
        assert_eq!(listed(&change.asked), ["a"]);
        assert_eq!(subscription.names().len(), 1);
    }
}
