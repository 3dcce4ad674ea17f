//! Which listeners of a Gateway are valid, and what stands against the others.
//!
//! What they refer to (certificates) is looked at in [`super::tls`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::Kind;
use crds::NamespacedName;
use crds::gateway_api::gateways::GatewayListenersTlsMode as TlsMode;
use crds::gateway_api::{self, Gateway, ListenerSet};
use ir::{Hostname, RouteTableId};

use super::listener_filters;
use super::tls::{self, ListenerTls};
use super::validate;
pub(crate) use crate::status::Rejection;
use crate::status::{Condition, ConditionType, Detail, Reason};

/// A listener of a Gateway with what was found out about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listener {
    pub spec: gateway_api::Listener,
    /// The ListenerSet that adds it; `None` for the Gateway's own.
    pub set: Option<NamespacedName>,
    /// What it is called among all listeners of the Gateway, as whoever keeps it shares it: its name, after that of its
    /// ListenerSet if it has one (`namespace/set/listener`).
    pub name: Arc<str>,
    /// The hosts that it serves.
    pub hostname: Hostname,
    /// `None` if the number is no port.
    pub port: Option<u16>,
    /// `None` if it is none that we serve.
    pub protocol: Option<ListenerProtocol>,
    /// The table of the HTTP routes that attach; `None` if it speaks something else, or has no port.
    pub table: Option<Arc<RouteTableId>>,
    /// The kinds of routes that may attach, as (group, kind).
    pub kinds: Vec<(String, String)>,
    /// What stands against accepting it.
    pub rejected: Option<Rejection>,
    /// What is wrong with `allowedRoutes.kinds`.
    pub invalid_kinds: Option<Detail>,
    /// Whether another listener of the Gateway excludes it, and why.
    pub conflict: Option<Rejection>,
    /// What its TLS needs.
    pub tls: ListenerTls,
    /// Why the proxy cannot have it although it is valid (the port).
    pub unbound: Option<String>,
}

/// What a listener does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
    /// HTTP in TLS, which ends here.
    Https,
    /// Anything in TLS, which ends here.
    TlsTerminate,
    /// Anything in TLS, which ends at a backend.
    TlsPassthrough,
    /// Connections of any kind.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What protocols have to have in common on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    /// A request says which listener it is for.
    Plain,
    /// Nothing says it: there is one listener.
    Bytes,
    /// The server name of the handshake says which listener a connection is for.
    Tls,
}

impl ListenerProtocol {
    /// What a listener asks for.
    ///
    /// # Errors
    /// Nothing that we serve.
    fn of(spec: &gateway_api::Listener) -> Result<Self, Rejection> {
        let mode = spec.tls.as_ref().and_then(|tls| tls.mode.as_ref()).unwrap_or(&TlsMode::Terminate);
        match (spec.protocol.as_str(), mode) {
            ("HTTP", _) => Ok(Self::Http),
            ("HTTPS", TlsMode::Terminate) => Ok(Self::Https),
            ("HTTPS", TlsMode::Passthrough) => {
                let text = "an HTTPS listener ends TLS; Passthrough is for protocol TLS";
                Err(Rejection::at(Reason::UnsupportedValue, "tls.mode", text))
            }
            ("TLS", TlsMode::Terminate) => Ok(Self::TlsTerminate),
            ("TLS", TlsMode::Passthrough) => Ok(Self::TlsPassthrough),
            ("TCP", _) => Ok(Self::Tcp),
            ("UDP", _) => Ok(Self::Udp),
            (other, _) => {
                let text = format!("{other:?} is not supported; HTTP, HTTPS, TLS, TCP and UDP are");
                Err(Rejection::at(Reason::UnsupportedProtocol, "protocol", text))
            }
        }
    }

    /// Whether its TLS ends here.
    pub(crate) fn ends_tls(self) -> bool {
        matches!(self, Self::Https | Self::TlsTerminate)
    }

