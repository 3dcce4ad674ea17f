//! Incremental translation against translation from scratch, and what it may cost.

mod random;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use crds::Object;
use proptest::collection::vec;
use proptest::prelude::*;
use random::{World, bystanding_kinds, nasty_text, settings, spoil, world};
use replay::Replay;
use serde_json::{Value, json};
use translator::{Change, Delta, Resources, Settings, Translator, translate};

fn object(document: &Value) -> Object {
    Object::decode(document.clone()).unwrap_or_else(|error| panic!("{error}: {document}")).object
}

/// One step of a script: several changes at once, each of an object of the pool, put in or taken out.
type Step = Vec<(u16, bool)>;

/// Objects of which many have the same name, so that putting one in is often an edit.
fn pool() -> impl Strategy<Value = World> {
    let spoilt = (world(), vec((any::<u16>(), nasty_text()), 0..4))
        .prop_map(|(world, changes)| spoil(&world, &changes));
    (world(), spoilt, world()).prop_map(|(one, two, three)| {
        let all = one.into_iter().chain(two).chain(three).chain(bystanding_kinds());
        all.collect()
    })
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    vec(vec((any::<u16>(), prop::bool::weighted(0.7)), 1..5), 1..25)
}

fn change(pool: &[Value], (index, is_put_in): (u16, bool)) -> Change {
    let object = object(&pool[usize::from(index) % pool.len()]);
    if is_put_in { Change::Apply(object) } else { Change::Delete(object.object_ref()) }
}

fn apply(resources: &mut Resources, change: &Change) {
    match change {
        Change::Apply(object) => drop(resources.apply(object.clone())),
        Change::Delete(object) => drop(resources.delete(object)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, failure_persistence: None,
        ..ProptestConfig::default() })]

    /// After every step the same comes out as from scratch, byte for byte; the deltas lead from one to the next and
    /// hold nothing that stays as it is; and when all is gone, nothing is remembered.
    #[test]
    fn incremental_is_from_scratch(
        pool in pool(), script in script(), settings in settings(), others in vec(settings(), 0..2),
    ) {
        let mut translator = Translator::new(settings.clone());
        let (mut resources, mut replay) = (Resources::default(), Replay::default());
        let mut settings = settings;
        let mut others = others.into_iter();
        let whole: Step = (0..u16::try_from(pool.len()).unwrap()).map(|index| (index, true)).collect();
        for step in std::iter::once(whole).chain(script) {
            let changes: Vec<_> = step.iter().map(|edit| change(&pool, *edit)).collect();
            changes.iter().for_each(|change| apply(&mut resources, change));
            replay.take(translator.update(changes));
            prop_assert_eq!(Replay::of(&translate(&resources, &settings)).is(&translator.translation()), Ok(()));
            prop_assert_eq!(replay.is(&translator.translation()), Ok(()));
            if step.len() == 1 && let Some(other) = others.next() {
                replay.take(translator.set_settings(other.clone()));
                settings = other;
                prop_assert_eq!(Replay::of(&translate(&resources, &settings)).is(&translator.translation()), Ok(()));
                prop_assert_eq!(replay.is(&translator.translation()), Ok(()));
            }
        }
        let all: Vec<_> = resources.iter().map(|object| Change::Delete(object.object_ref())).collect();
        replay.take(translator.update(all));
        prop_assert_eq!(replay.is(&translator.translation()), Ok(()));
        prop_assert_eq!(translator.remembered(), 0, "{:?}", translator);
    }
}

// --- What a change may cost ---

fn apply_all(translator: &mut Translator, documents: &[Value]) -> Delta {
    translator.update(documents.iter().map(|document| Change::Apply(object(document))))
}

fn gateway() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"gatewayClassName": "chancery", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}]}})
}

fn slice(service: &str, address: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 8080}], "endpoints": [{"addresses": [address]}]})
}

fn route(name: &str, hostnames: &[String], path: &str, service: &str) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": hostnames,
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}],
                "backendRefs": [{"name": service, "port": 80}]}]}})
}

fn hostname(number: usize) -> Vec<String> {
    vec![format!("h{number}.example.com")]
}

