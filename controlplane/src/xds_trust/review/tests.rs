use std::collections::BTreeMap;
use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

fn status(authenticated: bool, audiences: &[&str], username: &str) -> TokenReviewStatus {
    let extra = BTreeMap::from([(POD_UID.to_owned(), vec!["uid".to_owned()])]);
    TokenReviewStatus {
        authenticated: Some(authenticated),
        audiences: Some(audiences.iter().map(|&audience| audience.to_owned()).collect()),
        user: Some(UserInfo {
            username: Some(username.to_owned()),
            extra: Some(extra),
            ..UserInfo::default()
        }),
        error: None,
    }
}

#[test]
fn only_a_service_account_with_our_audience_is_genuine() {
    let genuine = Verdict::Genuine(Reviewed {
        service_account: ServiceAccount { namespace: "a".to_owned(), name: "b".to_owned() },
        pod: Some("uid".to_owned()),
    });
    let rows = [
        ("ours", status(true, &["us"], "system:serviceaccount:a:b"), genuine.clone()),
        ("ours among others", status(true, &["x", "us"], "system:serviceaccount:a:b"), genuine),
        ("not authenticated", status(false, &["us"], "system:serviceaccount:a:b"), Verdict::Rejected),
        ("for others", status(true, &["x"], "system:serviceaccount:a:b"), Verdict::Rejected),
        ("by who knows no audiences", status(true, &[], "system:serviceaccount:a:b"), Verdict::Rejected),
        ("a person", status(true, &["us"], "jane"), Verdict::Rejected),
        ("half a name", status(true, &["us"], "system:serviceaccount:a"), Verdict::Rejected),
        ("an empty name", status(true, &["us"], "system:serviceaccount:a:"), Verdict::Rejected),
        ("one name too many", status(true, &["us"], "system:serviceaccount:a:b:c"), Verdict::Rejected),
        ("nothing", TokenReviewStatus::default(), Verdict::Rejected),
    ];
    for (name, status, expected) in rows {
        assert_eq!(verdict(status, "us"), expected, "{name}");
    }
}

/// A client of an API server that answers every request like this.
fn client(answer: impl Fn(&str, Value) -> (StatusCode, Value) + Clone + Send + 'static) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (status, body) = answer(&path, serde_json::from_slice(&body).unwrap());
            let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn the_api_server_is_asked_about_the_token_and_our_audience() {
    let client = client(|path, mut review| {
        assert_eq!(path, "/apis/authentication.k8s.io/v1/tokenreviews");
        assert_eq!(review["spec"], json!({"token": "t", "audiences": ["us"]}));
        let user = json!({"username": "system:serviceaccount:a:b"});
        review["status"] = json!({"authenticated": true, "audiences": ["us"], "user": user});
        (StatusCode::CREATED, review)
    });
    let reviewer = KubeTokenReviewer::new(client, "us");
    let service_account = ServiceAccount { namespace: "a".to_owned(), name: "b".to_owned() };
    let expected = Verdict::Genuine(Reviewed { service_account, pod: None });
    assert_eq!(reviewer.review(&BearerToken::new("t")).await, Ok(expected));
}

#[tokio::test]
async fn an_api_server_that_fails_is_unavailable_and_the_token_stays_unsaid() {
    let client = client(|_, review| {
        let message = format!("cannot: {}", review["kind"]);
        let status = json!({"kind": "Status", "status": "Failure", "code": 500, "message": message});
        (StatusCode::INTERNAL_SERVER_ERROR, status)
    });
    let Unavailable(message) =
        KubeTokenReviewer::new(client, "us").review(&BearerToken::new("canary")).await.unwrap_err();
    assert!(!message.contains("canary"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_is_unavailable() {
    let service =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let reviewer = KubeTokenReviewer::new(kube::Client::new(service, "default"), "us");
    assert!(reviewer.review(&BearerToken::new("t")).await.is_err());
}
