//! HTTPRoute as it is kept.

use gateway_api::experimental::httproutes::{self as generated, *};
use serde::{Deserialize, Deserializer};

use super::part::{
    BackendRef, Cors, ExtensionRef, ExternalAuth, Filter, FilterMember, FilterType, Header, HeaderModifier,
    HttpAuth, NamedMatch, ParentRef, PathModifier, PathModifierType, RequestMirror, RequestRedirect, Retry,
    Scheme, Timeouts, UrlRewrite, backend_ref, filters, list, named_match, parent_ref, text,
};
use super::route::{Route, Rule, route};

pub use gateway_api::experimental::httproutes::{
    HttpRouteRulesMatchesMethod as HttpMethod, HttpRouteRulesMatchesPathType as PathMatchType,
};

/// An HTTPRoute.
pub type HttpRoute = Route<HttpMatch>;

/// A rule of an HTTPRoute.
pub type HttpRule = Rule<HttpMatch>;

/// What a request must have to be taken, all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpMatch {
    /// How the path is compared; as written or by default.
    pub path_type: PathMatchType,
    /// The path, as written or by default.
    pub path: Box<str>,
    /// The method; absent: any.
    pub method: Option<HttpMethod>,
    /// Headers.
    pub headers: Box<[NamedMatch]>,
    /// Parameters of the query.
    pub query_params: Box<[NamedMatch]>,
}

route!(HttpRoute is generated::HttpRoute { HttpRouteSpec });
parent_ref!(HttpRouteParentRefs);

impl From<HttpRouteRules> for HttpRule {
    fn from(rule: HttpRouteRules) -> Self {
        let HttpRouteRules { backend_refs, filters, matches, name, retry, session_persistence, timeouts } =
            rule;
        Self {
            name: text(name),
            matches: list(matches),
            filters: list(filters),
            backend_refs: list(backend_refs),
            timeouts: timeouts.map(|HttpRouteRulesTimeouts { backend_request, request }| {
                Box::new(Timeouts { request: text(request), backend_request: text(backend_request) })
            }),
            retry: retry.map(|HttpRouteRulesRetry { attempts, backoff, codes }| {
                Box::new(Retry { codes: list(codes), attempts, backoff: text(backoff) })
            }),
            has_session_persistence: session_persistence.is_some(),
        }
    }
}

