//! [`Object`]: any object that the translator reads, and the table of kinds that we accept.

mod decode;
mod handed_on;
mod metadata;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{
    backend::Backend,
    backend_config_policy::BackendConfigPolicy,
    budget::Budget,
    core::{ConfigMap, EndpointSlice, Namespace, Secret, Service},
    direct_response::DirectResponse,
    gateway_api::part,
    gateway_api::{
        BackendTlsPolicy, CustomResourceDefinition, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet,
        ReferenceGrant, TcpRoute, TlsRoute, UdpRoute, XBackend,
    },
    gateway_extension::GatewayExtension,
    gateway_parameters::{GatewayParameters, GlooGatewayParameters},
    http_listener_policy::HTTPListenerPolicy,
    listener_option::{HttpListenerOption, ListenerOption},
    object_ref::{GroupKind, NamespacedName, ObjectRef},
    price_list::PriceList,
    rate_limit_config::RateLimitConfig,
    route_option::RouteOption,
    traffic_policy::TrafficPolicy,
    upstream::Upstream,
    virtual_host_option::VirtualHostOption,
    virtual_key::VirtualKey,
};

pub use metadata::Metadata;

pub use decode::{
    DecodeError, Decoded, InvalidObject, claimed, decode_all, documents, is_dns_subdomain, label_problem,
    may_be_credential, meant_by, name_problem,
};

/// What we know about a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// Which kind it is.
    pub id: Kind,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Versions accepted, preferred first. All are read with the same types.
    pub versions: &'static [&'static str],
    /// Kind, in its singular CamelCase form.
    pub kind: &'static str,
    /// Plural, as in the API's paths and in a CRD's name.
    pub plural: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

impl KindInfo {
    /// The kind with its group.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group, self.kind)
    }

    /// Whether every API server has it, without a CRD.
    pub fn is_builtin(&self) -> bool {
        is_builtin_group(self.group)
    }

    /// The preferred `apiVersion`, as written in a manifest.
    pub fn api_version(&self) -> String {
        match (self.group, self.versions.first()) {
            ("", Some(version)) => (*version).to_owned(),
            (group, version) => format!("{group}/{}", version.unwrap_or(&"")),
        }
    }
}

/// Whether an API group is one of Kubernetes' own, as far as kinds of it are read.
pub fn is_builtin_group(group: &str) -> bool {
    matches!(group, "" | "apiextensions.k8s.io" | "discovery.k8s.io")
}

/// The type of the objects of one kind.
pub trait Typed: Sized + 'static {
    /// The kind.
    const KIND: Kind;

    /// The object as its type; `None` if it is of another kind.
    fn of(object: &Object) -> Option<&Arc<Self>>;
}

/// The identity of an object of a kind that the translator reads: smaller than [`ObjectRef`], which knows every
/// kind. An object without a namespace has an empty one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace and the name.
    pub name: NamespacedName,
}

impl ObjectKey {
    /// The key of an object of that type.
    pub fn of<T: Typed>(name: NamespacedName) -> Self {
        Self { kind: T::KIND, name }
    }

    /// The key of the object that `reference` names; `None` if the translator does not read its kind.
    pub fn find(reference: &ObjectRef) -> Option<Self> {
        let kind = Kind::find(&reference.group, &reference.kind)?;
        let namespace = reference.namespace.clone().unwrap_or_default();
        Some(Self { kind, name: NamespacedName::new(namespace, &reference.name) })
    }

    /// The same identity, for messages and statuses.
    pub fn to_ref(&self) -> ObjectRef {
        let KindInfo { group, kind, namespaced, .. } = *self.kind.info();
        let NamespacedName { namespace, name } = &self.name;
        ObjectRef {
            group: group.into(),
            kind: kind.into(),
            namespace: namespaced.then(|| namespace.to_string()),
            name: name.to_string(),
        }
    }
}

impl Kind {
    /// The kind of that API group and name.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.info().group == group && known.info().kind == kind)
    }
}

