//! When a stream ends. The rest of what is promised is shown by unit tests with a clock of their own
//! (`controlplane/src/xds_trust/tests/lifetime.rs`): revocation is noticed by a review every ten minutes, and a
//! stream is no older than half an hour.

use std::time::{Duration, Instant, SystemTime};

use acceptance::{World, restricted_namespace};
use e2e::ads_client::{AdsClient, Protocol};

use super::fixture::{self, GATEWAY, NAMESPACES, SERVED, client, ports};
use super::tokens::{self, AUDIENCE};

/// How late a stream may end.
const LATEST: Duration = Duration::from_secs(5);

/// Waits for the end of a stream; what it was told.
async fn end_of(client: &mut AdsClient) -> String {
    loop {
        if let Err(error) = client.changed(SERVED).await {
            return format!("{error:#}");
        }
    }
}

#[test]
fn a_stream_ends_when_its_token_expires() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    // Not the one that other tests, at the same time, have streams of: a proxy has few at a time.
    let genuine = tokens::issue(&world.cluster, GATEWAY, NAMESPACES[1], AUDIENCE);
    for (name, port) in ports(world) {
        // Tokens count whole seconds.
        let expiry = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs() + 6;
        let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(expiry);
        let token = tokens::expiring_at(world, &genuine, expiry);
        let (told, ended) = world.network.run(async move {
            let mut client = client(&port, &token, Protocol::Delta, "any").await.expect("a stream");
            client.complete(Duration::from_secs(4)).await.expect("everything, while the token is good");
            (end_of(&mut client).await, SystemTime::now())
        });
        let late = ended.duration_since(expiry).expect("not before the token expires");
        println!("{name}: the stream ended {late:?} after its token expired: {told}");
        assert!(told.contains("expired"), "{name}: {told}");
        assert!(late < LATEST, "{name}: {late:?}");
    }
}

#[test]
fn a_stream_ends_with_its_gateway() {
    let (world, _guard) = World::shared();
    fixture::prepare(world);
    let namespace = "trust-gone";
    world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    let gateway = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {GATEWAY}, namespace: {namespace}}}\n\
         spec: {{gatewayClassName: chancery, listeners: [{{name: http, protocol: HTTP, port: 8080}}]}}\n"
    );
    world.cluster.apply(&gateway).expect("the Gateway");
    let _address = world.programmed(GATEWAY, namespace);
    let token = tokens::issue(&world.cluster, GATEWAY, namespace, AUDIENCE);
    let streams: Vec<_> = ports(world).into_iter().skip(1).collect();
    let (opened, mut open) = tokio::sync::mpsc::channel(streams.len());
    let count = streams.len();
    let ends: Vec<_> = streams
        .into_iter()
        .map(|(name, port)| {
            let (token, opened) = (token.clone(), opened.clone());
            world.network.spawn(async move {
                let mut client = client(&port, &token, Protocol::Delta, "any").await.expect("a stream");
                client.complete(SERVED).await.expect("everything");
                opened.send(()).await.expect("somebody waits");
                (name, end_of(&mut client).await, Instant::now())
            })
        })
        .collect();
    world.network.run(async move {
        for _ in 0..count {
            open.recv().await.expect("a stream is open");
        }
    });
    let deleted = Instant::now();
    world.cluster.kubectl(&["delete", "gateway", GATEWAY, "-n", namespace]).expect("it is deleted");
    for end in ends {
        let (name, told, ended) = world.network.run(async { end.await.expect("the client ends") });
        let late = ended.saturating_duration_since(deleted);
        println!("{name}: the stream ended {late:?} after its Gateway was deleted: {told}");
        // A replica learns in any order that there is no configuration any more and that the service account is nobody's.
        let reasons = ["not that of a proxy", "there is no configuration for this node"];
        assert!(reasons.iter().any(|reason| told.contains(reason)), "{name}: {told}");
        assert!(late < LATEST, "{name}: {late:?}");
    }
    // Whatever ended it, the token opens no other one.
    for (name, port) in ports(world).into_iter().skip(1) {
        let token = token.clone();
        let refusal = world.network.run(async move {
            loop {
                let told = match client(&port, &token, Protocol::Delta, "any").await {
                    Ok(mut client) => end_of(&mut client).await,
                    Err(error) => format!("{error:#}"),
                };
                let is_late = deleted.elapsed() > LATEST;
                if is_late || told.contains("not that of a proxy") {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        println!("{name}: another stream with that token: {refusal}");
        assert!(refusal.contains("not that of a proxy"), "{name}: {refusal}");
    }
}
