//! XBackends: a host outside of the cluster, or pods by their labels, with what is spoken to them and TLS (GEP-4894).
//!
//! The endpoints of pods come from EndpointSlices with a label of ours. In a cluster, Kubernetes makes them for a Service
//! without an address that the control plane keeps for each [`Selection`]; from files, the user writes them.

use std::collections::BTreeMap;

use crds::gateway_api::x_backend::{
    self, XBackend, XBackendProtocol, XBackendSpec, XBackendTls, XBackendTlsMode, XBackendType,
};
use crds::{Kind, NamespacedName, ObjectKey};
use ir::{
    ClusterIr, ClusterName, Discovery, Endpoint, HostPort, SecretIr, SecretName, SecretValue, UpstreamHttp,
    UpstreamProtocol, UpstreamTls,
};

use super::{ResolvedBackend, service, static_hosts, tls_validation};
use crate::Settings;
use crate::gateway::facts::{BackendProtocol, gateway_ref};
use crate::gateway::policy::reference;
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::tls::SecretRef;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{
    Condition, ConditionType, Detail, Facts, ParentFacts, Reason, Rejection, Report, XBackendForm,
};

/// The domain of Services, which are no hosts outside of the cluster.
const CLUSTER_DOMAIN: &str = ".cluster.local";

/// The longest value of a label.
const LONGEST_LABEL: usize = 63;

/// Pods for which somebody must keep EndpointSlices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The value of [`ir::X_BACKEND_LABEL`] at the EndpointSlices.
    pub label: String,
    /// The identity of the XBackend in its cluster; `None` outside one.
    pub uid: Option<String>,
    /// The labels of the pods, which are in the XBackend's namespace. Never empty.
    pub match_labels: BTreeMap<String, String>,
    /// Their port.
    pub port: u16,
}

/// What an XBackend says.
struct Reading {
    /// Where it is and how it is reached, or what is wrong with it.
    valid: Result<Valid, Rejection>,
    /// References that do not resolve.
    ref_errors: Vec<Rejection>,
}

struct Valid {
    place: Place,
    tls: Option<Tls>,
    protocol: Option<XBackendProtocol>,
}

/// TLS, and the secrets that it refers to.
struct Tls {
    tls: UpstreamTls,
    secrets: Vec<SecretIr>,
}

/// Where an XBackend is.
enum Place {
    Host(HostPort),
    /// The pods of EndpointSlices with that value of the label.
    Pods(String),
}

/// Resolves an XBackend that is spoken to in that way; `None` if there is no such object.
pub(super) fn resolve(
    view: &impl View,
    key: &NamespacedName,
    protocol: BackendProtocol,
) -> Option<Result<ResolvedBackend, Rejection>> {
    let backend = view.object::<XBackend>(key)?;
    let resolve = || {
        let Valid { place, tls, protocol: written } =
            read(view, key, backend).valid.map_err(|rejection| {
                let object = object_key(key).to_ref();
                let message = format!("{object} cannot be used: {}", rejection.message());
                Rejection::unusable(Reason::BackendNotFound, object, message)
            })?;
        let (tls, secrets) = tls.map_or((None, Vec::new()), |tls| (Some(tls.tls), tls.secrets));
        let http = UpstreamHttp::plain(spoken(key, protocol, written, tls.is_some())?);
        let discovery = match place {
            Place::Host(host) => static_hosts::discovery(vec![host]),
            Place::Pods(_) => Discovery::Endpoints,
        };
        let cluster = ClusterIr { name: cluster_name(key, protocol), discovery, tls, http, tuning: None };
        let websocket = written == Some(XBackendProtocol::Wss);
        let streams = written == Some(XBackendProtocol::Mcp);
        Ok(ResolvedBackend { secrets, websocket, streams, ..ResolvedBackend::plain(cluster) })
    };
    Some(resolve())
}

