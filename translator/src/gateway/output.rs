//! One Gateway on its way through the passes: what attaches to it, and what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crds::gateway_api::gateways::{
    GatewayAllowedListenersNamespacesFrom as AllowedListenersFrom, GatewayDefaultScope,
};
use crds::gateway_api::{self, Gateway, HttpRoute};
use crds::gateway_parameters::KubeParameters;
use crds::{NamespacedName, ObjectRef};
use ir::{EscapedSlashes, GatewayIr, GatewayName, ListenerIr, ListenerName, ProxyInfra, RouteConfigName};

use super::address::AddressPlan;
use super::attach::Attachment;
use super::class;
use super::context::Context;
use super::escaped_slashes;
use super::exposure;
use super::http_route::TranslatedRoute;
use super::infra::{self, proxy_name};
use super::listener::{self, Listener, Rejection};
use super::parameters::{self, Parameters};
use super::virtual_host::{self, ListenerRoutes, RouteAtListener};
use crate::Addressing;
use crate::status::{
    Condition, ConditionType, Facts, GatewayFacts, ListenerFacts, Reason, Report, StatusAddress,
};

/// A Gateway of ours.
pub(crate) struct GatewayPass<'a> {
    key: &'a NamespacedName,
    gateway: &'a Gateway,
    pub listeners: Vec<Listener<'a>>,
    addresses: Vec<IpAddr>,
    /// Where clients find it, or why they do not yet.
    exposure: Result<Vec<StatusAddress>, String>,
    parameters: Parameters,
    escaped_slashes: EscapedSlashes,
    /// Why it is not served at all.
    rejected: Option<Rejection>,
    attached: Vec<AttachedRoute<'a>>,
}

/// What a Gateway that is served comes to.
pub(crate) struct Served {
    pub ir: GatewayIr,
    pub infra: ProxyInfra,
    pub parameters: Option<Arc<KubeParameters>>,
}

/// A route at a listener of the Gateway.
struct AttachedRoute<'a> {
    attachment: Attachment,
    key: &'a NamespacedName,
    route: &'a HttpRoute,
    translated: Rc<TranslatedRoute>,
}

/// Every Gateway of ours, with its listeners looked at and its addresses assigned.
pub(crate) fn gateway_passes<'a>(context: &Context<'a>) -> BTreeMap<NamespacedName, GatewayPass<'a>> {
    let classes = class::our_classes(context);
    let mut plan = AddressPlan::default();
    let ours = context.resources.gateways.iter();
    let ours = ours.filter(|(_, gateway)| classes.contains(&gateway.spec.gateway_class_name));
    ours.map(|(key, gateway)| {
        let mut listeners = listener::listeners(gateway);
        let (parameters, rejected) = match parameters::of_gateway(context, key, gateway) {
            Ok(parameters) => (parameters, unsupported(gateway)),
            Err(rejection) => (Parameters::default(), unsupported(gateway).or(Some(rejection))),
        };
        let (escaped_slashes, rejected) = match escaped_slashes::of_gateway(gateway) {
            Ok(escaped_slashes) => (escaped_slashes, rejected),
            Err(rejection) => (EscapedSlashes::default(), rejected.or(Some(rejection))),
        };
        let addresses = match rejected {
            Some(_) => Vec::new(),
            None => plan.assign(key, &mut listeners, context.settings),
        };
        let exposure = exposure(context, key, gateway, &addresses);
        let attached = Vec::new();
        let pass = GatewayPass {
            key,
            gateway,
            listeners,
            addresses,
            exposure,
            parameters,
            escaped_slashes,
            rejected,
            attached,
        };
        (key.clone(), pass)
    })
    .collect()
}

/// Where clients find a Gateway: in a cluster what its Service says, else what it binds.
fn exposure(
    context: &Context<'_>,
    key: &NamespacedName,
    gateway: &Gateway,
    bound: &[IpAddr],
) -> Result<Vec<StatusAddress>, String> {
    if context.settings.addressing == Addressing::Service {
        let name = proxy_name(&key.name, &gateway.spec.gateway_class_name);
        return exposure::addresses(context, key, gateway, &name);
    }
    let bound = bound.iter().filter(|address| !address.is_unspecified());
    Ok(bound.map(|address| StatusAddress::Ip(address.to_string())).collect())
}

