//! BackendConfigPolicies: how proxies choose among the endpoints of a backend.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::echo::{DELAY_HEADER, EchoBackend};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{Response, eventually, request, send};
use e2e::manifests::{gateway, http_route, loopback_service, static_backend};
use e2e::provider::TestAuthority;
use http::{Method, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A Gateway with a route to a Service that has two endpoints.
struct World {
    fixture: Fixture,
    backends: [EchoBackend; 2],
}

impl World {
    /// With a BackendConfigPolicy that says this.
    async fn start(members: &str) -> Result<Self> {
        let backends = [EchoBackend::start("left").await?, EchoBackend::start("right").await?];
        let [left, right] = backends.each_ref().map(|backend| backend.address().port());
        let objects = [
            gateway("gw", "PORT"),
            http_route("r", "", "backendRefs: [{name: main, port: 80}]"),
            loopback_service("main", "TCP", left),
            format!(
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: main-2, labels: \
                 {{kubernetes.io/service-name: main}}}}\naddressType: IPv4\nports: [{{port: {right}, protocol: TCP}}]\nendpoints: \
                 [{{addresses: [127.0.0.1]}}]\n---\n"
            ),
            policy(members),
        ];
        Ok(Self { fixture: Fixture::start(&[("all.yaml", &objects.concat())]).await?, backends })
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Result<Response> {
        send(self.fixture.address(), request(Method::GET, "a.test", "/", headers, "".into())?).await
    }

    /// Which backend answers.
    async fn identity(&self, headers: &[(&str, &str)]) -> Result<String> {
        Ok(self.get(headers).await?.echo()?.identity)
    }
}

