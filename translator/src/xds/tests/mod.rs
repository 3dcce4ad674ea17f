//! The whole translation over one rich sample; what needs a table of its own has a file here.

mod cluster;
mod forward;
mod listener;
mod redirect;
mod sample;
mod validate;

use super::*;
use sample::{CREDENTIAL, gateway};

fn build_sample() -> XdsResources {
    build(&gateway(), &Settings::default())
}

#[test]
fn equal_input_gives_equal_bytes() {
    let first = build_sample().encode();
    for _ in 0..20 {
        assert!(build_sample().encode() == first);
    }
}

#[test]
fn resources_are_encoded_in_push_order_with_their_needs() {
    let encoded = build_sample().encode();
    assert!(encoded.iter().map(|resource| (resource.kind, &resource.name)).is_sorted());
    let needs = |kind, name: &str| {
        let resource =
            encoded.iter().find(|resource| resource.kind == kind && resource.name == name).unwrap();
        resource.needs.iter().map(|(kind, name)| format!("{kind:?} {name}")).collect::<Vec<_>>()
    };
    assert_eq!(
        needs(XdsKind::Cluster, "backend/default/gemini"),
        ["Secret credential/backend/default/gemini", "Secret trust/default"]
    );
    assert_eq!(needs(XdsKind::Cluster, "service/default/web/80"), ["Endpoint service/default/web/80"]);
    assert_eq!(needs(XdsKind::Listener, "http/8080"), ["Route http/8080"]);
    assert!(
        needs(XdsKind::Route, "http/8080").contains(&"Cluster backend/default/gemini".to_owned()),
        "a route table names its clusters"
    );
}

#[test]
fn nothing_dangles_in_what_is_built() {
    assert_eq!(dangling_references(&build_sample()), Vec::<String>::new());
}

#[test]
fn every_kind_of_missing_resource_is_found() {
    let mut resources = build_sample();
    resources.secrets.clear();
    resources.endpoints.clear();
    resources.routes.retain(|name, _| name != "http/80");
    resources.clusters.remove("service/default/empty/80");
    let dangling = dangling_references(&resources);
    for line in [
        "Cluster backend/default/gemini names Secret credential/backend/default/gemini",
        "Cluster backend/default/gemini names Secret trust/default",
        "Cluster service/default/web/80 names Endpoint service/default/web/80",
        "Listener http/80 names Route http/80",
        "Route http/8080 names Cluster service/default/empty/80",
    ] {
        assert!(dangling.contains(&line.to_owned()), "{line} in {dangling:#?}");
    }
}

#[test]
fn nothing_deprecated_is_emitted() {
    for resource in build_sample().encode() {
        let found = proto::deprecated_fields(&resource.kind.type_url(), &resource.bytes).unwrap();
        assert_eq!(found, Vec::<String>::new(), "{resource:?}");
    }
}

#[test]
fn a_credential_is_in_its_secret_alone_and_debug_hides_it() {
    let resources = build_sample();
    assert!(!format!("{resources:?}").contains(CREDENTIAL));
    let holds = |bytes: &[u8]| bytes.windows(CREDENTIAL.len()).any(|window| window == CREDENTIAL.as_bytes());
    for resource in resources.encode() {
        let is_its_secret = resource.name == "credential/backend/default/gemini";
        assert_eq!(holds(&resource.bytes), is_its_secret, "{resource:?}");
        assert!(!format!("{resource:?}").contains(CREDENTIAL));
    }
}

#[test]
fn a_route_does_not_change_its_listener() {
    let mut gateway = gateway();
    let before = build(&gateway, &Settings::default());
    gateway.listeners.values_mut().for_each(|listener| listener.virtual_hosts.clear());
    let after = build(&gateway, &Settings::default());
    assert_ne!(before.routes, after.routes);
    assert_eq!(before.listeners, after.listeners);
}

#[test]
fn a_change_of_endpoints_does_not_change_the_cluster() {
    let mut gateway = gateway();
    let before = build(&gateway, &Settings::default());
    for cluster in gateway.clusters.values_mut() {
        if let Discovery::Endpoints(endpoints) = &mut cluster.discovery {
            endpoints.clear();
        }
    }
    let after = build(&gateway, &Settings::default());
    assert_ne!(before.endpoints, after.endpoints);
    assert_eq!(before.clusters, after.clusters);
}
