//! What the translation is made of: inputs, and the units that are computed from them.

use std::sync::Arc;

use crds::{Kind, NamespacedName, ObjectKey};
use ir::{Hostname, RouteTableId};

use crate::gateway::facts::{BackendKey, GatewayKey, HostKey, RouteKey};
use crate::resources::Group;

/// An input or a unit.
///
/// The order of the variants is the order of work: a unit reads inputs, and units that stand before its own. What
/// changes is evaluated in that order, so that everything is evaluated at most once per update (but for a unit that
/// reads one which was never asked for: it is evaluated again after that one).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    // Inputs.
    /// An object, there or not.
    Object(ObjectKey),
    /// Which objects belong to a group, and what they hold.
    Group(Group),
    /// The labels of a namespace, and nothing else of it.
    Labels(String),
    /// Whether a controller that also serves Backends and Upstreams has a GatewayClass.
    Peers,
    /// Who may have signed the certificates of backends (a setting that changes while we run).
    Trust,

    // Units.
    /// A GatewayClass: whether it is ours, and its parameters.
    Class(String),
    /// The names of the classes that are ours.
    Classes,
    /// The certificate in a Secret.
    Certificate(NamespacedName),
    /// The certificate authorities in a ConfigMap.
    Authorities(NamespacedName),
    /// What a Gateway says, seen alone.
    Gateway(GatewayKey),
    /// Whether a Gateway is ours.
    IsOurs(GatewayKey),
    /// Which Gateway has which address: the one fact about all of them (standalone mode).
    AddressPlan,
    /// A Gateway with its addresses: what routes and listeners are made from.
    Placement(GatewayKey),
    /// What a deployer must provide for a Gateway.
    Proxy(GatewayKey),
    /// What is sent to the proxies of a Gateway by SDS, beside what its backends need. Nothing reads it.
    Secrets(GatewayKey),
    /// The status of parameters.
    ParametersReport(ObjectKey),
    /// A backend: its cluster and secrets, without endpoints.
    Backend(BackendKey),
    /// What of a backend a route may know.
    BackendFace(BackendKey),
    /// The endpoints of a backend. Nothing reads them; they go to the proxies as they are.
    Endpoints(BackendKey),
    /// The pods of an XBackend for which somebody must keep EndpointSlices. Nothing reads it.
    Selection(NamespacedName),
    /// A virtual key: its hashes and its budgets.
    Client(NamespacedName),
    /// The budgets over claims of a namespace.
    Claims(String),
    /// The price lists of a namespace. Nothing reads it; they go to the proxies as they are.
    Prices(String),
    /// What of a policy routes and listeners may know.
    Policy(ObjectKey),
    /// A route, the same for every parent and port.
    Route(RouteKey),
    /// Where a route attaches, and its status.
    Attachment(RouteKey),
    /// The version of a route that is served: the newest, or an earlier one where proxies refuse the newest.
    Served(RouteKey),
    /// A port of a Gateway: its listener.
    Port(GatewayKey, u16),
    /// A virtual host. Its name is shared, since there are as many as routes; so all keys are small.
    Host(Arc<HostKey>),
    /// What a route adds to a virtual host.
    Entry(Arc<HostKey>, RouteKey),
    /// The status of a Backend, Upstream or XBackend.
    BackendReport(ObjectKey),
    /// The status of a ListenerSet.
    ListenerSetReport(NamespacedName),
    /// The status of a Gateway.
    GatewayReport(GatewayKey),
    /// The status of a policy.
    PolicyReport(ObjectKey),
    /// The status of a RateLimitConfig.
    RateLimitsReport(NamespacedName),
    /// The status of a VirtualKey.
    ClientKeyReport(NamespacedName),
    /// The status of a Budget.
    BudgetReport(NamespacedName),
    /// The status of a PriceList.
    PriceListReport(NamespacedName),
}

impl Key {
    /// A virtual host.
    pub(crate) fn host(gateway: &GatewayKey, table: &Arc<RouteTableId>, hostname: &Hostname) -> Self {
        let (gateway, table) = (gateway.clone(), table.clone());
        Self::Host(Arc::new(HostKey { gateway, table, hostname: hostname.clone() }))
    }

