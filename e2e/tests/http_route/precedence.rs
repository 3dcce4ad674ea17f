//! Which of several routes and rules takes a request, where more than one could.

use anyhow::Result;
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::http::get;

use super::scene::{Scene, service};

/// Gateway API 1.7: the hostname as the route writes it counts, not what the listener makes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_routes_that_a_listener_narrows_to_one_name_the_one_that_says_it_goes_first() -> Result<()> {
    let (wildcard, exact) = (EchoBackend::start("wildcard").await?, EchoBackend::start("exact").await?);
    let route = |name: &str, hostname: &str, created: &str, path: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, creationTimestamp: \
             \"{created}\"}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: [\"{hostname}\"]\n  rules:\n  - matches: \
             [{{path: {path}}}]\n    backendRefs: [{{name: {name}, port: 80}}]\n"
        )
    };
    let objects = [
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: \
         chancery, listeners: [{name: http, port: PORT, protocol: HTTP, hostname: foo.example.com}]}\n"
            .to_owned(),
        route("wildcard", "*.example.com", "2026-01-01T00:00:00Z", "{type: Exact, value: /a/b}"),
        route("exact", "foo.example.com", "2026-01-02T00:00:00Z", "{value: /a}"),
        route("wildcard-rest", "*.example.com", "2026-01-01T00:00:00Z", "{value: /}"),
        service("wildcard", "", &[wildcard.address().port()]),
        service("wildcard-rest", "", &[wildcard.address().port()]),
        service("exact", "", &[exact.address().port()]),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.join("---\n"))]).await?;
    for (path, backend) in [("/a/b", "exact"), ("/a", "exact"), ("/c", "wildcard")] {
        let answer = get(fixture.address(), "foo.example.com", path).await?;
        assert_eq!(answer.echo()?.identity, backend, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_equal_rules_wins_also_if_its_backend_is_invalid() -> Result<()> {
    let rules = r#"
  - {name: first, matches: [{path: {value: /good}}], backendRefs: [{name: first, port: 80}]}
  - {name: second, matches: [{path: {value: /good}}], backendRefs: [{name: second, port: 80}]}
  - {matches: [{path: {value: /bad}}], backendRefs: [{name: missing, port: 80}]}
  - {matches: [{path: {value: /bad}}], backendRefs: [{name: second, port: 80}]}"#;
    let scene = Scene::start(&["first", "second"], rules).await?;
    assert_eq!(scene.get("/good").await?.echo()?.identity, "first");
    assert_eq!(scene.get("/bad").await?.status, 500);
    Ok(())
}
