//! Tokens of several providers: what one of them says is never taken for what another one says.

use anyhow::Result;
use e2e::token::Issuer;
use serde_json::json;

use super::world::{World, extension_of, gloo_provider, option, policy};

/// A provider of a GatewayExtension, whose tokens stand in the header `x-token-<name>`.
fn provider(name: &str, issuer: &Issuer, claims: &str) -> String {
    format!(
        "{{name: {name}, tokenSource: {{header: {{header: x-token-{name}}}}}, claimsToHeaders: [{claims}], jwks: {{local: \
         {{inline: '{}'}}}}}}",
        issuer.key_set()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_provider_lets_no_header_pass_for_a_claim_of_another() -> Result<()> {
    let (a, b) = (Issuer::new()?, Issuer::new()?);
    let [of_a, of_b] =
        [provider("a", &a, "{name: sub, header: x-user}"), provider("b", &b, "{name: team, header: x-team}")];
    let objects = [
        extension_of("both", "Strict", &[&of_a, &of_b]),
        extension_of("reversed", "Strict", &[&of_b, &of_a]),
        extension_of("optional", "AllowMissing", &[&of_a, &of_b]),
        // Names no header itself.
        extension_of("plain", "AllowMissing", &[&provider("a", &a, "")]),
        policy("both", "  jwtAuth: {extensionRef: {name: both}}"),
        policy("reversed", "  jwtAuth: {extensionRef: {name: reversed}}"),
        policy("optional", "  jwtAuth: {extensionRef: {name: optional}}"),
        policy("plain", "  jwtAuth: {extensionRef: {name: plain}}"),
        policy("off", "  jwtAuth: {disable: {}}"),
    ]
    .concat();
    let routes = ["both", "reversed", "optional", "plain", "off"];
    let world = World::start(&[routes.as_slice(), &["silent"]].concat(), &objects).await?;
    let claims = json!({"sub": "alice", "team": "dev"});
    let tokens =
        [("x-token-a", a.token(&claims)?), ("x-token-b", b.token(&claims)?), ("x-none", String::new())];
    for (header, token) in &tokens {
        let headers =
            [(*header, token.as_str()), ("x-user", "root"), ("X-Team", "admin"), ("x-team", "root")];
        for route in routes {
            let answer = world.get(&format!("/{route}"), &headers).await?;
            let is_refused = *header == "x-none" && ["both", "reversed"].contains(&route);
            assert_eq!(answer.status, if is_refused { 401 } else { 200 }, "{route}, {header}");
            if is_refused {
                continue;
            }
            let seen = answer.echo()?.headers;
            let is_claimed = !["plain", "off"].contains(&route);
            let expected =
                |of: &str, claim: &str| (is_claimed && of == *header).then(|| vec![claim.to_owned()]);
            assert_eq!(seen.get("x-user").cloned(), expected("x-token-a", "alice"), "{route}, {header}");
            assert_eq!(seen.get("x-team").cloned(), expected("x-token-b", "dev"), "{route}, {header}");
        }
        // A route of which no policy says anything about tokens leaves the headers alone.
        let seen = world.get("/silent", &headers).await?.echo()?.headers;
        assert_eq!(seen["x-user"], ["root"], "{header}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_policy_open_no_route_of_another() -> Result<()> {
    let (a, b, third) = (Issuer::new()?, Issuer::new()?, Issuer::new()?);
    let third = gloo_provider("third", &third, "issuer: third");
    let mut objects = String::new();
    let mut routes = Vec::new();
    for (owner, issuer) in [("a", &a), ("b", &b)] {
        for mode in ["REQUIRE_VALID", "ALLOW_MISSING", "ALLOW_MISSING_OR_FAILED"] {
            for (what, name) in [("named", "issuer: idp, "), ("any", "")] {
                let claims = format!("{name}claimsToHeaders: [{{claim: sub, header: x-user}}]");
                let providers = gloo_provider("idp", issuer, &claims) + ", " + &third;
                let route = format!("{owner}-{what}-{}", mode.to_ascii_lowercase().replace('_', "-"));
                objects += &option(&route, &tokens("afterExtAuth", mode, &providers));
                routes.push((route, owner, mode));
            }
        }
    }
    let names: Vec<_> = routes.iter().map(|(route, ..)| route.as_str()).collect();
    let world = World::start(&names, &objects).await?;
    for (signer, issuer) in [("a", &a), ("b", &b)] {
        let token = issuer.token(&json!({"iss": "idp", "sub": "alice"}))?;
        for (route, owner, mode) in &routes {
            let answer = world.get(&format!("/{route}"), &[("x-token-idp", &token)]).await?;
            let is_own = *owner == signer;
            let passes = is_own || *mode == "ALLOW_MISSING_OR_FAILED";
            assert_eq!(answer.status, if passes { 200 } else { 401 }, "{signer}'s token at {route}");
            let is_claimed = passes && answer.echo()?.headers.contains_key("x-user");
            assert_eq!(is_claimed, is_own, "{signer}'s token at {route}");
        }
    }
    Ok(())
}

/// What options ask for at one stage.
fn tokens(stage: &str, mode: &str, providers: &str) -> String {
    format!("    jwtProvidersStaged: {{{}}}", stage_of(stage, mode, providers))
}

fn stage_of(stage: &str, mode: &str, providers: &str) -> String {
    format!("{stage}: {{validationPolicy: {mode}, providers: {{{providers}}}}}")
}

/// Headers of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// Rights of alice alone, with a token of the provider `a`.
const ALICE_OF_A: &str =
    "\n    rbac: {policies: {p: {principals: [{jwtPrincipal: {claims: {sub: alice}, provider: a}}]}}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_names_a_provider_takes_no_claims_of_another() -> Result<()> {
    let (a, b) = (Issuer::new()?, Issuer::new()?);
    let (of_a, of_b) = (gloo_provider("a", &a, "issuer: a"), gloo_provider("b", &b, "issuer: b"));
    let stages = |before: &str, after: &str| {
        let (before, after) = (
            stage_of("beforeExtAuth", "ALLOW_MISSING", before),
            stage_of("afterExtAuth", "ALLOW_MISSING", after),
        );
        format!("    jwtProvidersStaged: {{{before}, {after}}}{ALICE_OF_A}")
    };
    let one = |mode: &str| tokens("afterExtAuth", mode, &format!("{of_a}, {of_b}")) + ALICE_OF_A;
    let objects = [
        option("two", &stages(&of_a, &of_b)),
        option("turned", &stages(&of_b, &of_a)),
        option("one", &one("REQUIRE_VALID")),
        option("failed", &one("ALLOW_MISSING_OR_FAILED")),
    ]
    .concat();
    let world = World::start(&["two", "turned", "one", "failed"], &objects).await?;
    let token = |issuer: &Issuer, iss: &str, sub: &str| issuer.token(&json!({"iss": iss, "sub": sub}));
    let [alice_a, bob_a] = [token(&a, "a", "alice")?, token(&a, "a", "bob")?];
    let [alice_b, bob_b] = [token(&b, "b", "alice")?, token(&b, "b", "bob")?];
    let (in_a, in_b) = ("x-token-a", "x-token-b");
    let all = ["two", "turned", "one", "failed"].as_slice();
    let cases: [(&str, Headers<'_>, &[&str]); 8] = [
        ("alice of A", &[(in_a, &alice_a)], all),
        ("bob of A", &[(in_a, &bob_a)], &[]),
        ("alice of B", &[(in_b, &alice_b)], &[]),
        ("bob of A, alice of B", &[(in_a, &bob_a), (in_b, &alice_b)], &[]),
        // At one stage the token of the first provider is enough, and the other one is not looked at.
        ("alice of A, alice of B", &[(in_a, &alice_a), (in_b, &alice_b)], &["one", "failed"]),
        ("alice of A, bob of B", &[(in_a, &alice_a), (in_b, &bob_b)], &["one", "failed"]),
        // The proxy reads the last one first: A has said who it is, and then fails.
        ("bob of A and none of A, alice of B", &[(in_a, "none"), (in_a, &bob_a), (in_b, &alice_b)], &[]),
        ("none of A and bob of A, alice of B", &[(in_a, &bob_a), (in_a, "none"), (in_b, &alice_b)], &[]),
    ];
    let mut wrong = Vec::new();
    for (what, headers, allowed) in cases {
        for route in all {
            let answer = world.get(&format!("/{route}"), headers).await?;
            // A stage that A alone is asked for refuses what is no token, before anybody asks for rights.
            let expected: &[u16] = if allowed.contains(route) { &[200] } else { &[401, 403] };
            if !expected.contains(&answer.status) {
                wrong.push(format!("{what} at {route}: {}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_must_pass_each_stage_that_is_left_to_its_route() -> Result<()> {
    let (a, b) = (Issuer::new()?, Issuer::new()?);
    let (of_a, of_b) = (gloo_provider("a", &a, ""), gloo_provider("b", &b, ""));
    let [before, after] = [("beforeExtAuth", &of_a), ("afterExtAuth", &of_b)]
        .map(|(stage, provider)| stage_of(stage, "REQUIRE_VALID", provider));
    let of_host = format!(
        "---\napiVersion: gateway.solo.io/v1\nkind: VirtualHostOption\nmetadata: {{name: all}}\nspec:\n  targetRefs: \
         [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}]\n  options: {{jwtStaged: {{{before}, {after}}}}}\n"
    );
    let objects = [
        of_host,
        option("own", &tokens("afterExtAuth", "REQUIRE_VALID", &of_b)),
        option("without-a", "    jwtStaged: {beforeExtAuth: {disable: true}}"),
        option("without-b", "    jwtStaged: {afterExtAuth: {disable: true}}"),
        option("open", "    jwt: {disable: true}"),
    ]
    .concat();
    // Each with the tokens that it takes.
    let routes = [
        ("both", ["a", "b"].as_slice()),
        ("own", &["b"]),
        ("without-a", &["b"]),
        ("without-b", &["a"]),
        ("open", &[]),
    ];
    let world = World::start(&routes.map(|(route, _)| route), &objects).await?;
    let claims = json!({"sub": "alice"});
    let (token_a, token_b) = (a.token(&claims)?, b.token(&claims)?);
    for shown in [[].as_slice(), &["a"], &["b"], &["a", "b"]] {
        for (route, needed) in routes {
            let headers = [("a", "x-token-a", &token_a), ("b", "x-token-b", &token_b)].into_iter();
            let headers = headers.filter(|(name, ..)| shown.contains(name));
            let headers: Vec<_> = headers.map(|(_, header, token)| (header, token.as_str())).collect();
            let answer = world.get(&format!("/{route}"), &headers).await?;
            let passes = needed.iter().all(|name| shown.contains(name));
            assert_eq!(answer.status, if passes { 200 } else { 401 }, "{shown:?} at {route}");
        }
    }
    Ok(())
}