/// As many routes, each with a host of its own, and a Service for 20 of them each.
fn cluster(routes: usize) -> Translator {
    let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
    let mut translator = Translator::new(settings);
    let services = (0..routes.div_ceil(20)).flat_map(|number| {
        let name = format!("s{number}");
        [service(&name), slice(&name, "10.0.0.1")]
    });
    let routes = (0..routes)
        .map(|number| route(&format!("r{number}"), &hostname(number), "/", &format!("s{}", number / 20)));
    let all: Vec<_> = [gateway()].into_iter().chain(services).chain(routes).collect();
    apply_all(&mut translator, &all);
    translator
}

/// The number of evaluations of each change, by its name.
fn costs(routes: usize) -> BTreeMap<&'static str, BTreeMap<&'static str, usize>> {
    let mut translator = cluster(routes);
    let route_is = |path: &str, service: &str| route("r3", &hostname(3), path, service);
    let moved = vec!["elsewhere.example.com".to_owned()];
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "default"}});
    let mut status_only = gateway();
    status_only["metadata"]["annotations"] = json!({"note": "x"});
    let mut h2 = service("s0");
    h2["spec"]["ports"][0]["appProtocol"] = json!("kubernetes.io/h2c");
    let edits = [
        ("slice", slice("s0", "10.0.0.2")),
        ("slice of nobody", slice("nobody", "10.0.0.2")),
        ("secret of nobody", secret),
        ("service of nobody", service("nobody")),
        ("service with another protocol", h2),
        ("route with another path", route_is("/other", "s0")),
        ("the same route again", route_is("/other", "s0")),
        ("route with another host", route("r3", &moved, "/other", "s0")),
        ("new route", route("new", &["new.example.com".to_owned()], "/", "s0")),
        ("annotation of the Gateway", status_only),
    ];
    edits.map(|(name, edit)| (name, apply_all(&mut translator, &[edit]).evaluations)).into()
}

#[test]
fn a_change_costs_what_reads_it_however_many_routes_there_are() {
    let few = costs(20);
    let total = |name: &str| few[name].values().sum::<usize>();
    assert_eq!(few["slice"], BTreeMap::from([("endpoints", 1)]));
    assert_eq!(total("slice of nobody"), 0);
    assert_eq!(total("secret of nobody"), 0);
    assert_eq!(total("service of nobody"), 0);
    assert_eq!(total("the same route again"), 0);
    // A cluster that is another is nobody's business but the proxies'.
    assert_eq!(
        few["service with another protocol"],
        BTreeMap::from([("backend", 1), ("backend_face", 1), ("endpoints", 1)])
    );
    let own = BTreeMap::from([("route", 1), ("attachment", 1), ("served", 1), ("entry", 1)]);
    assert_eq!(few["route with another path"], own);
    let (hosts, reports) = (2, 1);
    assert!(total("route with another host") <= 3 + 2 * hosts + reports, "{few:?}");
    // Asked for by the new route, and there already.
    assert!(total("new route") <= 3 + 2 + reports, "{few:?}");
    let many = costs(2000);
    assert_eq!(few, many);
}

/// A route without hostnames stands in every virtual host of its listener: so many entries, and not more. Those of
/// other routes are left alone.
#[test]
fn a_route_for_every_host_costs_an_entry_in_each() {
    for hosts in [20, 200] {
        let mut translator = cluster(hosts);
        apply_all(&mut translator, &[route("any", &[], "/any", "s0")]);
        let delta = apply_all(&mut translator, &[route("any", &[], "/other", "s0")]);
        // And that of the listener itself.
        assert_eq!(delta.evaluations["entry"], hosts + 1);
        assert_eq!(delta.evaluated(), hosts + 1 + 3, "{:?}", delta.evaluations);
        let own = apply_all(&mut translator, &[route("r3", &hostname(3), "/own", "s0")]);
        assert_eq!(own.evaluated(), 4, "{:?}", own.evaluations);
    }
}

