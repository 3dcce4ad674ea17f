//! `spec.addresses` of a Gateway, without a cluster: they are bound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::manifests::{http_route, loopback_service};

fn gateway(name: &str, addresses: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  gatewayClassName: \
         chancery\n  addresses: {addresses}\n  listeners: [{{name: http, port: PORT, protocol: HTTP}}]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_found_where_it_asks_to_be_and_says_what_it_cannot_have() -> Result<()> {
    let objects = [
        gateway("asks", "[{value: 127.0.0.2}]"),
        gateway("any", "[]"),
        gateway("name", "[{type: Hostname, value: gw.test}]"),
        gateway("type", "[{type: example.com/fake, value: x}]"),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.join("---\n"))]).await?;
    let asked = (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), fixture.port).into();
    // The port is bound when the proxy has its configuration.
    let answer = eventually(DEADLINE, || get(asked, "a.test", "/")).await?;
    assert_eq!(answer.status, 404);
    for (name, address, condition, reason) in [
        ("asks", Some("127.0.0.2"), "Programmed", "Programmed"),
        ("any", Some("127.0.0.1"), "Programmed", "Programmed"),
        ("name", None, "Programmed", "AddressNotUsable"),
        ("type", None, "Accepted", "UnsupportedAddress"),
    ] {
        let status = fixture.status(&format!("Gateway default/{name}")).await?;
        assert_eq!(status["addresses"][0]["value"].as_str(), address, "{name}: {status:#}");
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let found = conditions.filter(|found| found["type"] == condition).map(|found| &found["reason"]);
        assert_eq!(found.collect::<Vec<_>>(), [reason], "{name}: {status:#}");
    }
    Ok(())
}

/// Clients of both IP families, and a backend that has IPv6 alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ip_families_are_listened_on_and_reached() -> Result<()> {
    let backend = EchoBackend::start_on((Ipv6Addr::LOCALHOST, 0).into(), "six").await?;
    let service = loopback_service("six", "TCP", backend.address().port());
    let service = service.replace("addressType: IPv4", "addressType: IPv6").replace("127.0.0.1", "'::1'");
    let route = http_route("r", "", "backendRefs: [{name: six, port: 80}]");
    for (addresses, arguments, shown) in [
        ("[{value: 127.0.0.1}, {value: '::1'}]", &[][..], &["127.0.0.1", "::1"][..]),
        // Every address is none in particular, and so none is told.
        ("[]", &["--bind", "::"], &[]),
    ] {
        let objects = [gateway("gw", addresses), "---\n".to_owned(), route.clone(), service.clone()].concat();
        let fixture = Fixture::start_with(&[("all.yaml", &objects)], arguments).await?;
        for client in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let answer = eventually(DEADLINE, || get((client, fixture.port).into(), "a.test", "/")).await?;
            assert_eq!(answer.echo()?.identity, "six", "{client} {addresses}");
        }
        let status = fixture.status("Gateway default/gw").await?;
        let told = status["addresses"].as_array().into_iter().flatten().filter_map(|it| it["value"].as_str());
        assert_eq!(told.collect::<Vec<_>>(), shown, "{status:#}");
    }
    Ok(())
}
