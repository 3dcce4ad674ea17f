//! Scenarios of the state-of-the-world protocol, where it differs from delta.

use std::time::Instant;

use xds::ResourceType::{Cluster, Endpoint, Listener, Route};
use xds::{Resource, ResourceType, Response, SotwConnection};

use crate::support::*;

struct Stream {
    connection: SotwConnection,
    start: Instant,
    milliseconds: u64,
}

impl Stream {
    fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        let mut stream =
            Self { connection: SotwConnection::new(SETTINGS), start: Instant::now(), milliseconds: 0 };
        stream.publish(resources);
        stream
    }

    /// A stream that holds all of `base()`.
    fn holding_base() -> Self {
        let mut stream = Self::new(base());
        for (kind, names) in [(Cluster, &[][..]), (Endpoint, &["a"][..]), (Listener, &[]), (Route, &["r"])] {
            for response in stream.request(kind, names, "", "") {
                assert!(stream.answer(&response, names, None).is_empty());
            }
        }
        stream
    }

    fn now(&self) -> Instant {
        after(self.start, self.milliseconds)
    }

    fn publish(&mut self, resources: impl IntoIterator<Item = Resource>) -> Vec<Response> {
        self.connection.on_snapshot(snapshot(resources), self.now());
        self.connection.take_responses()
    }

    fn request(&mut self, kind: ResourceType, names: &[&str], version: &str, nonce: &str) -> Vec<Response> {
        self.connection.on_request(&sotw_request(kind, names, version, nonce), self.now());
        self.connection.take_responses()
    }

    fn answer(&mut self, response: &Response, names: &[&str], message: Option<&str>) -> Vec<Response> {
        let mut request = sotw_request(response.resource_type, names, "", &response.nonce.to_string());
        request.error_detail = message.and_then(error);
        self.connection.on_request(&request, self.now());
        self.connection.take_responses()
    }

    fn wait(&mut self, milliseconds: u64) -> Vec<Response> {
        self.milliseconds += milliseconds;
        self.connection.on_tick(self.now());
        self.connection.take_responses()
    }
}

fn base() -> Vec<Resource> {
    vec![cluster("a", "1"), endpoint("a", "1"), listener("l", "1"), route("r", "a")]
}

fn summaries(responses: &[Response]) -> Vec<Sent> {
    responses.iter().map(summary).collect()
}

fn versions(response: &Response) -> Vec<String> {
    response.resources.iter().map(|r| format!("{} {}", r.name(), r.version())).collect()
}

