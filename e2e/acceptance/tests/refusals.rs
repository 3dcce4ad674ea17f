//! What a proxy refuses reaches the status of its Gateway, whichever replica the proxy is connected to.

use std::net::SocketAddr;

use acceptance::{DEADLINE, SYSTEM, World, XDS_PORT, restricted_namespace};
use e2e::ads_client::{AdsClient, Kind, Protocol};

const NAMESPACE: &str = "refusals";

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: refusals}
spec:
  gatewayClassName: chancery
  listeners: [{name: http, port: 8080, protocol: HTTP}]
";

#[test]
fn what_a_proxy_of_any_replica_refuses_stands_in_the_status_until_it_is_gone() {
    let (world, _guard) = World::shared();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    world.cluster.apply(GATEWAY).expect("the Gateway");
    let _ = world.programmed("web", NAMESPACE);
    let gateway = ["gateway", "web", "-n", NAMESPACE];
    let leader = world.wait_for_leader();
    let replicas = world.control_planes();
    assert!(replicas.len() == 2 && replicas.contains(&leader), "{replicas:?}, {leader}");
    for pod in replicas {
        let address = world.field(&["pod", &pod, "-n", SYSTEM], ".status.podIP");
        let address = SocketAddr::new(address.parse().expect("an IP address"), XDS_PORT);
        let address = world.proxy_identity(NAMESPACE, "web").address(address);
        let refusing = world.network.run(async move {
            let mut client = AdsClient::connect(&address, Protocol::Delta, "refusing").await?;
            client.refuse(Kind::Listener, "too many words", DEADLINE).await?;
            anyhow::Ok(client)
        });
        let refusing = refusing.expect("the replica serves");
        world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "False RejectedByProxy");
        let message = ".status.conditions[?(@.type==\"Programmed\")].message";
        let message = world.field(&gateway, message);
        assert!(message.contains("too many words"), "{message}");
        drop(refusing);
        world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "True Programmed");
        println!("{} heard it", if pod == leader { "the leader" } else { "the other replica" });
    }
}
