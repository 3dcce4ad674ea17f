//! The packing of virtual hosts: how the encoded parts of routes become route tables.
//!
//! A table is spliced from chunks of bytes that are kept: a change of one route encodes that route alone, joins the
//! chunks around it, and copies the rest. Its version is a sum over the parts, so that it is known without a look at
//! the bytes. Another packing (scoped routes, say) would stand beside this one.
//!
//! Protobuf lets a message be written in pieces: fields of a repeated kind follow each other, and what stands before
//! and after them may be encoded apart.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher as _};
use std::sync::Arc;

use ir::{Hostname, ListenerPlaces, RouteConfigName};
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::route::RouteConfiguration;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::route::{
    build_asking_host, build_misdirected_host, build_route_configuration, build_virtual_host, unrouted,
};
use super::{EncodedResource, XdsKind};

/// `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;

/// How many chunks are joined at once: small enough that a change costs little, large enough that a table has few.
const SEGMENT: usize = 64;

/// What a virtual host is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostRole {
    /// For routes, before which services are asked at these places, if there are any.
    Routes(Option<Arc<ListenerPlaces>>),
    /// For requests that came on a connection of another listener of the same port: each is answered 421.
    Misdirected,
}

/// A route table, whose routes stand at places of type `K` within their host.
#[derive(Debug)]
pub(crate) struct Table<K> {
    name: RouteConfigName,
    hosts: BTreeMap<Hostname, HostChunks<K>>,
    /// The hosts as they stand in the table.
    packed: Rope<Hostname>,
    /// Hosts that are not packed as they are now.
    changed: BTreeSet<Hostname>,
    version: u128,
}

#[derive(Debug)]
struct HostChunks<K> {
    routes: Rope<K>,
    role: HostRole,
    /// What the host adds to the version of the table.
    version: u128,
}

impl<K: Ord + Clone + Hash> Table<K> {
    /// A table without hosts.
    pub(crate) fn new(name: RouteConfigName) -> Self {
        let version = xxh3_128(name.as_str().as_bytes());
        Self { name, hosts: BTreeMap::new(), packed: Rope::new(), changed: BTreeSet::new(), version }
    }

    /// Adds a host, or has it be there for something else than before. It keeps its routes if it is for routes still.
    pub(crate) fn set_host(&mut self, hostname: &Hostname, role: HostRole) {
        let version = xxh3_128(&head(hostname, &role));
        match self.hosts.get_mut(hostname) {
            Some(host) if host.role == role => return,
            Some(host) if host.role.has_routes() && role.has_routes() => {
                let change = version.wrapping_sub(xxh3_128(&head(hostname, &host.role)));
                host.role = role;
                host.version = host.version.wrapping_add(change);
                self.version = self.version.wrapping_add(change);
                self.changed.insert(hostname.clone());
                return;
            }
            Some(_) => self.remove_host(hostname),
            None => {}
        }
        self.version = self.version.wrapping_add(version);
        self.hosts.insert(hostname.clone(), HostChunks { routes: Rope::new(), role, version });
        self.changed.insert(hostname.clone());
    }

    /// Takes out a host with all that it has.
    pub(crate) fn remove_host(&mut self, hostname: &Hostname) {
        if let Some(host) = self.hosts.remove(hostname) {
            self.version = self.version.wrapping_sub(host.version);
            self.changed.insert(hostname.clone());
        }
    }

    /// Replaces routes of a host: `before` are taken out, `after` put in. Nothing happens if there is no such host, or if it is for
    /// routes no more: it has lost them with that.
    pub(crate) fn replace(
        &mut self,
        hostname: &Hostname,
        before: &[(K, Arc<[u8]>)],
        after: &[(K, Arc<[u8]>)],
    ) {
        let Some(host) = self.hosts.get_mut(hostname).filter(|host| host.role.has_routes()) else { return };
        self.version = self.version.wrapping_sub(host.version);
        let kept: BTreeSet<&K> = after.iter().map(|(key, _)| key).collect();
        for (key, bytes) in before {
            if !kept.contains(key) {
                host.routes.set(key, None);
            }
            host.version = host.version.wrapping_sub(digest(hostname, key, bytes));
        }
        for (key, bytes) in after {
            host.routes.set(key, Some(bytes));
            host.version = host.version.wrapping_add(digest(hostname, key, bytes));
        }
        self.version = self.version.wrapping_add(host.version);
        self.changed.insert(hostname.clone());
    }