/// The endpoints of an XBackend, sorted; `None` if DNS finds them.
pub(super) fn endpoints(
    view: &impl View,
    key: &NamespacedName,
    protocol: BackendProtocol,
) -> Option<(ClusterName, Vec<Endpoint>)> {
    let backend = view.object::<XBackend>(key)?;
    let endpoints = match place(view.settings(), backend).ok()? {
        Place::Host(host) => static_hosts::as_endpoints(&[host])?,
        Place::Pods(label) => {
            let port = port(&backend.spec).ok()?;
            let label = NamespacedName::new(&key.namespace, label);
            let slices = view.slices_of_x_backend(&label);
            let endpoints = slices.flat_map(|slice| service::endpoints_at(slice, &key.namespace, port));
            service::usable(endpoints, false, view.settings())
        }
    };
    Some((cluster_name(key, protocol), endpoints))
}

/// The pods that EndpointSlices are needed for; `None` if an XBackend is not of that type, cannot be used, or is named by no
/// route of ours, nor by a policy of one.
pub(crate) fn selection(view: &impl View, key: &NamespacedName) -> Option<Selection> {
    let backend = view.object::<XBackend>(key)?;
    if view.gateways_naming(&object_key(key)).is_empty() {
        return None;
    }
    let Ok(Place::Pods(label)) = place(view.settings(), backend) else { return None };
    let match_labels = backend.spec.endpoint_selector.as_ref()?.match_labels.clone();
    let uid = backend.metadata.uid.clone();
    Some(Selection { label, uid, match_labels, port: port(&backend.spec).ok()? })
}

/// Which release of Gateway API an XBackend is written for. Only one that writes its port as 1.6 does is of 1.6.
pub(crate) fn form(backend: &XBackend) -> XBackendForm {
    match backend.spec.port.port {
        Some(_) => XBackendForm::V1_6,
        None => XBackendForm::V1_7,
    }
}

/// The status of an XBackend: an entry for each Gateway with a route that names it. `None` if there is none.
pub(super) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let backend = view.object::<XBackend>(key)?;
    let object = object_key(key);
    let gateways = view.gateways_naming(&object);
    let Reading { valid, ref_errors } = read(view, key, backend);
    let accepted = match &valid {
        Ok(valid) => {
            let accepted = Condition::good(ConditionType::Accepted, Reason::Accepted, "the backend is valid");
            match valid {
                // Gateway API, `BackendSpec.tls`: that is a risk.
                Valid { place: Place::Host(_), tls: None, .. } => accepted
                    .with_notes(&[Detail::at("spec.tls", "what is sent to this host is not encrypted")]),
                _ => accepted,
            }
        }
        Err(rejection) => Condition::rejected(ConditionType::Accepted, rejection),
    };
    let details = ref_errors.iter().map(|error| error.detail.clone()).collect();
    let resolved = Condition::resolved_refs(ref_errors.first().map(|first| first.reason), details);
    let ancestors = gateways.iter().map(|gateway| ParentFacts {
        parent_ref: reference(&gateway_ref(gateway).kind, gateway, None),
        conditions: vec![accepted.clone(), resolved.clone()],
    });
    let ancestors: Vec<_> = ancestors.collect();
    (!ancestors.is_empty()).then(|| Report {
        object: object.to_ref(),
        generation: backend.metadata.generation.unwrap_or_default(),
        facts: Facts::XBackend(form(backend), ancestors),
    })
}

fn object_key(key: &NamespacedName) -> ObjectKey {
    ObjectKey { kind: Kind::XBackend, name: key.clone() }
}

fn cluster_name(key: &NamespacedName, protocol: BackendProtocol) -> ClusterName {
    protocol.cluster_name(ClusterName::x_backend(&key.namespace, &key.name))
}

