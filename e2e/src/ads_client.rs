//! An independent witness of what is served by ADS.
//!
//! It is built on `xds-api`: another code generator, an older copy of Envoy's API and another version of gRPC than
//! the product's. It subscribes as Envoy does (all listeners and clusters, then whatever these refer to), decodes
//! every resource, looks into every extension it knows, and acknowledges. Nothing of ours is used, so that an
//! error of ours cannot cancel itself out.

mod extensions;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use prost013::{Message, Name};
pub use xds_api::pb;
use xds_api::pb::envoy::config::cluster::v3::Cluster;
use xds_api::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use xds_api::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::pb::envoy::config::listener::v3::Listener;
use xds_api::pb::envoy::config::route::v3::RouteConfiguration;
use xds_api::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use xds_api::pb::google::protobuf::Any;

use self::extensions::{Extensions, References};
use self::stream::{Held, Stream, Update};

/// Where an ADS server listens.
#[derive(Clone, Debug)]
pub enum AdsAddress {
    /// A Unix socket, without TLS.
    Unix(PathBuf),
    /// A TCP address, without TLS.
    Tcp(SocketAddr),
    /// A TCP address with TLS, where a token is asked for.
    Tls(SecureAddress),
}

/// An ADS server behind TLS 1.3, and how to show who is asking.
#[derive(Clone)]
pub struct SecureAddress {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate is for.
    pub server_name: String,
    /// The authority of the certificate, PEM.
    pub authority: String,
    /// The bearer token; empty for none.
    pub token: String,
}

impl fmt::Debug for SecureAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.server_name)
    }
}

/// Which of the two protocols to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// State of the world: a response for listeners and clusters carries all of them.
    StateOfTheWorld,
    /// Incremental: a response carries what changed.
    Delta,
}

/// The kinds of resources, in the order in which they should be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SDS.
    Secret,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route, Self::Secret];

    /// The type URL of the kind's resources.
    #[must_use]
    pub fn type_url(self) -> String {
        match self {
            Self::Cluster => Cluster::type_url(),
            Self::Endpoint => ClusterLoadAssignment::type_url(),
            Self::Listener => Listener::type_url(),
            Self::Route => RouteConfiguration::type_url(),
            Self::Secret => Secret::type_url(),
        }
    }

    fn of(type_url: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.type_url() == type_url);
        kind.with_context(|| format!("the server sent {type_url}, which was not asked for"))
    }

    /// Whether all resources are asked for, rather than names.
    fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// Everything a client holds, decoded. Its `Debug` output shows names only, since secrets are among it.
#[derive(Clone, Default, PartialEq)]
pub struct ServedResources {
    /// Listeners by name.
    pub listeners: BTreeMap<String, Listener>,
    /// Route configurations by name.
    pub routes: BTreeMap<String, RouteConfiguration>,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Load assignments by the name under which clusters ask for them.
    pub endpoints: BTreeMap<String, ClusterLoadAssignment>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The types of extensions that are too new for `xds-api`, and were not looked into.
    pub unknown_extensions: BTreeSet<String>,
}

impl fmt::Debug for ServedResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedResources")
            .field("listeners", &self.listeners.keys())
            .field("routes", &self.routes.keys())
            .field("clusters", &self.clusters.keys())
            .field("endpoints", &self.endpoints.keys())
            .field("secrets", &self.secrets.keys())
            .field("unknown_extensions", &self.unknown_extensions)
            .finish()
    }
}

/// A client with one ADS stream.
pub struct AdsClient {
    stream: Stream,
    extensions: Extensions,
    /// The kinds of which at least one response came.
    answered: BTreeSet<Kind>,
    /// The names that were asked for, by kind.
    subscribed: BTreeMap<Kind, BTreeSet<String>>,
    /// What each listener and cluster refers to.
    references: BTreeMap<(Kind, String), References>,
    resources: ServedResources,
    /// The versions of the resources that are held, as delta responses gave them.
    versions: BTreeMap<Kind, BTreeMap<String, String>>,
    /// Every response so far, in order: its kind and the names in it.
    history: Vec<(Kind, Vec<String>)>,
    /// Every resource that the server has said to be gone, in order.
    removals: Vec<(Kind, String)>,
    node_id: String,
}

