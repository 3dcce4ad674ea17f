//! Who is refused, and who is not.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use super::super::Patience;
use super::harness::{AUDIENCE, Client, DELTA, LIMITS, Port, SOTW, holds, soon, token};

/// Every method of every service that Envoy's API describes, and some that it does not.
fn methods() -> Vec<String> {
    let pool = proto::descriptors::pool();
    let described = pool.services().flat_map(|service| {
        let methods: Vec<String> =
            service.methods().map(|method| format!("/{}/{}", service.full_name(), method.name())).collect();
        methods
    });
    let others = [
        "/",
        "/healthz",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ];
    described.chain(others.map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_method_refuses_every_caller_that_is_not_a_proxy() {
    let port = Port::open(Patience::default()).await;
    let revoked = port.reviewer.issue("shop", "web", 3600);
    port.reviewer.revoke(&revoked);
    let rows = [
        ("no token", None, Code::Unauthenticated),
        ("a forged token", Some(token(AUDIENCE, 3600)), Code::Unauthenticated),
        ("not a token", Some(super::super::BearerToken::new("x")), Code::Unauthenticated),
        ("an expired token", Some(port.reviewer.issue("shop", "web", -1)), Code::Unauthenticated),
        ("a token for others", Some(token("https://kubernetes.default.svc", 3600)), Code::Unauthenticated),
        ("the token of a deleted pod", Some(revoked), Code::Unauthenticated),
        (
            "another service account",
            Some(port.reviewer.issue("shop", "default", 3600)),
            Code::PermissionDenied,
        ),
        ("another namespace", Some(port.reviewer.issue("elsewhere", "web", 3600)), Code::PermissionDenied),
    ];
    let methods = methods();
    for path in [DELTA, SOTW] {
        assert!(methods.iter().any(|method| method == path), "{path}");
    }
    let mut client = port.connect().await;
    for path in &methods {
        for (name, token, expected) in &rows {
            let (code, bytes) = client.refused(path, token.as_ref()).await;
            assert_eq!((code, bytes.len()), (*expected, 0), "{name}: {path}");
        }
    }
}

#[tokio::test]
async fn a_proxy_gets_what_is_its_own_whatever_the_node_claims() {
    let port = Port::open(Patience::default()).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    for path in [DELTA, SOTW] {
        let message = client.call(path, Some(&token)).await.message().await;
        assert!(holds(&message, "canary-web"), "{path}");
        assert!(!holds(&message, "canary-other"), "{path}");
    }
}

#[tokio::test]
async fn a_proxy_gets_nothing_from_other_methods() {
    let port = Port::open(Patience::default()).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    for path in methods().iter().filter(|path| ![DELTA, LIMITS, SOTW].contains(&path.as_str())) {
        let (code, bytes) = client.refused(path, Some(&token)).await;
        assert_eq!((code, bytes.len()), (Code::Unimplemented, 0), "{path}");
    }
}

#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let port = Port::open(Patience::default()).await;
    let old = Client::connect(port.address, &port.bundle(), &rustls::version::TLS12).await;
    assert!(old.is_err());

    // The preface of HTTP/2 in plain text.
    let mut plain = TcpStream::connect(port.address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(plain.read_to_end(&mut answer)).await;
    // At most a TLS alert.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

#[tokio::test]
async fn a_proxy_that_trusts_another_authority_turns_away() {
    let (port, other) = (Port::open(Patience::default()).await, Port::open(Patience::default()).await);
    assert!(Client::connect(port.address, &other.bundle(), &rustls::version::TLS13).await.is_err());
}

#[tokio::test]
async fn one_pod_has_few_streams() {
    let port = Port::open(Patience { max_streams_per_peer: 2, ..Patience::default() }).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let other = port.reviewer.issue("shop", "other", 3600);
    let mut client = port.connect().await;
    let mut first = client.call(DELTA, Some(&token)).await;
    first.message().await;
    let mut second = client.call(DELTA, Some(&token)).await;
    second.message().await;
    assert_eq!(client.refused(DELTA, Some(&token)).await.0, Code::ResourceExhausted);
    client.call(DELTA, Some(&other)).await.message().await;
    drop(first);
    // The server hears of the reset in its own time.
    soon(async {
        while client.call(DELTA, Some(&token)).await.response_code() == Some(Code::ResourceExhausted) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn questions_about_limits_are_asked_without_end_but_not_without_a_token() {
    let patience = Patience { max_streams_per_peer: 1, new_streams_per_second: 1, ..Patience::default() };
    let port = Port::open(patience).await;
    let genuine = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    let mut stream = client.call(DELTA, Some(&genuine)).await;
    stream.message().await;
    for number in 0..100 {
        let (code, answer) = client.ask(LIMITS, Some(&genuine)).await;
        assert_eq!((code, answer.is_empty()), (Code::Ok, false), "{number}");
    }
    assert_eq!(client.refused(DELTA, Some(&genuine)).await.0, Code::ResourceExhausted);
    for refused in [None, Some(token("another", 3600))] {
        let (code, answer) = client.ask(LIMITS, refused.as_ref()).await;
        assert_eq!((code, answer.len()), (Code::Unauthenticated, 0));
    }
}