    /// Where it stands in the order of work.
    pub(crate) fn stage(&self) -> u8 {
        match self {
            Self::Object(_) | Self::Group(_) | Self::Labels(_) | Self::Peers | Self::Trust => 0,
            Self::Class(_) => 1,
            Self::Classes => 2,
            Self::Certificate(_) | Self::Authorities(_) => 3,
            Self::Gateway(_) => 4,
            Self::IsOurs(_) => 5,
            Self::AddressPlan => 6,
            Self::Placement(_) => 7,
            Self::ParametersReport(_) | Self::Proxy(_) | Self::Secrets(_) => 8,
            Self::Backend(_) => 9,
            Self::BackendFace(_) => 10,
            Self::Endpoints(_) | Self::Client(_) | Self::Claims(_) | Self::Prices(_) => 11,
            Self::Policy(_) => 12,
            Self::Route(_) => 13,
            Self::Attachment(_) => 14,
            Self::Served(_) => 15,
            Self::Port(..) => 16,
            Self::Host(..) => 17,
            Self::Entry(..) => 18,
            Self::BackendReport(_) | Self::Selection(_) => 19,
            Self::ListenerSetReport(_) | Self::GatewayReport(_) => 20,
            Self::PolicyReport(_)
            | Self::RateLimitsReport(_)
            | Self::ClientKeyReport(_)
            | Self::BudgetReport(_)
            | Self::PriceListReport(_) => 21,
        }
    }

    /// Whether it is given, not computed.
    pub(crate) fn is_input(&self) -> bool {
        self.stage() == 0
    }

    /// Whether it is kept only as long as something reads it.
    pub(crate) fn is_on_demand(&self) -> bool {
        matches!(
            self,
            Self::IsOurs(_)
                | Self::BackendFace(_)
                | Self::Backend(BackendKey::Service(..) | BackendKey::XBackend(..) | BackendKey::Server(_))
                | Self::Classes
                | Self::Certificate(_)
                | Self::Authorities(_)
                | Self::Client(_)
                | Self::Claims(_)
                | Self::Policy(_)
        )
    }

    /// The units that exist because an object does.
    pub(crate) fn rooted_in(object: &ObjectKey) -> Vec<Self> {
        let own = match object.kind {
            Kind::Gateway => Some(Self::Gateway(object.name.clone())),
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute | Kind::UdpRoute => {
                Some(Self::Route(object.clone()))
            }
            Kind::Backend | Kind::Upstream => Some(Self::Backend(BackendKey::Object(object.clone()))),
            Kind::PriceList => Some(Self::Prices(object.name.namespace.to_string())),
            // Whether there is a status is for those to say that use them.
            Kind::GatewayParameters | Kind::GlooGatewayParameters => return Vec::new(),
            _ => None,
        };
        let selection = (object.kind == Kind::XBackend).then(|| Self::Selection(object.name.clone()));
        own.into_iter().chain(selection).chain(Self::reporting(object)).collect()
    }

    /// The unit that makes the status of an object; `None` if there is none to make.
    pub(crate) fn reporting(object: &ObjectKey) -> Option<Self> {
        let name = object.name.clone();
        match object.kind {
            Kind::GatewayClass => Some(Self::Class(name.name.to_string())),
            Kind::Gateway => Some(Self::GatewayReport(name)),
            Kind::ListenerSet => Some(Self::ListenerSetReport(name)),
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute | Kind::UdpRoute => {
                Some(Self::Attachment(object.clone()))
            }
            Kind::Backend | Kind::Upstream | Kind::XBackend => Some(Self::BackendReport(object.clone())),
            Kind::BackendTlsPolicy
            | Kind::BackendConfigPolicy
            | Kind::HttpListenerOption
            | Kind::HttpListenerPolicy
            | Kind::ListenerOption
            | Kind::RouteOption
            | Kind::TrafficPolicy
            | Kind::VirtualHostOption
            // An extension is of no effect by itself, but has a status like them.
            | Kind::DirectResponse
            | Kind::GatewayExtension => Some(Self::PolicyReport(object.clone())),
            Kind::GatewayParameters | Kind::GlooGatewayParameters => {
                Some(Self::ParametersReport(object.clone()))
            }
            Kind::RateLimitConfig => Some(Self::RateLimitsReport(name)),
            Kind::VirtualKey => Some(Self::ClientKeyReport(name)),
            Kind::Budget => Some(Self::BudgetReport(name)),
            Kind::PriceList => Some(Self::PriceListReport(name)),
            Kind::Namespace
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::ReferenceGrant
            | Kind::CustomResourceDefinition => None,
        }
    }

