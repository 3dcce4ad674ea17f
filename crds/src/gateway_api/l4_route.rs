//! TCPRoute, UDPRoute and TLSRoute as they are kept: routes of connections and datagrams, which have one form.

use std::marker::PhantomData;

use gateway_api::experimental::{tcproutes, tlsroutes, udproutes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document;
use super::part::{BackendRef, Metadata, ParentRef, backend_ref, list, parent_ref, text};
use crate::object::Typed;

/// A TCPRoute, UDPRoute or TLSRoute, as `K` says.
#[derive(Clone, Debug, PartialEq)]
pub struct L4Route<K> {
    /// Its metadata.
    pub metadata: Metadata,
    /// The Gateways that it wants to attach to.
    pub parent_refs: Box<[ParentRef]>,
    /// The server names (SNI) that it serves. Only a TLSRoute has some.
    pub hostnames: Box<[Box<str>]>,
    /// Its rules, of which the API allows one.
    pub rules: Box<[L4Rule]>,
    kind: PhantomData<K>,
}

/// A rule of a route of connections or datagrams.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct L4Rule {
    /// Its name.
    pub name: Option<Box<str>>,
    /// Where connections or datagrams go.
    pub backend_refs: Box<[BackendRef]>,
}

/// A TCPRoute.
pub type TcpRoute = L4Route<Tcp>;
/// A UDPRoute.
pub type UdpRoute = L4Route<Udp>;
/// A TLSRoute.
pub type TlsRoute = L4Route<Tls>;

/// What a [`TcpRoute`] is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp;
/// What a [`UdpRoute`] is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp;
/// What a [`TlsRoute`] is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls;

impl<K> Serialize for L4Route<K>
where
    Self: Typed,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { metadata, parent_refs, hostnames, rules, kind: _ } = self;
        document::of_route(Self::KIND, metadata, parent_refs, hostnames, rules).serialize(serializer)
    }
}

/// The conversions of one kind; `hostnames` where its spec has them.
macro_rules! l4_route {
    ($marker:ident $module:ident $route:ident $spec:ident $parent:ident $rule:ident $backend:ident $($hostnames:ident)?) => {
        impl<'de> Deserialize<'de> for L4Route<$marker> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The status is read from the API server by those who write it.
                let $module::$route { metadata, spec, status: _ } = Deserialize::deserialize(deserializer)?;
                let $module::$spec { $($hostnames,)? parent_refs, rules, use_default_gateways: _ } = spec;
                Ok(Self {
                    metadata: metadata.into(),
                    parent_refs: list(parent_refs),
                    hostnames: list(None::<Vec<String>> $(.or(Some($hostnames)))?),
                    rules: list(Some(rules)),
                    kind: PhantomData,
                })
            }
        }

        impl From<$module::$rule> for L4Rule {
            fn from($module::$rule { backend_refs, name }: $module::$rule) -> Self {
                Self { name: text(name), backend_refs: list(Some(backend_refs)) }
            }
        }

        const _: () = {
            use $module::{$backend, $parent};
            parent_ref!($parent);
            backend_ref!($backend);
        };
    };
}

l4_route!(Tcp tcproutes TcpRoute TcpRouteSpec TcpRouteParentRefs TcpRouteRules TcpRouteRulesBackendRefs);
l4_route!(Udp udproutes UdpRoute UdpRouteSpec UdpRouteParentRefs UdpRouteRules UdpRouteRulesBackendRefs);
l4_route!(Tls tlsroutes TlsRoute TlsRouteSpec TlsRouteParentRefs TlsRouteRules TlsRouteRulesBackendRefs hostnames);