/// One row per kind: variant, type, group, versions, kind, plural, scope. Everything that must know
/// all kinds is made from this one list.
macro_rules! kinds {
    ($( $variant:ident($ty:ty): $group:literal [$($version:literal)+] $kind:literal $plural:literal namespaced=$namespaced:literal; )+) => {
        /// An object that the translator reads. Cheap to clone.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each variant is named after its kind")]
        pub enum Object {
            $( $variant(Arc<$ty>), )+
        }

        /// Every kind that the translator reads.
        pub const KINDS: &[KindInfo] = &[$( *Kind::$variant.info(), )+];

        impl Object {
            /// What is read of the object's metadata.
            pub fn metadata(&self) -> &dyn Metadata {
                match self { $( Self::$variant(object) => &object.metadata, )+ }
            }

            /// The object's kind.
            pub fn kind(&self) -> Kind {
                match self { $( Self::$variant(_) => Kind::$variant, )+ }
            }
        }

        /// A kind that the translator reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each variant is named after its kind")]
        pub enum Kind {
            $( $variant, )+
        }

        impl Kind {
            /// Every kind, in the order of [`KINDS`].
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The row of [`KINDS`].
            pub const fn info(self) -> &'static KindInfo {
                match self {
                    $( Self::$variant => &KindInfo {
                        id: Self::$variant, group: $group, versions: &[$($version),+], kind: $kind, plural: $plural, namespaced: $namespaced,
                    }, )+
                }
            }
        }

        $( impl Typed for $ty {
            const KIND: Kind = Kind::$variant;

            fn of(object: &Object) -> Option<&Arc<Self>> {
                match object {
                    Object::$variant(object) => Some(object),
                    _ => None,
                }
            }
        } )+

        $( impl From<$ty> for Object {
            fn from(object: $ty) -> Self {
                Self::$variant(Arc::new(object))
            }
        } )+

        /// The typed decoder of a kind: takes the document without its `apiVersion` and `kind`.
        fn decoder(group: &str, kind: &str) -> Option<decode::Decoder> {
            match (group, kind) {
                $( ($group, $kind) => Some(decode::decoder::<$ty>()), )+
                _ => None,
            }
        }
    };
}

kinds! {
    Namespace(Namespace): "" ["v1"] "Namespace" "namespaces" namespaced=false;
    ConfigMap(ConfigMap): "" ["v1"] "ConfigMap" "configmaps" namespaced=true;
    Secret(Secret): "" ["v1"] "Secret" "secrets" namespaced=true;
    Service(Service): "" ["v1"] "Service" "services" namespaced=true;
    EndpointSlice(EndpointSlice): "discovery.k8s.io" ["v1"] "EndpointSlice" "endpointslices" namespaced=true;
    CustomResourceDefinition(CustomResourceDefinition): "apiextensions.k8s.io" ["v1"] "CustomResourceDefinition" "customresourcedefinitions" namespaced=false;
    GatewayClass(GatewayClass): "gateway.networking.k8s.io" ["v1" "v1beta1"] "GatewayClass" "gatewayclasses" namespaced=false;
    Gateway(Gateway): "gateway.networking.k8s.io" ["v1" "v1beta1"] "Gateway" "gateways" namespaced=true;
    ListenerSet(ListenerSet): "gateway.networking.k8s.io" ["v1"] "ListenerSet" "listenersets" namespaced=true;
    HttpRoute(HttpRoute): "gateway.networking.k8s.io" ["v1" "v1beta1"] "HTTPRoute" "httproutes" namespaced=true;
    GrpcRoute(GrpcRoute): "gateway.networking.k8s.io" ["v1"] "GRPCRoute" "grpcroutes" namespaced=true;
    TcpRoute(TcpRoute): "gateway.networking.k8s.io" ["v1" "v1alpha2"] "TCPRoute" "tcproutes" namespaced=true;
    TlsRoute(TlsRoute): "gateway.networking.k8s.io" ["v1" "v1alpha3"] "TLSRoute" "tlsroutes" namespaced=true;
    UdpRoute(UdpRoute): "gateway.networking.k8s.io" ["v1" "v1alpha2"] "UDPRoute" "udproutes" namespaced=true;
    ReferenceGrant(ReferenceGrant): "gateway.networking.k8s.io" ["v1" "v1beta1"] "ReferenceGrant" "referencegrants" namespaced=true;
    BackendTlsPolicy(BackendTlsPolicy): "gateway.networking.k8s.io" ["v1" "v1alpha3"] "BackendTLSPolicy" "backendtlspolicies" namespaced=true;
    XBackend(XBackend): "gateway.networking.x-k8s.io" ["v1alpha1"] "XBackend" "xbackends" namespaced=true;
    Budget(Budget): "chancery.dev" ["v1alpha1"] "Budget" "budgets" namespaced=true;
    PriceList(PriceList): "chancery.dev" ["v1alpha1"] "PriceList" "pricelists" namespaced=true;
    VirtualKey(VirtualKey): "chancery.dev" ["v1alpha1"] "VirtualKey" "virtualkeys" namespaced=true;
    Backend(Backend): "gateway.kgateway.dev" ["v1alpha1"] "Backend" "backends" namespaced=true;
    BackendConfigPolicy(BackendConfigPolicy): "gateway.kgateway.dev" ["v1alpha1"] "BackendConfigPolicy" "backendconfigpolicies" namespaced=true;
    DirectResponse(DirectResponse): "gateway.kgateway.dev" ["v1alpha1"] "DirectResponse" "directresponses" namespaced=true;
    GatewayExtension(GatewayExtension): "gateway.kgateway.dev" ["v1alpha1"] "GatewayExtension" "gatewayextensions" namespaced=true;
    GatewayParameters(GatewayParameters): "gateway.kgateway.dev" ["v1alpha1"] "GatewayParameters" "gatewayparameters" namespaced=true;
    GlooGatewayParameters(GlooGatewayParameters): "gateway.gloo.solo.io" ["v1alpha1"] "GatewayParameters" "gatewayparameters" namespaced=true;
    HttpListenerOption(HttpListenerOption): "gateway.solo.io" ["v1"] "HttpListenerOption" "httplisteneroptions" namespaced=true;
    HttpListenerPolicy(HTTPListenerPolicy): "gateway.kgateway.dev" ["v1alpha1"] "HTTPListenerPolicy" "httplistenerpolicies" namespaced=true;
    ListenerOption(ListenerOption): "gateway.solo.io" ["v1"] "ListenerOption" "listeneroptions" namespaced=true;
    RateLimitConfig(RateLimitConfig): "ratelimit.solo.io" ["v1alpha1"] "RateLimitConfig" "ratelimitconfigs" namespaced=true;
    RouteOption(RouteOption): "gateway.solo.io" ["v1"] "RouteOption" "routeoptions" namespaced=true;
    TrafficPolicy(TrafficPolicy): "gateway.kgateway.dev" ["v1alpha1"] "TrafficPolicy" "trafficpolicies" namespaced=true;
    Upstream(Upstream): "gloo.solo.io" ["v1"] "Upstream" "upstreams" namespaced=true;
    VirtualHostOption(VirtualHostOption): "gateway.solo.io" ["v1"] "VirtualHostOption" "virtualhostoptions" namespaced=true;
}

