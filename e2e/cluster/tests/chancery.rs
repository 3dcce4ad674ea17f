//! Chancery in a real cluster, installed as a user installs it: the chart by Helm, the seeds by kubectl, the
//! answers by curl. The provider is replaced from outside, by the cluster's DNS and a certificate authority.
//!
//! All tests share one cluster; each has its own namespaces.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Cluster, Error, FailureGuard, GatewayApiChannel, Options, Tools, images};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(120);
const KEY: &str = "canary-4f1c9d27a8";
const SYSTEM: &str = "chancery-system";
const GEMINI: &str = "generativelanguage.googleapis.com";
const QUESTION: &str = r#"{"contents": [{"parts": [{"text": "Explain how AI works in a few words"}]}]}"#;

/// The cluster with Chancery in it, and the stand-in for Gemini on the node.
struct World {
    cluster: Cluster,
    records: PathBuf,
    _provider: Provider,
    _folder: tempfile::TempDir,
}

/// The stand-in as a process in the cluster's network; killed when dropped.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn world() -> (&'static World, FailureGuard<'static>) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(start);
    (world, world.cluster.keep_logs_on_panic())
}

fn start() -> World {
    let tools = Tools::locate().expect("the machine has what it takes");
    let image = root().join("dist/chancery-image.tar");
    assert!(image.is_file(), "{} is missing: run `make image`", image.display());
    let options = Options {
        images: vec![images::envoy(&tools).expect("Envoy"), image],
        dns_aliases: vec![(GEMINI.to_owned(), "gemini.providers.svc.cluster.local".to_owned())],
        ..Options::default()
    };
    let started = Instant::now();
    let cluster = Cluster::start(&options).expect("the cluster starts");
    println!("cluster ready: {:.1} s", started.elapsed().as_secs_f64());
    let folder = tempfile::TempDir::new().expect("a folder");
    let records = folder.path().join("requests.jsonl");
    let provider = {
        let _guard = cluster.keep_logs_on_panic();
        cluster.install_gateway_api(GatewayApiChannel::Standard).expect("Gateway API");
        let provider = start_provider(&cluster, folder.path(), &records);
        install(&cluster, folder.path());
        provider
    };
    println!("Chancery ready: {:.1} s", started.elapsed().as_secs_f64());
    World { cluster, records, _provider: provider, _folder: folder }
}

/// The stand-in listens on the node's address; a Service without selector leads to it.
fn start_provider(cluster: &Cluster, folder: &Path, records: &Path) -> Provider {
    let binary = root().join("target/debug/mock-provider");
    assert!(binary.is_file(), "{} is missing: run `cargo build --bins`", binary.display());
    let mut command = cluster.inside(&binary);
    command.args(["--listen", "10.89.0.2:8443", "--ca-file"]).arg(folder.join("ca.pem"));
    command.arg("--record").arg(records).arg("--address-file").arg(folder.join("address"));
    command.stdout(Stdio::null());
    let provider = Provider(command.spawn().expect("the stand-in starts"));
    let is_up = || match folder.join("address").is_file() {
        true => Ok(()),
        false => Err(Error::Unexpected("it is not up yet".to_owned())),
    };
    cluster.wait_until("the stand-in for Gemini", DEADLINE, is_up).expect("the stand-in is up");
    cluster.apply(include_str!("provider.yaml")).expect("its Service");
    provider
}

fn install(cluster: &Cluster, folder: &Path) {
    cluster.apply(&restricted_namespace(SYSTEM)).expect("the namespace");
    let authority = format!("--from-file=ca.crt={}", folder.join("ca.pem").display());
    cluster
        .kubectl(&["create", "configmap", "provider-ca", "-n", SYSTEM, &authority])
        .expect("the certificate authority");
    let chart = root().join("helm");
    let chart = chart.to_str().expect("a path in UTF-8");
    let values = [
        "image.repository=chancery",
        "image.tag=dev",
        "gatewayClasses.kgateway=true",
        "gatewayClasses.gloo-gateway=true",
        "upstreamCa.configMap=provider-ca",
    ];
    let mut arguments =
        vec!["install", "chancery", chart, "--namespace", SYSTEM, "--wait", "--timeout", "120s"];
    values.iter().for_each(|value| arguments.extend(["--set", value]));
    cluster.helm(&arguments).expect("the chart installs");
}

fn restricted_namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n"
    )
}

/// Applies a seed, byte for byte but for the key, and waits until its Gateway has an address.
fn apply_seed(cluster: &Cluster, seed: &str, namespace: &str) -> String {
    cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    let mut files: Vec<_> = std::fs::read_dir(root().join("examples").join(seed))
        .expect("the seed")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a document").replace("$GOOGLE_KEY", KEY);
        cluster.apply(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let programmed =
        ["wait", "--for=condition=Programmed", "gateway/ai-gateway", "-n", namespace, "--timeout=90s"];
    cluster.kubectl(&programmed).expect("the Gateway is programmed");
    let path = "jsonpath={.status.addresses[0].value}";
    let address =
        cluster.kubectl(&["get", "gateway", "ai-gateway", "-n", namespace, "-o", path]).expect("a status");
    assert!(address.starts_with("10.90."), "an address of the load balancer, not {address:?}");
    address
}

/// The request of the guides, by curl; with the status on the last line.
fn ask(cluster: &Cluster, address: &str) -> Result<(u16, String), Error> {
    let url = format!("http://{address}:8080/gemini");
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        "5",
        "--write-out",
        "\n%{http_code}",
        "--header",
        "content-type: application/json",
        "--header",
        "authorization: Bearer client-secret",
        "--data",
        QUESTION,
        &url,
    ];
    let output = cluster.exec_inside("curl", &arguments)?;
    let (body, status) = output.trim_end().rsplit_once('\n').unwrap_or(("", output.trim_end()));
    Ok((status.parse().unwrap_or_default(), body.to_owned()))
}

