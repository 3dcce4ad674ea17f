//! What resources name, read back from the messages themselves: the tests' witness of what the builders say.

use std::collections::{BTreeSet, HashMap};

use ai_config::RoutePolicy;
use proto::cluster::Cluster;
use proto::composite::{Composite, ExecuteFilterAction};
use proto::core::grpc_service::TargetSpecifier;
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{GrpcService, TransportSocket, TypedExtensionConfig, transport_socket};
use proto::credential_injector::CredentialInjector;
use proto::ext_authz::ExtAuthz;
use proto::ext_authz::ext_authz::Services;
use proto::ext_proc::ExternalProcessor;
use proto::generic_credential::Generic;
use proto::hcm::http_connection_manager::RouteSpecifier;
use proto::hcm::{HttpConnectionManager, HttpFilter, http_filter};
use proto::jwt_authn::JwtAuthentication;
use proto::jwt_authn::jwt_provider::JwksSourceSpecifier;
use proto::listener::{Listener, filter};
use proto::proxy_protocol_upstream::ProxyProtocolUpstreamTransport;
use proto::ratelimit::RateLimit;
use proto::route::route_action::ClusterSpecifier;
use proto::route::{Route, RouteAction, RouteConfiguration, route};
use proto::tls::common_tls_context::ValidationContextType;
use proto::tls::{CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext};
use proto::unpack;
use proto::upstream_http::HttpProtocolOptions;
use proto::wkt::{Any, value};
use proto::xds_matcher::matcher::MatcherType;
use proto::xds_matcher::matcher::matcher_tree::TreeType;
use proto::xds_matcher::matcher::on_match::OnMatch;

use super::{XdsKind, XdsResources};

type Reference = (XdsKind, String);

/// One line for every resource that is named and does not exist. Empty for all that
/// the translator gives.
pub fn dangling_references(resources: &XdsResources) -> Vec<String> {
    let missing = |kind, name: &str, needs: Vec<Reference>| {
        let missing = needs.into_iter().filter(|(kind, name)| !resources.contains(*kind, name));
        let line = move |(needed, needed_name)| format!("{kind:?} {name} names {needed:?} {needed_name}");
        missing.map(line).collect::<Vec<_>>()
    };
    let clusters = resources
        .clusters
        .iter()
        .flat_map(|(name, message)| missing(XdsKind::Cluster, name, of_cluster(message)));
    let listeners = resources
        .listeners
        .iter()
        .flat_map(|(name, message)| missing(XdsKind::Listener, name, of_listener(message)));
    let routes = resources
        .routes
        .iter()
        .flat_map(|(name, message)| missing(XdsKind::Route, name, of_route_configuration(message)));
    let extensions = resources
        .extensions
        .iter()
        .flat_map(|(name, message)| missing(XdsKind::Extension, name, of_extension(message)));
    clusters.chain(listeners).chain(routes).chain(extensions).collect()
}

/// What the resource of that kind and name refers to, as its message says.
#[cfg(test)]
pub(super) fn of(resources: &XdsResources, kind: XdsKind, name: &str) -> Vec<Reference> {
    match kind {
        XdsKind::Cluster => resources.clusters.get(name).map_or_else(Vec::new, of_cluster),
        XdsKind::Listener => resources.listeners.get(name).map_or_else(Vec::new, of_listener),
        XdsKind::Route => resources.routes.get(name).map_or_else(Vec::new, of_route_configuration),
        XdsKind::Extension => resources.extensions.get(name).map_or_else(Vec::new, of_extension),
        XdsKind::Endpoint | XdsKind::Secret => Vec::new(),
    }
}

