//! What Envoy refuses although we have let it pass: it costs its cause alone, whatever stands beside it.
//!
//! Our own checks are off here (a hidden option), so that Envoy gets to refuse what they would not let pass; where
//! nothing that a user writes can have that effect, a marker in it has (`translator/src/xds/spoil.rs`).
//! `CHANCERY_TEST_REFUSALS=50` runs all variants of routes; else a few.

mod resources;
mod routes;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::manifests::http_route;

/// The option that lets values pass that Envoy refuses.
const UNCHECKED: &str = "--test-unchecked-values";

/// Routes that are good, on the same port.
const GOOD: usize = 200;

/// How long a good edit, the naming of an offender and a recovery may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A route to the echo backend; `more` are further members of its rule.
fn route(name: &str, host: &str, more: &str, edit: usize) -> String {
    let rule = format!(
        "{more}
    filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-edit, value: \"{edit}\"}}]}}}}]
    backendRefs: [{{group: gateway.kgateway.dev, kind: Backend, name: echo}}]"
    );
    http_route(name, host, &rule)
}

fn good(number: usize, edit: usize) -> String {
    route(&format!("good-{number}"), &format!("good-{number}.test"), "matches: [{path: {value: /}}]", edit)
}

/// Waits until the status of a route says, or no longer says, that proxies refuse it.
async fn wait_for_status(fixture: &Fixture, name: &str, is_refused: bool) -> Result<Duration> {
    let started = Instant::now();
    eventually(DEADLINE, || async {
        let status = fixture.admin("/status").await?.json()?;
        let all = status["statuses"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|status| status["object"]["name"] == name);
        let says = found.is_some_and(|status| status["status"].to_string().contains("RejectedByProxy"));
        ensure!(says == is_refused, "{name}: {found:?}");
        anyhow::Ok(())
    })
    .await?;
    Ok(started.elapsed())
}

async fn wait_for_edit(fixture: &Fixture, number: usize, edit: usize) -> Result<Duration> {
    let started = Instant::now();
    eventually(DEADLINE, || async {
        let answer = get(fixture.address(), &format!("good-{number}.test"), "/").await?;
        let seen = answer.header("x-edit").map(str::to_owned);
        ensure!(seen == Some(edit.to_string()), "edit {edit} is not there, {seen:?} is");
        anyhow::Ok(())
    })
    .await?;
    Ok(started.elapsed())
}
