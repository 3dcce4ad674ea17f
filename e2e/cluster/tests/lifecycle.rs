//! How clusters begin, live through faults, and end. Every test has clusters of its own.

mod traces;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Cluster, Component, Error, Options, Tools, images};
use traces::{Traces, mounts};

const DEADLINE: Duration = Duration::from_secs(60);

const ECHO: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: echo
        image: "@ECHO@"
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        readinessProbe: {tcpSocket: {port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: LoadBalancer
  loadBalancerIP: 10.90.1.1
  selector: {app: echo}
  ports: [{port: 80, targetPort: 3000}]
"#;

fn start(options: Options) -> Cluster {
    let tools = Tools::locate().expect("the machine has what it takes");
    let images = vec![images::echo(&tools).expect("echo-basic")];
    let started = Instant::now();
    let cluster = Cluster::start(&Options { images, ..options }).expect("the cluster starts");
    println!("cluster ready: {:.1} s", started.elapsed().as_secs_f64());
    cluster
}

fn deploy_echo(cluster: &Cluster) {
    cluster.apply(&ECHO.replace("@ECHO@", images::ECHO)).expect("the manifest is accepted");
    wait_for_echo(cluster);
}

fn wait_for_echo(cluster: &Cluster) {
    let rollout = ["rollout", "status", "deployment/echo", "--timeout=60s"];
    cluster.kubectl(&rollout).expect("the pods become ready");
}

fn echo_answers(cluster: &Cluster, address: &str) {
    let get = ["--silent", "--show-error", "--fail", "--max-time", "2", &format!("http://{address}/")];
    cluster.wait_until("answer of echo", DEADLINE, || cluster.exec_inside("curl", &get)).expect("an answer");
}

/// The pods of echo: names and restarts, one per line.
fn echo_pods(cluster: &Cluster) -> String {
    let line = r#"jsonpath={range .items[*]}{.metadata.uid} {.status.phase} {.status.containerStatuses[0].restartCount}{"\n"}{end}"#;
    cluster.kubectl(&["get", "pods", "-l", "app=echo", "-o", line]).expect("a list")
}

#[test]
fn nothing_is_left_of_a_cluster_that_is_dropped() {
    let before = mounts();
    let cluster = start(Options::default());
    deploy_echo(&cluster);
    let traces = Traces::of(cluster.init_process(), cluster.folder(), before);
    // The test sees what it looks for while it is there.
    assert!(traces.processes().len() > 10, "{:?}", traces.processes());
    assert!(!traces.control_groups().is_empty());

    let started = Instant::now();
    drop(cluster);
    println!("cluster gone: {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(traces.found(), Vec::<String>::new());
}

#[test]
fn traffic_flows_while_the_api_server_is_away_and_everything_works_when_it_is_back() {
    let cluster = start(Options::default());
    deploy_echo(&cluster);
    echo_answers(&cluster, "10.90.1.1");
    let pods = echo_pods(&cluster);

    cluster.stop_component(Component::ApiServer).expect("it ends");
    cluster.kubectl(&["get", "nodes"]).expect_err("nobody answers");
    echo_answers(&cluster, "10.90.1.1");

    cluster.start_component(Component::ApiServer).expect("it starts");
    cluster.wait_ready(DEADLINE).expect("the cluster is ready again");
    assert_eq!(echo_pods(&cluster), pods, "the pods are the same ones, not restarted");
    // The controllers, and whoever plays the cloud, have found their way back.
    cluster
        .kubectl(&["expose", "deployment", "echo", "--name=late", "--type=LoadBalancer", "--port=3000"])
        .expect("created");
    let address = ["get", "service", "late", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"];
    let address = cluster.wait_until("address", DEADLINE, || {
        let address = cluster.kubectl(&address)?;
        if address.is_empty() { Err(Error::Unexpected("none yet".to_owned())) } else { Ok(address) }
    });
    echo_answers(&cluster, &format!("{}:3000", address.expect("an address")));
    cluster.kubectl(&["scale", "deployment", "echo", "--replicas=3"]).expect("scaled");
    wait_for_echo(&cluster);
}

#[test]
fn every_component_can_be_stopped_or_killed_and_started_again() {
    let cluster = start(Options::default());
    deploy_echo(&cluster);
    for component in Component::ALL {
        cluster.stop_component(component).expect("it ends");
        cluster.start_component(component).expect("it starts");
        cluster.kill_component(component).expect("it is killed");
        cluster.start_component(component).expect("it starts again");
        cluster.wait_ready(DEADLINE).unwrap_or_else(|error| panic!("after {component}: {error}"));
    }
    // All of them take part in this.
    cluster.kubectl(&["rollout", "restart", "deployment/echo"]).expect("restarted");
    wait_for_echo(&cluster);
    echo_answers(&cluster, "10.90.1.1");
}

#[test]
fn a_paused_api_server_answers_nobody_until_it_is_resumed() {
    let cluster = start(Options::default());
    cluster.pause_component(Component::ApiServer).expect("it pauses");
    let get = ["get", "nodes", "--request-timeout=1s"];
    cluster.kubectl(&get).expect_err("nobody answers");
    cluster.resume_component(Component::ApiServer).expect("it goes on");
    cluster.wait_until("answer", DEADLINE, || cluster.kubectl(&get)).expect("an answer");
}

#[test]
fn a_component_that_ends_unasked_is_named_with_its_log() {
    let before = mounts();
    let cluster = start(Options::default());
    let traces = Traces::of(cluster.init_process(), cluster.folder(), before);
    let status =
        std::process::Command::new("kill").args(["-KILL", &traces.process("kubelet").to_string()]).status();
    assert!(status.expect("kill runs").success());
    let error = loop {
        // The kernel may take a moment to tell.
        if let Err(error) = cluster.wait_ready(DEADLINE) {
            break error;
        }
    };
    let Error::ComponentEnded { component, status, log } = error else { panic!("{error}") };
    assert_eq!((component, status.as_str()), (Component::Kubelet, "signal 9"));
    assert!(!log.is_empty());
}

#[test]
fn a_start_that_fails_says_which_component_and_keeps_only_the_logs() {
    let options = Options { state_size: "1m".to_owned(), ..Options::default() };
    let error = Cluster::start(&options).expect_err("etcd does not fit");
    let text = error.to_string();
    let Error::Start { cause, logs } = error else { panic!("{error}") };
    assert!(matches!(*cause, Error::ComponentEnded { component: Component::Etcd, .. }), "{cause}");
    assert!(text.contains("no space left on device"), "{text}");
    assert!(fs::read_to_string(logs.join("etcd.log")).expect("the log is kept").contains("no space left"));
    let folder = logs.parent().expect("a folder");
    let kept: Vec<_> =
        fs::read_dir(folder).expect("kept").filter_map(Result::ok).map(|entry| entry.path()).collect();
    assert_eq!(kept, std::slice::from_ref(&logs));
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn two_clusters_side_by_side_leave_each_other_alone() {
    let before = mounts();
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| start(Options::default()));
        let second = start(Options::default());
        (first.join().expect("the first one starts"), second)
    });
    for cluster in [&first, &second] {
        deploy_echo(cluster);
    }
    // The same addresses lead to each one's own pods.
    let pods = [echo_pods(&first), echo_pods(&second)];
    assert_ne!(pods[0], pods[1]);

    for cluster in [&first, &second] {
        let traces = Traces::of(cluster.init_process(), cluster.folder(), before.clone());
        let names: Vec<String> = traces.processes().into_iter().map(|(_, name)| name).collect();
        let echoes = names.iter().filter(|name| *name == "echo-basic").count();
        assert_eq!(echoes, 2, "each one's pods are in its own control groups: {names:?}");
    }

    // A kubelet tidies control groups of pods that it does not know every two seconds.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(10) {
        assert_eq!([echo_pods(&first), echo_pods(&second)], pods);
        thread::sleep(Duration::from_millis(500));
    }
    for cluster in [&first, &second] {
        echo_answers(cluster, "10.90.1.1");
    }

    let traces = Traces::of(first.init_process(), first.folder(), before);
    drop(first);
    assert_eq!(traces.found(), Vec::<String>::new());
    assert_eq!(echo_pods(&second), pods[1]);
    echo_answers(&second, "10.90.1.1");
}
