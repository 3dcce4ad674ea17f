//! How proxies connect to backends, by BackendConfigPolicy.
//!
//! Of several policies of a backend the oldest one counts, as a whole. One that makes no sense, or says what must be carried out and
//! is not, makes its backends unusable: never is a backend reached in another way than was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::backend::Backend;
use crds::backend_config_policy::{
    BackendConfigPolicy, BackendConfigPolicySpec, BackendTargetRef, BackendTargetSelector, BackendTls,
};
use crds::core::{ObjectMeta, Service};
use crds::gateway_api::XBackend;
use crds::{Kind, Object, ObjectKey};
use ir::{
    ClusterIr, HealthQuestion, SecretIr, SecretName, SecretValue, SubjectAltName, Tuning, UpstreamProtocol,
    UpstreamTls,
};

use super::tls_policy::PortTls;
use super::{ResolvedBackend, tuning};
use crate::gateway::facts::{BackendKey, BackendProtocol, GatewayKey};
use crate::gateway::policy::reference;
use crate::gateway::route::creation;
use crate::gateway::validate;
use crate::gateway::view::View;
use crate::resources::has_labels;
use crate::status::{Condition, ConditionType, Detail, Facts, ParentFacts, Reason, Rejection, Report};

/// The kinds that a policy may apply to.
const KINDS: [Kind; 3] = [Kind::Service, Kind::Backend, Kind::XBackend];

/// What a policy says about a backend.
#[derive(Clone, Debug, PartialEq)]
struct Config {
    tuning: Tuning,
    tls: Option<UpstreamTls>,
}

/// TLS towards a backend of which nothing else says it.
///
/// # Errors
/// The policy cannot be carried out.
pub(super) fn tls(view: &impl View, backend: &ObjectKey) -> Result<Option<PortTls>, Rejection> {
    let tls = of_backend(view, backend)?.and_then(|config| config.tls);
    let trust =
        || SecretIr { name: SecretName::default_trust(), value: SecretValue::Trust(view.trust().clone()) };
    Ok(tls.map(|tls| PortTls { tls, trust: trust() }))
}

/// Refuses TLS that a policy asks for where it would have no effect.
///
/// # Errors
/// A policy asks for it, or cannot be carried out.
pub(super) fn refuse_tls(view: &impl View, backend: &ObjectKey) -> Result<(), Rejection> {
    if of_backend(view, backend)?.is_none_or(|config| config.tls.is_none()) {
        return Ok(());
    }
    Err(named(view, backend, tls_at_ai_backend()))
}

fn tls_at_ai_backend() -> Rejection {
    let text = "has no effect on an AI backend, which is reached by TLS as its providers are";
    Rejection::at(Reason::UnsupportedValue, "spec.tls", text)
}

fn grpc_without_http2() -> Rejection {
    let text = "needs a backend that is spoken to by HTTP/2; its appProtocol has to say so";
    Rejection::at(Reason::UnsupportedProtocol, "spec.healthCheck.grpc", text)
}

/// Has the clusters of a backend do what its policy says, but for TLS.
///
/// # Errors
/// The policy cannot be carried out.
pub(super) fn apply(
    view: &impl View,
    key: &BackendKey,
    mut backend: ResolvedBackend,
) -> Result<ResolvedBackend, Rejection> {
    // Datagrams have no connections.
    let is_udp = matches!(key, BackendKey::Service(.., BackendProtocol::Udp));
    let Some(object) = key.object().filter(|_| !is_udp) else { return Ok(backend) };
    let Some(Config { tuning, .. }) = of_backend(view, &object)? else { return Ok(backend) };
    let by_grpc = |check: &ir::HealthCheck| matches!(check.question, HealthQuestion::Grpc { .. });
    let is_http2 = |cluster: &ClusterIr| cluster.http.protocol == UpstreamProtocol::Http2;
    if tuning.health_check.as_ref().is_some_and(by_grpc) && !backend.clusters.iter().all(is_http2) {
        return Err(named(view, &object, grpc_without_http2()));
    }
    let tuning = Arc::new(tuning);
    backend.clusters.iter_mut().for_each(|cluster| cluster.tuning = Some(tuning.clone()));
    Ok(backend)
}

/// What the policy of a backend says; `None` if it has none.
fn of_backend(view: &impl View, backend: &ObjectKey) -> Result<Option<Config>, Rejection> {
    let Some(policy) = winner(view, backend) else { return Ok(None) };
    read(&policy.spec, backend).map(Some).map_err(|rejection| named(view, backend, rejection))
}

