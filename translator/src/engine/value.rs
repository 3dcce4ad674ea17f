//! What units come to.

use std::sync::Arc;

use ir::ClaimSet;

use crate::gateway::address::AddressPlan;
use crate::gateway::backend::Selection;
use crate::gateway::facts::RouteVersion;
use crate::gateway::facts::{
    Attachment, AuthoritiesValue, BackendFace, BackendValue, CertificateValue, ClassFace, Entries,
    GatewayFace, GatewaySecrets, HostFace, KeyFace, Placed, PolicyFace, PortValue, PriceBook, Proxy,
    TranslatedRoute,
};
use crate::status::{Rejection, Report};
use crate::xds::EncodedResource;

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
    Certificate(CertificateValue);
    Authorities(AuthoritiesValue);
    Gateway(GatewayFace);
    IsOurs(IsOurs);
    AddressPlan(AddressPlan);
    Placement(Placed);
    Proxy(Proxy);
    Secrets(GatewaySecrets);
    Backend(BackendValue);
    BackendFace(Result<BackendFace, Rejection>);
    Endpoints(EncodedResource);
    Selection(Selection);
    ClientKey(KeyFace);
    Claims(ClaimSet);
    Prices(PriceBook);
    Policy(PolicyFace);
    Route(TranslatedRoute);
    Attachment(Attachment);
    Served(RouteVersion);
    Port(PortValue);
    Host(HostFace);
    Entry(Entries);
    Report(Report);
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