/// The endpoints and secrets of a cluster.
fn of_cluster(cluster: &Cluster) -> Vec<Reference> {
    let endpoints =
        cluster.eds_cluster_config.iter().map(|eds| (XdsKind::Endpoint, eds.service_name.clone()));
    let options = cluster.typed_extension_protocol_options.values();
    let filters = options.filter_map(|any| unpack::<HttpProtocolOptions>(any).ok());
    let credentials = filters
        .flat_map(|options| options.http_filters)
        .filter_map(|filter| credential(&filter))
        .map(|name| (XdsKind::Secret, name));
    let socket = cluster.transport_socket.as_ref();
    let inner = socket.and_then(unpack_socket::<ProxyProtocolUpstreamTransport>);
    let inner = inner.and_then(|outer| outer.transport_socket);
    let context = inner.as_ref().or(socket).and_then(unpack_socket::<UpstreamTlsContext>);
    let tls = context.and_then(|context| context.common_tls_context).map(secrets_of_tls);
    sorted(endpoints.chain(credentials).chain(tls.unwrap_or_default()))
}

/// The route tables and secrets of a listener, and the filters that it only names.
fn of_listener(listener: &Listener) -> Vec<Reference> {
    let sockets = listener.filter_chains.iter().filter_map(|chain| chain.transport_socket.as_ref());
    let contexts = sockets.filter_map(unpack_socket::<DownstreamTlsContext>);
    let tls = contexts.filter_map(|context| context.common_tls_context).flat_map(secrets_of_tls);
    let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
    let of_filter = |filter: &proto::listener::Filter| {
        let any = match &filter.config_type {
            Some(filter::ConfigType::TypedConfig(any)) => any,
            Some(filter::ConfigType::ConfigDiscovery(_)) => {
                return vec![(XdsKind::Extension, filter.name.clone())];
            }
            None => return Vec::new(),
        };
        let Ok(manager) = unpack::<HttpConnectionManager>(any) else { return Vec::new() };
        let table = match manager.route_specifier {
            Some(RouteSpecifier::Rds(rds)) => Some((XdsKind::Route, rds.route_config_name)),
            _ => None,
        };
        let is_named = |filter: &HttpFilter| {
            matches!(filter.config_type, Some(http_filter::ConfigType::ConfigDiscovery(_)))
        };
        let named = manager.http_filters.into_iter().filter(is_named);
        named.map(|filter| (XdsKind::Extension, filter.name)).chain(table).collect()
    };
    sorted(filters.flat_map(of_filter).chain(tls))
}

/// The clusters of a route table: those that requests go to, and those that the AI engine asks about them.
fn of_route_configuration(table: &RouteConfiguration) -> Vec<Reference> {
    let routes = || table.virtual_hosts.iter().flat_map(|host| &host.routes);
    let actions = routes().filter_map(|route| match &route.action {
        Some(route::Action::Route(action)) => Some(action),
        _ => None,
    });
    let targets = actions.flat_map(clusters_of).map(str::to_owned);
    let asked = routes().flat_map(clusters_of_guard);
    sorted(targets.chain(asked).map(|name| (XdsKind::Cluster, name)))
}

fn clusters_of_guard(route: &Route) -> Vec<String> {
    let metadata = route.metadata.as_ref();
    let engine = metadata.and_then(|metadata| metadata.filter_metadata.get(ai_config::METADATA_NAMESPACE));
    let policy = engine.and_then(|engine| engine.fields.get(ai_config::POLICY_KEY)).and_then(|policy| {
        let Some(value::Kind::StringValue(text)) = &policy.kind else { return None };
        serde_json::from_str::<RoutePolicy>(text).ok()
    });
    let Some(guard) = policy.and_then(|policy| policy.guard) else { return Vec::new() };
    let webhooks = guard.request_webhook.into_iter().chain(guard.response_webhook);
    let webhooks = webhooks.map(|webhook| webhook.cluster);
    webhooks.chain(guard.moderation.map(|moderation| moderation.cluster)).collect()
}

