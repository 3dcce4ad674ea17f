//! A port of a Gateway: the listener that the proxies open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ir::{
    Bind, DownstreamTls, FilterChainIr, FilterName, Hostname, HttpChain, L4FilterIr, L4Share, ListenerAuthIr,
    ListenerIr, ListenerName, ListenerPlaces, Observability, Protocol, SecretName, TracingIr, Transport,
};

use super::listener::{Listener, ListenerProtocol};
use super::listener_filters::{self, Asked};
use super::{collector, policy};
use crate::gateway::facts::{GatewayFace, GatewayKey, Placed, PortFace, PortListener};
use crate::gateway::view::View;

/// What is opened on a port, for all listeners of the Gateway that share it; `None` if none is served.
pub(crate) fn port(view: &impl View, gateway: &GatewayKey, port: u16) -> Option<PortFace> {
    let (face, placed) = (view.gateway(gateway)?, view.placement(gateway)?);
    let listeners: Vec<_> = placed.on_ports().filter(|listener| listener.port == Some(port)).collect();
    let (udp, listeners): (Vec<_>, Vec<_>) =
        listeners.into_iter().partition(|listener| listener.protocol == Some(ListenerProtocol::Udp));
    let asked: BTreeMap<_, _> = listeners
        .iter()
        .filter(|listener| listener.served_table().is_some())
        .map(|listener| (listener.name.clone(), listener_filters::asked(view, gateway, listener)))
        .collect();
    let tracing = face.parameters.tracing.as_ref().map(|tracing| collector::of_gateway(gateway, tracing));
    let (tracing, of_parameters) = tracing.unzip();
    let place = Place {
        view,
        gateway,
        face: &face,
        placed: &placed,
        bind: Bind { addresses: placed.addresses.clone(), port },
        tracing: tracing.clone(),
        asked: &asked,
    };
    let udp = udp.iter().find(|listener| listener.is_served()).map(|listener| place.datagrams(listener));
    let connections = place.connections(&listeners);
    let (listener, filters, udp) = match (connections, udp) {
        (Some((listener, filters)), udp) => (listener, filters, udp),
        (None, udp) => (udp?, Vec::new(), None),
    };
    let listeners = listeners.iter().map(|listener| PortListener {
        name: listener.name.clone(),
        hostname: listener.hostname.clone(),
        table: listener.served_table().cloned(),
        places: place.places(listener),
    });
    let collectors = listener.tables().flat_map(|table| policy::collectors(view, gateway, &placed, table));
    let is_used = |tracing: &TracingIr| listener.collectors().any(|cluster| cluster == tracing.collector());
    let of_parameters = of_parameters.filter(|_| tracing.as_ref().is_some_and(is_used));
    let mut backends: BTreeSet<_> = collectors.chain(of_parameters).collect();
    let mut named = backends.clone();
    for asked in asked.values() {
        backends.extend(asked.backends.iter().cloned());
        named.extend(asked.named.iter().cloned());
    }
    for backend in &backends {
        // It is asked for so that it exists.
        view.backend(backend);
    }
    let auth_filters = place.auth_filters(&listener);
    Some(PortFace { auth_filters, listeners: listeners.collect(), listener, filters, udp, backends, named })
}

/// A port of a Gateway.
struct Place<'a, V> {
    view: &'a V,
    gateway: &'a GatewayKey,
    face: &'a GatewayFace,
    placed: &'a Placed,
    bind: Bind,
    tracing: Option<TracingIr>,
    /// What the filters of its listeners come to, by listener.
    asked: &'a BTreeMap<Arc<str>, Asked>,
}