    fn family(self) -> Family {
        match self {
            Self::Http => Family::Plain,
            Self::Tcp | Self::Udp => Family::Bytes,
            Self::Https | Self::TlsTerminate | Self::TlsPassthrough => Family::Tls,
        }
    }

    /// The kinds of routes that it can carry.
    fn kinds(self) -> Vec<(String, String)> {
        let kinds: &[Kind] = match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Self::TlsTerminate | Self::TlsPassthrough => &[Kind::TlsRoute],
            Self::Tcp => &[Kind::TcpRoute],
            Self::Udp => &[Kind::UdpRoute],
        };
        kinds.iter().map(|kind| (kind.info().group.to_owned(), kind.info().kind.to_owned())).collect()
    }
}

/// Looks at every listener of a Gateway, alone and beside the others.
pub(crate) fn listeners(gateway: &Gateway, sets: &[Arc<ListenerSet>]) -> Vec<Listener> {
    let own = gateway.spec.listeners.iter().cloned();
    let mut listeners: Vec<_> = own.map(|spec| Listener::new(spec, None)).collect();
    find_conflicts(&mut listeners);
    for set in sets {
        for spec in &set.spec.listeners {
            let mut listener = Listener::new(spec.clone(), Some(NamespacedName::of(&set.metadata)));
            listener.conflict = conflict_with_earlier(&listener, &listeners);
            listeners.push(listener);
        }
    }
    listeners
}

/// The ListenerSet of a listener of that name (see [`Listener::name`]); `None` for a Gateway's own.
pub(crate) fn set_of(listener: &str) -> Option<NamespacedName> {
    let (set, _) = listener.rsplit_once('/')?;
    let (namespace, name) =
        set.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())?;
    Some(NamespacedName::new(namespace, name))
}

impl Listener {
    fn new(spec: gateway_api::Listener, set: Option<NamespacedName>) -> Self {
        let port = u16::try_from(spec.port).ok().filter(|port| *port > 0);
        let (hostname, hostname_error) = match spec.hostname.as_deref() {
            None | Some("") => (Hostname::Any, None),
            Some(text) => match validate::hostname(text) {
                Ok(hostname) => (hostname, None),
                Err(error) => (Hostname::Any, Some(error)),
            },
        };
        let protocol = ListenerProtocol::of(&spec);
        let supported = protocol.as_ref().map(|protocol| protocol.kinds()).unwrap_or_default();
        let (kinds, invalid_kinds) = allowed_kinds(&spec, &supported);
        let rejected = if let Err(rejection) = &protocol {
            Some(rejection.clone())
        } else if let Some(error) = hostname_error {
            Some(Rejection::at(Reason::Invalid, "hostname", error))
        } else if port.is_none() {
            let text = format!("{} is not a port number", spec.port);
            Some(Rejection::at(Reason::Invalid, "port", text))
        } else if spec.tls.is_some()
            && matches!(protocol, Ok(ListenerProtocol::Http | ListenerProtocol::Tcp | ListenerProtocol::Udp))
        {
            let article = if spec.protocol == "HTTP" { "an" } else { "a" };
            let text = format!("{article} {} listener has none", spec.protocol);
            Some(Rejection::at(Reason::UnsupportedValue, "tls", text))
        } else if hostname != Hostname::Any
            && matches!(protocol, Ok(ListenerProtocol::Tcp | ListenerProtocol::Udp))
        {
            let text = format!("a {} listener has none", spec.protocol);
            Some(Rejection::at(Reason::UnsupportedValue, "hostname", text))
        } else {
            tls::refused_options(&spec).or_else(|| listener_filters::refused(&spec))
        };
        let protocol = protocol.ok();
        let https = match protocol {
            Some(ListenerProtocol::Http) => Some(None),
            Some(ListenerProtocol::Https) => Some(Some(hostname.clone())),
            _ => None,
        };
        let table = https.zip(port).map(|(https, port)| Arc::new(RouteTableId { port, https }));
        let name = match &set {
            None => spec.name.as_str().into(),
            Some(set) => format!("{set}/{}", spec.name).into(),
        };
        Self {
            spec,
            set,
            name,
            hostname,
            port,
            protocol,
            table,
            kinds,
            rejected,
            invalid_kinds,
            conflict: None,
            tls: ListenerTls::default(),
            unbound: None,
        }
    }

