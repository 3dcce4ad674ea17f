//! Which function evaluates which unit.

use std::sync::Arc;

use crds::Kind;
use ir::ClusterIr;

use super::Hold;
use super::key::Key;
use super::value::{IsOurs, OfValue as _, Value};
use super::view::Reading;
use crate::gateway::address::AddressPlan;
use crate::gateway::attach::Parent;
use crate::gateway::facts::{
    BackendKey, BackendValue, EncodedBackend, PortValue, ResolvedBackend, RouteKey, RouteVersion,
    TranslatedRoute,
};
use crate::gateway::view::View;
use crate::gateway::{
    attach, backend, budget, claim, class, extension, face, host, listener_set, parameters, policy, port,
    price_list, rate_limit, report, route, tls, virtual_key,
};
use crate::xds;

/// Evaluates a unit; `None` if there is no such thing.
pub(super) fn evaluate(view: &Reading<'_>, key: &Key) -> Option<Value> {
    fail_on_demand(view, key);
    Some(match key {
        Key::Object(_) | Key::Group(_) | Key::Labels(_) | Key::Peers | Key::Trust => return None,
        Key::Class(name) => class::read(view, name)?.into_value(),
        Key::Classes => view.index.classes.iter().cloned().collect::<Vec<_>>().into_value(),
        Key::Certificate(secret) => tls::certificate(view, secret)?.into_value(),
        Key::Authorities(map) => tls::authorities(view, map)?.into_value(),
        Key::Gateway(key) => face::read(view, key)?.into_value(),
        Key::IsOurs(key) => view.gateway(key).map(|_| IsOurs)?.into_value(),
        Key::AddressPlan if !AddressPlan::is_needed(view.settings()) || view.index.gateways.is_empty() => {
            return None;
        }
        Key::AddressPlan => face::plan(view).into_value(),
        Key::Placement(key) => face::place(view, key)?.into_value(),
        Key::Proxy(key) => face::proxy(view, key)?.into_value(),
        Key::Secrets(key) => tls::secrets(view, key)?.into_value(),
        Key::ParametersReport(key) => parameters::report(view, key)?.into_value(),
        Key::Backend(key) => backend_value(view, key)?.into_value(),
        Key::BackendFace(key) => backend::face(view, key).into_value(),
        Key::Endpoints(key) => endpoints(view, key)?,
        Key::Selection(key) => backend::selection(view, key)?.into_value(),
        Key::Client(key) => virtual_key::face(view, key)?.into_value(),
        Key::Claims(namespace) => claim::set(view, namespace)?.into_value(),
        Key::Prices(namespace) => price_list::book(view, namespace)?.into_value(),
        Key::Policy(key) => policy::face(view, key)?.into_value(),
        Key::Route(key) => route(view, key)?.into_value(),
        Key::Attachment(key) => attach::attach(view, key)?.into_value(),
        Key::Served(key) => served(view, key)?.into_value(),
        Key::Port(gateway, number) => {
            let face = port::port(view, gateway, *number)?;
            let listeners = std::iter::once(&face.listener).chain(&face.udp);
            let listeners = listeners.map(|listener| xds::encode_listener(listener, view.settings()));
            let filters = face.filters.iter().map(xds::encode_l4_filter);
            let filters = filters.chain(face.auth_filters.iter().map(xds::encode_listener_auth));
            let encoded = listeners.chain(filters).map(Arc::new).collect();
            PortValue { face, encoded }.into_value()
        }
        Key::Host(key) => host::host(view, key)?.into_value(),
        Key::Entry(host, route) => host::entries(view, host, route)?.into_value(),
        Key::BackendReport(key) => backend::report(view, key)?.into_value(),
        Key::PolicyReport(key) if key.kind == Kind::BackendTlsPolicy => {
            backend::tls_policy_report(view, key)?.into_value()
        }
        Key::PolicyReport(key) if key.kind == Kind::BackendConfigPolicy => {
            backend::config_policy_report(view, key)?.into_value()
        }
        Key::PolicyReport(key) if key.kind == Kind::GatewayExtension => {
            extension::report(view, key)?.into_value()
        }
        Key::PolicyReport(key) => policy::report(view, key)?.into_value(),
        Key::RateLimitsReport(key) => rate_limit::report(view, key)?.into_value(),
        Key::ClientKeyReport(key) => virtual_key::report(view, key)?.into_value(),
        Key::BudgetReport(key) => budget::report(view, key)?.into_value(),
        Key::PriceListReport(key) => price_list::report(view, key)?.into_value(),
        Key::ListenerSetReport(key) => listener_set::report(view, key)?.into_value(),
        Key::GatewayReport(key) => report::report(view, key)?.into_value(),
    })
}