/// The clusters that a filter asks for the keys of tokens, and whether requests may pass.
fn of_extension(extension: &TypedExtensionConfig) -> Vec<Reference> {
    let Some(any) = &extension.typed_config else { return Vec::new() };
    if let Ok(filter) = unpack::<Composite>(any) {
        return sorted(
            branches(filter).filter_map(|any| asked_by(&any)).map(|name| (XdsKind::Cluster, name)),
        );
    }
    let Ok(filter) = unpack::<JwtAuthentication>(any) else { return Vec::new() };
    let keys = filter.providers.into_values().filter_map(|provider| match provider.jwks_source_specifier? {
        JwksSourceSpecifier::RemoteJwks(keys) => keys.http_uri?.http_upstream_type,
        JwksSourceSpecifier::LocalJwks(_) => None,
    });
    sorted(keys.map(|HttpUpstreamType::Cluster(cluster)| (XdsKind::Cluster, cluster)))
}

/// The filters of which one is chosen for a request.
fn branches(filter: Composite) -> impl Iterator<Item = Any> {
    let tree = filter.matcher.and_then(|matcher| match matcher.matcher_type? {
        MatcherType::MatcherTree(tree) => tree.tree_type,
        MatcherType::MatcherList(_) => None,
    });
    let map = match tree {
        Some(TreeType::ExactMatchMap(map)) => map.map,
        _ => HashMap::new(),
    };
    let actions = map.into_values().filter_map(|branch| match branch.on_match? {
        OnMatch::Action(action) => unpack::<ExecuteFilterAction>(&action.typed_config?).ok(),
        OnMatch::Matcher(_) => None,
    });
    actions.filter_map(|action| action.typed_config?.typed_config)
}

/// The cluster that a filter asks about requests.
fn asked_by(filter: &Any) -> Option<String> {
    if let Ok(filter) = unpack::<RateLimit>(filter) {
        return filter.rate_limit_service?.grpc_service.and_then(cluster_of_grpc);
    }
    if let Ok(filter) = unpack::<ExternalProcessor>(filter) {
        return filter.grpc_service.and_then(cluster_of_grpc);
    }
    match unpack::<ExtAuthz>(filter).ok()?.services? {
        Services::GrpcService(service) => cluster_of_grpc(service),
        Services::HttpService(service) => {
            let HttpUpstreamType::Cluster(cluster) = service.server_uri?.http_upstream_type?;
            Some(cluster)
        }
    }
}

fn cluster_of_grpc(service: GrpcService) -> Option<String> {
    match service.target_specifier? {
        TargetSpecifier::EnvoyGrpc(service) => Some(service.cluster_name),
        TargetSpecifier::GoogleGrpc(_) => None,
    }
}

fn clusters_of(action: &RouteAction) -> Vec<&str> {
    let mirrors = action.request_mirror_policies.iter().map(|mirror| mirror.cluster.as_str());
    let mut clusters = match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => vec![name.as_str()],
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            weighted.clusters.iter().map(|cluster| cluster.name.as_str()).collect()
        }
        _ => Vec::new(),
    };
    clusters.extend(mirrors);
    clusters
}

fn credential(filter: &HttpFilter) -> Option<String> {
    let Some(http_filter::ConfigType::TypedConfig(any)) = &filter.config_type else { return None };
    let credential = unpack::<CredentialInjector>(any).ok()?.credential?.typed_config?;
    Some(unpack::<Generic>(&credential).ok()?.credential?.name)
}

fn unpack_socket<M: prost::Name + Default>(socket: &TransportSocket) -> Option<M> {
    let transport_socket::ConfigType::TypedConfig(any) = socket.config_type.as_ref()?;
    unpack::<M>(any).ok()
}

fn secrets_of_tls(context: CommonTlsContext) -> Vec<Reference> {
    let trust = match context.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config
        }
        _ => None,
    };
    let secrets = context.tls_certificate_sds_secret_configs.into_iter().chain(trust);
    secrets.map(|secret| (XdsKind::Secret, secret.name)).collect()
}

fn sorted(references: impl Iterator<Item = Reference>) -> Vec<Reference> {
    references.collect::<BTreeSet<_>>().into_iter().collect()
}