    /// The namespace of the object that it stands in.
    pub(crate) fn namespace<'a>(&'a self, gateway: &'a NamespacedName) -> &'a str {
        &self.set.as_ref().unwrap_or(gateway).namespace
    }

    /// Its port, and whether that is one of UDP.
    fn port_and_transport(&self) -> (i32, bool) {
        (self.spec.port, self.protocol == Some(ListenerProtocol::Udp))
    }

    /// What it is called in messages.
    fn described(&self) -> String {
        match &self.set {
            None => format!("listener {}", self.spec.name),
            Some(set) => format!("listener {} of ListenerSet {set}", self.spec.name),
        }
    }

    /// Whether its port is its own, or shared with others that it goes with. It may still be one that cannot be served.
    pub(crate) fn has_its_port(&self) -> bool {
        self.rejected.is_none() && self.conflict.is_none() && self.unbound.is_none()
    }

    /// Whether the proxy shall have it.
    pub(crate) fn is_served(&self) -> bool {
        self.has_its_port() && self.tls_problem().is_none()
    }

    /// The table of its HTTP routes, if it is served.
    pub(crate) fn served_table(&self) -> Option<&Arc<RouteTableId>> {
        self.table.as_ref().filter(|_| self.is_served())
    }

    /// Why its TLS cannot be served.
    fn tls_problem(&self) -> Option<&Rejection> {
        let lacks_certificate =
            self.protocol.is_some_and(ListenerProtocol::ends_tls) && self.tls.certificates.is_empty();
        let missing = self.tls.ref_errors.first().filter(|_| lacks_certificate);
        self.tls.rejected.as_ref().or(missing)
    }

    /// Its conditions. What its filters refer to is looked up apart.
    pub(crate) fn conditions(&self, of_filters: &[Rejection]) -> Vec<Condition> {
        let unbound = self.unbound.as_ref().map(|text| Rejection::at(Reason::PortUnavailable, "port", text));
        let rejection = self.conflict.as_ref().or(self.rejected.as_ref());
        let rejection = rejection.or(self.tls.rejected.as_ref()).or(unbound.as_ref());
        let accepted = match rejection {
            None => Condition::good(ConditionType::Accepted, Reason::Accepted, "the listener is valid"),
            Some(rejection) => Condition::rejected(ConditionType::Accepted, rejection),
        };
        let programmed = match rejection.or(self.tls_problem()) {
            None => Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy"),
            Some(rejection) => {
                let reason = self.conflict.as_ref().map_or(Reason::Invalid, |conflict| conflict.reason);
                Condition::bad(ConditionType::Programmed, reason, rejection.message()).following()
            }
        };
        let conflicted = match &self.conflict {
            None => Condition::good(ConditionType::Conflicted, Reason::NoConflicts, "no conflict"),
            Some(rejection) => Condition::rejected(ConditionType::Conflicted, rejection),
        };
        let overlap = self.tls.overlap.as_ref().map(|rejection| {
            Condition::bad(ConditionType::OverlappingTLSConfig, rejection.reason, rejection.message())
        });
        [accepted, self.resolved_refs(of_filters), programmed, conflicted]
            .into_iter()
            .chain(overlap)
            .collect()
    }

    fn resolved_refs(&self, of_filters: &[Rejection]) -> Condition {
        let kinds = self.invalid_kinds.clone();
        let kinds = kinds.map(|detail| Rejection { reason: Reason::InvalidRouteKinds, detail });
        let errors: Vec<_> = self.tls.ref_errors.iter().chain(of_filters).chain(&kinds).collect();
        let details = errors.iter().map(|error| error.detail.clone()).collect();
        Condition::resolved_refs(errors.first().map(|first| first.reason), details)
    }
}

