//! HTTPListenerPolicies: how HTTP is spoken with clients.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::manifests::{gateway, http_route, loopback_service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A policy of the Gateway that says this.
fn policy(members: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: HTTPListenerPolicy\nmetadata: {{name: main}}\nspec: {{targetRefs: [{{group: \
         gateway.networking.k8s.io, kind: Gateway, name: gw}}], {members}}}\n---\n"
    )
}

/// Reads up to the empty line.
async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}

/// A backend that answers with what it got before the body, and names itself unless it is asked not to. It takes every upgrade, and
/// sends back what comes then.
async fn start_mirror() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(head) = read_head(&mut stream).await {
                    if head.to_ascii_lowercase().contains("upgrade: websocket") {
                        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                        stream.write_all(answer.as_bytes()).await?;
                        let (mut from, mut to) = stream.split();
                        tokio::io::copy(&mut from, &mut to).await?;
                        return Ok(());
                    }
                    let own = if head.contains("/anonymous") { "" } else { "Server: own\r\n" };
                    let answer =
                        format!("HTTP/1.1 200 OK\r\n{own}Content-Length: {}\r\n\r\n{head}", head.len());
                    stream.write_all(answer.as_bytes()).await?;
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}

/// A Gateway with such a backend, and a policy that can be edited.
struct World(Fixture);

impl World {
    async fn start() -> Result<Self> {
        let objects = [
            gateway("gw", "PORT"),
            http_route("r", "a.test", "backendRefs: [{name: main, port: 80}]"),
            loopback_service("main", "TCP", start_mirror().await?),
        ];
        Ok(Self(Fixture::start(&[("all.yaml", &objects.concat())]).await?))
    }

    /// All that comes after these bytes, until the connection is closed.
    async fn exchange(&self, sent: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.0.address()).await?;
        stream.write_all(sent.as_bytes()).await?;
        let mut received = Vec::new();
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut received)).await??;
        Ok(String::from_utf8_lossy(&received).into_owned())
    }

    /// A request for a path with more headers, each with its end of line.
    async fn get(&self, path: &str, headers: &str) -> Result<String> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n"))
            .await
    }

    /// Waits until a request is answered like this with the policy.
    async fn with(&self, members: &str, path: &str, headers: &str, expected: &str) -> Result<()> {
        self.0.save("policy.yaml", &policy(members))?;
        eventually(DEADLINE, || async {
            let answer = self.get(path, headers).await?;
            ensure!(answer.contains(expected), "{members}: no {expected:?} in {answer}");
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_says_about_headers_is_done() -> Result<()> {
    let world = World::start().await?;
    let forwarded = "X-Forwarded-For: 192.0.2.7\r\n";
    let large = format!("x-large: {}\r\n", "a".repeat(40 * 1024));
    for (path, headers, expected) in [
        ("/", forwarded, "x-forwarded-for: 192.0.2.7,"),
        ("/", forwarded, "x-envoy-external-address: 127.0.0.1\r\n"),
        ("/", "X-OwnCase: a\r\n", "x-owncase: a\r\n"),
        ("/", "", "server: own\r\n"),
        ("/healthz", "", "GET /healthz HTTP/1.1"),
    ] {
        let answer = world.get(path, headers).await?;
        assert!(answer.contains(expected), "without a policy: no {expected:?} in {answer}");
    }
    // The proxy answers with 431 and closes before it has read everything, so that the client may see a broken connection alone.
    assert!(!world.get("/", &large).await.unwrap_or_default().starts_with("HTTP/1.1 200 "));
    assert!(
        !world.get("/anonymous", "").await?.contains("server:"),
        "nobody names the proxy without a policy"
    );
    for (members, path, headers, expected) in [
        ("useRemoteAddress: false", "/", forwarded, "x-forwarded-for: 192.0.2.7\r\n"),
        ("xffNumTrustedHops: 1", "/", forwarded, "x-envoy-external-address: 192.0.2.7\r\n"),
        ("preserveHttp1HeaderCase: true", "/", "X-OwnCase: a\r\n", "X-OwnCase: a\r\n"),
        ("serverHeaderTransformation: Overwrite", "/", "", "server: envoy\r\n"),
        ("serverHeaderTransformation: AppendIfAbsent", "/anonymous", "", "server: envoy\r\n"),
        ("serverHeaderTransformation: PassThrough", "/", "", "server: own\r\n"),
        ("maxRequestHeadersKb: 64", "/", &large, "HTTP/1.1 200 "),
    ] {
        world.with(members, path, headers, expected).await?;
    }
    world.0.save("policy.yaml", &policy("serverHeaderTransformation: AppendIfAbsent"))?;
    world.with("serverHeaderTransformation: AppendIfAbsent", "/", "", "server: own\r\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_is_answered_by_the_proxy_itself() -> Result<()> {
    let world = World::start().await?;
    world.with("healthCheck: {path: /healthz}", "/healthz", "", "content-length: 0\r\n").await?;
    // Whatever the host, which no route has.
    let answer =
        world.exchange("GET /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let other = world.get("/healthz/other", "").await?;
    assert!(other.contains("GET /healthz/other HTTP/1.1"), "{other}");
    world.0.envoy("gw")?.post("/healthcheck/fail").await?;
    let answer = world.get("/healthz", "").await?;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_is_taken_where_a_policy_says_so() -> Result<()> {
    let world = World::start().await?;
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert!(world.exchange(old).await?.contains(" 426 "));
    for (members, expected) in [
        ("acceptHttp10: true", " 400 "),
        ("acceptHttp10: true, defaultHostForHttp10: a.test", "host: a.test\r\n"),
        ("acceptHttp10: false, defaultHostForHttp10: a.test", " 426 "),
    ] {
        world.0.save("policy.yaml", &policy(members))?;
        eventually(DEADLINE, || async {
            let answer = world.exchange(old).await?;
            ensure!(answer.contains(expected), "{members}: no {expected:?} in {answer}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_is_closed_after_the_time_of_the_policy() -> Result<()> {
    let world = World::start().await?;
    world.with("idleTimeout: 300ms, serverHeaderTransformation: Overwrite", "/", "", "server: envoy").await?;
    // It is kept open, and would be for 15 minutes without the policy.
    let answer = world.exchange("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_become_websockets_where_a_policy_says_so() -> Result<()> {
    let world = World::start().await?;
    let shake = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let status = || async {
        let mut stream = TcpStream::connect(world.0.address()).await?;
        stream.write_all(shake.as_bytes()).await?;
        let head = read_head(&mut stream).await?;
        if head.starts_with("HTTP/1.1 101 ") {
            stream.write_all(b"hello").await?;
            let mut back = [0; 5];
            tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await??;
            assert_eq!(&back, b"hello");
        }
        anyhow::Ok(head)
    };
    let before = status().await?;
    assert!(before.starts_with("HTTP/1.1 403 "), "{before}");
    world.0.save("policy.yaml", &policy("upgradeConfig: {enabledUpgrades: [websocket]}"))?;
    eventually(DEADLINE, || async {
        let head = status().await?;
        ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Ok(())
    })
    .await
}
