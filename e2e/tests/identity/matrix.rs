//! Every combination of what can be wrong with a token, at routes that ask for different things.

use anyhow::Result;
use e2e::token::{Algorithm, Issuer, with_claims};
use serde_json::{Value, json};

use super::world::{World, extension, option, policy};

/// Long ago.
const PAST: u64 = 1_000_000_000;
/// Far away.
const FUTURE: u64 = 4_000_000_000;

/// The routes, each with what it asks for.
const ROUTES: [&str; 8] =
    ["strict", "optional", "alice", "nobob", "gloo", "gloo-optional", "gloo-failed", "gloo-alice"];

/// A token, and what there is to know of it.
struct Case {
    what: String,
    token: String,
    is_valid: bool,
    subject: &'static str,
}

fn cases(issuer: &Issuer, other: &Issuer) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (is_known, signer) in [(true, issuer), (false, other)] {
        for algorithm in [Algorithm::Es256, Algorithm::None, Algorithm::Hs256, Algorithm::NamedRs256] {
            for iss in [Some("idp"), Some("idp2"), None] {
                for (audience, aud) in [
                    (true, json!("api")),
                    (true, json!(["x", "api"])),
                    (false, json!("x")),
                    (false, Value::Null),
                ] {
                    for (is_timely, exp, nbf) in
                        [(true, FUTURE, PAST), (false, PAST, PAST), (false, FUTURE, FUTURE)]
                    {
                        let subject = if cases.len() % 2 == 0 { "alice" } else { "bob" };
                        let mut claims = json!({"sub": subject, "exp": exp, "nbf": nbf, "llms": {"openai": ["gpt-4o", subject]}});
                        if let Some(iss) = iss {
                            claims["iss"] = json!(iss);
                        }
                        if !aud.is_null() {
                            claims["aud"] = aud.clone();
                        }
                        let is_valid = is_known
                            && algorithm == Algorithm::Es256
                            && iss == Some("idp")
                            && audience
                            && is_timely;
                        let token = signer.token_by(algorithm, &claims)?;
                        let what = format!("known key: {is_known}, {algorithm:?}, {claims}");
                        cases.push(Case { what, token, is_valid, subject });
                    }
                }
            }
        }
    }
    Ok(cases)
}

/// Tokens that are none, or were one.
fn broken(issuer: &Issuer) -> Result<Vec<Case>> {
    let claims = json!({"iss": "idp", "aud": "api", "sub": "bob", "exp": FUTURE});
    let good = issuer.token(&claims)?;
    let alice = json!({"iss": "idp", "aud": "api", "sub": "alice", "exp": FUTURE});
    let without_signature = good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).unwrap_or_default();
    let texts = [
        ("another payload", with_claims(&good, &alice)),
        ("no signature", without_signature.clone()),
        ("two parts", without_signature.trim_end_matches('.').to_owned()),
        ("cut", good[..good.len() - 4].to_owned()),
        ("longer", format!("{good}AAAA")),
        ("two tokens", format!("{good},{good}")),
        ("no base64", "!!!.???.***".to_owned()),
        ("dots", "..".to_owned()),
    ];
    let case = |(what, token): (&str, String)| Case {
        what: what.to_owned(),
        token,
        is_valid: false,
        subject: "bob",
    };
    Ok(texts.into_iter().map(case).collect())
}

/// What a route may answer to a request with this token. Envoy says 403 where the audience is the first thing that is wrong.
fn expected(route: &str, case: &Case) -> &'static [u16] {
    let is_allowed = match route {
        "alice" | "gloo-alice" => case.is_valid && case.subject == "alice",
        "nobob" => case.subject != "bob",
        _ => true,
    };
    match (case.is_valid, route) {
        (false, "gloo-failed") => &[200],
        (false, _) => &[401, 403],
        (true, _) if is_allowed => &[200],
        (true, _) => &[403],
    }
}

