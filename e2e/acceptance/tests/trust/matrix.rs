//! Who is refused, and that a refusal comes before any byte of a resource.

use acceptance::xds_port::{DELTA, SOTW, XdsPort, discovery_request};
use acceptance::{SYSTEM, World, restricted_namespace};
use e2e::ads_client::{Kind, Protocol};
use rustls::version::{TLS12, TLS13};

use super::fixture::{self, GATEWAY, NAMESPACES, canaries, ports, served};
use super::tokens::{self, AUDIENCE};

/// gRPC's `PERMISSION_DENIED`, `UNIMPLEMENTED` and `UNAUTHENTICATED`.
const DENIED: u16 = 7;
const UNIMPLEMENTED: u16 = 12;
const UNAUTHENTICATED: u16 = 16;

/// The first byte of a TLS alert.
const ALERT: u8 = 21;

/// Every method that an Envoy has ever called, those of gRPC's own services, and paths that are none.
fn methods() -> Vec<String> {
    let discovery = [
        ("cluster", "Cluster", "Clusters"),
        ("endpoint", "Endpoint", "Endpoints"),
        ("listener", "Listener", "Listeners"),
        ("route", "Route", "Routes"),
        ("route", "ScopedRoutes", "ScopedRoutes"),
        ("secret", "Secret", "Secrets"),
        ("runtime", "Runtime", "Runtime"),
        ("extension", "ExtensionConfig", "ExtensionConfigs"),
    ];
    let of_service = |(package, service, resources): (&str, &str, &str)| {
        let name = format!("/envoy.service.{package}.v3.{service}DiscoveryService");
        ["Stream", "Delta", "Fetch"].map(|way| format!("{name}/{way}{resources}"))
    };
    let others = [
        DELTA,
        SOTW,
        "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts",
        "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats",
        "/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus",
        "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
        "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/v3/discovery:secrets",
        "/metrics",
        "/debug/snapshot",
        "/",
    ];
    discovery.into_iter().flat_map(of_service).chain(others.map(str::to_owned)).collect()
}

/// What a caller shows who is no proxy of ours, and how it is refused.
fn strangers(world: &World) -> Vec<(&'static str, Option<String>, u16)> {
    let cluster = &world.cluster;
    let [red, ..] = NAMESPACES;
    // The same account, in a namespace without a Gateway.
    let elsewhere = "trust-elsewhere";
    cluster.apply(&restricted_namespace(elsewhere)).expect("the namespace");
    cluster.kubectl(&["create", "serviceaccount", GATEWAY, "-n", elsewhere]).expect("an account");
    let genuine = tokens::issue(cluster, GATEWAY, red, AUDIENCE);
    assert!(tokens::is_authenticated(cluster, &genuine), "the API server takes its own token");
    let expired = std::time::SystemTime::now() - std::time::Duration::from_secs(5);
    let bearer = |token: String| Some(format!("Bearer {token}"));
    vec![
        ("no token", None, UNAUTHENTICATED),
        ("an empty token", bearer(String::new()), UNAUTHENTICATED),
        ("garbage", bearer("garbage".to_owned()), UNAUTHENTICATED),
        ("a forged signature", bearer(tokens::forged(&genuine)), UNAUTHENTICATED),
        ("not as a bearer", Some(format!("Basic {genuine}")), UNAUTHENTICATED),
        ("expired", bearer(tokens::expiring_at(world, &genuine, expired)), UNAUTHENTICATED),
        ("its bound object deleted", bearer(tokens::orphaned(cluster, GATEWAY, red)), UNAUTHENTICATED),
        (
            "the API server's audience",
            bearer(tokens::issue(cluster, GATEWAY, red, "https://kubernetes.default.svc.cluster.local")),
            UNAUTHENTICATED,
        ),
        ("another audience", bearer(tokens::issue(cluster, GATEWAY, red, "vault")), UNAUTHENTICATED),
        (
            "another account of the namespace",
            bearer(tokens::issue(cluster, "default", red, AUDIENCE)),
            DENIED,
        ),
        (
            "the same account of another namespace",
            bearer(tokens::issue(cluster, GATEWAY, elsewhere, AUDIENCE)),
            DENIED,
        ),
        (
            "the control plane's own account",
            bearer(tokens::issue(cluster, "chancery", SYSTEM, AUDIENCE)),
            DENIED,
        ),
    ]
}

/// How many calls were refused as they should, of how many, and the bytes that came all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    calls: usize,
    refused: usize,
    bytes: usize,
}

