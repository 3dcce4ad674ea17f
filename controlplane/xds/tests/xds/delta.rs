//! Scenarios of the delta protocol.

use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use xds::ResourceType::{Cluster, Endpoint, Listener, Route, Secret};
use xds::{Cause, DeltaConnection, Observation, Resource, ResourceType, ResourceVersion, Response};

use crate::support::*;

/// A connection, and a clock that only tests move.
pub(crate) struct Stream {
    pub(crate) connection: DeltaConnection,
    start: Instant,
    milliseconds: u64,
    pub(crate) last: Vec<Response>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        let connection = DeltaConnection::new(SETTINGS);
        Self { connection, start: Instant::now(), milliseconds: 0, last: Vec::new() }
    }

    /// A stream that holds `resources`, all subscribed to and acknowledged.
    pub(crate) fn holding(resources: Vec<Resource>) -> Self {
        let mut stream = Self::new();
        let named = |kind| -> Vec<String> {
            let of_kind = resources.iter().filter(|resource| resource.resource_type() == kind);
            of_kind.map(|resource| resource.name().to_string()).collect()
        };
        let names = [Endpoint, Secret, Route].map(|kind| (kind, named(kind)));
        stream.publish(resources);
        stream.request(Cluster, &[], &[]);
        for (kind, names) in names {
            stream.request(kind, &names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        }
        stream.request(Listener, &[], &[]);
        stream.settle();
        stream
    }

    pub(crate) fn now(&self) -> Instant {
        after(self.start, self.milliseconds)
    }

    fn take(&mut self) -> Vec<Sent> {
        self.last = self.connection.take_responses();
        self.last.iter().map(summary).collect()
    }

    pub(crate) fn publish(&mut self, resources: impl IntoIterator<Item = Resource>) -> Vec<Sent> {
        self.connection.on_snapshot(snapshot(resources), self.now());
        self.take()
    }

    pub(crate) fn request(
        &mut self,
        kind: ResourceType,
        subscribe: &[&str],
        unsubscribe: &[&str],
    ) -> Vec<Sent> {
        self.connection.on_request(&delta_request(kind, subscribe, unsubscribe), self.now());
        let before = std::mem::take(&mut self.last);
        let sent = self.take();
        self.last = [before, std::mem::take(&mut self.last)].concat();
        sent
    }

    fn ack(&mut self, nonce: u64, kind: ResourceType) -> Vec<Sent> {
        let request =
            DeltaDiscoveryRequest { response_nonce: nonce.to_string(), ..delta_request(kind, &[], &[]) };
        self.connection.on_request(&request, self.now());
        self.take()
    }

    /// Acknowledges what was sent last, and returns what that sets free.
    pub(crate) fn ack_last(&mut self) -> Vec<Sent> {
        let last = std::mem::take(&mut self.last);
        let mut freed = Vec::new();
        let mut responses = Vec::new();
        for response in last {
            freed.extend(self.ack(response.nonce, response.resource_type));
            responses.append(&mut self.last);
        }
        self.last = responses;
        freed
    }

    pub(crate) fn nack_last(&mut self, message: &str) -> Vec<Sent> {
        let [response] = &*self.last else { panic!("{:?}", self.last) };
        let request = DeltaDiscoveryRequest {
            response_nonce: response.nonce.to_string(),
            error_detail: error(message),
            ..delta_request(response.resource_type, &[], &[])
        };
        self.connection.on_request(&request, self.now());
        self.take()
    }

    /// Acknowledges everything until nothing more comes.
    pub(crate) fn settle(&mut self) {
        while !self.last.is_empty() {
            self.ack_last();
        }
        self.connection.take_observations();
    }

    pub(crate) fn wait(&mut self, milliseconds: u64) -> Vec<Sent> {
        self.milliseconds += milliseconds;
        self.connection.on_tick(self.now());
        self.take()
    }
}

fn base() -> Vec<Resource> {
    vec![cluster("a", "1"), endpoint("a", "1"), listener("l", "1"), route("r", "a")]
}