/// Two hostnames of a route that a listener narrows to the same one are two reasons to stand there.
#[test]
fn a_route_stays_under_a_hostname_while_one_of_several_reasons_does() {
    let mut gateway = gateway();
    gateway["spec"]["listeners"][0]["hostname"] = json!("*.example.com");
    let wide = |hostnames: &[&str]| {
        let hostnames: Vec<_> = hostnames.iter().map(|name| (*name).to_owned()).collect();
        route("wide", &hostnames, "/", "s")
    };
    let narrow = route("narrow", &["a.example.com".to_owned()], "/narrow", "s");
    let both = ["*.example.com", "*.com"];
    for left in [&both[..1], &both[1..], &both, &[]] {
        let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
        let mut translator = Translator::new(settings.clone());
        apply_all(&mut translator, &[gateway.clone(), service("s"), wide(&both)]);
        apply_all(&mut translator, &[wide(left)]);
        apply_all(&mut translator, std::slice::from_ref(&narrow));
        let documents = [gateway.clone(), service("s"), wide(left), narrow.clone()];
        let resources: Resources = documents.iter().map(object).collect();
        let scratch = Replay::of(&translate(&resources, &settings));
        assert_eq!(scratch.is(&translator.translation()), Ok(()), "{left:?}");
    }
}

fn policy(name: &str, targets: &Value, temperature: &str) -> Value {
    json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRefs": targets, "ai": {"defaults": [{"field": "temperature", "value": temperature}]}}})
}

fn target(kind: &str, name: &str) -> Value {
    json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": name})
}

/// A policy costs the routes that it applies to, however many others there are, and those have nothing more to remember.
#[test]
fn a_policy_costs_the_routes_that_it_applies_to() {
    for routes in [20, 200] {
        let mut translator = cluster(routes);
        let remembered = translator.remembered();
        let at = |target: Value, temperature: &str| policy("p", &json!([target]), temperature);
        let evaluated = |delta: &Delta, unit: &str| delta.evaluations.get(unit).copied().unwrap_or_default();
        let nobodys = apply_all(&mut translator, &[at(target("HTTPRoute", "absent"), "0")]);
        assert_eq!(evaluated(&nobodys, "route"), 0, "{:?}", nobodys.evaluations);
        // The policy as an object, what it says, whether its target is there, its status, and whose policies they are.
        assert!(translator.remembered() <= remembered + 5, "{} → {}", remembered, translator.remembered());
        let new = apply_all(&mut translator, &[at(target("HTTPRoute", "r3"), "1")]);
        assert_eq!(evaluated(&new, "route"), 1, "{:?}", new.evaluations);
        let edit = apply_all(&mut translator, &[at(target("HTTPRoute", "r3"), "2")]);
        let units = ["policy", "route", "attachment", "policy_report"].map(|unit| evaluated(&edit, unit));
        assert_eq!((units[0], units[1], units[3]), (1, 1, 1), "{:?}", edit.evaluations);
        let moved = apply_all(&mut translator, &[at(target("HTTPRoute", "r4"), "2")]);
        assert_eq!(evaluated(&moved, "route"), 2, "{:?}", moved.evaluations);
        let whole = apply_all(&mut translator, &[at(target("Gateway", "web"), "2")]);
        assert_eq!(evaluated(&whole, "route"), routes, "{:?}", whole.evaluations);
        // A route of that many tells what others tell, too: the status of the policy is not looked at again.
        let own = apply_all(&mut translator, &[route("r5", &hostname(5), "/other", "s0")]);
        assert_eq!(evaluated(&own, "policy_report"), 0, "{:?}", own.evaluations);
        assert_eq!(evaluated(&own, "route"), 1, "{:?}", own.evaluations);
        let gone =
            translator.update([Change::Delete(object(&at(target("Gateway", "web"), "2")).object_ref())]);
        assert_eq!(evaluated(&gone, "route"), routes, "{:?}", gone.evaluations);
        assert_eq!(translator.remembered(), remembered);
    }
}

#[test]
fn a_slice_edit_sends_one_load_assignment() {
    let mut translator = cluster(40);
    let delta = apply_all(&mut translator, &[slice("s1", "10.0.0.9")]);
    let [translator::GatewayChange::Served { proxy: None, resources, is_complete: false }] =
        &delta.gateways.values().collect::<Vec<_>>()[..]
    else {
        panic!("{delta:?}")
    };
    let keys: Vec<_> = resources.keys().cloned().collect();
    assert_eq!(keys, [(translator::XdsKind::Endpoint, "service/default/s1/80".to_owned())]);
    assert!(delta.reports.is_empty());
}

/// An AI backend with a key of its own.
fn ai_backend(name: &str) -> Value {
    json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "AI", "ai": {"llm": {"openai": {"authToken": {"kind": "Inline", "inline": "key"}}}}}})
}

