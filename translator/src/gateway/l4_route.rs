//! TCPRoute, UDPRoute and TLSRoute → where connections and datagrams go.

use crds::Kind;
use crds::gateway_api::{L4Rule, TcpRoute, TlsRoute, UdpRoute};
use ir::L4Share;

use super::destinations::{resolve, weight};
use super::route;
use crate::gateway::facts::{RouteKey, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Translates a route; `None` if there is none.
pub(super) fn translate(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    let mut translated = route::begun(view.route_object(key)?);
    let rules = rules(view, key)?;
    if rules.len() != 1 {
        let text = format!("has {} rules, of which there is to be one", rules.len());
        translated.broken.push(Rejection::at(Reason::UnsupportedValue, "spec.rules", text));
    }
    if let Some(rule) = rules.first() {
        let shares = rule.backend_refs.iter().enumerate();
        let shares = shares.filter_map(|(index, backend_ref)| {
            let field = format!("spec.rules[0].backendRefs[{index}]");
            let weight = weight(backend_ref, &field).map_err(|error| translated.broken.push(error)).ok()?;
            let resolved = resolve(view, key, backend_ref, &mut translated);
            let face = resolved.map_err(|error| translated.ref_errors.push(error.under(&field))).ok();
            let cluster = face.and_then(|face| {
                let cluster = face.clusters.iter().next().cloned();
                translated.backends.extend((weight > 0).then_some(face.key));
                cluster
            });
            // The share of a backend that is none is closed: the others are as they should be.
            (weight > 0).then_some(L4Share { weight, cluster })
        });
        let shares = shares.collect();
        translated.shares = shares;
    }
    translated.all_broken = !translated.broken.is_empty();
    if translated.all_broken {
        translated.shares.clear();
        translated.backends.clear();
    }
    translated.tidy();
    Some(translated)
}

/// The same, but that it leads nowhere.
pub(super) fn closing_connections(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    let translated = translate(view, key)?;
    Some(TranslatedRoute { shares: Vec::new(), backends: Vec::new(), ..translated })
}

fn rules<'a>(view: &'a impl View, key: &RouteKey) -> Option<&'a [L4Rule]> {
    let name = &key.name;
    Some(match key.kind {
        Kind::TcpRoute => &view.object::<TcpRoute>(name)?.rules,
        Kind::TlsRoute => &view.object::<TlsRoute>(name)?.rules,
        _ => &view.object::<UdpRoute>(name)?.rules,
    })
}