impl AdsClient {
    /// Connects, and asks for all clusters and listeners as the node `node_id`.
    ///
    /// # Errors
    /// No connection, or the server refuses the stream.
    pub async fn connect(address: &AdsAddress, protocol: Protocol, node_id: &str) -> Result<Self> {
        Ok(Self {
            stream: Stream::open(address, protocol, node_id).await?,
            extensions: Extensions::load()?,
            answered: BTreeSet::new(),
            subscribed: BTreeMap::new(),
            references: BTreeMap::new(),
            resources: ServedResources::default(),
            versions: BTreeMap::new(),
            history: Vec::new(),
            removals: Vec::new(),
            node_id: node_id.to_owned(),
        })
    }

    /// Opens another stream in place of one that has ended, as Envoy does: it keeps what it holds, asks for the
    /// same again, and says which versions it has. By the delta protocol.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); everything is kept then, to try again.
    pub async fn reconnect(&mut self, address: &AdsAddress) -> Result<()> {
        let held = Kind::ALL.into_iter().filter_map(|kind| {
            let names = self.subscribed.get(&kind).cloned().unwrap_or_default();
            let versions = self.versions.get(&kind).cloned().unwrap_or_default();
            (kind.is_wildcard() || !names.is_empty()).then_some(Held { kind, names, versions })
        });
        self.stream = Stream::resume(address, &self.node_id, held.collect()).await?;
        Ok(())
    }

