//! What the kinds of routes have in common, each part as one type for all places where it stands.
//!
//! The generated types are taken apart member by member where they become these, so that a member that a newer version
//! of Gateway API adds is an error of the compiler, not a field that goes unseen.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;

pub use super::external_auth::{ExternalAuth, HttpAuth};

/// What the names of our annotations begin with.
const OUR_PREFIX: &str = "chancery.dev/";

/// The metadata of a route, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    pub name: Box<str>,
    /// The namespace.
    pub namespace: Option<Box<str>>,
    /// The version of the spec. Absent outside a cluster.
    pub generation: Option<i64>,
    /// When the object was made. Absent outside a cluster.
    pub creation_timestamp: Option<Time>,
    /// The labels; absent if there are none.
    pub labels: Option<Box<BTreeMap<String, String>>>,
    /// The annotations of ours; absent if there are none.
    pub annotations: Option<Box<BTreeMap<String, String>>>,
}

/// A reference to the Gateway (or another parent) that a route wants to attach to. Serializes as the route writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group; absent: Gateway API's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    /// Kind; absent: `Gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Box<str>>,
    /// Namespace; absent: the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Name.
    pub name: Box<str>,
    /// The listener; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<Box<str>>,
    /// The listeners' port; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

impl ParentRef {
    /// A reference to all listeners of a Gateway in the route's namespace.
    pub fn named(name: &str) -> Self {
        let (group, kind, namespace, section_name, port) = (None, None, None, None, None);
        Self { group, kind, namespace, name: name.into(), section_name, port }
    }
}

/// A reference to a backend, with its share of the requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group; absent: the core group.
    pub group: Option<Box<str>>,
    /// Kind; absent: `Service`.
    pub kind: Option<Box<str>>,
    /// Namespace; absent: the route's.
    pub namespace: Option<Box<str>>,
    /// Name.
    pub name: Box<str>,
    /// Port; required for a Service.
    pub port: Option<i32>,
    /// The share in proportion to the weights of all backends of the rule; absent: 1.
    pub weight: Option<i32>,
    /// For the requests to this backend alone.
    pub filters: Box<[Filter]>,
}

/// A filter. Well formed if its only member is the one of its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// What it does.
    pub kind: FilterType,
    /// The members that are written, each at most once.
    pub members: Box<[FilterMember]>,
}

macro_rules! filter_types {
    ($($(#[$doc:meta])* $variant:ident $name:literal $member:literal;)+) => {
        /// The types of filters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FilterType {
            $($(#[$doc])* $variant,)+
        }

        impl FilterType {
            /// The type as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The name of the member that belongs to the type.
            pub fn member(self) -> &'static str {
                match self { $(Self::$variant => $member,)+ }
            }
        }
    };
}

filter_types! {
    /// Edits the headers of requests.
    RequestHeaderModifier "RequestHeaderModifier" "requestHeaderModifier";
    /// Edits the headers of responses.
    ResponseHeaderModifier "ResponseHeaderModifier" "responseHeaderModifier";
    /// Sends copies of requests elsewhere.
    RequestMirror "RequestMirror" "requestMirror";
    /// Answers with a redirect.
    RequestRedirect "RequestRedirect" "requestRedirect";
    /// Changes host and path of requests.
    UrlRewrite "URLRewrite" "urlRewrite";
    /// What an object of another kind says.
    ExtensionRef "ExtensionRef" "extensionRef";
    /// Cross-origin resource sharing.
    Cors "CORS" "cors";
    /// Asks a service whether a request may pass.
    ExternalAuth "ExternalAuth" "externalAuth";
}

/// A member of a filter.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is named after the type of filter that it belongs to")]
pub enum FilterMember {
    RequestHeaderModifier(HeaderModifier),
    ResponseHeaderModifier(HeaderModifier),
    RequestMirror(Box<RequestMirror>),
    RequestRedirect(Box<RequestRedirect>),
    UrlRewrite(UrlRewrite),
    ExtensionRef(Box<ExtensionRef>),
    Cors(Box<Cors>),
    ExternalAuth(Box<ExternalAuth>),
}

impl FilterMember {
    /// The type of filter that it belongs to.
    pub fn belongs_to(&self) -> FilterType {
        match self {
            Self::RequestHeaderModifier(_) => FilterType::RequestHeaderModifier,
            Self::ResponseHeaderModifier(_) => FilterType::ResponseHeaderModifier,
            Self::RequestMirror(_) => FilterType::RequestMirror,
            Self::RequestRedirect(_) => FilterType::RequestRedirect,
            Self::UrlRewrite(_) => FilterType::UrlRewrite,
            Self::ExtensionRef(_) => FilterType::ExtensionRef,
            Self::Cors(_) => FilterType::Cors,
            Self::ExternalAuth(_) => FilterType::ExternalAuth,
        }
    }
}

/// A reference to an object of another kind, in the namespace of the route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtensionRef {
    /// API group.
    pub group: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Name.
    pub name: Box<str>,
}

/// Edits of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderModifier {
    /// Put in place of what is there.
    pub set: Box<[Header]>,
    /// Put beside what is there.
    pub add: Box<[Header]>,
    /// Taken out.
    pub remove: Box<[Box<str>]>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Box<str>,
}

