//! Members of TrafficPolicy and RouteOption that Envoy carries out by itself, seen from the client and from the backend.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::{DELAY_HEADER, EchoBackend, STATUS_HEADER};
use e2e::fixture::DEADLINE;
use e2e::http::{Response, eventually, request, send};
use e2e::manifests::static_backend;
use http::Method;

use super::scene::{Scene, route};

/// A TrafficPolicy with a target and members.
fn policy(name: &str, target: &str, members: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, {target}}}]\n{members}\n"
    )
}

const TO_GATEWAY: &str = "kind: Gateway, name: gw";
const TO_ROUTE: &str = "kind: HTTPRoute, name: route";

/// Rules of which the first two have names and paths, for one backend.
const RULES: &str = r#"
  - name: first
    matches: [{path: {value: /first}}]
    backendRefs: [{name: main, port: 80}]
  - name: second
    matches: [{path: {value: /second}}]
    backendRefs: [{name: main, port: 80}]
  - backendRefs: [{name: main, port: 80}]"#;

impl Scene {
    /// Puts policies beside the rest, and waits until the first one is in effect.
    async fn apply(&self, policies: &str, first: &str) -> Result<()> {
        self.fixture.save("policies.yaml", policies)?;
        self.fixture.told(first, "/ancestors/0/conditions", "Accepted", "Accepted").await?;
        Ok(())
    }

    /// What the proxy has counted about its listeners.
    async fn listeners(&self) -> Result<String> {
        Ok(self.fixture.envoy("gw")?.get("/stats?filter=listener_manager").await?.text())
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        let body = Bytes::copy_from_slice(body);
        send(self.fixture.address(), request(Method::POST, "a.test", path, headers, body)?).await
    }