/// The kinds that the listener allows out of those that it can carry, and what is wrong.
fn allowed_kinds(
    spec: &gateway_api::Listener,
    supported: &[(String, String)],
) -> (Vec<(String, String)>, Option<Detail>) {
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
        let protocol = &spec.protocol;
        let text = match supported.is_empty() {
            true => {
                format!("routes of kind {} at protocol {protocol} are not supported yet", names.join(", "))
            }
            false => format!("a listener of protocol {protocol} cannot have {}", names.join(", ")),
        };
        Detail::at("allowedRoutes.kinds", text)
    });
    (valid, error)
}

/// Listeners on one port must speak one protocol and have distinct hostnames; all that clash lose
/// (Gateway API, `GatewaySpec`, field `listeners`).
///
/// A listener that is not valid anyway takes nothing from another, and a UDP port is another port than the TCP port of the
/// same number.
fn find_conflicts(listeners: &mut [Listener]) {
    let mut by_port: BTreeMap<(i32, bool), Vec<usize>> = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate().filter(|(_, listener)| listener.rejected.is_none())
    {
        by_port.entry(listener.port_and_transport()).or_default().push(index);
    }
    let mut found = Vec::new();
    for ((port, _), indexes) in by_port {
        let same_port: Vec<_> =
            indexes.iter().filter_map(|&index| Some((index, listeners.get(index)?))).collect();
        let families = same_port.iter().filter_map(|(_, listener)| listener.protocol);
        let families: BTreeSet<_> = families.map(ListenerProtocol::family).collect();
        for (index, listener) in &same_port {
            let twin =
                same_port.iter().find(|(other, twin)| other != index && twin.hostname == listener.hostname);
            if families.len() > 1 {
                let text = format!("{port} is wanted for several protocols that do not go together");
                found.push((*index, Rejection::at(Reason::ProtocolConflict, "port", text)));
            } else if let Some((_, twin)) = twin {
                found.push((*index, same_hostname(twin)));
            }
        }
    }
    for (index, conflict) in found {
        if let Some(listener) = listeners.get_mut(index) {
            listener.conflict = Some(conflict);
        }
    }
}

/// What stands against a listener of a ListenerSet in those that go before it: unlike among a Gateway's own, the earlier
/// one has what both want (Gateway API, `ListenerSetSpec`). A Gateway's own listener keeps it also where it has lost to
/// another one of its own: nobody else shall get hosts that the Gateway names.
fn conflict_with_earlier(listener: &Listener, earlier: &[Listener]) -> Option<Rejection> {
    if listener.rejected.is_some() {
        return None;
    }
    let stands =
        |other: &&Listener| other.rejected.is_none() && (other.set.is_none() || other.conflict.is_none());
    let is_here = |other: &&Listener| other.port_and_transport() == listener.port_and_transport();
    let same_port: Vec<_> = earlier.iter().filter(is_here).filter(stands).collect();
    let family = |listener: &Listener| listener.protocol.map(ListenerProtocol::family);
    if let Some(other) = same_port.iter().find(|other| family(other) != family(listener)) {
        let text = format!(
            "{} is wanted by {} for a protocol that does not go together with this one",
            listener.spec.port,
            other.described()
        );
        return Some(Rejection::at(Reason::ProtocolConflict, "port", text));
    }
    same_port.into_iter().find(|other| other.hostname == listener.hostname).map(same_hostname)
}

fn same_hostname(twin: &Listener) -> Rejection {
    let text =
        format!("{} has the same hostname {} on port {}", twin.described(), twin.hostname, twin.spec.port);
    Rejection::at(Reason::HostnameConflict, "hostname", text)
}
