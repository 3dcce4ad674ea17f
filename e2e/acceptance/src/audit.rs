//! Who wrote what: the API server's audit log.

use std::fs;

use cluster::Cluster;
use serde_json::Value;

use crate::{RELEASE, SYSTEM};

/// What asks about tokens and rights is a write by its verb alone.
const REVIEWS: [&str; 2] = ["tokenreviews", "subjectaccessreviews"];

/// A write of the control plane's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Such as `patch`.
    pub verb: String,
    /// The plural of the kind, with the subresource if it was one: `gateways/status`.
    pub resource: String,
    /// The namespace; empty for none.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// When it came.
    pub time: String,
}

/// All writes of the control plane's in a namespace until now, in order, also those that changed nothing.
///
/// # Panics
/// The log cannot be read.
#[must_use]
pub fn writes_of_chancery(cluster: &Cluster, namespace: &str) -> Vec<Write> {
    let entries = entries(cluster);
    let ours = entries.iter().filter(|entry| is_write_of_chancery(entry));
    ours.map(write).filter(|write| write.namespace == namespace).collect()
}

/// Every write of anybody's until now, in order, as the log has it; but for leases and events, which it does not
/// have.
///
/// # Panics
/// The log cannot be read.
#[must_use]
pub fn entries(cluster: &Cluster) -> Vec<Value> {
    let log = fs::read_to_string(cluster.logs().join("audit.log")).expect("the audit log");
    // The last line may still be in the making.
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| entry["stage"] == "ResponseComplete").collect()
}

/// Whether an entry is a write of the control plane's that could change something.
#[must_use]
pub fn is_write_of_chancery(entry: &Value) -> bool {
    let user = format!("system:serviceaccount:{SYSTEM}:{RELEASE}");
    let resource = entry["objectRef"]["resource"].as_str().unwrap_or_default();
    entry["user"]["username"] == user && !REVIEWS.contains(&resource)
}

fn write(entry: &Value) -> Write {
    let of = |field: &str| entry["objectRef"][field].as_str().unwrap_or_default().to_owned();
    let resource = match of("subresource") {
        none if none.is_empty() => of("resource"),
        subresource => format!("{}/{subresource}", of("resource")),
    };
    Write {
        verb: entry["verb"].as_str().unwrap_or_default().to_owned(),
        resource,
        namespace: of("namespace"),
        name: of("name"),
        time: entry["requestReceivedTimestamp"].as_str().unwrap_or_default().to_owned(),
    }
}
