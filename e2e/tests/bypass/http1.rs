//! HTTP/1.1, byte by byte.

use anyhow::Result;

use super::End::{self, Guard, Nowhere, Open};
use super::{CASE, Case, World, run};

/// The status of the first answer; 0 if there is none.
pub(crate) fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// A request whose bytes are written out; `CASE` in them is replaced by a header that names the case.
fn raw(what: &str, bytes: &'static [u8], end: End, status: &'static [u16]) -> Case {
    let template = bytes.to_vec();
    let bytes = move |case: &str| replace(&template, b"CASE", format!("{CASE}: {case}").as_bytes());
    Case { family: "http1", what: what.to_owned(), bytes: Box::new(bytes), end, status }
}

pub(crate) fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

/// A request for a target.
fn target(target: &'static str, end: End, status: &'static [u16]) -> Case {
    with("GET", target, "Host: a.test\r\n", "", end, status)
}

/// A request with header lines and a body.
fn with(
    method: &'static str,
    target: &'static str,
    headers: &'static str,
    body: &'static str,
    end: End,
    status: &'static [u16],
) -> Case {
    let bytes = move |case: &str| {
        format!("{method} {target} HTTP/1.1\r\n{headers}{CASE}: {case}\r\n\r\n{body}").into_bytes()
    };
    Case {
        family: "http1",
        what: format!("{method} {target} {headers:?} {body:?}"),
        bytes: Box::new(bytes),
        end,
        status,
    }
}

