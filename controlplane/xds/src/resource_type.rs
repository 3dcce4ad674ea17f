//! The kinds of resource, and all that is particular to each of them.

use std::fmt;

/// The kinds of resource served, **declared in the order in which they are pushed**
/// ([make before break]): what is used comes before what uses it. Secrets sit beside endpoints because
/// a cluster that verifies or presents a certificate is not warm without them.
///
/// A new kind is a variant here and a row in the table below.
///
/// [make before break]: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#eventual-consistency-considerations
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    Endpoint,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    Secret,
    /// `envoy.config.core.v3.TypedExtensionConfig` (ECDS): filters that listeners name.
    Extension,
    /// `envoy.config.listener.v3.Listener` (LDS).
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    Route,
}

/// What a stream must know of a kind.
#[derive(Debug)]
struct Row {
    kind: ResourceType,
    type_url: &'static str,
    /// See [`ResourceType::as_str`].
    name: &'static str,
    /// See [`ResourceType::has_legacy_wildcard`] and [`ResourceType::is_listed_in_full`].
    is_wildcard: bool,
    /// See [`ResourceType::travels_alone`].
    travels_alone: bool,
    /// See [`ResourceType::is_split`].
    is_split: bool,
    /// See [`ResourceType::is_traffic`].
    is_traffic: bool,
    /// See [`ResourceType::is_referenced`].
    is_referenced: bool,
    /// See [`ResourceType::belongs_to_cluster`].
    belongs_to_cluster: bool,
    /// See [`ResourceType::may_be_early`].
    may_be_early: bool,
}

/// The row of a kind to which nothing special applies.
const PLAIN: Row = Row {
    kind: ResourceType::Cluster,
    type_url: "",
    name: "",
    is_wildcard: false,
    travels_alone: false,
    is_split: false,
    is_traffic: false,
    is_referenced: true,
    belongs_to_cluster: false,
    may_be_early: false,
};

const ROWS: [Row; 6] = [
    Row {
        kind: ResourceType::Cluster,
        type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        name: "cluster",
        may_be_early: true,
        is_wildcard: true,
        ..PLAIN
    },
    Row {
        kind: ResourceType::Endpoint,
        type_url: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        name: "endpoint",
        is_split: true,
        belongs_to_cluster: true,
        ..PLAIN
    },
    Row {
        kind: ResourceType::Secret,
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        name: "secret",
        travels_alone: true,
        belongs_to_cluster: true,
        ..PLAIN
    },
    Row {
        kind: ResourceType::Extension,
        type_url: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        name: "extension",
        may_be_early: true,
        travels_alone: true,
        ..PLAIN
    },
    Row {
        kind: ResourceType::Listener,
        type_url: "type.googleapis.com/envoy.config.listener.v3.Listener",
        name: "listener",
        may_be_early: true,
        is_wildcard: true,
        is_traffic: true,
        is_referenced: false,
        ..PLAIN
    },
    Row {
        kind: ResourceType::Route,
        type_url: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        name: "route",
        travels_alone: true,
        is_traffic: true,
        ..PLAIN
    },
];

/// How many kinds there are.
const COUNT: usize = ROWS.len();

// What makes `by_kind` right.
#[expect(clippy::indexing_slicing, reason = "it is evaluated when this is compiled")]
const _: () = {
    let mut i = 0;
    while i < COUNT {
        assert!(ROWS[i].kind as usize == i, "the rows are in the order of the variants");
        i += 1;
    }
};

/// The value for `kind` of a table with one for each kind.
#[expect(clippy::indexing_slicing, reason = "the variants count from 0 and there is a row for each")]
const fn by_kind<T>(table: &[T; COUNT], kind: ResourceType) -> &T {
    &table[kind as usize]
}

impl ResourceType {
    /// Every type, in push order.
    #[expect(clippy::indexing_slicing, reason = "it is evaluated when this is compiled")]
    pub const ALL: [Self; COUNT] = {
        let mut all = [Self::Cluster; COUNT];
        let mut i = 0;
        while i < COUNT {
            all[i] = ROWS[i].kind;
            i += 1;
        }
        all
    };

    const fn row(self) -> &'static Row {
        by_kind(&ROWS, self)
    }

    /// The type URL that names this type in requests, responses and `google.protobuf.Any`.
    pub const fn type_url(self) -> &'static str {
        self.row().type_url
    }

    /// The type that `url` names; `None` for a type that this server does not serve.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Short lower-case name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Whether a state-of-the-world response must list everything subscribed, because the client takes
    /// what is missing as deleted (CDS and LDS; the other types may be answered in parts).
    pub(crate) const fn is_listed_in_full(self) -> bool {
        self.row().is_wildcard
    }

    /// Whether each resource travels in a response of its own. Envoy applies the good clusters and
    /// listeners of a response whose others it rejects, but stops at the first bad route table or
    /// secret; alone, a bad one takes no neighbour with it.
    pub(crate) const fn travels_alone(self) -> bool {
        self.row().travels_alone
    }

    /// Whether a rejected response that does not say which of its resources is to blame is sent again, each
    /// resource in a response of its own. Envoy stops at the first bad load assignment and need not name it;
    /// load assignments are too many to travel alone always.
    pub(crate) const fn is_split(self) -> bool {
        self.row().is_split
    }

    /// Whether a first request without names means "everything" (the legacy wildcard).
    pub(crate) const fn has_legacy_wildcard(self) -> bool {
        self.row().is_wildcard
    }

    /// Whether it sends traffic to what is below it, and waits at the gate until that is in place.
    pub(crate) const fn is_traffic(self) -> bool {
        self.row().is_traffic
    }

    /// Whether resources of another kind refer to it, so that it leaves after them only.
    pub(crate) const fn is_referenced(self) -> bool {
        self.row().is_referenced
    }

    /// Whether a client may have to wait for something of its own before it can use it, a file that it fetches or a port
    /// that another program has, and gets it again until then.
    pub(crate) const fn may_be_early(self) -> bool {
        self.row().may_be_early
    }

    /// Whether it leaves after the clusters that use it.
    pub(crate) const fn belongs_to_cluster(self) -> bool {
        self.row().belongs_to_cluster
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One value for each resource type.
#[derive(Clone, Debug)]
pub(crate) struct PerType<T>([T; COUNT]);

impl<T> PerType<T> {
    pub(crate) fn new(value: impl FnMut(ResourceType) -> T) -> Self {
        Self(ResourceType::ALL.map(value))
    }

    pub(crate) fn get(&self, kind: ResourceType) -> &T {
        by_kind(&self.0, kind)
    }

    #[expect(clippy::indexing_slicing, reason = "as in `by_kind`")]
    pub(crate) fn get_mut(&mut self, kind: ResourceType) -> &mut T {
        &mut self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_urls_name_their_types() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::from_type_url(kind.type_url()), Some(kind));
        }
        assert_eq!(ResourceType::from_type_url("type.googleapis.com/other"), None);
        assert!(ResourceType::ALL.is_sorted(), "declared in push order");
    }

    #[test]
    fn each_type_has_a_value_of_its_own() {
        let mut names = PerType::new(|kind| kind.as_str().to_owned());
        names.get_mut(ResourceType::Secret).push('!');
        let all = ResourceType::ALL.map(|kind| names.get(kind).as_str());
        assert_eq!(all, ["cluster", "endpoint", "secret!", "extension", "listener", "route"]);
    }
}
