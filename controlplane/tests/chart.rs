//! What the Helm chart gives the control plane, checked on its rendered form (`helm/tests/golden`, which
//! `make helm-test` keeps true).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Every object of every rendering, and the rendering's name.
fn objects() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/tests/golden");
    let mut objects = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            objects.push((name.clone(), object));
        }
    }
    assert!(objects.len() > 20, "there are renderings");
    objects
}

fn of_kind(kind: &str) -> Vec<(String, Value)> {
    objects().into_iter().filter(|(_, object)| object["kind"] == kind).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// The rules of a role: groups, resources, verbs, names.
fn rules(role: &Value) -> impl Iterator<Item = [Vec<&str>; 4]> {
    let rules = role["rules"].as_array().unwrap().iter();
    rules.map(|rule| ["apiGroups", "resources", "verbs", "resourceNames"].map(|key| texts(&rule[key])))
}

#[test]
fn no_role_has_a_wildcard_or_a_way_to_more_rights() {
    for (name, role) in of_kind("ClusterRole").into_iter().chain(of_kind("Role")) {
        for [groups, resources, verbs, _] in rules(&role) {
            for word in groups.iter().chain(&resources).chain(&verbs) {
                assert!(!word.contains('*'), "{name}: {word}");
            }
            for forbidden in ["escalate", "bind", "impersonate", "deletecollection"] {
                assert!(!verbs.contains(&forbidden), "{name}: {forbidden}");
            }
            let forbidden = |resource: &&str| {
                let is_rbac = groups.contains(&"rbac.authorization.k8s.io");
                is_rbac
                    || resource.ends_with("/exec")
                    || resource.ends_with("/token")
                    || *resource == "nodes/proxy"
            };
            assert!(!resources.iter().any(forbidden), "{name}: {resources:?}");
        }
    }
}

#[test]
fn secrets_are_only_read_but_for_the_one_that_is_ours() {
    for (name, role) in of_kind("ClusterRole") {
        for [_, resources, verbs, _] in
            rules(&role).filter(|[_, resources, ..]| resources.contains(&"secrets"))
        {
            let reads = verbs.iter().all(|verb| ["get", "list", "watch"].contains(verb));
            assert!(reads, "{name}: {resources:?} {verbs:?}");
        }
    }
    for (name, role) in of_kind("Role") {
        for [_, _, verbs, names] in rules(&role).filter(|[_, resources, ..]| resources.contains(&"secrets")) {
            assert_eq!((verbs, names), (vec!["get", "update"], vec!["chancery-xds-ca"]), "{name}");
        }
    }
}

/// What it made itself would be there when the release is not any more.
#[test]
fn what_it_keeps_in_its_own_namespace_is_made_by_the_chart() {
    for (name, role) in of_kind("Role") {
        for [_, resources, verbs, names] in rules(&role) {
            assert!(!verbs.contains(&"create"), "{name}: {resources:?} {verbs:?}");
            let kind = if resources == ["secrets"] { "Secret" } else { "Lease" };
            for wanted in names {
                let is_made =
                    |(of, object): &(String, Value)| *of == name && object["metadata"]["name"] == wanted;
                assert!(of_kind(kind).iter().any(is_made), "{name}: {kind} {wanted}");
            }
        }
    }
}

#[test]
fn every_kind_that_is_translated_can_be_read() {
    for (name, role) in of_kind("ClusterRole") {
        let mut readable = BTreeSet::new();
        for [groups, resources, verbs, _] in rules(&role) {
            if ["get", "list", "watch"].iter().all(|verb| verbs.contains(verb)) {
                readable.extend(
                    groups.iter().flat_map(|group| resources.iter().map(move |name| (*group, *name))),
                );
            }
        }
        for kind in crds::KINDS {
            assert!(readable.contains(&(kind.group, kind.plural)), "{name}: {} {}", kind.group, kind.plural);
        }
    }
}

/// Statuses say why proxies do not run. Nothing is ever done to a pod.
#[test]
fn pods_are_looked_at_and_nothing_more() {
    for (name, role) in of_kind("ClusterRole") {
        let is_of_pods = |rule: &[Vec<&str>; 4]| rule[1].iter().any(|resource| resource.starts_with("pods"));
        let of_pods: Vec<_> = rules(&role).filter(is_of_pods).collect();
        assert_eq!(of_pods, [[vec![""], vec!["pods"], vec!["list", "watch"], vec![]]], "{name}");
    }
}

#[test]
fn what_is_bound_is_the_account_of_the_pods() {
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for (name, binding) in of_kind(kind) {
            let pods: Vec<Value> =
                of_kind("Deployment").into_iter().filter(|(of, _)| *of == name).map(|(_, it)| it).collect();
            let account = &pods[0]["spec"]["template"]["spec"]["serviceAccountName"];
            let expected =
                json!([{"kind": "ServiceAccount", "name": account, "namespace": "chancery-system"}]);
            assert_eq!(binding["subjects"], expected, "{name}");
        }
    }
}

#[test]
fn the_pods_fit_the_restricted_level_of_pod_security() {
    for (name, deployment) in of_kind("Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        }
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[key].is_null(), "{name}: {key}");
        }
        let is_allowed = |volume: &Value| volume["configMap"].is_object();
        assert!(pod["volumes"].as_array().into_iter().flatten().all(is_allowed), "{name}");
    }
}

#[test]
fn the_arguments_of_the_pods_are_those_of_the_program() {
    use clap::Parser as _;
    for (name, deployment) in of_kind("Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = texts(&container["args"]).into_iter().filter(|argument| {
            // Made up, to see that they arrive.
            *argument != "--one" && !argument.starts_with("--two")
        });
        let arguments = std::iter::once("chancery").chain(arguments);
        let parsed = controlplane::args::Args::try_parse_from(arguments);
        let arguments = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
        let controlplane::args::Command::Serve(serve) = arguments.command else {
            panic!("{name}: not serve")
        };

        let port = |wanted: &str| {
            let ports = container["ports"].as_array().unwrap();
            ports.iter().find(|port| port["name"] == wanted).unwrap()["containerPort"].clone()
        };
        assert_eq!(port("xds"), serve.xds_address().port(), "{name}");
        let controlplane::args::AdminAddress::At(admin) = serve.admin_address() else {
            panic!("{name}: no admin port")
        };
        assert_eq!(port("admin"), admin.port(), "{name}");
        let service = of_kind("Service").into_iter().find(|(of, _)| *of == name).unwrap().1;
        assert_eq!(service["metadata"]["name"], serve.xds_service.as_str(), "{name}");
    }
}