/// Calls every method of a port with what each row shows; the message asks for all that there is.
fn call_all(
    world: &World,
    port: &XdsPort,
    methods: &[String],
    rows: &[(&'static str, Option<String>, u16)],
) -> Tally {
    let (port, methods, rows) = (port.clone(), methods.to_vec(), rows.to_vec());
    world.network.run(async move {
        let mut tally = Tally::default();
        let node = format!("{}/{GATEWAY}", NAMESPACES[0]);
        for (name, authorization, expected) in rows {
            let mut caller = port.connect(&TLS13).await.expect("a connection");
            for method in &methods {
                let message = discovery_request(method, &node, &Kind::Cluster.type_url(), &["*".to_owned()]);
                let ended = caller.call(method, authorization.as_deref(), message).await;
                let ended = ended.unwrap_or_else(|error| panic!("{name}: {method}: {error}"));
                let is_refused = ended.code == Some(expected) && ended.body.is_empty();
                assert!(is_refused, "{name}: {method}: {:?}, {} bytes", ended.code, ended.body.len());
                tally.calls += 1;
                tally.refused += usize::from(is_refused);
                tally.bytes += ended.body.len();
            }
        }
        tally
    })
}

#[test]
fn every_method_of_every_replica_refuses_who_is_no_proxy_before_any_byte_of_a_resource() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let (rows, methods) = (strangers(world), methods());
    let mut all = Tally::default();
    for (name, port) in ports(world) {
        let tally = call_all(world, &port, &methods, &rows);
        println!("{name}: {} of {} calls refused, {} bytes", tally.refused, tally.calls, tally.bytes);
        all.calls += tally.calls;
        all.refused += tally.refused;
        all.bytes += tally.bytes;
    }
    println!(
        "xDS authentication: {} kinds of callers x {} methods x 3 addresses: {} refused of {}, bytes of resources {}",
        rows.len(),
        methods.len(),
        all.refused,
        all.calls,
        all.bytes
    );
    let calls = rows.len() * methods.len() * 3;
    assert_eq!(all, Tally { calls, refused: calls, bytes: 0 });
}

#[test]
fn a_proxy_gets_nothing_but_by_ads() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let methods: Vec<String> =
        methods().into_iter().filter(|method| ![DELTA, SOTW].contains(&method.as_str())).collect();
    let token = tokens::issue(&world.cluster, GATEWAY, NAMESPACES[0], AUDIENCE);
    let rows = [("a proxy", Some(format!("Bearer {token}")), UNIMPLEMENTED)];
    for (name, port) in ports(world) {
        let tally = call_all(world, &port, &methods, &rows);
        println!("{name}: with a proxy's token: {} of {} other methods refused", tally.refused, tally.calls);
        assert_eq!(tally, Tally { calls: methods.len(), refused: methods.len(), bytes: 0 });
    }
}

#[test]
fn a_proxy_gets_its_own_whatever_its_node_claims() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let [red, _, blue] = NAMESPACES;
    let token = tokens::issue(&world.cluster, GATEWAY, red, AUDIENCE);
    for (name, port) in ports(world) {
        for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
            let own = served(world, &port, &token, protocol, &format!("{red}/{GATEWAY}"));
            let foreign = served(world, &port, &token, protocol, &format!("{blue}/{GATEWAY}"));
            assert!(own == foreign, "{name}, {protocol:?}: the node's words decide");
            let shown = format!("{:?}", own.secrets);
            for namespace in NAMESPACES {
                let is_own = namespace == red;
                let is_shown = canaries(namespace).iter().all(|canary| shown.contains(canary));
                assert_eq!(is_shown, is_own, "{name}, {protocol:?}: secrets of {namespace}");
            }
            // That by which a proxy shows that it has the module of the AI engine is the same for all.
            let clusters = own.clusters.keys().filter(|name| *name != "chancery_module").count();
            let counts = [own.listeners.len(), own.routes.len(), clusters];
            assert!(counts[0] >= 1 && counts[1] == 1 && counts[2] == 2, "{name}, {protocol:?}: {own:?}");
        }
        println!("{name}: a proxy's token: the complete set of {red}, also for a node that claims {blue}");
    }
}

#[test]
fn nothing_but_tls_1_3_is_spoken() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    for (name, port) in ports(world) {
        let (plain, old) = world.network.run(async move {
            (port.speak_plainly().await.expect("it hangs up"), port.connect(&TLS12).await.is_err())
        });
        assert!(plain.is_empty() || plain[0] == ALERT, "{name}: {plain:?}");
        assert!(old, "{name}: TLS 1.2 is spoken");
        println!("{name}: plain text: {} bytes, no more than an alert; TLS 1.2: refused", plain.len());
    }
}
