//! The status of a Gateway.

use std::collections::BTreeSet;

use crds::NamespacedName;
use crds::gateway_api::Gateway;
use crds::gateway_api::gateways::GatewayDefaultScope;

use super::infra::proxy_name;
use super::listener::Listener;
use super::{class, exposure, listener_filters, reserved_metadata, tls};
use crate::Addressing;
use crate::gateway::facts::{GatewayFace, Placed, gateway_ref};
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
    let exposure = exposure(view, key, &face, &placed);
    let summary = Summary { face: &face, placed: &placed, exposure };
    let facts = GatewayFacts {
        addresses: summary.addresses(),
        conditions: summary.conditions(),
        listeners: summary.own().map(|listener| listener_facts(view, key, &face, listener)).collect(),
        attached_listener_sets: summary.attached_listener_sets(),
    };
    Some(Report {
        object: gateway_ref(key),
        generation: face.gateway.metadata.generation.unwrap_or_default(),
        facts: Facts::Gateway(facts),
    })
}

/// Where clients find a Gateway, or why they do not yet: in a cluster what its Service says, else what it binds.
pub(super) fn exposure(
    view: &impl View,
    key: &NamespacedName,
    face: &GatewayFace,
    placed: &Placed,
) -> Result<Vec<StatusAddress>, Rejection> {
    if let Some(unusable) = &face.wanted.unusable {
        return Err(unusable.clone());
    }
    if view.settings().addressing == Addressing::Service {
        let name = proxy_name(&key.name, &face.gateway.spec.gateway_class_name);
        let given = exposure::addresses(view, key, &face.gateway, &name)
            .map_err(|message| Rejection::new(Reason::AddressNotAssigned, message))?;
        return face.wanted.of_given(given);
    }
    let bound = placed.addresses.iter().filter(|address| !address.is_unspecified());
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

    /// Its own listeners.
    fn own(&self) -> impl Iterator<Item = &Listener> {
        self.placed.listeners.iter().filter(|listener| listener.set.is_none())
    }

    /// How many ListenerSets add a listener that is served.
    fn attached_listener_sets(&self) -> i32 {
        let sets: BTreeSet<_> = self.placed.served().filter_map(|listener| listener.set.as_ref()).collect();
        i32::try_from(sets.len()).unwrap_or(i32::MAX)
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
        let invalid = self.own().filter(|listener| !listener.is_served());
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

/// What to tell about a listener of a Gateway, its own or that of a ListenerSet.
pub(super) fn listener_facts(
    view: &impl View,
    gateway: &NamespacedName,
    face: &GatewayFace,
    listener: &Listener,
) -> ListenerFacts {
    let mut conditions = listener.conditions(&listener_filters::asked(view, gateway, listener).ref_errors);
    if let Some(rejection) = &face.rejected {
        conditions.retain(|condition| condition.kind != ConditionType::Programmed);
        conditions.push(invalid(rejection));
    }
    ListenerFacts {
        name: listener.spec.name.clone(),
        port: listener.port,
        supported_kinds: listener.kinds.clone(),
        attached_routes: view.attached_routes(gateway, &listener.name),
        conditions,
    }
}

/// What a Gateway asks for that is left out, while the rest is served: none of it concerns the
/// listeners of the Gateway's own.
fn left_out(gateway: &Gateway) -> Option<Condition> {
    let spec = &gateway.spec;
    let has_scope = spec.default_scope.as_ref().is_some_and(|scope| *scope != GatewayDefaultScope::None);
    let unsupported = has_scope.then(|| Detail::at("spec.defaultScope", "is not supported yet"));
    let faults: Vec<_> = unsupported.into_iter().chain(reserved_metadata::of_gateway(gateway)).collect();
    (!faults.is_empty())
        .then(|| Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, faults))
}
