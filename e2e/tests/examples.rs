//! The examples of HTTPRoute's capabilities, as they stand in `examples`, do what they show.

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::{DELAY_HEADER, STATUS_HEADER};
use e2e::examples::{Example, ROWS};
use e2e::fixture::DEADLINE;
use e2e::http::{Response, eventually, request, send};
use e2e::workspace::workspace_root;
use http::Method;

/// The header of a token of `examples/jwt`.
fn bearer(name: &str) -> Result<String> {
    let token = std::fs::read_to_string(workspace_root().join(format!("examples/jwt/{name}.token")))?;
    Ok(format!("Bearer {token}"))
}

/// Each row has a folder of its own that names it, which the list of examples has, and which a test runs.
#[test]
fn each_row_has_a_folder() -> Result<()> {
    let root = workspace_root();
    let list = std::fs::read_to_string(root.join("examples/README.md"))?;
    let tests = std::fs::read_to_string(root.join("e2e/tests/ai/rows.rs"))?
        + &std::fs::read_to_string(root.join("e2e/tests/examples.rs"))?;
    for (row, folder) in ROWS {
        let page = std::fs::read_to_string(root.join("examples").join(folder).join("README.md"))?;
        ensure!(page.starts_with(&format!("# {row}: ")), "{folder}: {page}");
        ensure!(list.contains(&format!("| {row} | [{folder}]({folder}/README.md) |")), "{folder}");
        ensure!(tests.contains(&format!("\"{folder}\"")), "no test runs {folder}");
    }
    Ok(())
}

