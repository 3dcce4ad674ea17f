//! Listeners with TLS, and the Secrets that they name.

use std::sync::LazyLock;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{GATEWAY_API, a_backend, a_namespace, document, mostly};

/// The Secrets of the golden cases.
static CERTIFICATES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(include_str!("../golden/tls/_defaults.yaml")).unwrap();
    let secrets = documents.into_iter().filter(|document| document["kind"] == "Secret");
    secrets.map(|secret| secret["stringData"].clone()).collect()
});

/// An object that has to do with TLS.
pub(super) fn object() -> impl Strategy<Value = Value> {
    prop_oneof![certificate(), authorities(), policy(), x_backend()]
}

/// `spec.tls` of a Gateway.
pub(super) fn of_gateway() -> impl Strategy<Value = Value> {
    let client = option::of(a_namespace())
        .prop_map(|namespace| json!({"clientCertificateRef": {"name": "cert", "namespace": namespace}}));
    let validation = || {
        let mode = option::of(mostly(&["AllowValidOnly"], &["AllowInsecureFallback"]));
        (mostly(&["ConfigMap"], &["Secret"]), a_namespace(), mode).prop_map(|(kind, namespace, mode)| {
            let references = json!([{"group": "", "kind": kind, "name": "ca", "namespace": namespace}]);
            json!({"validation": {"caCertificateRefs": references, "mode": mode}})
        })
    };
    let per_port =
        option::of(validation()).prop_map(|tls| json!([{"port": 8443, "tls": tls.unwrap_or(json!({}))}]));
    let frontend = (option::of(validation()), option::of(per_port)).prop_map(
        |(default, per_port)| json!({"default": default.unwrap_or(json!({})), "perPort": per_port}),
    );
    (option::of(client), option::of(frontend))
        .prop_map(|(backend, frontend)| json!({"backend": backend, "frontend": frontend}))
}

/// A ConfigMap with certificate authorities, or with something else.
fn authorities() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        4 => (0..CERTIFICATES.len()).prop_map(|index| CERTIFICATES[index]["tls.crt"].clone()),
        1 => Just(json!("Hello world")),
    ];
    (a_namespace(), text).prop_map(|(namespace, text)| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": text},
            "metadata": {"name": "ca", "namespace": namespace}})
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let name = mostly(&["one", "two", "three"], &["four"]);
    let section = option::of(mostly(&["http"], &["wrong"]));
    let created = option::of(mostly(&["2026-01-01T00:00:00Z"], &["2026-02-02T00:00:00Z"]));
    (name, a_namespace(), a_backend(), section, created, trust()).prop_map(
        |(name, namespace, service, section, created, mut validation)| {
            validation["hostname"] = json!("secure.example.com");
            let target = json!({"group": "", "kind": "Service", "name": service, "sectionName": section});
            let metadata = json!({"name": name, "namespace": namespace, "creationTimestamp": created});
            let spec = json!({"targetRefs": [target], "validation": validation});
            document(GATEWAY_API, "BackendTLSPolicy", metadata, spec)
        },
    )
}

/// Whom a backend's certificate must come from.
fn trust() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(json!({"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]})),
        1 => Just(json!({"wellKnownCACertificates": "System"})),
    ]
}

/// An XBackend of either type, often with TLS.
fn x_backend() -> impl Strategy<Value = Value> {
    let place = prop_oneof![
        mostly(&["api.example.com"], &["127.1"])
            .prop_map(|host| { json!({"type": "ExternalHostname", "externalHostname": {"hostname": host}}) }),
        mostly(&["a"], &["b"]).prop_map(|app| {
            json!({"type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": app}}})
        }),
    ];
    let mode = option::of(mostly(&["ServerOnly", "ClientAndServer"], &["None"]));
    let protocol = option::of(select(vec!["HTTP", "HTTP2", "HTTP11", "H2C", "GRPC", "MCP", "TCP", "WSS"]));
    (a_backend(), a_namespace(), place, mode, protocol, trust(), a_namespace()).prop_map(
        |(name, namespace, mut spec, mode, protocol, mut validation, secret_namespace)| {
            validation["hostname"] = json!("secure.example.com");
            spec["port"] = json!({"number": 443});
            spec["protocol"] = json!(protocol);
            let reference = json!({"name": "cert", "namespace": secret_namespace});
            spec["tls"] = mode.map_or(
                Value::Null,
                |mode| json!({"mode": mode, "validation": validation, "clientCertificateRef": reference}),
            );
            let metadata = json!({"name": name, "namespace": namespace, "uid": format!("uid-of-{name}")});
            document("gateway.networking.x-k8s.io/v1alpha1", "XBackend", metadata, spec)
        },
    )
}

/// Port, protocol and `tls` of a listener.
pub(super) fn protocol() -> impl Strategy<Value = (i32, String, Option<Value>)> {
    let port = prop_oneof![8 => select(vec![1443, 8443]), 1 => Just(8080)];
    let mode = option::of(mostly(&["Terminate"], &["Passthrough"]));
    (port, mostly(&["HTTPS"], &["TLS"]), mode, a_namespace()).prop_map(|(port, protocol, mode, namespace)| {
        let references = json!([{"name": "cert", "namespace": namespace}]);
        (port, protocol, Some(json!({"mode": mode, "certificateRefs": references})))
    })
}

/// A Secret with a certificate; sometimes with the key of another.
fn certificate() -> impl Strategy<Value = Value> {
    let which = || 0..CERTIFICATES.len();
    let pair = prop_oneof![4 => which().prop_map(|index| (index, index)), 1 => (which(), which())];
    (a_namespace(), pair).prop_map(|(namespace, (chain, key))| {
        let data =
            json!({"tls.crt": CERTIFICATES[chain]["tls.crt"], "tls.key": CERTIFICATES[key]["tls.key"]});
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "stringData": data,
            "metadata": {"name": "cert", "namespace": namespace}})
    })
}