/// A route to an AI backend.
fn route_to_ai(name: &str) -> Value {
    let mut route = route("r", &hostname(0), "/", name);
    route["spec"]["rules"][0]["backendRefs"] =
        json!([{"group": "gateway.kgateway.dev", "kind": "Backend", "name": name}]);
    route
}

/// What a change sends or takes away.
fn sent(delta: &Delta) -> Vec<(translator::XdsKind, String)> {
    let of_gateway = |change: &translator::GatewayChange| match change {
        translator::GatewayChange::Served { resources, .. } => resources.keys().cloned().collect(),
        _ => Vec::new(),
    };
    delta.gateways.values().flat_map(of_gateway).collect()
}

/// The servers that a guard asks come and go with it, and a renewed key of moderation is one secret.
#[test]
fn servers_of_guards_come_and_go_with_what_names_them() {
    let settings = Settings {
        implied_classes: vec!["chancery".to_owned()],
        ai_engine: translator::AiEngine::Available(ir::ModuleSource::File("/module.so".to_owned())),
        ..Settings::default()
    };
    let secret = |key: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "default"},
            "stringData": {"Authorization": key}})
    };
    let mut guard = policy("p", &json!([target("HTTPRoute", "r")]), "1");
    guard["spec"]["ai"] = json!({"promptGuard": {
        "request": {"moderation": {"openAIModeration": {"authToken": {"secretRef": {"name": "key"}}}}},
        "response": {"webhook": {"host": {"host": "hook.example", "port": 8000}}}}});
    let moderation = "moderation/trafficpolicy/default/p";
    let mut translator = Translator::new(settings.clone());
    let mut resources = Resources::default();
    let mut change = |change: Change| {
        apply(&mut resources, &change);
        let delta = translator.update([change]);
        let scratch = Replay::of(&translate(&resources, &settings));
        assert_eq!(scratch.is(&translator.translation()), Ok(()));
        let gateways = translator.translation().gateways;
        let clusters = gateways.values().flat_map(|gateway| gateway.xds().clusters.into_keys());
        (clusters.filter(|name| !name.starts_with("backend/")).collect::<Vec<_>>(), delta)
    };
    for document in [gateway(), ai_backend("a"), route_to_ai("a"), secret("one")] {
        assert_eq!(change(Change::Apply(object(&document))).0, [] as [&str; 0]);
    }
    let guarded = [moderation, "webhook/plain/hook.example/8000"];
    assert_eq!(change(Change::Apply(object(&guard))).0, guarded);
    let (clusters, renewed) = change(Change::Apply(object(&secret("two"))));
    assert_eq!(clusters, guarded);
    assert_eq!(sent(&renewed), [(translator::XdsKind::Secret, format!("credential/{moderation}"))]);
    assert_eq!(renewed.evaluations.get("route"), None, "{:?}", renewed.evaluations);
    // Without its key the policy is invalid, and what it applies to answers 500.
    let lost = Change::Delete(object(&secret("two")).object_ref());
    assert_eq!(change(lost).0, [] as [&str; 0]);
    assert_eq!(change(Change::Apply(object(&secret("three")))).0, guarded);
    assert_eq!(change(Change::Delete(object(&guard).object_ref())).0, [] as [&str; 0]);
}

/// All backends with TLS share the secret that says whom they trust.
#[test]
fn what_goes_with_one_backend_and_comes_with_another_is_not_sent_again() {
    let mut translator = cluster(0);
    let mut replay = Replay::of(&translator.translation());
    let documents = [ai_backend("a"), ai_backend("b"), route_to_ai("a")];
    replay.take(apply_all(&mut translator, &documents));
    for name in ["b", "a", "b"] {
        let delta = apply_all(&mut translator, &[route_to_ai(name)]);
        let mut secrets = sent(&delta);
        secrets.retain(|(kind, _)| *kind == translator::XdsKind::Secret);
        assert_eq!(secrets.len(), 2, "the credentials of both: {secrets:?}");
        replay.take(delta);
    }
    assert_eq!(replay.is(&translator.translation()), Ok(()));
}

/// New trust concerns the backends with TLS, and nothing else.
#[test]
fn new_trust_costs_the_backends_that_use_it() {
    let mut translator = cluster(20);
    let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
    let other = Settings { trust: ir::Trust::Pem("other".to_owned()), ..settings };
    assert_eq!(translator.set_settings(other).evaluated(), 0);
}

