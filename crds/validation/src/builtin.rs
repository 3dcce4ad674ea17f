//! The little that is checked of kinds that are built into Kubernetes: they have no CRD, and their rules
//! are code of the API server. Their types and unknown fields are checked when they are decoded.

use crds::KindInfo;
use serde_json::Value;

use crate::violation::{Path, Report};

const SPEC: Path<'_> = Path::Member(&Path::Root, "spec");

/// Checks what would otherwise be served in vain: the name and the ports of a Service, the addresses and ports of an
/// EndpointSlice, the keys of a Secret or a ConfigMap.
pub(crate) fn check(kind: &KindInfo, document: &Value, report: &mut Report) {
    match kind.kind {
        "Service" => service(document, report),
        "EndpointSlice" => endpoint_slice(document, report),
        "Secret" => keys(document, &["data", "stringData"], report),
        "ConfigMap" => keys(document, &["data", "binaryData"], report),
        _ => {}
    }
}

fn service(document: &Value, report: &mut Report) {
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let is_label = name.len() <= 63 && !name.contains('.') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_label {
        let path = Path::Member(&Path::Root, "metadata");
        let rule = "is no name of a Service: a DNS label that begins with a letter, at most 63 characters";
        report.add(&Path::Member(&path, "name"), rule);
    }
    let ports = Path::Member(&SPEC, "ports");
    check_ports(document.pointer("/spec/ports"), &ports, true, report);
}

fn endpoint_slice(document: &Value, report: &mut Report) {
    let family = Path::Member(&Path::Root, "addressType");
    match document.get("addressType").and_then(Value::as_str) {
        None | Some("IPv4" | "IPv6" | "FQDN") => {}
        Some(_) => report.add(&family, "is not one of IPv4, IPv6, FQDN"),
        // Missing, or of another type: decoding says so.
    }
    check_ports(document.get("ports"), &Path::Member(&Path::Root, "ports"), false, report);
}

/// Numbers from 1 to 65535, and names that tell them apart.
fn check_ports(ports: Option<&Value>, path: &Path<'_>, needs_names: bool, report: &mut Report) {
    let ports = ports.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let path = Path::Item(path, index);
        if let Some(number) = port.get("port").and_then(Value::as_i64)
            && !(1..=65535).contains(&number)
        {
            report.add(&Path::Member(&path, "port"), "must be from 1 to 65535");
        }
        let name = |port: &Value| port.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = name(port);
        if needs_names && ports.len() > 1 && own.is_empty() {
            report.add(&Path::Member(&path, "name"), "is required where there are several ports");
        } else if ports.iter().take(index).any(|earlier| name(earlier) == own) {
            report.add(&Path::Member(&path, "name"), "is the name of an earlier port");
        }
    }
}

fn keys(document: &Value, fields: &[&str], report: &mut Report) {
    for field in fields {
        let path = Path::Member(&Path::Root, field);
        let keys = document.get(field).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key);
        for (index, key) in keys.enumerate() {
            let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c));
            if !is_plain || key.is_empty() || key.len() > 253 || key == "." || key.starts_with("..") {
                // The key is not repeated: whoever mixes it up with the value writes the secret there.
                let rule = "has a key that is not allowed: letters, digits, `-`, `_` and `.` only";
                report.add(&Path::Item(&path, index), rule);
            }
        }
    }
}
