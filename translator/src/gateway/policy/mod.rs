//! Policies: what they say, what they apply to, and which of several wins.
//!
//! The same for every kind of policy: a kind has to implement [`crds::policy::Policy`], and what it says is a member of
//! [`Content`](crds::policy::Content).

mod ai;
mod chain;
mod guard;
mod http;
mod identity;
mod listener;
mod merge;
mod report;

use std::sync::Arc;

use crds::ai::{ErrorKind, SpecError};
use crds::direct_response::DirectResponse;
use crds::gateway_api::part::ExtensionRef;
use crds::http_listener_policy::HTTPListenerPolicy;
use crds::listener_option::{HttpListenerOption, ListenerOption};
use crds::policy::{ModerationContent, Policy};
use crds::route_option::RouteOption;
use crds::traffic_policy::TrafficPolicy;
use crds::virtual_host_option::VirtualHostOption;
use crds::{Kind, NamespacedName, ObjectKey};

pub(super) use ai::{EnginePolicy, Wanted, wanted};
pub(super) use chain::{Applied, Level, RoutePolicies, Variant, blocked, sorted};
pub(super) use http::{MergedHttp, merged, own_fields, read_host, text_match};
pub(crate) use listener::is_of_listeners;
pub(super) use listener::{client_http, collectors, observability};
pub(in crate::gateway) use report::reference;
pub(crate) use report::report;

use super::route::creation;
use super::{access_log, answer_body, ext_auth, listener_http, listener_tracing};
use crate::gateway::facts::PolicyFace;
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// A policy, as an object.
struct PolicyObject<'a> {
    policy: &'a dyn Policy,
    generation: i64,
    created: Option<i64>,
}

fn object<'a>(view: &'a impl View, key: &ObjectKey) -> Option<PolicyObject<'a>> {
    let (policy, metadata): (&dyn Policy, _) = match key.kind {
        Kind::DirectResponse => {
            let response = view.object::<DirectResponse>(&key.name)?;
            (&**response, &response.metadata)
        }
        Kind::RouteOption => {
            let option = view.object::<RouteOption>(&key.name)?;
            (&**option, &option.metadata)
        }
        Kind::HttpListenerPolicy => {
            let policy = view.object::<HTTPListenerPolicy>(&key.name)?;
            (&**policy, &policy.metadata)
        }
        Kind::HttpListenerOption => {
            let option = view.object::<HttpListenerOption>(&key.name)?;
            (&**option, &option.metadata)
        }
        Kind::ListenerOption => {
            let option = view.object::<ListenerOption>(&key.name)?;
            (&**option, &option.metadata)
        }
        Kind::VirtualHostOption => {
            let option = view.object::<VirtualHostOption>(&key.name)?;
            (&**option, &option.metadata)
        }
        _ => {
            let policy = view.object::<TrafficPolicy>(&key.name)?;
            (&**policy, &policy.metadata)
        }
    };
    Some(PolicyObject {
        policy,
        generation: metadata.generation.unwrap_or_default(),
        created: creation(metadata.creation_timestamp.as_ref()),
    })
}

/// The moderation service that a policy asks; `None` if it asks none.
pub(super) fn moderation(view: &impl View, key: &ObjectKey) -> Option<ModerationContent> {
    object(view, key)?.policy.content().ok()?.ai.guard.moderation
}

/// What of a policy routes and listeners may know; `None` if there is no such object.
pub(crate) fn face(view: &impl View, key: &ObjectKey) -> Option<PolicyFace> {
    let PolicyObject { policy, created, .. } = object(view, key)?;
    let read = policy.content().map_err(rejection).and_then(|content| match content.refused.as_slice() {
        [] => {
            let mut notes = guard::check(view, key, &content.ai.guard)?;
            let mut faults = Vec::new();
            let http = http::read(view, key, &content.http, &mut faults)?;
            let identity = super::identity::read(view, key, &content.identity, &mut notes)?;
            let access_logs = access_log::read(view, key, &content.access_logs)?;
            let tracing = content.tracing.as_ref();
            let tracing = tracing
                .map(|(field, tracing)| listener_tracing::read(view, key, field, tracing))
                .transpose()?;
            let client_http = listener_http::read(&content.listener_http)?;
            let answer = content.answer.as_ref().map(answer_body::read).transpose()?;
            let mut content = content;
            let demand = content.ext_auth.take();
            let ext_auth = demand.map(|demand| ext_auth::read(view, key, &demand, &mut content.ignored));
            let ext_auth = ext_auth.transpose()?;
            let (key, content) = (key.clone(), Ok(content));
            Ok(PolicyFace {
                key,
                created,
                content,
                notes,
                faults,
                access_logs,
                tracing,
                client_http,
                http,
                identity,
                ext_auth,
                answer,
            })
        }
        refused => {
            let fields = refused.join(", ");
            Err(Rejection::at(Reason::UnsupportedValue, fields, "not supported yet"))
        }
    });
    Some(read.unwrap_or_else(|rejection| PolicyFace::unusable(key.clone(), created, rejection)))
}

/// Why an object cannot be used that makes no sense, or is not supported.
pub(in crate::gateway) fn rejection(error: SpecError) -> Rejection {
    let reason = match error.kind {
        ErrorKind::Unsupported => Reason::UnsupportedValue,
        ErrorKind::Invalid => Reason::Invalid,
    };
    Rejection::at(reason, error.path, error.message)
}

/// The policy that a filter of a route refers to.
///
/// # Errors
/// It is no policy, or does not exist.
pub(super) fn of_filter(
    view: &impl View,
    namespace: &str,
    reference: &ExtensionRef,
) -> Result<Arc<PolicyFace>, Rejection> {
    let ExtensionRef { group, kind, name } = reference;
    let Some(kind @ (Kind::TrafficPolicy | Kind::RouteOption | Kind::DirectResponse)) =
        Kind::find(group, kind)
    else {
        let message = format!("a filter of kind {kind:?} in group {group:?} is not supported");
        return Err(Rejection::new(Reason::InvalidKind, message));
    };
    let key = ObjectKey { kind, name: NamespacedName::new(namespace, name) };
    view.policy(&key).ok_or_else(|| Rejection::missing(Reason::FilterNotFound, key.to_ref()))
}
