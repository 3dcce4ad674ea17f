//! Policies of listeners: which one counts where, and what there is to tell about it.
//!
//! What they say holds for all requests of a filter chain. Plain HTTP listeners that share a port share the chain, so that a
//! policy for one of them alone cannot be carried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::{Kind, ObjectKey};
use ir::{AccessLogIr, ClientHttp, LogSink, LogValue, Observability, RouteTableId, TracingIr};

use super::chain::{Applied, Level, known, sorted};
use super::report::list;
use crate::gateway::facts::{BackendKey, GatewayKey, Placed, PolicyFace, WrittenLog, WrittenTracing};
use crate::gateway::view::View;
use crate::gateway::{access_log, collector};
use crate::resources::PolicyAt;
use crate::status::{Condition, ConditionType, Detail, Reason};

/// The attribute of a resource that names it (OpenTelemetry, semantic conventions).
const SERVICE_NAME: &str = "service.name";

/// Whether policies of a kind say what listeners do. What routes do is the matter of the others.
pub(crate) fn is_of_listeners(kind: Kind) -> bool {
    matches!(kind, Kind::HttpListenerPolicy | Kind::HttpListenerOption | Kind::ListenerOption)
}

/// What policies say of listeners. Each is that of the most specific policy that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    AccessLog,
    Tracing,
    UseRemoteAddress,
    XffNumTrustedHops,
    ServerHeader,
    IdleTimeout,
    HealthCheck,
    HeaderCase,
    AcceptHttp10,
    DefaultHostForHttp10,
    MaxRequestHeadersKb,
    UpgradeConfig,
}

impl Field {
    const ALL: [Self; 12] = [
        Self::AccessLog,
        Self::Tracing,
        Self::UseRemoteAddress,
        Self::XffNumTrustedHops,
        Self::ServerHeader,
        Self::IdleTimeout,
        Self::HealthCheck,
        Self::HeaderCase,
        Self::AcceptHttp10,
        Self::DefaultHostForHttp10,
        Self::MaxRequestHeadersKb,
        Self::UpgradeConfig,
    ];

    /// Its name below `spec` of an HTTPListenerPolicy.
    fn name(self) -> &'static str {
        match self {
            Self::AccessLog => "accessLog",
            Self::Tracing => "tracing",
            Self::UseRemoteAddress => "useRemoteAddress",
            Self::XffNumTrustedHops => "xffNumTrustedHops",
            Self::ServerHeader => "serverHeaderTransformation",
            Self::IdleTimeout => "idleTimeout",
            Self::HealthCheck => "healthCheck",
            Self::HeaderCase => "preserveHttp1HeaderCase",
            Self::AcceptHttp10 => "acceptHttp10",
            Self::DefaultHostForHttp10 => "defaultHostForHttp10",
            Self::MaxRequestHeadersKb => "maxRequestHeadersKb",
            Self::UpgradeConfig => "upgradeConfig",
        }
    }

    /// Whether a policy says it. One that is invalid has no effect: requests are served without it.
    fn is_said(self, face: &PolicyFace) -> bool {
        let http = &face.client_http;
        face.content.is_ok()
            && match self {
                Self::AccessLog => !face.access_logs.is_empty(),
                Self::Tracing => face.tracing.is_some(),
                Self::UseRemoteAddress => http.use_remote_address.is_some(),
                Self::XffNumTrustedHops => http.trusted_hops.is_some(),
                Self::ServerHeader => http.server_header.is_some(),
                Self::IdleTimeout => http.idle_timeout.is_some(),
                Self::HealthCheck => http.health_path.is_some(),
                Self::HeaderCase => http.keeps_case.is_some(),
                Self::AcceptHttp10 => http.http10.is_some(),
                Self::DefaultHostForHttp10 => http.http10_host.is_some(),
                Self::MaxRequestHeadersKb => http.max_headers_kb.is_some(),
                Self::UpgradeConfig => http.websockets.is_some(),
            }
    }
}

/// The logs and traces that the policies of a Gateway ask for, for the listeners that share a filter chain, and so a route
/// table.
struct Chosen {
    chain: Vec<Applied>,
}

impl Chosen {
    fn of(view: &impl View, gateway: &GatewayKey, placed: &Placed, table: &RouteTableId) -> Self {
        Self { chain: applied(view, &of_listeners(view, gateway), &sharing(placed, table)) }
    }

    /// The logs that can be written.
    fn logs<'a>(
        &'a self,
        view: &'a impl View,
        gateway: &'a GatewayKey,
    ) -> impl Iterator<Item = (&'a AccessLogIr, Option<&'a BackendKey>)> {
        let logs = winner(&self.chain, Field::AccessLog).into_iter().flat_map(|face| &face.access_logs);
        logs.filter(|log| unwritable(view, gateway, log).is_none())
            .filter_map(|WrittenLog { log, backend, .. }| Some((log.as_ref().ok()?, backend.as_ref())))
    }

    fn tracing(&self) -> Option<(&TracingIr, Option<&BackendKey>)> {
        let WrittenTracing { tracing, backend } = winner(&self.chain, Field::Tracing)?.tracing.as_ref()?;
        Some((tracing.as_ref().ok()?, backend.as_ref()))
    }
}

