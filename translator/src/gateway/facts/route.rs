//! Routes: translated, attached, served.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::{Kind, ObjectKey};
use ir::{DirectResponse, FilterPart, Hostname, L4Share, PathMatch, Precedence, RouteIr, RouteTableId};

use super::key::{BackendKey, GatewayKey};
use super::policy::PolicyFact;
use crate::status::{Condition, ConditionType, Detail, Reason, Rejection, Report};

/// What a request is answered with whose rule cannot be carried out.
pub(crate) const RULE_BROKEN: DirectResponse = DirectResponse::empty(500);

/// The same for a call of gRPC, which hears UNAVAILABLE (Gateway API, `GRPCRouteRule.backendRefs`).
pub(crate) const CALL_BROKEN: DirectResponse = DirectResponse::empty(503);

/// A route, translated; the same for every parent, listener and port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TranslatedRoute {
    /// Those that are hostnames. Empty: every host, unless `is_nowhere`.
    pub hostnames: Vec<Hostname>,
    /// What is wrong with the others.
    pub hostname_errors: Vec<Detail>,
    /// When the route was made, in nanoseconds since 1970. A route without a time (a file) counts as oldest: all
    /// of a folder are alike, and the name decides.
    pub created: Option<i64>,
    /// Where its connections or datagrams go, if it is not a route of requests. Empty: nowhere.
    pub shares: Vec<L4Share>,
    /// The same where TLS has ended at the listener.
    pub shares_after_tls: Vec<L4Share>,
    /// Of a route of requests, in the order of the spec.
    pub routes: Vec<OrderedRoute>,
    /// The backends that the routes send requests to; sorted, each once.
    pub backends: Vec<BackendKey>,
    /// All backends that are named; sorted, each once.
    pub named: Vec<BackendKey>,
    /// References that do not resolve.
    pub ref_errors: Vec<Rejection>,
    /// Rules that are not carried out as written.
    pub broken: Vec<Rejection>,
    /// Whether nothing of any rule is carried out as written.
    pub all_broken: bool,
    /// What there is to tell about the policies that apply to it; sorted, each once.
    pub policies: Vec<PolicyFact>,
    /// What the routes name of the filters that each of its Gateways has one of; sorted, each once.
    pub parts: Vec<FilterPart>,
}

/// A route with its place among the others of its object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderedRoute {
    pub rule: usize,
    pub rule_match: usize,
    /// That of the match as written.
    pub precedence: Precedence,
    /// The path that it takes.
    pub path: PathMatch,
    pub content: RouteContent,
}

/// What stands in virtual hosts for a route. There are many, so it is kept in the form that takes least memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RouteContent {
    /// The same in every virtual host: encoded once, and shared by all.
    Everywhere(Arc<[u8]>),
    /// Not the same.
    Varying(Box<Varying>),
}

/// What is not the same in every virtual host.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "it stands in a box")]
pub(crate) enum Varying {
    /// To be encoded for each: a redirect names the host and the port.
    ByHost(RouteIr),
    /// Gateways, or listeners, have policies.
    ByPlace(ByPlace),
}

/// What depends on the Gateway or the listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ByPlace {
    /// Where it is another.
    pub at: Vec<(Place, RouteContent)>,
    pub elsewhere: RouteContent,
}

/// A Gateway, or a listener of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub gateway: GatewayKey,
    /// The whole Gateway if absent.
    pub listener: Option<Box<str>>,
}

impl RouteContent {
    /// The content in the virtual hosts of a listener.
    pub(crate) fn at(&self, gateway: &GatewayKey, listener: &str) -> &Self {
        let Self::Varying(varying) = self else { return self };
        let Varying::ByPlace(ByPlace { at, elsewhere }) = &**varying else { return self };
        let of = |listener: Option<&str>| {
            let mut places = at.iter();
            places.find(|(place, _)| place.gateway == *gateway && place.listener.as_deref() == listener)
        };
        of(Some(listener)).or_else(|| of(None)).map_or(elsewhere, |(_, content)| content)
    }
}