/// What routes of all kinds have in common.
#[derive(Clone, Copy, Debug)]
pub struct RouteParts<'a> {
    /// The metadata.
    pub metadata: &'a part::Metadata,
    /// The Gateways that it wants to attach to.
    pub parent_refs: &'a [part::ParentRef],
    /// The hosts that it serves.
    pub hostnames: &'a [Box<str>],
}

impl Object {
    /// What routes have in common; `None` if it is no route.
    pub fn route(&self) -> Option<RouteParts<'_>> {
        macro_rules! parts {
            ($route:ident) => {
                RouteParts {
                    metadata: &$route.metadata,
                    parent_refs: &$route.parent_refs,
                    hostnames: &$route.hostnames,
                }
            };
        }
        Some(match self {
            Self::HttpRoute(route) => parts!(route),
            Self::GrpcRoute(route) => parts!(route),
            Self::TcpRoute(route) => parts!(route),
            Self::TlsRoute(route) => parts!(route),
            Self::UdpRoute(route) => parts!(route),
            _ => return None,
        })
    }

    /// Decodes one parsed document, strictly: see [`Decoded`] and [`DecodeError`].
    ///
    /// # Errors
    /// When the document is not an object of a kind in [`KINDS`], or does not fit its kind's type.
    pub fn decode(document: serde_json::Value) -> Result<Decoded, DecodeError> {
        decode::decode(document)
    }

    /// The object's key.
    pub fn object_ref(&self) -> ObjectRef {
        let KindInfo { group, kind, .. } = *self.kind().info();
        let metadata = self.metadata();
        ObjectRef {
            group: group.into(),
            kind: kind.into(),
            namespace: metadata.namespace().map(str::to_owned),
            name: metadata.name().to_owned(),
        }
    }

    /// The object's key among those that the translator reads.
    pub fn key(&self) -> ObjectKey {
        ObjectKey { kind: self.kind(), name: NamespacedName::of(self.metadata()) }
    }

    /// `metadata.generation`: the version of the spec. Absent outside a cluster.
    pub fn generation(&self) -> Option<i64> {
        self.metadata().generation()
    }
}
