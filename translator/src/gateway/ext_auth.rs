//! Services that are asked whether a request may pass, as policies and filters of routes name them: checked, with what they refer to.

use std::collections::BTreeMap;

use crds::ObjectKey;
use crds::ext_auth::{self as spec, Body, Demand, HttpRules, Protocol, ServiceRules};
use crds::gateway_api::part::ExternalAuth;
use crds::identity::BackendReference;
use ir::{AnswerHeaders, AuthBody, AuthProtocol, AuthService, AuthServiceName, ClusterName, HttpAuth};
use xxhash_rust::xxh3::xxh3_128;

use super::destinations::{self, RuleTranslator};
use super::extension;
use super::facts::{Asked, BackendFace, BackendKey, BackendProtocol, FaceQuestion, TranslatedRoute};
use super::filter::Filters;
use super::policy::rejection;
use super::view::View;
use crate::status::{Reason, Rejection};
use crate::xds;

/// A service, and the backend that it is.
pub(super) struct Service {
    pub service: AuthService,
    pub backend: BackendKey,
    /// How much of the body it gets, if a policy says nothing else.
    pub body: Option<Body>,
}

/// What a policy says about who is asked. What of it has no effect is added to `ignored`.
///
/// # Errors
/// It refers to what cannot be used. Nothing may be served without it.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    demand: &Demand,
    ignored: &mut Vec<String>,
) -> Result<FaceQuestion, Rejection> {
    let Demand::Extension { field, namespace, name, body, context } = demand else {
        return Ok(FaceQuestion::Disabled);
    };
    let found = extension::of_policy(view, policy, namespace.as_deref(), name, |key, extension| {
        let (rules, backend) = extension.auth_service().map_err(rejection)?;
        service(view, key, &rules, &backend)
    });
    let Service { service, backend, body: own_body } = found.map_err(|error| error.within(field))?;
    let body = body.or(own_body);
    let service = getting(service, body);
    if !context.is_empty() && matches!(service.protocol, AuthProtocol::Http(_)) {
        ignored.push("spec.extAuth.contextExtensions".to_owned());
    }
    Ok(FaceQuestion::Asked(Asked::new(service, backend, body.map(read_body), context.clone())))
}

/// The service that an extension names.
///
/// # Errors
/// It cannot be asked.
pub(super) fn service(
    view: &impl View,
    owner: &ObjectKey,
    rules: &ServiceRules,
    reference: &BackendReference,
) -> Result<Service, Rejection> {
    let protocol = spoken(&rules.protocol, &reference.group, &reference.kind);
    let face = extension::backend_of(view, owner, reference, protocol);
    let (cluster, backend) = face
        .and_then(|face| asked(view, &rules.protocol, face))
        .map_err(|error| error.under(&reference.field))?;
    if rules.status_on_error < 200 || !xds::is_known_status(rules.status_on_error) {
        let text = format!("{} is no status that a proxy answers with", rules.status_on_error);
        return Err(Rejection::at(Reason::UnsupportedValue, "spec.extAuth.statusOnError", text));
    }
    let kind = owner.kind.info().kind.to_ascii_lowercase();
    let name = AuthServiceName::of_object(&kind, &owner.name.namespace, &owner.name.name);
    let service = build(rules, name, cluster, &extension::authority(owner, reference));
    Ok(Service { service, backend, body: rules.body })
}

impl<V: View> RuleTranslator<'_, V> {
    /// What the filter of a rule has asked.
    ///
    /// # Errors
    /// It refers to what cannot be asked. The rule may not be served without it.
    pub(super) fn question(
        &self,
        filters: &Filters,
        out: &mut TranslatedRoute,
    ) -> Result<Option<Asked>, Rejection> {
        let Some((field, spec)) = &filters.external_auth else { return Ok(None) };
        let rules = spec.read(field).map_err(rejection)?;
        let service = of_filter(self.view, self.key, field, spec, &rules, &mut out.named);
        let Service { service, backend, body } =
            service.inspect_err(|error| out.ref_errors.push(error.clone()))?;
        Ok(Some(Asked::new(service, backend, body.map(read_body), BTreeMap::new())))
    }
}