/// A rejection with the policy that it comes from.
fn named(view: &impl View, backend: &ObjectKey, rejection: Rejection) -> Rejection {
    let Some(policy) = winner(view, backend).map(|policy| key(policy).to_ref()) else { return rejection };
    let text = format!("{policy}: {}", rejection.message());
    Rejection::unusable(Reason::UnsupportedValue, policy, text)
}

fn read(spec: &BackendConfigPolicySpec, backend: &ObjectKey) -> Result<Config, Rejection> {
    let refused = spec.refused();
    if !refused.is_empty() {
        return Err(Rejection::at(Reason::UnsupportedValue, refused.join(", "), "not supported yet"));
    }
    Ok(Config {
        tuning: tuning::read(spec, backend)?,
        tls: spec.tls.as_deref().map(|tls| read_tls(tls, backend)).transpose()?,
    })
}

fn read_tls(spec: &BackendTls, backend: &ObjectKey) -> Result<UpstreamTls, Rejection> {
    if backend.kind == Kind::XBackend {
        let text = "has no effect on an XBackend, which says itself how it is reached by TLS";
        return Err(Rejection::at(Reason::UnsupportedValue, "spec.tls", text));
    }
    let Some(sni) = &spec.sni else {
        return Err(Rejection::at(Reason::UnsupportedValue, "spec.tls.sni", "is required"));
    };
    let name = |field: &str, name: &String| {
        let read = validate::exact_hostname(name).map(|_| name.clone());
        read.map_err(|error| Rejection::at(Reason::Invalid, field, error))
    };
    let sni = name("spec.tls.sni", sni)?;
    let others = spec.verify_subject_alt_names.iter().enumerate();
    let others =
        others.map(|(index, other)| name(&format!("spec.tls.verifySubjectAltNames[{index}]"), other));
    let mut names = others.collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        names.push(sni.clone());
    }
    Ok(UpstreamTls {
        sni,
        subject_alt_names: names.into_iter().map(SubjectAltName::Host).collect(),
        trust: SecretName::default_trust(),
        client_certificate: None,
    })
}

/// The policy of a backend: the oldest, then the first by name.
fn winner<'a>(view: &'a impl View, backend: &ObjectKey) -> Option<&'a Arc<BackendConfigPolicy>> {
    let policies = view.objects_in::<BackendConfigPolicy>(&backend.name.namespace);
    policies.filter(|policy| applies(view, policy, backend)).min_by_key(|policy| {
        let metadata = &policy.metadata;
        (creation(metadata.creation_timestamp.as_ref()), metadata.name.clone())
    })
}

/// Whether a policy of the namespace of a backend applies to it.
fn applies(view: &impl View, policy: &BackendConfigPolicy, backend: &ObjectKey) -> bool {
    let BackendConfigPolicySpec { target_refs, target_selectors, .. } = &policy.spec;
    let is_kind = |group: &str, kind: &str| {
        Kind::find(group, kind) == Some(backend.kind) && KINDS.contains(&backend.kind)
    };
    let is_named = target_refs
        .iter()
        .any(|BackendTargetRef { group, kind, name }| is_kind(group, kind) && **name == *backend.name.name);
    let mut selectors = target_selectors.iter();
    is_named
        || selectors.any(|BackendTargetSelector { group, kind, match_labels }| {
            let labels = || metadata(view, backend)?.labels.as_ref();
            is_kind(group, kind) && has_labels(labels(), match_labels)
        })
}

/// The metadata of a backend; `None` if it does not exist.
fn metadata<'a>(view: &'a impl View, backend: &ObjectKey) -> Option<&'a ObjectMeta> {
    Some(match backend.kind {
        Kind::Service => &view.object::<Service>(&backend.name)?.metadata,
        Kind::XBackend => &view.object::<XBackend>(&backend.name)?.metadata,
        _ => &view.object::<Backend>(&backend.name)?.metadata,
    })
}

fn key(policy: &Arc<BackendConfigPolicy>) -> ObjectKey {
    Object::BackendConfigPolicy(policy.clone()).key()
}