const OK: &[u16] = &[200];
const BAD: &[u16] = &[400];
/// A second request for the guarded path, hidden in the body of the first.
const HIDDEN: &str = "GET /admin/hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_served_by_the_rule_of_what_is_forwarded() -> Result<()> {
    let world = World::start().await?;
    let cases = vec![
        target("/", Open, OK),
        target("/admin", Guard, OK),
        target("/exact", Guard, OK),
        target("/exact/", Open, OK),
        target("/administrator", Open, OK),
        target("/%61dmin", Guard, OK),
        target("/%61%64%6d%69%6E/x", Guard, OK),
        target("//admin", Guard, OK),
        target("/./admin", Guard, OK),
        target("/x/../admin", Guard, OK),
        target("/x/%2e%2e/admin", Guard, OK),
        target("/x/%2E./admin", Guard, OK),
        target("/x/.%2e/admin", Guard, OK),
        target("/x/..;/admin", Guard, OK),
        target("/x/..;y=1/admin", Guard, OK),
        target("/admin/..", Open, OK),
        target("/admin/../x", Open, OK),
        target("/../admin", Guard, OK),
        target("/admin;x", Open, OK),
        target("/admin/;x", Guard, OK),
        target("/exact;", Open, OK),
        target("/exact?/x", Guard, OK),
        target("/x?/../admin", Open, OK),
        target("/exact%3f", Open, OK),
        target("/%2fadmin", Nowhere, &[307]),
        target("/x%2f..%2fadmin", Nowhere, &[307]),
        target("/x%5c..%5cadmin", Nowhere, &[307]),
        target("/x/..%2Fadmin", Nowhere, &[307]),
        target("/x\\..\\admin", Guard, OK),
        target("\\admin", Nowhere, BAD),
        target("/%252fadmin", Open, OK),
        target("/x/%252e%252e/admin", Open, OK),
        target("/%2561dmin", Open, OK),
        target("/x/%c0%ae%c0%ae/admin", Open, OK),
        target("/x/%e0%80%ae/admin", Open, OK),
        target("/admin%00", Nowhere, BAD),
        target("/%00/../admin", Nowhere, BAD),
        target("/admin%20", Open, OK),
        target("/admin%09", Open, OK),
        target("/admin%0d%0a", Open, OK),
        target("/admin#x", Nowhere, BAD),
        target("/x#/../admin", Nowhere, BAD),
        target("/ad\tmin", Nowhere, BAD),
        target("/admin\x01", Nowhere, BAD),
        target("/admin\x7f", Nowhere, BAD),
        target("/\u{e4}", Nowhere, BAD),
        target("/ADMIN", Open, OK),
        target("admin", Nowhere, BAD),
        target("", Nowhere, BAD),
        target("*", Nowhere, BAD),
        with("OPTIONS", "*", "Host: a.test\r\n", "", Nowhere, &[404]),
    ];
    run(&world, cases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_served_by_the_rule_of_what_is_forwarded() -> Result<()> {
    let world = World::start().await?;
    let host = |host: &'static str, end, status| with("GET", "/", host, "", end, status);
    let cases = vec![
        host("Host: admin.test\r\n", Guard, OK),
        host("Host: ADMIN.Test\r\n", Guard, OK),
        host("Host: admin.test:80\r\n", Guard, OK),
        host("Host: admin.test:\r\n", Guard, OK),
        host("Host: admin.test.\r\n", Guard, OK),
        host("Host: admin.test.:8080\r\n", Guard, OK),
        host("Host:admin.test\r\n", Guard, OK),
        host("Host: admin.test..\r\n", Nowhere, BAD),
        host("Host: ADMIN.TEST....:80\r\n", Nowhere, BAD),
        host("Host: admin.test:80:90\r\n", Nowhere, BAD),
        host("Host: [admin.test]\r\n", Nowhere, BAD),
        host("Host: admin.test;x\r\n", Nowhere, BAD),
        host("Host: .admin.test\r\n", Nowhere, BAD),
        host("Host: 127.0.0.1:80\r\n", Open, OK),
        host("Host: [::1]:80\r\n", Open, OK),
        host("Host: a_b.test\r\n", Open, OK),
        host("Host: \t admin.test \t\r\n", Guard, OK),
        host("", Nowhere, BAD),
        host("Host:\r\n", Nowhere, BAD),
        host("Host: a.test\r\nHost: admin.test\r\n", Nowhere, BAD),
        host("Host: admin.test\r\nHost: a.test\r\n", Nowhere, BAD),
        host("Host: a.test\r\nhost: a.test\r\n", Nowhere, BAD),
        host("Host: a.test@admin.test\r\n", Nowhere, BAD),
        host("Host: admin.test@a.test\r\n", Nowhere, BAD),
        host("Host: admin.test/x\r\n", Nowhere, BAD),
        host("Host: admin.test, a.test\r\n", Nowhere, BAD),
        host("Host: admin.test\0\r\n", Nowhere, BAD),
        host("Host: admin%2etest\r\n", Nowhere, BAD),
        host("Host : admin.test\r\n", Nowhere, BAD),
        host("X-Forwarded-Host: admin.test\r\nHost: a.test\r\n", Open, OK),
        with("GET", "http://admin.test/", "Host: a.test\r\n", "", Guard, OK),
        with("GET", "http://a.test/", "Host: admin.test\r\n", "", Open, OK),
        with("GET", "http://a.test/admin", "Host: a.test\r\n", "", Guard, OK),
        with("GET", "http://a.test", "Host: a.test\r\n", "", Open, OK),
        with("GET", "http://a.test//x/../admin", "Host: a.test\r\n", "", Guard, OK),
        with("GET", "http://x@admin.test/", "Host: a.test\r\n", "", Guard, OK),
        with("GET", "https://admin.test/", "Host: a.test\r\n", "", Nowhere, &[403]),
        with("GET", "ftp://admin.test/", "Host: a.test\r\n", "", Nowhere, BAD),
        with("CONNECT", "admin.test:80", "Host: admin.test:80\r\n", "", Nowhere, &[404]),
        with("GET", "admin.test:80", "Host: a.test\r\n", "", Nowhere, BAD),
    ];
    run(&world, cases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_end_where_the_proxy_says() -> Result<()> {
    let world = World::start().await?;
    let post = |headers: &'static str, body: &'static str, end, status| {
        with("POST", "/", headers, body, end, status)
    };
    let cases = vec![
        post("Host: a.test\r\nContent-Length: 3\r\n", "abc", Open, OK),
        post("Host: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: 3\r\nContent-Length: 48\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: 3, 3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: +3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: -3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: 0x3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: 3 4\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length:   3  \r\n", "abc", Open, OK),
        post("Host: a.test\r\nContent-Length: 99999999999999999999\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length:\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length : 3\r\n", "abc", Nowhere, BAD),
        post("Host: a.test\r\nContent_Length: 3\r\n", "", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", Open, OK),
        post("Host: a.test\r\nTransfer-Encoding: Chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", Open, OK),
        post("Host: a.test\r\nTransfer-Encoding: chunked \r\n", "3\r\nabc\r\n0\r\n\r\n", Open, OK),
        post("Host: a.test\r\nTransfer-Encoding:\tchunked\r\n", "3\r\nabc\r\n0\r\n\r\n", Open, OK),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: identity, chunked\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: identity\r\n", "", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: xchunked\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding: chunk\r\n ed\r\n", "0\r\n\r\n", Nowhere, &[400, 501]),
        post("Host: a.test\r\nTransfer-Encoding\r\n : chunked\r\n", "0\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer_Encoding: chunked\r\n", "0\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "x\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "-1\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "3;x=y\r\nabc\r\n0\r\n\r\n", Open, OK),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "3\r\nabcGET /admin HTTP/1.1\r\n\r\n", Nowhere, BAD),
        post("Host: a.test\r\nTransfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\nHost: admin.test\r\n\r\n", Open, OK),
        // What follows a body is a request of its own, and goes to its own rule.
        post("Host: a.test\r\nContent-Length: 3\r\n", concat_hidden(), Open, OK),
        raw("a hidden request in a body", b"POST / HTTP/1.1\r\nHost: a.test\r\nCASE\r\nContent-Length: 48\r\n\r\nGET /admin/hidden HTTP/1.1\r\nHost: a.test\r\n\r\n....", Open, OK),
    ];
    run(&world, cases).await
}

fn concat_hidden() -> &'static str {
    const BODY: &str = "abcGET /admin/hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";
    debug_assert!(BODY.ends_with(HIDDEN));
    BODY
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_served_by_the_rule_of_what_is_forwarded() -> Result<()> {
    let world = World::start().await?;
    let get = |headers: &'static str, end, status| with("GET", "/", headers, "", end, status);
    let cases = vec![
        get("Host: a.test\r\nX-Guard: yes\r\n", Guard, OK),
        get("Host: a.test\r\nx-GUARD:yes\r\n", Guard, OK),
        get("Host: a.test\r\nX-Guard: \t yes \r\n", Guard, OK),
        get("Host: a.test\r\nX_Guard: yes\r\n", Nowhere, BAD),
        get("Host: a.test\r\nX-Guard : yes\r\n", Nowhere, BAD),
        get("Host: a.test\r\nX-Guard: y\r\n es\r\n", Open, OK),
        get("Host: a.test\r\n X-Guard: yes\r\n", Nowhere, BAD),
        get("Host: a.test\r\nX-Guard: yes\0\r\n", Nowhere, BAD),
        get("Host: a.test\r\nX-Guard: no\rX-Guard: yes\r\n", Open, OK),
        get("Host: a.test\r\nX-Guard\r\n", Nowhere, BAD),
        get("Host: a.test\r\n: yes\r\n", Nowhere, BAD),
        // A header that `Connection` names goes no further than the proxy.
        get("Host: a.test\r\nX-Guard: yes\r\nConnection: x-guard\r\n", Open, OK),
        get("Host: a.test\r\nX-Guard: yes\r\nConnection: close, X-Guard\r\n", Open, OK),
        get("Host: a.test\r\nConnection: host\r\n", Nowhere, BAD),
        get("Host: a.test\r\nConnection: close\r\n", Open, OK),
        get("Host: a.test\r\nConnection: content-length\r\nContent-Length: 0\r\n", Open, OK),
        get("Host: a.test\r\nConnection: transfer-encoding\r\n", Open, OK),
        get(
            "Host: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            Open,
            OK,
        ),
        get(
            "Host: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            Nowhere,
            &[403],
        ),
        get("Host: a.test\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n", Nowhere, &[403]),
        with("PATCH", "/", "Host: a.test\r\n", "", Guard, OK),
        with("patch", "/", "Host: a.test\r\n", "", Nowhere, BAD),
        with("GET", "/", "Host: a.test\r\nX-HTTP-Method-Override: PATCH\r\n", "", Open, OK),
        with("FOO", "/", "Host: a.test\r\n", "", Nowhere, BAD),
        with(
            "POST",
            "/",
            "Host: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n",
            "abc",
            Open,
            &[100],
        ),
        raw("HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a.test\r\nCASE\r\n\r\n", Nowhere, &[426]),
        raw("HTTP/0.9", b"GET /\r\n", Nowhere, &[0, 400, 426]),
        raw("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a.test\r\nCASE\r\n\r\n", Nowhere, &[426]),
        raw("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a.test\r\nCASE\r\n\r\n", Nowhere, &[426]),
        raw("bare line feeds", b"GET / HTTP/1.1\nHost: a.test\nCASE\n\n", Open, OK),
        raw(
            "a bare line feed that splits a header",
            b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\nX-Guard: yes\r\nCASE\r\n\r\n",
            Guard,
            OK,
        ),
        raw(
            "an empty line before the request",
            b"\r\n\r\nGET /admin HTTP/1.1\r\nHost: a.test\r\nCASE\r\n\r\n",
            Guard,
            OK,
        ),
        raw(
            "two spaces in the request line",
            b"GET  /admin HTTP/1.1\r\nHost: a.test\r\nCASE\r\n\r\n",
            Guard,
            OK,
        ),
        raw(
            "a path behind the version",
            b"GET / HTTP/1.1 /admin\r\nHost: a.test\r\nCASE\r\n\r\n",
            Nowhere,
            BAD,
        ),
    ];
    run(&world, cases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_connection_go_each_to_its_own_rule() -> Result<()> {
    let world = World::start().await?;
    let (first, second) = (
        "GET / HTTP/1.1\r\nHost: a.test\r\nx-case: pipelined-1\r\n\r\n",
        "GET /admin HTTP/1.1\r\nHost: a.test\r\nx-case: pipelined-2\r\n\r\n",
    );
    for number in 0..8 {
        let name = |which: usize| format!("{number}-{which}");
        let first = first.replace("pipelined-1", &name(1));
        let second = second.replace("pipelined-2", &name(2));
        world.exchange(format!("{first}{second}{first}").as_bytes()).await?;
        assert_eq!(world.end_of(&name(1))?, Open);
        assert_eq!(world.end_of(&name(2))?, Guard);
    }
    world.check_open()
}
