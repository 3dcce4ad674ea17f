//! The stand-in for Gemini, on the node, behind a Service that the provider's DNS name is an alias of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use cluster::{Cluster, Error};
use serde_json::Value;

use crate::{DEADLINE, workspace};

/// The host of the provider.
pub const GEMINI: &str = "generativelanguage.googleapis.com";

/// The name, in the cluster, of the stand-in's Service.
pub(crate) const SERVICE: &str = "gemini.providers.svc.cluster.local";

/// The stand-in as a process in the cluster's network; killed when dropped.
#[derive(Debug)]
pub(crate) struct Provider {
    process: Child,
    records: PathBuf,
}

impl Provider {
    /// Starts it with its files in `folder`; `ca.pem` among them is its authority.
    pub(crate) fn start(cluster: &Cluster, folder: &Path) -> Self {
        let binary = workspace().join("target/debug/mock-provider");
        assert!(binary.is_file(), "{} is missing: run `cargo build --bins`", binary.display());
        let records = folder.join("requests.jsonl");
        let mut command = cluster.inside(&binary);
        command.args(["--listen", "10.89.0.2:8443", "--ca-file"]).arg(folder.join("ca.pem"));
        command.arg("--record").arg(&records).arg("--address-file").arg(folder.join("address"));
        command.stdout(Stdio::null());
        let provider = Self { process: command.spawn().expect("the stand-in starts"), records };
        let is_up = || match folder.join("address").is_file() {
            true => Ok(()),
            false => Err(Error::Unexpected("it is not up yet".to_owned())),
        };
        cluster.wait_until("the stand-in for Gemini", DEADLINE, is_up).expect("the stand-in is up");
        cluster.apply(include_str!("provider.yaml")).expect("its Service");
        provider
    }

    /// What reached it, in order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.records).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The values of a header of a recorded request.
#[must_use]
pub fn header<'a>(request: &'a Value, name: &str) -> Vec<&'a str> {
    let all = request["headers"].as_array().into_iter().flatten();
    all.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}
