//! The committed schemas of Gateway API are those of its Go module.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Value, json};

const MODULE: &str = "sigs.k8s.io/gateway-api";

/// A release whose schemas are committed.
struct Source {
    /// The file that pins the version of the Go module.
    pinned: &'static str,
    /// In `.tools`, the file that says that a folder has the CRDs, and where in that folder they are.
    stamp: &'static str,
    folder: &'static str,
    /// The API group of the kinds.
    group: &'static str,
    /// Their plurals.
    kinds: &'static [&'static str],
}

/// What the one-node cluster installs; and what the newest release has in another form than 1.6 (XBackend), or with members
/// of its own that are read (`listeners[].filters`).
const SOURCES: [Source; 3] = [
    Source {
        pinned: "e2e/cluster/tools/gateway-api/go.mod",
        stamp: ".built-crds",
        folder: "crds/experimental",
        group: "gateway.networking.k8s.io",
        kinds: &KINDS,
    },
    Source {
        pinned: "e2e/conformance/v1.7.0/go.mod",
        stamp: "crds/gateway.networking.x-k8s.io_xbackends.yaml",
        folder: "crds",
        group: "gateway.networking.x-k8s.io",
        kinds: &["xbackends"],
    },
    Source {
        pinned: "e2e/conformance/v1.7.0/go.mod",
        stamp: "crds/gateway.networking.x-k8s.io_xbackends.yaml",
        folder: "crds",
        group: "gateway.networking.k8s.io",
        kinds: &["gateways", "listenersets"],
    },
];

const KINDS: [&str; 8] = [
    "backendtlspolicies",
    "gatewayclasses",
    "grpcroutes",
    "httproutes",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
    "udproutes",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Source {
    /// The folder of its CRDs, if one is there: named by the environment, else one in `.tools`, where those of other
    /// releases may be as well.
    fn crds(&self) -> Option<PathBuf> {
        let named = env::var_os("CHANCERY_CLUSTER_TOOLS").map(PathBuf::from);
        let listed = fs::read_dir(workspace().join(".tools")).into_iter().flatten();
        let folders = named.into_iter().chain(listed.filter_map(|entry| Some(entry.ok()?.path())));
        let mut folders =
            folders.filter(|path| path.join(self.stamp).exists()).map(|path| path.join(self.folder));
        let release = format!("bundle-version: {}\n", self.version());
        folders.find(|folder| {
            let first = self.kinds.first().map(|kind| folder.join(self.file_name(kind)));
            first.and_then(|file| fs::read_to_string(file).ok()).is_some_and(|crd| crd.contains(&release))
        })
    }

    fn file_name(&self, kind: &str) -> String {
        format!("{}_{kind}.yaml", self.group)
    }

    /// The version of the module, from the file that pins it.
    fn version(&self) -> String {
        let pinned = fs::read_to_string(workspace().join(self.pinned)).unwrap();
        let mut lines = pinned.lines().map(|line| line.trim().trim_start_matches("require "));
        let line = lines.find_map(|line| line.strip_prefix(MODULE)?.strip_prefix(' ')).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }
}

/// A CRD without what only its readers need: descriptions, and the `$`-less comments of its generator.
fn trimmed(crd: &Value, version: &str) -> Value {
    let versions = crd["spec"]["versions"].as_array().unwrap().iter();
    let versions = versions.map(|version| {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        drop_descriptions(&mut schema);
        json!({"name": version["name"], "schema": schema})
    });
    json!({
        "source": format!("{MODULE} {version}, config/crd/experimental"),
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
    assert_eq!(crd_validation::GATEWAY_API_VERSION, SOURCES[0].version());
}

#[test]
fn committed_schemas_are_current() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway-api");
    for source in SOURCES {
        let (version, crds) = (source.version(), source.crds());
        for kind in source.kinds {
            let file = committed.join(format!("{kind}.json"));
            if let Some(crds) = &crds {
                let crd = fs::read_to_string(crds.join(source.file_name(kind))).unwrap();
                let current = format!("{:#}\n", trimmed(&serde_saphyr::from_str(&crd).unwrap(), &version));
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
        if crds.is_none() {
            println!("the CRDs of {version} are not there: only the version was compared");
        }
    }
}
