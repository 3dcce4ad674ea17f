//! References to backends → clusters, or why not.

mod accepted;
pub(crate) mod ai;
mod config_policy;
mod service;
mod static_hosts;
mod tls_policy;
mod tls_validation;
mod tuning;
mod x_backend;

use crds::ai::{Canonical, ErrorKind, SpecError, Target};
use crds::backend::Backend;
use crds::upstream::Upstream;
use crds::{Kind, NamespacedName, ObjectKey};
use ir::{ClusterName, Endpoint};

use crate::gateway::facts::{BackendFace, BackendKey, BackendProtocol, ResolvedBackend};
use crate::gateway::server;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Condition, ConditionType, Detail, Facts, Reason, Rejection, Report};

use accepted::accepted;
pub(crate) use config_policy::report as config_policy_report;
pub(crate) use tls_policy::report as tls_policy_report;
pub use x_backend::Selection;
pub(crate) use x_backend::{form as x_backend_form, selection};

/// A reference to a backend, with the defaults filled in.
pub(crate) struct BackendRef<'a> {
    pub group: &'a str,
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub port: Option<i32>,
}

/// The backend that a reference means.
///
/// # Errors
/// No backend can be meant, or the referrer may not know it.
pub(crate) fn meant(
    view: &impl View,
    referrer: &Party,
    reference: &BackendRef<'_>,
    protocol: BackendProtocol,
) -> Result<BackendKey, Rejection> {
    let BackendRef { group, kind, namespace, name, port } = *reference;
    let is_backend = |found: &Kind| BACKEND_KINDS.contains(found);
    let found = Kind::find(group, kind).filter(is_backend).ok_or_else(|| unknown_kind(group, kind))?;
    // Before looking: whoever may not refer to an object shall not learn whether it exists.
    view.permitted(referrer, &Party::new(group, kind, namespace), name)?;
    let key = NamespacedName::new(namespace, name);
    match found {
        Kind::Service => {
            let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            let port = port.ok_or_else(|| {
                let text = format!("a port from 1 to 65535 is required, since {key} is a Service");
                Rejection::at(Reason::BackendNotFound, "port", text)
            })?;
            Ok(BackendKey::Service(key, port, protocol))
        }
        Kind::XBackend if port.is_some() => {
            let text = format!("must be absent, since {key} is an XBackend, which says its port itself");
            Err(Rejection::at(Reason::UnsupportedValue, "port", text))
        }
        Kind::XBackend => Ok(BackendKey::XBackend(key, protocol)),
        _ if protocol != BackendProtocol::Http => {
            let message = format!("a {kind} cannot be a backend of a {} yet", referrer.kind);
            Err(Rejection::new(Reason::InvalidKind, message))
        }
        kind => Ok(BackendKey::Object(ObjectKey { kind, name: key })),
    }
}

/// The kinds of backends.
const BACKEND_KINDS: [Kind; 4] = [Kind::Service, Kind::XBackend, Kind::Backend, Kind::Upstream];

/// Says which kinds there are, and which one was probably meant.
fn unknown_kind(group: &str, kind: &str) -> Rejection {
    let known = BACKEND_KINDS.map(Kind::info);
    let (field, text) = match known.iter().find(|known| known.kind.eq_ignore_ascii_case(kind)) {
        Some(known) if known.kind == kind => {
            let text = format!(
                "there is no backend of kind {kind} in group {group:?}; write group: {:?}",
                known.group
            );
            ("group", text)
        }
        Some(known) => {
            ("kind", format!("there is no backend of kind {kind:?}; did you mean {}?", known.kind))
        }
        None => {
            let [service, others @ ..] = known;
            let others = others.map(|known| format!("{} of {}", known.kind, known.group)).join(", ");
            let text = format!(
                "a backend of kind {kind:?} in group {group:?} is not supported; these are: {}, {others}",
                service.kind
            );
            ("kind", text)
        }
    };
    Rejection::at(Reason::InvalidKind, field, text)
}

/// Resolves a backend; `None` if there is no such object.
pub(crate) fn resolve(view: &impl View, key: &BackendKey) -> Option<Result<ResolvedBackend, Rejection>> {
    resolve_alone(view, key).map(|backend| config_policy::apply(view, key, backend?))
}

/// The same without what a BackendConfigPolicy says, but for TLS.
fn resolve_alone(view: &impl View, key: &BackendKey) -> Option<Result<ResolvedBackend, Rejection>> {
    match key {
        BackendKey::Service(name, port, protocol) => Some(service::resolve(view, name, *port, *protocol)),
        BackendKey::XBackend(name, protocol) => x_backend::resolve(view, name, *protocol),
        BackendKey::Object(object) => {
            let (_, name, canonical) = canonical(view, object)?;
            Some(resolve_object(view, object, name, canonical))
        }
        BackendKey::Server(key) => server::resolve(view, key),
    }
}

