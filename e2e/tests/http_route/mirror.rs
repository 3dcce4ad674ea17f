//! RequestMirror: copies reach their backends as the request went out, and the client hears of none.

use anyhow::{Result, ensure};
use e2e::fixture::DEADLINE;
use e2e::http::eventually;
use http::Method;

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_go_to_every_mirror_with_the_edits_of_the_rule() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /old}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-env, value: canary}], remove: [x-gone]}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: first, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: second, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: missing, port: 80}}}
    backendRefs: [{name: main, port: 80}]"#;
    let scene = Scene::start(&["main", "first", "second"], rules).await?;
    let mirrors = [scene.backends[1].record(), scene.backends[2].record()];
    let answer = scene.ask(Method::GET, "/old/a?q=1", &[("x-gone", "1")]).await?;
    assert_eq!((answer.echo()?.identity.as_str(), answer.echo()?.path.as_str()), ("main", "/new/a?q=1"));
    for mirror in mirrors {
        let copy = eventually(DEADLINE, || async {
            let mut copies = mirror.take();
            ensure!(copies.len() == 1, "{} copies", copies.len());
            Ok(copies.remove(0))
        })
        .await?;
        assert_eq!((copy.path_and_query(), copy.host.as_str()), ("/new/a?q=1", "a.test"));
        assert_eq!((copy.header("x-env"), copy.header("x-gone")), (Some("canary"), None));
    }
    let status = scene.fixture.status("HTTPRoute default/route").await?.to_string();
    assert!(status.contains("Service default/missing does not exist"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_requests_is_copied() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /percent}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: percent, port: 80}, percent: 25}}]
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /fraction}}]
    filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: fraction, port: 80}, fraction: {numerator: 1, denominator: 2}}
    backendRefs: [{name: main, port: 80}]"#;
    let scene = Scene::start(&["main", "percent", "fraction"], rules).await?;
    const REQUESTS: u64 = 500;
    for (index, path, part) in [(1, "/percent", 0.25), (2, "/fraction", 0.5)] {
        for _ in 0..REQUESTS {
            assert_eq!(scene.get(path).await?.status, 200);
        }
        // Five standard deviations: one run in two million fails by chance.
        let (mean, deviation) = (REQUESTS as f64 * part, (REQUESTS as f64 * part * (1.0 - part)).sqrt());
        eventually(DEADLINE, || async {
            let copies = scene.backends[index].served() as f64;
            ensure!((copies - mean).abs() < 5.0 * deviation, "{path}: {copies} copies");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
