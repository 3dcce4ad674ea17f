use crds::ObjectKey;
use crds::gateway_api::part::ParentRef;
use http::Method;
use tokio::time::{sleep, timeout};
use translator::status::{
    BudgetAccounts, BudgetFacts, BudgetSpenders, Condition, ConditionType, Facts, ParentFacts, Reason, Spend,
};

use super::*;
use crate::mock_api::{Fault, MockApi, Write, object_path};

const CONTROLLER: &str = translator::CONTROLLER_NAME;
const ROUTES: &str = "gateway.networking.k8s.io";

struct Writer {
    api: MockApi,
    reports: mailbox::Sender<ObjectRef, Option<Arc<Report>>>,
    /// The objects that reports were wanted of.
    wanted: std::sync::Mutex<std::collections::BTreeSet<ObjectRef>>,
    observed: mpsc::UnboundedSender<Observation>,
    leadership: watch::Sender<Leadership>,
}

fn leader() -> Leadership {
    Leadership::Leader { until: Instant::now() + Duration::from_secs(100_000) }
}

fn start(api: &MockApi, leadership: Leadership) -> Writer {
    let (reports, wanted) = mailbox::mailbox();
    let (observed, observations) = mpsc::unbounded_channel();
    let (leadership, led) = watch::channel(leadership);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let writer = StatusWriter::new(api.client(), ControllerName::default(), led, metrics);
    tokio::spawn(writer.run(wanted, observations));
    Writer { api: api.clone(), reports, wanted: Default::default(), observed, leadership }
}

impl Writer {
    /// Puts an object into the API, and tells the writer as the watch does.
    fn put(&self, object: Value) {
        self.tell(self.api.apply(object));
    }

    fn tell(&self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.observed.send((key(&name), Some(read(object, CONTROLLER)))).unwrap();
    }

    /// These reports, and no others.
    fn want(&self, reports: Vec<Report>) {
        let mut wanted = self.wanted.lock().unwrap();
        let gone = std::mem::take(&mut *wanted).into_iter().map(|object| (object, None));
        let mut changes: crate::pipeline::ReportChanges = gone.collect();
        changes.extend(reports.into_iter().map(|report| (report.object.clone(), Some(Arc::new(report)))));
        wanted
            .extend(changes.iter().filter(|(_, report)| report.is_some()).map(|(object, _)| object.clone()));
        self.reports.put(changes);
    }

    fn status(&self, name: &str) -> Value {
        self.api.get(&path(name)).unwrap()["status"].clone()
    }

    /// The writes, after a time in which more would have come.
    async fn settled(&self) -> Vec<Write> {
        sleep(Duration::from_secs(300)).await;
        self.api.writes()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::find(&reference(name)).unwrap()
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef::namespaced(ROUTES, "HTTPRoute", "default", name)
}

fn path(name: &str) -> String {
    object_path(&route(name, 1))
}

fn route(name: &str, generation: i64) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default", "generation": generation},
        "spec": {"hostnames": [format!("h{generation}.test")]},
    })
}

fn report(name: &str, generation: i64, message: &str) -> Report {
    let accepted = Condition::good(ConditionType::Accepted, Reason::Accepted, message.to_owned());
    let parent = ParentFacts { parent_ref: ParentRef::named("web"), conditions: vec![accepted] };
    Report { object: reference(name), generation, facts: Facts::Route(vec![parent]) }
}

