//! What is wrong in a file is said with file, document and field, and the rest keeps serving.

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::manifests::{gateway, http_route, static_backend};
use e2e::scenario::Chancery;

fn good(echo: &EchoBackend) -> String {
    gateway("gw", "PORT") + &static_backend("echo", echo.address()) + &route("good", "good.test")
}

fn route(name: &str, host: &str) -> String {
    http_route(name, host, "backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: echo}]")
}

/// A broken file, what the log must say of it (file, document, field), and nothing else.
struct Row {
    what: &'static str,
    content: String,
    said: &'static [&'static str],
}

fn rows() -> Vec<Row> {
    let second = |broken: &str| route("beside", "beside.test") + broken;
    vec![
        Row {
            what: "broken YAML",
            content: second("apiVersion: v1\nkind: Secret\nmetadata: {name: [\n"),
            said: &["broken.yaml", "document 2"],
        },
        Row {
            what: "an unknown field",
            content: second(&route("odd", "odd.test").replace("hostnames:", "hostname: x\n  hostnames:")),
            said: &["broken.yaml", "document 2", "HTTPRoute default/odd", "spec.hostname"],
        },
        Row {
            what: "a wrong type",
            content: second(&route("odd", "odd.test").replace("[odd.test]", "odd.test")),
            said: &["broken.yaml", "document 2", "HTTPRoute default/odd", "spec.hostnames"],
        },
        Row {
            what: "a reference to nothing",
            content: second(&route("odd", "odd.test").replace("name: echo", "name: nobody")),
            said: &[
                "broken.yaml:",
                "HTTPRoute default/odd",
                "spec.rules[0].backendRefs[0]",
                "Backend default/nobody does not exist",
            ],
        },
        Row {
            what: "two objects of one name",
            content: second(&route("good", "odd.test")),
            said: &["broken.yaml", "document 2", "HTTPRoute default/good", "good.yaml"],
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_says_where_and_the_rest_keeps_serving() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let fixture = Fixture::start(&[("good.yaml", &good(&echo))]).await?;
    for Row { what, content, said } in rows() {
        let matching = || {
            let says_all = |line: &&str| said.iter().all(|word| line.contains(word));
            fixture.chancery.log().lines().filter(says_all).count()
        };
        let before = matching();
        // A name that sorts after good.yaml would be `z`; before it, the broken file would be the first.
        fixture.save("zz-broken.yaml", &content)?;
        eventually(DEADLINE, || async {
            ensure!(matching() > before, "{what}: no line with {said:?} in\n{}", fixture.chancery.log());
            // The good document of the same file is served, and so is the other file.
            for host in ["beside.test", "good.test"] {
                let answer = get(fixture.address(), host, "/").await?;
                ensure!(answer.status == 200, "{what}: {host} answers {}", answer.status);
            }
            anyhow::Ok(())
        })
        .await?;
        fixture.delete("zz-broken.yaml")?;
        eventually(DEADLINE, || async {
            let answer = get(fixture.address(), "beside.test", "/").await?;
            ensure!(answer.status == 404, "the deleted file is still served");
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_breaks_keeps_its_last_good_version() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let content = good(&echo);
    let fixture = Fixture::start(&[("good.yaml", &content)]).await?;
    for broken in [
        content.replace("kind: HTTPRoute", "kind: [HTTPRoute"),
        content.replace("hostnames: [good.test]", "hostnames: [good.test]\n  colour: blue"),
        content.replace("hostnames: [good.test]", "hostnames: 7"),
    ] {
        let reports = || fixture.chancery.log().matches("good.yaml").count();
        let before = reports();
        fixture.save("good.yaml", &broken)?;
        eventually(DEADLINE, || async {
            ensure!(reports() > before, "not reported:\n{}", fixture.chancery.log());
            Ok(())
        })
        .await?;
        assert_eq!(get(fixture.address(), "good.test", "/").await?.status, 200, "{broken}");
        fixture.save("good.yaml", &content)?;
    }
    fixture.save("good.yaml", &content.replace("good.test", "mended.test"))?;
    eventually(DEADLINE, || async {
        ensure!(get(fixture.address(), "mended.test", "/").await?.status == 200, "not yet");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_prints_one_line_per_problem_and_exits_with_one() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let echo = EchoBackend::start("echo").await?;
    std::fs::write(folder.path().join("good.yaml"), good(&echo).replace("PORT", "8080"))?;
    let check = || Chancery::output("check", &["good.yaml", "broken.yaml"], folder.path());
    for Row { what, content, said } in rows() {
        std::fs::write(folder.path().join("broken.yaml"), content)?;
        let output = check()?;
        let text = String::from_utf8(output.stdout)?;
        assert_eq!(output.status.code(), Some(1), "{what}: {text}");
        let lines: Vec<_> = text.lines().filter(|line| said.iter().all(|word| line.contains(word))).collect();
        assert_eq!(lines.len(), 1, "{what}: {said:?} in\n{text}");
    }
    std::fs::write(folder.path().join("broken.yaml"), "")?;
    let output = check()?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        ["broken.yaml: warning: the file holds no object", "3 objects in 2 files: 0 problems, 1 warning"]
    );
    assert_eq!(Chancery::output("check", &["--nonsense"], folder.path())?.status.code(), Some(2));
    Ok(())
}
