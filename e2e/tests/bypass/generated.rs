//! Generated neighbours of the written cases, of which only the rule itself is asked.

use anyhow::{Result, ensure};
use e2e::random::{Random, setting};

use super::{CASE, World, http2};

const PIECES: &[&str] = &[
    "/", "/", "/", "admin", "admin", "exact", "x", ".", "..", "%2e", "%2E%2e", "..;", ".;a=b", "\\", "//",
    "%61dmin", "adm%69n", "%252f", "%c0%af", ";", "?", "%3f", "%23", "%20", "a", "%", "%2", "%u002f", "*",
    ":80", "@", "~", "|",
];

/// Rarer, since nearly all of it is refused.
const ODD_PIECES: &[&str] =
    &["%2f", "%5C", "#", "\t", " ", "%00", "\u{ff0f}", "http://admin.test/", "\x01", "\x7f"];

fn path(random: &mut Random) -> String {
    let mut path = if random.below(32) == 0 { String::new() } else { "/".to_owned() };
    for _ in 0..random.below(7) {
        let pieces = if random.below(24) == 0 { ODD_PIECES } else { PIECES };
        path.push_str(random.pick(pieces));
    }
    path
}

const HOSTS: &[&str] = &[
    "a.test",
    "a.test",
    "a.test:80",
    "admin.test",
    "ADMIN.test",
    "admin.test.",
    "admin.test:99",
    "admin.test,a.test",
    "a.test@admin.test",
    "admin.test#",
    "admin.test/",
    "[::1]",
    "admin%2etest",
    "admin.test..",
    "admin.test...",
    "admin.test....:80",
    "admin.test;a",
    "admin.test:80:90",
    "",
];

const LINES: &[&str] = &[
    "X-Guard: yes",
    "x-guard:yes",
    "X-Guard : yes",
    "X-Guard:\tyes",
    "X_Guard: yes",
    " X-Guard: yes",
    "X-Guard: no, yes",
    "X-Guard: no\nX-Guard: yes",
    "X-Guard: yes\r",
    "Connection: x-guard",
    "Connection: close",
    "Connection: Host",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: 05",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding: x",
    "Transfer-encoding: \x0bchunked",
    "Host: admin.test",
    "host: a.test",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "TE: trailers",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "X-HTTP-Method-Override: PATCH",
    "A: b",
];

const BODIES: &[&str] = &[
    "",
    "",
    "",
    "abcde",
    "0\r\n\r\n",
    "5\r\nabcde\r\n0\r\n\r\n",
    "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "5 \r\nabcde\r\n0\r\n\r\n",
    "0;a\r\nX-Guard: yes\r\n\r\n",
    "abcdeGET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n",
];

const METHODS: &[&str] =
    &["GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "patch", "CONNECT"];

fn over_http1(random: &mut Random, case: &str) -> Vec<u8> {
    let method = random.pick(METHODS);
    let version = random.pick(&[
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.1",
        "HTTP/1.0",
        "http/1.1",
        "HTTP/1.1 ",
    ]);
    let end = random.pick(&["\r\n", "\r\n", "\r\n", "\r\n", "\n"]);
    let mut request = format!(
        "{method} {} {version}{end}Host: {}{end}{CASE}: {case}{end}",
        path(random),
        random.pick(HOSTS)
    );
    for _ in 0..random.below(3) {
        request += random.pick(LINES);
        request += end;
    }
    request += end;
    request += random.pick(BODIES);
    request.into_bytes()
}

fn over_http2(random: &mut Random, case: &str) -> Vec<u8> {
    let mut fields = vec![
        (b":method".to_vec(), random.pick(METHODS).into()),
        (b":scheme".to_vec(), random.pick(&["http", "https", "file", ""]).into()),
        (b":authority".to_vec(), random.pick(HOSTS).into()),
        (b":path".to_vec(), path(random).into_bytes()),
    ];
    if random.below(16) == 0 {
        let at = random.below(fields.len());
        fields.swap(0, at);
    }
    if random.below(20) == 0 {
        fields.remove(random.below(4));
    }
    fields.push((CASE.into(), case.into()));
    for _ in 0..random.below(2) {
        let line = random.pick(LINES);
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = if random.below(3) == 0 { name.to_owned() } else { name.to_ascii_lowercase() };
        fields.push((name.into_bytes(), value.trim_start().into()));
    }
    let body = random.pick(BODIES);
    http2::connection(&fields, (!body.is_empty()).then_some(body.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_generated_request_gets_round_a_rule() -> Result<()> {
    let seed = setting("CHANCERY_SEED", 0x9E37_79B9_7F4A_7C15);
    println!("CHANCERY_SEED={seed}");
    let mut random = Random::new(seed);
    let world = World::start().await?;
    let mut sent = 0;
    for round in 0..setting("CHANCERY_CASES", 1) * 8 {
        let requests: Vec<_> = (0..100)
            .map(|index| {
                let case = format!("generated-{round}-{index}");
                if index % 2 == 0 { over_http1(&mut random, &case) } else { over_http2(&mut random, &case) }
            })
            .collect();
        sent += requests.len();
        let tasks: Vec<_> = requests
            .into_iter()
            .map(|bytes| {
                let world = world.clone();
                tokio::spawn(async move { world.exchange(&bytes).await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        world.check_open()?;
    }
    let (guard, open) = (world.guard.count(), world.open.count());
    println!("{sent} requests: {open} to the open backend, {guard} to the guarded one");
    ensure!(open > sent / 50 && guard > sent / 50, "both backends are reached");
    ensure!(world.fixture.admin("/readyz").await?.status == 200, "all is well");
    Ok(())
}
