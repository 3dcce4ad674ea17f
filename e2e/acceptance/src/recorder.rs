//! A client of the xDS port that behaves as an Envoy of a Gateway does, and remembers what it was told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use cluster::Error;
use e2e::ads_client::{AdsAddress, AdsClient, Kind, Protocol, ServedResources};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{DEADLINE, RELEASE, SYSTEM, World, XDS_PORT};

/// Between two attempts to connect: what our bootstrap tells Envoy to begin with.
const RETRY: Duration = Duration::from_millis(500);

/// How long the rest of what a response refers to may take. A stream that says nothing for longer is in order.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What a client was told.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// How many streams it opened.
    pub streams: usize,
    /// Whether the last of them is still open.
    pub is_connected: bool,
    /// Every response with something in it: the kind and the names of the resources.
    pub responses: Vec<(Kind, Vec<String>)>,
    /// Every resource that the server said to be gone.
    pub removals: Vec<(Kind, String)>,
    /// How many complete states it had.
    pub states: usize,
    /// What was in a complete state and not in one after it: names of resources, and hosts of routes.
    pub lost: BTreeSet<String>,
    /// What is in the newest complete state.
    pub held: BTreeSet<String>,
}

/// A delta ADS client that shows the token of a Gateway's Envoys. It connects again whenever its stream ends, and
/// says then what it has. Ends when dropped.
#[derive(Debug)]
pub struct Recorder {
    recording: Arc<Mutex<Recording>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts as an Envoy of the Gateway whose service account is named, at the Service of the control plane, and
    /// waits for the first complete state.
    ///
    /// # Panics
    /// There is none within the deadline.
    #[must_use]
    pub fn start(world: &World, namespace: &str, account: &str) -> Self {
        let address = world.field(&["service", RELEASE, "-n", SYSTEM], ".spec.clusterIP");
        Self::start_at(world, namespace, account, vec![address])
    }

    /// As [`start`](Self::start), at these addresses, of which it keeps to the first that lets it in.
    ///
    /// # Panics
    /// There is no complete state within the deadline.
    #[must_use]
    pub fn start_at(world: &World, namespace: &str, account: &str, addresses: Vec<String>) -> Self {
        let identity = world.proxy_identity(namespace, account);
        let secure = |address: String| {
            identity.address(SocketAddr::new(address.parse().expect("an IP address"), XDS_PORT))
        };
        let addresses = addresses.into_iter().map(secure).collect();
        let recording = Arc::new(Mutex::new(Recording::default()));
        let task = world.network.spawn(record(addresses, Arc::clone(&recording)));
        let recorder = Self { recording, task };
        let has_begun = || match recorder.recording().states {
            0 => Err(Error::Unexpected("no complete state yet".to_owned())),
            _ => Ok(()),
        };
        world.cluster.wait_until("the recording client", DEADLINE, has_begun).expect("a complete state");
        recorder
    }

    /// What it was told until now.
    #[must_use]
    pub fn recording(&self) -> Recording {
        lock(&self.recording).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes on for ever; an error is the end of a stream or a refused connection, after which it tries again.
async fn record(addresses: Vec<AdsAddress>, recording: Arc<Mutex<Recording>>) {
    let mut client = None;
    for address in addresses.iter().cycle() {
        let _: Result<()> = follow(&mut client, address, &recording).await;
        lock(&recording).is_connected = false;
        sleep(RETRY).await;
    }
}

/// Follows one stream to its end.
async fn follow(
    client: &mut Option<AdsClient>,
    address: &AdsAddress,
    recording: &Mutex<Recording>,
) -> Result<()> {
    let client = match client {
        Some(client) => {
            client.reconnect(address).await?;
            client
        }
        None => client.insert(AdsClient::connect(address, Protocol::Delta, "recorder").await?),
    };
    {
        let mut recording = lock(recording);
        recording.streams += 1;
        recording.is_connected = true;
    }
    loop {
        client.changed(PATIENCE).await?;
        lock(recording).note(client);
    }
}

impl Recording {
    /// Notes a complete state and what led to it.
    fn note(&mut self, client: &AdsClient) {
        self.responses = client.history().iter().filter(|(_, names)| !names.is_empty()).cloned().collect();
        self.removals = client.removals().to_vec();
        self.states += 1;
        let held = names(client.resources());
        self.lost.extend(self.held.difference(&held).cloned());
        self.held = held;
    }
}

/// The names of all resources, and the hosts that the routes know.
fn names(resources: &ServedResources) -> BTreeSet<String> {
    let listeners = resources.listeners.keys().map(|name| format!("listener {name}"));
    let clusters = resources.clusters.keys().map(|name| format!("cluster {name}"));
    let endpoints = resources.endpoints.keys().map(|name| format!("endpoints {name}"));
    let secrets = resources.secrets.keys().map(|name| format!("secret {name}"));
    let routes = resources.routes.keys().map(|name| format!("routes {name}"));
    let hosts = resources.routes.iter().flat_map(|(name, routes)| {
        let domains = routes.virtual_hosts.iter().flat_map(|host| &host.domains);
        domains.map(move |domain| format!("host {domain} of {name}"))
    });
    listeners.chain(clusters).chain(endpoints).chain(secrets).chain(routes).chain(hosts).collect()
}
