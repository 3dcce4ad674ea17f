//! What proxies refuse, known to every replica.
//!
//! A proxy is connected to one replica, and only that one hears what it refuses; but statuses are written by the
//! leader, which may be another. So every replica shows what it heard at its admin port (`/refusals`), and asks
//! the others for theirs. All of them do so, not only the leader: whoever leads next knows already, and a status
//! does not change because the leader did.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ir::GatewayName;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::refusal::{Refusal, Refusals, merge};
use crate::replicas::{self, Replicas};

/// Where a replica shows what it heard.
pub const PATH: &str = "/refusals";

/// Between two rounds of asking.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long one replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// More than a replica ever has to say, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;

/// As `PATH` shows them: refusals by `namespace/name`.
pub fn encode(refusals: &Refusals) -> serde_json::Value {
    refusals.iter().map(|(gateway, refused)| (gateway.to_string(), serde_json::json!(refused))).collect()
}

/// Of a replica of another version that says it in other words, nothing is understood and nothing believed.
fn decode(json: &[u8]) -> Result<Refusals> {
    let refused: BTreeMap<String, BTreeSet<Refusal>> =
        serde_json::from_slice(json).context("no list of refusals")?;
    let named = refused.into_iter().filter_map(|(name, refused)| {
        let (namespace, name) = name.split_once('/')?;
        Some((GatewayName { namespace: namespace.to_owned(), name: name.to_owned() }, refused))
    });
    Ok(named.collect())
}

/// The other replicas.
pub struct Peers {
    replicas: Replicas,
    /// What each of them said last. One that does not answer is believed until it is gone from the Service.
    said: BTreeMap<SocketAddr, Refusals>,
}

impl Peers {
    /// None of them has been asked yet.
    pub fn new(replicas: Replicas) -> Self {
        Self { replicas, said: BTreeMap::new() }
    }

    /// Asks them again and again, and tells what is new, until nobody listens.
    pub async fn follow(mut self, heard: watch::Sender<Refusals>) {
        while !heard.is_closed() {
            self.ask_all().await;
            let mut together = Refusals::new();
            self.said.values().for_each(|said| merge(&mut together, said));
            heard.send_if_modified(|before| {
                let is_new = *before != together;
                *before = together;
                is_new
            });
            sleep(INTERVAL).await;
        }
    }

    async fn ask_all(&mut self) {
        let addresses = match self.replicas.addresses().await {
            Ok(addresses) => addresses,
            // The API server is away; the others are perhaps not.
            Err(error) => {
                tracing::debug!(%error, "cannot find the other replicas; asking those of before");
                self.said.keys().copied().collect()
            }
        };
        self.said.retain(|address, _| addresses.contains(address));
        for address in addresses {
            match timeout(PATIENCE, ask(address)).await {
                Ok(Ok(refusals)) => drop(self.said.insert(address, refusals)),
                Ok(Err(error)) => tracing::debug!(%address, %error, "a replica does not say what it heard"),
                Err(_) => tracing::debug!(%address, "a replica does not answer"),
            }
        }
    }
}

async fn ask(address: SocketAddr) -> Result<Refusals> {
    decode(&replicas::get(address, PATH, LONGEST_ANSWER).await?)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;
    use crate::mock_api::MockApi;

    fn gateway(name: &str) -> GatewayName {
        GatewayName { namespace: "default".to_owned(), name: name.to_owned() }
    }

    fn refusal(message: &str) -> Refusal {
        let (kind, name) = ("route".to_owned(), "http/80".to_owned());
        Refusal { kind, name, objects: BTreeSet::new(), message: message.to_owned(), is_retried: false }
    }

    fn refused(messages: &[&str]) -> Refusals {
        Refusals::from([(gateway("web"), messages.iter().map(|message| refusal(message)).collect())])
    }

    /// A replica that says this of the Gateway `web`.
    async fn replica(line: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = encode(&refused(&[line])).to_string();
        let router = Router::new().route(PATH, get(|| async { answer }));
        tokio::spawn(async { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn what_the_other_replicas_heard_is_known_here_until_they_are_gone() {
        let api = MockApi::new();
        let (one, two, own) = (replica("a").await, replica("b").await, replica("own").await);
        for (name, pod, address) in [("one", "pod-1", one), ("two", "pod-2", two), ("own", "pod-3", own)] {
            api.apply(replicas::slice(name, pod, address));
        }
        let (heard, mut news) = watch::channel(Refusals::new());
        let replicas = Replicas::new(api.client(), "chancery-system", "chancery", "pod-3");
        tokio::spawn(Peers::new(replicas).follow(heard));
        let both = refused(&["a", "b"]);
        news.wait_for(|refusals| *refusals == both).await.unwrap();
        api.delete("/apis/discovery.k8s.io/v1/namespaces/chancery-system/endpointslices/two");
        let first = refused(&["a"]);
        news.wait_for(|refusals| *refusals == first).await.unwrap();
    }

    #[test]
    fn what_is_shown_is_what_is_read() {
        let refusals = refused(&["listener a: no"]);
        assert_eq!(decode(encode(&refusals).to_string().as_bytes()).unwrap(), refusals);
        assert!(decode(b"<html>").is_err());
        // As a replica of an earlier version says it.
        assert!(decode(br#"{"default/web": ["listener a: no"]}"#).is_err());
    }

    #[test]
    fn two_replicas_that_heard_the_same_are_told_once() {
        let mut ours = refused(&["b"]);
        merge(&mut ours, &refused(&["a", "b"]));
        assert_eq!(ours, refused(&["a", "b"]));
    }
}
