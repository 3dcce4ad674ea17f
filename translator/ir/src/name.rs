//! Newtypes for every emitted name, one constructor per kind of thing that is named.
//!
//! A name must be stable (an edit elsewhere never renames it, or Envoy would delete and create)
//! and free of collisions. Kubernetes names hold no `/`, so parts joined by it cannot collide.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Hostname, Stage};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as Envoy sees it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Which Gateway an output belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GatewayName {
    /// The Gateway's namespace.
    pub namespace: String,
    /// The Gateway's name.
    pub name: String,
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

name!(
    /// An Envoy cluster: one per backend and port, never one per route.
    ClusterName
);
name!(
    /// An Envoy listener: one per protocol and port of a Gateway.
    ListenerName
);
name!(
    /// An Envoy route configuration.
    RouteConfigName
);
name!(
    /// An Envoy virtual host.
    VirtualHostName
);
name!(
    /// An Envoy route, as it appears in access logs and config dumps.
    RouteName
);
name!(
    /// A network filter that listeners name, delivered by ECDS.
    FilterName
);
name!(
    /// A bucket of the local rate limit: one per policy and object that it applies to.
    BucketName
);
name!(
    /// An Envoy secret, delivered by SDS.
    SecretName
);
name!(
    /// What an object asks of tokens, by which routes refer to it.
    TokenSetName
);
name!(
    /// Virtual keys, by which routes refer to them.
    KeySetName
);
name!(
    /// Budgets over claims, by which routes refer to them.
    ClaimSetName
);
name!(
    /// A service that is asked whether requests may pass, by which routes refer to it.
    AuthServiceName
);
name!(
    /// A service that counts requests, by which routes refer to it.
    LimitServiceName
);
name!(
    /// A service that sees requests and answers, by which routes refer to it.
    ProcessorName
);
name!(
    /// Users or API keys, by which routes refer to them.
    CredentialsName
);

impl ClusterName {
    /// The cluster of one port of a Service.
    pub fn service(namespace: &str, name: &str, port: u16) -> Self {
        Self(format!("service/{namespace}/{name}/{port}"))
    }

    /// The cluster of the same backend that is spoken to in another way than HTTP routes do it.
    #[must_use]
    pub fn spoken(&self, protocol: &str) -> Self {
        Self(format!("{self}/{protocol}"))
    }

    /// A cluster that never exists: what is sent there is closed or dropped.
    pub fn nowhere() -> Self {
        Self("nowhere".to_owned())
    }

    /// The cluster of a kgateway Backend.
    pub fn backend(namespace: &str, name: &str) -> Self {
        Self(format!("backend/{namespace}/{name}"))
    }

    /// The cluster of an XBackend.
    pub fn x_backend(namespace: &str, name: &str) -> Self {
        Self(format!("xbackend/{namespace}/{name}"))
    }

    /// The cluster of one member of the pool that this cluster's backend is.
    #[must_use]
    pub fn member(&self, group: usize, index: usize) -> Self {
        Self(format!("{self}/{group}/{index}"))
    }

    /// The cluster of a collector of traces.
    pub fn collector(host: &str, port: u16, is_tls: bool, is_grpc: bool) -> Self {
        let protocol = if is_grpc { "grpc" } else { "http" };
        let security = if is_tls { "tls" } else { "plain" };
        Self(format!("collector/{protocol}/{security}/{host}/{port}"))
    }

    /// The cluster of a host that tells the keys by which tokens are verified.
    pub fn token_keys(host: &str, port: u16, is_tls: bool) -> Self {
        Self::server("jwks", host, port, is_tls)
    }

    /// The cluster of a host that decides about prompts and answers.
    pub fn webhook(host: &str, port: u16, is_tls: bool) -> Self {
        Self::server("webhook", host, port, is_tls)
    }

    /// The cluster of the moderation service that a policy asks, with a credential of its own. `kind` in lower case.
    pub fn moderation(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("moderation/{kind}/{namespace}/{name}"))
    }

    fn server(service: &str, host: &str, port: u16, is_tls: bool) -> Self {
        let security = if is_tls { "tls" } else { "plain" };
        Self(format!("{service}/{security}/{host}/{port}"))
    }

    /// The cluster of a Gloo Upstream.
    pub fn upstream(namespace: &str, name: &str) -> Self {
        Self(format!("upstream/{namespace}/{name}"))
    }
}

impl BucketName {
    /// The bucket of a policy for an object, or a part of it, that it applies to. In neither description is ` for `: names
    /// of objects hold no blanks.
    pub fn new(policy: &str, applies_to: &str) -> Self {
        Self(format!("{policy} for {applies_to}"))
    }
}

impl ListenerName {
    /// The listener for plain HTTP on a port.
    pub fn http(port: u16) -> Self {
        Self(format!("http/{port}"))
    }

    /// The listener for connections without TLS, and without HTTP, on a port.
    pub fn tcp(port: u16) -> Self {
        Self(format!("tcp/{port}"))
    }

    /// The listener for datagrams on a port.
    pub fn udp(port: u16) -> Self {
        Self(format!("udp/{port}"))
    }

    /// The listener for connections with TLS on a port: HTTPS, and TLS with anything in it.
    pub fn tls(port: u16) -> Self {
        Self(format!("tls/{port}"))
    }
}

impl FilterName {
    /// The filter of the connections on a port.
    pub fn tcp(port: u16) -> Self {
        Self(format!("tcp/{port}"))
    }