impl From<HttpRouteRulesMatches> for HttpMatch {
    fn from(spec: HttpRouteRulesMatches) -> Self {
        let HttpRouteRulesMatches { headers, method, path, query_params } = spec;
        let HttpRouteRulesMatchesPath { r#type, value } =
            path.unwrap_or(HttpRouteRulesMatchesPath { r#type: None, value: None });
        Self {
            path_type: r#type.unwrap_or(PathMatchType::PathPrefix),
            path: value.map_or_else(|| "/".into(), String::into_boxed_str),
            method,
            headers: list(headers),
            query_params: list(query_params),
        }
    }
}

named_match!(HttpRouteRulesMatchesHeaders HttpRouteRulesMatchesHeadersType);
named_match!(HttpRouteRulesMatchesQueryParams HttpRouteRulesMatchesQueryParamsType);

backend_ref!(HttpRouteRulesBackendRefs with filters);

mod rule {
    use super::*;
    use gateway_api::experimental::httproutes::{
        HttpRouteRulesFilters as F, HttpRouteRulesFiltersCors as CorsSpec,
        HttpRouteRulesFiltersExtensionRef as Extension, HttpRouteRulesFiltersExternalAuth as Auth,
        HttpRouteRulesFiltersExternalAuthBackendRef as AuthBackend,
        HttpRouteRulesFiltersExternalAuthForwardBody as AuthBody,
        HttpRouteRulesFiltersExternalAuthGrpc as AuthGrpc, HttpRouteRulesFiltersExternalAuthHttp as AuthHttp,
        HttpRouteRulesFiltersExternalAuthProtocol as AuthProtocol,
        HttpRouteRulesFiltersRequestHeaderModifier as RequestHeaders,
        HttpRouteRulesFiltersRequestHeaderModifierAdd as RequestAdd,
        HttpRouteRulesFiltersRequestHeaderModifierSet as RequestSet,
        HttpRouteRulesFiltersRequestMirror as Mirror,
        HttpRouteRulesFiltersRequestMirrorBackendRef as MirrorBackend,
        HttpRouteRulesFiltersRequestMirrorFraction as Fraction,
        HttpRouteRulesFiltersRequestRedirect as Redirect,
        HttpRouteRulesFiltersRequestRedirectPath as RedirectPath,
        HttpRouteRulesFiltersRequestRedirectPathType as RedirectPathType,
        HttpRouteRulesFiltersRequestRedirectScheme as RedirectScheme,
        HttpRouteRulesFiltersResponseHeaderModifier as ResponseHeaders,
        HttpRouteRulesFiltersResponseHeaderModifierAdd as ResponseAdd,
        HttpRouteRulesFiltersResponseHeaderModifierSet as ResponseSet, HttpRouteRulesFiltersType as Kind,
        HttpRouteRulesFiltersUrlRewrite as Rewrite, HttpRouteRulesFiltersUrlRewritePath as RewritePath,
        HttpRouteRulesFiltersUrlRewritePathType as RewritePathType,
    };

    filters! {
        F Kind
        request_headers = RequestHeaders { RequestSet RequestAdd }
        response_headers = ResponseHeaders { ResponseSet ResponseAdd }
        rewrite = Rewrite { RewritePath RewritePathType }
        redirect = Redirect { RedirectPath RedirectPathType RedirectScheme }
        extension = Extension
        cors = CorsSpec
        mirror = Mirror { MirrorBackend Fraction }
        auth = Auth { AuthBackend AuthBody AuthGrpc AuthHttp AuthProtocol }
    }
}

mod backend_ref {
    use super::*;
    use gateway_api::experimental::httproutes::{
        HttpRouteRulesBackendRefsFilters as F, HttpRouteRulesBackendRefsFiltersCors as CorsSpec,
        HttpRouteRulesBackendRefsFiltersExtensionRef as Extension,
        HttpRouteRulesBackendRefsFiltersExternalAuth as Auth,
        HttpRouteRulesBackendRefsFiltersExternalAuthBackendRef as AuthBackend,
        HttpRouteRulesBackendRefsFiltersExternalAuthForwardBody as AuthBody,
        HttpRouteRulesBackendRefsFiltersExternalAuthGrpc as AuthGrpc,
        HttpRouteRulesBackendRefsFiltersExternalAuthHttp as AuthHttp,
        HttpRouteRulesBackendRefsFiltersExternalAuthProtocol as AuthProtocol,
        HttpRouteRulesBackendRefsFiltersRequestHeaderModifier as RequestHeaders,
        HttpRouteRulesBackendRefsFiltersRequestHeaderModifierAdd as RequestAdd,
        HttpRouteRulesBackendRefsFiltersRequestHeaderModifierSet as RequestSet,
        HttpRouteRulesBackendRefsFiltersRequestMirror as Mirror,
        HttpRouteRulesBackendRefsFiltersRequestMirrorBackendRef as MirrorBackend,
        HttpRouteRulesBackendRefsFiltersRequestMirrorFraction as Fraction,
        HttpRouteRulesBackendRefsFiltersRequestRedirect as Redirect,
        HttpRouteRulesBackendRefsFiltersRequestRedirectPath as RedirectPath,
        HttpRouteRulesBackendRefsFiltersRequestRedirectPathType as RedirectPathType,
        HttpRouteRulesBackendRefsFiltersRequestRedirectScheme as RedirectScheme,
        HttpRouteRulesBackendRefsFiltersResponseHeaderModifier as ResponseHeaders,
        HttpRouteRulesBackendRefsFiltersResponseHeaderModifierAdd as ResponseAdd,
        HttpRouteRulesBackendRefsFiltersResponseHeaderModifierSet as ResponseSet,
        HttpRouteRulesBackendRefsFiltersType as Kind, HttpRouteRulesBackendRefsFiltersUrlRewrite as Rewrite,
        HttpRouteRulesBackendRefsFiltersUrlRewritePath as RewritePath,
        HttpRouteRulesBackendRefsFiltersUrlRewritePathType as RewritePathType,
    };

    filters! {
        F Kind
        request_headers = RequestHeaders { RequestSet RequestAdd }
        response_headers = ResponseHeaders { ResponseSet ResponseAdd }
        rewrite = Rewrite { RewritePath RewritePathType }
        redirect = Redirect { RedirectPath RedirectPathType RedirectScheme }
        extension = Extension
        cors = CorsSpec
        mirror = Mirror { MirrorBackend Fraction }
        auth = Auth { AuthBackend AuthBody AuthGrpc AuthHttp AuthProtocol }
    }
}