    /// The kind of unit, for counts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Object(_) | Self::Group(_) | Self::Labels(_) | Self::Peers | Self::Trust => "input",
            Self::Class(_) => "class",
            Self::Classes => "classes",
            Self::Certificate(_) => "certificate",
            Self::Authorities(_) => "authorities",
            Self::Gateway(_) => "gateway",
            Self::IsOurs(_) => "is_ours",
            Self::AddressPlan => "address_plan",
            Self::Placement(_) => "placement",
            Self::Proxy(_) => "proxy",
            Self::Secrets(_) => "secrets",
            Self::ParametersReport(_) => "parameters_report",
            Self::Backend(_) => "backend",
            Self::BackendFace(_) => "backend_face",
            Self::Endpoints(_) => "endpoints",
            Self::Selection(_) => "selection",
            Self::Client(_) => "client",
            Self::Claims(_) => "claims",
            Self::Prices(_) => "prices",
            Self::Policy(_) => "policy",
            Self::Route(_) => "route",
            Self::Attachment(_) => "attachment",
            Self::Served(_) => "served",
            Self::Port(..) => "port",
            Self::Host(..) => "host",
            Self::Entry(..) => "entry",
            Self::BackendReport(_) => "backend_report",
            Self::ListenerSetReport(_) => "listener_set_report",
            Self::GatewayReport(_) => "gateway_report",
            Self::PolicyReport(_) => "policy_report",
            Self::RateLimitsReport(_) => "rate_limits_report",
            Self::ClientKeyReport(_) => "client_key_report",
            Self::BudgetReport(_) => "budget_report",
            Self::PriceListReport(_) => "price_list_report",
        }
    }

    /// What the unit is about, for a person; `None` where no single object is.
    pub(crate) fn object(&self) -> Option<ObjectKey> {
        let object = |kind, name: &NamespacedName| Some(ObjectKey { kind, name: name.clone() });
        match self {
            Self::Class(name) => object(Kind::GatewayClass, &NamespacedName::new("", name)),
            Self::Gateway(gateway)
            | Self::IsOurs(gateway)
            | Self::Placement(gateway)
            | Self::Proxy(gateway)
            | Self::Secrets(gateway)
            | Self::Port(gateway, _)
            | Self::GatewayReport(gateway) => object(Kind::Gateway, gateway),
            Self::Certificate(secret) => object(Kind::Secret, secret),
            Self::Authorities(map) => object(Kind::ConfigMap, map),
            Self::ListenerSetReport(set) => object(Kind::ListenerSet, set),
            Self::RateLimitsReport(config) => object(Kind::RateLimitConfig, config),
            Self::Client(key) | Self::ClientKeyReport(key) => object(Kind::VirtualKey, key),
            Self::BudgetReport(budget) => object(Kind::Budget, budget),
            Self::PriceListReport(list) => object(Kind::PriceList, list),
            Self::Host(host) => object(Kind::Gateway, &host.gateway),
            Self::Route(route) | Self::Attachment(route) | Self::Served(route) | Self::Entry(.., route) => {
                Some(route.clone())
            }
            Self::Backend(backend) | Self::BackendFace(backend) | Self::Endpoints(backend) => {
                backend.object()
            }
            Self::Selection(backend) => object(Kind::XBackend, backend),
            Self::BackendReport(key)
            | Self::ParametersReport(key)
            | Self::Policy(key)
            | Self::PolicyReport(key)
            | Self::Object(key) => Some(key.clone()),
            Self::Group(_)
            | Self::Labels(_)
            | Self::Peers
            | Self::Trust
            | Self::Classes
            | Self::Claims(_)
            | Self::Prices(_)
            | Self::AddressPlan => None,
        }
    }
}
