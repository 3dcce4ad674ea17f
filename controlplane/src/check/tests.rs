use std::path::Path;

use super::*;
use crate::offline::tests::{BACKEND, GATEWAY, ROUTE, SECRET, machine, translation_args, write};

fn check_with(folder: &Path, change: impl FnOnce(&mut CheckArgs)) -> Printed {
    let mut args = CheckArgs {
        paths: vec![folder.to_owned()],
        translation: translation_args(),
        strict: false,
        for_cluster: false,
        output: CheckOutput::Text,
    };
    change(&mut args);
    check_command(&args, &machine()).unwrap()
}

fn check(folder: &Path) -> Printed {
    check_with(folder, |_| {})
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
const TO_SERVICE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: s}\nspec:\n  \
    parentRefs: [{name: web}]\n  rules:\n  - backendRefs: [{name: web, port: 80}]\n";

#[test]
fn what_is_right_is_counted() {
    let folder = write(&[GATEWAY, ROUTE, BACKEND, SECRET]);
    let printed = Printed {
        output: "4 objects in 1 file: 0 problems, 0 warnings\n".to_owned(),
        remarks: String::new(),
        outcome: Outcome::Success,
    };
    assert_eq!(check(folder.path()), printed);
}

#[test]
fn there_is_a_line_per_problem_of_files_and_objects_at_the_line_of_its_field() {
    let folder = write(&[GATEWAY, ROUTE, "kind: [\n", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"]);
    let printed = check(folder.path());
    let lines: Vec<&str> = printed.output.lines().collect();
    assert_eq!(printed.outcome, Outcome::ProblemsFound);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let route = "a.yaml:14: document 2: HTTPRoute default/r: spec.rules[0].backendRefs[0]: Backend default/ai does not";
    assert!(lines[0].contains(route), "{lines:?}");
    assert!(lines[1].contains("document 3: not valid YAML"), "{lines:?}");
    assert!(lines[2].starts_with("2 objects in 1 file: 2 problems, 0 warnings"), "{lines:?}");
    assert!(printed.remarks.contains("Pod"), "{printed:?}");
}

#[test]
fn warnings_fail_only_where_that_is_asked_for() {
    let folder = write(&[GATEWAY, TO_SERVICE, SERVICE]);
    let printed = check(folder.path());
    assert_eq!(printed.outcome, Outcome::Success);
    assert!(printed.output.contains("warning: Service default/web: has no endpoints here"), "{printed:?}");
    assert_eq!(check_with(folder.path(), |args| args.strict = true).outcome, Outcome::ProblemsFound);
    let for_cluster = check_with(folder.path(), |args| (args.strict, args.for_cluster) = (true, true));
    assert_eq!(for_cluster.outcome, Outcome::Success, "a cluster knows where it runs: {for_cluster:?}");
}

#[test]
fn json_has_what_the_text_has() {
    let folder = write(&[GATEWAY, ROUTE, TO_SERVICE, SERVICE]);
    let printed = check_with(folder.path(), |args| args.output = CheckOutput::Json);
    let json: Value = serde_json::from_str(&printed.output).unwrap();
    assert_eq!((&json["objects"], &json["problems"], &json["warnings"]), (&json!(4), &json!(1), &json!(1)));
    let problem = &json["findings"][0];
    assert_eq!(problem["severity"], "problem");
    assert_eq!(problem["rule"], "BackendNotFound");
    assert_eq!((&problem["line"], &problem["document"]), (&json!(14), &json!(2)));
    assert_eq!(problem["object"]["kind"], "HTTPRoute");
    assert_eq!(problem["field"], "spec.rules[0].backendRefs[0]");
}

/// The members that SARIF 2.1.0 requires (§3.13, §3.14, §3.18, §3.19, §3.27, §3.28, §3.29, §3.30, §3.49), and those
/// without which code review shows nothing.
#[test]
fn sarif_has_its_required_members() {
    let folder = write(&[GATEWAY, ROUTE, TO_SERVICE, SERVICE]);
    let printed = check_with(folder.path(), |args| args.output = CheckOutput::Sarif);
    let log: Value = serde_json::from_str(&printed.output).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "chancery");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let rule = &driver["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let location = &result["locations"][0]["physicalLocation"];
        assert!(location["artifactLocation"]["uri"].as_str().unwrap().ends_with("/a.yaml"), "{location}");
        assert!(location["region"]["startLine"].as_u64().unwrap() > 1);
    }
}