/// What the policies of a Gateway come to for the listeners that share a route table.
pub(in crate::gateway) fn observability(
    view: &impl View,
    gateway: &GatewayKey,
    placed: &Placed,
    table: &RouteTableId,
) -> Observability {
    let chosen = Chosen::of(view, gateway, placed, table);
    let name = collector::service_name(gateway);
    let logs: Vec<_> = chosen.logs(view, gateway).map(|(log, _)| named_log(log.clone(), &name)).collect();
    let tracing = chosen.tracing().map(|(tracing, _)| {
        let own = Some(tracing.service_name.clone()).filter(|own| !own.is_empty());
        Box::new(TracingIr { service_name: own.unwrap_or(name), ..tracing.clone() })
    });
    // Where none of them can be written, the proxy's own log goes on.
    let access_logs = Some(logs).filter(|logs| !logs.is_empty());
    Observability { access_logs, tracing, ..Observability::default() }
}

/// How they have HTTP spoken with clients.
pub(in crate::gateway) fn client_http(
    view: &impl View,
    gateway: &GatewayKey,
    placed: &Placed,
    table: &RouteTableId,
) -> ClientHttp {
    let chosen = Chosen::of(view, gateway, placed, table);
    let valid = chosen.chain.iter().map(|applied| &applied.face).filter(|face| face.content.is_ok());
    valid.fold(ClientHttp::default(), |merged, face| merged.or(&face.client_http))
}

/// The services that these send something to.
pub(in crate::gateway) fn collectors(
    view: &impl View,
    gateway: &GatewayKey,
    placed: &Placed,
    table: &RouteTableId,
) -> Vec<BackendKey> {
    let chosen = Chosen::of(view, gateway, placed, table);
    let of_logs = chosen.logs(view, gateway).filter_map(|(_, backend)| backend);
    let of_traces = chosen.tracing().and_then(|(_, backend)| backend);
    of_logs.chain(of_traces).cloned().collect()
}

/// The log with a name of what its records are about.
fn named_log(mut log: AccessLogIr, name: &str) -> AccessLogIr {
    if let LogSink::OpenTelemetry(log) = &mut log.sink
        && !log.resource.iter().any(|(key, _)| key == SERVICE_NAME)
    {
        log.resource.push((SERVICE_NAME.to_owned(), LogValue::Text(name.to_owned())));
    }
    log
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

/// The policy that counts for a field.
fn winner(chain: &[Applied], field: Field) -> Option<&Arc<PolicyFace>> {
    chain.iter().map(|applied| &applied.face).find(|face| field.is_said(face))
}

/// Why the proxies of a Gateway cannot write a log. Those on a laptop can write what their user can.
fn unwritable(view: &impl View, gateway: &GatewayKey, log: &WrittenLog) -> Option<Detail> {
    let left_out = |field: &str, error: &str| Detail::at(field, format!("{error}; this log is left out"));
    let log_ir = match &log.log {
        Ok(log) => log,
        Err(rejection) => return Some(left_out(&rejection.detail.field, &rejection.detail.text)),
    };
    let LogSink::File { path, .. } = &log_ir.sink else { return None };
    let face = view.gateway(gateway).filter(|_| view.settings().addressing.is_own_network())?;
    let error = access_log::check_writable(path, &face).err()?;
    Some(left_out(&log.field, &error))
}

/// What of a policy the proxies of a Gateway cannot carry out.
pub(super) fn faults(view: &impl View, gateway: &GatewayKey, face: &PolicyFace) -> Vec<Detail> {
    let logs = face.access_logs.iter().filter_map(|log| unwritable(view, gateway, log));
    let tracing = face.tracing.as_ref().and_then(|written| written.tracing.as_ref().err());
    let tracing = tracing.map(|rejection| {
        let text = format!("{}; there are no traces by this policy", rejection.detail.text);
        Detail::at(rejection.detail.field.clone(), text)
    });
    logs.chain(tracing).collect()
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
    let (mut is_in_effect, mut traces, mut overriding) = (false, false, BTreeSet::new());
    let is_traceable = face.tracing.as_ref().is_some_and(|written| written.tracing.is_ok());
    for chain in &chains {
        let applied = applied(view, &policies, chain);
        if !applied.iter().any(|applied| applied.face.key == face.key) {
            continue;
        }
        for field in Field::ALL.into_iter().filter(|field| field.is_said(face)) {
            match winner(&applied, field) {
                Some(winner) if winner.key == face.key => {
                    is_in_effect = true;
                    traces |= field == Field::Tracing && is_traceable;
                }
                Some(winner) => {
                    overriding.insert(format!("{} is overridden by {}", field.name(), winner.key.to_ref()));
                }
                None => {}
            }
        }
    }
    let goes_before = traces && view.gateway(gateway).is_some_and(|face| face.parameters.tracing.is_some());
    let goes_before = goes_before
        .then(|| "its tracing goes before kube.aiExtension.tracing of the Gateway's parameters".to_owned());
    let crowded: BTreeSet<_> = crowded(&policies, face, &chains).into_iter().collect();
    let parts = [&overriding, &crowded].into_iter().filter(|part| !part.is_empty());
    let parts = parts.map(|part| list(part, "; ")).chain(goes_before);
    let says_nothing = !Field::ALL.into_iter().any(|field| field.is_said(face));
    let (status, reason, first) = if says_nothing {
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