/// A change of host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlRewrite {
    /// The `Host` to send.
    pub hostname: Option<Box<str>>,
    /// The change of the path.
    pub path: Option<PathModifier>,
}

/// A change of a path. Well formed if its only member is the one of its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathModifier {
    /// Which of the two it is.
    #[serde(rename = "type")]
    pub kind: PathModifierType,
    /// The whole path.
    pub replace_full_path: Option<Box<str>>,
    /// What stands in place of the prefix that the match took.
    pub replace_prefix_match: Option<Box<str>>,
}

/// What of a path is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are Gateway API's")]
pub enum PathModifierType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

/// A redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRedirect {
    /// The scheme; absent: the request's.
    pub scheme: Option<Scheme>,
    /// The host; absent: the request's.
    pub hostname: Option<Box<str>>,
    /// The path; absent: the request's.
    pub path: Option<PathModifier>,
    /// The port; absent: that of the scheme or of the listener.
    pub port: Option<i32>,
    /// The status; absent: 302.
    pub status_code: Option<i64>,
}

/// Copies of requests for another backend, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestMirror {
    /// Where the copies go; without weight and filters.
    pub backend: BackendRef,
    /// How many requests of a hundred are copied; absent with `fraction`: all.
    pub percent: Option<i32>,
    /// The same as numerator and denominator; an absent denominator is 100.
    pub fraction: Option<(i32, Option<i32>)>,
}

/// What browsers may do with resources of ours in pages of other origins (the Fetch standard, "CORS protocol").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Whose pages may: `SCHEME://HOST` with an optional port, perhaps with a wildcard, or `*`.
    pub allow_origins: Box<[Box<str>]>,
    /// Whether cookies and credentials may be sent along.
    pub allow_credentials: bool,
    /// Methods, or `*`.
    pub allow_methods: Box<[Box<str>]>,
    /// Headers of requests, or `*`.
    pub allow_headers: Box<[Box<str>]>,
    /// Headers of responses that scripts may read, or `*`.
    pub expose_headers: Box<[Box<str>]>,
    /// How long, in seconds, a browser may keep the answer to a preflight request; absent: 5.
    pub max_age: Option<i32>,
}

/// When a request is sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Status codes of answers after which it is.
    pub codes: Box<[i64]>,
    /// How often at most, beside the first time; absent: once.
    pub attempts: Option<i64>,
    /// The least wait, as a duration in Gateway API's form.
    pub backoff: Option<Box<str>>,
}

/// A scheme to redirect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Scheme {
    Http,
    Https,
}

/// A named value that a request must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMatch {
    /// The name.
    pub name: Box<str>,
    /// The value, or an expression.
    pub value: Box<str>,
    /// Whether the value is an expression.
    pub is_regex: bool,
}

/// Time limits of a rule, as durations in Gateway API's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// For the whole exchange with the client.
    pub request: Option<Box<str>>,
    /// For one exchange with a backend.
    pub backend_request: Option<Box<str>>,
}