impl TranslatedRoute {
    /// Whether it has no hostname left. A route whose hostnames are all invalid must not become a route for every
    /// host.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.hostnames.is_empty() && !self.hostname_errors.is_empty()
    }

    /// Puts sets in order, and gives back the memory that lists have kept for growing.
    pub(crate) fn tidy(&mut self) {
        for keys in [&mut self.backends, &mut self.named] {
            keys.sort();
            keys.dedup();
            keys.shrink_to_fit();
        }
        // The same thing may be found wrong at several Gateways.
        let mut seen = BTreeSet::new();
        self.broken.retain(|rejection| seen.insert(rejection.detail.clone()));
        self.policies.sort();
        self.policies.dedup();
        self.policies.shrink_to_fit();
        self.parts.sort();
        self.parts.dedup();
        self.parts.shrink_to_fit();
        self.hostnames.shrink_to_fit();
        self.routes.shrink_to_fit();
    }

    /// The conditions of the route at a parent that accepts it.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let details = || self.broken.iter().map(|rejection| rejection.detail.clone()).collect();
        let mut conditions = match self.broken.first() {
            Some(first) if self.all_broken => {
                vec![Condition::faults(ConditionType::Accepted, first.reason, details())]
            }
            first => {
                let mut conditions =
                    vec![Condition::good(ConditionType::Accepted, Reason::Accepted, "the route is valid")];
                conditions.extend(first.map(|first| {
                    let faults = Condition::faults(ConditionType::PartiallyInvalid, first.reason, details());
                    let message = format!("Dropped Rule(s): {}", faults.message);
                    faults.in_words(message)
                }));
                conditions
            }
        };
        conditions.push(self.resolved_refs());
        conditions
    }

    /// Whether the route's references resolve. Told also at a parent that does not accept it.
    pub(crate) fn resolved_refs(&self) -> Condition {
        let details: BTreeSet<_> = self.ref_errors.iter().map(|error| &error.detail).collect();
        let details = details.into_iter().cloned().collect();
        Condition::resolved_refs(self.ref_errors.first().map(|first| first.reason), details)
    }
}

/// A route at one listener of a Gateway, under one hostname.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub gateway: GatewayKey,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The listener's port; `None` if it is not served.
    pub port: Option<u16>,
    /// The listener's route table; `None` if it is not served, or has none.
    pub table: Option<Arc<RouteTableId>>,
    /// Narrowed to the listener's.
    pub effective: Hostname,
    /// As the route writes it; decides precedence.
    pub original: Hostname,
}

/// Where a route attaches, and what there is to tell about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachment {
    /// Sorted, each once.
    pub rows: Arc<[Row]>,
    /// Whether it counts as attached where it is: not if nothing of it is carried out.
    pub is_counted: bool,
    /// Its status; `None` if no parent is ours.
    pub report: Option<Arc<Report>>,
}

impl Attachment {
    /// The listeners (Gateway, name) at which it counts as attached: those that accept it.
    pub(crate) fn counted(&self) -> BTreeSet<(GatewayKey, Arc<str>)> {
        let rows = self.rows.iter().filter(|_| self.is_counted);
        rows.map(|row| (row.gateway.clone(), row.listener.clone())).collect()
    }
}

/// A version of a route that can be served.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteVersion {
    pub(crate) route: Arc<TranslatedRoute>,
    pub(crate) rows: Arc<[Row]>,
}

impl RouteVersion {
    /// The Services and XBackends that it names, at each of its Gateways.
    pub(crate) fn named_objects(&self) -> BTreeSet<(GatewayKey, ObjectKey)> {
        let gateways: BTreeSet<_> = self.rows.iter().map(|row| &row.gateway).collect();
        named_objects(&gateways, self.route.named.iter())
    }

    /// The backends that the Gateways need for it.
    pub(crate) fn uses(&self) -> BTreeSet<(GatewayKey, BackendKey)> {
        self.at_each_gateway(&self.route.backends)
    }

    /// What the filters of the Gateways need for it.
    pub(crate) fn parts(&self) -> BTreeSet<(GatewayKey, FilterPart)> {
        self.at_each_gateway(&self.route.parts)
    }

    fn at_each_gateway<T: Ord + Clone>(&self, needed: &[T]) -> BTreeSet<(GatewayKey, T)> {
        if needed.is_empty() {
            return BTreeSet::new();
        }
        let gateways: BTreeSet<_> =
            self.rows.iter().filter(|row| row.port.is_some()).map(|row| &row.gateway).collect();
        let of_gateway = |gateway: &GatewayKey| {
            needed.iter().map(|thing| (gateway.clone(), thing.clone())).collect::<Vec<_>>()
        };
        gateways.into_iter().flat_map(of_gateway).collect()
    }
}

/// The Services and XBackends among the backends that are named at some Gateways.
pub(crate) fn named_objects<'a>(
    gateways: &BTreeSet<&GatewayKey>,
    named: impl Iterator<Item = &'a BackendKey>,
) -> BTreeSet<(GatewayKey, ObjectKey)> {
    let objects = named.filter_map(BackendKey::object);
    let objects: BTreeSet<_> = objects
        .filter(|object| matches!(object.kind, Kind::Service | Kind::Backend | Kind::XBackend))
        .collect();
    let at = |gateway: &&GatewayKey| {
        objects.iter().map(|object| ((*gateway).clone(), object.clone())).collect::<Vec<_>>()
    };
    gateways.iter().flat_map(at).collect()
}