/// A panic costs its object, which says so; everything else is served and goes on changing.
#[test]
fn a_panic_is_contained() {
    let broken = |name: Option<&str>| Settings {
        implied_classes: vec!["chancery".to_owned()],
        test_hooks: translator::TestHooks { panic_at: name.map(str::to_owned), ..Default::default() },
        ..Settings::default()
    };
    for name in ["r3", "s0", "web", "nobody"] {
        let mut translator = cluster(20);
        let everything = translator.translation();
        let mut replay = Replay::of(&everything);
        let delta = translator.set_settings(broken(Some(name)));
        let is_there = name != "nobody";
        assert_eq!(delta.panics > 0, is_there, "{name}");
        let says_so = |delta: &Delta| {
            let reports = delta.reports.values().flatten();
            let problems: Vec<_> = reports.flat_map(|report| report.problems()).collect();
            problems
                .iter()
                .any(|problem| problem.object.name == name && problem.to_string().contains("internal error"))
        };
        // A Service has no status of ours.
        assert_eq!(says_so(&delta), is_there && name != "s0", "{name}: {delta:?}");
        replay.take(delta);
        let now = translator.translation();
        assert!(now.gateways == everything.gateways, "{name}: what was served stays");
        let edited =
            apply_all(&mut translator, &[route("r5", &hostname(5), "/other", "s0"), slice("s0", "10.0.0.7")]);
        assert!(name == "web" || name == "s0" || !edited.gateways.is_empty(), "{name}: others go on");
        replay.take(edited);
        assert_eq!(replay.is(&translator.translation()), Ok(()), "{name}");
        // Mended, it is as if nothing had been.
        let delta = translator.set_settings(broken(None));
        assert!(!says_so(&delta));
        replay.take(delta);
        assert_eq!(replay.is(&translator.translation()), Ok(()));
        let mut scratch = cluster(20);
        apply_all(&mut scratch, &[route("r5", &hostname(5), "/other", "s0"), slice("s0", "10.0.0.7")]);
        assert!(translator.translation() == scratch.translation(), "{name}");
    }
}

/// Only an XBackend of pods that a route or one of its policies names needs EndpointSlices, and it says so as its release has it.
#[test]
fn an_x_backend_has_its_pods_looked_after_while_a_route_names_it() {
    let backend = |port: Value, app: &str| {
        json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend",
            "metadata": {"name": "shop", "namespace": "default", "uid": "u"},
            "spec": {"type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": app}}, "port": port},
        })
    };
    let mut named = route("r", &[], "/", "shop");
    named["spec"]["rules"][0]["backendRefs"] =
        json!([{"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "shop"}]);
    let mut translator = cluster(1);
    let delta = apply_all(&mut translator, &[backend(json!({"number": 3000}), "a")]);
    assert!(delta.is_empty(), "nobody names it: {delta:?}");
    let selected = |delta: &Delta| {
        let selections = delta.selections.values().map(|selection| {
            selection.as_ref().map(|it| (it.label.clone(), it.match_labels["app"].clone(), it.port))
        });
        selections.collect::<Vec<_>>()
    };
    let wanted = |app: &str, port| vec![Some(("shop".to_owned(), app.to_owned(), port))];
    let status = |delta: &Delta, list: &str| {
        let report = delta.reports.values().flatten().find(|report| report.object.kind == "XBackend");
        let now = serde_json::from_value(json!("2030-01-01T00:00:00Z")).unwrap();
        let status =
            translator::status::render_status(report.unwrap(), None, translator::CONTROLLER_NAME, &now);
        status[list][0]["conditions"][0]["status"].clone()
    };
    let delta = apply_all(&mut translator, &[named]);
    assert_eq!(selected(&delta), wanted("a", 3000));
    assert_eq!(status(&delta, "ancestors"), "True");
    // As Gateway API 1.6 writes it.
    let delta = apply_all(&mut translator, &[backend(json!({"port": 3001}), "b")]);
    assert_eq!(selected(&delta), wanted("b", 3001));
    assert_eq!(status(&delta, "parents"), "True");
    let delta = apply_all(&mut translator, &[route("r", &[], "/", "shop")]);
    assert_eq!(selected(&delta), [None]);
    // What a policy of the route has asked is named, too.
    let metadata = json!({"name": "asks", "namespace": "default"});
    let reference = json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "shop"});
    let extension = json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "GatewayExtension", "metadata": metadata,
        "spec": {"type": "ExtAuth", "extAuth": {"httpService": {"backendRef": reference}}},
    });
    let policy = json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": metadata,
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}],
            "extAuth": {"extensionRef": {"name": "asks"}},
        },
    });
    let delta = apply_all(&mut translator, &[extension, policy.clone()]);
    assert_eq!(selected(&delta), wanted("b", 3001));
    let mut idle = policy;
    idle["spec"]["extAuth"] = json!({"disable": {}});
    assert_eq!(selected(&apply_all(&mut translator, &[idle])), [None]);
    // So is where a listener's policy has logs sent.
    let sink = json!({"backendRef": reference, "logName": "log"});
    let logs = json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "HTTPListenerPolicy", "metadata": metadata,
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}],
            "accessLog": [{"grpcService": sink}],
        },
    });
    let mut grpc = backend(json!({"number": 3001}), "b");
    grpc["spec"]["protocol"] = json!("GRPC");
    let delta = apply_all(&mut translator, &[grpc.clone(), logs.clone()]);
    assert_eq!(selected(&delta), wanted("b", 3001));
    assert_eq!(status(&delta, "ancestors"), "True");
    let mut elsewhere = logs;
    elsewhere["spec"]["targetRefs"][0]["name"] = json!("absent");
    assert_eq!(selected(&apply_all(&mut translator, &[elsewhere])), [None]);
    // And whom a listener has asked.
    let mut asking = gateway();
    asking["spec"]["listeners"][0]["filters"] = listener_filters(&reference, "cookie");
    let delta = apply_all(&mut translator, &[asking]);
    assert_eq!(selected(&delta), wanted("b", 3001));
    assert_eq!(status(&delta, "ancestors"), "True");
    assert_eq!(selected(&apply_all(&mut translator, &[gateway()])), [None]);
}