impl From<ObjectMeta> for Metadata {
    fn from(metadata: ObjectMeta) -> Self {
        Self {
            name: metadata.name.unwrap_or_default().into(),
            namespace: text(metadata.namespace),
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            labels: metadata.labels.filter(|labels| !labels.is_empty()).map(Box::new),
            annotations: metadata.annotations.and_then(annotations_of_ours),
        }
    }
}

#[expect(clippy::box_collection, reason = "nearly every object has none, which costs 8 bytes so")]
fn annotations_of_ours(mut annotations: BTreeMap<String, String>) -> Option<Box<BTreeMap<String, String>>> {
    annotations.retain(|name, _| name.starts_with(OUR_PREFIX));
    (!annotations.is_empty()).then(|| Box::new(annotations))
}

/// A text that does not grow any more.
pub(super) fn text(text: Option<String>) -> Option<Box<str>> {
    text.map(String::into_boxed_str)
}

/// A list that does not grow any more; absent is empty.
pub(super) fn list<From, To: std::convert::From<From>>(list: Option<Vec<From>>) -> Box<[To]> {
    list.into_iter().flatten().map(To::from).collect()
}

/// A generated reference to a parent → [`ParentRef`].
macro_rules! parent_ref {
    ($spec:ident) => {
        impl From<$spec> for ParentRef {
            fn from($spec { group, kind, name, namespace, port, section_name }: $spec) -> Self {
                Self {
                    group: text(group),
                    kind: text(kind),
                    namespace: text(namespace),
                    name: name.into(),
                    section_name: text(section_name),
                    port,
                }
            }
        }
    };
}

/// A generated reference to a backend → [`BackendRef`]. One without a weight gets no share of the requests, such as that of a
/// mirror.
macro_rules! backend_ref {
    (@filters) => {
        Box::default()
    };
    (@filters $filters:ident) => {
        list($filters)
    };
    (@weight) => {
        None
    };
    (@weight $weight:ident) => {
        $weight
    };
    (@impl $spec:ident [$($weight:ident)?] [$($filters:ident)?]) => {
        impl From<$spec> for BackendRef {
            fn from($spec { group, kind, name, namespace, port $(, $weight)? $(, $filters)? }: $spec) -> Self {
                Self {
                    group: text(group),
                    kind: text(kind),
                    namespace: text(namespace),
                    name: name.into(),
                    port,
                    weight: $crate::gateway_api::part::backend_ref!(@weight $($weight)?),
                    filters: $crate::gateway_api::part::backend_ref!(@filters $($filters)?),
                }
            }
        }
    };
    ($spec:ident without weight) => {
        $crate::gateway_api::part::backend_ref!(@impl $spec [] []);
    };
    ($spec:ident $(with $filters:ident)?) => {
        $crate::gateway_api::part::backend_ref!(@impl $spec [weight] [$($filters)?]);
    };
}

/// A header or a parameter of the query, which the generated types tell apart in name only.
macro_rules! named_match {
    ($spec:ident $kind:ident) => {
        impl From<$spec> for NamedMatch {
            fn from($spec { name, r#type, value }: $spec) -> Self {
                let is_regex = match r#type {
                    Some($kind::RegularExpression) => true,
                    Some($kind::Exact) | None => false,
                };
                Self { name: name.into(), value: value.into(), is_regex }
            }
        }
    };
}