fn read(view: &impl View, key: &NamespacedName, backend: &XBackend) -> Reading {
    let spec = &backend.spec;
    let mut ref_errors = Vec::new();
    let mut valid = || {
        if spec.session_persistence.is_some() {
            let field = "spec.sessionPersistence";
            return Err(Rejection::at(Reason::UnsupportedValue, field, "is not supported"));
        }
        let place = place(view.settings(), backend)?;
        let tls = match &spec.tls {
            Some(tls) => read_tls(view, key, tls, &mut ref_errors)?,
            None => None,
        };
        fits(spec.protocol, tls.is_some())?;
        Ok(Valid { place, tls, protocol: spec.protocol })
    };
    let valid = valid();
    Reading { valid, ref_errors }
}

fn port(spec: &XBackendSpec) -> Result<u16, Rejection> {
    let number = spec.port.number.or(spec.port.port).and_then(|port| u16::try_from(port).ok());
    number.filter(|port| *port > 0).ok_or_else(|| {
        Rejection::at(Reason::Invalid, "spec.port.number", "is required: a number from 1 to 65535")
    })
}

fn place(settings: &Settings, backend: &XBackend) -> Result<Place, Rejection> {
    let spec = &backend.spec;
    let port = port(spec)?;
    let required = |field: &str| Rejection::at(Reason::Invalid, format!("spec.{field}"), "is required");
    match spec.r#type {
        XBackendType::ExternalHostname => {
            let external = spec.external_hostname.as_ref().ok_or_else(|| required("externalHostname"))?;
            let host = external.hostname.to_ascii_lowercase();
            is_external(&host, settings)?;
            Ok(Place::Host(settings.connect(HostPort { host, port })))
        }
        XBackendType::EndpointSelector => {
            let selector = spec.endpoint_selector.as_ref().ok_or_else(|| required("endpointSelector"))?;
            if selector.match_labels.is_empty() {
                // It would select every pod of the namespace.
                return Err(required("endpointSelector.matchLabels"));
            }
            let name = backend.metadata.name.as_deref().unwrap_or_default();
            // Names may be longer than the values of labels.
            let label =
                if name.len() <= LONGEST_LABEL { Some(name) } else { backend.metadata.uid.as_deref() };
            label.map(|label| Place::Pods(label.to_owned())).ok_or_else(|| {
                let text = "is longer than 63 characters, and EndpointSlices of files name it in a label";
                Rejection::at(Reason::Invalid, "metadata.name", text)
            })
        }
    }
}

/// A name of DNS that is not one of the cluster's own: no address, and no Service.
fn is_external(host: &str, settings: &Settings) -> Result<(), Rejection> {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let is_of_cluster = host.ends_with(CLUSTER_DOMAIN) || host == CLUSTER_DOMAIN.trim_start_matches('.');
    let text = if is_address {
        format!("{host} is an address, and a DNS name is wanted")
    } else if is_of_cluster {
        format!("{host} is a name of this cluster; type EndpointSelector leads to its pods")
    } else if !is_allowed_host(host, settings) {
        format!("the host {host} is one that a proxy may not be pointed at")
    } else {
        return Ok(());
    };
    Err(Rejection::at(Reason::Invalid, "spec.externalHostname.hostname", text))
}

