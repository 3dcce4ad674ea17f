//! The same configuration without a control plane, for `envoy --mode validate` and for reading.

use proto::bootstrap::Bootstrap;
use proto::bootstrap::bootstrap::StaticResources;
use proto::cluster::Cluster;
use proto::cluster::cluster::{ClusterDiscoveryType, DiscoveryType};
use proto::core::{TransportSocket, transport_socket};
use proto::credential_injector::CredentialInjector;
use proto::generic_credential::Generic;
use proto::hcm::http_connection_manager::RouteSpecifier;
use proto::hcm::{HttpConnectionManager, HttpFilter, http_filter};
use proto::listener::{Filter, Listener, filter};
use proto::proxy_protocol_upstream::ProxyProtocolUpstreamTransport;
use proto::tls::common_tls_context::ValidationContextType;
use proto::tls::{CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext};
use proto::upstream_http::HttpProtocolOptions;
use proto::wkt::Any;
use proto::{pack, unpack};

use super::XdsResources;

/// A bootstrap that holds all resources itself: route tables and filters stand in their listeners, endpoints in
/// their clusters, and secrets are found by name.
///
/// The secrets' values are in it.
pub fn to_static_bootstrap(resources: &XdsResources) -> Bootstrap {
    let static_resources = StaticResources {
        listeners: resources.listeners.values().map(|listener| inline_named(listener, resources)).collect(),
        clusters: resources.clusters.values().map(|cluster| inline_endpoints(cluster, resources)).collect(),
        secrets: resources.secrets.values().cloned().collect(),
    };
    Bootstrap { static_resources: Some(static_resources), ..Bootstrap::default() }
}

fn inline_named(listener: &Listener, resources: &XdsResources) -> Listener {
    let mut listener = listener.clone();
    for socket in listener.filter_chains.iter_mut().filter_map(|chain| chain.transport_socket.as_mut()) {
        edit_socket(socket, |context: &mut DownstreamTlsContext| {
            context.common_tls_context.iter_mut().for_each(name_secrets);
        });
    }
    for filter in listener.filter_chains.iter_mut().flat_map(|chain| &mut chain.filters) {
        inline_in_filter(filter, resources);
    }
    listener
}

fn inline_in_filter(filter: &mut Filter, resources: &XdsResources) {
    if let Some(filter::ConfigType::ConfigDiscovery(_)) = filter.config_type
        && let Some(config) = resources.extensions.get(&filter.name)
    {
        filter.config_type = config.typed_config.clone().map(filter::ConfigType::TypedConfig);
    }
    let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else { return };
    edit(any, |manager: &mut HttpConnectionManager| {
        if let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier
            && let Some(table) = resources.routes.get(&rds.route_config_name)
        {
            manager.route_specifier = Some(RouteSpecifier::RouteConfig(table.clone()));
        }
        for filter in &mut manager.http_filters {
            if let Some(http_filter::ConfigType::ConfigDiscovery(_)) = filter.config_type
                && let Some(config) = resources.extensions.get(&filter.name)
            {
                filter.config_type = config.typed_config.clone().map(http_filter::ConfigType::TypedConfig);
            }
        }
    });
}

fn inline_endpoints(cluster: &Cluster, resources: &XdsResources) -> Cluster {
    let mut cluster = cluster.clone();
    if let Some(eds) = cluster.eds_cluster_config.take() {
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
        let mut assignment = resources.endpoints.get(&eds.service_name).cloned().unwrap_or_default();
        assignment.cluster_name.clone_from(&cluster.name);
        cluster.load_assignment = Some(assignment);
    }
    if let Some(socket) = &mut cluster.transport_socket {
        edit_socket(socket, name_secrets_upstream);
        edit_socket(socket, |outer: &mut ProxyProtocolUpstreamTransport| {
            outer.transport_socket.iter_mut().for_each(|inner| edit_socket(inner, name_secrets_upstream));
        });
    }
    for any in cluster.typed_extension_protocol_options.values_mut() {
        edit(any, |options: &mut HttpProtocolOptions| {
            options.http_filters.iter_mut().for_each(name_credential);
        });
    }
    cluster
}

fn edit_socket<M: prost::Name + Default>(socket: &mut TransportSocket, change: impl FnOnce(&mut M)) {
    if let Some(transport_socket::ConfigType::TypedConfig(any)) = &mut socket.config_type {
        edit(any, change);
    }
}

fn name_secrets_upstream(context: &mut UpstreamTlsContext) {
    context.common_tls_context.iter_mut().for_each(name_secrets);
}

fn name_secrets(context: &mut CommonTlsContext) {
    let trust = match &mut context.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config.as_mut()
        }
        _ => None,
    };
    let secrets = context.tls_certificate_sds_secret_configs.iter_mut().chain(trust);
    secrets.for_each(|secret| secret.sds_config = None);
}

fn name_credential(filter: &mut HttpFilter) {
    let Some(http_filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else { return };
    edit(any, |injector: &mut CredentialInjector| {
        let config = injector.credential.as_mut().and_then(|extension| extension.typed_config.as_mut());
        let Some(any) = config else { return };
        edit(any, |generic: &mut Generic| {
            if let Some(secret) = &mut generic.credential {
                secret.sds_config = None;
            }
        });
    });
}

/// Changes the message in an `Any`, if it is of this type.
fn edit<M: prost::Name + Default>(any: &mut Any, change: impl FnOnce(&mut M)) {
    if let Ok(mut message) = unpack::<M>(any) {
        change(&mut message);
        *any = pack(&message);
    }
}
