//! The status of a Gateway.

use std::net::IpAddr;

use crds::gateway_api::gateways::{
    GatewayAllowedListenersNamespacesFrom as AllowedListenersFrom, GatewayDefaultScope,
};
use crds::gateway_api::{self, Gateway};
use crds::{NamespacedName, ObjectRef};

use super::infra::proxy_name;
use super::{class, exposure, reserved_metadata, tls};
use crate::Addressing;
use crate::gateway::facts::{GatewayFace, Placed};
use crate::gateway::view::View;
use crate::status::{
    Condition, ConditionType, Detail, Facts, GatewayFacts, ListenerFacts, Reason, Rejection, Report,
    StatusAddress,
};

/// What to tell about a Gateway; `None` where it is somebody else's.
pub(crate) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let (Some(face), Some(placed)) = (view.gateway(key), view.placement(key)) else {
        return class::report_of_classless(view, key);
    };
    let given = exposure(view, key, &face.gateway, &placed.addresses)
        .map_err(|message| Rejection::new(Reason::AddressNotAssigned, message));
    let exposure = match (&face.wanted.unusable, given) {
        (Some(unusable), _) => Err(unusable.clone()),
        (None, Ok(given)) if view.settings().addressing == Addressing::Service => face.wanted.of_given(given),
        (None, given) => given,
    };
    let summary = Summary { face: &face, placed: &placed, exposure };
    let facts = GatewayFacts {
        addresses: summary.addresses(),
        conditions: summary.conditions(),
        listeners: summary.listeners(|listener| view.attached_routes(key, listener)),
    };
    Some(Report {
        object: ObjectRef::namespaced(gateway_api::GROUP, "Gateway", &key.namespace, &key.name),
        generation: face.gateway.metadata.generation.unwrap_or_default(),
        facts: Facts::Gateway(facts),
    })
}

/// Where clients find a Gateway, or why they do not yet: in a cluster what its Service says, else what it binds.
fn exposure(
    view: &impl View,
    key: &NamespacedName,
    gateway: &Gateway,
    bound: &[IpAddr],
) -> Result<Vec<StatusAddress>, String> {
    if view.settings().addressing == Addressing::Service {
        let name = proxy_name(&key.name, &gateway.spec.gateway_class_name);
        return exposure::addresses(view, key, gateway, &name);
    }
    let bound = bound.iter().filter(|address| !address.is_unspecified());
    Ok(bound.map(|address| StatusAddress::Ip(address.to_string())).collect())
}

/// Says of what is rejected with the Gateway that no proxy has it.
fn invalid(rejection: &Rejection) -> Condition {
    Condition::bad(ConditionType::Programmed, Reason::Invalid, rejection.message()).following()
}

struct Summary<'a> {
    face: &'a GatewayFace,
    placed: &'a Placed,
    exposure: Result<Vec<StatusAddress>, Rejection>,
}

impl Summary<'_> {
    fn addresses(&self) -> Vec<StatusAddress> {
        self.exposure.clone().ok().filter(|_| self.placed.is_served()).unwrap_or_default()
    }

    fn listeners(&self, attached: impl Fn(&str) -> i32) -> Vec<ListenerFacts> {
        let facts = self.placed.listeners.iter().map(|listener| {
            let mut conditions = listener.conditions();
            if let Some(rejection) = &self.face.rejected {
                conditions.retain(|condition| condition.kind != ConditionType::Programmed);
                conditions.push(invalid(rejection));
            }
            ListenerFacts {
                name: listener.spec.name.clone(),
                port: listener.port,
                supported_kinds: listener.kinds.clone(),
                attached_routes: attached(&listener.spec.name),
                conditions,
            }
        });
        facts.collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        if let Some(rejection) = &self.face.rejected {
            return vec![Condition::rejected(ConditionType::Accepted, rejection), invalid(rejection)];
        }
        let mut conditions = vec![self.accepted(), self.programmed()];
        conditions.extend(self.resolved_refs());
        conditions.extend(tls::insecure_mode(&self.face.gateway));
        conditions.extend(left_out(&self.face.gateway));
        conditions
    }

    fn accepted(&self) -> Condition {
        let invalid = self.placed.listeners.iter().filter(|listener| !listener.is_served());
        let invalid: Vec<_> = invalid.map(|listener| listener.spec.name.as_str()).collect();
        if invalid.is_empty() {
            let message = self.with_notes("the Gateway is valid".to_owned());
            return Condition::good(ConditionType::Accepted, Reason::Accepted, message);
        }
        let message = self.with_notes(format!("not every listener is valid: see {}", invalid.join(", ")));
        let condition = Condition::good(ConditionType::Accepted, Reason::ListenersNotValid, message);
        Condition { status: self.placed.is_served(), ..condition }.following()
    }

    /// About the certificate that is shown to backends, if there is to be one.
    fn resolved_refs(&self) -> Option<Condition> {
        let error = self.face.client_certificate.as_ref()?.as_ref().err();
        let details = error.iter().map(|rejection| rejection.detail.clone()).collect();
        Some(Condition::resolved_refs(error.map(|rejection| rejection.reason), details))
    }

    fn programmed(&self) -> Condition {
        let bad =
            |reason, message: &str| Condition::bad(ConditionType::Programmed, reason, message.to_owned());
        match (&self.exposure, self.placed.is_served()) {
            (Err(rejection), true) => Condition::rejected(ConditionType::Programmed, rejection),
            (Ok(_), true) => {
                Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy")
            }
            (_, false) => {
                let unbound = self.placed.listeners.iter().find_map(|listener| listener.unbound.as_deref());
                match unbound {
                    Some(first) => bad(Reason::AddressNotUsable, &format!("port {first}")).following(),
                    None => bad(Reason::Invalid, "no listener is valid").following(),
                }
            }
        }
    }

    /// A message, and what of the parameters has no effect.
    fn with_notes(&self, message: String) -> String {
        let parameters = &self.face.parameters;
        let service = parameters.kube.as_ref().and_then(|kube| kube.service.as_ref());
        let ports = service.and_then(|service| service.ports.as_ref()).into_iter().flatten();
        let has_listener =
            |port: u16| self.placed.listeners.iter().any(|listener| listener.port == Some(port));
        let portless = ports.filter(|port| !has_listener(port.port)).map(|port| {
            format!("spec.kube.service.ports: port {} is not opened, since no listener has it", port.port)
        });
        let notes = parameters.notes.iter().cloned().chain(portless);
        std::iter::once(message).chain(notes).collect::<Vec<_>>().join("; ")
    }
}

/// What a Gateway asks for that is left out, while the rest is served: none of it concerns the
/// listeners of the Gateway's own.
fn left_out(gateway: &Gateway) -> Option<Condition> {
    let spec = &gateway.spec;
    let other_listeners = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let other_listeners = other_listeners.and_then(|namespaces| namespaces.from.as_ref());
    let fields = [
        ("allowedListeners", other_listeners.is_some_and(|from| *from != AllowedListenersFrom::None)),
        (
            "defaultScope",
            spec.default_scope.as_ref().is_some_and(|scope| *scope != GatewayDefaultScope::None),
        ),
    ];
    let present = fields.iter().filter(|(_, present)| *present);
    let unsupported = present.map(|(field, _)| Detail::at(format!("spec.{field}"), "is not supported yet"));
    let faults: Vec<_> = unsupported.chain(reserved_metadata::of_gateway(gateway)).collect();
    (!faults.is_empty())
        .then(|| Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, faults))
}
