//! One Gateway on its way through the passes: what attaches to it, and what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crds::gateway_api::gateways::{
    GatewayAllowedListenersNamespacesFrom as AllowedListenersFrom, GatewayDefaultScope,
};
use crds::gateway_api::{self, Gateway, HttpRoute};
use crds::{NamespacedName, ObjectRef};
use ir::{GatewayIr, GatewayName, ListenerIr, ListenerName, ProxyInfra, RouteConfigName};

use super::address::AddressPlan;
use super::attach::Attachment;
use super::class;
use super::context::Context;
use super::http_route::TranslatedRoute;
use super::infra;
use super::listener::{self, Listener, Rejection};
use super::virtual_host::{self, ListenerRoutes, RouteAtListener};
use crate::status::{Condition, ConditionType, Facts, GatewayFacts, ListenerFacts, Reason, Report};

/// A Gateway of ours.
pub(crate) struct GatewayPass<'a> {
    key: &'a NamespacedName,
    gateway: &'a Gateway,
    pub listeners: Vec<Listener<'a>>,
    addresses: Vec<IpAddr>,
    /// Why it is not served at all.
    rejected: Option<Rejection>,
    attached: Vec<AttachedRoute<'a>>,
}

/// A route at a listener of the Gateway.
struct AttachedRoute<'a> {
    attachment: Attachment,
    key: &'a NamespacedName,
    route: &'a HttpRoute,
    translated: TranslatedRoute,
}

/// Every Gateway of ours, with its listeners looked at and its addresses assigned.
pub(crate) fn gateway_passes<'a>(context: &Context<'a>) -> BTreeMap<NamespacedName, GatewayPass<'a>> {
    let classes = class::our_classes(context);
    let mut plan = AddressPlan::default();
    let ours = context.resources.gateways.iter();
    let ours = ours.filter(|(_, gateway)| classes.contains(&gateway.spec.gateway_class_name));
    ours.map(|(key, gateway)| {
        let mut listeners = listener::listeners(gateway);
        let rejected = unsupported(gateway);
        let addresses = match rejected {
            Some(_) => Vec::new(),
            None => plan.assign(key, &mut listeners, context.settings),
        };
        (key.clone(), GatewayPass { key, gateway, listeners, addresses, rejected, attached: Vec::new() })
    })
    .collect()
}

/// What a Gateway asks for that it must not go without.
fn unsupported(gateway: &Gateway) -> Option<Rejection> {
    let spec = &gateway.spec;
    if spec.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
        return Some(Rejection::new(Reason::UnsupportedAddress, "spec.addresses: is not supported yet"));
    }
    let parameters =
        spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref());
    if let Some(parameters) = parameters {
        let message = format!("spec.infrastructure.parametersRef: {} is not supported yet", parameters.kind);
        return Some(Rejection::new(Reason::InvalidParameters, message));
    }
    None
}

/// What a Gateway asks for that is left out, while the rest is served: none of it concerns plain
/// HTTP listeners of the Gateway's own.
fn left_out(gateway: &Gateway) -> Option<Condition> {
    let spec = &gateway.spec;
    let other_listeners = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let other_listeners = other_listeners.and_then(|namespaces| namespaces.from.as_ref());
    let fields = [
        ("tls", spec.tls.is_some()),
        ("allowedListeners", other_listeners.is_some_and(|from| *from != AllowedListenersFrom::None)),
        (
            "defaultScope",
            spec.default_scope.as_ref().is_some_and(|scope| *scope != GatewayDefaultScope::None),
        ),
    ];
    let present = fields.iter().filter(|(_, present)| *present);
    let messages: Vec<_> = present.map(|(field, _)| format!("spec.{field}: is not supported yet")).collect();
    (!messages.is_empty()).then(|| {
        Condition::bad(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, messages.join("; "))
    })
}

impl<'a> GatewayPass<'a> {
    /// The port of a listener; 0 if it has none.
    pub(crate) fn port_of(&self, listener: usize) -> u16 {
        self.listeners.get(listener).and_then(|listener| listener.port).unwrap_or_default()
    }