    /// The filter that asks the services at one place of those that listeners on a port name, in front of the choice of a route.
    pub fn listener_auth(port: u16, place: usize) -> Self {
        Self(format!("auth/{port}/{place}"))
    }

    /// The filter of the connections on a port that ask for that server name (SNI).
    pub fn tls(port: u16, hostname: &Hostname) -> Self {
        Self(format!("tls/{port}/{hostname}"))
    }
}

impl RouteConfigName {
    /// The route table of the plain HTTP listener on a port.
    pub fn http(port: u16) -> Self {
        Self(format!("http/{port}"))
    }

    /// The route table of an HTTPS listener with that hostname on a port.
    pub fn https(port: u16, hostname: &Hostname) -> Self {
        Self(format!("https/{port}/{hostname}"))
    }
}

impl VirtualHostName {
    /// The virtual host of one hostname (`*` for every host) in a route table.
    pub fn new(domain: &str) -> Self {
        Self(domain.to_owned())
    }
}

impl RouteName {
    /// One match of one rule of a route, under one of its hostnames' virtual hosts. `kind` in lower case.
    pub fn of_match(kind: &str, namespace: &str, name: &str, rule: usize, rule_match: usize) -> Self {
        Self(format!("{kind}/{namespace}/{name}/{rule}/{rule_match}"))
    }

    /// The route under which an HTTPRoute tells its models.
    pub fn models(namespace: &str, name: &str, index: usize) -> Self {
        Self(format!("httproute/{namespace}/{name}/models/{index}"))
    }

    /// The route before this one that has the model of its requests read.
    #[must_use]
    pub fn model_guard(&self) -> Self {
        Self(format!("{}/model", self.0))
    }

    /// The route before this one that answers preflight requests: those of origins in a part of the list, or of the
    /// others.
    #[must_use]
    pub fn preflight(&self, part: Option<usize>) -> Self {
        part.map_or_else(
            || Self(format!("{self}/preflight")),
            |part| Self(format!("{self}/preflight/{part}")),
        )
    }

    /// The same route for requests of pages of allowed origins.
    #[must_use]
    pub fn cross_origin(&self, part: usize) -> Self {
        Self(format!("{self}/origin/{part}"))
    }

    /// The same route for one share of its traffic (see `Destination`).
    #[must_use]
    pub fn share(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }
}

impl TokenSetName {
    /// What an object asks. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }

    /// What the same object asks at one of its two stages.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Self {
        let stage = match stage {
            Stage::BeforeExternal => "before",
            Stage::AfterExternal => "after",
        };
        Self(format!("{self}/{stage}"))
    }
}

impl KeySetName {
    /// The keys that an object asks for. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }
}

impl ClaimSetName {
    /// Those of a namespace.
    pub fn of_namespace(namespace: &str) -> Self {
        Self(namespace.to_owned())
    }
}

impl AuthServiceName {
    /// The service that an object names. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }

    /// The same service where it gets bodies as bytes.
    #[must_use]
    pub fn with_bytes(&self) -> Self {
        Self(format!("{self}/bytes"))
    }

    /// The service that a filter of a route names, by a digest of all that is said about it: what is said otherwise has
    /// another name, so that no route can get what another one has asked for.
    pub fn of_filter(namespace: &str, digest: u128) -> Self {
        Self(format!("filter/{namespace}/{digest:032x}"))
    }
}

impl LimitServiceName {
    /// The service that an object names. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }
}

impl ProcessorName {
    /// The service that an object names. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }

    /// The same service where it says the length of bodies.
    #[must_use]
    pub fn with_lengths(&self) -> Self {
        Self(format!("{self}/lengths"))
    }
}

impl CredentialsName {
    /// Those that an object names. `kind` in lower case.
    pub fn of_object(kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{kind}/{namespace}/{name}"))
    }
}

impl SecretName {
    /// The credential of the backend that a cluster stands for.
    pub fn credential(cluster: &ClusterName) -> Self {
        Self(format!("credential/{cluster}"))
    }

    /// The certificate and key in a Kubernetes Secret.
    pub fn certificate(namespace: &str, name: &str) -> Self {
        Self(format!("certificate/{namespace}/{name}"))
    }

    /// The certificate that a Gateway shows to backends. Each Gateway has its own under this name, so that the clusters
    /// of all Gateways that have one are the same.
    pub fn client_certificate() -> Self {
        Self("certificate/client".to_owned())
    }

    /// The certificate that an XBackend is shown.
    pub fn x_backend_certificate(namespace: &str, name: &str) -> Self {
        Self(format!("certificate/xbackend/{namespace}/{name}"))
    }

    /// The certificate authorities that an XBackend names.
    pub fn x_backend_trust(namespace: &str, name: &str) -> Self {
        Self(format!("trust/xbackend/{namespace}/{name}"))
    }

    /// The certificate authorities that a BackendTLSPolicy names.
    pub fn policy_trust(namespace: &str, name: &str) -> Self {
        Self(format!("trust/policy/{namespace}/{name}"))
    }

    /// The certificate authorities that clients' certificates at a port must come from.
    pub fn client_trust(port: u16) -> Self {
        Self(format!("trust/clients/{port}"))
    }

    /// The certificate authorities that upstream connections trust by default.
    pub fn default_trust() -> Self {
        Self("trust/default".to_owned())
    }
}