/// Makes the filters of one place in the generated types into [`Filter`]s: the generated types of two places have the
/// same form under other names. Members are named one by one, so that a new one does not go unseen.
macro_rules! filters {
    (
        $filter:ident $kind:ident
        request_headers = $request_headers:ident { $request_set:ident $request_add:ident }
        response_headers = $response_headers:ident { $response_set:ident $response_add:ident }
        rewrite = $rewrite:ident { $rewrite_path:ident $rewrite_kind:ident }
        redirect = $redirect:ident { $redirect_path:ident $redirect_kind:ident $scheme:ident }
        extension = $extension:ident
        cors = $cors:ident
        mirror = $mirror:ident { $mirror_backend:ident $fraction:ident }
        auth = $auth:ident {
            $auth_backend:ident $auth_body:ident $auth_grpc:ident $auth_http:ident $auth_protocol:ident
        }
    ) => {
        $crate::gateway_api::external_auth::external_auth!(
            $auth $auth_backend $auth_body $auth_grpc $auth_http $auth_protocol
        );
        $crate::gateway_api::part::extension_ref!($extension);
        $crate::gateway_api::part::header_modifier!($request_headers $request_set $request_add);
        $crate::gateway_api::part::header_modifier!($response_headers $response_set $response_add);
        $crate::gateway_api::part::request_mirror!($mirror $mirror_backend $fraction);
        $crate::gateway_api::part::path_modifier!($rewrite_path $rewrite_kind);
        $crate::gateway_api::part::path_modifier!($redirect_path $redirect_kind);

        impl From<$rewrite> for UrlRewrite {
            fn from($rewrite { hostname, path }: $rewrite) -> Self {
                Self { hostname: text(hostname), path: path.map(Into::into) }
            }
        }

        impl From<$cors> for Cors {
            fn from(cors: $cors) -> Self {
                let $cors {
                    allow_credentials,
                    allow_headers,
                    allow_methods,
                    allow_origins,
                    expose_headers,
                    max_age,
                } = cors;
                Self {
                    allow_origins: list(allow_origins),
                    allow_credentials: allow_credentials.unwrap_or_default(),
                    allow_methods: list(allow_methods),
                    allow_headers: list(allow_headers),
                    expose_headers: list(expose_headers),
                    max_age,
                }
            }
        }

        impl From<$redirect> for RequestRedirect {
            fn from($redirect { hostname, path, port, scheme, status_code }: $redirect) -> Self {
                let scheme = scheme.map(|scheme| match scheme {
                    $scheme::Http => Scheme::Http,
                    $scheme::Https => Scheme::Https,
                });
                Self { scheme, hostname: text(hostname), path: path.map(Into::into), port, status_code }
            }
        }

        impl From<$filter> for Filter {
            fn from(filter: $filter) -> Self {
                let $filter {
                    cors,
                    extension_ref,
                    external_auth,
                    request_header_modifier,
                    request_mirror,
                    request_redirect,
                    response_header_modifier,
                    r#type,
                    url_rewrite,
                } = filter;
                let kind = match r#type {
                    $kind::RequestHeaderModifier => FilterType::RequestHeaderModifier,
                    $kind::ResponseHeaderModifier => FilterType::ResponseHeaderModifier,
                    $kind::RequestMirror => FilterType::RequestMirror,
                    $kind::RequestRedirect => FilterType::RequestRedirect,
                    $kind::UrlRewrite => FilterType::UrlRewrite,
                    $kind::ExtensionRef => FilterType::ExtensionRef,
                    $kind::Cors => FilterType::Cors,
                    $kind::ExternalAuth => FilterType::ExternalAuth,
                };
                let request_headers = request_header_modifier.map(HeaderModifier::from);
                let response_headers = response_header_modifier.map(HeaderModifier::from);
                let redirect = request_redirect.map(|redirect| Box::new(RequestRedirect::from(redirect)));
                let rewrite = url_rewrite.map(UrlRewrite::from);
                let members = [
                    cors.map(|cors| FilterMember::Cors(Box::new(cors.into()))),
                    extension_ref.map(|extension| FilterMember::ExtensionRef(Box::new(extension.into()))),
                    external_auth.map(|auth| FilterMember::ExternalAuth(Box::new(auth.into()))),
                    request_headers.map(FilterMember::RequestHeaderModifier),
                    request_mirror.map(|mirror| FilterMember::RequestMirror(Box::new(mirror.into()))),
                    redirect.map(FilterMember::RequestRedirect),
                    response_headers.map(FilterMember::ResponseHeaderModifier),
                    rewrite.map(FilterMember::UrlRewrite),
                ];
                Self { kind, members: members.into_iter().flatten().collect() }
            }
        }
    };
}

