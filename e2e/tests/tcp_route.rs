//! TCPRoute in a real Envoy: connections by weight, to the oldest route, and what an edit does to those that are open.

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::l4::{LineBackend, Lines, say};
use e2e::manifests::{self, authorities, backend_tls_policy, gateway_with, loopback_service};
use e2e::provider::TestAuthority;

fn gateway() -> String {
    gateway_with("gw", "", &["{name: tcp, port: PORT, protocol: TCP}".to_owned()])
}

struct World {
    fixture: Fixture,
    _backends: [LineBackend; 2],
}

impl World {
    async fn start(routes: &[&str]) -> Result<Self> {
        let backends =
            [LineBackend::connections("one", None).await?, LineBackend::connections("two", None).await?];
        let [one, two] = backends.each_ref().map(LineBackend::port);
        let objects = gateway() + &loopback_service("one", "TCP", one) + &loopback_service("two", "TCP", two);
        let routes = routes.concat();
        let files = [("objects.yaml", objects.as_str()), ("routes.yaml", routes.as_str())];
        let fixture = Fixture::start(&files).await?;
        fixture.wait_until_bound().await?;
        Ok(Self { fixture, _backends: backends })
    }

    async fn say(&self, text: &str) -> Result<String> {
        say(self.fixture.address(), text).await
    }
}

fn route(name: &str, backends: &str) -> String {
    manifests::route("TCPRoute", name, "{name: gw}", "", &format!("backendRefs: [{backends}]"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_routes_all_are_accepted_and_the_first_serves() -> Result<()> {
    // Without times they are alike, and the name decides.
    let (second, first) = (route("b", "{name: two, port: 80}"), route("a", "{name: one, port: 80}"));
    let world = World::start(&[&second, &first]).await?;
    for _ in 0..10 {
        assert_eq!(world.say("hello").await?, "one: hello");
    }
    let gateway = world.fixture.status("Gateway default/gw").await?;
    assert_eq!(gateway["listeners"][0]["attachedRoutes"], 2, "{gateway:#}");
    for name in ["a", "b"] {
        let status = world.fixture.status(&format!("TCPRoute default/{name}")).await?;
        assert_eq!(status["parents"][0]["conditions"][0]["status"], "True", "{status:#}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_shared_by_weight_and_those_of_a_missing_backend_are_closed() -> Result<()> {
    let backends = "{name: one, port: 80, weight: 70}, {name: nobody, port: 80, weight: 30}, {name: two, port: 80, weight: 0}";
    let world = World::start(&[&route("r", backends)]).await?;
    let mut answered = 0;
    for _ in 0..2000 {
        match world.say("hello").await {
            Ok(answer) => {
                assert_eq!(answer, "one: hello");
                answered += 1;
            }
            Err(error) => assert!(!format!("{error:#}").contains("no answer"), "{error:#}"),
        }
    }
    // 70 of 100, within five points.
    assert!((1300..=1500).contains(&answered), "{answered} of 2000");
    let status = world.fixture.status("TCPRoute default/r").await?.to_string();
    assert!(status.contains("BackendNotFound"), "{status}");
    Ok(())
}

/// An edit of a route changes no listener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_connection_goes_on_when_its_route_leads_elsewhere_or_is_gone() -> Result<()> {
    let world = World::start(&[&route("r", "{name: one, port: 80}")]).await?;
    let mut open = Lines::connect(world.fixture.address()).await?;
    assert_eq!(open.say("first").await?, "one: first");
    world.fixture.save("routes.yaml", &route("r", "{name: two, port: 80}"))?;
    eventually(DEADLINE, || async {
        let answer = world.say("hello").await?;
        ensure!(answer == "two: hello", "{answer}");
        Ok(())
    })
    .await?;
    assert_eq!(open.say("second").await?, "one: second");
    world.fixture.delete("routes.yaml")?;
    eventually(DEADLINE, || async {
        ensure!(world.say("hello").await.is_err(), "still served");
        Ok(())
    })
    .await?;
    assert_eq!(open.say("third").await?, "one: third");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_served() -> Result<()> {
    let backend = LineBackend::connections("database", None).await?;
    let rule = format!("127.0.0.1:5432:127.0.0.1:{}", backend.port());
    let fixture = Fixture::start_example("tcp", &[], &[&rule]).await?;
    let answer = eventually(DEADLINE, || async { say((fixture.ip, 8086).into(), "select 1").await });
    assert_eq!(answer.await?, "database: select 1");
    Ok(())
}

/// The bytes of a client go by TLS to a backend with a BackendTLSPolicy, whose certificate is verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_with_a_tls_policy_is_reached_by_tls_or_not_at_all() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let secure = LineBackend::connections("secure", Some(authority.server_config(&["secure.test"])?)).await?;
    let objects = gateway() + &loopback_service("one", "TCP", secure.port());
    let policy = |hostname: &str| backend_tls_policy("one", hostname, "trusted");
    let fixture = Fixture::start(&[
        ("objects.yaml", objects.as_str()),
        ("trusted.yaml", &authorities("trusted", &authority.certificate_pem())),
        ("routes.yaml", &route("tcp", "{name: one, port: 80}")),
        ("policy.yaml", &policy("secure.test")),
    ])
    .await?;
    let answer = || say(fixture.address(), "hello");
    assert_eq!(eventually(DEADLINE, answer).await?, "secure: hello");
    let object = "BackendTLSPolicy default/one";
    fixture.told(object, "/ancestors/0/conditions", "Accepted", "Accepted").await?;

    let closed = || async {
        ensure!(answer().await.is_err(), "served");
        anyhow::Ok(())
    };
    // The backend's certificate is for another name.
    fixture.save("policy.yaml", &policy("other.test"))?;
    eventually(DEADLINE, closed).await?;
    fixture.save("policy.yaml", &policy("secure.test"))?;
    assert_eq!(eventually(DEADLINE, answer).await?, "secure: hello");
    // Without authorities the policy is not valid: nothing is sent, and the route says why.
    fixture.save("trusted.yaml", "")?;
    eventually(DEADLINE, closed).await?;
    fixture
        .told("TCPRoute default/tcp", "/parents/0/conditions", "ResolvedRefs", "InvalidBackendTLS")
        .await?;
    Ok(())
}
