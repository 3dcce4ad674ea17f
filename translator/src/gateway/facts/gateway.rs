//! Classes and Gateways.

use std::net::IpAddr;
use std::sync::Arc;

use ai_config::MetricLabel;
use crds::gateway_api::Gateway;
use crds::gateway_parameters::{KubeParameters, Tracing};
use crds::{NamespacedName, ObjectKey};
use ir::{Certificate, EscapedSlashes, ProxyInfra};

use super::key::GatewayKey;
use crate::gateway::listener::Listener;
use crate::gateway::wanted_address::WantedAddresses;
use crate::status::{Rejection, Report};
use crate::xds::EncodedResource;

/// What a Gateway's parameters come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters {
    /// `None` if there are none, or if they have no effect here.
    pub kube: Option<Arc<KubeParameters>>,
    /// Where traces go.
    pub tracing: Option<Tracing>,
    /// Labels of the AI engine's metrics, beside its own.
    pub metric_labels: Vec<MetricLabel>,
    /// What has no effect, for the status.
    pub notes: Vec<String>,
}

/// A class whose Gateways we serve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassFace {
    /// Its parameters; `Ok(None)` if it names none.
    pub parameters: Result<Option<Parameters>, Rejection>,
    /// Whether it names parameters that have no effect here.
    pub has_idle_parameters: bool,
    /// The parameters that it names.
    pub named_parameters: Option<ObjectKey>,
    /// Its status; `None` for a class that exists by a setting alone.
    pub report: Option<Arc<Report>>,
}

/// What a Gateway of ours says, seen alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayFace {
    pub gateway: Arc<Gateway>,
    pub listeners: Vec<Listener>,
    pub parameters: Parameters,
    /// The parameters that it names itself.
    pub named_parameters: Option<ObjectKey>,
    pub escaped_slashes: EscapedSlashes,
    /// The Secret with the certificate that is shown to backends; `None` if it names none.
    pub client_certificate: Option<Result<NamespacedName, Rejection>>,
    /// The addresses that it asks for.
    pub wanted: WantedAddresses,
    /// Why it is not served at all.
    pub rejected: Option<Rejection>,
}

/// A Gateway of ours with its addresses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Which one. Whoever keeps its name takes this one, which costs no memory.
    pub gateway: GatewayKey,
    pub listeners: Vec<Listener>,
    pub addresses: Vec<IpAddr>,
    /// Whether it is rejected as a whole.
    pub is_rejected: bool,
}

/// A certificate with its key, in a Secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CertificateValue {
    /// What it is, or what is wrong with it, which never repeats anything of the key.
    pub result: Result<CertificateFacts, String>,
    /// `None` if it cannot be used.
    pub encoded: Option<Arc<EncodedResource>>,
}

/// What of a certificate others may know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CertificateFacts {
    /// The hosts that it is for; sorted, each once.
    pub names: Vec<String>,
    /// The certificate itself, with its key.
    pub certificate: Certificate,
}

/// Certificate authorities in a ConfigMap, PEM; or what is wrong with them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AuthoritiesValue(pub Result<Arc<str>, String>);

/// What is sent to the proxies of a Gateway by SDS, beside what its backends need. Nothing reads it, so that a
/// certificate that is renewed concerns nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewaySecrets {
    pub secrets: Vec<Arc<EncodedResource>>,
    /// Whether one of them is what is shown to backends.
    pub has_client_certificate: bool,
}

/// What a deployer must provide.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Names, addresses and ports.
    pub infra: ProxyInfra,
    /// How its pods are to be made; `None` if nobody said anything about it.
    pub parameters: Option<Arc<KubeParameters>>,
    /// Whether there is something to serve. A proxy that was made stays as it is while there is not: a mistake in an
    /// edit must not end what serves.
    pub is_served: bool,
}

impl Placed {
    /// Whether anything of it is served.
    pub(crate) fn is_served(&self) -> bool {
        self.served().next().is_some()
    }

    /// The listeners that have their port: those that are served, and those that keep their hosts from others although
    /// they cannot be served.
    pub(crate) fn on_ports(&self) -> impl Iterator<Item = &Listener> {
        let is_rejected = self.is_rejected;
        self.listeners.iter().filter(move |listener| !is_rejected && listener.has_its_port())
    }

    /// The listeners that are served.
    pub(crate) fn served(&self) -> impl Iterator<Item = &Listener> {
        let is_rejected = self.is_rejected;
        self.listeners.iter().filter(move |listener| !is_rejected && listener.is_served())
    }
}