fn foreign_parent() -> Value {
    json!({"parentRef": {"name": "other"}, "controllerName": "example.com/other", "conditions": []})
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_and_not_again_while_nothing_changes() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    api.has_writes(1).await;
    // The echo of our own write, a relist, and a translation that says the same.
    writer.tell(api.get(&path("a")).unwrap());
    writer.tell(api.get(&path("a")).unwrap());
    writer.want(vec![report("a", 1, "one")]);
    let writes = writer.settled().await;
    assert_eq!(writes.len(), 1);
    assert_eq!((&writes[0].method, writes[0].path.as_str()), (&Method::PATCH, &*(path("a") + "/status")));
    let parent = &writer.status("a")["parents"][0];
    assert_eq!(parent["controllerName"], CONTROLLER);
    assert_eq!(parent["conditions"][0]["observedGeneration"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_right_already_is_not_written_whatever_its_order() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    api.has_writes(1).await;
    // Another controller puts its own entry first.
    let mut object = api.get(&path("a")).unwrap();
    let ours = object["status"]["parents"][0].clone();
    object["status"]["parents"] = json!([foreign_parent(), ours]);
    writer.put(object);
    // And the writer of another replica, which begins with what there is.
    let other = start(&api, leader());
    other.tell(api.get(&path("a")).unwrap());
    other.want(vec![report("a", 1, "one")]);
    assert_eq!(writer.settled().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn entries_of_others_and_times_of_what_stays_are_kept() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    let mut object = route("a", 2);
    let old = json!({"parentRef": {"name": "web"}, "controllerName": CONTROLLER, "conditions": [{
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "old",
        "observedGeneration": 1, "lastTransitionTime": "2020-01-01T00:00:00Z",
    }]});
    object["status"] = json!({"parents": [foreign_parent(), old]});
    writer.put(object);
    writer.want(vec![report("a", 2, "new")]);
    api.has_writes(1).await;
    let status = writer.status("a");
    assert!(status["parents"].as_array().unwrap().contains(&foreign_parent()), "{status}");
    let condition = &status["parents"][0]["conditions"][0];
    assert_eq!(condition["lastTransitionTime"], "2020-01-01T00:00:00Z");
    assert_eq!((&condition["message"], &condition["observedGeneration"]), (&json!("new"), &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_resolved_from_the_object_as_it_is() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    let seen = api.apply(route("a", 1));
    // Changed meanwhile, and the watch has not told yet.
    let mut object = route("a", 1);
    object["status"] = json!({"parents": [foreign_parent()]});
    object["metadata"]["uid"] = seen["metadata"]["uid"].clone();
    api.apply(object);
    writer.tell(seen);
    writer.want(vec![report("a", 1, "one")]);
    let writes = writer.settled().await;
    assert_eq!(writes.iter().map(|write| write.code).collect::<Vec<_>>(), [422, 200]);
    assert_eq!(writer.status("a")["parents"].as_array().unwrap().len(), 2);
}

/// Edits may come faster than statuses are written; what they change is not what a status is about.
#[tokio::test(start_paused = true)]
async fn an_edit_of_the_spec_is_no_conflict_and_a_change_of_the_status_is() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    api.has_writes(1).await;
    // Edited, and the watch has not told yet.
    let edit = |generation: i64, status: Value| {
        let before = api.get(&path("a")).unwrap();
        let mut object = route("a", generation);
        object["metadata"]["uid"] = before["metadata"]["uid"].clone();
        object["status"] = status;
        api.apply(object);
    };
    edit(2, writer.status("a"));
    writer.want(vec![report("a", 1, "two")]);
    let codes = |writes: &[Write]| writes.iter().map(|write| write.code).collect::<Vec<_>>();
    assert_eq!(codes(&writer.settled().await), [200, 200]);
    let mut status = writer.status("a");
    assert_eq!(status["parents"][0]["conditions"][0]["message"], "two");
    assert_eq!(api.get(&path("a")).unwrap()["spec"], route("a", 2)["spec"]);
    // Another controller has put an entry of its own in.
    status["parents"].as_array_mut().unwrap().push(foreign_parent());
    edit(2, status);
    writer.want(vec![report("a", 2, "three")]);
    assert_eq!(codes(&writer.settled().await), [200, 200, 422, 200]);
    let status = writer.status("a");
    assert_eq!(status["parents"][0]["conditions"][0]["message"], "three");
    assert!(status["parents"].as_array().unwrap().contains(&foreign_parent()), "{status}");
}

/// The API server answers both with the same code.
#[tokio::test(start_paused = true)]
async fn a_status_that_is_refused_is_a_failure_and_no_conflict() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    api.fail_writes(&[Fault::Status(422), Fault::Status(422)]);
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    let started = Instant::now();
    let writes = api.has_writes(3).await;
    assert_eq!(writes.iter().map(|write| write.code).collect::<Vec<_>>(), [422, 422, 200]);
    // Failures wait longer and longer; the first conflict would not wait at all.
    assert!(started.elapsed() >= WRITE_WAITS_OF_TWO_FAILURES, "{:?}", started.elapsed());
}

/// 500 ms and 1 s, each with a quarter of jitter.
const WRITE_WAITS_OF_TWO_FAILURES: Duration = Duration::from_millis(1125);

#[tokio::test(start_paused = true)]
async fn a_stale_report_is_not_written_for_a_newer_object() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 2));
    writer.want(vec![report("a", 1, "one")]);
    assert_eq!(writer.settled().await, []);
    writer.want(vec![report("a", 2, "one")]);
    assert_eq!(writer.settled().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_remembers_and_writes_nothing_until_it_leads() {
    let api = MockApi::new();
    let writer = start(&api, Leadership::Follower);
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    assert_eq!(writer.settled().await, []);
    writer.leadership.send_replace(leader());
    api.has_writes(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_time_is_over_writes_nothing_even_if_nobody_tells_it() {
    let api = MockApi::new();
    let writer = start(&api, Leadership::Leader { until: Instant::now() + Duration::from_secs(5) });
    sleep(Duration::from_secs(6)).await;
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    assert_eq!(writer.settled().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_the_newest_is_written() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    api.fail_writes(&[Fault::Status(500), Fault::Hang, Fault::Status(403)]);
    writer.put(route("a", 1));
    writer.want(vec![report("a", 1, "one")]);
    api.has_writes(1).await;
    writer.want(vec![report("a", 1, "two")]);
    writer.want(vec![report("a", 1, "three")]);
    let writes = writer.settled().await;
    assert_eq!(writes.last().unwrap().code, 200);
    assert_eq!(writer.status("a")["parents"][0]["conditions"][0]["message"], "three");
    assert_eq!(writes.iter().filter(|write| write.code == 200).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_written_each_once_and_a_few_at_a_time() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    let names: Vec<String> = (0..200).map(|number| format!("r{number}")).collect();
    names.iter().for_each(|name| writer.put(route(name, 1)));
    api.fail_writes(&[Fault::Hang; MAX_WRITES]);
    writer.want(names.iter().map(|name| report(name, 1, "one")).collect());
    // All places are taken by writes without an answer.
    sleep(WRITE_PATIENCE - Duration::from_secs(1)).await;
    assert_eq!(api.writes(), []);
    assert_eq!(writer.settled().await.len(), 200);
}

#[tokio::test(start_paused = true)]
async fn changes_in_quick_succession_are_joined() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 1));
    for number in 0..50 {
        writer.want(vec![report("a", 1, &number.to_string())]);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(writer.settled().await.len(), 2);
    assert_eq!(writer.status("a")["parents"][0]["conditions"][0]["message"], "49");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_has_left_us_loses_our_entry_and_keeps_the_others() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    let mut object = route("a", 1);
    object["status"] = json!({"parents": [foreign_parent()]});
    writer.put(object);
    writer.want(vec![report("a", 1, "one")]);
    api.has_writes(1).await;
    writer.want(Vec::new());
    api.has_writes(2).await;
    assert_eq!(writer.status("a"), json!({"parents": [foreign_parent()]}));
    assert_eq!(writer.settled().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_back_before_the_first_translation() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    let mut object = route("a", 1);
    object["status"] = json!({"parents": [{"parentRef": {"name": "web"}, "controllerName": CONTROLLER}]});
    writer.put(object);
    assert_eq!(writer.settled().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_left_alone() {
    let api = MockApi::new();
    let writer = start(&api, leader());
    writer.put(route("a", 1));
    api.delete(&path("a"));
    writer.want(vec![report("a", 1, "one")]);
    let writes = writer.settled().await;
    assert_eq!(writes.iter().map(|write| write.code).collect::<Vec<_>>(), [404]);
    writer.observed.send((key("a"), None)).unwrap();
    writer.want(vec![report("a", 1, "two")]);
    assert_eq!(writer.settled().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_writer_ends_with_its_input() {
    let api = MockApi::new();
    let (reports, wanted) = mailbox::mailbox();
    let (_observed, observations) = mpsc::unbounded_channel();
    let (_leadership, led) = watch::channel(leader());
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let task = tokio::spawn(
        StatusWriter::new(api.client(), ControllerName::default(), led, metrics).run(wanted, observations),
    );
    drop(reports);
    timeout(Duration::from_secs(1), task).await.expect("ends").unwrap();
}

fn budget_report(spent: Option<u64>) -> Report {
    let budget = limit_rule::Budget {
        name: "default/b".to_owned(),
        counted: limit_rule::Counted::Tokens,
        limit: 100,
        per: limit_rule::Unit::Month,
        time_zone: String::new(),
        spender: String::new(),
        is_audit: false,
        is_listed: false,
        fallback: String::new(),
    };
    let accounts = Arc::new(BudgetAccounts { budget, spenders: BudgetSpenders::Together });
    let spend = spent.map(|spent| Spend {
        accounts: accounts.clone(),
        start: clock::epoch(),
        end: clock::epoch(),
        spent,
        reserved: 0,
        exhausted: 0,
        count: 0,
        most: Vec::new(),
    });
    let mut conditions = vec![Condition::good(ConditionType::Accepted, Reason::Accepted, "")];
    conditions.extend(spend.as_ref().map(Spend::condition));
    let facts = BudgetFacts { conditions, accounts: Some(accounts), spend: spend.map(Arc::new) };
    let object = ObjectRef::namespaced("chancery.dev", "Budget", "default", "b");
    Report { object, generation: 1, facts: Facts::Budget(facts) }
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_is_written_if_it_is_another_and_another_leader_leaves_it_until_it_has_looked() {
    let api = MockApi::new();
    let object = json!({
        "apiVersion": "chancery.dev/v1alpha1",
        "kind": "Budget",
        "metadata": {"name": "b", "namespace": "default", "generation": 1},
        "spec": {"limit": {"tokens": 100}, "per": "Month"},
    });
    let path = object_path(&object);
    api.apply(object);
    let tell = |writer: &Writer| {
        let object = ObjectKey::find(&budget_report(None).object).unwrap();
        writer.observed.send((object, Some(read(api.get(&path).unwrap(), CONTROLLER)))).unwrap();
    };
    let spent = || api.get(&path).unwrap()["status"]["spend"]["spent"].clone();
    let writer = start(&api, leader());
    tell(&writer);
    writer.want(vec![budget_report(None)]);
    assert_eq!((writer.settled().await.len(), spent()), (1, Value::Null));
    for (report, writes) in [(Some(40), 2), (Some(40), 2), (Some(100), 3)] {
        writer.want(vec![budget_report(report)]);
        assert_eq!((writer.settled().await.len(), spent()), (writes, json!(report)));
    }
    writer.leadership.send_replace(Leadership::Follower);
    let other = start(&api, leader());
    tell(&other);
    other.want(vec![budget_report(None)]);
    assert_eq!((other.settled().await.len(), spent()), (3, json!(100)));
    other.want(vec![budget_report(Some(7))]);
    assert_eq!((other.settled().await.len(), spent()), (4, json!(7)));
    writer.want(vec![budget_report(Some(9))]);
    assert_eq!((other.settled().await.len(), spent()), (4, json!(7)), "it leads no more");
}