#[test]
fn clusters_are_listed_in_full_and_endpoints_in_part() {
    let mut stream = Stream::holding_base();
    let more = [base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat();
    let out = stream.publish(more);
    assert_eq!(summaries(&out), [sent(Cluster, &["a", "b"], &[])]);
    assert!(stream.answer(&out[0], &[], None).is_empty());
    let out = stream.request(Endpoint, &["a", "b"], "", "");
    assert_eq!(summaries(&out), [sent(Endpoint, &["b"], &[])]);
}

#[test]
fn a_removed_cluster_stays_listed_until_the_routes_are_acknowledged_and_drained() {
    let mut stream = Stream::holding_base();
    let next = vec![cluster("b", "1"), endpoint("b", "1"), listener("l", "1"), route("r", "b")];
    let clusters = stream.publish(next);
    assert_eq!(summaries(&clusters), [sent(Cluster, &["a", "b"], &[])]);
    let endpoints = stream.request(Endpoint, &["a", "b"], "", "");
    assert!(stream.answer(&clusters[0], &[], None).is_empty());
    let routes = stream.answer(&endpoints[0], &["a", "b"], None);
    assert_eq!(summaries(&routes), [sent(Route, &["r"], &[])]);
    assert!(stream.wait(10_000).is_empty());
    assert!(stream.answer(&routes[0], &["r"], None).is_empty());
    let last = stream.wait(2000);
    assert_eq!(summaries(&last), [sent(Cluster, &["b"], &[])]);
    assert_ne!(last[0].version, clusters[0].version);
}

#[test]
fn a_list_shows_the_last_good_version_of_what_was_rejected() {
    let mut stream = Stream::holding_base();
    let with = |a, b| {
        vec![cluster("a", a), endpoint("a", "1"), cluster("b", b), listener("l", "1"), route("r", "a")]
    };
    let out = stream.publish(with("bad", "1"));
    assert!(stream.answer(&out[0], &[], Some("Error adding/updating cluster(s) a: bad")).is_empty());
    let out = stream.publish(with("bad", "2"));
    assert_eq!(
        versions(&out[0]),
        [format!("a {}", cluster("a", "1").version()), format!("b {}", cluster("b", "2").version())]
    );
}

#[test]
fn a_rejected_new_cluster_is_left_out() {
    let mut stream = Stream::holding_base();
    let out = stream.publish([base(), vec![cluster("b", "bad")]].concat());
    stream.answer(&out[0], &[], Some("b"));
    let out = stream.publish([base(), vec![cluster("b", "bad"), cluster("c", "1")]].concat());
    assert_eq!(summaries(&out), [sent(Cluster, &["a", "c"], &[])]);
}

#[test]
fn lists_in_full_are_merged_while_one_is_being_worked_on() {
    let mut stream = Stream::holding_base();
    let first = stream.publish([base(), vec![cluster("b", "1")]].concat());
    assert!(stream.publish([base(), vec![cluster("b", "1"), cluster("c", "1")]].concat()).is_empty());
    assert!(stream.publish([base(), vec![cluster("b", "1"), cluster("d", "1")]].concat()).is_empty());
    let out = stream.answer(&first[0], &[], None);
    assert_eq!(summaries(&out), [sent(Cluster, &["a", "b", "d"], &[])]);
}

#[test]
fn a_list_without_an_answer_holds_up_the_next_for_a_while_only() {
    let mut stream = Stream::holding_base();
    stream.publish([base(), vec![cluster("b", "1")]].concat());
    stream.publish([base(), vec![cluster("b", "2")]].concat());
    assert_eq!(stream.connection.next_deadline(), Some(after(stream.start, 5000)));
    assert_eq!(summaries(&stream.wait(5000)), [sent(Cluster, &["a", "b"], &[])]);
}

#[test]
fn a_reconnect_with_the_current_list_is_sent_nothing() {
    let snapshot = snapshot(base());
    let mut stream = Stream::new(base());
    let version = snapshot.version(Cluster).to_string();
    assert!(stream.request(Cluster, &[], &version, "").is_empty());
    let stale = snapshot.version(Cluster).to_string();
    assert_eq!(summaries(&stream.request(Listener, &[], &stale, "")), [], "the gate waits for endpoints");
    let endpoints = stream.request(Endpoint, &["a"], &snapshot.version(Endpoint).to_string(), "");
    assert_eq!(summaries(&endpoints), [sent(Endpoint, &["a"], &[])], "a list in part proves nothing");
    assert_eq!(summaries(&stream.answer(&endpoints[0], &["a"], None)), [sent(Listener, &["l"], &[])]);
}

#[test]
fn the_union_of_old_and_new_is_not_taken_for_the_current_list() {
    let mut stream = Stream::holding_base();
    let next = vec![cluster("b", "1"), listener("l", "1"), route("r", "b")];
    let union = stream.publish(next.clone());
    let mut stream = Stream::new(next);
    let out = stream.request(Cluster, &[], &union[0].version.to_string(), "");
    assert_eq!(summaries(&out), [sent(Cluster, &["b"], &[])]);
}

#[test]
fn names_of_a_request_with_a_stale_nonce_count() {
    let mut stream = Stream::holding_base();
    stream.publish([base(), vec![endpoint("b", "1")]].concat());
    assert_eq!(summaries(&stream.request(Endpoint, &["a", "b"], "", "1")), [sent(Endpoint, &["b"], &[])]);
}

#[test]
fn an_answer_to_the_last_of_several_settles_all() {
    let mut stream = Stream::holding_base();
    let with = |body| vec![cluster("a", "1"), endpoint("a", body), listener("l", "1"), route("r", "a")];
    stream.publish(with("2"));
    let last = stream.publish(with("3"));
    stream.connection.take_observations();
    stream.answer(&last[0], &["a"], None);
    let observations = stream.connection.take_observations();
    assert!(
        observations.iter().any(|o| matches!(o, xds::Observation::InSync { resource_type: Endpoint, .. }))
    );
}

#[test]
fn an_empty_wildcard_is_answered() {
    let mut stream = Stream::new([]);
    assert_eq!(summaries(&stream.request(Cluster, &[], "", "")), [sent(Cluster, &[], &[])]);
    assert!(stream.request(Endpoint, &[], "", "").is_empty());
    assert_eq!(summaries(&stream.request(Listener, &["x"], "", "")), [sent(Listener, &[], &[])]);
}
