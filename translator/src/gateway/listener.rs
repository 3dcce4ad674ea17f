//! Which listeners of a Gateway are valid, and what stands against the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_api::{self, Gateway, gateways};
use ir::Hostname;

use super::validate;
pub(crate) use crate::status::Rejection;
use crate::status::{Condition, ConditionType, Reason};

/// A listener of a Gateway with what was found out about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listener {
    pub spec: gateways::GatewayListeners,
    /// Its name, as whoever keeps it shares it.
    pub name: Arc<str>,
    /// The hosts that it serves.
    pub hostname: Hostname,
    /// `None` if the number is no port.
    pub port: Option<u16>,
    /// The kinds of routes that may attach, as (group, kind).
    pub kinds: Vec<(String, String)>,
    /// What stands against accepting it.
    pub rejected: Option<Rejection>,
    /// What is wrong with `allowedRoutes.kinds`.
    pub invalid_kinds: Option<String>,
    /// Whether another listener of the Gateway excludes it, and why.
    pub conflict: Option<Rejection>,
    /// Why the proxy cannot have it although it is valid (the port).
    pub unbound: Option<String>,
}

/// Looks at every listener of a Gateway, alone and beside the others.
pub(crate) fn listeners(gateway: &Gateway) -> Vec<Listener> {
    let mut listeners: Vec<_> = gateway.spec.listeners.iter().map(Listener::new).collect();
    find_conflicts(&mut listeners);
    listeners
}

impl Listener {
    fn new(spec: &gateways::GatewayListeners) -> Self {
        let port = u16::try_from(spec.port).ok().filter(|port| *port > 0);
        let (hostname, hostname_error) = match spec.hostname.as_deref() {
            None | Some("") => (Hostname::Any, None),
            Some(text) => match validate::hostname(text) {
                Ok(hostname) => (hostname, None),
                Err(error) => (Hostname::Any, Some(error)),
            },
        };
        let supported = supported_kinds(&spec.protocol);
        let (kinds, invalid_kinds) = allowed_kinds(spec, &supported);
        let rejected = if supported.is_empty() {
            let message = format!("protocol {:?} is not supported yet; HTTP is", spec.protocol);
            Some(Rejection::new(Reason::UnsupportedProtocol, message))
        } else if let Some(error) = hostname_error {
            Some(Rejection::new(Reason::Invalid, format!("hostname: {error}")))
        } else if port.is_none() {
            Some(Rejection::new(Reason::Invalid, format!("port: {} is not a port number", spec.port)))
        } else if spec.tls.is_some() {
            Some(Rejection::new(Reason::UnsupportedValue, "tls: an HTTP listener has none"))
        } else {
            None
        };
        Self {
            spec: spec.clone(),
            name: spec.name.as_str().into(),
            hostname,
            port,
            kinds,
            rejected,
            invalid_kinds,
            conflict: None,
            unbound: None,
        }
    }

    /// Whether the proxy shall have it.
    pub(crate) fn is_served(&self) -> bool {
        self.rejected.is_none() && self.conflict.is_none() && self.unbound.is_none()
    }

    /// Its conditions.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let unbound = self.unbound.as_ref().map(|message| Rejection::new(Reason::PortUnavailable, message));
        let rejection = self.conflict.as_ref().or(self.rejected.as_ref()).or(unbound.as_ref());
        let accepted = match rejection {
            None => Condition::good(ConditionType::Accepted, Reason::Accepted, "the listener is valid"),
            Some(Rejection { reason, message }) => {
                Condition::bad(ConditionType::Accepted, *reason, message.clone())
            }
        };
        let resolved = match &self.invalid_kinds {
            None => {
                Condition::good(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "every reference resolves")
            }
            Some(message) => {
                Condition::bad(ConditionType::ResolvedRefs, Reason::InvalidRouteKinds, message.clone())
            }
        };
        let programmed = match rejection {
            None => Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy"),
            Some(Rejection { message, .. }) => {
                Condition::bad(ConditionType::Programmed, Reason::Invalid, message.clone())
            }
        };
        let conflicted = match &self.conflict {
            None => Condition::good(ConditionType::Conflicted, Reason::NoConflicts, "no conflict"),
            Some(Rejection { reason, message }) => {
                Condition::bad(ConditionType::Conflicted, *reason, message.clone())
            }
        };
        vec![accepted, resolved, programmed, conflicted]
    }
}

/// The kinds of routes that a protocol can carry.
fn supported_kinds(protocol: &str) -> Vec<(String, String)> {
    match protocol {
        "HTTP" => vec![(gateway_api::GROUP.to_owned(), "HTTPRoute".to_owned())],
        _ => Vec::new(),
    }
}

/// The kinds that the listener allows out of those that it can carry, and what is wrong.
fn allowed_kinds(
    spec: &gateways::GatewayListeners,
    supported: &[(String, String)],
) -> (Vec<(String, String)>, Option<String>) {
    let wanted = spec.allowed_routes.as_ref().and_then(|allowed| allowed.kinds.as_ref());
    let Some(wanted) = wanted.filter(|kinds| !kinds.is_empty()) else {
        return (supported.to_vec(), None);
    };
    let wanted = wanted.iter().map(|kind| {
        let group = kind.group.clone().unwrap_or_else(|| gateway_api::GROUP.to_owned());
        (group, kind.kind.clone())
    });
    let (valid, invalid): (Vec<_>, Vec<_>) = wanted.partition(|kind| supported.contains(kind));
    let names: Vec<_> = invalid.iter().map(|(group, kind)| format!("{kind}.{group}")).collect();
    let error = (!names.is_empty()).then(|| {
        format!(
            "allowedRoutes.kinds: a listener of protocol {} cannot have {}",
            spec.protocol,
            names.join(", ")
        )
    });
    (valid, error)
}

/// Listeners on one port must speak one protocol and have distinct hostnames; all that clash lose
/// (Gateway API, `GatewaySpec`, field `listeners`).
///
/// A listener that is not valid anyway takes nothing from another, and a UDP port is another port than the
/// TCP port of the same number.
fn find_conflicts(listeners: &mut [Listener]) {
    let mut by_port: BTreeMap<(bool, i32), Vec<usize>> = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate().filter(|(_, listener)| listener.rejected.is_none())
    {
        let is_udp = listener.spec.protocol == "UDP";
        by_port.entry((is_udp, listener.spec.port)).or_default().push(index);
    }
    let mut found = Vec::new();
    for ((_, port), indexes) in by_port {
        let same_port: Vec<_> =
            indexes.iter().filter_map(|&index| Some((index, listeners.get(index)?))).collect();
        let protocols: BTreeSet<_> = same_port.iter().map(|(_, listener)| &listener.spec.protocol).collect();
        for (index, listener) in &same_port {
            let twin =
                same_port.iter().find(|(other, twin)| other != index && twin.hostname == listener.hostname);
            if protocols.len() > 1 {
                let message = format!("port {port} is wanted for several protocols");
                found.push((*index, Rejection::new(Reason::ProtocolConflict, message)));
            } else if let Some((_, twin)) = twin {
                let message = format!(
                    "listener {} has the same hostname {} on port {port}",
                    twin.spec.name, twin.hostname
                );
                found.push((*index, Rejection::new(Reason::HostnameConflict, message)));
            }
        }
    }
    for (index, conflict) in found {
        if let Some(listener) = listeners.get_mut(index) {
            listener.conflict = Some(conflict);
        }
    }
}
