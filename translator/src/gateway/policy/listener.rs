//! Policies of listeners: which one counts where, and what there is to tell about it.
//!
//! What they say holds for all requests of a filter chain. Plain HTTP listeners that share a port share the chain, so that a
//! policy for one of them alone cannot be carried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::{Kind, ObjectKey};
use ir::{Observability, RouteTableId};

use super::chain::{Applied, Level, known, sorted};
use super::report::list;
use crate::gateway::access_log;
use crate::gateway::facts::{GatewayKey, Placed, PolicyFace, WrittenLog};
use crate::gateway::view::View;
use crate::resources::PolicyAt;
use crate::status::{Condition, ConditionType, Detail, Reason};

/// Whether policies of a kind say what listeners do. What routes do is the matter of the others.
pub(crate) fn is_of_listeners(kind: Kind) -> bool {
    matches!(kind, Kind::HttpListenerPolicy | Kind::HttpListenerOption | Kind::ListenerOption)
}

/// What the policies of a Gateway come to for the listeners that share a filter chain, and so a route table: each field is
/// that of the most specific policy that has it.
pub(in crate::gateway) fn observability(
    view: &impl View,
    gateway: &GatewayKey,
    placed: &Placed,
    table: &RouteTableId,
) -> Observability {
    let chain = applied(view, &of_listeners(view, gateway), &sharing(placed, table));
    let logs = winner(&chain).map(|face| {
        let logs = face.access_logs.iter().filter(|log| unwritable(view, gateway, log).is_none());
        logs.map(|log| log.log.clone()).collect::<Vec<_>>()
    });
    // Where none of them can be written, the proxy's own log goes on.
    let access_logs = logs.filter(|logs| !logs.is_empty());
    Observability { access_logs, ..Observability::default() }
}

/// The policies of a Gateway and its listeners that say what listeners do.
fn of_listeners(view: &impl View, gateway: &GatewayKey) -> Vec<PolicyAt> {
    let target = ObjectKey { kind: Kind::Gateway, name: gateway.clone() };
    view.policies_at(&target).into_iter().filter(|at| is_of_listeners(at.policy.kind)).collect()
}

/// Those of them that apply to a filter chain, the most specific first.
fn applied(view: &impl View, policies: &[PolicyAt], listeners: &[Arc<str>]) -> Vec<Applied> {
    let applied = policies.iter().filter_map(|at| {
        let level = match (at.section.as_deref(), listeners) {
            (None, _) => Level::Gateway,
            (Some(section), [only]) if section == &**only => Level::Listener,
            (Some(_), _) => return None,
        };
        Some(Applied { level, face: known(view, &at.policy) })
    });
    sorted(applied.collect())
}

/// The policy whose access logs count. One that is invalid has no effect: requests are served without it.
fn winner(chain: &[Applied]) -> Option<&Arc<PolicyFace>> {
    chain
        .iter()
        .map(|applied| &applied.face)
        .find(|face| face.content.is_ok() && !face.access_logs.is_empty())
}

/// Why the proxies of a Gateway cannot write a log. Those on a laptop can write what their user can.
fn unwritable(view: &impl View, gateway: &GatewayKey, log: &WrittenLog) -> Option<Detail> {
    let WrittenLog { path_field, log } = log;
    let face = view.gateway(gateway).filter(|_| view.settings().addressing.is_own_network())?;
    let error = access_log::check_writable(&log.path, &face).err()?;
    Some(Detail::at(path_field.clone(), format!("{error}; this log is left out")))
}

/// The logs of a policy that the proxies of a Gateway cannot write.
pub(super) fn faults(view: &impl View, gateway: &GatewayKey, face: &PolicyFace) -> Vec<Detail> {
    face.access_logs.iter().filter_map(|log| unwritable(view, gateway, log)).collect()
}

/// The listeners that share a route table.
fn sharing(placed: &Placed, table: &RouteTableId) -> Vec<Arc<str>> {
    let sharing =
        placed.served().filter(|listener| listener.served_table().is_some_and(|its| **its == *table));
    sharing.map(|listener| listener.name.clone()).collect()
}

/// The listeners of a Gateway that serve HTTP, by the filter chain that they share.
fn chains(placed: &Placed) -> Vec<Vec<Arc<str>>> {
    let tables: BTreeSet<_> = placed.served().filter_map(|listener| listener.served_table()).collect();
    tables.into_iter().map(|table| sharing(placed, table)).collect()
}

/// The conditions of a policy at a Gateway.
pub(super) fn conditions(view: &impl View, gateway: &GatewayKey, face: &PolicyFace) -> Vec<Condition> {
    if let Err(rejection) = &face.content {
        let mut detail = rejection.detail.clone();
        detail.text.push_str("; the policy has no effect");
        return vec![Condition::faults(ConditionType::Accepted, Reason::Invalid, vec![detail])];
    }
    let accepted = Condition::good(ConditionType::Accepted, Reason::Accepted, "the policy is valid");
    vec![accepted, attached(view, gateway, face)]
}

fn attached(view: &impl View, gateway: &GatewayKey, face: &PolicyFace) -> Condition {
    let chains = view.placement(gateway).map(|placed| chains(&placed)).unwrap_or_default();
    let policies = of_listeners(view, gateway);
    let (mut is_in_effect, mut overriding) = (false, BTreeSet::new());
    for chain in &chains {
        let applied = applied(view, &policies, chain);
        if !applied.iter().any(|applied| applied.face.key == face.key) {
            continue;
        }
        match winner(&applied) {
            Some(winner) if winner.key == face.key => is_in_effect = true,
            Some(winner) if !face.access_logs.is_empty() => {
                overriding.insert(format!("accessLog is overridden by {}", winner.key.to_ref()));
            }
            _ => {}
        }
    }
    let crowded: BTreeSet<_> = crowded(&policies, face, &chains).into_iter().collect();
    let parts = [&overriding, &crowded].into_iter().filter(|part| !part.is_empty());
    let parts = parts.map(|part| list(part, "; "));
    let (status, reason, first) = if face.access_logs.is_empty() {
        (false, Reason::UnsupportedValue, "nothing that the policy says is supported yet")
    } else if is_in_effect && overriding.is_empty() && crowded.is_empty() {
        (true, Reason::Attached, "the policy is in effect")
    } else if is_in_effect {
        (true, Reason::Merged, "the policy is in effect in part")
    } else if !overriding.is_empty() {
        (false, Reason::Overridden, "the policy has no effect")
    } else if !crowded.is_empty() {
        (false, Reason::UnsupportedValue, "the policy has no effect")
    } else {
        (true, Reason::Attached, "no listener is served yet")
    };
    let message = std::iter::once(first.to_owned()).chain(parts).collect::<Vec<_>>().join("; ");
    Condition { status, ..Condition::good(ConditionType::Attached, reason, message) }
}

/// The listeners that a policy names, and that share their port with others.
fn crowded(policies: &[PolicyAt], face: &PolicyFace, chains: &[Vec<Arc<str>>]) -> Vec<String> {
    let named = policies.iter().filter(|at| at.policy == face.key);
    let named = named.filter_map(|at| at.section.as_deref());
    let found = named.filter_map(|section| {
        let chain = chains.iter().find(|chain| chain.iter().any(|name| **name == *section))?;
        (chain.len() > 1).then(|| {
            format!(
                "listener {section} shares its port with others, so that a policy cannot apply to it alone"
            )
        })
    });
    found.collect()
}