/// The filter ExternalAuth of a listener.
fn listener_filters(backend: &Value, header: &str) -> Value {
    let auth = json!({"protocol": "GRPC", "backendRef": backend, "grpc": {"allowedHeaders": [header]}});
    json!({"requests": [{"type": "ExternalAuth", "externalAuth": auth}]})
}

/// A listener that has a service asked stays as it is when the question comes, changes or goes, or the service moves: its
/// connections go on.
#[test]
fn a_filter_of_a_listener_comes_changes_and_goes_without_a_new_listener() {
    let mut translator = cluster(3);
    apply_all(&mut translator, &[service("auth"), slice("auth", "10.0.0.1")]);
    let kinds = |delta: &Delta| sent(delta).into_iter().map(|(kind, _)| kind).collect::<BTreeSet<_>>();
    let asking = |translator: &mut Translator, header: &str| {
        let mut gateway = gateway();
        let backend = json!({"name": "auth", "port": 80});
        gateway["spec"]["listeners"][0]["filters"] = listener_filters(&backend, header);
        kinds(&apply_all(translator, &[gateway]))
    };
    use translator::XdsKind::{Cluster, Endpoint, Extension, Route};
    assert_eq!(asking(&mut translator, "a"), [Cluster, Endpoint, Extension, Route].into());
    assert_eq!(asking(&mut translator, "b"), [Extension].into());
    assert_eq!(kinds(&apply_all(&mut translator, &[slice("auth", "10.0.0.2")])), [Endpoint].into());
    // Its hosts have what they had before it came.
    let gateways = translator.translation().gateways;
    let resources = gateways.values().flat_map(|gateway| gateway.resources.values()).map(|it| &**it);
    let tables = translator::xds::XdsResources::decode(resources).routes;
    let hosts = || tables.values().flat_map(|table| &table.virtual_hosts);
    assert!(hosts().all(|host| host.routes.last().unwrap().name == "unrouted"), "each asks");
    assert_eq!(hosts().map(|host| host.routes.len()).max(), Some(2), "each has its route");
    let delta = apply_all(&mut translator, &[gateway()]);
    assert!(!kinds(&delta).contains(&translator::XdsKind::Listener), "{delta:?}");
    let mut scratch = cluster(3);
    apply_all(&mut scratch, &[service("auth"), slice("auth", "10.0.0.2")]);
    assert!(translator.translation() == scratch.translation());
}
