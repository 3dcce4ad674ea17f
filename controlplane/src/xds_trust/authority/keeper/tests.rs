//! Against an API server that is a map.

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::mock_api::{Fault, MockApi};

const PATH: &str = "/api/v1/namespaces/chancery-system/secrets/ca";

fn keeper(api: &MockApi, leads: bool) -> (AuthorityKeeper, watch::Sender<Leadership>) {
    let settings = AuthoritySettings {
        namespace: "chancery-system".to_owned(),
        secret: "ca".to_owned(),
        server_names: vec!["chancery.chancery-system.svc".to_owned()],
    };
    let (sender, leadership) = watch::channel(match leads {
        true => Leadership::Leader { until: Instant::now() + Duration::from_hours(24 * 365 * 10) },
        false => Leadership::Follower,
    });
    (AuthorityKeeper::new(api.client(), settings, leadership, Metrics::default()), sender)
}

/// The Secret that the chart installs.
fn empty_secret(api: &MockApi) {
    let metadata = json!({"name": "ca", "namespace": "chancery-system", "labels": {"a": "b"}});
    api.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}));
}

fn secret(api: &MockApi) -> Option<Secret> {
    api.get(PATH).map(|secret| serde_json::from_value(secret).unwrap())
}

fn bundle(keeper: &AuthorityKeeper) -> String {
    keeper.bundle().borrow().as_ref().map(|bundle| bundle.pem().to_owned()).unwrap_or_default()
}

/// The certificate that handshakes show.
fn shown(keeper: &AuthorityKeeper) -> Vec<u8> {
    keeper.certificate().current().map(|key| key.cert[0].to_vec()).unwrap_or_default()
}

fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

#[tokio::test]
async fn the_leader_fills_the_secret_of_the_chart_and_the_others_read_it() {
    let api = MockApi::new();
    empty_secret(&api);
    let now = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.observe(secret(&api), now);
    leader.tend(now).await;
    assert!(leader.certificate().is_ready());
    assert_eq!(bundle(&leader).matches("BEGIN").count(), 1);
    assert_eq!(secret(&api).unwrap().metadata.labels.unwrap()["a"], "b");

    let (mut follower, _follows) = keeper(&api, false);
    follower.observe(secret(&api), now);
    follower.tend(now).await;
    assert!(follower.certificate().is_ready());
    assert_eq!(bundle(&follower), bundle(&leader));
    assert_ne!(shown(&follower), shown(&leader), "each replica has a key of its own");
    assert_eq!(api.writes().len(), 1);
}

#[tokio::test]
async fn a_follower_never_writes() {
    let api = MockApi::new();
    empty_secret(&api);
    let (mut follower, _follows) = keeper(&api, false);
    for secret in [None, secret(&api)] {
        follower.observe(secret, SystemTime::now());
        follower.tend(SystemTime::now()).await;
    }
    assert!(api.writes().is_empty() && !follower.certificate().is_ready());
}

#[tokio::test]
async fn nothing_is_written_before_the_secret_was_seen_nor_at_rest() {
    let api = MockApi::new();
    empty_secret(&api);
    let now = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.tend(now).await;
    assert!(api.writes().is_empty());
    leader.observe(secret(&api), now);
    for hour in 0..48 {
        leader.tend(now + Duration::from_hours(hour)).await;
    }
    assert_eq!(api.writes().len(), 1);
}

#[tokio::test]
async fn rotation_publishes_before_it_signs_and_trusts_the_one_before_after_that() {
    let api = MockApi::new();
    let begun = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.observe(None, begun);
    leader.tend(begun).await;
    let first = bundle(&leader);
    assert_eq!(api.writes()[0].method, http::Method::POST);

    leader.tend(begun + days(275)).await;
    let both = bundle(&leader);
    assert!(both.starts_with(&first) && both.len() > first.len());
    assert_eq!(leader.leaf.as_ref().unwrap().signed_by, first);

    leader.tend(begun + days(276)).await;
    let second = both.strip_prefix(&first).unwrap();
    assert_eq!(leader.leaf.as_ref().unwrap().signed_by, second);
    assert_eq!(bundle(&leader), format!("{second}{first}"));
    let kept = secret(&api).unwrap().data.unwrap();
    assert!(!kept.contains_key("next.key"), "the key is in one place");

    leader.tend(begun + days(366)).await;
    assert_eq!(bundle(&leader), second);
}

#[tokio::test]
async fn the_certificate_is_replaced_half_way_to_its_end() {
    let api = MockApi::new();
    let now = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.observe(None, now);
    let renew_at = {
        leader.tend(now).await;
        leader.leaf.as_ref().unwrap().renew_at
    };
    assert_eq!(renew_at.duration_since(now).unwrap(), Duration::from_hours(12));
    let first = shown(&leader);
    leader.tend(renew_at - Duration::from_secs(1)).await;
    assert_eq!(shown(&leader), first);
    leader.tend(renew_at).await;
    assert_ne!(shown(&leader), first);
}

#[tokio::test]
async fn of_two_leaders_one_wins_and_the_other_follows() {
    let api = MockApi::new();
    empty_secret(&api);
    let now = SystemTime::now();
    let ((mut one, _one), (mut two, _two)) = (keeper(&api, true), keeper(&api, true));
    let seen = secret(&api);
    one.observe(seen.clone(), now);
    two.observe(seen, now);
    one.tend(now).await;
    two.tend(now).await;
    assert!(!two.certificate().is_ready());
    two.observe(secret(&api), now);
    two.tend(now).await;
    assert_eq!(bundle(&two), bundle(&one));
}

#[tokio::test]
async fn what_was_known_serves_on_while_the_secret_is_broken_and_cannot_be_written() {
    let api = MockApi::new();
    empty_secret(&api);
    let now = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.observe(secret(&api), now);
    leader.tend(now).await;
    let (before, leaf) = (bundle(&leader), shown(&leader));

    let mut broken = secret(&api).unwrap();
    broken.data.as_mut().unwrap().remove("signing.key");
    api.fail_writes(&[Fault::Status(403)]);
    leader.observe(Some(broken), now);
    let retry_at = leader.tend(now + days(1)).await;
    assert_eq!(retry_at, now + days(1) + RETRY);
    assert_eq!(bundle(&leader), before);
    assert_ne!(shown(&leader), leaf, "certificates are renewed all the same");
}

#[tokio::test]
async fn an_emptied_secret_begins_anew() {
    let api = MockApi::new();
    empty_secret(&api);
    let now = SystemTime::now();
    let (mut leader, _leads) = keeper(&api, true);
    leader.observe(secret(&api), now);
    leader.tend(now).await;
    let before = bundle(&leader);
    empty_secret(&api);
    leader.observe(secret(&api), now);
    leader.tend(now).await;
    assert_eq!(bundle(&leader).matches("BEGIN").count(), 1);
    assert_ne!(bundle(&leader), before);
}