    /// Receives until nothing that is referred to is missing, and returns all.
    ///
    /// Returns at once when nothing is missing already; see [`changed`](Self::changed).
    ///
    /// # Errors
    /// A resource that cannot be decoded, the end of the stream, or `deadline`; the error names what is missing.
    pub async fn complete(&mut self, deadline: Duration) -> Result<&ServedResources> {
        let receive = async {
            while !self.missing().is_empty() {
                self.receive().await?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(deadline, receive).await {
            Ok(received) => received?,
            Err(_) => bail!("not served within {deadline:?}: {:?}", self.missing()),
        }
        Ok(&self.resources)
    }

    /// Waits for the next response, and then as [`complete`](Self::complete).
    ///
    /// # Errors
    /// As [`complete`](Self::complete); also when nothing is sent before `deadline`.
    pub async fn changed(&mut self, deadline: Duration) -> Result<&ServedResources> {
        match tokio::time::timeout(deadline, self.receive()).await {
            Ok(received) => received?,
            Err(_) => bail!("no response within {deadline:?}"),
        }
        self.complete(deadline).await
    }

    /// Receives until a response of this kind comes, and refuses that with these words, as Envoy does with what it
    /// cannot use.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn refuse(&mut self, kind: Kind, words: &str, deadline: Duration) -> Result<()> {
        let receive = async {
            loop {
                let update = self.stream.next().await?;
                if update.kind == kind {
                    return self.stream.refuse(&update, words).await;
                }
                self.take(&update).await?;
            }
        };
        match tokio::time::timeout(deadline, receive).await {
            Ok(refused) => refused,
            Err(_) => bail!("no {kind:?} response within {deadline:?}"),
        }
    }

    /// What it holds now.
    #[must_use]
    pub fn resources(&self) -> &ServedResources {
        &self.resources
    }

    /// Every response so far, in order: its kind and the names of the resources in it.
    #[must_use]
    pub fn history(&self) -> &[(Kind, Vec<String>)] {
        &self.history
    }

    /// Every resource that the server has said to be gone, in order. Only the delta protocol says so.
    #[must_use]
    pub fn removals(&self) -> &[(Kind, String)] {
        &self.removals
    }

    async fn receive(&mut self) -> Result<()> {
        let update = self.stream.next().await?;
        self.take(&update).await
    }

    async fn take(&mut self, update: &Update) -> Result<()> {
        self.apply(update)?;
        self.stream.acknowledge(update).await?;
        self.answered.insert(update.kind);
        self.subscribe().await
    }

    fn apply(&mut self, update: &Update) -> Result<()> {
        let mut names = BTreeSet::new();
        for resource in &update.resources {
            names.insert(self.insert(update.kind, resource)?);
        }
        self.history.push((update.kind, names.iter().cloned().collect()));
        self.versions.entry(update.kind).or_default().extend(update.versions.iter().cloned());
        let mut removed: Vec<String> = update.removed.clone();
        self.removals.extend(removed.iter().map(|name| (update.kind, name.clone())));
        if update.is_whole_state {
            removed.extend(self.held(update.kind).into_iter().filter(|name| !names.contains(name)));
        }
        if !update.kind.is_wildcard() {
            // Sent before the server knew that it is no longer wanted. Decoded above all the same.
            let subscribed = self.subscribed.entry(update.kind).or_default();
            removed.extend(names.difference(subscribed).cloned());
        }
        for name in removed {
            self.remove(update.kind, &name);
        }
        Ok(())
    }

    /// Asks for what the listeners and clusters refer to now, and forgets what they no longer do.
    async fn subscribe(&mut self) -> Result<()> {
        for kind in [Kind::Endpoint, Kind::Route, Kind::Secret] {
            let wanted = self.wanted(kind);
            let before = self.subscribed.get(&kind).cloned().unwrap_or_default();
            if wanted == before {
                continue;
            }
            self.stream.subscribe(kind, &before, &wanted).await?;
            for name in before.difference(&wanted) {
                self.remove(kind, name);
            }
            self.subscribed.insert(kind, wanted);
        }
        Ok(())
    }

    fn wanted(&self, kind: Kind) -> BTreeSet<String> {
        self.references.values().flat_map(|references| references.of(kind)).cloned().collect()
    }

    /// What has been asked for and has not come.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for kind in Kind::ALL {
            if kind.is_wildcard() {
                if !self.answered.contains(&kind) {
                    missing.push(format!("any {kind:?} response"));
                }
            } else {
                let held = self.held(kind);
                missing.extend(self.wanted(kind).difference(&held).map(|name| format!("{kind:?} {name}")));
            }
        }
        missing
    }

    fn held(&self, kind: Kind) -> BTreeSet<String> {
        let resources = &self.resources;
        match kind {
            Kind::Cluster => resources.clusters.keys().cloned().collect(),
            Kind::Endpoint => resources.endpoints.keys().cloned().collect(),
            Kind::Listener => resources.listeners.keys().cloned().collect(),
            Kind::Route => resources.routes.keys().cloned().collect(),
            Kind::Secret => resources.secrets.keys().cloned().collect(),
        }
    }

    /// Decodes one resource and everything inside it, and returns its name.
    fn insert(&mut self, kind: Kind, resource: &Any) -> Result<String> {
        let held = &mut self.resources;
        let name = match kind {
            Kind::Cluster => insert(&mut held.clusters, resource, |cluster| &cluster.name),
            Kind::Endpoint => insert(&mut held.endpoints, resource, |endpoints| &endpoints.cluster_name),
            Kind::Listener => insert(&mut held.listeners, resource, |listener| &listener.name),
            Kind::Route => insert(&mut held.routes, resource, |routes| &routes.name),
            Kind::Secret => insert(&mut held.secrets, resource, |secret| &secret.name),
        }?;
        let mut references =
            self.extensions.inspect(resource).with_context(|| format!("inside {kind:?} {name}"))?;
        held.unknown_extensions.append(&mut references.unknown);
        if let Some(endpoints) = held.clusters.get(&name).filter(|_| kind == Kind::Cluster).and_then(eds_name)
        {
            references.endpoints.insert(endpoints);
        }
        self.references.insert((kind, name.clone()), references);
        Ok(name)
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        let held = &mut self.resources;
        match kind {
            Kind::Cluster => drop(held.clusters.remove(name)),
            Kind::Endpoint => drop(held.endpoints.remove(name)),
            Kind::Listener => drop(held.listeners.remove(name)),
            Kind::Route => drop(held.routes.remove(name)),
            Kind::Secret => drop(held.secrets.remove(name)),
        }
        self.references.remove(&(kind, name.to_owned()));
        self.versions.entry(kind).or_default().remove(name);
    }
}

fn insert<M: Message + Name + Default>(
    held: &mut BTreeMap<String, M>,
    resource: &Any,
    name_of: fn(&M) -> &String,
) -> Result<String> {
    if resource.type_url != M::type_url() {
        bail!("a response for {} carries {}", M::type_url(), resource.type_url);
    }
    let message =
        M::decode(&resource.value[..]).with_context(|| format!("undecodable {}", resource.type_url))?;
    let name = name_of(&message).clone();
    held.insert(name.clone(), message);
    Ok(name)
}

/// The name of the load assignment that a cluster asks for, if its endpoints come by EDS.
fn eds_name(cluster: &Cluster) -> Option<String> {
    let by_eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    if cluster.cluster_discovery_type.as_ref() != Some(&by_eds) {
        return None;
    }
    let service = cluster.eds_cluster_config.as_ref().map_or("", |eds| &eds.service_name);
    Some(if service.is_empty() { cluster.name.clone() } else { service.to_owned() })
}