/// What a Gateway asks for that it must not go without.
fn unsupported(gateway: &Gateway) -> Option<Rejection> {
    let spec = &gateway.spec;
    if spec.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
        return Some(Rejection::new(Reason::UnsupportedAddress, "spec.addresses: is not supported yet"));
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
    /// Notes a route at a listener. The same route by another parentRef counts once.
    pub(crate) fn attach(
        &mut self,
        attachment: Attachment,
        key: &'a NamespacedName,
        route: &'a HttpRoute,
        translated: &Rc<TranslatedRoute>,
    ) {
        // One route is attached after the other, so what is known of this one stands at the end.
        let of_route = self.attached.iter().rev().take_while(|attached| attached.key == key);
        if !of_route.map(|attached| attached.attachment.listener).any(|known| known == attachment.listener) {
            self.attached.push(AttachedRoute { attachment, key, route, translated: translated.clone() });
        }
    }

    /// What the Gateway serves and needs; `None` if it is not served.
    pub(crate) fn output(&self) -> Option<Served> {
        if self.rejected.is_some() || !self.listeners.iter().any(Listener::is_served) {
            return None;
        }
        let name = self.name();
        let infra = infra::proxy_infra(&name, self.gateway, &self.addresses, &self.listeners);
        let ports: BTreeSet<u16> = self.served().filter_map(|(_, listener)| listener.port).collect();
        let listeners: BTreeMap<_, _> = ports.into_iter().map(|port| self.listener_ir(port)).collect();
        let (mut clusters, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for attached in self.attached.iter().filter(|attached| self.is_served(attached.attachment.listener)) {
            for backend in &attached.translated.backends {
                let cluster = &backend.cluster;
                clusters.entry(cluster.name.clone()).or_insert_with(|| cluster.clone());
                secrets.extend(backend.secrets.iter().map(|secret| (secret.name.clone(), secret.clone())));
            }
        }
        let ir = GatewayIr { name, listeners, clusters, secrets };
        Some(Served { ir, infra, parameters: self.parameters.kube.clone() })
    }

    /// The name of the Gateway.
    pub(crate) fn name(&self) -> GatewayName {
        GatewayName { namespace: self.key.namespace.clone(), name: self.key.name.clone() }
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
            escaped_slashes: self.escaped_slashes,
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

    fn is_any_served(&self) -> bool {
        self.rejected.is_none() && self.listeners.iter().any(Listener::is_served)
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
            addresses: self.exposure.clone().ok().filter(|_| self.is_any_served()).unwrap_or_default(),
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

    /// A message, and what of the parameters has no effect.
    fn with_notes(&self, message: String) -> String {
        let service = self.parameters.kube.as_ref().and_then(|kube| kube.service.as_ref());
        let ports = service.and_then(|service| service.ports.as_ref()).into_iter().flatten();
        let has_listener = |port: u16| self.listeners.iter().any(|listener| listener.port == Some(port));
        let portless = ports.filter(|port| !has_listener(port.port)).map(|port| {
            format!("spec.kube.service.ports: port {} is not opened, since no listener has it", port.port)
        });
        let notes = self.parameters.notes.iter().cloned().chain(portless);
        std::iter::once(message).chain(notes).collect::<Vec<_>>().join("; ")
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
            let message = self.with_notes("the Gateway is valid".to_owned());
            Condition::good(ConditionType::Accepted, Reason::Accepted, message)
        } else {
            let message = self.with_notes(format!("not every listener is valid: see {}", invalid.join(", ")));
            let condition = Condition::good(ConditionType::Accepted, Reason::ListenersNotValid, message);
            Condition { status: valid > 0, ..condition }
        };
        let unbound: Vec<_> =
            self.listeners.iter().filter_map(|listener| listener.unbound.as_deref()).collect();
        let programmed = match unbound.first() {
            _ if valid > 0 && self.exposure.is_err() => {
                let message = self.exposure.as_ref().err().cloned().unwrap_or_default();
                Condition::bad(ConditionType::Programmed, Reason::AddressNotAssigned, message)
            }
            _ if valid > 0 => {
                Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy")
            }
            Some(first) => Condition::bad(ConditionType::Programmed, Reason::AddressNotUsable, *first),
            None => Condition::bad(ConditionType::Programmed, Reason::Invalid, "no listener is valid"),
        };
        [accepted, programmed].into_iter().chain(left_out(self.gateway)).collect()
    }
}