    /// Notes a route at a listener. The same route by another parentRef counts once.
    pub(crate) fn attach(
        &mut self,
        attachment: Attachment,
        key: &'a NamespacedName,
        route: &'a HttpRoute,
        translated: &TranslatedRoute,
    ) {
        let same = |attached: &AttachedRoute<'_>| {
            attached.attachment.listener == attachment.listener && attached.key == key
        };
        if !self.attached.iter().any(same) {
            self.attached.push(AttachedRoute { attachment, key, route, translated: translated.clone() });
        }
    }

    /// What the Gateway serves and needs; `None` if it is not served.
    pub(crate) fn output(&self) -> Option<(GatewayIr, ProxyInfra)> {
        if self.rejected.is_some() || !self.listeners.iter().any(Listener::is_served) {
            return None;
        }
        let name = GatewayName { namespace: self.key.namespace.clone(), name: self.key.name.clone() };
        let infra = infra::proxy_infra(&name, self.gateway, &self.addresses, &self.listeners);
        let ports: BTreeSet<u16> = self.served().filter_map(|(_, listener)| listener.port).collect();
        let listeners: BTreeMap<_, _> = ports.into_iter().map(|port| self.listener_ir(port)).collect();
        let (mut clusters, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for attached in self.attached.iter().filter(|attached| self.is_served(attached.attachment.listener)) {
            for backend in &attached.translated.backends {
                clusters.insert(backend.cluster.name.clone(), backend.cluster.clone());
                secrets.extend(backend.secrets.iter().map(|secret| (secret.name.clone(), secret.clone())));
            }
        }
        Some((GatewayIr { name, listeners, clusters, secrets }, infra))
    }

    fn listener_ir(&self, port: u16) -> (ListenerName, ListenerIr) {
        let on_port = self.served().filter(|(_, listener)| listener.port == Some(port));
        let routes: Vec<_> = on_port
            .map(|(index, listener)| ListenerRoutes {
                hostname: listener.hostname.clone(),
                routes: self.routes_at(index),
            })
            .collect();
        let name = ListenerName::http(port);
        let ir = ListenerIr {
            name: name.clone(),
            addresses: self.addresses.clone(),
            port,
            route_config: RouteConfigName::http(port),
            virtual_hosts: virtual_host::virtual_hosts(&routes),
        };
        (name, ir)
    }

    fn routes_at(&self, listener: usize) -> Vec<RouteAtListener<'_>> {
        let here = self.attached.iter().filter(|attached| attached.attachment.listener == listener);
        here.map(|attached| RouteAtListener {
            key: attached.key,
            created: attached.route.metadata.creation_timestamp.as_ref(),
            hostnames: &attached.attachment.hostnames,
            translated: &attached.translated,
        })
        .collect()
    }

    fn served(&self) -> impl Iterator<Item = (usize, &Listener<'a>)> {
        self.listeners.iter().enumerate().filter(|(_, listener)| listener.is_served())
    }

    fn is_served(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(Listener::is_served)
    }

    /// What to tell about the Gateway.
    pub(crate) fn report(&self) -> Report {
        let listeners = self.listeners.iter().enumerate().map(|(index, listener)| {
            let mut conditions = listener.conditions();
            if let Some(Rejection { message, .. }) = &self.rejected {
                conditions.retain(|condition| condition.kind != ConditionType::Programmed);
                conditions.push(Condition::bad(ConditionType::Programmed, Reason::Invalid, message));
            }
            ListenerFacts {
                name: listener.spec.name.clone(),
                supported_kinds: listener.kinds.clone(),
                attached_routes: self.attached_routes(index),
                conditions,
            }
        });
        let facts = GatewayFacts {
            addresses: self.status_addresses(),
            conditions: self.conditions(),
            listeners: listeners.collect(),
        };
        Report {
            object: ObjectRef::namespaced(gateway_api::GROUP, "Gateway", &self.key.namespace, &self.key.name),
            generation: self.gateway.metadata.generation.unwrap_or_default(),
            facts: Facts::Gateway(facts),
        }
    }

    /// Routes that are accepted at a listener, whatever the listener's own state.
    fn attached_routes(&self, listener: usize) -> i32 {
        let accepted = self
            .attached
            .iter()
            .filter(|attached| attached.attachment.listener == listener && !attached.translated.all_broken);
        i32::try_from(accepted.count()).unwrap_or(i32::MAX)
    }

    fn status_addresses(&self) -> Vec<String> {
        if !self.listeners.iter().any(Listener::is_served) {
            return Vec::new();
        }
        let bound = self.addresses.iter().filter(|address| !address.is_unspecified());
        bound.map(ToString::to_string).collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        if let Some(Rejection { reason, message }) = &self.rejected {
            return vec![
                Condition::bad(ConditionType::Accepted, *reason, message),
                Condition::bad(ConditionType::Programmed, Reason::Invalid, message),
            ];
        }
        let is_valid = |listener: &&Listener<'_>| listener.is_served();
        let valid = self.listeners.iter().filter(is_valid).count();
        let invalid = self.listeners.iter().filter(|listener| !is_valid(listener));
        let invalid: Vec<_> = invalid.map(|listener| listener.spec.name.as_str()).collect();
        let accepted = if invalid.is_empty() {
            Condition::good(ConditionType::Accepted, Reason::Accepted, "the Gateway is valid")
        } else {
            let message = format!("not every listener is valid: see {}", invalid.join(", "));
            let condition = Condition::good(ConditionType::Accepted, Reason::ListenersNotValid, message);
            Condition { status: valid > 0, ..condition }
        };
        let unbound: Vec<_> =
            self.listeners.iter().filter_map(|listener| listener.unbound.as_deref()).collect();
        let programmed = match unbound.first() {
            _ if valid > 0 => {
                Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy")
            }
            Some(first) => Condition::bad(ConditionType::Programmed, Reason::AddressNotUsable, *first),
            None => Condition::bad(ConditionType::Programmed, Reason::Invalid, "no listener is valid"),
        };
        [accepted, programmed].into_iter().chain(left_out(self.gateway)).collect()
    }
}
