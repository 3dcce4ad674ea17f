use std::process::Command;
use std::time::Duration;

use e2e::http::eventually;
use e2e::process::Process;

fn shell(script: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    (Process::spawn("shell", command, folder.path()).unwrap(), folder)
}

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_line_is_awaited_on_either_output() {
    let (mut process, _folder) = shell("echo to stdout; echo to stderr >&2; exec sleep 60");
    assert_eq!(process.wait_for_line("stdout", LIMIT).await.unwrap(), "to stdout");
    assert_eq!(process.wait_for_line("stderr", LIMIT).await.unwrap(), "to stderr");
}

#[tokio::test]
async fn waiting_ends_when_the_process_does_and_shows_its_last_words() {
    let (mut process, _folder) = shell("echo no such luck >&2; exit 3");
    let error = process.wait_for_line("ready", LIMIT).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("no such luck"), "{error}");
}

#[tokio::test]
async fn the_last_line_of_a_process_that_ended_is_still_found() {
    let (mut process, _folder) = shell("echo ready");
    assert_eq!(process.wait_for_line("ready", LIMIT).await.unwrap(), "ready");
}

#[tokio::test]
async fn termination_is_asked_for_and_awaited() {
    let (mut process, _folder) = shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done");
    process.wait_for_line("up", LIMIT).await.unwrap();
    assert_eq!(process.terminate(LIMIT).await.unwrap().code(), Some(7));
    assert!(process.stdout().contains("bye"));
}

#[tokio::test]
async fn a_process_that_ignores_termination_is_killed_when_dropped() {
    let (mut process, _folder) = shell("trap '' TERM; echo up; while :; do sleep 0.01; done");
    process.wait_for_line("up", LIMIT).await.unwrap();
    process.terminate(Duration::from_millis(50)).await.unwrap_err();
    let alive = format!("/proc/{}/stat", process.id());
    assert!(std::path::Path::new(&alive).exists());
    drop(process);
    assert!(!std::path::Path::new(&alive).exists());
}

#[tokio::test]
async fn polling_reports_the_last_failure() {
    let mut attempts = 0;
    let failure = eventually(Duration::from_millis(50), || {
        attempts += 1;
        let attempt = attempts;
        async move { Err::<(), _>(anyhow::anyhow!("failure {attempt}")) }
    })
    .await
    .unwrap_err();
    assert!(attempts > 1);
    assert!(format!("{failure:#}").contains(&format!("failure {attempts}")), "{failure:#}");
}
