//! Where connections and datagrams go that are not HTTP.
//!
//! The filter of a chain stands in the listener by its name alone and comes apart from it, so that an edit of a route
//! changes no listener: connections go on as they began, and new ones follow the new filter. The filter of a UDP port has
//! to stand in the listener itself, since Envoy builds it once.

use ir::{ClusterName, FilterName, L4FilterIr, L4Share, ListenerName};
use proto::core::{ExtensionConfigSource, RuntimeFractionalPercent, TypedExtensionConfig};
use proto::listener::{Filter, ListenerFilter, filter, listener_filter};
use proto::network_inputs::SourcePortInput;
use proto::runtime_fraction::RuntimeFraction;
use proto::tcp_proxy::TcpProxy;
use proto::tcp_proxy::tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;
use proto::udp_proxy::udp_proxy_config::RouteSpecifier;
use proto::udp_proxy::{Route, UdpProxyConfig};
use proto::xds_core::TypedExtensionConfig as XdsExtension;
use proto::xds_matcher::Matcher;
use proto::xds_matcher::matcher::matcher_list::predicate::{MatchType, SinglePredicate, single_predicate};
use proto::xds_matcher::matcher::matcher_list::{FieldMatcher, Predicate};
use proto::xds_matcher::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use proto::{pack, type_url};

use super::config_source::ads;
use super::forward::fraction;
use super::matcher::FRACTION_DENOMINATOR;

/// The filter of a chain, by its name. While Envoy does not have it, it closes the connections.
pub(super) fn named_filter(name: &FilterName) -> Filter {
    let discovery = ExtensionConfigSource {
        config_source: Some(ads()),
        type_urls: vec![type_url::<TcpProxy>()],
        ..ExtensionConfigSource::default()
    };
    Filter { name: name.to_string(), config_type: Some(filter::ConfigType::ConfigDiscovery(discovery)) }
}

/// The filter of that name.
pub(super) fn build_filter(ir: &L4FilterIr) -> TypedExtensionConfig {
    let specifier = match ir.shares.as_slice() {
        [] => ClusterSpecifier::Cluster(ClusterName::nowhere().to_string()),
        [one] => ClusterSpecifier::Cluster(cluster_of(one)),
        shares => {
            let weight = |share: &L4Share| ClusterWeight {
                name: cluster_of(share),
                weight: share.weight,
                ..ClusterWeight::default()
            };
            let clusters = shares.iter().map(weight).collect();
            ClusterSpecifier::WeightedClusters(WeightedCluster { clusters })
        }
    };
    let proxy = TcpProxy {
        stat_prefix: ir.name.to_string(),
        cluster_specifier: Some(specifier),
        ..TcpProxy::default()
    };
    TypedExtensionConfig { name: ir.name.to_string(), typed_config: Some(pack(&proxy)) }
}

/// The filter of a UDP port. All datagrams of one client's port go the same way, by a number that is made of that port.
pub(super) fn datagram_filter(name: &ListenerName, shares: &[L4Share]) -> ListenerFilter {
    let total = shares.iter().map(|share| u64::from(share.weight)).sum::<u64>();
    let mut before = 0;
    let mut matchers = Vec::new();
    let mut last = action(ClusterName::nowhere().to_string());
    for share in shares {
        before += u64::from(share.weight);
        match fraction(before, total) {
            FRACTION_DENOMINATOR.. => last = action(cluster_of(share)),
            numerator => matchers.push(FieldMatcher {
                predicate: Some(below(numerator)),
                on_match: Some(action(cluster_of(share))),
            }),
        }
    }
    let list = (!matchers.is_empty()).then_some(MatcherType::MatcherList(MatcherList { matchers }));
    let matcher = Matcher { on_no_match: Some(Box::new(last)), matcher_type: list };
    let proxy = UdpProxyConfig {
        stat_prefix: name.to_string(),
        route_specifier: Some(RouteSpecifier::Matcher(matcher)),
        ..UdpProxyConfig::default()
    };
    ListenerFilter {
        name: "envoy.filters.udp_listener.udp_proxy".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack(&proxy))),
        ..ListenerFilter::default()
    }
}

/// A cluster that is not there closes connections and drops datagrams.
fn cluster_of(share: &L4Share) -> String {
    share.cluster.as_ref().unwrap_or(&ClusterName::nowhere()).to_string()
}

fn action(cluster: String) -> OnMatch {
    let action = extension("route", &Route { cluster });
    OnMatch { on_match: Some(on_match::OnMatch::Action(action)), keep_matching: false }
}

/// The clients of whose ports the number is below `numerator`.
fn below(numerator: u32) -> Predicate {
    let percent = FractionalPercent { numerator, denominator: DenominatorType::Million.into() };
    let fraction = RuntimeFraction {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(percent),
            ..RuntimeFractionalPercent::default()
        }),
        ..RuntimeFraction::default()
    };
    let predicate = SinglePredicate {
        input: Some(extension("envoy.matching.inputs.source_port", &SourcePortInput {})),
        matcher: Some(single_predicate::Matcher::CustomMatch(extension(
            "envoy.matching.matchers.runtime_fraction",
            &fraction,
        ))),
    };
    Predicate { match_type: Some(MatchType::SinglePredicate(predicate)) }
}

fn extension<M: prost::Message + prost::Name>(name: &str, config: &M) -> XdsExtension {
    XdsExtension { name: name.to_owned(), typed_config: Some(pack(config)) }
}
