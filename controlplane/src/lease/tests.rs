use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::mock_api::{Fault, MockApi};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/leader";

struct Competitor {
    leadership: watch::Receiver<Leadership>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn start(api: &MockApi, identity: &str) -> Competitor {
    api.add_kind("/apis/coordination.k8s.io/v1/leases");
    let (sender, leadership) = watch::channel(Leadership::Follower);
    let (stop, stopped) = watch::channel(false);
    let settings = LeaseSettings::new("ns", "leader", identity);
    let task = tokio::spawn(compete(api.client(), settings, sender, stopped));
    Competitor { leadership, stop, task }
}

impl Competitor {
    async fn leads(&mut self) {
        self.leadership.wait_for(|leadership| leadership.is_leader()).await.unwrap();
    }

    async fn follows(&mut self) {
        self.leadership.wait_for(|leadership| *leadership == Leadership::Follower).await.unwrap();
    }
}

fn holder(api: &MockApi) -> Value {
    api.get(PATH).unwrap()["spec"]["holderIdentity"].clone()
}

#[tokio::test(start_paused = true)]
async fn the_first_one_leads_and_the_second_waits_while_it_renews() {
    let api = MockApi::new();
    let mut a = start(&api, "a");
    a.leads().await;
    let b = start(&api, "b");
    sleep(Duration::from_secs(120)).await;
    assert!(a.leadership.borrow().is_leader());
    assert!(!b.leadership.borrow().is_leader());
    assert_eq!(holder(&api), "a");
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn after_the_death_of_the_leader_the_other_leads_within_15_seconds() {
    for delay in [1, 700, 1300, 1999] {
        let api = MockApi::new();
        let mut a = start(&api, "a");
        a.leads().await;
        let mut b = start(&api, "b");
        sleep(Duration::from_millis(10_000 + delay)).await;
        a.task.abort();
        let died = Instant::now();
        b.leads().await;
        assert!(died.elapsed() <= Duration::from_secs(13), "{:?}", died.elapsed());
        assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_ends_in_order_gives_the_lease_back_and_the_other_leads_at_its_next_look() {
    let api = MockApi::new();
    let mut a = start(&api, "a");
    a.leads().await;
    let mut b = start(&api, "b");
    sleep(Duration::from_secs(10)).await;
    a.stop.send_replace(true);
    a.task.await.unwrap();
    assert_eq!(*a.leadership.borrow(), Leadership::Follower);
    assert_eq!(holder(&api), "");
    let ended = Instant::now();
    b.leads().await;
    assert!(ended.elapsed() <= Duration::from_secs(2), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_server_stops_before_another_one_can_lead() {
    for fault in [Fault::Hang, Fault::Status(500)] {
        let api = MockApi::new();
        let mut a = start(&api, "a");
        a.leads().await;
        let lost = Instant::now();
        api.set_fault("/apis/coordination", Some(fault));
        a.follows().await;
        assert!(lost.elapsed() < Duration::from_secs(10), "{:?}", lost.elapsed());
        api.set_fault("/apis/coordination", None);
        a.leads().await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_two_lead_at_a_time_whatever_the_api_server_does() {
    let api = MockApi::new();
    let competitors: Vec<_> = ["a", "b", "c"].map(|name| start(&api, name)).into();
    for round in 0..600_u64 {
        let fault = match round % 37 {
            0..12 => None,
            12..24 => Some(Fault::Status(503)),
            24..30 => Some(Fault::Hang),
            _ => Some(Fault::Status(409)),
        };
        api.set_fault("/apis/coordination", fault);
        sleep(Duration::from_millis(700)).await;
        let leaders = competitors.iter().filter(|one| one.leadership.borrow().is_leader()).count();
        assert!(leaders <= 1, "{leaders} in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_costs_no_leadership_and_a_foreign_holder_does() {
    let api = MockApi::new();
    let mut a = start(&api, "a");
    a.leads().await;
    api.fail_writes(&[Fault::Status(409)]);
    sleep(Duration::from_secs(3)).await;
    assert!(a.leadership.borrow().is_leader());
    let mut lease = api.get(PATH).unwrap();
    lease["spec"]["holderIdentity"] = json!("b");
    api.apply(lease);
    a.follows().await;
}
