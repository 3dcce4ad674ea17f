//! GatewayExtensions, which policies refer to: what they say is read where it is carried out.

use crds::gateway_extension::{self, Extension, GatewayExtension};
use crds::identity::BackendReference;
use crds::{Kind, NamespacedName, ObjectKey};
use ir::{ClusterIr, ClusterName, Clusters, UpstreamProtocol};

use super::backend::{self, BackendRef};
use super::facts::{BackendFace, BackendKey, BackendProtocol};
use super::policy::rejection;
use super::view::View;
use super::{ext_auth, identity, limit_service, processor};
use crate::reference_grant::Party;
use crate::status::{Condition, ConditionType, Detail, Facts, Reason, Rejection, Report};

/// What the extension that a policy names comes to.
///
/// # Errors
/// The policy may not know it, there is none, or it cannot be used.
pub(super) fn of_policy<T>(
    view: &impl View,
    policy: &ObjectKey,
    namespace: Option<&str>,
    name: &str,
    read: impl FnOnce(&ObjectKey, &GatewayExtension) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let own = &policy.name.namespace;
    let key = NamespacedName::new(namespace.unwrap_or(own), name);
    let info = policy.kind.info();
    let (from, to) = (
        Party::new(info.group, info.kind, own),
        Party::new(gateway_extension::GROUP, gateway_extension::KIND, &key.namespace),
    );
    view.permitted(&from, &to, name)?;
    let key = ObjectKey { kind: Kind::GatewayExtension, name: key };
    let Some(extension) = view.object::<GatewayExtension>(&key.name) else {
        return Err(Rejection::missing(Reason::Invalid, key.to_ref()));
    };
    read(&key, extension).map_err(|error| {
        let text = format!("{}: {}", key.to_ref(), error.message());
        Rejection::unusable(error.reason, key.to_ref(), text)
    })
}

/// A backend that an object names.
///
/// # Errors
/// The object may not know it, or there is none; without the field.
pub(super) fn backend_of(
    view: &impl View,
    owner: &ObjectKey,
    reference: &BackendReference,
    protocol: BackendProtocol,
) -> Result<BackendFace, Rejection> {
    let BackendReference { group, kind, namespace, name, port, .. } = reference;
    let own = &owner.name.namespace;
    let namespace = namespace.as_deref().unwrap_or(own);
    let info = owner.kind.info();
    let meant = BackendRef { group, kind, namespace, name, port: *port };
    let key = backend::meant(view, &Party::new(info.group, info.kind, own), &meant, protocol)?;
    view.backend_face(&key)
}

/// How a backend is spoken to that is asked by gRPC. A Service need not say that it knows HTTP/2, as for GRPCRoutes.
pub(super) fn grpc_protocol(group: &str, kind: &str) -> BackendProtocol {
    match Kind::find(group, kind) {
        Some(Kind::Backend | Kind::Upstream) => BackendProtocol::Http,
        _ => BackendProtocol::Grpc,
    }
}

/// Whether a backend is spoken to by HTTP/2.
///
/// # Errors
/// It is not, or not by all of it; without the field.
pub(super) fn require_http2(view: &impl View, backend: &BackendKey) -> Result<(), Rejection> {
    let value = view.backend(backend);
    let resolved = value.as_ref().and_then(|backend| backend.result.as_ref().ok());
    let is_http2 = |cluster: &ClusterIr| cluster.http.protocol == UpstreamProtocol::Http2;
    match resolved.is_some_and(|backend| backend.clusters.iter().all(is_http2)) {
        true => Ok(()),
        false => {
            let text = "is not spoken to by HTTP/2, which gRPC needs; its appProtocol has to say so";
            Err(Rejection::at(Reason::UnsupportedProtocol, "name", text))
        }
    }
}

/// The cluster of a backend that proxies ask something.
///
/// # Errors
/// It cannot be asked.
pub(super) fn cluster_of(face: BackendFace) -> Result<(ClusterName, BackendKey), Rejection> {
    match face.clusters {
        Clusters::One(cluster) if !face.is_ai => Ok((cluster, face.key)),
        _ => {
            let text = "is a backend of AI providers, which answer no such questions";
            Err(Rejection::at(Reason::InvalidKind, "name", text))
        }
    }
}

/// The cluster of a backend that an object has asked by gRPC.
///
/// # Errors
/// It cannot be asked; with the field.
pub(super) fn grpc_cluster(
    view: &impl View,
    owner: &ObjectKey,
    reference: &BackendReference,
) -> Result<(ClusterName, BackendKey), Rejection> {
    let protocol = grpc_protocol(&reference.group, &reference.kind);
    let cluster = backend_of(view, owner, reference, protocol).and_then(cluster_of).and_then(|found| {
        require_http2(view, &found.1)?;
        Ok(found)
    });
    cluster.map_err(|error| error.under(&reference.field))
}

/// The `:authority` under which a backend is asked, if nothing is said.
pub(super) fn authority(owner: &ObjectKey, reference: &BackendReference) -> String {
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.name.namespace);
    format!("{}.{namespace}", reference.name)
}

/// The status of a GatewayExtension.
pub(crate) fn report(view: &impl View, key: &ObjectKey) -> Option<Report> {
    let extension = view.object::<GatewayExtension>(&key.name)?;
    let read = extension.read().map_err(rejection);
    let conditions = match read.and_then(|read| check(view, key, &read)) {
        Ok(()) => {
            let accepted =
                Condition::good(ConditionType::Accepted, Reason::Accepted, "the extension is valid");
            let ignored = extension.ignored().into_iter();
            let ignored: Vec<_> =
                ignored.map(|field| Detail::at(field, "is not supported yet and has no effect")).collect();
            let partial = (!ignored.is_empty()).then(|| {
                Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, ignored)
            });
            [accepted].into_iter().chain(partial).collect()
        }
        Err(error) => vec![Condition::rejected(ConditionType::Accepted, &error)],
    };
    let generation = extension.metadata.generation.unwrap_or_default();
    Some(Report { object: key.to_ref(), generation, facts: Facts::Conditions(conditions) })
}

fn check(view: &impl View, key: &ObjectKey, extension: &Extension) -> Result<(), Rejection> {
    match extension {
        Extension::Tokens(rules) => identity::required(view, key, rules).map(drop),
        Extension::Service(rules, backend) => ext_auth::service(view, key, rules, backend).map(drop),
        Extension::Processor(rules, backend) => processor::service(view, key, rules, backend).map(drop),
        Extension::Limits(rules, backend) => limit_service::service(view, key, rules, backend).map(drop),
    }
}