/// Panics where a test wants it.
#[allow(clippy::panic, reason = "that is what it is for")]
fn fail_on_demand(view: &Reading<'_>, key: &Key) {
    let hook = view.settings().test_hooks.panic_at.as_ref();
    if let Some(name) = hook
        && key.object().is_some_and(|object| *object.name.name == **name)
    {
        panic!("a test wants the translation of {name} to fail");
    }
}

fn backend_value(view: &Reading<'_>, key: &BackendKey) -> Option<BackendValue> {
    let result = backend::resolve(view, key)?;
    let settings = view.settings();
    let hooks = &settings.test_hooks;
    let encode_one = |cluster: &ClusterIr| Arc::new(xds::encode_cluster(cluster, settings));
    let encode = |backend: &ResolvedBackend| EncodedBackend {
        clusters: backend.clusters.iter().map(encode_one).collect(),
        with_client_certificate: match backend.takes_client_certificate {
            true => backend.clusters.iter().map(|it| encode_one(&it.with_client_certificate())).collect(),
            false => Vec::new(),
        },
        secrets: backend.secrets.iter().map(|secret| Arc::new(xds::encode_secret(secret, hooks))).collect(),
    };
    let encoded = result.as_ref().ok().map(encode);
    Some(BackendValue { result, encoded })
}

/// Only of a backend that is there. It is not read, so that its other changes are none of ours; the engine says when
/// it comes or goes.
fn endpoints(view: &Reading<'_>, key: &BackendKey) -> Option<Value> {
    view.graph.value(&Key::Backend(key.clone()))?;
    let (cluster, endpoints) = backend::endpoints(view, key)?;
    Some(xds::encode_endpoints(&cluster, &endpoints, &view.settings().test_hooks).into_value())
}

/// A route of which some parent is ours: what others serve costs nothing here. Where nobody else serves any, every
/// route is read, so that all that is wrong with it is told at once.
fn route(view: &Reading<'_>, key: &RouteKey) -> Option<TranslatedRoute> {
    let mut parents = view.route_object(key)?.parent_refs.iter();
    let is_ours = parents.any(|parent| {
        let parent = Parent::find(parent, &key.name.namespace, |set| view.object(set));
        parent.is_some_and(|parent| view.is_ours(&parent.gateway))
    });
    (is_ours || view.settings().sole_controller).then(|| route::translate(view, key))?
}

fn served(view: &Reading<'_>, key: &RouteKey) -> Option<RouteVersion> {
    let newest = || {
        let (route, attachment) = (view.route(key)?, view.attachment(key)?);
        Some(RouteVersion { route, rows: attachment.rows.clone() })
    };
    match view.hold(key) {
        None => newest(),
        // Of a route that is gone, nothing stays.
        Some(_) if view.route(key).is_none() => None,
        Some(Hold::Version(version)) => Some(RouteVersion::clone(version)),
        Some(Hold::Errors) => {
            let RouteVersion { rows, .. } = newest()?;
            let route = route::answering_errors(view, key)?;
            Some(RouteVersion { route: Arc::new(route), rows })
        }
        Some(Hold::Nothing) => None,
    }
}