/// What of a backend a route may know, or why it cannot be used.
pub(crate) fn face(view: &impl View, key: &BackendKey) -> Result<BackendFace, Rejection> {
    match (key, view.backend(key).as_ref().map(|backend| &backend.result)) {
        (_, Some(Ok(backend))) => Ok(backend.face(key)),
        (
            BackendKey::Service(..) | BackendKey::XBackend(..) | BackendKey::Server(_),
            Some(Err(rejection)),
        ) => Err(rejection.clone()),
        (BackendKey::Object(object), Some(Err(rejection))) => {
            let message = format!("{} cannot be used: {}", object.to_ref(), rejection.message());
            Err(Rejection::unusable(Reason::BackendNotFound, object.to_ref(), message))
        }
        (_, None) => Err(match key.object() {
            Some(object) => Rejection::missing(Reason::BackendNotFound, object.to_ref()),
            None => Rejection::new(Reason::BackendNotFound, "the server is not known"),
        }),
    }
}

/// The endpoints of a backend, sorted; `None` if it has none of its own, such as one that DNS finds.
pub(crate) fn endpoints(view: &impl View, key: &BackendKey) -> Option<(ClusterName, Vec<Endpoint>)> {
    match key {
        BackendKey::Service(name, port, protocol) => service::endpoints(view, name, *port, *protocol),
        BackendKey::XBackend(name, protocol) => x_backend::endpoints(view, name, *protocol),
        BackendKey::Object(object) => {
            let (_, name, canonical) = canonical(view, object)?;
            let Ok(Canonical { target: Target::Static(spec), .. }) = canonical else { return None };
            static_hosts::endpoints(view.settings(), &spec).map(|endpoints| (name, endpoints))
        }
        BackendKey::Server(_) => None,
    }
}

/// The status of a Backend, Upstream or XBackend. Of the former two, where another controller serves these kinds too, only of one that a route of
/// ours names: two controllers that tell about the same object would take turns for ever.
pub(crate) fn report(view: &impl View, object: &ObjectKey) -> Option<Report> {
    if object.kind == Kind::XBackend {
        return x_backend::report(view, &object.name);
    }
    let key = BackendKey::Object(object.clone());
    if view.has_peers() && !view.is_named(&key) {
        return None;
    }
    let (generation, ..) = canonical(view, object)?;
    let conditions = match &view.backend(&key)?.result {
        Ok(backend) => backend.conditions(),
        Err(rejection) => vec![Condition::rejected(ConditionType::Accepted, rejection)],
    };
    Some(Report { object: object.to_ref(), generation, facts: Facts::Conditions(conditions) })
}

/// The generation of a Backend or Upstream, its cluster's name, and what it says in the words of both dialects.
fn canonical(
    view: &impl View,
    object: &ObjectKey,
) -> Option<(i64, ClusterName, Result<Canonical, SpecError>)> {
    let NamespacedName { namespace, name } = &object.name;
    let (generation, cluster, canonical) = match object.kind {
        Kind::Upstream => {
            let upstream = view.object::<Upstream>(&object.name)?;
            let cluster = ClusterName::upstream(namespace, name);
            (upstream.metadata.generation, cluster, crds::ai::canonical_upstream(upstream))
        }
        _ => {
            let backend = view.object::<Backend>(&object.name)?;
            let cluster = ClusterName::backend(namespace, name);
            (backend.metadata.generation, cluster, crds::ai::canonical_backend(backend))
        }
    };
    Some((generation.unwrap_or_default(), cluster, canonical))
}

fn resolve_object(
    view: &impl View,
    object: &ObjectKey,
    name: ClusterName,
    canonical: Result<Canonical, SpecError>,
) -> Result<ResolvedBackend, Rejection> {
    let Canonical { target, warnings } = canonical.map_err(|error| {
        let reason = match error.kind {
            ErrorKind::Unsupported => Reason::UnsupportedValue,
            ErrorKind::Invalid => Reason::Invalid,
        };
        Rejection::at(reason, error.path, error.message)
    })?;
    let mut backend = match target {
        Target::Ai(pool) => {
            config_policy::refuse_tls(view, object)?;
            ai::resolve(view, object, name, &pool)?
        }
        Target::Static(spec) => {
            static_hosts::resolve(view.settings(), name, &spec, config_policy::tls(view, object)?)?
        }
    };
    let warnings = warnings.into_iter().map(|warning| Detail::at(warning.path, warning.message));
    backend.warnings.extend(warnings);
    Ok(backend)
}