/// The same for GRPCRoutes, which have fewer types of filters.
macro_rules! grpc_filters {
    (
        $filter:ident $kind:ident
        request_headers = $request_headers:ident { $request_set:ident $request_add:ident }
        response_headers = $response_headers:ident { $response_set:ident $response_add:ident }
        extension = $extension:ident
        mirror = $mirror:ident { $mirror_backend:ident $fraction:ident }
    ) => {
        $crate::gateway_api::part::extension_ref!($extension);
        $crate::gateway_api::part::header_modifier!($request_headers $request_set $request_add);
        $crate::gateway_api::part::header_modifier!($response_headers $response_set $response_add);
        $crate::gateway_api::part::request_mirror!($mirror $mirror_backend $fraction);

        impl From<$filter> for Filter {
            fn from(filter: $filter) -> Self {
                let $filter {
                    extension_ref,
                    request_header_modifier,
                    request_mirror,
                    response_header_modifier,
                    r#type,
                } = filter;
                let kind = match r#type {
                    $kind::RequestHeaderModifier => FilterType::RequestHeaderModifier,
                    $kind::ResponseHeaderModifier => FilterType::ResponseHeaderModifier,
                    $kind::RequestMirror => FilterType::RequestMirror,
                    $kind::ExtensionRef => FilterType::ExtensionRef,
                };
                let request_headers = request_header_modifier.map(HeaderModifier::from);
                let response_headers = response_header_modifier.map(HeaderModifier::from);
                let members = [
                    extension_ref.map(|extension| FilterMember::ExtensionRef(Box::new(extension.into()))),
                    request_headers.map(FilterMember::RequestHeaderModifier),
                    request_mirror.map(|mirror| FilterMember::RequestMirror(Box::new(mirror.into()))),
                    response_headers.map(FilterMember::ResponseHeaderModifier),
                ];
                Self { kind, members: members.into_iter().flatten().collect() }
            }
        }
    };
}

/// A generated reference of a filter → [`ExtensionRef`].
macro_rules! extension_ref {
    ($extension:ident) => {
        impl From<$extension> for ExtensionRef {
            fn from($extension { group, kind, name }: $extension) -> Self {
                Self { group: group.into(), kind: kind.into(), name: name.into() }
            }
        }
    };
}

/// A generated header modifier → [`HeaderModifier`].
macro_rules! header_modifier {
    ($modifier:ident $set:ident $add:ident) => {
        impl From<$set> for Header {
            fn from($set { name, value }: $set) -> Self {
                Self { name: name.into(), value: value.into() }
            }
        }

        impl From<$add> for Header {
            fn from($add { name, value }: $add) -> Self {
                Self { name: name.into(), value: value.into() }
            }
        }

        impl From<$modifier> for HeaderModifier {
            fn from($modifier { set, add, remove }: $modifier) -> Self {
                Self { set: list(set), add: list(add), remove: list(remove) }
            }
        }
    };
}

/// A generated mirror → [`RequestMirror`].
macro_rules! request_mirror {
    ($mirror:ident $mirror_backend:ident $fraction:ident) => {
        $crate::gateway_api::part::backend_ref!($mirror_backend without weight);

        impl From<$mirror> for RequestMirror {
            fn from($mirror { backend_ref, fraction, percent }: $mirror) -> Self {
                Self {
                    backend: backend_ref.into(),
                    percent,
                    fraction: fraction.map(|$fraction { denominator, numerator }| (numerator, denominator)),
                }
            }
        }
    };
}

/// A generated change of a path → [`PathModifier`].
macro_rules! path_modifier {
    ($path:ident $kind:ident) => {
        impl From<$path> for PathModifier {
            fn from($path { r#type, replace_full_path, replace_prefix_match }: $path) -> Self {
                let kind = match r#type {
                    $kind::ReplaceFullPath => PathModifierType::ReplaceFullPath,
                    $kind::ReplacePrefixMatch => PathModifierType::ReplacePrefixMatch,
                };
                Self {
                    kind,
                    replace_full_path: text(replace_full_path),
                    replace_prefix_match: text(replace_prefix_match),
                }
            }
        }
    };
}

pub(super) use {
    backend_ref, extension_ref, filters, grpc_filters, header_modifier, named_match, parent_ref,
    path_modifier, request_mirror,
};
