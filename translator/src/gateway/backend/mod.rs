//! References to backends → clusters, or why not.

mod ai;
mod provider;
mod static_hosts;

use std::collections::BTreeMap;
use std::rc::Rc;

use crds::ai::{Canonical, ErrorKind, SpecError, Target};
use crds::{NamespacedName, ObjectRef};
use ir::{ClusterIr, ClusterName, Rewrite, SecretIr};

use super::context::Context;
use super::listener::Rejection;
use crate::reference_grant::{Party, ReferenceGrants};
use crate::status::{Condition, ConditionType, Facts, Reason, Report};
use crate::{Resources, Settings};

/// The API group of kgateway's Backend.
const KGATEWAY: &str = "gateway.kgateway.dev";
/// The API group of Gloo's Upstream.
const GLOO: &str = "gloo.solo.io";

/// A reference to a backend, with the defaults filled in.
pub(crate) struct BackendRef<'a> {
    pub group: &'a str,
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub port: Option<i32>,
}

/// A backend that can be sent requests.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedBackend {
    pub cluster: ClusterIr,
    /// What the cluster refers to.
    pub secrets: Vec<SecretIr>,
    /// What every request to it needs, whatever its route says.
    pub rewrite: Rewrite,
    pub is_ai: bool,
    /// What of the object is not carried out, though the rest is.
    partial: Vec<String>,
    /// What was understood although it is not written as it should be.
    warnings: Vec<String>,
}

/// Why a reference to a backend does not resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefError {
    pub reason: Reason,
    pub message: String,
}

/// Every Backend and Upstream, resolved once for all routes.
pub(crate) type BackendTable = BTreeMap<ObjectRef, (i64, Result<Rc<ResolvedBackend>, Rejection>)>;

impl RefError {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The same error with the field that holds the reference.
    pub(crate) fn within(self, field: &str) -> Self {
        Self { message: format!("{field}: {}", self.message), ..self }
    }
}

impl ResolvedBackend {
    /// A backend that needs nothing but its cluster.
    pub(crate) fn plain(cluster: ClusterIr) -> Self {
        Self {
            cluster,
            secrets: Vec::new(),
            rewrite: Rewrite::default(),
            is_ai: false,
            partial: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Resolves a reference.
pub(crate) fn resolve(
    context: &Context<'_>,
    referrer: &Party,
    reference: &BackendRef<'_>,
) -> Result<Rc<ResolvedBackend>, RefError> {
    let BackendRef { group, kind, namespace, name, port } = *reference;
    if !matches!((group, kind), ("", "Service") | (KGATEWAY, "Backend") | (GLOO, "Upstream")) {
        let message = format!("a backend of kind {kind:?} in group {group:?} is not supported");
        return Err(RefError::new(Reason::InvalidKind, message));
    }
    // Before looking: whoever may not refer to an object shall not learn whether it exists.
    if !context.grants.permits(referrer, &Party::new(group, kind, namespace), name) {
        let message = format!(
            "{kind} {namespace}/{name} is in another namespace, and no ReferenceGrant there permits {} from {}",
            referrer.kind, referrer.namespace
        );
        return Err(RefError::new(Reason::RefNotPermitted, message));
    }
    if kind == "Service" {
        let key = NamespacedName { namespace: namespace.to_owned(), name: name.to_owned() };
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        let port = port.ok_or_else(|| {
            RefError::new(Reason::BackendNotFound, format!("Service {key} is named without a valid port"))
        })?;
        return context.service(&key, port);
    }
    let object = ObjectRef::namespaced(group, kind, namespace, name);
    match context.backends.get(&object) {
        None => Err(RefError::new(Reason::BackendNotFound, format!("{object} does not exist"))),
        Some((_, Ok(backend))) => Ok(backend.clone()),
        Some((_, Err(rejection))) => {
            let message = format!("{object} cannot be used: {}", rejection.message);
            Err(RefError::new(Reason::BackendNotFound, message))
        }
    }
}

/// Resolves every Backend and Upstream, whether a route refers to it or not: each has a status.
pub(crate) fn resolve_all(
    resources: &Resources,
    settings: &Settings,
    grants: &ReferenceGrants,
) -> BackendTable {
    let resolver = Resolver { resources, settings, grants };
    let backends = resources.backends.iter().map(|(key, backend)| {
        let object = ObjectRef::namespaced(KGATEWAY, "Backend", &key.namespace, &key.name);
        let name = ClusterName::backend(&key.namespace, &key.name);
        let canonical = crds::ai::canonical_backend(backend);
        (object, backend.metadata.generation, name, canonical)
    });
    let upstreams = resources.upstreams.iter().map(|(key, upstream)| {
        let object = ObjectRef::namespaced(GLOO, "Upstream", &key.namespace, &key.name);
        let name = ClusterName::upstream(&key.namespace, &key.name);
        let canonical = crds::ai::canonical_upstream(upstream);
        (object, upstream.metadata.generation, name, canonical)
    });
    let resolved = backends.chain(upstreams).map(|(object, generation, name, canonical)| {
        let result = resolver.resolve(&object, name, canonical);
        (object, (generation.unwrap_or_default(), result.map(Rc::new)))
    });
    resolved.collect()
}

/// The status of every Backend and Upstream.
pub(crate) fn report_backends(context: &Context<'_>) -> Vec<Report> {
    let reports = context.backends.iter().map(|(object, (generation, result))| {
        let conditions = match result {
            Ok(backend) => {
                let mut message = "the backend is valid".to_owned();
                backend.warnings.iter().for_each(|warning| message.push_str(&format!("; note: {warning}")));
                let mut conditions =
                    vec![Condition::good(ConditionType::Accepted, Reason::Accepted, message)];
                if !backend.partial.is_empty() {
                    let message = backend.partial.join("; ");
                    conditions.push(Condition::bad(
                        ConditionType::PartiallyInvalid,
                        Reason::UnsupportedValue,
                        message,
                    ));
                }
                conditions
            }
            Err(Rejection { reason, message }) => {
                vec![Condition::bad(ConditionType::Accepted, *reason, message)]
            }
        };
        Report { object: object.clone(), generation: *generation, facts: Facts::Conditions(conditions) }
    });
    reports.collect()
}

/// What resolving a Backend looks things up in.
struct Resolver<'a> {
    resources: &'a Resources,
    settings: &'a Settings,
    grants: &'a ReferenceGrants,
}

impl Resolver<'_> {
    fn resolve(
        &self,
        object: &ObjectRef,
        name: ClusterName,
        canonical: Result<Canonical, SpecError>,
    ) -> Result<ResolvedBackend, Rejection> {
        let Canonical { target, warnings } = canonical.map_err(|error| {
            let reason = match error.kind {
                ErrorKind::Unsupported => Reason::UnsupportedValue,
                ErrorKind::Invalid => Reason::Invalid,
            };
            Rejection::new(reason, error.to_string())
        })?;
        let mut backend = match target {
            Target::Ai(spec) => ai::resolve(self, object, name, &spec)?,
            Target::Static(spec) => static_hosts::resolve(self.settings, name, &spec)?,
        };
        backend
            .warnings
            .extend(warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.message)));
        Ok(backend)
    }
}