/// The service that a filter of a route or listener names, at `field`. The backend is noted that is named.
///
/// # Errors
/// It cannot be asked.
pub(super) fn of_filter(
    view: &impl View,
    owner: &ObjectKey,
    field: &str,
    spec: &ExternalAuth,
    rules: &ServiceRules,
    named: &mut Vec<BackendKey>,
) -> Result<Service, Rejection> {
    let ExternalAuth { backend: reference, .. } = spec;
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Service");
    let protocol = spoken(&rules.protocol, group, kind);
    let face = destinations::resolve_as(view, owner, reference, protocol, named);
    let (cluster, backend) = face
        .and_then(|face| asked(view, &rules.protocol, face))
        .map_err(|error| error.under(&format!("{field}.backendRef")))?;
    let own = &owner.name.namespace;
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    let host = format!("{}.{namespace}", reference.name);
    let mut service = build(rules, AuthServiceName::of_filter(own, 0), cluster, &host);
    let content = serde_json::to_vec(&service)
        .map_err(|error| Rejection::new(Reason::InternalError, error.to_string()))?;
    service.name = AuthServiceName::of_filter(own, xxh3_128(&content));
    Ok(Service { service, backend, body: rules.body })
}

/// How a backend is spoken to.
fn spoken(protocol: &Protocol, group: &str, kind: &str) -> BackendProtocol {
    match protocol {
        Protocol::Grpc { .. } => extension::grpc_protocol(group, kind),
        Protocol::Http(_) => BackendProtocol::Http,
    }
}

/// The cluster of a backend that is asked.
fn asked(
    view: &impl View,
    protocol: &Protocol,
    face: BackendFace,
) -> Result<(ClusterName, BackendKey), Rejection> {
    let (cluster, key) = extension::cluster_of(face)?;
    if let Protocol::Grpc { .. } = protocol {
        extension::require_http2(view, &key)?;
    }
    Ok((cluster, key))
}

/// The same in the terms of the IR; `host` names the backend.
fn build(rules: &ServiceRules, name: AuthServiceName, cluster: ClusterName, host: &str) -> AuthService {
    let ServiceRules {
        protocol,
        timeout,
        headers,
        fails_open,
        chooses_route,
        body: _,
        status_on_error,
        stat_prefix,
        percentage,
    } = rules;
    AuthService {
        name,
        cluster,
        protocol: match protocol {
            Protocol::Grpc { authority } => {
                AuthProtocol::Grpc(authority.clone().unwrap_or_else(|| host.to_owned()))
            }
            Protocol::Http(rules) => AuthProtocol::Http(read_http(rules)),
        },
        timeout: *timeout,
        headers: headers.clone(),
        fails_open: *fails_open,
        chooses_route: *chooses_route,
        status_on_error: *status_on_error,
        stat_prefix: stat_prefix.clone(),
        percentage: *percentage,
        bodies_as_bytes: false,
    }
}

fn read_http(rules: &HttpRules) -> HttpAuth {
    let HttpRules { path_prefix, added, to_backend, to_client, to_client_on_success } = rules.clone();
    HttpAuth {
        path_prefix,
        added,
        to_backend: match to_backend {
            spec::AnswerHeaders::Named(names) => AnswerHeaders::Named(names),
            spec::AnswerHeaders::All => AnswerHeaders::All,
        },
        to_client,
        to_client_on_success,
    }
}

/// The same in the terms of the IR.
pub(super) fn read_body(Body { max_bytes, is_partial_allowed, as_bytes: _ }: Body) -> AuthBody {
    AuthBody { max_bytes, is_partial_allowed }
}

/// The service where it gets bodies in this way. One that is asked by HTTP gets bytes in any case.
fn getting(service: AuthService, body: Option<Body>) -> AuthService {
    match (&service.protocol, body) {
        (AuthProtocol::Grpc(_), Some(Body { as_bytes: true, .. })) => {
            AuthService { name: service.name.with_bytes(), bodies_as_bytes: true, ..service }
        }
        _ => service,
    }
}
