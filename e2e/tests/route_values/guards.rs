//! Rules that cannot be carried out, beside wider rules that their requests must not fall to.

use anyhow::{Result, ensure};
use http::Method;

use super::{World, route};

const BAD: [&str; 5] = ["(?=a)", "a**", "(", "[[:foo:]]", r"(a)\1"];

/// The wider rule for everything, and one for the guarded path that asks for a header less.
const WIDER: &str = "  - matches: [{path: {value: /}}]\n    backendRefs: [{name: echo, port: 80}]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_cannot_be_carried_out_answers_500_where_it_stood() -> Result<()> {
    let mut documents = route("wider", WIDER);
    let mut guarded = Vec::new();
    for (number, bad) in BAD.iter().enumerate() {
        for (place, spec) in [
            ("headers", "headers: [{name: x-role, type: RegularExpression, value: 'BAD'}]"),
            ("queryParams", "queryParams: [{name: role, type: RegularExpression, value: 'BAD'}]"),
        ] {
            for method in [None, Some("POST")] {
                let path = format!("/admin/{place}-{number}-{}", method.unwrap_or("any"));
                let and_method = method.map(|method| format!("method: {method}, ")).unwrap_or_default();
                let rules = format!(
                    "  - matches: [{{path: {{type: Exact, value: {path}}}, {and_method}{}}}]\n    backendRefs: [{{name: echo, port: 80}}]\n",
                    spec.replace("BAD", bad)
                );
                documents += &route(&format!("r{}", guarded.len()), &rules);
                guarded.push((path, method, place));
            }
        }
    }
    // At a cold start: nothing was served before.
    let world = World::start(&documents).await?;
    for (number, (path, method, place)) in guarded.iter().enumerate() {
        for sent in [Method::GET, Method::POST] {
            let guarded = method.is_none_or(|method| method == sent.as_str());
            let answer = world.ask(sent.clone(), "a.test", path, &[]).await?;
            ensure!(answer.status == if guarded { 500 } else { 200 }, "{sent} {path}: {}", answer.status);
        }
        ensure!(
            world.get(&format!("{path}/below")).await?.status == 200,
            "an exact path has nothing below it"
        );
        let status = world.status_text(&format!("r{number}")).await?;
        ensure!(status.contains(&format!("spec.rules[0].matches[0].{place}[0].value")), "{status}");
        ensure!(
            status.contains(r#""status":"False","type":"Accepted""#) || status.contains("UnsupportedValue"),
            "{status}"
        );
    }
    ensure!(world.get("/other").await?.status == 200, "everything else is served");
    Ok(())
}

/// An expression for the path of which nothing is known cannot guard anything; all others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_expression_for_a_path_costs_its_own_match_alone() -> Result<()> {
    let mut documents = route("wider", WIDER);
    for (number, bad) in BAD.iter().enumerate() {
        let rules = format!(
            "  - matches: [{{path: {{type: RegularExpression, value: '{bad}'}}}}, {{path: {{value: /good{number}}}}}]\n    \
             filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-rule, value: r{number}}}]}}}}]\n    \
             backendRefs: [{{name: echo, port: 80}}]\n"
        );
        documents += &route(&format!("r{number}"), &rules);
    }
    let world = World::start(&documents).await?;
    for number in 0..BAD.len() {
        let answer = world.get(&format!("/good{number}")).await?;
        ensure!(
            answer.header("x-rule") == Some(format!("r{number}").as_str()),
            "{number}: {}",
            answer.status
        );
        let status = world.status_text(&format!("r{number}")).await?;
        ensure!(status.contains("spec.rules[0].matches[0].path.value"), "{status}");
    }
    // A later edit of another route on the port arrives.
    let all = world.fixture.read("all.yaml")?.replace("value: /good0", "value: /better");
    world.fixture.save("all.yaml", &all)?;
    let arrived = e2e::http::eventually(e2e::fixture::DEADLINE, || async {
        ensure!(world.get("/better").await?.header("x-rule") == Some("r0"), "not yet");
        anyhow::Ok(())
    });
    arrived.await
}