fn read_tls(
    view: &impl View,
    key: &NamespacedName,
    spec: &XBackendTls,
    ref_errors: &mut Vec<Rejection>,
) -> Result<Option<Tls>, Rejection> {
    if spec.mode == XBackendTlsMode::None {
        return Ok(None);
    }
    let required = |field: &str| Rejection::at(Reason::Invalid, format!("spec.tls.{field}"), "is required");
    let NamespacedName { namespace, name } = key;
    let referrer = Party::new(x_backend::GROUP, "XBackend", namespace);
    let validation = spec.validation.as_ref().ok_or_else(|| required("validation"))?;
    let trust = SecretName::x_backend_trust(namespace, name);
    let validation = tls_validation::read(view, &referrer, "spec.tls.validation", validation, trust);
    ref_errors.extend(validation.authorities.errors.iter().cloned());
    let shown = (spec.mode == XBackendTlsMode::ClientAndServer).then(|| {
        let written = spec.client_certificate_ref.as_ref().ok_or_else(|| required("clientCertificateRef"))?;
        let secret = SecretRef {
            group: written.group.as_deref(),
            kind: written.kind.as_deref(),
            namespace: written.namespace.as_deref(),
            name: &written.name,
        };
        let secret = secret.resolve(view, &referrer, Reason::InvalidClientCertificateRef);
        let secret = secret.map_err(|error| error.within("spec.tls.clientCertificateRef"));
        secret.inspect_err(|error| ref_errors.push(error.clone()))
    });
    let tls = validation.tls.clone()?;
    let mut secrets = vec![validation.trust(view, &tls)];
    let mut client_certificate = None;
    if let Some(secret) = shown.transpose()? {
        let certificate = view.certificate(&secret);
        let certificate = certificate.and_then(|value| Some(value.result.as_ref().ok()?.certificate.clone()));
        secrets.extend(certificate.map(|certificate| SecretIr {
            name: SecretName::x_backend_certificate(namespace, name),
            value: SecretValue::Certificate(certificate),
        }));
        client_certificate = Some(SecretName::x_backend_certificate(namespace, name));
    }
    Ok(Some(Tls { tls: UpstreamTls { client_certificate, ..tls }, secrets }))
}

/// Whether a protocol and TLS go together. CRDs of 1.7 see to it, those of 1.6 do not.
fn fits(protocol: Option<XBackendProtocol>, has_tls: bool) -> Result<(), Rejection> {
    let text = match (protocol, has_tls) {
        (Some(XBackendProtocol::H2c), true) => "H2C is without TLS; HTTP/2 with TLS is HTTP2",
        (Some(XBackendProtocol::Http2), false) => "HTTP2 needs spec.tls; HTTP/2 without TLS is H2C",
        (Some(XBackendProtocol::Wss), false) => "WSS needs spec.tls",
        _ => return Ok(()),
    };
    Err(Rejection::at(Reason::UnsupportedProtocol, "spec.protocol", text))
}

/// What is spoken to an XBackend, given what the route wants and what it says itself.
fn spoken(
    key: &NamespacedName,
    route: BackendProtocol,
    written: Option<XBackendProtocol>,
    has_tls: bool,
) -> Result<UpstreamProtocol, Rejection> {
    use XBackendProtocol as P;
    let refuse = |text: &str| {
        let object = object_key(key).to_ref();
        Err(Rejection::new(Reason::UnsupportedProtocol, format!("{object}: {text}")))
    };
    match (route, written) {
        (BackendProtocol::Tls, _) if has_tls => {
            refuse("spec.tls cannot be carried out where the client's own TLS passes")
        }
        // Bytes pass as they are, whatever protocol they are of.
        (BackendProtocol::Tcp | BackendProtocol::Tls, _) => Ok(UpstreamProtocol::Raw),
        (BackendProtocol::Udp, _) => refuse("it has no UDP"),
        (BackendProtocol::Http | BackendProtocol::Grpc, Some(P::Tcp)) => {
            refuse("protocol TCP does not serve requests")
        }
        (BackendProtocol::Grpc, Some(P::Http11 | P::Mcp | P::Wss)) => {
            refuse("its protocol does not serve gRPC, which is HTTP/2")
        }
        (BackendProtocol::Grpc, _) | (_, Some(P::Http2 | P::H2c | P::Grpc)) => Ok(UpstreamProtocol::Http2),
        // Without TLS, it is HTTP/1.1.
        (_, Some(P::Http | P::Mcp)) => Ok(UpstreamProtocol::Alpn),
        (_, Some(P::Http11 | P::Wss) | None) => Ok(UpstreamProtocol::Http1),
    }
}
