//! Objects from files are judged as a real API server judges them that has Gateway API's CRDs of the
//! experimental channel and our own.

mod generate;
mod refused;

use std::env;
use std::path::Path;
use std::time::Instant;

use acceptance::{ApiServer, Network};
use cluster::{Cluster, GatewayApi, Options};
use serde_json::{Value, json};

use generate::{Generator, Kind};

const CONNECTIONS: u64 = 4;
const DEFAULT_CASES: u64 = 300;

/// What `chancery check` says of an object: what it finds, or nothing.
fn our_findings(object: &Value) -> Vec<String> {
    let verdict = crd_validation::judge(object.clone()).expect("a kind that is read");
    if !verdict.violations.is_empty() {
        return verdict.violations.iter().map(ToString::to_string).collect();
    }
    match crds::Object::decode(verdict.object) {
        Ok(decoded) => decoded.unknown_fields,
        Err(error) => vec![error.to_string()],
    }
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn files_are_judged_as_a_real_api_server_judges() {
    let cluster = Cluster::start(&Options::default()).expect("the cluster starts");
    let _guard = cluster.keep_logs_on_panic();
    cluster.install_gateway_api(&GatewayApi::Experimental).expect("Gateway API");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/files/crds");
    cluster.kubectl(&["apply", "--server-side", "-f", &ours.to_string_lossy()]).expect("our CRDs");
    cluster
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
        .expect("served");
    let cases = number("CHANCERY_VALIDATION_CASES", DEFAULT_CASES);
    let seed = number("CHANCERY_VALIDATION_SEED", 1);
    let started = Instant::now();
    let server = ApiServer::of(&cluster).expect("the API server");
    let network = Network::of(&cluster);
    let rows = network.spawn(refused::refused_with_a_message(server.clone()));
    network.run(rows).expect("the rows of the guides");
    let workers: Vec<_> =
        (0..CONNECTIONS).map(|worker| network.spawn(compare(server.clone(), seed, worker, cases))).collect();
    let (mut accepted, mut refused, mut differences) = (0, 0, Vec::new());
    for worker in workers {
        let outcome = network.run(worker).expect("the worker ends");
        accepted += outcome.accepted;
        refused += outcome.refused;
        differences.extend(outcome.differences);
    }
    println!(
        "{cases} objects in {:.1} s: {accepted} accepted, {refused} refused",
        started.elapsed().as_secs_f64()
    );
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    // Neither side may be a mere handful, or the comparison shows little.
    assert!(accepted * 10 > cases && refused * 4 > cases, "{accepted} accepted, {refused} refused");
    kubectl_says_the_same(&cluster, seed);
}

struct Outcome {
    accepted: u64,
    refused: u64,
    differences: Vec<String>,
}

async fn compare(server: ApiServer, seed: u64, worker: u64, cases: u64) -> Outcome {
    let mut connection = server.connect().await.expect("a connection");
    let mut outcome = Outcome { accepted: 0, refused: 0, differences: Vec::new() };
    for case in (worker..cases).step_by(usize::try_from(CONNECTIONS).expect("small")) {
        let (kind, object) = Generator::new(seed, case).object();
        let ours = our_findings(&object);
        let path = format!("{}?dryRun=All&fieldValidation=Strict", kind.path());
        let (status, answer) = connection.create(&path, &object).await.expect("an answer");
        let is_accepted = match status.as_u16() {
            201 => true,
            400 | 422 => false,
            _ => panic!("{status}: {answer}"),
        };
        if is_accepted {
            outcome.accepted += 1
        } else {
            outcome.refused += 1
        }
        if is_accepted != ours.is_empty() {
            let answer = answer.get("message").unwrap_or(&Value::Null);
            outcome
                .differences
                .push(format!("case {case}: server {status} {answer}; we: {ours:?}\n  {object}"));
        } else if is_accepted && let Some(difference) = stored_difference(&object, &answer) {
            outcome.differences.push(format!("case {case}: stored otherwise: {difference}\n  {object}"));
        }
    }
    outcome
}

/// Where what the server stores is not what we read.
fn stored_difference(object: &Value, stored: &Value) -> Option<String> {
    let ours = crd_validation::judge(object.clone()).ok()?.object;
    let (ours, stored) = (ours.get("spec"), stored.get("spec"));
    (ours != stored).then(|| format!("{} is not {}", json!(ours), json!(stored)))
}

/// A sample by way of kubectl, whose verdict is its exit code.
fn kubectl_says_the_same(cluster: &Cluster, seed: u64) {
    for case in 0..10 {
        let (kind, object) = Generator::new(seed, case).object();
        if object.pointer("/metadata/name").is_none_or(|name| !name.is_string()) {
            continue;
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), object.to_string()).expect("written");
        let path = file.path().to_string_lossy().into_owned();
        let answer = cluster.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", &path]);
        let ours = our_findings(&object);
        assert_eq!(answer.is_ok(), ours.is_empty(), "{kind:?}: kubectl {answer:?}; we: {ours:?}\n{object}");
    }
}

#[test]
fn every_base_object_is_one_that_we_take() {
    for kind in Kind::ALL {
        assert_eq!(our_findings(&kind.base()), Vec::<String>::new(), "{kind:?}");
    }
}
