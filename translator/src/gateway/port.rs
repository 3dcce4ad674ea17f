//! A port of a Gateway: the listener that the proxies open.

use ir::{
    Bind, DownstreamTls, FilterChainIr, Hostname, HttpChain, ListenerIr, ListenerName, Protocol, SecretName,
    Transport,
};

use super::listener::{Listener, ListenerProtocol};
use super::policy;
use crate::gateway::facts::{GatewayFace, GatewayKey, Placed, PortFace, PortListener};
use crate::gateway::view::View;

/// The listener on a port, for all listeners of the Gateway that share it; `None` if none is served.
pub(crate) fn port(view: &impl View, gateway: &GatewayKey, port: u16) -> Option<PortFace> {
    let (face, placed) = (view.gateway(gateway)?, view.placement(gateway)?);
    let listeners: Vec<_> = placed.on_ports().filter(|listener| listener.port == Some(port)).collect();
    let chain = Chain { view, gateway, face: &face, placed: &placed };
    let first = listeners.iter().find(|listener| listener.is_served())?;
    let (name, transport, mut chains) = match first.protocol? {
        ListenerProtocol::Http => (ListenerName::http(port), Transport::Plain, vec![chain.plain(first)]),
        ListenerProtocol::Https | ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough => {
            let chains = listeners.iter().map(|listener| chain.tls(listener, port));
            (ListenerName::tls(port), Transport::Tls, chains.collect())
        }
    };
    chains.sort_by(|left, right| left.server_name.cmp(&right.server_name));
    let bind = Bind { addresses: placed.addresses.clone(), port };
    let listeners = listeners.iter().map(|listener| PortListener {
        name: listener.name.clone(),
        hostname: listener.hostname.clone(),
        table: listener.served_table().cloned(),
    });
    let listeners = listeners.collect();
    Some(PortFace { listener: ListenerIr { name, bind, transport, chains }, listeners })
}

/// What the chains of a port are made from.
struct Chain<'a, V> {
    view: &'a V,
    gateway: &'a GatewayKey,
    face: &'a GatewayFace,
    placed: &'a Placed,
}

impl<V: View> Chain<'_, V> {
    /// All listeners of plain HTTP share one chain: which one a request belongs to, its host says.
    fn plain(&self, listener: &Listener) -> FilterChainIr {
        FilterChainIr { server_name: Hostname::Any, tls: None, protocol: self.http(listener) }
    }

    /// The connections of a listener with TLS. Those of one that is not served are closed: they must not become connections
    /// of a listener with a wider hostname, which may ask clients for less.
    fn tls(&self, listener: &Listener, port: u16) -> FilterChainIr {
        let certificate =
            |secret: &crds::NamespacedName| SecretName::certificate(&secret.namespace, &secret.name);
        let (tls, protocol) = match listener.protocol {
            Some(ListenerProtocol::Https) if listener.is_served() => {
                let certificates = listener.tls.certificates.iter().map(certificate).collect();
                let client_validation = listener.tls.client_validation(port);
                (Some(DownstreamTls { certificates, client_validation }), self.http(listener))
            }
            _ => (None, Protocol::Closed),
        };
        FilterChainIr { server_name: listener.hostname.clone(), tls, protocol }
    }

    fn http(&self, listener: &Listener) -> Protocol {
        let Self { view, gateway, face, placed } = self;
        let Some(table) = listener.served_table() else { return Protocol::Closed };
        Protocol::Http(HttpChain {
            table: table.clone(),
            escaped_slashes: face.escaped_slashes,
            observability: policy::observability(*view, gateway, placed, table),
        })
    }
}
