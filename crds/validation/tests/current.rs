//! The committed schemas of Gateway API are those of the Go module that the one-node cluster installs.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Value, json};

const MODULE: &str = "sigs.k8s.io/gateway-api";
const KINDS: [&str; 10] = [
    "backendtlspolicies",
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "listenersets",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
    "udproutes",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the cluster's programs, if they are built: named by the environment, else the one in `.tools`.
fn tools() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("CHANCERY_CLUSTER_TOOLS") {
        return Some(folder.into());
    }
    let folders = fs::read_dir(workspace().join(".tools")).ok()?;
    folders.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.join(".built-crds").exists())
}

/// The version of the module, from the file that pins it.
fn version() -> String {
    let pinned = fs::read_to_string(workspace().join("e2e/cluster/tools/gateway-api/go.mod")).unwrap();
    let line = pinned.lines().find_map(|line| line.trim().strip_prefix(MODULE)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// A CRD without what only its readers need: descriptions, and the `$`-less comments of its generator.
fn trimmed(crd: &Value) -> Value {
    let versions = crd["spec"]["versions"].as_array().unwrap().iter();
    let versions = versions.map(|version| {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        drop_descriptions(&mut schema);
        json!({"name": version["name"], "schema": schema})
    });
    json!({
        "source": format!("{MODULE} {}, config/crd/experimental", version()),
        "licence": "Apache-2.0",
        "generatedBy": "make gateway-api-schemas",
        "versions": versions.collect::<Vec<_>>(),
    })
}

/// A description is a text; a property may be called so, too.
fn drop_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| !(name == "description" && value.is_string()));
            members.values_mut().for_each(drop_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_descriptions),
        _ => {}
    }
}

#[test]
fn the_version_that_is_told_is_that_of_the_schemas() {
    assert_eq!(crd_validation::GATEWAY_API_VERSION, version());
}

#[test]
fn committed_schemas_are_current() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway-api");
    let version = version();
    let tools = tools();
    for kind in KINDS {
        let file = committed.join(format!("{kind}.json"));
        if let Some(tools) = &tools {
            let source = tools.join(format!("crds/experimental/gateway.networking.k8s.io_{kind}.yaml"));
            let crd: Value = serde_saphyr::from_str(&fs::read_to_string(source).unwrap()).unwrap();
            let current = format!("{:#}\n", trimmed(&crd));
            if env::var_os("CHANCERY_UPDATE_SCHEMAS").is_some() {
                fs::write(&file, &current).unwrap();
            }
            // Not assert_eq: its message would be two whole files.
            let is_current = fs::read_to_string(&file).unwrap() == current;
            assert!(is_current, "{kind}.json is out of date: run `make gateway-api-schemas`");
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("{MODULE} {version},")), "{kind}.json is not of {version}");
    }
    if tools.is_none() {
        println!("the cluster's programs are not built: only the version was compared");
    }
}
