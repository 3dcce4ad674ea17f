//! The command `cluster`, as a person or `make` runs it.

mod traces;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use traces::{Traces, mounts};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cluster");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends a named cluster with the test.
struct Named(String);

impl Named {
    fn new(name: &str) -> Self {
        Self(format!("{name}-{}", std::process::id()))
    }

    fn note(&self) -> Value {
        let note = PathBuf::from("/run/chancery-clusters").join(format!("{}.json", self.0));
        serde_json::from_slice(&fs::read(note).expect("a note")).expect("JSON")
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        run(&["down", "--name", &self.0]);
    }
}

fn traces(note: &Value, before: std::collections::BTreeSet<String>) -> Traces {
    let init = note["init"].as_u64().and_then(|id| id.try_into().ok()).expect("a process id");
    Traces::of(init, note["folder"].as_str().expect("a folder").as_ref(), before)
}

#[test]
fn a_cluster_is_brought_up_used_and_ended() {
    let before = mounts();
    let cluster = Named::new("used");
    let usage = stdout(&run(&["up", "--name", &cluster.0]));
    println!("{usage}");
    let traces = traces(&cluster.note(), before);

    let nodes = stdout(&run(&["exec", "--name", &cluster.0, "kubectl", "get", "nodes", "-o", "name"]));
    assert_eq!(nodes, "node/node\n");
    let here = stdout(&run(&["exec", "--name", &cluster.0, "pwd"]));
    assert_eq!(here.trim(), std::env::current_dir().expect("a folder").to_string_lossy());
    // Asked for again, it is the same one.
    let again = stdout(&run(&["up", "--name", &cluster.0]));
    assert!(usage.ends_with(&again), "{again}");

    stdout(&run(&["down", "--name", &cluster.0]));
    assert_eq!(traces.found(), Vec::<String>::new());
    assert!(stdout(&run(&["down", "--name", &cluster.0])).contains("No cluster"));
}

#[test]
fn nothing_is_left_of_a_cluster_whose_holder_is_killed() {
    let before = mounts();
    let cluster = Named::new("killed");
    stdout(&run(&["up", "--name", &cluster.0]));
    let note = cluster.note();
    let traces = traces(&note, before);
    let kill = |signal: &str, process: &str| {
        assert!(Command::new("kill").args([signal, process]).status().expect("kill runs").success());
    };
    // Even a process that takes no signals must go.
    kill("-STOP", &traces.process("kubelet").to_string());
    kill("-KILL", &note["holder"].to_string());
    let killed = Instant::now();
    while !traces.found().is_empty() {
        assert!(killed.elapsed() < Duration::from_secs(30), "left behind: {:#?}", traces.found());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("cluster gone: {:.1} s after SIGKILL", killed.elapsed().as_secs_f64());
}

#[test]
fn what_is_missing_is_said_in_one_line_with_the_command_that_gets_it() {
    let unprepared = Command::new(PROGRAM).arg("up").env("CHANCERY_CLUSTER_TOOLS", "/nowhere").output();
    let complaint = unprepared.expect("it runs").stderr;
    let complaint = String::from_utf8_lossy(&complaint);
    assert!(complaint.contains("kubelet") && complaint.contains("`make cluster-tools`"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
fn an_image_is_made_of_a_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image.tar");
    let output = image.to_str().expect("text");
    stdout(&run(&[
        "image",
        "--name",
        "shell:test",
        "--output",
        output,
        "--file",
        "/etc/hostname:/etc/name",
        "/bin/sh",
    ]));
    let listing = Command::new("tar").arg("-tf").arg(&image).output().expect("tar runs");
    assert!(stdout(&listing).contains("manifest.json"));
}
