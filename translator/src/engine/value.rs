//! What units come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::key::{BackendKey, GatewayKey};
use crate::gateway::address::AddressPlan;
use crate::gateway::attach::{Attachment, Row};
use crate::gateway::backend::{BackendFace, ResolvedBackend};
use crate::gateway::class::ClassFace;
use crate::gateway::face::{GatewayFace, Placed, Proxy};
use crate::gateway::host::{Entries, HostFace, PortFace};
use crate::gateway::http_route::TranslatedRoute;
use crate::status::{Rejection, Report};
use crate::xds::EncodedResource;

/// A backend: what it is, and what is sent to the proxies for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendValue {
    pub result: Result<ResolvedBackend, Rejection>,
    /// `None` if it cannot be used.
    pub encoded: Option<EncodedBackend>,
}

/// What is sent to the proxies for a backend, without endpoints.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EncodedBackend {
    pub cluster: Arc<EncodedResource>,
    pub secrets: Vec<Arc<EncodedResource>>,
}

/// A version of a route that can be served.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteVersion {
    pub(crate) route: Arc<TranslatedRoute>,
    pub(crate) rows: Arc<[Row]>,
}

impl RouteVersion {
    /// The backends that the Gateways need for it.
    pub(crate) fn uses(&self) -> BTreeSet<(GatewayKey, BackendKey)> {
        let gateways: BTreeSet<_> =
            self.rows.iter().filter(|row| row.port.is_some()).map(|row| &row.gateway).collect();
        let of_gateway = |gateway: &GatewayKey| {
            self.route.backends.iter().map(|backend| (gateway.clone(), backend.clone())).collect::<Vec<_>>()
        };
        gateways.into_iter().flat_map(of_gateway).collect()
    }
}

macro_rules! values {
    ($($variant:ident($type:ty);)+) => {
        /// What a unit comes to. Equal values are the same to whoever reads them. Cheap to clone.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Value {
            $($variant(Arc<$type>),)+
        }

        $(impl OfValue for $type {
            fn of(value: &Value) -> Option<&Arc<Self>> {
                match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(Arc::new(self))
            }
        })+
    };
}

/// The type of some values.
pub(crate) trait OfValue: Sized {
    /// The value as its type.
    fn of(value: &Value) -> Option<&Arc<Self>>;

    /// As a value.
    fn into_value(self) -> Value;
}

/// Whether a Gateway is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IsOurs;

values! {
    Class(ClassFace);
    Classes(Vec<String>);
    Gateway(GatewayFace);
    IsOurs(IsOurs);
    AddressPlan(AddressPlan);
    Placement(Placed);
    Proxy(Proxy);
    Backend(BackendValue);
    BackendFace(Result<BackendFace, Rejection>);
    Endpoints(EncodedResource);
    Route(TranslatedRoute);
    Attachment(Attachment);
    Served(RouteVersion);
    Port(PortValue);
    Host(HostFace);
    Entry(Entries);
    Report(Report);
}

/// A port of a Gateway: what virtual hosts depend on, and what is sent to the proxies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortValue {
    pub face: PortFace,
    pub encoded: Arc<EncodedResource>,
}

impl Value {
    /// The status that the unit reports.
    pub(crate) fn report(&self) -> Option<&Arc<Report>> {
        match self {
            Self::Class(class) => class.report.as_ref(),
            Self::Attachment(attachment) => attachment.report.as_ref(),
            Self::Report(report) => Some(report),
            _ => None,
        }
    }
}
