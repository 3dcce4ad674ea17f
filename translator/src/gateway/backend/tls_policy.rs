//! TLS towards the ports of Services, by BackendTLSPolicy.
//!
//! A port with a policy is reached by TLS or not at all: one that is not valid makes it unusable, and never plain.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::core::{Service, ServicePort};
use crds::gateway_api::backendtlspolicies::BackendTlsPolicyTargetRefs as TargetRef;
use crds::gateway_api::{self, BackendTlsPolicy};
use crds::{Kind, NamespacedName, Object, ObjectKey, ObjectRef};
use ir::{SecretIr, SecretName, UpstreamTls};

use super::tls_validation::{self, Reading};

use crate::gateway::policy::reference;
use crate::gateway::route::creation;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Condition, Facts, ParentFacts, Reason, Rejection, Report};

/// TLS towards a port, and who is trusted.
pub(super) struct PortTls {
    pub tls: UpstreamTls,
    pub trust: SecretIr,
}

/// How a port of a Service is to be reached; `None` is without TLS.
///
/// # Errors
/// Its policy is not valid.
pub(super) fn of_port(
    view: &impl View,
    service: &NamespacedName,
    port: &ServicePort,
) -> Result<Option<PortTls>, Rejection> {
    let port = port.name.as_deref().filter(|name| !name.is_empty());
    let Some(policy) = winner(view, service, port) else { return Ok(None) };
    let named = |rejection: Rejection| {
        let policy = key(policy);
        let text = format!("BackendTLSPolicy {}: {}", policy.name, rejection.message());
        Rejection::unusable(Reason::InvalidBackendTLS, policy.to_ref(), text)
    };
    let reading = read(view, policy);
    let tls = reading.tls.clone().map_err(named)?;
    Ok(Some(PortTls { trust: reading.trust(view, &tls), tls }))
}

/// The policy of a port: one that names it goes before one for the whole Service; then the oldest counts, then the first
/// by name (Gateway API, `BackendTLSPolicySpec.targetRefs`).
fn winner<'a>(
    view: &'a impl View,
    service: &NamespacedName,
    port: Option<&str>,
) -> Option<&'a Arc<BackendTlsPolicy>> {
    port.and_then(|port| first(view, service, Some(port))).or_else(|| first(view, service, None))
}

/// The first of the policies with exactly that target.
fn first<'a>(
    view: &'a impl View,
    service: &NamespacedName,
    section: Option<&str>,
) -> Option<&'a Arc<BackendTlsPolicy>> {
    let policies = view.tls_policies_of(service).filter(|policy| targets(policy, service, section));
    policies.min_by_key(|policy| age(policy))
}

fn is_service(target: &TargetRef) -> bool {
    target.group.is_empty() && target.kind == "Service"
}

/// The order of policies with the same target. Without a time counts as oldest.
fn age(policy: &BackendTlsPolicy) -> (Option<i64>, Option<String>) {
    (creation(policy.metadata.creation_timestamp.as_ref()), policy.metadata.name.clone())
}

fn key(policy: &Arc<BackendTlsPolicy>) -> ObjectKey {
    Object::BackendTlsPolicy(policy.clone()).key()
}

/// What a policy says.
fn read(view: &impl View, policy: &Arc<BackendTlsPolicy>) -> Reading {
    let NamespacedName { namespace, name } = key(policy).name;
    let referrer = Party::new(gateway_api::GROUP, "BackendTLSPolicy", &namespace);
    let trust = SecretName::policy_trust(&namespace, &name);
    let reading = tls_validation::read(view, &referrer, "spec.validation", &policy.spec.validation, trust);
    Reading { tls: unknown_options(policy).and(reading.tls), ..reading }
}

fn unknown_options(policy: &BackendTlsPolicy) -> Result<(), Rejection> {
    let names: Vec<_> = policy.spec.options.iter().flatten().map(|(name, _)| format!("{name:?}")).collect();
    match names.is_empty() {
        true => Ok(()),
        false => {
            let text = format!("{} is not supported", names.join(", "));
            Err(Rejection::at(Reason::Invalid, "spec.options", text))
        }
    }
}