    /// The table as it is now.
    pub(crate) fn encode(&mut self) -> EncodedResource {
        for hostname in std::mem::take(&mut self.changed) {
            let packed = self.hosts.get(&hostname).map(|host| host.pack(&hostname));
            self.packed.set(&hostname, packed.as_deref());
        }
        let name = RouteConfiguration { name: self.name.to_string(), ..RouteConfiguration::default() };
        let (head, tail) = (proto::encode(&name), proto::encode(&build_route_configuration()));
        let mut bytes = Vec::with_capacity(head.len() + self.packed.len() + tail.len());
        bytes.extend_from_slice(&head);
        self.packed.write(&mut bytes);
        bytes.extend_from_slice(&tail);
        let name = self.name.to_string();
        EncodedResource {
            kind: XdsKind::Route,
            name,
            bytes,
            version: self.version,
            needs: Vec::new(),
            is_optional: false,
        }
    }
}

impl<K: Ord + Clone> HostChunks<K> {
    /// The host as it stands in a table: key, length, message.
    fn pack(&self, hostname: &Hostname) -> Vec<u8> {
        let (head, tail) = (head(hostname, &self.role), tail(&self.role));
        let length = head.len() + self.routes.len() + tail.len();
        let mut bytes = Vec::with_capacity(length + 8);
        encode_key(VIRTUAL_HOSTS, WireType::LengthDelimited, &mut bytes);
        encode_varint(length as u64, &mut bytes);
        bytes.extend_from_slice(&head);
        self.routes.write(&mut bytes);
        bytes.extend_from_slice(&tail);
        bytes
    }
}

impl HostRole {
    fn has_routes(&self) -> bool {
        matches!(self, Self::Routes(_))
    }
}

/// A host without routes. Made where it is needed: it takes a moment, and there may be as many hosts as routes.
fn head(hostname: &Hostname, role: &HostRole) -> Vec<u8> {
    proto::encode(&match role {
        HostRole::Routes(None) => build_virtual_host(hostname),
        HostRole::Routes(Some(places)) => build_asking_host(hostname, places),
        HostRole::Misdirected => build_misdirected_host(hostname),
    })
}

/// What comes after the routes of a host. The version of a host need not tell it apart: its head does.
fn tail(role: &HostRole) -> Vec<u8> {
    match role {
        HostRole::Routes(Some(_)) => proto::encode(&unrouted()),
        HostRole::Routes(None) | HostRole::Misdirected => Vec::new(),
    }
}

/// What a route at a place adds to the version of its table. The place counts, since it decides the order.
fn digest<K: Hash>(hostname: &Hostname, key: &K, bytes: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hostname.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.write(bytes);
    hasher.digest128()
}

/// Chunks of bytes in the order of their keys, in segments that are joined.
#[derive(Debug)]
struct Rope<K> {
    /// None is empty.
    segments: Vec<Segment<K>>,
    len: usize,
}

#[derive(Debug)]
struct Segment<K> {
    /// The key and the length of each chunk; sorted.
    chunks: Vec<(K, usize)>,
    joined: Vec<u8>,
}

impl<K: Ord + Clone> Rope<K> {
    fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    /// The number of bytes.
    fn len(&self) -> usize {
        self.len
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.segments.iter().for_each(|segment| bytes.extend_from_slice(&segment.joined));
    }

    /// Puts in, replaces or takes out the chunk of a key.
    fn set(&mut self, key: &K, chunk: Option<&[u8]>) {
        let after = self
            .segments
            .partition_point(|segment| segment.chunks.first().is_some_and(|(first, _)| first <= key));
        let at = after.saturating_sub(1);
        let Some(segment) = self.segments.get_mut(at) else {
            if let Some(chunk) = chunk {
                self.len += chunk.len();
                // Nearly every host has one segment.
                self.segments.reserve_exact(1);
                self.segments
                    .push(Segment { chunks: vec![(key.clone(), chunk.len())], joined: chunk.to_vec() });
            }
            return;
        };
        self.len -= segment.joined.len();
        segment.set(key, chunk);
        let half = segment.split();
        self.len += segment.joined.len();
        if segment.chunks.is_empty() {
            self.segments.remove(at);
        }
        if let Some(half) = half {
            self.len += half.joined.len();
            self.segments.insert(at + 1, half);
        }
    }
}

