//! The whole translation over one rich sample; what needs a table of its own has a file here.

mod cluster;
mod forward;
mod listener;
mod redirect;
mod sample;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use ir::{RouteConfigName, TokenBucket};

use super::*;
use ir::ListenerQuestion;
use sample::{CREDENTIAL, Sample, VirtualHost, gateway};

fn encode(sample: &Sample) -> Vec<EncodedResource> {
    let mut all = Vec::new();
    for (listener, hosts) in &sample.listeners {
        all.push(encode_listener(listener, &Settings::default()));
        let mut table = Table::new(RouteConfigName::http(listener.bind.port));
        for VirtualHost { hostname, routes } in hosts {
            table.set_host(hostname, HostRole::Routes(None));
            let routes = routes.iter().enumerate();
            let routes = routes
                .map(|(at, route)| (at, Arc::from(encode_route(route, hostname, listener))))
                .collect::<Vec<_>>();
            table.replace(hostname, &[], &routes);
        }
        all.push(table.encode());
    }
    for (cluster, endpoints) in &sample.clusters {
        all.push(encode_cluster(cluster, &Settings::default()));
        if cluster.discovery == Discovery::Endpoints {
            all.push(encode_endpoints(&cluster.name, endpoints, &TestHooks::default()));
        }
    }
    let routes = sample.listeners.iter().flat_map(|(_, hosts)| hosts).flat_map(|host| &host.routes);
    let buckets = routes.filter_map(|route| route.policy.rate_limit.clone());
    let tokens = TokenBucket { max_tokens: 1, tokens_per_fill: 1, fill_interval: Duration::from_secs(1) };
    let parts = buckets.map(|bucket| FilterPart::Bucket(bucket, tokens));
    let services = [
        FilterPart::Auth(sample::auth_service().into()),
        FilterPart::LimitService(sample::limit_service().into()),
        FilterPart::Processor(sample::processor().into()),
        FilterPart::Compressor(sample::compressor().into()),
    ];
    let parts: Vec<_> = parts.chain(services).collect();
    all.extend(sample.listeners.iter().flat_map(|(listener, _)| listener.auth_filters()).map(|name| {
        let question = ListenerQuestion { service: sample::auth_service(), body: None };
        let questions = [("listener".into(), question)].into();
        encode_listener_auth(&ListenerAuthIr { name: name.clone(), questions })
    }));
    all.extend(encode_filters(&parts, &Settings::default()));
    all.extend(sample.secrets.iter().map(|secret| encode_secret(secret, &TestHooks::default())));
    all.sort_by(|left, right| (left.kind, &left.name).cmp(&(right.kind, &right.name)));
    all
}

fn build(sample: &Sample) -> XdsResources {
    XdsResources::decode(&encode(sample))
}

fn build_sample() -> XdsResources {
    build(&gateway())
}

#[test]
fn equal_input_gives_equal_bytes() {
    let first = encode(&gateway());
    for _ in 0..20 {
        assert!(encode(&gateway()) == first);
    }
}

/// What the builders say of references is what stands in the messages.
#[test]
fn resources_name_their_needs() {
    let encoded = encode(&gateway());
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
    assert_eq!(
        needs(XdsKind::Listener, "http/8080"),
        [
            "Extension auth/8080/0",
            "Extension chancery.api_keys",
            "Extension chancery.compressor",
            "Extension chancery.external_auth",
            "Extension chancery.global_rate_limit",
            "Extension chancery.local_rate_limit",
            "Extension chancery.processor",
            "Extension chancery.tokens",
            "Extension chancery.users",
            "Route http/8080"
        ]
    );
    let resources = XdsResources::decode(&encoded);
    for resource in encoded.iter().filter(|resource| resource.kind != XdsKind::Route) {
        assert_eq!(resource.needs, references::of(&resources, resource.kind, &resource.name));
    }
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
    resources.extensions.clear();
    resources.routes.retain(|name, _| name != "http/80");
    resources.clusters.remove("service/default/empty/80");
    let dangling = dangling_references(&resources);
    for line in [
        "Cluster backend/default/gemini names Secret credential/backend/default/gemini",
        "Cluster backend/default/gemini names Secret trust/default",
        "Cluster service/default/web/80 names Endpoint service/default/web/80",
        "Listener http/80 names Extension chancery.local_rate_limit",
        "Listener http/80 names Route http/80",
        "Route http/8080 names Cluster service/default/empty/80",
    ] {
        assert!(dangling.contains(&line.to_owned()), "{line} in {dangling:#?}");
    }
}

#[test]
fn nothing_deprecated_is_emitted() {
    for resource in encode(&gateway()) {
        let found = proto::deprecated_fields(&resource.kind.type_url(), &resource.bytes).unwrap();
        assert_eq!(found, Vec::<String>::new(), "{resource:?}");
    }
}

#[test]
fn a_credential_is_in_its_secret_alone_and_debug_hides_it() {
    let resources = build_sample();
    assert!(!format!("{resources:?}").contains(CREDENTIAL));
    let holds = |bytes: &[u8]| bytes.windows(CREDENTIAL.len()).any(|window| window == CREDENTIAL.as_bytes());
    for resource in encode(&gateway()) {
        let is_its_secret = resource.name == "credential/backend/default/gemini";
        assert_eq!(holds(&resource.bytes), is_its_secret, "{resource:?}");
        assert!(!format!("{resource:?}").contains(CREDENTIAL));
    }
}

#[test]
fn a_table_is_what_protobuf_makes_of_it_at_once() {
    for resource in encode(&gateway()).iter().filter(|resource| resource.kind == XdsKind::Route) {
        let decoded = XdsResources::decode([resource]);
        let [table] = decoded.routes.values().collect::<Vec<_>>()[..] else { panic!("{decoded:?}") };
        assert_eq!(proto::encode(table), resource.bytes, "{}", resource.name);
    }
}

#[test]
fn the_version_of_a_table_is_that_of_its_content_whatever_came_before() {
    let sample = gateway();
    let (listener, hosts) = &sample.listeners[1];
    let mut table = Table::new(RouteConfigName::http(8080));
    let route = |prefix: &str| {
        let route = sample::route(prefix, sample::forward(vec![sample::to_error(1)]));
        Arc::<[u8]>::from(encode_route(&route, &hosts[0].hostname, listener))
    };
    let empty = table.encode();
    let (first, second) = ([(1, route("/a"))], [(1, route("/b"))]);
    table.set_host(&hosts[0].hostname, HostRole::Routes(None));
    table.replace(&hosts[0].hostname, &[], &first);
    let with_first = table.encode();
    table.replace(&hosts[0].hostname, &first, &second);
    let with_second = table.encode();
    assert!(with_first.version != with_second.version && with_first.bytes != with_second.bytes);
    // The same route at another place is another table.
    table.replace(&hosts[0].hostname, &second, &[(2, route("/a"))]);
    assert_ne!(table.encode().version, with_first.version);
    table.replace(&hosts[0].hostname, &[(2, route("/a"))], &first);
    assert!(table.encode() == with_first);
    table.remove_host(&hosts[0].hostname);
    assert!(table.encode() == empty);
    table.replace(&hosts[0].hostname, &first, &[]);
    assert!(table.encode() == empty, "a host that is gone stays gone");
}
