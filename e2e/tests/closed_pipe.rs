//! Commands whose reader goes away: those that print and end do so quietly, and a server goes on serving.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::echo::EchoBackend;
use e2e::http::{eventually, get};
use e2e::scenario::binary;

/// The status of a program that SIGPIPE ended, as shells show it.
const ENDED_BY_SIGPIPE: i32 = 141;

/// A pipe whose reader is gone already: one that goes while the program runs may be too late for a short output.
fn closed_pipe() -> Result<Stdio> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    Ok(writer.into())
}

fn spawn(program: &str, arguments: &[&str], stderr: Stdio) -> Result<Child> {
    let program = binary()?.with_file_name(program);
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).stdout(closed_pipe()?).stderr(stderr);
    command.spawn().with_context(|| format!("{}: is it built?", program.display()))
}

#[test]
fn a_command_whose_reader_goes_away_ends_quietly() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let broken = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: 1\n";
    // More than a pipe holds, so that a reader that is gone is noticed.
    let many: String = (0..3000).map(|number| format!("{broken}---\n# {number}\n")).collect();
    std::fs::write(folder.path().join("a.yaml"), many)?;
    let path = folder.path().to_str().context("a path")?;
    for (program, arguments, status) in [
        // The verdict, whoever hears it.
        ("chancery", vec!["check", path], 1),
        ("chancery", vec!["translate", path], 1),
        ("chancery", vec!["run", "--help"], 0),
        ("crd-yaml", vec![], ENDED_BY_SIGPIPE),
        ("cluster", vec!["down", "--name", "nobody-has-this-one"], ENDED_BY_SIGPIPE),
    ] {
        let output = spawn(program, &arguments, Stdio::piped())?.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(status), "{program} {arguments:?}: {}: {errors}", output.status);
        ensure!(
            !errors.contains("panicked") && !errors.contains("Broken pipe"),
            "{program} {arguments:?}: {errors}"
        );
        // With nobody to hear of errors either.
        let ended = spawn(program, &arguments, closed_pipe()?)?.wait()?;
        ensure!(ended.code() == Some(status), "{program} {arguments:?}, both closed: {ended}");
    }
    Ok(())
}

/// `chancery run … 2>&1 | head`: neither its table nor its log has a reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_readers_go_away_goes_on_serving() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let folder = tempfile::tempdir()?;
    let [listener, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let (listener, admin) = (listener?.local_addr()?, admin?.local_addr()?);
    let config = folder.path().join("config");
    std::fs::create_dir(&config)?;
    save(&config, &objects(listener.port(), echo.address().port(), "/first"))?;
    let state = folder.path().join("state");
    let arguments = [
        "--log".to_owned(),
        "debug".to_owned(),
        "run".to_owned(),
        config.display().to_string(),
        "--admin".to_owned(),
        admin.to_string(),
        "--state-dir".to_owned(),
        state.display().to_string(),
    ];
    let mut command = Command::new(binary()?);
    command.args(arguments).env(e2e::envoy::ENVOY_VARIABLE, e2e::envoy::binary()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Ended(command.spawn()?);
    drop((server.0.stdout.take(), server.0.stderr.take()));
    serves(listener, "/first").await?;
    // Said on both, and heard by nobody.
    save(
        &config,
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: 1\n",
    )?;
    eventually(e2e::fixture::DEADLINE, || async {
        let status = get(admin, "localhost", "/status").await?;
        ensure!(status.text().contains("config"), "the broken file is known: {}", status.text());
        anyhow::Ok(())
    })
    .await?;
    save(&config, &objects(listener.port(), echo.address().port(), "/second"))?;
    serves(listener, "/second").await?;
    ensure!(server.0.try_wait()?.is_none(), "it has not ended");
    Ok(())
}

/// Ends a process when dropped; its Envoys end with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn serves(address: std::net::SocketAddr, path: &str) -> Result<()> {
    eventually(e2e::fixture::DEADLINE.max(Duration::from_secs(30)), || async {
        let answer = get(address, "a.test", path).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        anyhow::Ok(())
    })
    .await
}

fn save(config: &Path, text: &str) -> Result<()> {
    let draft = config.join(".draft");
    std::fs::write(&draft, text)?;
    Ok(std::fs::rename(draft, config.join("all.yaml"))?)
}

fn objects(port: u16, backend: u16, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec: {{gatewayClassName: \
         chancery, listeners: [{{name: http, port: {port}, protocol: HTTP}}]}}\n---\napiVersion: \
         gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: echo}}\nspec: {{type: Static, static: \
         {{hosts: [{{host: 127.0.0.1, port: {backend}}}]}}}}\n---\napiVersion: \
         gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r}}\nspec:\n  parentRefs: [{{name: \
         gw}}]\n  rules:\n  - matches: [{{path: {{value: {path}}}}}]\n    backendRefs: [{{group: \
         gateway.kgateway.dev, kind: Backend, name: echo}}]\n"
    )
}
