//! GRPCRoute as it is kept.

use gateway_api::experimental::grpcroutes::{self as generated, *};
use serde::{Deserialize, Deserializer, Serialize};

use super::part::{
    BackendRef, ExtensionRef, Filter, FilterMember, FilterType, Header, HeaderModifier, NamedMatch,
    ParentRef, RequestMirror, backend_ref, grpc_filters, list, named_match, parent_ref, text,
};
use super::route::{Route, Rule, route};

/// A GRPCRoute.
pub type GrpcRoute = Route<GrpcMatch>;

/// A rule of a GRPCRoute.
pub type GrpcRule = Rule<GrpcMatch>;

/// What a call must have to be taken, all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GrpcMatch {
    /// Which service and method are called; absent: any.
    pub method: Option<Box<GrpcMethodMatch>>,
    /// Headers (gRPC calls them metadata).
    pub headers: Box<[NamedMatch]>,
}

/// Which service and method are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMethodMatch {
    /// The service with its package; absent: any.
    pub service: Option<Box<str>>,
    /// The method; absent: any.
    pub method: Option<Box<str>>,
    /// Whether both are expressions.
    pub is_regex: bool,
}

route!(GrpcRoute is generated::GrpcRoute { GrpcRouteSpec });
parent_ref!(GrpcRouteParentRefs);

impl From<GrpcRouteRules> for GrpcRule {
    fn from(rule: GrpcRouteRules) -> Self {
        let GrpcRouteRules { backend_refs, filters, matches, name, session_persistence } = rule;
        Self {
            name: text(name),
            matches: list(matches),
            filters: list(filters),
            backend_refs: list(backend_refs),
            has_session_persistence: session_persistence.is_some(),
            ..Self::default()
        }
    }
}

impl From<GrpcRouteRulesMatches> for GrpcMatch {
    fn from(GrpcRouteRulesMatches { headers, method }: GrpcRouteRulesMatches) -> Self {
        Self { method: method.map(|method| Box::new(method.into())), headers: list(headers) }
    }
}

impl From<GrpcRouteRulesMatchesMethod> for GrpcMethodMatch {
    fn from(spec: GrpcRouteRulesMatchesMethod) -> Self {
        let GrpcRouteRulesMatchesMethod { method, service, r#type } = spec;
        let is_regex = match r#type {
            Some(GrpcRouteRulesMatchesMethodType::RegularExpression) => true,
            Some(GrpcRouteRulesMatchesMethodType::Exact) | None => false,
        };
        // An empty text is as good as none (`GRPCMethodMatch`).
        let written = |part: Option<String>| text(part.filter(|part| !part.is_empty()));
        Self { service: written(service), method: written(method), is_regex }
    }
}

named_match!(GrpcRouteRulesMatchesHeaders GrpcRouteRulesMatchesHeadersType);

backend_ref!(GrpcRouteRulesBackendRefs with filters);

mod rule {
    use super::*;
    use gateway_api::experimental::grpcroutes::{
        GrpcRouteRulesFilters as F, GrpcRouteRulesFiltersExtensionRef as Extension,
        GrpcRouteRulesFiltersRequestHeaderModifier as RequestHeaders,
        GrpcRouteRulesFiltersRequestHeaderModifierAdd as RequestAdd,
        GrpcRouteRulesFiltersRequestHeaderModifierSet as RequestSet,
        GrpcRouteRulesFiltersRequestMirror as Mirror,
        GrpcRouteRulesFiltersRequestMirrorBackendRef as MirrorBackend,
        GrpcRouteRulesFiltersRequestMirrorFraction as Fraction,
        GrpcRouteRulesFiltersResponseHeaderModifier as ResponseHeaders,
        GrpcRouteRulesFiltersResponseHeaderModifierAdd as ResponseAdd,
        GrpcRouteRulesFiltersResponseHeaderModifierSet as ResponseSet, GrpcRouteRulesFiltersType as Kind,
    };

    grpc_filters! {
        F Kind
        request_headers = RequestHeaders { RequestSet RequestAdd }
        response_headers = ResponseHeaders { ResponseSet ResponseAdd }
        extension = Extension
        mirror = Mirror { MirrorBackend Fraction }
    }
}

mod backend_ref {
    use super::*;
    use gateway_api::experimental::grpcroutes::{
        GrpcRouteRulesBackendRefsFilters as F, GrpcRouteRulesBackendRefsFiltersExtensionRef as Extension,
        GrpcRouteRulesBackendRefsFiltersRequestHeaderModifier as RequestHeaders,
        GrpcRouteRulesBackendRefsFiltersRequestHeaderModifierAdd as RequestAdd,
        GrpcRouteRulesBackendRefsFiltersRequestHeaderModifierSet as RequestSet,
        GrpcRouteRulesBackendRefsFiltersRequestMirror as Mirror,
        GrpcRouteRulesBackendRefsFiltersRequestMirrorBackendRef as MirrorBackend,
        GrpcRouteRulesBackendRefsFiltersRequestMirrorFraction as Fraction,
        GrpcRouteRulesBackendRefsFiltersResponseHeaderModifier as ResponseHeaders,
        GrpcRouteRulesBackendRefsFiltersResponseHeaderModifierAdd as ResponseAdd,
        GrpcRouteRulesBackendRefsFiltersResponseHeaderModifierSet as ResponseSet,
        GrpcRouteRulesBackendRefsFiltersType as Kind,
    };

    grpc_filters! {
        F Kind
        request_headers = RequestHeaders { RequestSet RequestAdd }
        response_headers = ResponseHeaders { ResponseSet ResponseAdd }
        extension = Extension
        mirror = Mirror { MirrorBackend Fraction }
    }
}
