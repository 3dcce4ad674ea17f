//! When a stream ends, and when it does not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::Code;
use xds::NodeGroup;

use super::super::{Patience, ProxyDirectory};
use super::harness::{AUDIENCE, DELTA, Port, holds, publish, service_account, token};

fn impatient() -> Patience {
    Patience { recheck_interval: Duration::from_millis(50), ..Patience::default() }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_and_a_new_token_opens_the_next() {
    let port = Port::open(Patience::default()).await;
    let token = port.reviewer.issue("shop", "web", 2);
    let mut client = port.connect().await;
    let mut call = client.call(DELTA, Some(&token)).await;
    call.message().await;
    let (code, bytes) = call.end().await;
    assert_eq!((code, bytes.len()), (Code::Unauthenticated, 0));
    let claimed = token.claims().unwrap().expires_at;
    let late = SystemTime::now().duration_since(claimed).expect("not before its time");
    assert!(late < Duration::from_secs(5), "{late:?}");
    assert_eq!(client.refused(DELTA, Some(&token)).await.0, Code::Unauthenticated);

    let renewed = port.reviewer.issue("shop", "web", 3600);
    assert!(holds(&client.call(DELTA, Some(&renewed)).await.message().await, "canary-web"));
}

#[tokio::test]
async fn a_stream_ends_when_it_is_old() {
    let port = Port::open(Patience { max_age: Duration::from_millis(500), ..Patience::default() }).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut call = port.connect().await.call(DELTA, Some(&token)).await;
    call.message().await;
    assert_eq!(call.end().await.0, Code::Unavailable);
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let port = Port::open(impatient()).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut call = port.connect().await.call(DELTA, Some(&token)).await;
    call.message().await;
    port.reviewer.revoke(&token);
    assert_eq!(call.end().await.0, Code::Unauthenticated);
}

#[tokio::test]
async fn a_stream_ends_when_its_gateway_is_gone_or_another_one() {
    let port = Port::open(Patience::default()).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    let directories = [
        ProxyDirectory::new(),
        ProxyDirectory::from([(service_account("shop", "web"), NodeGroup::new("shop/other"))]),
    ];
    let all = port.directory.borrow().clone();
    for directory in directories {
        let mut call = client.call(DELTA, Some(&token)).await;
        call.message().await;
        port.directory.send_replace(Arc::new(directory));
        assert_eq!(call.end().await.0, Code::PermissionDenied);
        port.directory.send_replace(all.clone());
    }
}

#[tokio::test]
async fn without_the_api_server_streams_stay_known_tokens_pass_and_others_wait() {
    let mut port = Port::open(impatient()).await;
    let known = port.reviewer.issue("shop", "web", 3600);
    let unknown = port.reviewer.issue("shop", "web", 3600);
    let mut client = port.connect().await;
    let mut call = client.call(DELTA, Some(&known)).await;
    call.message().await;

    port.reviewer.set_down(true);
    let before = port.reviewer.reviews();
    while port.reviewer.reviews() < before + 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    publish(&mut port.writer, &NodeGroup::new("shop/web"), "later");
    assert!(holds(&call.message().await, "canary-later"));
    assert!(holds(&client.call(DELTA, Some(&known)).await.message().await, "canary-later"));
    assert_eq!(client.refused(DELTA, Some(&unknown)).await.0, Code::Unavailable);

    port.reviewer.set_down(false);
    client.call(DELTA, Some(&unknown)).await.message().await;
}

#[tokio::test]
async fn a_token_is_reviewed_once_and_nonsense_never() {
    let port = Port::open(Patience::default()).await;
    let genuine = port.reviewer.issue("shop", "web", 3600);
    let forged = token(AUDIENCE, 3600);
    let mut client = port.connect().await;
    for _ in 0..3 {
        client.call(DELTA, Some(&genuine)).await.message().await;
        client.refused(DELTA, Some(&forged)).await;
        client.refused(DELTA, Some(&token("others", 3600))).await;
        client.refused(DELTA, Some(&token(AUDIENCE, -1))).await;
        client.refused(DELTA, None).await;
    }
    assert_eq!(port.reviewer.reviews(), 2);
}

#[tokio::test]
async fn a_connection_without_a_stream_is_closed_and_one_with_a_stream_is_not() {
    let port = Port::open(Patience { idle_timeout: Duration::from_millis(100), ..Patience::default() }).await;
    let token = port.reviewer.issue("shop", "web", 3600);
    let (mut used, mut idle) = (port.connect().await, port.connect().await);
    let mut call = used.call(DELTA, Some(&token)).await;
    call.message().await;
    idle.refused(DELTA, None).await;
    idle.closed().await;
    // A second one, so that the first had all the time to be closed.
    port.connect().await.closed().await;
    assert!(!used.is_closed());
    drop(call);
    used.closed().await;
}
