//! Listeners with TLS, and the Secrets that they name.

use std::sync::LazyLock;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{a_namespace, mostly};

/// The Secrets of the golden cases.
static CERTIFICATES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(include_str!("../golden/tls/_defaults.yaml")).unwrap();
    let secrets = documents.into_iter().filter(|document| document["kind"] == "Secret");
    secrets.map(|secret| secret["stringData"].clone()).collect()
});

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
pub(super) fn certificate() -> impl Strategy<Value = Value> {
    let which = || 0..CERTIFICATES.len();
    let pair = prop_oneof![4 => which().prop_map(|index| (index, index)), 1 => (which(), which())];
    (a_namespace(), pair).prop_map(|(namespace, (chain, key))| {
        let data =
            json!({"tls.crt": CERTIFICATES[chain]["tls.crt"], "tls.key": CERTIFICATES[key]["tls.key"]});
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "stringData": data,
            "metadata": {"name": "cert", "namespace": namespace}})
    })
}
