//! Services of users that count requests, as policies and extensions name them: checked, with what they refer to.

use crds::ObjectKey;
use crds::identity::BackendReference;
use crds::policy::http::{ExtensionName, Setting};
use crds::rate_limit_service::{EntryContent, LimitQuestion, LimitServiceRules};
use ir::{DescriptorEntry, GlobalLimit, LimitService, LimitServiceName};

use super::extension;
use super::facts::{AskedLimit, BackendKey};
use super::policy::rejection;
use super::view::View;
use crate::status::Rejection;

/// What a policy has a service count.
///
/// # Errors
/// It refers to what cannot be used. Nothing may be served without it.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    setting: &Setting<LimitQuestion>,
) -> Result<Setting<AskedLimit>, Rejection> {
    let Setting::On(LimitQuestion { extension: ExtensionName { field, namespace, name }, descriptors }) =
        setting
    else {
        return Ok(Setting::Off);
    };
    let found = extension::of_policy(view, policy, namespace.as_deref(), name, |key, extension| {
        let (rules, backend) = extension.limit_service().map_err(rejection)?;
        service(view, key, &rules, &backend)
    });
    let (service, backend) = found.map_err(|error| error.within(field))?;
    let descriptors = descriptors.iter().map(|entries| entries.iter().map(entry).collect());
    let limit = GlobalLimit { service: service.name.clone(), descriptors: descriptors.collect() };
    Ok(Setting::On(AskedLimit { limit, service: service.into(), backend }))
}

/// The service that an extension names.
///
/// # Errors
/// It cannot be asked.
pub(super) fn service(
    view: &impl View,
    owner: &ObjectKey,
    rules: &LimitServiceRules,
    reference: &BackendReference,
) -> Result<(LimitService, BackendKey), Rejection> {
    let (cluster, backend) = extension::grpc_cluster(view, owner, reference)?;
    let LimitServiceRules { authority, domain, fails_open, timeout, tells_clients } = rules.clone();
    let kind = owner.kind.info().kind.to_ascii_lowercase();
    let service = LimitService {
        name: LimitServiceName::of_object(&kind, &owner.name.namespace, &owner.name.name),
        cluster,
        authority: authority.unwrap_or_else(|| extension::authority(owner, reference)),
        domain,
        timeout,
        fails_open,
        tells_clients,
    };
    Ok((service, backend))
}

fn entry(content: &EntryContent) -> DescriptorEntry {
    match content.clone() {
        EntryContent::Generic { key, value } => DescriptorEntry::Constant { key, value },
        EntryContent::Header(name) => DescriptorEntry::Header(name),
        EntryContent::RemoteAddress => DescriptorEntry::RemoteAddress,
        EntryContent::Path => DescriptorEntry::Path,
    }
}
