//! `internalRedirect`.

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, request, send};
use e2e::manifests::{gateway, http_route, loopback_service};
use http::Method;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::world::of_route;

/// A backend that redirects `/STATUS/REST` to `/REST` of the same host with that status, and answers everything else with what it
/// got.
async fn start_redirecting() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).await? == 0 {
                            return anyhow::Ok(());
                        }
                    }
                    let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
                    let answer = match path.split_once('/') {
                        Some((status, rest)) if status.parse::<u16>().is_ok() => format!(
                            "HTTP/1.1 {status} Moved\r\nLocation: http://a.test/{rest}\r\nX-Step: {status}\r\nContent-Length: 0\r\n\r\n"
                        ),
                        _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len()),
                    };
                    stream.get_mut().write_all(answer.as_bytes()).await?;
                }
            });
        }
    });
    Ok(port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_as_a_policy_says() -> Result<()> {
    let objects = [
        gateway("gw", "PORT"),
        http_route("r", "a.test", "backendRefs: [{name: main, port: 80}]"),
        loopback_service("main", "TCP", start_redirecting().await?),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    let ask = |path: &'static str| {
        let request = request(Method::GET, "a.test", path, &[], "".into());
        async { send(fixture.address(), request?).await }
    };
    // Without a policy the client gets them.
    assert_eq!(ask("/302/end").await?.status, 302);
    for (members, path, status, expected) in [
        ("{}", "/302/end", 200, "GET /end "),
        ("{}", "/301/end", 301, ""),
        ("{}", "/302/302/end", 302, ""),
        ("{maxRedirects: 2}", "/302/302/end", 200, "GET /end "),
        ("{redirectResponseCodes: [301, 308]}", "/308/end", 200, "GET /end "),
        ("{redirectResponseCodes: [301, 308]}", "/302/end", 302, ""),
        ("{responseHeadersToCopy: [X-Step]}", "/302/end", 200, "x-step: 302"),
    ] {
        fixture.save("policy.yaml", &of_route("r", &format!("internalRedirect: {members}")))?;
        eventually(DEADLINE, || async {
            let answer = ask(path).await?;
            ensure!(answer.status == status, "{members} {path}: {} {}", answer.status, answer.text());
            ensure!(answer.text().contains(expected), "{members} {path}: {}", answer.text());
            Ok(())
        })
        .await?;
    }
    Ok(())
}