impl<K: Ord + Clone> Segment<K> {
    fn set(&mut self, key: &K, chunk: Option<&[u8]>) {
        let found = self.chunks.binary_search_by(|(known, _)| known.cmp(key));
        let (Ok(at) | Err(at)) = found;
        let start = self.len_of(at);
        let before = found.map_or(0, |at| self.chunks.get(at).map_or(0, |(_, len)| *len));
        let (kept_before, rest) = self.joined.split_at(start.min(self.joined.len()));
        let kept_after = rest.get(before..).unwrap_or_default();
        // Anew, so that it is as large as it must be; whole slices are copied many bytes at a time.
        self.joined = [kept_before, chunk.unwrap_or_default(), kept_after].concat();
        match (found, chunk) {
            (Ok(at), None) => drop(self.chunks.remove(at)),
            (Ok(at), Some(chunk)) => {
                if let Some(slot) = self.chunks.get_mut(at) {
                    slot.1 = chunk.len();
                }
            }
            (Err(at), Some(chunk)) => {
                // A host has one route or a few: room for more would cost more than they do.
                self.chunks.reserve_exact(1);
                self.chunks.insert(at, (key.clone(), chunk.len()));
            }
            (Err(_), None) => {}
        }
    }

    /// The bytes of the first chunks.
    fn len_of(&self, count: usize) -> usize {
        self.chunks.iter().take(count).map(|(_, len)| len).sum()
    }

    /// Gives away its second half if it has grown too large.
    fn split(&mut self) -> Option<Self> {
        if self.chunks.len() <= SEGMENT {
            return None;
        }
        let joined = self.joined.split_off(self.len_of(SEGMENT / 2));
        let chunks = self.chunks.split_off(SEGMENT / 2);
        self.joined.shrink_to_fit();
        Some(Self { chunks, joined })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// One that answers for the routes of another listener now, and the other way round.
    #[test]
    fn a_host_for_something_else_has_the_version_of_a_new_one() {
        let host = Hostname::parse("a.example");
        let name = || RouteConfigName::http(80);
        let routes = || HostRole::Routes(None);
        let entry = |key: u8| (key, Arc::from(vec![key]));
        let mut table = Table::new(name());
        table.set_host(&host, routes());
        table.replace(&host, &[], &[entry(1), entry(2)]);
        table.replace(&host, &[entry(1)], &[entry(3)]);
        table.set_host(&host, HostRole::Misdirected);
        table.replace(&host, &[entry(2), entry(3)], &[]);
        let mut new = Table::<u8>::new(name());
        new.set_host(&host, HostRole::Misdirected);
        let told = |table: &mut Table<u8>| {
            let encoded = table.encode();
            (encoded.version, encoded.bytes)
        };
        assert_eq!(told(&mut table), told(&mut new));
        table.set_host(&host, routes());
        table.replace(&host, &[], &[entry(7)]);
        let mut new = Table::new(name());
        new.set_host(&host, routes());
        new.replace(&host, &[], &[entry(7)]);
        assert_eq!(told(&mut table), told(&mut new));
    }

    proptest! {
        /// Whatever is put in and taken out, in whatever order: the same bytes as a sorted map joined at once.
        #[test]
        fn a_rope_is_its_chunks_in_order(edits in vec((0u16..300, option::weighted(0.7, vec(any::<u8>(), 0..5))), 0..600)) {
            let (mut rope, mut plain) = (Rope::new(), BTreeMap::new());
            for (key, chunk) in edits {
                rope.set(&key, chunk.as_deref());
                match chunk {
                    Some(chunk) => drop(plain.insert(key, chunk)),
                    None => drop(plain.remove(&key)),
                }
                let mut bytes = Vec::new();
                rope.write(&mut bytes);
                prop_assert_eq!(&bytes, &plain.values().flatten().copied().collect::<Vec<_>>());
                prop_assert_eq!(rope.len(), bytes.len());
            }
        }
    }
}
