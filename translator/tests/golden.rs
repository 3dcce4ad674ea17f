//! Golden translations: `NAME.in.yaml` → `NAME.xds.yaml` and `NAME.status.yaml`; in the area
//! `infra` also `NAME.infra.yaml`, what a deployer must provide.
//!
//! Every listener has the optional filters, and every Gateway the filters that come apart from listeners. What of them is as with
//! a Gateway without routes stands in `always.xds.yaml` alone; elsewhere its name stands for it.
//!
//! `make golden` (`UPDATE_GOLDEN=1`) rewrites the outputs and deletes those without an input.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use support::{Case, cases, cases_folder};
use translator::status::render_status;
use translator::xds::dangling_references;
use translator::{Resources, Settings, Translation, translate};

const TARGET_FILTER: &str = include_str!("../src/xds/target_filter.lua");

#[test]
fn every_case_translates_to_its_golden_output() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let always = Always::new();
    let path = cases_folder().join("always.xds.yaml");
    let mut wrong = Vec::new();
    if update {
        fs::write(&path, always.text()).unwrap();
    } else if fs::read_to_string(&path).unwrap_or_default() != always.text() {
        wrong.push(format!("always.xds.yaml:\n{}", first_difference(&path, &always.text())));
    }
    for case in cases() {
        let (resources, settings) = case.resources();
        let translation = translate(&resources, &settings);
        let infra = case.has_infra().then(|| ("infra.yaml", infra(&translation)));
        let outputs = [
            ("xds.yaml", xds(&translation, &always)),
            ("status.yaml", statuses(&case, &translation, &settings)),
        ];
        for (ending, text) in outputs.into_iter().chain(infra) {
            let path = case.beside(ending);
            if update {
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != text {
                wrong.push(format!("{}.{ending}:\n{}", case.name, first_difference(&path, &text)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nIf this is as wanted: make golden", wrong.join("\n"));
}

#[test]
fn every_resource_that_a_case_names_is_sent() {
    for case in cases() {
        let (resources, settings) = case.resources();
        for (gateway, output) in translate(&resources, &settings).gateways {
            assert_eq!(dangling_references(&output.xds()), [] as [String; 0], "{} {gateway}", case.name);
        }
    }
}

#[test]
fn no_golden_output_is_left_without_its_input() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = cases();
    let folders: std::collections::BTreeSet<_> =
        cases.iter().filter_map(|case| case.input.parent()).collect();
    let outputs = |case: &Case| {
        let infra = case.has_infra().then(|| case.beside("infra.yaml"));
        [case.beside("xds.yaml"), case.beside("status.yaml")].into_iter().chain(infra)
    };
    let known: Vec<_> = cases.iter().flat_map(outputs).collect();
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let text = path.to_str().unwrap();
        let is_output =
            [".xds.yaml", ".status.yaml", ".infra.yaml"].iter().any(|ending| text.ends_with(ending));
        if is_output && !known.contains(&path) {
            assert!(update, "{text} has no input; make golden removes it");
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn cases_are_short_and_none_is_lost() {
    let cases = cases();
    assert!(cases.len() >= 340, "{} cases", cases.len());
    for Case { input, name } in &cases {
        let lines = fs::read_to_string(input).unwrap().lines().count();
        assert!(lines < 80, "{name} has {lines} lines");
    }
}

#[test]
fn no_case_emits_a_deprecated_field() {
    for case in cases() {
        let (resources, settings) = case.resources();
        for (gateway, output) in translate(&resources, &settings).gateways {
            for resource in output.resources.values() {
                let deprecated =
                    proto::deprecated_fields(&resource.kind.type_url(), &resource.bytes).unwrap();
                assert!(deprecated.is_empty(), "{} {gateway} {}: {deprecated:?}", case.name, resource.name);
            }
        }
    }
}

#[test]
fn no_golden_output_holds_a_credential() {
    // Every credential in the inputs contains one of these words.
    const CANARIES: [&str; 2] = ["canary", "private key"];
    for case in cases() {
        for ending in ["xds.yaml", "status.yaml"] {
            let text = fs::read_to_string(case.beside(ending)).unwrap();
            let text = text.to_lowercase();
            let shown = CANARIES.iter().find(|canary| text.contains(**canary));
            assert_eq!(shown, None, "{}.{ending} shows a credential", case.name);
        }
    }
}

#[test]
fn rendering_a_status_again_changes_nothing() {
    for case in cases() {
        let (resources, settings): (Resources, Settings) = case.resources();
        for report in translate(&resources, &settings).reports.iter() {
            let first = render_status(report, None, &settings.controller_name, &epoch());
            let later: Time = serde_json::from_value(json!("2030-01-01T00:00:00Z")).unwrap();
            let second = render_status(report, Some(&first), &settings.controller_name, &later);
            assert_eq!(first, second, "{} {}", case.name, report.object);
        }
    }
}

/// Of one Gateway: per type, the resources by name.
type Kinds = BTreeMap<String, BTreeMap<String, Value>>;

/// What every Gateway's Envoys get.
fn xds(translation: &Translation, always: &Always) -> String {
    let mut gateways = in_full(translation);
    for kinds in gateways.values_mut() {
        always.abridge(kinds);
    }
    yaml(&gateways)
}

fn in_full(translation: &Translation) -> BTreeMap<String, Kinds> {
    let mut gateways = BTreeMap::new();
    for (name, output) in &translation.gateways {
        let mut kinds = Kinds::new();
        for resource in output.resources.values() {
            let mut json = proto::to_json(&resource.kind.type_url(), &resource.bytes).unwrap();
            name_the_script(&mut json);
            kinds.entry(format!("{:?}", resource.kind)).or_default().insert(resource.name.clone(), json);
        }
        gateways.insert(name.to_string(), kinds);
    }
    gateways
}

/// What a Gateway has that has no route, by name.
struct Always {
    /// The filters of its listener that are disabled.
    filters: BTreeMap<String, Value>,
    /// The filters that come apart.
    extensions: BTreeMap<String, Value>,
}

impl Always {
    fn new() -> Self {
        let gateway = "# settings: {\"aiModule\": \"/usr/lib/chancery/libchancery_ai.so\", \"impliedClass\": \"chancery\"}\n\
                       apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default}\n\
                       spec: {gatewayClassName: chancery, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
        let mut kinds = in_full(&support::translation_of(gateway)).into_values().next().unwrap();
        let mut filters = BTreeMap::new();
        for listener in kinds.get_mut("Listener").unwrap().values_mut() {
            each_disabled_filter(listener, &mut |filter| {
                filters.insert(filter["name"].as_str().unwrap().to_owned(), filter.clone());
            });
        }
        Self { filters, extensions: kinds.remove("Extension").unwrap() }
    }

    fn text(&self) -> String {
        yaml(&json!({"filters": self.filters, "extensions": self.extensions}))
    }

    /// Puts names in the place of what is as always.
    fn abridge(&self, kinds: &mut Kinds) {
        for (name, extension) in kinds.get_mut("Extension").into_iter().flatten() {
            if self.extensions.get(name) == Some(extension) {
                *extension = json!("as always");
            }
        }
        for listener in kinds.get_mut("Listener").into_iter().flat_map(BTreeMap::values_mut) {
            each_disabled_filter(listener, &mut |filter| {
                let name = filter["name"].as_str().unwrap().to_owned();
                if self.filters.get(&name) == Some(filter) {
                    *filter = json!(name);
                }
            });
        }
    }
}

/// Calls `f` with each disabled filter of HTTP in a listener.
fn each_disabled_filter(value: &mut Value, f: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::Array(filters) if name == "http_filters" => {
                        filters.iter_mut().filter(|filter| filter["disabled"] == true).for_each(&mut *f);
                    }
                    _ => each_disabled_filter(value, f),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_disabled_filter(value, f)),
        _ => {}
    }
}

/// The script that stands in every listener is the same in all: its name says enough.
fn name_the_script(value: &mut Value) {
    match value {
        Value::String(text) if text == TARGET_FILTER => *text = "(target_filter.lua)".to_owned(),
        Value::Object(map) => map.values_mut().for_each(name_the_script),
        Value::Array(list) => list.iter_mut().for_each(name_the_script),
        _ => {}
    }
}

/// What a deployer must provide for every Gateway.
fn infra(translation: &Translation) -> String {
    let infra = translation.gateways.iter().map(|(name, output)| {
        (name.to_string(), json!({"infra": output.infra, "parameters": output.parameters}))
    });
    yaml(&infra.collect::<BTreeMap<_, _>>())
}

fn statuses(case: &Case, translation: &Translation, settings: &Settings) -> String {
    let render = |report: &std::sync::Arc<translator::status::Report>| {
        let mut status = render_status(report, None, &settings.controller_name, &epoch());
        strip_times(&mut status);
        if !case.name.starts_with("gateway/class-features") {
            strip_features(&mut status);
        }
        (report.object.to_string(), status)
    };
    yaml(&translation.reports.iter().map(render).collect::<BTreeMap<String, Value>>())
}

/// The same time in every condition says nothing and takes a line.
fn strip_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("lastTransitionTime");
            map.values_mut().for_each(strip_times);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_times),
        _ => {}
    }
}

/// What a class can do is the same in every case, but for the cases that are about it.
fn strip_features(status: &mut Value) {
    let Some(status) = status.as_object_mut().filter(|status| status.contains_key("supportedFeatures"))
    else {
        return;
    };
    status.remove("supportedFeatures");
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition["type"] != "SupportedVersion");
    }
}

fn epoch() -> Time {
    serde_json::from_value(json!("1970-01-01T00:00:00Z")).unwrap()
}

fn yaml(value: &impl serde::Serialize) -> String {
    serde_saphyr::to_string(value).unwrap()
}

fn first_difference(path: &Path, text: &str) -> String {
    let golden = fs::read_to_string(path).unwrap_or_default();
    let pairs =
        golden.lines().map(Some).chain(std::iter::repeat(None)).zip(text.lines().map(Some).chain([None]));
    let found = pairs.enumerate().find(|(_, (left, right))| left != right);
    found.map_or_else(String::new, |(line, (left, right))| {
        format!(
            "  line {}: golden {:?}, now {:?}",
            line + 1,
            left.unwrap_or("(end)"),
            right.unwrap_or("(end)")
        )
    })
}