fn policy(members: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: BackendConfigPolicy\nmetadata: {{name: main}}\nspec: {{targetRefs: [{{group: '', \
         kind: Service, name: main}}], {members}}}\n---\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_the_same_key_go_to_the_same_endpoint() -> Result<()> {
    for table in ["ringHash", "maglev"] {
        let keys = "[{header: {name: x-user}, terminal: true}, {cookie: {name: stay, path: /, ttl: 1h, httpOnly: true}}]";
        let world = World::start(&format!("loadBalancer: {{{table}: {{hashPolicies: {keys}}}}}")).await?;
        let mut all = BTreeSet::new();
        for user in 0..24 {
            let user = format!("user-{user}");
            let first = world.identity(&[("x-user", &user)]).await?;
            for _ in 0..3 {
                assert_eq!(world.identity(&[("x-user", &user)]).await?, first, "{table} {user}");
            }
            all.insert(first);
        }
        assert_eq!(all.len(), 2, "{table}: both endpoints are used");
        // Who has no cookie is given one, and stays where it led.
        let first = world.get(&[]).await?;
        let cookie = first.header("set-cookie").unwrap_or_default().to_owned();
        assert!(
            cookie.starts_with("stay=") && cookie.contains("HttpOnly") && cookie.contains("Max-Age=3600"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap_or_default();
        let identity = first.echo()?.identity;
        for _ in 0..6 {
            assert_eq!(world.identity(&[("cookie", pair)]).await?, identity, "{table}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_gets_no_requests() -> Result<()> {
    for members in [
        "outlierDetection: {consecutive5xx: 2, interval: 100ms, baseEjectionTime: 5m, maxEjectionPercent: 50}",
        "healthCheck: {timeout: 1s, interval: 100ms, unhealthyThreshold: 2, healthyThreshold: 1, http: {path: /healthz}}",
    ] {
        let world = World::start(members).await?;
        world.backends[1].fail_every(NonZeroU64::MIN, StatusCode::SERVICE_UNAVAILABLE);
        eventually(DEADLINE, || async {
            for _ in 0..20 {
                let answer = world.get(&[]).await?;
                ensure!(answer.status == 200, "{members}: {}", answer.status);
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_beyond_a_circuit_breaker_is_refused_and_a_policy_can_be_edited() -> Result<()> {
    let world = World::start("circuitBreakers: {maxRequests: 1}").await?;
    let slow = [(DELAY_HEADER, "1500")];
    let (first, second) = tokio::try_join!(world.get(&slow), world.get(&slow))?;
    let statuses = BTreeSet::from([first.status, second.status]);
    assert_eq!(statuses, BTreeSet::from([200, 503]));

    // A second one, that is younger by its name, has no effect; the status says so.
    let second = policy("connectTimeout: 1s").replace("metadata: {name: main}", "metadata: {name: second}");
    world.fixture.save("policy.yaml", &second)?;
    let told = world
        .fixture
        .told("BackendConfigPolicy default/second", "/ancestors/0/conditions", "Accepted", "Conflicted")
        .await?;
    assert!(told.contains("BackendConfigPolicy default/main"), "{told}");
    Ok(())
}

/// Each way of choosing an endpoint uses both; one after the other does so evenly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_choosing_endpoints_uses_all() -> Result<()> {
    for way in ["leastRequest: {choiceCount: 3}", "roundRobin: {slowStart: {window: 1s}}", "random: {}"] {
        let world = World::start(&format!("loadBalancer: {{{way}}}")).await?;
        for _ in 0..40 {
            world.identity(&[]).await?;
        }
        let served = world.backends.each_ref().map(EchoBackend::served);
        assert!(served.iter().all(|served| *served >= 8), "{way}: {served:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_takes_no_longer_than_its_policy_says() -> Result<()> {
    let world = World::start("commonHttpProtocolOptions: {maxStreamDuration: 300ms}").await?;
    assert_eq!(world.get(&[(DELAY_HEADER, "1")]).await?.status, 200);
    let before = Instant::now();
    let answer = world.get(&[(DELAY_HEADER, "20000")]).await?;
    assert!(answer.status >= 500, "{}", answer.status);
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    Ok(())
}

/// A route to a backend of the test's own, at this port, and a policy for it.
pub(super) async fn raw(port: u16, members: &str) -> Result<Fixture> {
    let objects = [
        gateway("gw", "PORT"),
        http_route("r", "", "backendRefs: [{name: main, port: 80}]"),
        loopback_service("main", "TCP", port),
        policy(members),
    ];
    Fixture::start(&[("all.yaml", &objects.concat())]).await
}

/// Reads a request without a body.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// A backend that writes names of headers in its own case and sends a trailer, and counts connections and requests: it tells both in
/// each answer.
async fn start_old_backend() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((stream, _)) = listener.accept().await {
            connections += 1;
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Ok(Some(_)) = read_head(&mut stream).await {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nX-Own-Case: {connections}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n2\r\nok\r\n0\r\n\
                         X-Late: yes\r\n\r\n"
                    );
                    stream.get_mut().write_all(answer.as_bytes()).await?;
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}

/// Everything that comes to a client of HTTP/1.1.
async fn ask(fixture: &Fixture) -> Result<String> {
    let mut stream = TcpStream::connect(fixture.address()).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_headers_keep_their_case_and_connections_get_as_many_requests_as_they_may() -> Result<()> {
    let port = start_old_backend().await?;
    let members = "http1ProtocolOptions: {preserveHttp1HeaderCase: true, enableTrailers: true}, commonHttpProtocolOptions: \
                   {maxRequestsPerConnection: 2}";
    let fixture = raw(port, members).await?;
    let mut connections = BTreeSet::new();
    for _ in 0..6 {
        let answer = ask(&fixture).await?;
        let own = answer.lines().find_map(|line| line.strip_prefix("X-Own-Case: "));
        connections.insert(own.unwrap_or_else(|| panic!("no header in its own case: {answer}")).to_owned());
    }
    // Envoy may have more than one worker, so that there may be more connections, but none has three of six.
    assert!(connections.len() >= 3, "{connections:?}");
    fixture.save("all.yaml", &fixture.read("all.yaml")?.replace("preserveHttp1HeaderCase: true, ", ""))?;
    eventually(DEADLINE, || async {
        let answer = ask(&fixture).await?;
        ensure!(answer.contains("x-own-case: "), "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_has_as_many_streams_of_http2_as_its_policy_says() -> Result<()> {
    let backend = EchoBackend::start("main").await?;
    let mut objects = [
        gateway("gw", "PORT"),
        http_route("r", "", "backendRefs: [{name: main, port: 80}]"),
        loopback_service("main", "TCP", backend.address().port())
            .replace("protocol: TCP}]}\n", "protocol: TCP, appProtocol: kubernetes.io/h2c}]}\n"),
        policy("http2ProtocolOptions: {maxConcurrentStreams: 1}, circuitBreakers: {maxConnections: 1}"),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    let get = |delay: &'static str| {
        let headers = [(DELAY_HEADER, delay)];
        let request = request(Method::GET, "a.test", "/", &headers, "".into());
        async { send(fixture.address(), request?).await }
    };
    // Each of Envoy's workers, of which there may be two here, has a connection of its own.
    let six =
        || async { tokio::try_join!(get("300"), get("300"), get("300"), get("300"), get("300"), get("300")) };
    let before = Instant::now();
    let answers = six().await?;
    assert_eq!(answers.0.echo()?.protocol, "HTTP/2.0");
    assert!(before.elapsed() >= Duration::from_millis(900), "one after the other: {:?}", before.elapsed());
    // With more of them all are under way at once.
    objects[3] =
        policy("http2ProtocolOptions: {maxConcurrentStreams: 10}, circuitBreakers: {maxConnections: 1}");
    fixture.save("all.yaml", &objects.concat())?;
    eventually(DEADLINE, || async {
        let before = Instant::now();
        six().await?;
        ensure!(before.elapsed() < Duration::from_millis(900), "{:?}", before.elapsed());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_not_come_is_given_up() -> Result<()> {
    // Nobody accepts here, and the queue of the kernel is full.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(0)?;
    let address = listener.local_addr()?;
    let _held: Vec<_> =
        (0..8).map(|_| tokio::spawn(async move { TcpStream::connect(address).await })).collect();
    let fixture = raw(address.port(), "connectTimeout: 200ms").await?;
    let before = Instant::now();
    let answer = send(fixture.address(), request(Method::GET, "a.test", "/", &[], "".into())?).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    // 5 s without the policy, for each of the attempts that Gateway API leaves to us.
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_is_reached_by_tls_with_the_name_that_its_policy_says() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let file = tempfile::NamedTempFile::new()?;
    authority.write_certificate(file.path())?;
    let backend =
        EchoBackend::start_tls("main", authority.server_config(&["main.test", "other.test"])?).await?;
    let recording = backend.record();
    let of_backend = |members: &str| {
        policy(members).replace("{group: '', kind: Service,", "{group: gateway.kgateway.dev, kind: Backend,")
    };
    let objects = [
        gateway("gw", "PORT"),
        http_route("r", "", "backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: main}]"),
        static_backend("main", backend.address()),
    ];
    let objects = objects.concat();
    let system = "tls: {wellKnownCACertificates: System, sni";
    let fixture = Fixture::start_with(
        &[("all.yaml", &objects), ("policy.yaml", &of_backend(&format!("{system}: main.test}}")))],
        &["--upstream-ca", &file.path().to_string_lossy()],
    )
    .await?;
    for (members, expected) in [
        (format!("{system}: main.test}}"), 200),
        (format!("{system}: wrong.test}}"), 503),
        (format!("{system}: asked.test, verifySubjectAltNames: [other.test]}}"), 200),
        (format!("{system}: main.test, verifySubjectAltNames: [wrong.test]}}"), 503),
        (format!("{system}: main.test, insecureSkipVerify: true}}"), 500),
    ] {
        fixture.save("policy.yaml", &of_backend(&members))?;
        eventually(DEADLINE, || async {
            let answer =
                send(fixture.address(), request(Method::GET, "a.test", "/", &[], "".into())?).await?;
            ensure!(answer.status == expected, "{members}: {}", answer.status);
            Ok(())
        })
        .await?;
        if members.contains("asked.test") {
            assert_eq!(recording.last().unwrap().sni.as_deref(), Some("asked.test"));
        }
    }
    Ok(())
}