#[test]
fn an_envoy_that_starts_gets_everything_in_order() {
    let mut stream = Stream::new();
    assert_eq!(stream.request(Cluster, &[], &[]), [], "no snapshot, no answer");
    assert_eq!(stream.publish(base()), [sent(Cluster, &["a"], &[])]);
    assert_eq!(stream.request(Endpoint, &["a"], &[]), [sent(Endpoint, &["a"], &[])]);
    assert_eq!(stream.ack_last(), []);
    assert_eq!(stream.request(Listener, &[], &[]), [sent(Listener, &["l"], &[])]);
    assert_eq!(stream.request(Route, &["r"], &[]), [sent(Route, &["r"], &[])]);
    assert_eq!(stream.ack_last(), []);
    assert_eq!(stream.connection.next_deadline(), None);
}

#[test]
fn an_empty_wildcard_is_answered_once() {
    let mut stream = Stream::new();
    stream.request(Cluster, &[], &[]);
    stream.request(Listener, &["*"], &[]);
    assert_eq!(stream.publish([]), [sent(Cluster, &[], &[]), sent(Listener, &[], &[])]);
    assert_eq!(stream.ack_last(), []);
    assert_eq!(stream.publish([endpoint("unasked", "1")]), []);
}

#[test]
fn routes_wait_until_a_new_cluster_and_its_endpoints_are_acknowledged() {
    let mut stream = Stream::holding(base());
    let next = [base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "a,b"));
    assert_eq!(stream.publish(next), [sent(Cluster, &["b"], &[])]);
    assert_eq!(stream.request(Endpoint, &["b"], &[]), [sent(Endpoint, &["b"], &[])]);
    let [clusters, endpoints] = &*stream.last.clone() else { panic!() };
    assert_eq!(stream.ack(clusters.nonce, Cluster), []);
    assert_eq!(stream.ack(endpoints.nonce, Endpoint), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_changed_cluster_gets_its_endpoints_again_and_routes_wait_for_them() {
    let mut stream = Stream::holding(base());
    let next = vec![cluster("a", "2"), endpoint("a", "1"), listener("l", "1"), route("r", "a2")];
    assert_eq!(stream.publish(next), [sent(Cluster, &["a"], &[]), sent(Endpoint, &["a"], &[])]);
    let [clusters, endpoints] = &*stream.last.clone() else { panic!() };
    assert_eq!(stream.ack(clusters.nonce, Cluster), []);
    assert_eq!(stream.ack(endpoints.nonce, Endpoint), [sent(Route, &["r"], &[])]);
}

#[test]
fn endpoints_pass_a_closed_gate() {
    let mut stream = Stream::holding(base());
    stream.publish([base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "b")));
    let next = [base(), vec![cluster("b", "1"), endpoint("b", "1")]]
        .concat_with(route("r", "b"))
        .into_iter()
        .map(|r| if r.resource_type() == Endpoint && &**r.name() == "a" { endpoint("a", "2") } else { r });
    assert_eq!(stream.publish(next), [sent(Endpoint, &["a"], &[])]);
}

#[test]
fn the_gate_opens_after_its_timeout_and_says_so() {
    let mut stream = Stream::holding(base());
    stream.publish([base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "b")));
    stream.ack_last();
    assert_eq!(stream.connection.next_deadline(), Some(after(stream.start, 5000)));
    assert_eq!(stream.wait(4999), []);
    assert_eq!(stream.wait(1), [sent(Route, &["r"], &[])]);
    let observations = stream.connection.take_observations();
    assert!(
        observations.contains(&Observation::GateTimeout { clusters: vec!["b".into()] }),
        "{observations:?}"
    );
    assert_eq!(stream.connection.next_deadline(), None);
}