async fn ask(example: &Example, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    send(example.fixture.address(), request(method, "a.test", path, headers, Bytes::new())?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror() -> Result<()> {
    let example = Example::start("mirror", &["shop", "shop-next"]).await?;
    for _ in 0..200 {
        assert_eq!(ask(&example, Method::GET, "/", &[]).await?.echo()?.identity, "shop");
    }
    eventually(DEADLINE, || async {
        let copies = example.backends[1].served();
        ensure!((60..=140).contains(&copies), "{copies} copies of half of 200");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors() -> Result<()> {
    let example = Example::start("cors", &["shop"]).await?;
    for (origin, allowed) in [
        ("https://www.example.com", Some("https://www.example.com")),
        ("https://a.partner.example", Some("https://a.partner.example")),
        ("https://evil.example", None),
    ] {
        let headers = [("origin", origin), ("access-control-request-method", "PUT")];
        let answer = ask(&example, Method::OPTIONS, "/", &headers).await?;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, allowed), "{origin}");
        let answer = ask(&example, Method::GET, "/", &headers).await?;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, allowed), "{origin}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts_and_retries() -> Result<()> {
    let example = Example::start("timeouts-and-retries", &["shop"]).await?;
    let recording = example.backends[0].record();
    let (busy, slow) = ([(STATUS_HEADER, "503")], [(DELAY_HEADER, "1000")]);
    for (method, path, headers, status, attempts) in [
        (Method::GET, "/read", &busy, 503, 4),
        (Method::GET, "/read", &slow, 504, 4),
        (Method::POST, "/write", &busy, 503, 1),
        (Method::POST, "/write", &slow, 200, 1),
        (Method::GET, "/export", &slow, 200, 1),
    ] {
        assert_eq!(ask(&example, method, path, headers).await?.status, status, "{path} {headers:?}");
        let seen = recording.take().len();
        // The limit of the request may end the last attempt before it begins.
        assert!(
            seen == attempts || (status == 504 && seen == attempts - 1),
            "{path} {headers:?}: {seen} attempts"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit() -> Result<()> {
    let example = Example::start("rate-limit", &["shop"]).await?;
    for (path, requests, fewest, most) in [("/search", 6, 2, 2), ("/", 30, 10, 15), ("/health", 30, 30, 30)] {
        let mut passed = 0;
        for _ in 0..requests {
            let status = ask(&example, Method::GET, path, &[]).await?.status;
            assert!(status == 200 || status == 429, "{path}: {status}");
            passed += usize::from(status == 200);
        }
        assert!((fewest..=most).contains(&passed), "{path}: {passed} passed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewrite_and_redirect() -> Result<()> {
    let example = Example::start("rewrite-and-redirect", &["shop"]).await?;
    let echo = ask(&example, Method::GET, "/api/v1/items?q=1", &[]).await?.echo()?;
    assert_eq!((echo.path.as_str(), echo.host.as_str()), ("/items?q=1", "shop.internal"));
    let port = example.fixture.port;
    for (path, status, location) in [
        ("/old/a", 308, format!("http://a.test:{port}/new/a")),
        ("/else?q=1", 301, "https://www.example.com/else?q=1".to_owned()),
    ] {
        let answer = ask(&example, Method::GET, path, &[]).await?;
        assert_eq!((answer.status, answer.header("location")), (status, Some(location.as_str())), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_split() -> Result<()> {
    let example = Example::start("traffic-split", &["shop", "shop-next"]).await?;
    let echo = ask(&example, Method::GET, "/", &[("x-tester", "true")]).await?.echo()?;
    assert_eq!((echo.identity.as_str(), echo.headers.get("x-canary")), ("shop-next", None));
    let mut canaries = 0;
    for _ in 0..300 {
        let echo = ask(&example, Method::GET, "/", &[]).await?.echo()?;
        let is_canary = echo.identity == "shop-next";
        assert_eq!(echo.headers.contains_key("x-canary"), is_canary);
        canaries += u32::from(is_canary);
    }
    assert!((9..=60).contains(&canaries), "{canaries} of 300 are a tenth");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_set() -> Result<()> {
    let example = Example::start("listener-set", &["shop"]).await?;
    for (host, status) in [("shop.example.com", 200), ("www.example.com", 404), ("other.example.com", 404)] {
        let answer = send(example.fixture.address(), request(Method::GET, host, "/", &[], Bytes::new())?);
        assert_eq!(answer.await?.status, status, "{host}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights() -> Result<()> {
    let example = Example::start_all(&["jwt", "rights"], &["shop"]).await?;
    let (alice, bob) = (bearer("alice")?, bearer("bob")?);
    for (path, token, status) in [
        ("/", Some(&bob), 200),
        ("/admin", None, 401),
        ("/admin", Some(&bob), 403),
        ("/admin", Some(&alice), 200),
    ] {
        let headers: Vec<_> = token.map(|token| ("authorization", token.as_str())).into_iter().collect();
        let answer = ask(&example, Method::GET, path, &headers).await?;
        assert_eq!(answer.status, status, "{path} {token:?}: {}", answer.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jwt() -> Result<()> {
    let example = Example::start("jwt", &["shop"]).await?;
    let (alice, bob) = (bearer("alice")?, bearer("bob")?);
    for (path, token, status) in
        [("/", None, 401), ("/", Some(&alice), 200), ("/", Some(&bob), 200), ("/health", None, 200)]
    {
        let mut headers = vec![("x-user", "root")];
        headers.extend(token.map(|token| ("authorization", token.as_str())));
        let answer = ask(&example, Method::GET, path, &headers).await?;
        assert_eq!(answer.status, status, "{path} {token:?}: {}", answer.text());
        if status == 200 {
            let user = answer.echo()?.headers.get("x-user").cloned().unwrap_or_default();
            let expected: &[&str] = if token == Some(&alice) {
                &["alice"]
            } else if token.is_some() {
                &["bob"]
            } else {
                &[]
            };
            assert_eq!(user, expected, "{path}");
        }
    }
    Ok(())
}

/// The service of the example is a script, which `commands.rs` runs. The stand-in for it here lets everything pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ext_auth() -> Result<()> {
    let example = Example::start("ext-auth", &["shop", "auth"]).await?;
    let asked = example.backends[1].record();
    for (path, questions) in [("/a", 1), ("/health", 0)] {
        assert_eq!(ask(&example, Method::GET, path, &[]).await?.echo()?.identity, "shop", "{path}");
        let asked = asked.take();
        assert_eq!(asked.len(), questions, "{path}: {asked:?}");
        assert!(asked.iter().all(|asked| asked.path() == "/check/a"), "{asked:?}");
    }
    Ok(())
}
