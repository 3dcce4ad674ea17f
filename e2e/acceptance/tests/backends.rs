//! Backends in a network with both IP families, and the pods of an XBackend.

use std::net::{IpAddr, SocketAddr};

use acceptance::{DEADLINE, EchoGateway, Setup, World};
use cluster::Error;
use e2e::http::{eventually, get};
use serde_json::{Value, json};

const NAMESPACE: &str = "dual";

/// A Service that has IPv6 alone, and an XBackend, each under a host of its own. The pods are those of the echo server.
const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: six, namespace: dual}
spec:
  ipFamilies: [IPv6]
  selector: {app: echo}
  ports: [{port: 80, targetPort: 3000}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: six, namespace: dual}
spec:
  parentRefs: [{name: echo-gateway}]
  hostnames: [six.example.com]
  rules: [{backendRefs: [{name: six, port: 80}]}]
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pods, namespace: dual}
spec:
  type: EndpointSelector
  endpointSelector: {matchLabels: {app: echo}}
  port: {number: 3000}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pods, namespace: dual}
spec:
  parentRefs: [{name: echo-gateway}]
  hostnames: [pods.example.com]
  rules: [{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: pods}]}]
";

/// XBackend as Gateway API 1.7 has it, from the schema that files are held to. The cluster has that of 1.6.
fn definition_of_1_7() -> String {
    let file = include_str!("../../../crds/validation/gateway-api/xbackends.json");
    let file: Value = serde_json::from_str(file).expect("a schema");
    let version = &file["versions"][0];
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "xbackends.gateway.networking.x-k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/5371"},
        },
        "spec": {
            "group": "gateway.networking.x-k8s.io", "scope": "Namespaced",
            "names": {"kind": "XBackend", "listKind": "XBackendList", "plural": "xbackends", "singular": "xbackend"},
            "versions": [{
                "name": version["name"], "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": version["schema"]},
            }],
        },
    })
    .to_string()
}

/// Waits until a request for a host has this status.
fn answers(world: &World, address: IpAddr, host: &str, wanted: u16) {
    let (socket, host) = (SocketAddr::new(address, 8080), host.to_owned());
    world.network.run(async move {
        let asked = || async {
            let status = get(socket, &host, "/").await?.status;
            anyhow::ensure!(status == wanted, "{host} at {socket}: {status}");
            anyhow::Ok(())
        };
        eventually(DEADLINE, asked).await.expect("the answer");
    });
}

/// The Services that are kept for the XBackend, as JSON.
fn kept(world: &World) -> Vec<Value> {
    let arguments = ["get", "services", "-n", NAMESPACE, "-l", "chancery.dev/xbackend=pods", "-o", "json"];
    let list = world.cluster.kubectl(&arguments).expect("the Services");
    let list: Value = serde_json::from_str(&list).expect("a list");
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_network_with_both_ip_families_and_the_pods_of_an_x_backend() {
    let world = World::start(&Setup { dual_stack: true, install: false, ..Setup::default() });
    let _guard = world.cluster.keep_logs_on_panic();
    // Before there is a control plane: while a definition is replaced, a watch may show objects as the old one has them.
    world.cluster.apply(&definition_of_1_7()).expect("the definition");
    world.prepare();
    world.helm("install", &[]);
    let gateway = EchoGateway::new(NAMESPACE);
    gateway.deploy_backend(&world);
    let first = gateway.deploy_gateway(&world);

    // The Gateway has an address of each family, and answers at both.
    let object = ["gateway", "echo-gateway", "-n", NAMESPACE];
    let addresses = world.field(&object, ".status.addresses[*].value");
    let addresses: Vec<IpAddr> = addresses.split(' ').map(|ip| ip.parse().expect("an address")).collect();
    let [v4, v6] = addresses[..] else { panic!("{addresses:?}") };
    assert_eq!((v4.to_string(), v6.is_ipv6()), (first, true));
    let policy = world.field(&["service", "echo-gateway", "-n", NAMESPACE], ".spec.ipFamilyPolicy");
    assert_eq!(policy, "PreferDualStack");
    for address in [v4, v6] {
        answers(&world, address, EchoGateway::HOST, 200);
    }

    // A backend that has IPv6 alone, and pods by their labels.
    world.cluster.apply(OBJECTS).expect("the objects");
    answers(&world, v4, "six.example.com", 200);
    answers(&world, v6, "pods.example.com", 200);
    let x_backend = ["xbackend", "pods", "-n", NAMESPACE];
    world.wait_for_condition(&x_backend, ".status.ancestors[0].conditions", "Accepted", "True Accepted");
    let services = kept(&world);
    let [service] = &services[..] else { panic!("one Service is kept: {services:#?}") };
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["metadata"]["ownerReferences"][0]["name"], "pods");
    // Other labels, which no pod has.
    let patch = |labels: &str| {
        let patch = format!(r#"{{"spec":{{"endpointSelector":{{"matchLabels":{labels}}}}}}}"#);
        let arguments = ["patch", "xbackend", "pods", "-n", NAMESPACE, "--type=merge", "-p", &patch];
        world.cluster.kubectl(&arguments).expect("the patch");
    };
    patch(r#"{"app":"nobody"}"#);
    answers(&world, v4, "pods.example.com", 503);
    patch(r#"{"app":"echo"}"#);
    answers(&world, v4, "pods.example.com", 200);
    assert_eq!(kept(&world).len(), 1, "the Service is changed, not made anew");
    // Nobody needs it any more.
    world.cluster.kubectl(&["delete", "httproute", "pods", "-n", NAMESPACE]).expect("deleted");
    let gone = || match kept(&world).as_slice() {
        [] => Ok(()),
        kept => Err(Error::Unexpected(format!("{kept:?}"))),
    };
    world.cluster.wait_until("no Service is kept", DEADLINE, gone).expect("gone");
}
