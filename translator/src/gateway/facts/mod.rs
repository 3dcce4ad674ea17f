//! What stages come to: data, apart from the functions that make them, which look up one another's.

mod asked_service;
mod backend;
mod ext_auth;
mod gateway;
mod host;
mod identity;
mod key;
mod policy;
mod price_list;
mod route;

pub(crate) use asked_service::{AskedLimit, AskedProcessor};
pub(crate) use backend::{BackendFace, BackendValue, EncodedBackend, ResolvedBackend};
pub(crate) use ext_auth::{Asked, FaceQuestion};
pub use gateway::Proxy;
pub(crate) use gateway::{
    AuthoritiesValue, CertificateFacts, CertificateValue, ClassFace, GatewayFace, GatewaySecrets, Parameters,
    Placed,
};
pub(crate) use host::{Entries, HostFace, OrderKey, PortFace, PortListener, PortValue};
pub(crate) use identity::{FaceIdentity, FaceKeys, FaceRights, FaceTokens, KeyFace};
pub(crate) use key::{
    BackendKey, BackendProtocol, GatewayKey, HostKey, RouteKey, ServerKey, ServerService, gateway_name,
    gateway_ref, is_l4,
};
pub(crate) use policy::{
    HttpPolicy, PolicyEffect, PolicyFace, PolicyFact, PolicyMirror, PolicyPath, WrittenLog, WrittenTracing,
};
pub(crate) use price_list::PriceBook;
pub use route::RouteVersion;
pub(crate) use route::{
    Attachment, ByPlace, CALL_BROKEN, OrderedRoute, Place, RULE_BROKEN, RouteContent, Row, TranslatedRoute,
    Varying, named_objects,
};