/// The objects: the keys of one issuer, asked for in both dialects.
fn objects(issuer: &Issuer) -> String {
    let provider = format!(
        "issuer: idp, audiences: [api], claimsToHeaders: [{{name: sub, header: x-sub}}], jwks: {{local: {{inline: '{}'}}}}",
        issuer.key_set()
    );
    let gloo = |mode: &str| {
        let pem = issuer.pem().replace('\n', "\\n");
        format!(
            "    jwtProvidersStaged:\n      afterExtAuth:\n        validationPolicy: {mode}\n        providers: {{idp: \
             {{issuer: idp, audiences: [api], claimsToHeaders: [{{claim: sub, header: x-sub}}], jwks: {{local: {{key: \
             \"{pem}\"}}}}}}}}"
        )
    };
    let claims = "metadata.filter_metadata['envoy.filters.http.jwt_authn']['payload']";
    [
        extension("strict", "Strict", &provider),
        extension("optional", "AllowMissing", &provider),
        policy("strict", "  jwtAuth: {extensionRef: {name: strict}}"),
        policy("optional", "  jwtAuth: {extensionRef: {name: optional}}"),
        policy(
            "alice",
            &format!(
                "  jwtAuth: {{extensionRef: {{name: strict}}}}\n  rbac: {{policy: {{matchExpressions: [\"{claims}['sub'] == \
                 'alice'\"]}}}}"
            ),
        ),
        policy(
            "nobob",
            &format!(
                "  jwtAuth: {{extensionRef: {{name: strict}}}}\n  rbac: {{action: Deny, policy: {{matchExpressions: [\"'bob' in \
                 {claims}['llms']['openai']\"]}}}}"
            ),
        ),
        option("gloo", &gloo("REQUIRE_VALID")),
        option("gloo-optional", &gloo("1")),
        option("gloo-failed", &gloo("ALLOW_MISSING_OR_FAILED")),
        option(
            "gloo-alice",
            &format!(
                "{}\n    rbac: {{policies: {{a: {{nestedClaimDelimiter: ., principals: [{{jwtPrincipal: {{claims: {{llms.openai: \
                 alice}}, matcher: LIST_CONTAINS, provider: idp}}}}]}}}}}}",
                gloo("REQUIRE_VALID")
            ),
        ),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_gets_in_that_should_not_and_no_header_passes_for_a_claim() -> Result<()> {
    let (issuer, other) = (Issuer::new()?, Issuer::new()?);
    let world = World::start(&ROUTES, &objects(&issuer)).await?;
    let cases: Vec<_> = cases(&issuer, &other)?.into_iter().chain(broken(&issuer)?).collect();
    assert!(cases.iter().filter(|case| case.is_valid).count() == 2 && cases.len() > 190, "{}", cases.len());
    let recording = world.backend.record();
    for case in &cases {
        for route in ROUTES {
            let bearer = format!("Bearer {}", case.token);
            let headers = [("authorization", bearer.as_str()), ("x-sub", "root"), ("X-Sub", "admin")];
            let answer = world.get(&format!("/{route}"), &headers).await?;
            let what = format!("/{route}: {}: {}", case.what, answer.text());
            assert!(expected(route, case).contains(&answer.status), "{what}: {}", answer.status);
            if answer.status == 200 {
                let seen = answer.echo()?.headers.get("x-sub").cloned().unwrap_or_default();
                let claim: &[&str] = if case.is_valid { &[case.subject] } else { &[] };
                assert_eq!(seen, claim, "{what}");
                let token = answer.echo()?.headers.contains_key("authorization");
                assert!(!(token && case.is_valid), "{what}: the backend gets the token");
            } else {
                assert!(recording.take().is_empty(), "{what}: the backend was asked");
            }
            drop(recording.take());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_passes_but_where_that_is_allowed() -> Result<()> {
    let (issuer, other) = (Issuer::new()?, Issuer::new()?);
    // Rights without tokens in front of them: nobody has any claims.
    let alone =
        option("rights", "    rbac: {policies: {a: {principals: [{jwtPrincipal: {claims: {sub: alice}}}]}}}");
    let kept = format!("forwardToken: true, jwks: {{local: {{inline: '{}'}}}}", issuer.key_set());
    let kept =
        extension("kept", "Strict", &kept) + &policy("kept", "  jwtAuth: {extensionRef: {name: kept}}");
    let routes: Vec<_> = ROUTES.into_iter().chain(["rights", "kept"]).collect();
    let world = World::start(&routes, &(objects(&issuer) + &alone + &kept)).await?;
    for route in routes {
        let path = format!("/{route}");
        let answer = world.get(&path, &[("x-sub", "root")]).await?;
        let expected = match route {
            "optional" | "gloo-optional" | "gloo-failed" => 200,
            "rights" => 403,
            _ => 401,
        };
        assert_eq!(answer.status, expected, "{route}: {}", answer.text());
        match expected {
            200 => assert!(!answer.echo()?.headers.contains_key("x-sub"), "{route}"),
            401 => {
                assert_eq!(answer.text(), "Jwt is missing", "{route}");
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer realm="), "{route}: {challenge}");
            }
            _ => assert_eq!(answer.text(), "RBAC: access denied", "{route}"),
        }
    }
    // Another place of the token: the query; and a header twice, of which one holds a good token.
    let good = issuer.token(&json!({"iss": "idp", "aud": "api", "sub": "alice", "exp": FUTURE}))?;
    let bad = other.token(&json!({"iss": "idp", "aud": "api", "sub": "alice", "exp": FUTURE}))?;
    let other_audience = issuer.token(&json!({"iss": "idp", "aud": "x", "sub": "alice", "exp": FUTURE}))?;
    let answer = world.ask_with("/strict", &other_audience).await?;
    assert_eq!((answer.status, answer.text().as_str()), (403, "Audiences in Jwt are not allowed"));
    let recording = world.backend.record();
    for (route, path) in
        [("strict", "/strict?a=1&b=2"), ("kept", &format!("/kept?a=1&access_token={good}&b=2"))]
    {
        let asked = format!("/{route}?a=1&access_token={good}&b=2");
        assert_eq!(world.get(&asked, &[]).await?.status, 200, "{route}");
        let seen = recording.take();
        assert_eq!(
            seen.iter().map(|request| request.path_and_query()).collect::<Vec<_>>(),
            [path],
            "{route}"
        );
    }
    let kept = world.ask_with("/kept", &good).await?.echo()?;
    assert_eq!(kept.headers["authorization"], [format!("Bearer {good}")]);
    // It is not this policy's token: the backend gets it.
    let failed = world.ask_with("/gloo-failed", &bad).await?.echo()?;
    assert_eq!(failed.headers["authorization"], [format!("Bearer {bad}")]);
    assert_eq!(world.get(&format!("/strict?access_token={bad}"), &[]).await?.status, 401);
    for (first, second) in [(&good, &bad), (&bad, &good)] {
        let (first, second) = (format!("Bearer {first}"), format!("Bearer {second}"));
        let headers = [("authorization", first.as_str()), ("authorization", second.as_str())];
        assert_eq!(world.get("/strict", &headers).await?.status, 401);
    }
    let answer = world.ask_with("/rights", &good).await?;
    assert_eq!((answer.status, answer.text().as_str()), (403, "RBAC: access denied"));
    Ok(())
}