impl<V: View> Place<'_, V> {
    /// The listener for connections, and the filters that its chains name.
    fn connections(&self, listeners: &[&Listener]) -> Option<(ListenerIr, Vec<L4FilterIr>)> {
        let port = self.bind.port;
        let first = listeners.iter().find(|listener| listener.is_served())?;
        let mut filters = Vec::new();
        let (name, transport, mut chains) = match first.protocol? {
            ListenerProtocol::Http => {
                (ListenerName::http(port), Transport::Plain, vec![plain_chain(self.http(first, listeners))])
            }
            ListenerProtocol::Tcp => {
                let shares = self.shares_by_name(first).into_iter().next().map(|(_, shares)| shares);
                let (name, shares) = (FilterName::tcp(port), shares.unwrap_or_default());
                filters.push(L4FilterIr { name: name.clone(), server_name: Hostname::Any, shares });
                (ListenerName::tcp(port), Transport::Plain, vec![plain_chain(Protocol::Bytes(name))])
            }
            ListenerProtocol::Https | ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough => {
                let chains = listeners.iter().flat_map(|listener| {
                    let routed = self.routed_names(listener, listeners);
                    let own = self.tls_chain(listener);
                    // A host of the listener that no route takes is closed.
                    let own = Some(own).filter(|_| routed.iter().all(|(name, _)| *name != listener.hostname));
                    let tls = termination(listener, port);
                    let chains: Vec<_> = routed
                        .into_iter()
                        .map(|(server_name, shares)| {
                            let name = FilterName::tls(port, &server_name);
                            let protocol = Protocol::Bytes(name.clone());
                            filters.push(L4FilterIr { name, server_name: server_name.clone(), shares });
                            FilterChainIr { server_name, tls: tls.clone(), protocol }
                        })
                        .collect();
                    chains.into_iter().chain(own)
                });
                (ListenerName::tls(port), Transport::Tls, chains.collect())
            }
            ListenerProtocol::Udp => return None,
        };
        chains.sort_by(|left, right| left.server_name.cmp(&right.server_name));
        let listener = ListenerIr { name, bind: self.bind.clone(), transport, chains, datagrams: Vec::new() };
        Some((listener, filters))
    }

    /// The connections of a listener with TLS for which there is no route of their own. Those of one that is not served are
    /// closed: they must not become connections of a listener with a wider hostname, which may ask clients for less.
    fn tls_chain(&self, listener: &Listener) -> FilterChainIr {
        let (tls, protocol) = match listener.protocol {
            Some(ListenerProtocol::Https) if listener.is_served() => {
                (termination(listener, self.bind.port), self.http(listener, &[listener]))
            }
            _ => (None, Protocol::Closed),
        };
        FilterChainIr { server_name: listener.hostname.clone(), tls, protocol }
    }

    /// HTTP at a listener, which shares a chain with others.
    fn http(&self, listener: &Listener, sharing: &[&Listener]) -> Protocol {
        let Self { view, gateway, face, placed, tracing, bind, asked } = self;
        let Some(table) = listener.served_table() else { return Protocol::Closed };
        let places = sharing.iter().filter_map(|listener| Some(asked.get(&listener.name)?.questions.len()));
        let Observability { access_logs, tracing: of_policies, .. } =
            policy::observability(*view, gateway, placed, table);
        Protocol::Http(HttpChain {
            table: table.clone(),
            escaped_slashes: face.escaped_slashes,
            auth_filters: auth_filters(bind.port, places.max().unwrap_or_default().max(1)),
            client: policy::client_http(*view, gateway, placed, table),
            observability: Observability {
                access_logs,
                // A policy says it for listeners, the parameters for all that a Gateway does.
                tracing: of_policies.or_else(|| tracing.clone().map(Box::new)),
                labelling: face
                    .parameters
                    .metric_labels
                    .iter()
                    .map(|label| label.namespace.clone())
                    .collect(),
            },
        })
    }

    /// Where services are asked about the requests of a listener before a route is chosen; `None` if nowhere.
    fn places(&self, listener: &Listener) -> Option<Arc<ListenerPlaces>> {
        let places = self.asked.get(&listener.name)?.questions.len();
        let filters = auth_filters(self.bind.port, places);
        (places > 0).then(|| ListenerPlaces { listener: listener.name.clone(), filters }.into())
    }

    /// The filters that the chains of a listener name for that, with what each listener has asked there.
    fn auth_filters(&self, listener: &ListenerIr) -> Vec<ListenerAuthIr> {
        let names: BTreeSet<_> = listener.auth_filters().collect();
        let filters = auth_filters(self.bind.port, names.len()).into_iter().enumerate();
        let filters = filters.map(|(place, name)| {
            let questions = self.asked.iter().filter_map(|(listener, asked)| {
                Some((listener.clone(), asked.questions.get(place)?.clone()?))
            });
            ListenerAuthIr { name, questions: questions.collect() }
        });
        filters.collect()
    }

    /// The listener for datagrams.
    fn datagrams(&self, listener: &Listener) -> ListenerIr {
        let shares = self.shares_by_name(listener).into_iter().next();
        ListenerIr {
            name: ListenerName::udp(self.bind.port),
            bind: self.bind.clone(),
            transport: Transport::Udp,
            chains: Vec::new(),
            datagrams: shares.map(|(_, shares)| shares).unwrap_or_default(),
        }
    }

    /// Where the routes lead that a listener serves, by the hostname at the listener.
    fn shares_by_name(&self, listener: &Listener) -> Vec<(Hostname, Vec<L4Share>)> {
        let ends_tls = listener.protocol == Some(ListenerProtocol::TlsTerminate);
        let routes = self.view.l4_routes(self.gateway, &listener.name).into_iter();
        let served = routes.filter_map(|(hostname, route)| {
            let served = self.view.served(&route)?;
            let shares = if ends_tls { &served.route.shares_after_tls } else { &served.route.shares };
            Some((hostname, shares.clone()))
        });
        served.collect()
    }

    /// The server names that TLSRoutes of a listener take. A name that a listener with a more specific hostname covers is
    /// that one's.
    fn routed_names(&self, listener: &Listener, listeners: &[&Listener]) -> Vec<(Hostname, Vec<L4Share>)> {
        let is_routed = matches!(
            listener.protocol,
            Some(ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough)
        );
        if !is_routed || !listener.is_served() {
            return Vec::new();
        }
        let mut routed = self.shares_by_name(listener);
        routed.retain(|(name, _)| {
            let covering = listeners.iter().filter(|other| other.hostname.covers(name));
            let owner = covering.min_by(|left, right| left.hostname.cmp(&right.hostname));
            owner.is_some_and(|owner| owner.name == listener.name)
        });
        routed
    }
}

/// The filters of the first places at which services are asked about the requests of a port.
fn auth_filters(port: u16, places: usize) -> Vec<FilterName> {
    (0..places).map(|place| FilterName::listener_auth(port, place)).collect()
}

/// All listeners of plain HTTP share one chain: which one a request belongs to, its host says.
fn plain_chain(protocol: Protocol) -> FilterChainIr {
    FilterChainIr { server_name: Hostname::Any, tls: None, protocol }
}

/// How a listener ends TLS, if it does.
fn termination(listener: &Listener, port: u16) -> Option<DownstreamTls> {
    let certificate =
        |secret: &crds::NamespacedName| SecretName::certificate(&secret.namespace, &secret.name);
    let certificates = listener.tls.certificates.iter().map(certificate).collect();
    let client_validation = listener.tls.client_validation(port);
    listener.protocol?.ends_tls().then_some(DownstreamTls { certificates, client_validation })
}
