//! The module beside the gRPC service.

use http::{Method, StatusCode, header};
use ir::ModuleSource;
use tonic::Code;

use super::super::Patience;
use super::harness::{AUDIENCE, DELTA, MODULE, Port, holds, token};

fn path(port: &Port) -> String {
    let ModuleSource::Remote(remote) = port.module.source("host:1") else { panic!("it is not fetched") };
    remote.uri.strip_prefix("https://host:1").expect("the authority").to_owned()
}

#[tokio::test]
async fn a_proxy_fetches_the_module_on_the_connection_of_its_stream() {
    let port = Port::open(Patience::default()).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    let mut stream = client.call(DELTA, Some(&token)).await;
    assert!(holds(&stream.message().await, "canary-web"));
    let (head, body) = client.fetch(Method::GET, &path(&port), Some(&token)).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers[header::CONTENT_LENGTH], body.len().to_string());
    assert!(body.ends_with(MODULE));
}

#[tokio::test]
async fn nothing_else_is_served_there_and_nothing_without_a_token() {
    let port = Port::open(Patience::default()).await;
    let genuine = port.reviewer.issue("shop", "web", 3600);
    let module = path(&port);
    let mut client = port.connect().await;
    let other = format!("/module/{}.so", "0".repeat(64));
    let above = format!("/module/../{module}");
    for (method, path, expected) in [
        (Method::GET, other.as_str(), StatusCode::NOT_FOUND),
        (Method::GET, &above, StatusCode::NOT_FOUND),
        (Method::GET, "/module/", StatusCode::NOT_FOUND),
        (Method::POST, &other, StatusCode::NOT_FOUND),
        (Method::POST, &module, StatusCode::METHOD_NOT_ALLOWED),
        (Method::HEAD, &module, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (head, body) = client.fetch(method.clone(), path, Some(&genuine)).await;
        assert_eq!((head.status, body.len()), (expected, 0), "{method} {path}");
    }
    for refused in [None, Some(token(AUDIENCE, 3600))] {
        let (head, body) = client.fetch(Method::GET, &module, refused.as_ref()).await;
        let code = head.headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
        assert_eq!((code, body.len()), (Some(Code::Unauthenticated), 0));
    }
}
