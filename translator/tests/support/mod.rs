//! Golden cases: where they are and how they are read. Also used by `e2e`, which shows every case
//! to the real Envoy.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};

use crds::Object;
use ir::{IpFamilies, ModuleSource, RemoteModule};
use serde_json::Value;
use translator::{Addressing, AiEngine, ConnectTo, Resources, Settings};

/// One case: `NAME.in.yaml`, with the expected output beside it.
pub(crate) struct Case {
    /// The input file.
    pub(crate) input: PathBuf,
    /// Area and name, for messages.
    pub(crate) name: String,
}

/// The folder of all cases.
pub(crate) fn cases_folder() -> PathBuf {
    // `e2e` and `translator` both stand in the workspace's top folder.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../translator/tests/golden")
}

/// Every case below `translator/tests/golden`, sorted.
pub(crate) fn cases() -> Vec<Case> {
    let root = cases_folder();
    let mut cases: Vec<Case> =
        folders(&root).iter().flat_map(|folder| files(folder)).filter_map(case).collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(!cases.is_empty(), "no golden cases below {}", root.display());
    cases
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(root).expect("the golden folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_dir()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).collect()
}

fn case(input: PathBuf) -> Option<Case> {
    let file = input.file_name()?.to_str()?;
    let stem = file.strip_suffix(".in.yaml")?;
    let area = input.parent()?.file_name()?.to_str()?;
    Some(Case { name: format!("{area}/{stem}"), input: input.clone() })
}

impl Case {
    /// The file beside the input with another ending, such as `xds.yaml`.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        let stem = self.input.to_str().expect("UTF-8").strip_suffix("in.yaml").expect("an input");
        PathBuf::from(format!("{stem}{ending}"))
    }

    /// Whether what a deployer must provide is shown too.
    pub(crate) fn has_infra(&self) -> bool {
        self.name.starts_with("infra/")
    }

    /// The objects of the case after those of its folder's `_defaults.yaml`, and its settings.
    pub(crate) fn read(&self) -> (Vec<Object>, Settings) {
        let text = std::fs::read_to_string(&self.input).expect("the input");
        let defaults = self.input.with_file_name("_defaults.yaml");
        let defaults = std::fs::read_to_string(defaults).unwrap_or_default();
        let read = |text| try_objects(text).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let objects = read(&defaults).into_iter().chain(read(&text));
        (objects.collect(), settings(&text))
    }

    /// The objects of the case, indexed.
    pub(crate) fn resources(&self) -> (Resources, Settings) {
        let (objects, settings) = self.read();
        (objects.into_iter().collect(), settings)
    }
}

/// Reads every document of a text.
pub(crate) fn objects(text: &str) -> Vec<Object> {
    try_objects(text).unwrap_or_else(|error| panic!("{error}"))
}

fn try_objects(text: &str) -> Result<Vec<Object>, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let decode = |document: Value| {
        let decoded = Object::decode(document).map_err(|error| error.to_string())?;
        match decoded.unknown_fields.as_slice() {
            [] => Ok(decoded.object),
            unknown => Err(format!("{}: unknown fields {unknown:?}", decoded.object.object_ref())),
        }
    };
    documents.into_iter().filter(|document| !document.is_null()).map(decode).collect()
}

/// The translation of a text, with the settings that it begins with.
pub(crate) fn translation_of(text: &str) -> translator::Translation {
    translator::translate(&objects(text).into_iter().collect(), &settings(text))
}

/// The settings of a case: the cluster's without what is the same in every case, changed by a first line such as
/// `# settings: {"addressing": "loopback", "lowestPort": 1024, "connectTo": "a.com:443:127.0.0.1:1"}`.
fn settings(text: &str) -> Settings {
    // Without the access log, the readiness listener and the want of a Service, which would be the same
    // lines in every golden. The area `infra` shows them.
    let mut settings = Settings {
        access_log: None,
        addressing: Addressing::AllInterfaces,
        gateway_api_version: Some("v1.6.3".to_owned()),
        ..Settings::default()
    };
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("# settings: ")) else {
        return settings;
    };
    let wanted: serde_json::Map<String, Value> = serde_json::from_str(line).expect("settings are JSON");
    for (key, value) in wanted {
        let text = value.as_str().unwrap_or_default();
        match key.as_str() {
            "addressing" if text == "loopback" => settings.addressing = Addressing::Loopback,
            "addressing" if text == "service" => settings.addressing = Addressing::Service,
            "families" if text == "v6" => settings.families = IpFamilies::V6,
            "families" if text == "both" => settings.families = IpFamilies::Both,
            "addressing" => settings.addressing = Addressing::Fixed(text.parse().expect("an address")),
            "lowestPort" => settings.lowest_port = value.as_u64().expect("a port") as u16,
            "gatewayApiVersion" => settings.gateway_api_version = value.as_str().map(str::to_owned),
            "soleController" => settings.sole_controller = value == true,
            "impliedClass" => settings.implied_classes = vec![text.to_owned()],
            "accessLog" => settings.access_log = value.as_str().map(str::to_owned),
            "aiModuleUri" => {
                settings.ai_engine = AiEngine::Available(ModuleSource::Remote(RemoteModule {
                    uri: text.to_owned(),
                    cluster: "xds_cluster".to_owned(),
                    sha256: "5ca1ab1e".repeat(8),
                }));
            }
            "aiModule" => settings.ai_engine = AiEngine::Available(ModuleSource::File(text.to_owned())),
            "connectTo" => settings.connect_to = vec![connect_to(text)],
            other => panic!("unknown setting {other}"),
        }
    }
    settings
}

fn connect_to(text: &str) -> ConnectTo {
    let parts: Vec<&str> = text.split(':').collect();
    let [host, port, to_host, to_port] = parts[..] else { panic!("HOST:PORT:HOST2:PORT2") };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let port_of = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a port"));
    ConnectTo { host: some(host), port: port_of(port), to_host: some(to_host), to_port: port_of(to_port) }
}
