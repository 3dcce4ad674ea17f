//! Keys are searched for wherever they must not be: in what other Gateways' proxies are sent, and in all that the
//! control plane and the proxies show.

use std::collections::BTreeSet;
use std::time::Duration;

use acceptance::xds_port::{DELTA, SOTW, XdsPort, discovery_request};
use acceptance::{SYSTEM, World};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use e2e::ads_client::{Kind, Protocol};
use rustls::version::TLS13;

use super::fixture::{self, GATEWAY, NAMESPACES, admin_ports, canaries, ports, served};
use super::tokens::{self, AUDIENCE};

/// A stream in which nothing comes for so long has told all.
const QUIET: Duration = Duration::from_secs(2);

/// The forms in which a key would be found.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![canary.to_owned(), hex.to_uppercase(), hex, canary.chars().rev().collect()];
    // In base64 a text looks different by its place; what is in the middle of it does not change.
    for shift in 0..3 {
        let shifted = format!("{}{canary}", "x".repeat(shift));
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&shifted);
            let from = if shift == 0 { 0 } else { 4 };
            // The last group depends on what follows.
            forms.push(encoded[from..encoded.len() / 4 * 4 - 4].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// The namespaces whose keys are found in `bytes`, in any form.
fn found(bytes: &[u8]) -> BTreeSet<&'static str> {
    let holds = |form: &Vec<u8>| bytes.windows(form.len()).any(|window| window == form.as_slice());
    let is_found =
        |namespace: &&str| canaries(namespace).iter().flat_map(|c| forms(c)).any(|form| holds(&form));
    NAMESPACES.into_iter().filter(is_found).collect()
}

/// All bytes that a proxy gets which asks, of every type, for everything and for these names.
async fn all_bytes(port: XdsPort, token: String, names: Vec<String>) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    let names: Vec<String> = ["*".to_owned()].into_iter().chain(names).collect();
    let mut bytes = Vec::new();
    for method in [DELTA, SOTW] {
        for kind in [Kind::Cluster, Kind::Endpoint, Kind::Listener, Kind::Route, Kind::Secret] {
            let message = discovery_request(method, "trust-blue/ai-gateway", &kind.type_url(), &names);
            let mut caller = port.connect(&TLS13).await.expect("a connection");
            let ended = caller.listen(method, &authorization, message, QUIET).await.expect("a stream");
            assert_eq!(ended.code, None, "{kind:?}: the stream is refused");
            bytes.extend(ended.body);
        }
    }
    bytes
}

#[test]
fn a_key_is_found_in_every_form_that_is_searched_for() {
    let [key, _] = canaries("trust-red");
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{key}, and so on"));
    for text in [key.clone(), hex, encoded(""), encoded("Bearer "), encoded("a"), encoded("ab")] {
        let text = format!("before {text} after");
        assert_eq!(found(text.as_bytes()), BTreeSet::from(["trust-red"]), "{text}");
    }
    assert_eq!(found(b"canary"), BTreeSet::new());
}

#[test]
fn no_proxy_is_sent_a_key_of_another_gateway_even_when_it_asks_for_it_by_name() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let tokens = NAMESPACES.map(|namespace| tokens::issue(&world.cluster, GATEWAY, namespace, AUDIENCE));
    let replicas: Vec<_> = ports(world).into_iter().skip(1).collect();
    let mut secrets = Vec::new();
    for token in &tokens {
        let all = served(world, &replicas[0].1, token, Protocol::Delta, "any");
        // Beside them there is the bundle of public authorities, which is no secret and the same for all.
        secrets.extend(all.secrets.into_keys().filter(|name| name.starts_with("credential/")));
    }
    assert_eq!(secrets.iter().collect::<BTreeSet<_>>().len(), 6, "two of each Gateway's own: {secrets:?}");
    // All at a time: each is quiet for a while before it has told all.
    let ask = |(name, port): &(String, XdsPort)| {
        let of_proxy = |(namespace, token): (&&'static str, &String)| {
            let bytes = all_bytes(port.clone(), token.clone(), secrets.clone());
            (format!("{name}: {namespace}"), *namespace, world.network.spawn(bytes))
        };
        NAMESPACES.iter().zip(&tokens).map(of_proxy).collect::<Vec<_>>()
    };
    let asked: Vec<_> = replicas.iter().flat_map(ask).collect();
    let (mut total, streams) = (0, asked.len() * 2 * 5);
    for (who, namespace, bytes) in asked {
        let bytes = world.network.run(async { bytes.await.expect("the client ends") });
        assert_eq!(found(&bytes), BTreeSet::from([namespace]), "{who}");
        total += bytes.len();
    }
    println!(
        "{streams} streams, {total} bytes: each Gateway's own keys, no other's, though all six were asked for by name"
    );
}

#[test]
fn no_key_is_in_anything_that_is_shown() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let cluster = &world.cluster;
    // The needles are the right ones: in the Secrets they are found.
    let secrets = cluster.kubectl(&["get", "secrets", "-A", "-o", "yaml"]).expect("the Secrets");
    assert_eq!(found(secrets.as_bytes()), NAMESPACES.into_iter().collect());

    let mut shown = vec![("all objects but Secrets, events included".to_owned(), all_objects(world))];
    let replicas = ["get", "pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=chancery", "-o", "name"];
    for pod in cluster.kubectl(&replicas).expect("the replicas").split_whitespace() {
        let log = cluster.kubectl(&["logs", "-n", SYSTEM, pod]).expect("the log");
        assert!(!log.is_empty(), "{pod} says nothing");
        shown.push((format!("the log of {pod}"), log));
    }
    for address in admin_ports(world) {
        for path in ["/metrics", "/status", "/debug/snapshot", "/readyz"] {
            let answer = world.network.run(async move { e2e::http::get(address, "admin", path).await });
            shown.push((format!("{address}{path}"), answer.expect("the admin port").text()));
        }
    }
    shown.extend(of_proxies(world));
    let mut total = 0;
    for (place, text) in &shown {
        assert_eq!(found(text.as_bytes()), BTreeSet::new(), "{place}");
        total += text.len();
    }
    println!("no key in {} places, {total} bytes", shown.len());
}

/// Everything that the API server has, but for Secrets.
fn all_objects(world: &World) -> String {
    let kinds = world.cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).expect("the kinds");
    let kinds: Vec<&str> = kinds.split_whitespace().filter(|kind| *kind != "secrets").collect();
    assert!(kinds.contains(&"events") && kinds.contains(&"configmaps"), "{kinds:?}");
    let objects = ["get", &kinds.join(","), "-A", "-o", "yaml", "--show-managed-fields"];
    world.cluster.kubectl(&objects).expect("all objects")
}

/// What each Gateway's Envoy tells its administrator, and its log.
fn of_proxies(world: &World) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    for namespace in NAMESPACES {
        let label = format!("gateway.networking.k8s.io/gateway-name={GATEWAY}");
        let pod = world.field(&["pods", "-n", namespace, "-l", &label], ".items[0].metadata.name");
        for path in
            ["/config_dump?include_eds", "/certs", "/clusters", "/listeners", "/stats", "/server_info"]
        {
            let text = world.cluster.envoy_admin(namespace, &pod, path).expect("the admin interface");
            shown.push((format!("{path} of {namespace}'s Envoy"), text));
        }
        let log = world.cluster.kubectl(&["logs", "-n", namespace, &pod]).expect("the log");
        shown.push((format!("the log of {namespace}'s Envoy"), log));
    }
    shown
}