    /// Asks until the answer has this status: a policy that is new has reached the proxy then.
    async fn until(&self, path: &str, headers: &[(&str, &str)], status: u16) -> Result<Response> {
        eventually(DEADLINE, || async {
            let answer = self.ask(Method::GET, path, headers).await?;
            ensure!(answer.status == status, "{path}: {}", answer.status);
            Ok(answer)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_counts_the_requests_of_its_target_and_is_not_filled_by_edits() -> Result<()> {
    let scene = Scene::start(&["main"], RULES).await?;
    let listeners = scene.listeners().await?;
    let cors = "  cors: {allowOrigins: [\"https://a.com\"]}\n";
    let limit = "  rateLimit: {local: {tokenBucket: {maxTokens: 3, fillInterval: 24h}}}";
    let free =
        policy("free", "kind: HTTPRoute, name: route, sectionName: second", "  rateLimit: {local: {}}");
    scene
        .apply(&(policy("limit", TO_ROUTE, &format!("{cors}{limit}")) + &free), "TrafficPolicy default/limit")
        .await?;
    // Whatever the rule, the path and the origin: the three tokens are those of the route. Before the limit has reached
    // the proxy, more may pass.
    let mut answers = Vec::new();
    eventually(DEADLINE, || async {
        let answer = scene.ask(Method::GET, "/first", &[("origin", "https://a.com")]).await?;
        ensure!(answer.status == 429, "{}", answer.status);
        Ok(())
    })
    .await?;
    for (path, origin) in [("/first", "https://b.com"), ("/else", "https://a.com"), ("/else", "")] {
        let headers = [("origin", origin)];
        let answer = scene.ask(Method::GET, path, if origin.is_empty() { &[] } else { &headers }).await?;
        answers.push((answer.status, answer.header("retry-after").is_some()));
    }
    assert_eq!(answers, [(429, true); 3]);
    assert_eq!(scene.get("/second").await?.status, 200, "a rule may take the limit back");
    // Another edit replaces the route table, and the bucket is as empty as before.
    scene.fixture.save(
        "more.yaml",
        &route(
            "more",
            "",
            "  - matches: [{path: {value: /more}}]\n    backendRefs: [{name: main, port: 80}]",
        ),
    )?;
    scene.until("/more", &[], 200).await?;
    assert_eq!(scene.get("/first").await?.status, 429);
    // A Gateway's limit counts those of all its routes together.
    let gateway =
        policy("all", TO_GATEWAY, "  rateLimit: {local: {tokenBucket: {maxTokens: 2, fillInterval: 24h}}}");
    scene.apply(&gateway, "TrafficPolicy default/all").await?;
    scene.until("/more", &[], 429).await?;
    assert_eq!(scene.get("/first").await?.status, 429);
    // Without policies there is no limit.
    scene.fixture.delete("policies.yaml")?;
    scene.until("/first", &[], 200).await?;
    assert_eq!(scene.listeners().await?, listeners, "no listener has changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_burst_passes() -> Result<()> {
    let limit = policy(
        "limit",
        TO_ROUTE,
        "  rateLimit: {local: {tokenBucket: {maxTokens: 3, tokensPerFill: 3, fillInterval: 24h}}}",
    );
    let scene = Scene::start_beside(&["main"], RULES, &limit).await?;
    let mut statuses = Vec::new();
    for path in ["/first", "/second", "/else", "/first", "/second"] {
        statuses.push(scene.get(path).await?.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(scene.backends[0].served(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_limits_and_retries_of_a_policy_yield_to_those_of_a_rule() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /own}}]
    timeouts: {request: 20s}
    retry: {codes: [503]}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /fast}}]
    backendRefs: [{name: main, port: 80}]"#;
    let members =
        "  timeouts: {request: 600ms}\n  retry: {statusCodes: [500], attempts: 2, backoffBaseInterval: 1ms}";
    let scene = Scene::start_beside(&["main"], rules, &policy("p", TO_GATEWAY, members)).await?;
    let slow = [(DELAY_HEADER, "1500")];
    let start = Instant::now();
    assert_eq!(scene.ask(Method::GET, "/fast", &slow).await?.status, 504);
    assert!(start.elapsed() < Duration::from_millis(1400), "{:?}", start.elapsed());
    assert_eq!(scene.ask(Method::GET, "/own", &slow).await?.status, 200);
    let failing = [(STATUS_HEADER, "500")];
    for (path, attempts) in [("/fast", 3), ("/own", 1)] {
        let before = scene.backends[0].served();
        assert_eq!(scene.ask(Method::GET, path, &failing).await?.status, 500);
        assert_eq!(scene.backends[0].served() - before, attempts, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_be_silent_as_long_as_a_policy_says() -> Result<()> {
    let policies = policy(
        "p",
        "kind: HTTPRoute, name: route, sectionName: first",
        "  timeouts: {request: 0s, streamIdle: 500ms}",
    );
    let scene = Scene::start_beside(&["main"], RULES, &policies).await?;
    let slow = [(DELAY_HEADER, "1500")];
    assert_eq!(scene.ask(Method::GET, "/first", &slow).await?.status, 504);
    assert_eq!(scene.ask(Method::GET, "/second", &slow).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_headers_and_cors_of_a_policy_come_before_those_of_a_rule() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /own}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-tier, value: rule}]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-from, value: rule}]}}
    - {type: CORS, cors: {allowOrigins: ["https://rule.com"]}}
    backendRefs: [{name: main, port: 80}]
  - backendRefs: [{name: main, port: 80}]"#;
    let members = r#"  headerModifiers:
    request: {set: [{name: x-tier, value: policy}, {name: Host, value: inside.test}], remove: [x-debug]}
    response: {set: [{name: x-from, value: policy}], add: [{name: x-more, value: "1"}]}
  cors: {allowOrigins: ["https://policy.com"]}"#;
    let scene = Scene::start_beside(&["main"], rules, &policy("p", TO_GATEWAY, members)).await?;
    for (path, tier, origin) in [("/own", "rule", "https://rule.com"), ("/", "policy", "https://policy.com")]
    {
        let headers = [("x-tier", "client"), ("x-debug", "1"), ("origin", origin)];
        let answer = scene.ask(Method::GET, path, &headers).await?;
        let echo = answer.echo()?;
        assert_eq!(echo.headers.get("x-tier"), Some(&vec![tier.to_owned()]), "{path}");
        assert_eq!(
            (echo.host.as_str(), echo.headers.contains_key("x-debug")),
            ("inside.test", false),
            "{path}"
        );
        assert_eq!((answer.header("x-from"), answer.header("x-more")), (Some(tier), Some("1")), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_from_pages_of_other_origins_are_refused() -> Result<()> {
    let members = "  csrf: {additionalOrigins: [{suffix: .friend.test}]}";
    let shadow = policy(
        "shadow",
        "kind: HTTPRoute, name: route, sectionName: first",
        "  csrf: {percentageShadowed: 100}",
    );
    let scene = Scene::start_beside(&["main"], RULES, &(policy("p", TO_GATEWAY, members) + &shadow)).await?;
    for (path, origin, status) in [
        ("/", "http://a.test", 200),
        ("/", "https://x.friend.test", 200),
        ("/", "https://evil.test", 403),
        ("/second", "https://evil.test", 403),
        ("/first", "https://evil.test", 200),
    ] {
        let answer = scene.post(path, &[("origin", origin)], b"").await?;
        assert_eq!(answer.status, status, "{path} {origin}");
    }
    let evil = [("origin", "https://evil.test")];
    assert_eq!(scene.ask(Method::GET, "/", &evil).await?.status, 200, "it changes nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_of_a_backend_is_sent() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /own}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: own.test}}]
    backendRefs: [{name: named, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /service}}]
    backendRefs: [{name: main, port: 80}]
  - backendRefs: [{name: named, group: gateway.kgateway.dev, kind: Backend}]"#;
    let echo = EchoBackend::start("named").await?;
    let backend = static_backend("named", echo.address()).replace("127.0.0.1", "localhost");
    let policies =
        policy("p", TO_ROUTE, "  autoHostRewrite: true") + "---\n" + backend.trim_end_matches("---\n");
    let scene = Scene::start_beside(&["main"], rules, &policies).await?;
    for (path, host) in [("/", "localhost"), ("/own", "own.test"), ("/service", "a.test")] {
        let answer = scene.until(path, &[], 200).await?;
        assert_eq!(answer.echo()?.host, host, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_limited() -> Result<()> {
    // With retries, Envoy keeps the body for the next attempt, which has a limit of its own.
    let members = "  buffer: {maxRequestSize: 64Ki}\n  retry: {statusCodes: [500]}";
    let off = policy("free", "kind: HTTPRoute, name: route, sectionName: first", "  buffer: {disable: {}}");
    let large = policy(
        "large",
        "kind: HTTPRoute, name: route, sectionName: second",
        "  buffer: {maxRequestSize: 3Mi}",
    );
    let scene =
        Scene::start_beside(&["main"], RULES, &(policy("p", TO_GATEWAY, members) + &off + &large)).await?;
    for (path, size, status) in [
        ("/", 65536, 200),
        ("/", 65537, 413),
        ("/first", 65537, 200),
        ("/first", 2_000_000, 200),
        ("/second", 2_000_000, 200),
        ("/second", 3_500_000, 413),
    ] {
        let answer = scene.post(path, &[], &vec![b'a'; size]).await?;
        assert_eq!(answer.status, status, "{path} {size}");
    }
    Ok(())
}
