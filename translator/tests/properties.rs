//! What holds for every input, shown on random ones.

mod random;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crds::core::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use random::{CANARY, World, nasty_text, related_matches, resources, settings, shuffled, spoil, world};
use serde_json::{Value, json};
use translator::status::render_status;
use translator::xds::{XdsKind, dangling_references};
use translator::{Change, Settings, Translation, Translator, translate};

/// All that anybody sees of a translation: bytes by Gateway, kind and name, and statuses by object.
#[derive(Debug, PartialEq)]
struct Outcome {
    resources: BTreeMap<(String, XdsKind, String), Vec<u8>>,
    statuses: BTreeMap<String, Value>,
}

impl Outcome {
    fn of(world: &[Value], settings: &Settings) -> Self {
        Self::new(&translate(&resources(world), settings), settings)
    }

    /// The same objects, one after the other: each is translated before the next is there.
    fn one_by_one(world: &[Value], settings: &Settings) -> Self {
        let mut translator = Translator::new(settings.clone());
        for document in world {
            translator.update(resources(std::slice::from_ref(document)).iter().cloned().map(Change::Apply));
        }
        Self::new(&translator.translation(), settings)
    }

    fn new(translation: &Translation, settings: &Settings) -> Self {
        let gateways = translation.gateways.iter();
        let resources = gateways.flat_map(|(gateway, output)| {
            let encoded = output.resources.iter();
            encoded
                .map(move |((kind, name), it)| ((gateway.to_string(), *kind, name.clone()), it.bytes.clone()))
        });
        let statuses = translation.reports.iter().map(|report| {
            let status =
                render_status(report, None, &settings.controller_name, &time("2026-01-01T00:00:00Z"));
            (format!("{:#}", report.object), status)
        });
        Self { resources: resources.collect(), statuses: statuses.collect() }
    }
}

fn time(text: &str) -> Time {
    serde_json::from_value(json!(text)).unwrap()
}

/// A world with few or many strings that nobody expects.
fn spoilt_world() -> impl Strategy<Value = World> {
    let changes =
        prop_oneof![vec((any::<u16>(), nasty_text()), 0..4), vec((any::<u16>(), nasty_text()), 20..50)];
    (world(), changes).prop_map(|(world, changes)| spoil(&world, &changes))
}

/// Objects that nothing in a random world refers to.
fn bystanders() -> World {
    let metadata = |namespace: &str| json!({"name": "bystander", "namespace": namespace});
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("default"),
            "stringData": {"Authorization": CANARY}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("default"),
            "spec": {"ports": [{"name": "http", "port": 80}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "bystander", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "bystander"}},
            "ports": [{"name": "http", "port": 80}], "endpoints": [{"addresses": ["10.9.9.9"]}]}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bystander"}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "bystander"}, "spec": {"controllerName": "example.com/other"}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata("default"),
            "spec": {"gatewayClassName": "bystander",
                "listeners": [{"name": "l", "port": 80, "protocol": "HTTP"}]}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("default"),
            "spec": {"parentRefs": [{"name": "bystander"}], "rules": []}}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_input_never_shows(
        world in spoilt_world(), settings in settings(), seed in any::<u64>(),
    ) {
        let expected = Outcome::of(&world, &settings);
        prop_assert_eq!(&Outcome::one_by_one(&shuffled(&world, seed), &settings), &expected);
        // And the same input gives the same again.
        prop_assert_eq!(&Outcome::of(&world, &settings), &expected);
    }

    #[test]
    fn every_input_translates_to_something_that_holds_together(
        world in spoilt_world(), settings in settings(),
    ) {
        let translation = translate(&resources(&world), &settings);
        for (gateway, output) in &translation.gateways {
            prop_assert_eq!(dangling_references(&output.xds()), [] as [String; 0], "{}", gateway);
            for table in output.xds().routes.values() {
                let mut seen = BTreeSet::new();
                for host in &table.virtual_hosts {
                    prop_assert!(seen.insert(&host.domains), "Envoy refuses {:?} twice", host.domains);
                }
            }
        }
        let parents = translation.reports.iter().map(|report| &report.object);
        prop_assert_eq!(parents.clone().collect::<BTreeSet<_>>().len(), parents.count(), "one report each");
    }

    #[test]
    fn an_object_that_nothing_refers_to_changes_nothing(world in spoilt_world(), settings in settings()) {
        let expected = Outcome::of(&world, &settings);
        let mut resources: translator::Resources = resources(&world);
        for bystander in bystanders() {
            let object = crds::Object::decode(bystander).unwrap().object;
            let reference = object.object_ref();
            resources.apply(object);
            let with = Outcome::new(&translate(&resources, &settings), &settings);
            prop_assert_eq!(&with, &expected, "with {}", reference);
        }
        for bystander in bystanders() {
            prop_assert!(resources.delete(&crds::Object::decode(bystander).unwrap().object.object_ref()).is_some());
        }
        prop_assert_eq!(&Outcome::new(&translate(&resources, &settings), &settings), &expected);
    }

    #[test]
    fn rendering_a_status_from_itself_changes_nothing(world in spoilt_world(), settings in settings()) {
        for report in translate(&resources(&world), &settings).reports.iter() {
            let controller = &settings.controller_name;
            let first = render_status(report, None, controller, &time("2026-01-01T00:00:00Z"));
            let second = render_status(report, Some(&first), controller, &time("2026-02-02T00:00:00Z"));
            prop_assert_eq!(first, second, "{}", report.object);
        }
    }

    #[test]
    fn credentials_stand_in_secrets_alone(world in spoilt_world(), settings in settings()) {
        let translation = translate(&resources(&world), &settings);
        let shows = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        prop_assert!(!shows(format!("{translation:?}").as_bytes()), "Debug shows a credential");
        let Outcome { resources, statuses } = Outcome::new(&translation, &settings);
        for (name, bytes) in resources.iter().filter(|((_, kind, _), _)| *kind != XdsKind::Secret) {
            prop_assert!(!shows(bytes), "{:?} shows a credential", name);
        }
        prop_assert!(!shows(&serde_json::to_vec(&statuses).unwrap()), "a status shows a credential");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn precedence_of_matches_is_a_total_order([a, b, c] in related_matches()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "antisymmetric");
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b, "equal only if the same");
        let mut sorted = [&a, &b, &c];
        sorted.sort();
        let [first, second, third] = sorted;
        prop_assert!(first <= second && second <= third && first <= third, "transitive");
        for (left, right) in [(&a, &b), (&b, &c), (&a, &c)] {
            if left.precedence() < right.precedence() {
                prop_assert!(left < right, "in agreement with the specification's precedence");
            }
        }
    }
}