/// The status of a policy: an entry for each Gateway with a route that names one of its Services. `None` if there is
/// none.
pub(crate) fn report(view: &impl View, object: &ObjectKey) -> Option<Report> {
    let policy = view.object::<BackendTlsPolicy>(&object.name)?;
    let mut targets: BTreeMap<_, Vec<&TargetRef>> = BTreeMap::new();
    for target in policy.spec.target_refs.iter().filter(|target| is_service(target)) {
        let service = NamespacedName::new(&object.name.namespace, &target.name);
        for gateway in view.gateways_naming(&ObjectKey { kind: Kind::Service, name: service }) {
            targets.entry(gateway).or_default().push(target);
        }
    }
    let reading = read(view, policy);
    let ancestors = targets.into_iter().map(|(gateway, targets)| ParentFacts {
        parent_ref: reference("Gateway", &gateway, None),
        conditions: conditions(&reading, effects(view, policy, &targets)),
    });
    let ancestors: Vec<_> = ancestors.collect();
    (!ancestors.is_empty()).then(|| Report {
        object: object.to_ref(),
        generation: policy.metadata.generation.unwrap_or_default(),
        facts: Facts::Policy(ancestors),
    })
}

/// Whether a policy has an effect on one of these targets at least, and what stands against the others.
fn effects(
    view: &impl View,
    policy: &Arc<BackendTlsPolicy>,
    targets: &[&TargetRef],
) -> (bool, Vec<Rejection>) {
    let own = key(policy);
    let mut against = Vec::new();
    let mut has_effect = false;
    for target in targets {
        let service = NamespacedName::new(&own.name.namespace, &target.name);
        let section = target.section_name.as_deref();
        match obstacle(view, &own, &service, section) {
            None => has_effect = true,
            Some(rejection) => against.push(rejection),
        }
    }
    (has_effect, against)
}

/// What stands against a policy at a target.
fn obstacle(
    view: &impl View,
    policy: &ObjectKey,
    service: &NamespacedName,
    section: Option<&str>,
) -> Option<Rejection> {
    let found = view.object::<Service>(service);
    let ports = found.and_then(|found| found.spec.as_ref()?.ports.as_deref()).unwrap_or_default();
    let has_section = |section: &str| ports.iter().any(|port| port.name.as_deref() == Some(section));
    if found.is_none() {
        let object = ObjectRef::namespaced("", "Service", &service.namespace, &service.name);
        return Some(Rejection::missing(Reason::TargetNotFound, object));
    }
    if let Some(section) = section.filter(|section| !has_section(section)) {
        let message = format!("Service {service} has no port named {section}");
        return Some(Rejection::new(Reason::TargetNotFound, message));
    }
    let first = key(first(view, service, section)?);
    (first != *policy).then(|| {
        let message = format!(
            "BackendTLSPolicy {} has the same target, Service {service}, and comes first",
            first.name
        );
        Rejection::new(Reason::Conflicted, message)
    })
}

fn targets(policy: &BackendTlsPolicy, service: &NamespacedName, section: Option<&str>) -> bool {
    let mut targets = policy.spec.target_refs.iter().filter(|target| is_service(target));
    targets.any(|target| *target.name == *service.name && target.section_name.as_deref() == section)
}

fn conditions(reading: &Reading, (has_effect, against): (bool, Vec<Rejection>)) -> Vec<Condition> {
    let against: Vec<_> = against.iter().collect();
    let accepted = super::accepted(reading.tls.as_ref().err(), &against, has_effect);
    let errors = &reading.authorities.errors;
    let details = errors.iter().map(|error| error.detail.clone()).collect();
    vec![accepted, Condition::resolved_refs(errors.first().map(|first| first.reason), details)]
}
