//! A new authority, while proxies stay.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use xds::NodeGroup;

use super::super::{AuthorityKeeper, AuthoritySettings, Metrics, Patience};
use super::harness::{Client, DELTA, Port, SERVER, holds, publish};
use crate::lease::Leadership;
use crate::mock_api::MockApi;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn an_authority_is_replaced_under_a_running_stream() {
    let now = SystemTime::now();
    let until = tokio::time::Instant::now() + DAY;
    let (leads, leadership) = watch::channel(Leadership::Leader { until });
    let settings = AuthoritySettings {
        namespace: "chancery-system".to_owned(),
        secret: "ca".to_owned(),
        server_names: vec![SERVER.to_owned()],
    };
    let mut keeper = AuthorityKeeper::new(MockApi::new().client(), settings, leadership, Metrics::default());
    keeper.observe(None, now - 276 * DAY);
    keeper.tend(now - 276 * DAY).await;
    let old_bundle = keeper.bundle().borrow().clone().unwrap();
    // The successor is published a day ago, and about to sign.
    keeper.tend(now - DAY).await;
    keeper.tend(now - Duration::from_mins(1)).await;

    let mut port = Port::open_with(Patience::default(), keeper, leads).await;
    let new_bundle = port.bundle();
    assert_ne!(new_bundle, old_bundle.pem());
    let token = port.reviewer.issue("shop", "web", 3600);
    let tls13 = &rustls::version::TLS13;
    let before = Client::connect(port.address, old_bundle.pem(), tls13).await;
    let mut before = before.expect("who knows the old authority alone is still at home");
    let mut call = before.call(DELTA, Some(&token)).await;
    call.message().await;

    port.keeper.tend(now).await;
    let after = Client::connect(port.address, &new_bundle, tls13).await;
    let mut after = after.expect("who was told in time sees no difference");
    assert_ne!(after.certificate, before.certificate);
    assert!(holds(&after.call(DELTA, Some(&token)).await.message().await, "canary-web"));
    assert!(Client::connect(port.address, old_bundle.pem(), tls13).await.is_err());

    publish(&mut port.writer, &NodeGroup::new("shop/web"), "later");
    assert!(holds(&call.message().await, "canary-later"), "the running stream goes on");
}