/// The status of a policy: an entry for each Gateway with a route that names one of its backends. `None` if there is none.
pub(crate) fn report(view: &impl View, object: &ObjectKey) -> Option<Report> {
    let policy = view.object::<BackendConfigPolicy>(&object.name)?;
    let mut gateways: BTreeMap<GatewayKey, Vec<Result<(), Rejection>>> = BTreeMap::new();
    for kind in KINDS {
        for (backend, at) in view.backends_named_in(kind, &object.name.namespace) {
            if applies(view, policy, &backend) {
                let effect = effect(view, policy, &backend);
                at.into_iter().for_each(|gateway| gateways.entry(gateway).or_default().push(effect.clone()));
            }
        }
    }
    let ignored = policy.spec.ignored();
    let ancestors = gateways.into_iter().map(|(gateway, effects)| ParentFacts {
        parent_ref: reference("Gateway", &gateway, None),
        conditions: conditions(&effects, &ignored),
    });
    let ancestors: Vec<_> = ancestors.collect();
    (!ancestors.is_empty()).then(|| Report {
        object: object.to_ref(),
        generation: policy.metadata.generation.unwrap_or_default(),
        facts: Facts::Policy(ancestors),
    })
}

/// What stands against a policy at a backend.
fn effect(view: &impl View, policy: &Arc<BackendConfigPolicy>, backend: &ObjectKey) -> Result<(), Rejection> {
    if metadata(view, backend).is_none() {
        return Err(Rejection::missing(Reason::TargetNotFound, backend.to_ref()));
    }
    let first = winner(view, backend).map(key);
    if let Some(first) = first.filter(|first| *first != key(policy)) {
        let message = format!("{} applies to {}, too, and comes first", first.to_ref(), backend.to_ref());
        return Err(Rejection::new(Reason::Conflicted, message));
    }
    read(&policy.spec, backend)?;
    match at_backend(view, policy, backend) {
        Some(rejection) => Err(rejection),
        None => Ok(()),
    }
}

/// What a valid policy is refused for at a backend because of what the backend is.
fn at_backend(view: &impl View, policy: &Arc<BackendConfigPolicy>, backend: &ObjectKey) -> Option<Rejection> {
    let spec = &policy.spec;
    let asks_by_grpc = spec.health_check.as_ref().is_some_and(|check| check.grpc.is_some());
    let reasons = [spec.tls.is_some().then(tls_at_ai_backend), asks_by_grpc.then(grpc_without_http2)];
    let reasons: Vec<_> =
        reasons.into_iter().flatten().map(|reason| (named(view, backend, reason.clone()), reason)).collect();
    if reasons.is_empty() {
        return None;
    }
    let values = faces(view, backend).into_iter().filter_map(|key| view.backend(&key));
    let mut faults = values.filter_map(|value| value.result.as_ref().err().cloned());
    faults
        .find_map(|fault| reasons.iter().find(|(named, _)| *named == fault).map(|(_, reason)| reason.clone()))
}

/// What routes may name of a backend.
fn faces(view: &impl View, backend: &ObjectKey) -> Vec<BackendKey> {
    const PROTOCOLS: [BackendProtocol; 3] =
        [BackendProtocol::Http, BackendProtocol::Grpc, BackendProtocol::Tcp];
    let name = &backend.name;
    match backend.kind {
        Kind::Service => {
            let service = view.object::<Service>(name);
            let ports = service.and_then(|service| service.spec.as_ref()?.ports.as_deref());
            let ports = ports.unwrap_or_default().iter();
            let ports = ports.filter_map(|port| u16::try_from(port.port).ok());
            ports
                .flat_map(|port| PROTOCOLS.map(|protocol| BackendKey::Service(name.clone(), port, protocol)))
                .collect()
        }
        Kind::XBackend => PROTOCOLS.map(|protocol| BackendKey::XBackend(name.clone(), protocol)).to_vec(),
        _ => vec![BackendKey::Object(backend.clone())],
    }
}

fn conditions(effects: &[Result<(), Rejection>], ignored: &[String]) -> Vec<Condition> {
    let is_aside = |reason: Reason| matches!(reason, Reason::Conflicted | Reason::TargetNotFound);
    let errors = effects.iter().filter_map(|effect| effect.as_ref().err());
    let (aside, faults): (Vec<_>, Vec<_>) = errors.partition(|error| is_aside(error.reason));
    let accepted = super::accepted(faults.first().copied(), &aside, aside.len() < effects.len());
    let ignored = ignored.iter().map(|field| Detail::at(field, "is not supported yet and has no effect"));
    let ignored: Vec<_> = ignored.collect();
    let partial = (!ignored.is_empty())
        .then(|| Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, ignored));
    [accepted].into_iter().chain(partial).collect()
}