#[test]
fn a_cluster_that_never_warms_delays_later_changes_no_more() {
    let mut stream = Stream::holding(base());
    let stuck = |body| [base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", body));
    stream.publish(stuck("1"));
    stream.ack_last();
    stream.wait(5000);
    stream.ack_last();
    assert_eq!(stream.publish(stuck("2")), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_stream_without_clusters_is_never_held_back() {
    let mut stream = Stream::new();
    stream.publish(base());
    assert_eq!(stream.request(Route, &["r"], &[]), [sent(Route, &["r"], &[])]);
    stream.ack_last();
    let next = [base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "b"));
    assert_eq!(stream.publish(next), [sent(Route, &["r"], &[])]);
}

#[test]
fn an_updated_route_table_waits_for_the_listeners_but_a_requested_one_does_not() {
    let mut stream = Stream::holding(base());
    let next =
        vec![cluster("a", "1"), endpoint("a", "1"), listener("l", "2"), route("r", "2"), route("new", "1")];
    assert_eq!(stream.publish(next), [sent(Listener, &["l"], &[])]);
    let listeners = stream.last[0].nonce;
    assert_eq!(stream.request(Route, &["new"], &[]), [sent(Route, &["new"], &[])]);
    assert_eq!(stream.ack(listeners, Listener), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_cluster_leaves_only_after_the_routes_and_a_delay() {
    let mut stream =
        Stream::holding([base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "b")));
    assert_eq!(stream.publish(base()), [sent(Route, &["r"], &[])]);
    let routes = stream.last[0].nonce;
    assert_eq!(stream.wait(10_000), [], "the routes are not acknowledged");
    assert_eq!(stream.connection.next_deadline(), None);
    assert_eq!(stream.ack(routes, Route), []);
    assert_eq!(stream.wait(1999), []);
    assert_eq!(stream.wait(1), [sent(Cluster, &[], &["b"])]);
    assert_eq!(stream.ack_last(), [sent(Endpoint, &[], &["b"])], "still subscribed to");
    stream.settle();
    assert_eq!(stream.connection.next_deadline(), None);
}

#[test]
fn churn_does_not_keep_an_unused_cluster_for_ever() {
    let mut stream =
        Stream::holding([base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "0")));
    let mut removed = false;
    for body in 1..10 {
        // Each change comes while the one before awaits its acknowledgement.
        let before = std::mem::take(&mut stream.last);
        let out = stream.publish([base()].concat_with(route("r", &body.to_string())));
        removed |= out.contains(&sent(Cluster, &[], &["b"]));
        let now = std::mem::replace(&mut stream.last, before);
        removed |= stream.ack_last().contains(&sent(Cluster, &[], &["b"]));
        stream.last = now;
        removed |= !stream.wait_keeping(500).is_empty();
    }
    assert!(removed);
}

#[test]
fn a_rejected_route_keeps_the_clusters_it_may_still_use() {
    let mut stream =
        Stream::holding([base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat_with(route("r", "b")));
    stream.publish(base());
    stream.nack_last("no");
    assert_eq!(stream.wait(60_000), []);
    stream.publish([base()].concat_with(route("r", "fixed")));
    stream.ack_last();
    assert_eq!(stream.wait(2000), [sent(Cluster, &[], &["b"])]);
}

#[test]
fn a_cluster_that_comes_back_in_time_is_left_alone() {
    let both = || [base(), vec![cluster("b", "1"), endpoint("b", "1")]].concat();
    let mut stream = Stream::holding(both());
    stream.publish(base());
    stream.wait(1000);
    assert_eq!(stream.publish(both()), []);
    assert_eq!(stream.wait(60_000), []);
}

#[test]
fn a_rejected_version_is_not_sent_again_but_the_next_one_is() {
    let mut stream = Stream::holding(base());
    let with = |body| vec![cluster("a", "1"), endpoint("a", "1"), listener("l", body), route("r", "a")];
    stream.publish(with("bad"));
    assert_eq!(stream.nack_last("Error adding/updating listener(s) l: bad"), []);
    let observations = stream.connection.take_observations();
    let [Observation::Nacked(rejection)] = &*observations else { panic!("{observations:?}") };
    assert_eq!((rejection.resource_type, &*rejection.culprits), (Listener, &["l".to_owned()][..]));
    assert_eq!(
        stream.publish([with("bad"), vec![listener("m", "1")]].concat()),
        [sent(Listener, &["m"], &[])]
    );
    stream.settle();
    assert_eq!(
        stream.publish([with("good"), vec![listener("m", "1")]].concat()),
        [sent(Listener, &["l"], &[])]
    );
    stream.ack_last();
    let observations = stream.connection.take_observations();
    assert!(
        observations.iter().any(|o| matches!(o, Observation::InSync { resource_type: Listener, .. })),
        "{observations:?}"
    );
}

#[test]
fn going_back_to_the_last_good_version_sends_nothing_and_is_reported() {
    let mut stream = Stream::holding(base());
    stream.publish([base()].concat_with(route("r", "bad")));
    stream.nack_last("no");
    stream.connection.take_observations();
    assert_eq!(stream.publish(base()), []);
    let observations = stream.connection.take_observations();
    assert!(matches!(&*observations, [Observation::InSync { resource_type: Route, .. }]), "{observations:?}");
}

/// Two tables are refused; one is mended while the other stays as it is.
#[test]
fn a_resource_that_recovers_is_told_although_another_is_still_refused() {
    let mut stream = Stream::holding(base());
    let routes = |r: &str, q: &str| [base(), vec![route("q", q)]].concat_with(route("r", r));
    stream.request(Route, &["q"], &[]);
    stream.publish(routes("good", "good"));
    stream.settle();
    stream.publish(routes("bad", "good"));
    stream.nack_last("no");
    stream.publish(routes("bad", "bad"));
    stream.nack_last("no");
    stream.connection.take_observations();
    assert_eq!(stream.publish(routes("bad", "better")), [sent(Route, &["q"], &[])]);
    let is_recovery = |o: &Observation| matches!(o, Observation::Recovered { .. });
    assert!(!stream.connection.take_observations().iter().any(is_recovery), "not before it is accepted");
    stream.ack_last();
    let observations = stream.connection.take_observations();
    let recovered = Observation::Recovered { resource_type: Route, names: vec!["q".to_owned()] };
    assert!(observations.contains(&recovered), "{observations:?}");
    assert!(!observations.iter().any(|o| matches!(o, Observation::InSync { .. })), "{observations:?}");
    stream.publish(routes("good", "better"));
    let is_in_sync = |o: &Observation| matches!(o, Observation::InSync { resource_type: Route, .. });
    let observations = stream.connection.take_observations();
    assert!(observations.iter().any(is_in_sync), "{observations:?}");
}

#[test]
fn what_is_accepted_is_told_with_its_versions() {
    let accepted = |stream: &mut Stream| -> Vec<(ResourceType, Vec<String>)> {
        let observations = stream.connection.take_observations().into_iter();
        let told = observations.filter_map(|observation| match observation {
            Observation::Accepted { resource_type, resources } => Some((resource_type, resources)),
            _ => None,
        });
        let line = |(name, version): (String, ResourceVersion)| format!("{name} {version}");
        told.map(|(kind, resources)| (kind, resources.into_iter().map(line).collect())).collect()
    };
    let version = |resource: Resource| format!("{} {}", resource.name(), resource.version());
    let mut stream = Stream::holding(base());
    let with = |body| vec![cluster("a", "1"), endpoint("a", body), listener("l", "1"), route("r", "a")];
    stream.publish(with("2"));
    assert_eq!(accepted(&mut stream), [], "not before the client says so");
    stream.publish(with("3"));
    stream.ack_last();
    let both = vec![version(endpoint("a", "2")), version(endpoint("a", "3"))];
    assert_eq!(accepted(&mut stream), [(Endpoint, both)], "the last answer settles the earlier ones");

    let more = [with("3"), vec![cluster("b", "bad"), cluster("c", "1")]].concat();
    stream.publish(more);
    stream.nack_last("Error adding/updating cluster(s) b: bad");
    assert_eq!(
        accepted(&mut stream),
        [(Cluster, vec![version(cluster("c", "1"))])],
        "the good one is applied"
    );
    stream.publish(with("3"));
    stream.settle();
    stream.wait(2000);
    stream.connection.take_observations();
    stream.ack_last();
    assert_eq!(accepted(&mut stream), [], "a removal brings nothing");
}

#[test]
fn a_rejected_cluster_does_not_block_routes() {
    let mut stream = Stream::holding(base());
    stream.publish([base(), vec![cluster("b", "bad"), endpoint("b", "1")]].concat_with(route("r", "b")));
    assert_eq!(stream.nack_last("Error adding/updating cluster(s) b: bad"), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_good_cluster_beside_a_rejected_one_is_still_waited_for() {
    let mut stream = Stream::holding(base());
    let more = vec![cluster("b", "bad"), endpoint("b", "1"), cluster("c", "1"), endpoint("c", "1")];
    stream.publish([base(), more].concat_with(route("r", "b,c")));
    assert_eq!(stream.nack_last("Error adding/updating cluster(s) b: bad"), []);
    stream.request(Endpoint, &["c"], &[]);
    assert_eq!(stream.ack_last(), [sent(Route, &["r"], &[])]);
}

#[test]
fn what_is_asked_for_again_is_sent_again() {
    let mut stream = Stream::holding(base());
    assert_eq!(stream.request(Endpoint, &["a"], &[]), [sent(Endpoint, &["a"], &[])]);
    stream.settle();
    assert_eq!(
        stream.request(Cluster, &[], &["a"]),
        [sent(Cluster, &["a"], &[]), sent(Endpoint, &["a"], &[])]
    );
}

#[test]
fn what_is_unsubscribed_is_not_sent() {
    let mut stream = Stream::holding(base());
    stream.request(Endpoint, &[], &["a"]);
    let next = vec![cluster("a", "1"), endpoint("a", "2"), listener("l", "1"), route("r", "a")];
    assert_eq!(stream.publish(next), []);
}

#[test]
fn a_name_that_does_not_exist_is_answered_as_removed_except_for_endpoints() {
    let mut stream = Stream::holding(base());
    assert_eq!(stream.request(Cluster, &["x"], &[]), [sent(Cluster, &[], &["x"])]);
    stream.settle();
    assert_eq!(stream.request(Endpoint, &["x"], &[]), []);
    assert_eq!(stream.publish([base(), vec![endpoint("x", "1")]].concat()), [sent(Endpoint, &["x"], &[])]);
}

#[test]
fn unsubscribing_the_wildcard_leaves_the_names() {
    let mut stream = Stream::holding([base(), vec![cluster("b", "1")]].concat());
    stream.request(Cluster, &["b"], &["*"]);
    stream.settle();
    let next =
        vec![cluster("a", "2"), cluster("b", "2"), endpoint("a", "1"), listener("l", "1"), route("r", "a")];
    assert_eq!(stream.publish(next), [sent(Cluster, &["b"], &[])]);
}

#[test]
fn a_reconnect_with_current_versions_is_sent_nothing() {
    let mut stream = Stream::new();
    stream.publish(base());
    for (kind, name, subscribe) in
        [(Cluster, "a", &[][..]), (Endpoint, "a", &["a"][..]), (Listener, "l", &[]), (Route, "r", &["r"])]
    {
        let mut request = delta_request(kind, subscribe, &[]);
        let version = base().iter().find(|r| r.resource_type() == kind).unwrap().version();
        request.initial_resource_versions.insert(name.to_owned(), version.to_string());
        stream.connection.on_request(&request, stream.now());
    }
    assert_eq!(stream.take(), []);
    assert_eq!(stream.wait(60_000), []);
    assert_eq!(stream.connection.next_deadline(), None);
}

#[test]
fn a_reconnect_is_told_what_changed_and_what_is_gone() {
    let mut stream = Stream::new();
    stream.publish(base());
    let mut request = delta_request(Cluster, &[], &[]);
    request.initial_resource_versions.insert("a".to_owned(), "made by another server".to_owned());
    request.initial_resource_versions.insert("gone".to_owned(), "1".to_owned());
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.take(), [sent(Cluster, &["a"], &[])]);
    // Its endpoints are current, but the cluster changed.
    let mut request = delta_request(Endpoint, &["a"], &[]);
    request.initial_resource_versions.insert("a".to_owned(), base()[1].version().to_string());
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.take(), [sent(Endpoint, &["a"], &[])]);
    assert_eq!(stream.wait(2000), [sent(Cluster, &[], &["gone"])]);
}

#[test]
fn routes_of_a_reconnecting_client_wait_for_endpoints_that_it_lost() {
    let mut stream = Stream::new();
    stream.publish(base());
    let mut request = delta_request(Cluster, &[], &[]);
    request.initial_resource_versions.insert("a".to_owned(), base()[0].version().to_string());
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.request(Route, &["r"], &[]), []);
    assert_eq!(stream.request(Endpoint, &["a"], &[]), [sent(Endpoint, &["a"], &[])]);
    assert_eq!(stream.ack_last(), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_stale_nonce_acknowledges_nothing_but_its_names_count() {
    let mut stream = Stream::new();
    stream.publish(base());
    let mut request = delta_request(Endpoint, &["a"], &[]);
    request.response_nonce = "99".to_owned();
    request.error_detail = error("no");
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.take(), [sent(Endpoint, &["a"], &[])]);
    assert_eq!(stream.connection.take_observations(), []);
}

#[test]
fn an_unknown_type_is_ignored() {
    let mut stream = Stream::holding(base());
    let request = DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_owned(),
        ..Default::default()
    };
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.take(), []);
    assert_eq!(stream.publish([base(), vec![cluster("b", "1")]].concat()), [sent(Cluster, &["b"], &[])]);
}

#[test]
fn secrets_go_out_one_by_one_so_that_a_bad_one_is_alone() {
    let secret = |name| resource(Secret, name, "key");
    let mut stream = Stream::new();
    stream.publish([secret("s"), secret("t")]);
    assert_eq!(
        stream.request(Secret, &["s", "t"], &[]),
        [sent(Secret, &["s"], &[]), sent(Secret, &["t"], &[])]
    );
}

/// A stream that just got these endpoints in one response.
fn with_new_endpoints(names: &[&str]) -> Stream {
    let mut stream = Stream::new();
    stream.publish(names.iter().map(|name| endpoint(name, "1")));
    assert_eq!(stream.request(Endpoint, names, &[]), [sent(Endpoint, names, &[])]);
    stream
}

#[test]
fn refused_endpoints_are_sent_again_one_by_one_so_that_only_the_bad_one_stays_refused() {
    let mut stream = with_new_endpoints(&["a", "b", "c", "d"]);
    let alone = ["a", "b", "c", "d"].map(|name| sent(Endpoint, &[name], &[]));
    assert_eq!(stream.nack_last("bad endpoint"), alone);
    let observations = stream.connection.take_observations();
    let [Observation::Split(rejection)] = &*observations else { panic!("{observations:?}") };
    assert_eq!((rejection.resources.len(), rejection.culprits.len()), (4, 0));

    let [a, b, c, d] = &*std::mem::take(&mut stream.last) else { panic!() };
    for good in [a, b] {
        assert_eq!(stream.ack(good.nonce, Endpoint), []);
    }
    stream.last = vec![c.clone()];
    assert_eq!(stream.nack_last("bad endpoint"), []);
    assert_eq!(stream.ack(d.nonce, Endpoint), []);
    let observations = stream.connection.take_observations();
    let nacked = observations.iter().filter_map(|observation| match observation {
        Observation::Nacked(rejection) => Some(&*rejection.culprits),
        _ => None,
    });
    assert_eq!(nacked.collect::<Vec<_>>(), [["c".to_owned()]]);
    let accepted = observations.iter().filter(|o| matches!(o, Observation::Accepted { .. }));
    assert_eq!(accepted.count(), 3);
    // The bad one is left alone until it is another.
    let with = |c| [endpoint("a", "2"), endpoint("b", "1"), endpoint("c", c), endpoint("d", "2")];
    assert_eq!(stream.publish(with("1")), [sent(Endpoint, &["a", "d"], &[])]);
    stream.settle();
    assert_eq!(stream.publish(with("2")), [sent(Endpoint, &["c"], &[])]);
}

#[test]
fn a_named_culprit_keeps_its_neighbours_where_they_are() {
    let mut stream = with_new_endpoints(&["a", "b", "c"]);
    assert_eq!(stream.nack_last("malformed load assignment: b"), []);
    assert_eq!(
        stream.publish([endpoint("a", "1"), endpoint("b", "2"), endpoint("c", "1")]),
        [sent(Endpoint, &["b"], &[])]
    );
}

#[test]
fn refused_endpoints_go_out_one_by_one_as_far_as_there_is_room_and_hold_nothing_back() {
    let names: Vec<String> = (0..200).map(|i| format!("{i:03}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stream = with_new_endpoints(&names);
    assert_eq!(stream.nack_last("no").len(), 63);
    let first = std::mem::take(&mut stream.last);
    let more = || names.iter().chain(&["new"]).map(|name| endpoint(name, "1"));
    stream.publish(more());
    assert_eq!(stream.request(Endpoint, &["new"], &[]), [sent(Endpoint, &["new"], &[])]);
    let mut alone: Vec<Sent> = first.iter().map(summary).collect();
    stream.last.splice(0..0, first);
    while !stream.last.is_empty() {
        alone.extend(stream.ack_last());
    }
    names.sort();
    assert_eq!(alone, names.iter().map(|name| sent(Endpoint, &[name], &[])).collect::<Vec<_>>());
}

/// The cluster waits for the endpoints that it had, too: they are sent again although they are the same.
#[test]
fn refused_endpoints_of_changed_clusters_are_sent_again_whatever_is_held() {
    let of = |body| {
        let clusters = ["a", "b"].map(|name| cluster(name, body));
        let endpoints = ["a", "b"].map(|name| endpoint(name, "1"));
        [clusters.to_vec(), endpoints.to_vec(), vec![listener("l", "1"), route("r", body)]].concat()
    };
    let mut stream = Stream::holding(of("1"));
    let changed = stream.publish(of("2"));
    assert_eq!(changed, [sent(Cluster, &["a", "b"], &[]), sent(Endpoint, &["a", "b"], &[])]);
    let [clusters, endpoints] = &*std::mem::take(&mut stream.last) else { panic!() };
    assert_eq!(stream.ack(clusters.nonce, Cluster), []);
    stream.last = vec![endpoints.clone()];
    assert_eq!(stream.nack_last("no"), [sent(Endpoint, &["a"], &[]), sent(Endpoint, &["b"], &[])]);
    assert_eq!(stream.ack_last(), [sent(Route, &["r"], &[])]);
}

#[test]
fn a_client_that_acknowledges_nothing_gets_a_bounded_number_of_responses() {
    let mut stream = Stream::new();
    let secrets = || (0..100).map(|i| resource(Secret, &format!("{i:03}"), "key"));
    let names: Vec<String> = (0..100).map(|i| format!("{i:03}")).collect();
    stream.publish(secrets());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(stream.request(Secret, &names, &[]).len(), 64);
    assert_eq!(stream.ack_last().len(), 36);
}

#[test]
fn a_replaced_listener_leaves_in_the_same_response() {
    let mut stream = Stream::holding(base());
    let next = vec![cluster("a", "1"), endpoint("a", "1"), listener("m", "1"), route("r", "a")];
    assert_eq!(stream.publish(next), [sent(Listener, &["m"], &["l"])]);
}

impl Stream {
    /// Like `wait`, but what was sent before can still be acknowledged.
    fn wait_keeping(&mut self, milliseconds: u64) -> Vec<Sent> {
        let before = std::mem::take(&mut self.last);
        let out = self.wait(milliseconds);
        self.last = [before, std::mem::take(&mut self.last)].concat();
        out
    }
}

trait ConcatWith {
    /// All resources, with `replacement` in the place of the one of its type and name.
    fn concat_with(self, replacement: Resource) -> Vec<Resource>;
}

impl<const N: usize> ConcatWith for [Vec<Resource>; N] {
    fn concat_with(self, replacement: Resource) -> Vec<Resource> {
        let is_other =
            |r: &Resource| (r.resource_type(), r.name()) != (replacement.resource_type(), replacement.name());
        let mut all: Vec<Resource> = self.into_iter().flatten().filter(is_other).collect();
        all.push(replacement);
        all
    }
}

/// What is reported as a rejection: the culprits, and why.
type Reported = (Vec<String>, Cause, String);

/// The names that observations of clusters which the client cannot use tell, and what is reported as a rejection.
fn of_not_ready(stream: &mut Stream) -> (Vec<Vec<String>>, Vec<Reported>) {
    let (mut not_ready, mut rejected) = (Vec::new(), Vec::new());
    for observation in stream.connection.take_observations() {
        match observation {
            Observation::NotReady { names, .. } => not_ready.push(names),
            Observation::Nacked(rejection) => {
                rejected.push((rejection.culprits, rejection.cause, rejection.message));
            }
            _ => {}
        }
    }
    (not_ready, rejected)
}

fn ai(body: &str) -> Vec<Resource> {
    let mut all = base();
    all.extend([cluster("ai", body), endpoint("ai", "1"), cluster("plain", body), route("s", "ai")]);
    all
}

#[test]
fn a_cluster_whose_module_is_being_fetched_is_sent_again_and_its_neighbour_is_used() {
    let mut stream = Stream::holding(base());
    stream.request(Route, &["s"], &[]);
    assert_eq!(stream.publish(ai("1")), [sent(Cluster, &["ai", "plain"], &[])]);
    assert_eq!(stream.nack_last(&not_ready(&["ai"])), [], "routes wait for it");
    assert_eq!(of_not_ready(&mut stream), (vec![vec!["ai".to_owned()]], vec![]), "no rejection");
    assert_eq!(stream.connection.next_deadline(), Some(after(stream.now(), 100)));
    assert_eq!(stream.wait(99), []);
    assert_eq!(stream.wait(1), [sent(Cluster, &["ai"], &[])], "it alone");
    assert_eq!(stream.nack_last(&not_ready(&["ai"])), []);
    assert_eq!(stream.wait(199), []);
    assert_eq!(stream.wait(1), [sent(Cluster, &["ai"], &[])]);
    assert_eq!(stream.ack_last(), []);
    assert_eq!(stream.request(Endpoint, &["ai"], &[]), [sent(Endpoint, &["ai"], &[])]);
    assert_eq!(stream.request(Endpoint, &["plain"], &[]), []);
    assert_eq!(stream.ack_last(), [sent(Route, &["s"], &[])]);
    stream.ack_last();
    assert_eq!(stream.connection.next_deadline(), None);
}

#[test]
fn a_module_that_never_comes_holds_others_up_once_and_is_reported() {
    let mut stream = Stream::holding(base());
    stream.request(Route, &["s"], &[]);
    stream.publish(ai("1"));
    let (mut reported, mut waited) = (Vec::new(), 0);
    let mut routes_at = None;
    while waited < 60_000 {
        if let Some(cluster) = stream.last.iter().find(|response| response.resource_type == Cluster).cloned()
        {
            stream.last = vec![cluster];
            stream.nack_last(&not_ready(&["ai"]));
        }
        let (_, rejected) = of_not_ready(&mut stream);
        reported.extend(rejected.into_iter().map(|rejection| (waited, rejection)));
        if stream.wait(100).iter().any(|sent| sent.0 == Route) {
            routes_at.get_or_insert(waited);
        }
        waited += 100;
    }
    assert!(matches!(routes_at, Some(4_000..=5_200)), "{routes_at:?}");
    let [(at, (culprits, Cause::NotReady, message))] = &reported[..] else { panic!("{reported:?}") };
    assert!((30_000..36_000).contains(at), "{at}");
    assert_eq!(culprits, &["ai"]);
    assert!(message.starts_with("ai: Remote module not cached"), "{message}");

    // What is new later does not wait for it any more.
    stream.settle();
    let mut newer = ai("1");
    newer.push(listener("new", "1"));
    let sent_now = stream.publish(newer);
    assert!(sent_now.contains(&sent(Listener, &["new"], &[])), "{sent_now:?}");
}

#[test]
fn a_cluster_that_is_refused_beside_one_that_is_not_ready_is_reported_alone() {
    let mut stream = Stream::holding(base());
    stream.publish(ai("1"));
    stream.nack_last(&format!("{}, plain: no such filter", not_ready(&["ai"])));
    let (not_ready_names, rejected) = of_not_ready(&mut stream);
    assert_eq!(not_ready_names, [["ai"]]);
    assert_eq!(rejected, [(vec!["plain".to_owned()], Cause::Refused, "plain: no such filter".to_owned())]);
    assert_eq!(stream.wait(100), [sent(Cluster, &["ai"], &[])], "the other one is not sent again");
}

#[test]
fn a_new_version_is_sent_at_once_while_the_old_one_is_not_ready_and_serves_until_it_is() {
    let mut stream = Stream::holding(ai("1"));
    assert_eq!(stream.publish(ai("2")), [sent(Cluster, &["ai", "plain"], &[]), sent(Endpoint, &["ai"], &[])]);
    stream.last.retain(|response| response.resource_type == Cluster);
    stream.nack_last(&not_ready(&["ai"]));
    assert_eq!(stream.publish(ai("3")), [sent(Cluster, &["ai", "plain"], &[]), sent(Endpoint, &["ai"], &[])]);
    stream.settle();
    assert_eq!(stream.wait(60_000), [], "the older one is history");
    // Back to a version that is not ready, and back again before it is due.
    stream.publish(ai("2"));
    stream.last.retain(|response| response.resource_type == Cluster);
    stream.nack_last(&not_ready(&["ai"]));
    let sent_now = stream.publish(ai("3"));
    assert_eq!(sent_now[0], sent(Cluster, &["plain"], &[]), "it has that already");
}