/// Asks until the answer has a status; gives the body.
fn ask_until(cluster: &Cluster, address: &str, wanted: u16) -> String {
    let answer = || match ask(cluster, address)? {
        (status, body) if status == wanted => Ok(body),
        (status, body) => Err(Error::Unexpected(format!("{status}: {body}"))),
    };
    cluster.wait_until(&format!("an answer with {wanted}"), DEADLINE, answer).expect("the answer")
}

/// What reached the stand-in.
fn requests(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(&world.records).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn header<'a>(request: &'a Value, name: &str) -> Vec<&'a str> {
    let all = request["headers"].as_array().into_iter().flatten();
    all.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}

/// Requests of different tests must not be mixed in the stand-in's records.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assert_native_gemini(body: &str) {
    let json: Value = serde_json::from_str(body).expect("JSON");
    assert!(json["candidates"][0]["content"]["parts"][0]["text"].is_string(), "{json}");
    assert_eq!(json["candidates"][0]["finishReason"], "STOP");
    assert!(json["usageMetadata"]["totalTokenCount"].is_number(), "{json}");
}

fn assert_is_what_gemini_expects(request: &Value, key: &str) {
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/v1beta/models/gemini-1.5-flash-latest:generateContent");
    assert_eq!((&request["host"], &request["sni"]), (&GEMINI.into(), &GEMINI.into()));
    assert_eq!(header(request, "x-goog-api-key"), [key]);
    assert!(!request.to_string().contains("client-secret"), "{request}");
}

fn condition(cluster: &Cluster, object: &[&str], path: &str, kind: &str) -> String {
    let template =
        format!("jsonpath={{{path}[?(@.type==\"{kind}\")].status}} {{{path}[?(@.type==\"{kind}\")].reason}}");
    let arguments: Vec<_> = ["get"].iter().chain(object).copied().chain(["-o", &template]).collect();
    cluster.kubectl(&arguments).expect("a status")
}

#[test]
fn the_kgateway_seed_is_served_and_follows_its_secret() {
    let (world, _guard) = world();
    let _alone = alone();
    let cluster = &world.cluster;
    let namespace = "kgateway-system";
    let address = apply_seed(cluster, "seed-kgateway", namespace);
    assert_native_gemini(&ask_until(cluster, &address, 200));
    assert_is_what_gemini_expects(requests(world).last().expect("a request"), KEY);
    let backend = ["backends.gateway.kgateway.dev", "google", "-n", namespace];
    assert_eq!(condition(cluster, &backend, ".status.conditions", "Accepted"), "True Accepted");
    let route = ["httproute", "google", "-n", namespace];
    for kind in ["Accepted", "ResolvedRefs"] {
        let status = condition(cluster, &route, ".status.parents[0].conditions", kind);
        assert!(status.starts_with("True"), "{kind}: {status}");
    }

    // A4: the next key is used next, and none when it is gone.
    let patch = r#"{"stringData": {"Authorization": "canary-rotated"}}"#;
    cluster.kubectl(&["patch", "secret", "google-secret", "-n", namespace, "-p", patch]).expect("a patch");
    let rotated = || {
        ask(cluster, &address)?;
        let last = requests(world).pop().unwrap_or_default();
        match header(&last, "x-goog-api-key")[..] {
            ["canary-rotated"] => Ok(()),
            _ => Err(Error::Unexpected("the old key is still in use".to_owned())),
        }
    };
    cluster.wait_until("the new key", DEADLINE, rotated).expect("the new key is used");
    cluster.kubectl(&["delete", "secret", "google-secret", "-n", namespace]).expect("it is deleted");
    ask_until(cluster, &address, 500);
    let before = requests(world).len();
    ask_until(cluster, &address, 500);
    assert_eq!(requests(world).len(), before, "the provider is not contacted");
    let accepted = || match condition(cluster, &backend, ".status.conditions", "Accepted").as_str() {
        "False SecretNotFound" => Ok(()),
        other => Err(Error::Unexpected(other.to_owned())),
    };
    cluster.wait_until("the Backend's status", DEADLINE, accepted).expect("the status says why");
}

#[test]
fn the_gloo_seed_is_served_under_the_names_that_scripts_expect() {
    let (world, _guard) = world();
    let _alone = alone();
    let cluster = &world.cluster;
    let namespace = "gloo-system";
    let address = apply_seed(cluster, "seed-gloo", namespace);
    assert_native_gemini(&ask_until(cluster, &address, 200));
    assert_is_what_gemini_expects(requests(world).last().expect("a request"), KEY);
    cluster
        .kubectl(&["get", "service", "gloo-proxy-ai-gateway", "-n", namespace])
        .expect("the Service's name");

    // Deleting the Gateway removes everything that it made.
    cluster.kubectl(&["delete", "gateway", "ai-gateway", "-n", namespace]).expect("it is deleted");
    let gone = || {
        let made = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets";
        let label = "gateway.networking.k8s.io/gateway-name=ai-gateway";
        let left = cluster.kubectl(&["get", made, "-n", namespace, "-l", label, "-o", "name"])?;
        if left.trim().is_empty() { Ok(()) } else { Err(Error::Unexpected(left)) }
    };
    cluster.wait_until("what the Gateway made is gone", DEADLINE, gone).expect("it is gone");
}
