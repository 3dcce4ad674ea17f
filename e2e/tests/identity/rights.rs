//! What claims must be for a rule to hold, and what becomes of requests whose token does not have them.

use anyhow::Result;
use e2e::token::Issuer;
use serde_json::{Value, json};

use super::world::{World, extension, option, policy};

/// The claims as kgateway has them.
const CLAIMS: &str = "metadata.filter_metadata['envoy.filters.http.jwt_authn']['payload']";

/// Claims, each with whether a request passes whose token has them.
type Rows = Vec<(Value, bool)>;

/// The rules by claims: a route, the claims that it names with their matcher, and claims that fit or do not.
fn by_claims() -> Vec<(&'static str, &'static str, Rows)> {
    let of = |name: &str, values: Vec<(Value, bool)>| {
        let row = |(value, fits): (Value, bool)| (json!({name: value}), fits);
        values.into_iter().map(row).chain([(json!({}), false)]).collect()
    };
    vec![
        (
            "bool",
            "claims: {verified: true}, matcher: BOOLEAN",
            of(
                "verified",
                vec![(json!(true), true), (json!(false), false), (json!("true"), false), (json!(1), false)],
            ),
        ),
        (
            "text",
            "claims: {role: dev}",
            of(
                "role",
                vec![
                    (json!("dev"), true),
                    (json!("Dev"), false),
                    (json!("devs"), false),
                    (json!(["dev"]), false),
                ],
            ),
        ),
        (
            "list",
            "claims: {role: dev}, matcher: LIST_CONTAINS",
            of("role", vec![(json!(["ops", "dev"]), true), (json!(["devs"]), false), (json!("dev"), false)]),
        ),
        (
            "regex",
            "claims: {email: '.*@example\\.com'}, matcher: REGEX_MATCH",
            of(
                "email",
                vec![
                    (json!("a@example.com"), true),
                    (json!("a@example.com.other"), false),
                    (json!("a@exampleXcom"), false),
                    (json!(["a@example.com"]), false),
                ],
            ),
        ),
        (
            "all",
            "claims: {role: dev, team: a}",
            vec![
                (json!({"role": "dev", "team": "a"}), true),
                (json!({"role": "dev"}), false),
                (json!({"role": "dev", "team": "b"}), false),
            ],
        ),
    ]
}

/// The rules by expressions: a route, its rights, and claims with which a request passes or does not.
fn by_expressions() -> Vec<(&'static str, String, Rows)> {
    let is_dev = format!("\"{CLAIMS}['team'] == 'dev'\"");
    let is_alice = format!("\"{CLAIMS}['sub'] == 'alice'\"");
    let explicit = format!("\"!('team' in {CLAIMS}) || {CLAIMS}['team'] == 'dev'\"");
    let (dev, ops, none) = (json!({"team": "dev"}), json!({"team": "ops"}), json!({}));
    let alice = json!({"sub": "alice"});
    let list = |expressions: &str| format!("policy: {{matchExpressions: [{expressions}]}}");
    vec![
        (
            "allow",
            list(&format!("{is_dev}, {is_alice}")),
            vec![(dev.clone(), true), (alice, true), (ops.clone(), false), (none.clone(), false)],
        ),
        (
            "deny",
            format!("action: Deny, {}", list(&is_dev)),
            vec![(dev.clone(), false), (ops.clone(), true), (none.clone(), true)],
        ),
        (
            "deny-without",
            format!("action: Deny, {}", list(&explicit)),
            vec![(dev, false), (ops, true), (none, false)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_holds_for_claims_that_fit_and_for_no_others() -> Result<()> {
    let issuer = Issuer::new()?;
    let keys = issuer.key_set();
    let mut objects = extension("idp", "Strict", &format!("jwks: {{local: {{inline: '{keys}'}}}}"));
    let mut routes = Vec::new();
    for (route, principal, rows) in by_claims() {
        let tokens = format!(
            "    jwtProvidersStaged: {{afterExtAuth: {{providers: {{idp: {{jwks: {{local: {{key: '{keys}'}}}}}}}}}}}}"
        );
        let rights =
            format!("\n    rbac: {{policies: {{a: {{principals: [{{jwtPrincipal: {{{principal}}}}}]}}}}}}");
        objects += &option(route, &(tokens + &rights));
        routes.push((route, rows));
    }
    for (route, rights, rows) in by_expressions() {
        objects +=
            &policy(route, &format!("  jwtAuth: {{extensionRef: {{name: idp}}}}\n  rbac: {{{rights}}}"));
        routes.push((route, rows));
    }
    let names: Vec<_> = routes.iter().map(|(route, _)| *route).collect();
    let world = World::start(&names, &objects).await?;
    for (route, rows) in routes {
        for (claims, passes) in rows {
            let answer = world.ask_with(&format!("/{route}"), &issuer.token(&claims)?).await?;
            assert_eq!(answer.status, if passes { 200 } else { 403 }, "{route}: {claims}: {}", answer.text());
            assert!(passes || answer.text() == "RBAC: access denied", "{route}: {claims}: {}", answer.text());
        }
    }
    Ok(())
}
