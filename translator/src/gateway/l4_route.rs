//! TCPRoute, UDPRoute and TLSRoute → where connections and datagrams go.

use crds::Kind;
use crds::gateway_api::{L4Rule, TcpRoute, TlsRoute, UdpRoute};
use ir::L4Share;

use super::destinations::{resolve_as, weight};
use super::listener::ListenerProtocol;
use super::{attach, route};
use crate::gateway::facts::{BackendProtocol, RouteKey, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Translates a route; `None` if there is none.
pub(super) fn translate(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    let route = view.route_object(key)?;
    let mut translated = route::begun(route);
    let rules = rules(view, key)?;
    if rules.len() != 1 {
        let text = format!("has {} rules, of which there is to be one", rules.len());
        translated.broken.push(Rejection::at(Reason::UnsupportedValue, "spec.rules", text));
    }
    if let Some(rule) = rules.first() {
        let names = |protocol| attach::names_listener(view, key, route.parent_refs, protocol);
        let after_tls = key.kind == Kind::TlsRoute && names(ListenerProtocol::TlsTerminate);
        // A route that no listener takes yet is judged as well.
        if !after_tls || names(ListenerProtocol::TlsPassthrough) {
            translated.shares = shares(view, key, rule, BackendProtocol::of_route(key.kind), &mut translated);
        }
        if after_tls {
            translated.shares_after_tls = shares(view, key, rule, BackendProtocol::Tcp, &mut translated);
        }
    }
    translated.all_broken = !translated.broken.is_empty();
    if translated.all_broken {
        translated = leading_nowhere(translated);
    }
    translated.tidy();
    Some(translated)
}

/// Where the connections or datagrams of a rule go, if that is how the backends are spoken to.
fn shares(
    view: &impl View,
    key: &RouteKey,
    rule: &L4Rule,
    protocol: BackendProtocol,
    translated: &mut TranslatedRoute,
) -> Vec<L4Share> {
    let shares = rule.backend_refs.iter().enumerate();
    let shares = shares.filter_map(|(index, backend_ref)| {
        let field = format!("spec.rules[0].backendRefs[{index}]");
        let weight = weight(backend_ref, &field).map_err(|error| translated.broken.push(error)).ok()?;
        let resolved = resolve_as(view, key, backend_ref, protocol, &mut translated.named);
        let face = resolved.map_err(|error| note(&mut translated.ref_errors, error.under(&field))).ok();
        let cluster = face.and_then(|face| {
            let cluster = face.clusters.iter().next().cloned();
            translated.backends.extend((weight > 0).then_some(face.key));
            cluster
        });
        // The share of a backend that is none is closed: the others are as they should be.
        (weight > 0).then_some(L4Share { weight, cluster })
    });
    shares.collect()
}

/// What is wrong with both ways to speak to a backend is told once.
fn note(errors: &mut Vec<Rejection>, error: Rejection) {
    if !errors.contains(&error) {
        errors.push(error);
    }
}

/// The same, but that it leads nowhere.
pub(super) fn closing_connections(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    Some(leading_nowhere(translate(view, key)?))
}

fn leading_nowhere(translated: TranslatedRoute) -> TranslatedRoute {
    TranslatedRoute { shares: Vec::new(), shares_after_tls: Vec::new(), backends: Vec::new(), ..translated }
}

fn rules<'a>(view: &'a impl View, key: &RouteKey) -> Option<&'a [L4Rule]> {
    let name = &key.name;
    Some(match key.kind {
        Kind::TcpRoute => &view.object::<TcpRoute>(name)?.rules,
        Kind::TlsRoute => &view.object::<TlsRoute>(name)?.rules,
        _ => &view.object::<UdpRoute>(name)?.rules,
    })
}
