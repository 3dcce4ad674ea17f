//! GRPCRoute in a real Envoy, with tonic as client and as backend; `examples/grpc`.

mod call;

use anyhow::Result;
use call::{GrpcBackend, Heard, call};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, request, send};
use e2e::manifests::{loopback_service, route};
use http::Method;
use tonic::{Code, Status};

/// A Gateway, three backends of which the Services say nothing about HTTP/2, and routes that use each feature once.
const OBJECTS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: chancery
  listeners:
  - {name: any, port: PORT, protocol: HTTP}
  - {name: narrow, port: PORT, protocol: HTTP, hostname: "foo.narrow.test"}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: methods}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [methods.test]
  rules:
  - name: exact
    matches: [{method: {service: pkg.Echo, method: Say}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: exact}]}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{method: {service: pkg.Echo}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: service}]}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{method: {method: Say}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: method}]}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{method: {type: RegularExpression, service: 'reg\.(A|B)', method: "Get.*"}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: regex}]}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{headers: [{name: version, value: two}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: header}]}}]
    backendRefs: [{name: two, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: everything}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [all.test]
  rules:
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-set, value: new}], add: [{name: x-add, value: more}], remove: [x-gone]}
    backendRefs: [{name: one, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: beside}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [all.test]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.test}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: shares}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [shares.test]
  rules: [{backendRefs: [{name: one, port: 80, weight: 7}, {name: two, port: 80, weight: 3}, {name: nobody, port: 80, weight: 0}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: broken}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [broken.test]
  rules:
  - {matches: [{method: {service: pkg.Nobody}}], backendRefs: [{name: nobody, port: 80}]}
  - {matches: [{method: {service: pkg.Sticky}}], sessionPersistence: {type: Header}, backendRefs: [{name: one, port: 80}]}
  - {matches: [{method: {service: pkg.Fine}}], backendRefs: [{name: one, port: 80}]}
"#;

struct World {
    fixture: Fixture,
    _backends: [GrpcBackend; 2],
}

impl World {
    async fn start() -> Result<Self> {
        let backends = [GrpcBackend::start("one").await?, GrpcBackend::start("two").await?];
        let [one, two] = backends.each_ref().map(GrpcBackend::port);
        let services = loopback_service("one", "TCP", one) + &loopback_service("two", "TCP", two);
        let narrow = |name: &str, host: &str, backend: &str| {
            let rule = format!("backendRefs: [{{name: {backend}, port: 80}}]");
            route("GRPCRoute", name, "{name: gw, sectionName: narrow}", host, &rule)
        };
        let narrow =
            narrow("a-wide", "'*.narrow.test'", "one") + &narrow("b-exact", "foo.narrow.test", "two");
        let files = [("all.yaml", OBJECTS), ("narrow.yaml", &narrow), ("services.yaml", &services)];
        let fixture = Fixture::start(&files).await?;
        Ok(Self { fixture, _backends: backends })
    }

    /// The backend's answer, with the rule's header.
    async fn call(
        &self,
        authority: &str,
        path: &str,
        metadata: &[(&str, &str)],
    ) -> Result<Result<(Heard, String), Status>> {
        let answer = call(self.fixture.address(), authority, path, metadata).await?;
        Ok(answer.map(|(heard, metadata)| {
            let rule = metadata.get("x-rule").and_then(|value| value.to_str().ok());
            (heard, rule.unwrap_or_default().to_owned())
        }))
    }

    async fn code(&self, authority: &str, path: &str) -> Result<Code> {
        Ok(self.call(authority, path, &[]).await?.map_or_else(|status| status.code(), |_| Code::Ok))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_to_the_rule_that_the_specification_says() -> Result<()> {
    let world = World::start().await?;
    let none: &[(&str, &str)] = &[];
    for (path, metadata, rule) in [
        ("/pkg.Echo/Say", none, Some("exact")),
        ("/pkg.Echo/Other", none, Some("service")),
        ("/pkg.Echoes/Other", none, None),
        ("/pkg.echo/Other", none, None),
        ("/pkg.Other/Say", none, Some("method")),
        ("/pkg.Other/SayIt", none, None),
        ("/reg.A/GetAll", none, Some("regex")),
        ("/reg.C/GetAll", none, None),
        ("/reg.A/Set", none, None),
        ("/pkg.Other/Call", &[("version", "two")], Some("header")),
        ("/pkg.Other/Call", &[("version", "three")], None),
        ("/pkg.Echo/Say", &[("version", "two")], Some("exact")),
    ] {
        let answer = world.call("methods.test", path, metadata).await?;
        let found = answer.map_err(|status| status.code());
        match rule {
            Some(rule) => {
                assert_eq!(found.as_ref().map(|(_, rule)| &**rule), Ok(rule), "{path} {metadata:?}")
            }
            None => assert_eq!(found.map(|(_, rule)| rule), Err(Code::Unimplemented), "{path} {metadata:?}"),
        }
    }
    assert_eq!(world.code("unknown.test", "/pkg.Echo/Say").await?, Code::Unimplemented);
    Ok(())
}

/// The Service's port says nothing of HTTP/2; an HTTPRoute with the same hostname gets what is no call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_hear_http2_with_edited_metadata_and_http_routes_stand_beside() -> Result<()> {
    let world = World::start().await?;
    let sent = [("x-set", "old"), ("x-add", "some"), ("x-gone", "here")];
    let (heard, _) = world.call("all.test", "/any.Service/Any", &sent).await?.unwrap();
    assert_eq!((&*heard.identity, &*heard.path, &*heard.protocol), ("one", "/any.Service/Any", "HTTP/2.0"));
    let metadata = |name: &str| heard.metadata.get(name).map(String::as_str);
    assert_eq!(
        (metadata("x-set"), metadata("x-gone"), metadata("host")),
        (Some("new"), None, Some("all.test"))
    );
    assert!(metadata("x-add").is_some_and(|value| value.contains("more")), "{heard:?}");
    let plain = request(Method::GET, "all.test", "/any.Service/Any", &[], bytes::Bytes::new())?;
    let answer = send(world.fixture.address(), plain).await?;
    assert_eq!((answer.status, answer.header("location").is_some()), (302, true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_shared_by_weight() -> Result<()> {
    let world = World::start().await?;
    let mut at_one = 0;
    for _ in 0..2000 {
        let (heard, _) = world.call("shares.test", "/pkg.Echo/Say", &[]).await?.unwrap();
        at_one += i32::from(heard.identity == "one");
    }
    // 70 of 100, within five points.
    assert!((1300..=1500).contains(&at_one), "{at_one} of 2000");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_carried_out_is_unavailable_and_the_status_says_why() -> Result<()> {
    let world = World::start().await?;
    assert_eq!(world.code("broken.test", "/pkg.Nobody/Say").await?, Code::Unavailable);
    assert_eq!(world.code("broken.test", "/pkg.Sticky/Say").await?, Code::Unavailable);
    assert_eq!(world.code("broken.test", "/pkg.Fine/Say").await?, Code::Ok);
    let status = world.fixture.status("GRPCRoute default/broken").await?.to_string();
    assert!(status.contains("BackendNotFound") && status.contains("sessionPersistence"), "{status}");
    Ok(())
}

/// Both narrow to the same name at their listener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_writes_the_name_itself_beats_one_with_a_wildcard() -> Result<()> {
    let world = World::start().await?;
    let (heard, _) = world.call("foo.narrow.test", "/pkg.Echo/Say", &[]).await?.unwrap();
    assert_eq!(heard.identity, "two");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_served() -> Result<()> {
    let backend = GrpcBackend::start("example").await?;
    let rule = format!("127.0.0.1:50051:127.0.0.1:{}", backend.port());
    let fixture = Fixture::start_example("grpc", &[], &[&rule]).await?;
    let address = (fixture.ip, 8085).into();
    let answer = eventually(DEADLINE, || async {
        call(address, "grpc.example.com", "/helloworld.Greeter/SayHello", &[]).await
    });
    let (heard, metadata) = answer.await?.unwrap();
    assert_eq!(heard.identity, "example");
    assert_eq!(metadata.get("x-gateway").map(|value| value.as_bytes()), Some(&b"chancery"[..]));
    let other = call(address, "grpc.example.com", "/helloworld.Other/SayHello", &[]).await?;
    assert_eq!(other.map(|_| ()).map_err(|status| status.code()), Err(Code::Unimplemented));
    Ok(())
}
