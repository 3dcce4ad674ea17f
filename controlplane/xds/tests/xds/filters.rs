//! Filters that listeners name wait for the clusters that they need: one that Envoy has refused is not put into effect when
//! it is sent again.

use xds::ResourceType::{Cluster, Extension, Listener, Route};
use xds::{Observation, Resource, ResourceType};

use crate::delta::Stream;
use crate::support::*;

/// A cluster that a client may do without.
fn module(body: &str) -> Resource {
    resource(Cluster, "m", body).optional()
}

/// A filter that needs that cluster.
fn filter(body: &str) -> Resource {
    Resource::new("f", Extension, body.as_bytes(), vec![(Cluster, "m".to_owned())])
}

/// All that there is when the module and its filter are of this version.
fn all(body: &str) -> Vec<Resource> {
    vec![module(body), filter(body), resource(Extension, "other", body), listener("l", "1"), route("r", "a")]
}

/// A stream on which nothing is acknowledged yet but the clusters are sent.
fn started() -> Stream {
    let mut stream = Stream::new();
    stream.publish(all("1"));
    assert_eq!(stream.request(Cluster, &[], &[]), [sent(Cluster, &["m"], &[])]);
    stream
}

fn in_sync(stream: &mut Stream, kind: ResourceType) -> bool {
    let is_it =
        |o: &Observation| matches!(o, Observation::InSync { resource_type, .. } if *resource_type == kind);
    stream.connection.take_observations().iter().any(is_it)
}

#[test]
fn a_filter_comes_after_its_cluster_and_others_do_not_wait() {
    let mut stream = started();
    let cluster = std::mem::take(&mut stream.last);
    assert_eq!(stream.request(Extension, &["f", "other"], &[]), [sent(Extension, &["other"], &[])]);
    stream.ack_last();
    stream.last = cluster;
    assert_eq!(stream.ack_last(), [sent(Extension, &["f"], &[])]);
    stream.ack_last();
    assert!(in_sync(&mut stream, Extension));
}

#[test]
fn a_filter_waits_as_long_as_its_cluster_is_not_ready() {
    let mut stream = started();
    for _ in 0..10 {
        assert_eq!(stream.nack_last(&not_ready(&["m"])), []);
        assert_eq!(stream.request(Extension, &["f"], &[]), []);
        stream.last.clear();
        assert_eq!(stream.wait(5_000), [sent(Cluster, &["m"], &[])]);
    }
    assert_eq!(stream.ack_last(), [sent(Extension, &["f"], &[])]);
}

#[test]
fn a_new_filter_waits_for_the_new_cluster_and_the_old_one_stays() {
    let mut stream = started();
    stream.request(Extension, &["f", "other"], &[]);
    stream.settle();
    let update = [sent(Cluster, &["m"], &[]), sent(Extension, &["other"], &[])];
    assert_eq!(stream.publish(all("2")), update, "no filter goes, and none is taken away");
    stream.last.retain(|response| response.resource_type == Cluster);
    assert_eq!(stream.nack_last(&not_ready(&["m"])), []);
    stream.last.clear();
    assert_eq!(stream.wait(100), [sent(Cluster, &["m"], &[])]);
    assert_eq!(stream.ack_last(), [sent(Extension, &["f"], &[])]);
    // Back to the version before while the next one is not ready.
    stream.settle();
    stream.publish(all("3"));
    stream.last.retain(|response| response.resource_type == Cluster);
    stream.nack_last(&not_ready(&["m"]));
    stream.last.clear();
    stream.publish(all("2"));
    stream.settle();
    assert_eq!(stream.wait(60_000), [], "the client has that filter");
}

#[test]
fn without_an_optional_cluster_a_client_has_everything_and_does_not_get_its_filters() {
    let mut stream = started();
    stream.nack_last("Error adding/updating cluster(s) m: cannot load the module");
    stream.last.clear();
    assert_eq!(stream.request(Extension, &["f"], &[]), []);
    assert!(in_sync(&mut stream, Cluster), "it counts as having all clusters");
    assert_eq!(stream.request(Listener, &[], &[]), [sent(Listener, &["l"], &[])]);
    stream.ack_last();
    assert_eq!(stream.request(Route, &["r"], &[]), [sent(Route, &["r"], &[])]);
    assert_eq!(stream.wait(60_000), [], "nothing is tried again");
    // Another module.
    stream.settle();
    assert_eq!(stream.publish(all("2")), [sent(Cluster, &["m"], &[])]);
    assert_eq!(stream.ack_last(), [sent(Extension, &["f"], &[])]);
}

#[test]
fn a_client_that_comes_back_with_the_cluster_gets_the_filter_at_once() {
    let mut stream = Stream::new();
    stream.publish(all("1"));
    let mut request = delta_request(Cluster, &[], &[]);
    request.initial_resource_versions = [("m".to_owned(), module("1").version().to_string())].into();
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.request(Extension, &["f"], &[]), [sent(Extension, &["f"], &[])]);
    // One that has an older cluster gets the filter after the newer one.
    let mut stream = Stream::new();
    stream.publish(all("2"));
    stream.connection.on_request(&request, stream.now());
    assert_eq!(stream.request(Extension, &["f"], &[]), [sent(Cluster, &["m"], &[])]);
    assert_eq!(stream.ack_last(), [sent(Extension, &["f"], &[])]);
}

#[test]
fn a_client_without_clusters_and_a_filter_of_a_cluster_that_is_not_there_do_not_wait() {
    let mut stream = Stream::new();
    stream.publish(all("1"));
    assert_eq!(stream.request(Extension, &["f"], &[]), [sent(Extension, &["f"], &[])]);
    let mut stream = Stream::new();
    stream.publish([filter("1")]);
    stream.request(Cluster, &[], &[]);
    assert_eq!(stream.request(Extension, &["f"], &[]), [sent(Extension, &["f"], &[])]);
}
