//! The control plane as processes on the node instead of pods, so that each can be given an API server of its own.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};
use e2e::http::{Response, get};
use serde_json::{Value, json};

use crate::{RELEASE, SYSTEM, World, object_name, restricted_namespace, workspace};

/// Names another program than that of `cargo build`.
const PROGRAM_VARIABLE: &str = "CHANCERY_PROGRAM";

/// Ports of the node that nothing else uses.
const FIRST_PORT: u16 = 21_000;

/// Everything of the chart but its pods, and the program.
#[derive(Debug)]
pub struct LocalChart {
    program: PathBuf,
    token: String,
    next_port: AtomicU16,
}

/// One process of `chancery serve`, as the chart's service account. Killed when dropped.
#[derive(Debug)]
pub struct LocalControlPlane {
    process: Child,
    /// Its xDS port.
    pub xds: SocketAddr,
    /// Its admin port.
    pub admin: SocketAddr,
    /// The file of its log.
    pub log: PathBuf,
}

impl LocalChart {
    /// Applies the chart without its Deployment in a world that was started without one.
    ///
    /// # Panics
    /// The API server refuses something, or the program is not built.
    #[must_use]
    pub fn apply(world: &World) -> Self {
        let cluster = &world.cluster;
        let made = || workspace().join("target/debug/chancery");
        let built = env::var_os(PROGRAM_VARIABLE).map_or_else(made, PathBuf::from);
        assert!(built.is_file(), "{} is missing: run `cargo build --bins`", built.display());
        // Of its own, so that a build meanwhile changes nothing.
        let program = cluster.folder().join("chancery");
        fs::copy(built, &program).expect("a copy of the program");
        cluster.apply(&restricted_namespace(SYSTEM)).expect("the namespace");
        let chart = workspace().join("helm");
        let mut arguments = vec!["template", RELEASE, chart.to_str().expect("UTF-8"), "--namespace", SYSTEM];
        arguments.push("--api-versions=gateway.networking.k8s.io/v1/GatewayClass");
        let chart = cluster.helm(&arguments).expect("the chart");
        let is_kept = |document: &&str| !document.contains("\nkind: Deployment\n");
        let chart: Vec<&str> = chart.split("\n---\n").filter(is_kept).collect();
        let file = cluster.folder().join("chart.yaml");
        fs::write(&file, chart.join("\n---\n")).expect("a file");
        let file = file.to_str().expect("UTF-8");
        cluster.kubectl(&["apply", "--server-side", "-f", file]).expect("the chart");
        cluster
            .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
            .expect("the CRDs");
        let token = cluster.kubectl(&["create", "token", RELEASE, "-n", SYSTEM, "--duration=2h"]);
        let token = token.expect("a token").trim().to_owned();
        Self { program, token, next_port: AtomicU16::new(FIRST_PORT) }
    }

    /// Starts a replica called `name` that knows the API server at `server`, which speaks plain HTTP.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(&self, world: &World, name: &str, server: SocketAddr) -> LocalControlPlane {
        let port = self.next_port.fetch_add(2, Ordering::Relaxed);
        self.start_at(world, name, server, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// As [`start`](Self::start), with its xDS port there; the admin port is the next one.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_at(
        &self,
        world: &World,
        name: &str,
        server: SocketAddr,
        xds: SocketAddr,
    ) -> LocalControlPlane {
        let cluster = &world.cluster;
        let kubeconfig = cluster.folder().join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, self.kubeconfig(server).to_string()).expect("a kubeconfig");
        let admin = SocketAddr::new(xds.ip(), xds.port() + 1);
        let log = cluster.logs().join(format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let process = cluster.spawn_inside(&self.program, |command| {
            command
                .args(["serve", "--log=info,controlplane=debug", "--namespace", SYSTEM])
                .args(["--xds-service", RELEASE, "--identity", name])
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args([format!("--xds-bind={xds}"), format!("--admin={admin}")])
                .stdout(output.try_clone().expect("a log"))
                .stderr(output);
        });
        LocalControlPlane { process: process.expect("it starts"), xds, admin, log }
    }

    fn kubeconfig(&self, server: SocketAddr) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{server}")}}],
            "users": [{"name": RELEASE, "user": {"token": self.token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": RELEASE}}],
            "current-context": "proxy",
        })
    }
}

impl LocalControlPlane {
    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for LocalControlPlane {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a path of a control plane's admin port; to be called in the cluster's network.
///
/// # Errors
/// No answer.
pub async fn admin_get(admin: SocketAddr, path: &str) -> Result<Response> {
    get(admin, "admin", path).await
}

/// The objects that a control plane holds, by [`object_name`], with their versions; to be called in the cluster's
/// network.
///
/// # Errors
/// No answer, or another one than expected.
pub async fn held_objects(admin: SocketAddr) -> Result<BTreeMap<String, String>> {
    let answer = admin_get(admin, "/debug/objects").await?.json()?;
    let objects = answer.as_array().with_context(|| format!("no list: {answer}"))?;
    let version = |held: &Value| {
        let object = &held["object"];
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let version = held["resourceVersion"].as_str().unwrap_or_default().to_owned();
        (object_name(text("group"), text("kind"), object), version)
    };
    Ok(objects.iter().map(version).collect())
}

fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
