//! Expressions in matches of HTTPRoutes.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::load::Load;
use e2e::manifests::{gateway, static_backend};
use e2e::random::setting;

use super::{GOOD, LIMIT, UNCHECKED, good, route, wait_for_edit, wait_for_status};

/// Expressions that RE2 does not take.
const EXPRESSIONS: [&str; 9] =
    ["/a**", "/(", "/[", "/a{2,1}", "/(?ix)a", "/(?=a)", "/\\1", "/a{2000}", "/*)"];

/// The place of an expression in a match, and the host that the route shares.
#[derive(Clone, Copy, Debug)]
struct Variant {
    expression: &'static str,
    member: &'static str,
    host: &'static str,
}

fn variants() -> Vec<Variant> {
    let members = ["path", "header", "query"];
    // A host of its own, one that good routes have, and none at all.
    let hosts = ["bad.test", "good-7.test", ""];
    let all = EXPRESSIONS.iter().flat_map(|expression| {
        members
            .into_iter()
            .flat_map(move |member| hosts.map(move |host| Variant { expression, member, host }))
    });
    all.collect()
}

impl Variant {
    fn route(self, name: &str) -> String {
        let Self { expression, member, host } = self;
        let rule = match member {
            "path" => format!("path: {{type: RegularExpression, value: '{expression}'}}"),
            "header" => format!("headers: [{{name: x-a, type: RegularExpression, value: '{expression}'}}]"),
            _ => format!("queryParams: [{{name: a, type: RegularExpression, value: '{expression}'}}]"),
        };
        route(name, host, &format!("matches: [{{{rule}}}]"), 0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoy_refuses_costs_its_cause_alone() -> Result<()> {
    let count = setting("CHANCERY_TEST_REFUSALS", 6) as usize;
    let echo = EchoBackend::start("echo").await?;
    let (head, backend) = (gateway("gw", "PORT"), static_backend("echo", echo.address()));
    let routes: String = (2..GOOD).map(|number| good(number, 0)).collect();
    let files = [
        ("gateway.yaml", head.as_str()),
        ("backend.yaml", &backend),
        ("routes.yaml", &routes),
        ("edited.yaml", &good(0, 0)),
        ("loaded.yaml", &good(1, 0)),
    ];
    let fixture = Fixture::start_with(&files, &[UNCHECKED]).await?;
    wait_for_edit(&fixture, 0, 0).await?;
    let load = Load {
        address: fixture.address(),
        host: "good-1.test".into(),
        path: "/".into(),
        rate: NonZeroU32::new(500).unwrap(),
    }
    .start()?;
    let all = variants();
    let step = (all.len() / count).max(1);
    let (mut named, mut served, mut recovered) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut tried, mut edit) = (0, 0);
    for (at, variant) in all.iter().step_by(step).take(count).enumerate() {
        // Every third time two at once.
        let second = all[(at * step + 5) % all.len()];
        let mut bad = variant.route("bad");
        if at % 3 == 2 {
            bad += &second.route("worse");
        }
        fixture.save("bad.yaml", &bad)?;
        named = named.max(wait_for_status(&fixture, "bad", true).await?);
        if at % 3 == 2 {
            named = named.max(wait_for_status(&fixture, "worse", true).await?);
        }
        edit += 1;
        fixture.save("edited.yaml", &good(0, edit))?;
        let took = wait_for_edit(&fixture, 0, edit).await;
        let took = took.with_context(|| format!("beside {variant:?}: {}", fixture.chancery.log()))?;
        served = served.max(took);
        // Mended: its match is one that Envoy takes.
        let mended = route("bad", "bad.test", "matches: [{path: {value: /mended}}]", at);
        fixture.save("bad.yaml", &mended)?;
        recovered = recovered.max(wait_for_status(&fixture, "bad", false).await?);
        let answer = eventually(DEADLINE, || async {
            let answer = get(fixture.address(), "bad.test", "/mended").await?;
            ensure!(answer.status == 200, "{}", answer.status);
            anyhow::Ok(answer)
        })
        .await?;
        assert_eq!(answer.header("x-edit"), Some(at.to_string().as_str()));
        // And away, so that the next one is new and has no good version.
        fixture.save("bad.yaml", "# nothing\n")?;
        tried += 1;
    }
    let report = load.stop().await?;
    println!(
        "{tried} refused variants of {}: named after {named:?} at most, good edits beside them served after {served:?}, \
         recovered after {recovered:?}; {} requests, {} failed",
        all.len(),
        report.finished(),
        report.failed()
    );
    assert_eq!(report.failed(), 0, "{report:#?}\n{}", fixture.chancery.log());
    for (what, took) in [("named", named), ("served", served), ("recovered", recovered)] {
        assert!(took < LIMIT, "{what} after {took:?}");
    }
    Ok(())
}

/// With nothing accepted before, Envoy still gets to serve what is good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_cold_start_what_is_good_is_served_beside_what_is_refused() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let (head, backend) = (gateway("gw", "PORT"), static_backend("echo", echo.address()));
    let routes: String = (0..40).map(|number| good(number, 0)).collect();
    let bad: String =
        variants()[..2].iter().zip(["bad", "worse"]).map(|(variant, name)| variant.route(name)).collect();
    let files = [
        ("gateway.yaml", head.as_str()),
        ("backend.yaml", &backend),
        ("routes.yaml", &routes),
        ("bad.yaml", &bad),
    ];
    let fixture = Fixture::start_with(&files, &[UNCHECKED]).await?;
    for name in ["bad", "worse"] {
        wait_for_status(&fixture, name, true).await?;
    }
    for number in 0..40 {
        wait_for_edit(&fixture, number, 0).await?;
    }
    Ok(())
}
