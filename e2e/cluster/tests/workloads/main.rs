//! What a user's workloads need of a cluster. All tests share one.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cluster::{Cluster, Error, FailureGuard, GatewayApi, Options, Tools, images};

const DEADLINE: Duration = Duration::from_secs(60);

/// The shared cluster with the workloads of `restricted.yaml`, all ready. It ends with this process.
fn shared() -> (&'static Cluster, FailureGuard<'static>) {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| {
        let tools = Tools::locate().expect("the machine has what it takes");
        let alias = ("api.example.com".to_owned(), "echo.restricted.svc.cluster.local".to_owned());
        let options = Options {
            images: vec![images::envoy(&tools).expect("Envoy"), images::echo(&tools).expect("echo-basic")],
            dns_aliases: vec![alias],
            ..Options::default()
        };
        let started = Instant::now();
        let cluster = Cluster::start(&options).expect("the cluster starts");
        println!("cluster ready: {:.1} s", started.elapsed().as_secs_f64());
        {
            let _guard = cluster.keep_logs_on_panic();
            deploy(&cluster);
        }
        cluster
    });
    (cluster, cluster.keep_logs_on_panic())
}

fn deploy(cluster: &Cluster) {
    let started = Instant::now();
    let manifest =
        include_str!("restricted.yaml").replace("@ENVOY@", images::ENVOY).replace("@ECHO@", images::ECHO);
    cluster.apply(&manifest).expect("the manifest is accepted");
    let rollout =
        ["wait", "--for=condition=Available", "deployment", "--all", "-n", "restricted", "--timeout=60s"];
    cluster.kubectl(&rollout).expect("the pods become ready");
    println!("three pods ready: {:.1} s after apply", started.elapsed().as_secs_f64());
}

/// What an HTTP GET from inside answers; tried again until it succeeds.
fn get(cluster: &Cluster, url: &str) -> String {
    let arguments = ["--silent", "--show-error", "--fail", "--max-time", "2", url];
    cluster.wait_until(url, DEADLINE, || cluster.exec_inside("curl", &arguments)).expect("an answer")
}

/// One field of a Service.
fn service(cluster: &Cluster, name: &str, path: &str) -> Result<String, Error> {
    let path = format!("jsonpath={{{path}}}");
    let value = cluster.kubectl(&["get", "service", name, "-n", "restricted", "-o", &path])?;
    if value.is_empty() { Err(Error::Unexpected("it has none".to_owned())) } else { Ok(value) }
}

fn load_balancer_address(cluster: &Cluster, name: &str) -> String {
    let published = || service(cluster, name, ".status.loadBalancer.ingress[0].ip");
    cluster.wait_until("load balancer address", DEADLINE, published).expect("an address")
}

#[test]
fn the_stock_envoy_runs_where_restricted_pod_security_is_enforced() {
    let (cluster, _guard) = shared();
    let ready = ["get", "deployment", "envoy", "-n", "restricted", "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(cluster.kubectl(&ready).expect("a status"), "2");

    let privileged = ["run", "privileged", "-n", "restricted", "--image=any:1", "--privileged"];
    let refusal = cluster.kubectl(&privileged).expect_err("a privileged pod is refused");
    assert!(refusal.to_string().contains("PodSecurity"), "{refusal}");
}

#[test]
fn cluster_and_load_balancer_addresses_and_names_answer() {
    let (cluster, _guard) = shared();
    let cluster_address = service(cluster, "envoy", ".spec.clusterIP").expect("an address");
    let load_balancer = load_balancer_address(cluster, "envoy");
    assert!(load_balancer.starts_with("10.90."), "{load_balancer}");
    for host in [&cluster_address, &load_balancer, "envoy.restricted.svc.cluster.local"] {
        assert_eq!(get(cluster, &format!("http://{host}/direct")), "from Envoy itself", "{host}");
    }
}

#[test]
fn a_wanted_load_balancer_address_is_given() {
    let (cluster, _guard) = shared();
    assert_eq!(load_balancer_address(cluster, "envoy-wanted"), "10.90.7.7");
    assert_eq!(get(cluster, "http://10.90.7.7/direct"), "from Envoy itself");
}

#[test]
fn a_pod_reaches_another_by_name_and_cluster_address() {
    let (cluster, _guard) = shared();
    let address = load_balancer_address(cluster, "envoy");
    let answer = get(cluster, &format!("http://{address}/hello"));
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["path"], "/hello");
    assert_eq!(answer["namespace"], "restricted");
}

