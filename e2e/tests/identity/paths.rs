//! Spellings of a path by which a request might get round a rule.

use anyhow::Result;
use e2e::token::Issuer;
use http::Method;
use serde_json::json;

use super::world::{World, gloo_provider, option, policy};

/// Spellings of a path below `/files` that a backend might take for `secret`.
const SPELLINGS: [&str; 18] = [
    "secret",
    "/secret",
    "./secret",
    "x/../secret",
    "x/..//secret",
    "%73ecret",
    "sec%72et/a",
    "secret%2Fa",
    "secret/%2e%2e/secret",
    "%2e/secret",
    "x/%2e%2e/secret",
    "secret?x=y",
    "secret/?",
    "secret#",
    "public/../secret",
    "public/%2e%2e/secret",
    "public%2F..%2Fsecret",
    "public/..%2fsecret",
];

/// The path as a backend that decodes and normalises it reads it.
fn read_by_a_backend(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let mut elements = Vec::new();
    for element in decoded.split('/').filter(|element| !element.is_empty() && *element != ".") {
        match element {
            ".." => drop(elements.pop()),
            _ => elements.push(element),
        }
    }
    format!("/{}", elements.join("/"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_path_gets_round_a_rule() -> Result<()> {
    let issuer = Issuer::new()?;
    let provider = gloo_provider("a", &issuer, "");
    let objects = policy(
        "deny",
        "  rbac: {action: Deny, policy: {matchExpressions: [\"request.path.startsWith('/deny/secret')\"]}}",
    ) + &policy(
        "allow",
        "  rbac: {policy: {matchExpressions: [\"request.path.startsWith('/allow/public')\"]}}",
    ) + &option(
        "gloo",
        &format!(
            "    jwtProvidersStaged: {{afterExtAuth: {{providers: {{{provider}}}}}}}\n    rbac: {{policies: {{a: \
             {{permissions: {{pathPrefix: /gloo/public, methods: [GET]}}, principals: [{{jwtPrincipal: {{claims: {{sub: \
             nobody}}}}}}]}}}}}}"
        ),
    );
    let token = issuer.token(&json!({"sub": "nobody"}))?;
    let headers = [("x-token-a", token.as_str())];
    let world = World::start(&["deny", "allow", "gloo"], &objects).await?;
    assert_eq!(world.get("/deny/public", &[]).await?.status, 200);
    assert_eq!(world.get("/allow/public/x", &[]).await?.status, 200);
    assert_eq!(world.get("/deny/secret", &[]).await?.status, 403);
    assert_eq!(world.get("/gloo/public/x", &headers).await?.status, 200);
    assert_eq!(world.ask(Method::POST, "/gloo/public/x", &headers, "").await?.status, 403);
    assert_eq!(world.get("/gloo/secret", &headers).await?.status, 403);
    let recording = world.backend.record();
    for route in ["deny", "allow", "gloo"] {
        for spelling in SPELLINGS {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let path = format!("/{route}/{spelling}");
                let answer = world.ask(method.clone(), &path, &headers, "").await?;
                let secret = format!("/{route}/secret");
                for seen in recording.take() {
                    let read = read_by_a_backend(seen.path());
                    assert!(!read.starts_with(&secret), "{method} {path}: the backend got {}", seen.path());
                    assert!(route != "gloo" || method == Method::GET, "{method} {path} passes");
                }
                assert!(matches!(answer.status, 200 | 307 | 400 | 403 | 404), "{path}: {}", answer.status);
            }
        }
    }
    Ok(())
}
