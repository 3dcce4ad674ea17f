//! DirectResponses, by which rules answer requests themselves.

use anyhow::{Result, ensure};
use e2e::fixture::DEADLINE;
use e2e::http::eventually;
use http::Method;

use super::scene::Scene;

/// A filter of a rule that names a DirectResponse.
fn filter(name: &str) -> String {
    format!(
        "{{type: ExtensionRef, extensionRef: {{group: gateway.kgateway.dev, kind: DirectResponse, name: {name}}}}}"
    )
}

fn response(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: DirectResponse\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// A rule for a path with filters.
fn rule(path: &str, filters: &str) -> String {
    format!("\n  - matches: [{{path: {{value: {path}}}}}]\n    filters: [{filters}]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_answers_requests_itself_as_its_direct_response_says() -> Result<()> {
    let sets = |name: &str, value: &str| {
        format!(
            ", {{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: {name}, value: {value}}}]}}}}"
        )
    };
    let rules = rule("/tea", &filter("teapot"))
        + &rule("/page", &(filter("page") + &sets("content-type", "text/html")))
        + &rule("/long", &filter("long"))
        + &rule("/loop", &filter("moved"))
        + &rule("/moved", &(filter("moved") + &sets("location", "/tea")))
        + &rule("/empty", &filter("empty"))
        + &rule("/text", &filter("text"))
        + &rule("/json", &filter("json"))
        + &rule("/html", &(filter("text") + &sets("content-type", "text/html")))
        + &rule("/missing", &filter("missing"))
        + &rule("/both", &filter("teapot"))
        + "\n    backendRefs: [{name: main, port: 80}]"
        + "\n  - backendRefs: [{name: main, port: 80}]";
    let long = "ü".repeat(2048);
    let responses = response("teapot", r#"{status: 418, body: "100% %REQ(:path)%\n"}"#)
        + &response("page", "{status: 200, body: <p>tea</p>}")
        + &response("long", &format!("{{status: 200, body: {long}}}"))
        + &response("moved", "{status: 303}")
        + &response("empty", "{status: 204}")
        + &response(
            "text",
            r#"{status: 200, bodyFormat: {text: "%REQ(:PATH)% %REQ(X-A)% 100%%", contentType: text/x-own}}"#,
        )
        + &response(
            "json",
            r#"{status: 503, bodyFormat: {json: {path: "%REQ(:PATH)%", by: "%PROTOCOL%", retry: true}}}"#,
        );
    let scene = Scene::start_beside(&["main"], &rules, &responses).await?;
    let answer = scene.get("/tea?query").await?;
    assert_eq!((answer.status, &*answer.text()), (418, "100% %REQ(:path)%\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let answer = scene.get("/page").await?;
    assert_eq!((&*answer.text(), answer.header("content-type")), ("<p>tea</p>", Some("text/html")));
    assert_eq!(scene.get("/long").await?.text(), long);
    // Envoy would have the client ask for the same URL again.
    let answer = scene.get("/loop").await?;
    assert_eq!((answer.status, answer.header("location")), (303, None));
    assert_eq!(scene.get("/moved").await?.header("location"), Some("/tea"));
    let answer = scene.get("/empty").await?;
    assert_eq!((answer.status, &*answer.text()), (204, ""));
    let answer = scene.ask(Method::GET, "/text?q", &[("x-a", "<a>")]).await?;
    assert_eq!((&*answer.text(), answer.header("content-type")), ("/text?q <a> 100%", Some("text/x-own")));
    assert_eq!(scene.get("/html").await?.header("content-type"), Some("text/html"));
    let answer = scene.get("/json").await?;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")));
    assert_eq!(answer.json()?, serde_json::json!({"path": "/json", "by": "HTTP/1.1", "retry": true}));
    let answer = scene.ask(Method::HEAD, "/tea", &[]).await?;
    assert_eq!((answer.status, &*answer.text()), (418, ""));
    for path in ["/missing", "/both"] {
        assert_eq!(scene.get(path).await?.status, 500, "{path}");
    }
    assert_eq!(scene.get("/else").await?.status, 200);
    assert_eq!(scene.backends[0].served(), 1, "only what no DirectResponse answers");
    // An edit of the object changes the answer, and one that cannot be carried out answers 500.
    scene.fixture.save("more.yaml", &response("missing", "{status: 200, body: found}"))?;
    eventually(DEADLINE, || async {
        let answer = scene.get("/missing").await?;
        ensure!(answer.text() == "found", "{}", answer.status);
        Ok(())
    })
    .await?;
    scene
        .fixture
        .save("more.yaml", &response("missing", "{status: 200, bodyFormat: {text: '%NO_SUCH_THING%'}}"))?;
    eventually(DEADLINE, || async {
        let answer = scene.get("/missing").await?;
        ensure!(answer.status == 500, "{}", answer.status);
        Ok(())
    })
    .await?;
    scene
        .fixture
        .told("DirectResponse default/missing", "/ancestors/0/conditions", "Accepted", "Invalid")
        .await?;
    Ok(())
}