#[test]
fn a_name_of_the_outside_world_can_be_answered_by_a_service() {
    let (cluster, _guard) = shared();
    let answer = get(cluster, "http://api.example.com/aliased");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["host"], "api.example.com");
}

#[test]
fn logs_and_exec_reach_into_pods() {
    let (cluster, _guard) = shared();
    let logs = cluster.kubectl(&["logs", "-n", "restricted", "deployment/envoy", "--tail=-1"]).expect("logs");
    assert!(logs.contains("starting main dispatch loop"), "{logs}");
    let exec = ["exec", "-n", "restricted", "deployment/envoy", "--", "/usr/local/bin/envoy", "--version"];
    let version = cluster.kubectl(&exec).expect("exec works");
    assert!(version.contains("1.40.0"), "{version}");

    let kept = cluster.logs().join("pods");
    let pods = std::fs::read_dir(kept).expect("a folder").filter_map(Result::ok);
    assert!(pods.into_iter().any(|pod| pod.file_name().to_string_lossy().starts_with("restricted_envoy")));
}

#[test]
fn a_client_can_run_in_the_network_of_a_pod_that_has_no_shell() {
    let (cluster, _guard) = shared();
    let pod =
        ["get", "pods", "-n", "restricted", "-l", "app=envoy", "-o", "jsonpath={.items[0].metadata.name}"];
    let pod = cluster.kubectl(&pod).expect("a pod");
    let mut curl = cluster.inside_pod("restricted", &pod, "curl").expect("it runs");
    let output =
        curl.args(["--silent", "--max-time", "2", "http://127.0.0.1:8080/direct"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from Envoy itself");

    cluster.inside_pod("restricted", "absent", "curl").expect_err("there is no such pod");
}

#[test]
fn rbac_is_enforced() {
    let (cluster, _guard) = shared();
    let list = ["get", "secrets", "-A", "--as=system:serviceaccount:default:default"];
    let refusal = cluster.kubectl(&list).expect_err("a service account without a role may not read secrets");
    assert!(refusal.to_string().contains("Forbidden"), "{refusal}");

    // The node itself is held to its own pods.
    let list = ["get", "secrets", "-A", "--as=system:node:node", "--as-group=system:nodes"];
    let refusal = cluster.kubectl(&list).expect_err("a node may not list secrets");
    assert!(refusal.to_string().contains("Forbidden"), "{refusal}");
}

#[test]
fn gateway_api_is_installed_from_the_pinned_module() {
    let (cluster, _guard) = shared();
    cluster.install_gateway_api(&GatewayApi::Experimental).expect("the definitions are accepted");
    assert_eq!(
        cluster.kubectl(&["get", "httproutes,tcproutes", "-A", "-o", "name"]).expect("they are served"),
        ""
    );
    let version = "jsonpath={.metadata.annotations.gateway\\.networking\\.k8s\\.io/bundle-version}";
    let crd = ["get", "crd", "httproutes.gateway.networking.k8s.io", "-o", version];
    assert_eq!(cluster.kubectl(&crd).expect("a version"), "v1.6.3");
}

#[test]
fn helm_installs_and_uninstalls_a_chart() {
    let (cluster, _guard) = shared();
    let chart = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = chart.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write("Chart.yaml", "apiVersion: v2\nname: tiny\nversion: 0.1.0\n");
    write(
        "templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\ndata: {release: '{{ .Release.Name }}'}\n",
    );
    let chart = chart.path().to_str().expect("text");
    cluster
        .helm(&["install", "first", chart, "--namespace=tiny", "--create-namespace"])
        .expect("it installs");
    let data = ["get", "configmap", "tiny", "-n", "tiny", "-o", "jsonpath={.data.release}"];
    assert_eq!(cluster.kubectl(&data).expect("the object"), "first");
    cluster.helm(&["uninstall", "first", "--namespace=tiny"]).expect("it uninstalls");
    cluster.kubectl(&data).expect_err("the object is gone");
}

#[test]
fn a_client_can_run_inside_with_its_own_input_and_output() {
    use std::process::Stdio;
    let (cluster, _guard) = shared();
    let mut client = cluster.inside("cat");
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    client.kill().expect("it can be killed");
    let output = client.wait_with_output().expect("its output closes: the program ended with its handle");
    assert!(!output.status.success());
}
