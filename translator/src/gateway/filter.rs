//! Route filters of the API → header edits, rewrites and redirects of the IR.

use std::collections::BTreeSet;

use crds::gateway_api::httproutes::{
    HttpRouteRulesBackendRefsFilters as BackendFilter, HttpRouteRulesFilters as Filter,
    HttpRouteRulesFiltersRequestRedirect as RedirectSpec,
    HttpRouteRulesFiltersRequestRedirectPathType as RedirectPathType,
    HttpRouteRulesFiltersRequestRedirectScheme as Scheme, HttpRouteRulesFiltersType as FilterType,
    HttpRouteRulesFiltersUrlRewrite as RewriteSpec,
    HttpRouteRulesFiltersUrlRewritePathType as RewritePathType,
};
use ir::{HeaderModifier, HostRewrite, PathMatch, PathRewrite, Redirect, RedirectPath, Rewrite};
use serde_json::Value;

use super::listener::Rejection;
use super::validate;
use crate::status::Reason;

/// The filters of a rule or of a backend reference, read but not yet tied to a match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    pub request_headers: HeaderModifier,
    pub response_headers: HeaderModifier,
    host: Option<HostRewrite>,
    path: Option<PathChange>,
    redirect: Option<RedirectFilter>,
}

/// A change of the path; what a prefix is, is known with the match only.
#[derive(Clone, Debug)]
enum PathChange {
    Full(String),
    Prefix(String),
}

#[derive(Clone, Debug)]
struct RedirectFilter {
    scheme: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: Option<PathChange>,
    status: u16,
}

/// Reads the filters of a rule.
pub(crate) fn read(filters: &[Filter], field: &str) -> Result<Filters, Rejection> {
    let mut read = Filters::default();
    let mut seen = BTreeSet::new();
    for (index, filter) in filters.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let name = type_name(&filter.r#type);
        if !seen.insert(name) {
            let message = format!("{field}: {name} stands more than once");
            return Err(Rejection::new(Reason::IncompatibleFilters, message));
        }
        read.add(filter, &field)?;
    }
    if read.redirect.is_some() && (read.host.is_some() || read.path.is_some()) {
        let message = format!("{field}: a RequestRedirect and a URLRewrite exclude each other");
        return Err(Rejection::new(Reason::IncompatibleFilters, message));
    }
    Ok(read)
}

/// Reads the filters of a backend reference. They have the same form as a rule's under other names.
pub(crate) fn read_backend(filters: &[BackendFilter], field: &str) -> Result<Filters, Rejection> {
    let same_form: Result<Vec<Filter>, _> = serde_json::to_value(filters).and_then(serde_json::from_value);
    let filters =
        same_form.map_err(|error| Rejection::new(Reason::UnsupportedValue, format!("{field}: {error}")))?;
    let read = read(&filters, field)?;
    if read.redirect.is_some() {
        let message = format!("{field}: a RequestRedirect of a backend reference is not supported yet");
        return Err(Rejection::new(Reason::UnsupportedValue, message));
    }
    Ok(read)
}

impl Filters {
    fn add(&mut self, filter: &Filter, field: &str) -> Result<(), Rejection> {
        match filter.r#type {
            FilterType::RequestHeaderModifier => {
                let modifier =
                    member(filter.request_header_modifier.as_ref(), field, "requestHeaderModifier")?;
                self.request_headers = header_modifier(modifier, &format!("{field}.requestHeaderModifier"))?;
                refuse_host(&self.request_headers, field)
            }
            FilterType::ResponseHeaderModifier => {
                let modifier =
                    member(filter.response_header_modifier.as_ref(), field, "responseHeaderModifier")?;
                self.response_headers =
                    header_modifier(modifier, &format!("{field}.responseHeaderModifier"))?;
                Ok(())
            }
            FilterType::UrlRewrite => {
                let spec = member(filter.url_rewrite.as_ref(), field, "urlRewrite")?;
                self.add_rewrite(spec, &format!("{field}.urlRewrite"))
            }
            FilterType::RequestRedirect => {
                let spec = member(filter.request_redirect.as_ref(), field, "requestRedirect")?;
                self.redirect = Some(redirect(spec, &format!("{field}.requestRedirect"))?);
                Ok(())
            }
            FilterType::RequestMirror
            | FilterType::ExtensionRef
            | FilterType::Cors
            | FilterType::ExternalAuth => {
                let message = format!("{field}: {} is not supported yet", type_name(&filter.r#type));
                Err(Rejection::new(Reason::UnsupportedValue, message))
            }
        }
    }

    fn add_rewrite(&mut self, spec: &RewriteSpec, field: &str) -> Result<(), Rejection> {
        if let Some(hostname) = &spec.hostname {
            let hostname = plain_hostname(hostname, field)?;
            self.host = Some(HostRewrite::Literal(hostname));
        }
        if let Some(path) = &spec.path {
            let (member, value) = match path.r#type {
                RewritePathType::ReplaceFullPath => ("replaceFullPath", path.replace_full_path.as_ref()),
                RewritePathType::ReplacePrefixMatch => {
                    ("replacePrefixMatch", path.replace_prefix_match.as_ref())
                }
            };
            let is_full = path.r#type == RewritePathType::ReplaceFullPath;
            self.path = Some(path_change(is_full, value, &format!("{field}.path.{member}"))?);
        }
        Ok(())
    }

    /// Whether requests are answered with a redirect.
    pub(crate) fn is_redirect(&self) -> bool {
        self.redirect.is_some()
    }

    /// The redirect for requests that `matched` took, on a listener of plain HTTP on `port`.
    pub(crate) fn redirect(&self, matched: &PathMatch, port: u16) -> Option<Result<Redirect, Rejection>> {
        let filter = self.redirect.as_ref()?;
        let path = match &filter.path {
            None => None,
            Some(PathChange::Full(path)) => Some(RedirectPath::Full(path.clone())),
            Some(PathChange::Prefix(to)) => match prefix_of(matched, "requestRedirect") {
                Ok(from) => Some(RedirectPath::Prefix { from, to: to.clone() }),
                Err(rejection) => return Some(Err(rejection)),
            },
        };
        Some(Ok(Redirect {
            scheme: filter.scheme.clone(),
            host: filter.host.clone(),
            port: redirect_port(filter, port),
            path,
            status: filter.status,
        }))
    }

    /// The rewrite for requests that `matched` took.
    pub(crate) fn rewrite(&self, matched: &PathMatch) -> Result<Rewrite, Rejection> {
        let path = match &self.path {
            None => None,
            Some(PathChange::Full(path)) => Some(PathRewrite::Full(path.clone())),
            Some(PathChange::Prefix(to)) => {
                Some(PathRewrite::Prefix { from: prefix_of(matched, "urlRewrite")?, to: to.clone() })
            }
        };
        Ok(Rewrite { host: self.host.clone(), path })
    }
}

/// The port that a redirect shows (Gateway API, `HTTPRequestRedirectFilter`, field `port`): the
/// filter's; else the scheme's own if the filter names a scheme; else the listener's. A port that
/// is the scheme's own is left out.
fn redirect_port(filter: &RedirectFilter, listener_port: u16) -> Option<u16> {
    let scheme = filter.scheme.as_deref();
    let well_known = if scheme == Some("https") { 443 } else { 80 };
    let port = filter.port.or(scheme.is_none().then_some(listener_port));
    port.filter(|port| *port != well_known)
}

fn prefix_of(matched: &PathMatch, field: &str) -> Result<String, Rejection> {
    match matched {
        PathMatch::Prefix(prefix) => Ok(prefix.clone()),
        PathMatch::Exact(_) | PathMatch::Regex(_) => {
            let message = format!("{field}.path.replacePrefixMatch: the match is not of type PathPrefix");
            Err(Rejection::new(Reason::IncompatibleFilters, message))
        }
    }
}

/// The member that a filter's type names.
fn member<'a, T>(member: Option<&'a T>, field: &str, name: &str) -> Result<&'a T, Rejection> {
    member.ok_or_else(|| {
        Rejection::new(Reason::UnsupportedValue, format!("{field}.{name}: is required by the type"))
    })
}

/// Reads a header modifier; the generated types of requests and responses differ in name only.
fn header_modifier(modifier: &impl serde::Serialize, field: &str) -> Result<HeaderModifier, Rejection> {
    let refuse = |message: String| Rejection::new(Reason::UnsupportedValue, message);
    let value = serde_json::to_value(modifier).map_err(|error| refuse(format!("{field}: {error}")))?;
    let pairs = |list: &str| -> Result<Vec<(String, String)>, Rejection> {
        let entries = value.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut seen = BTreeSet::new();
        let text = |entry: &Value, member: &str| {
            entry.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let pair = |entry: &Value| {
            let value = text(entry, "value");
            let name = validate::header_name(&text(entry, "name"));
            let name = name.and_then(|name| validate::header_value(&value).map(|()| name));
            let name = name.map_err(|error| refuse(format!("{field}.{list}: {error}")))?;
            Ok(seen.insert(name.clone()).then_some((name, value)))
        };
        // The specification: of entries with the same name the first counts.
        entries.iter().map(pair).filter_map(Result::transpose).collect()
    };
    let removed = value.get("remove").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let remove = removed
        .iter()
        .filter_map(Value::as_str)
        .map(|name| validate::header_name(name).map_err(|error| refuse(format!("{field}.remove: {error}"))));
    Ok(HeaderModifier { set: pairs("set")?, add: pairs("add")?, remove: remove.collect::<Result<_, _>>()? })
}

/// Envoy refuses a whole route table in which a header modifier names `Host`.
fn refuse_host(modifier: &HeaderModifier, field: &str) -> Result<(), Rejection> {
    let edited = modifier.set.iter().chain(&modifier.add).map(|(name, _)| name).chain(&modifier.remove);
    if edited.into_iter().any(|name| name == "host") {
        let message = format!(
            "{field}.requestHeaderModifier: Host is changed by a URLRewrite, not by a header modifier"
        );
        return Err(Rejection::new(Reason::UnsupportedValue, message));
    }
    Ok(())
}

fn redirect(spec: &RedirectSpec, field: &str) -> Result<RedirectFilter, Rejection> {
    let path = spec.path.as_ref().map(|path| {
        let (member, value) = match path.r#type {
            RedirectPathType::ReplaceFullPath => ("replaceFullPath", path.replace_full_path.as_ref()),
            RedirectPathType::ReplacePrefixMatch => {
                ("replacePrefixMatch", path.replace_prefix_match.as_ref())
            }
        };
        let is_full = path.r#type == RedirectPathType::ReplaceFullPath;
        path_change(is_full, value, &format!("{field}.path.{member}"))
    });
    let invalid = |member: &str, value: i64| {
        Rejection::new(Reason::UnsupportedValue, format!("{field}.{member}: {value} is not possible"))
    };
    let status = spec.status_code.unwrap_or(302);
    let status = match status {
        301 | 302 | 303 | 307 | 308 => status as u16,
        other => return Err(invalid("statusCode", other)),
    };
    let port = spec.port.map(|port| {
        u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| invalid("port", port.into()))
    });
    Ok(RedirectFilter {
        scheme: spec.scheme.as_ref().map(|scheme| match scheme {
            Scheme::Http => "http".to_owned(),
            Scheme::Https => "https".to_owned(),
        }),
        host: spec.hostname.as_deref().map(|hostname| plain_hostname(hostname, field)).transpose()?,
        port: port.transpose()?,
        path: path.transpose()?,
        status,
    })
}

fn path_change(is_full: bool, value: Option<&String>, field: &str) -> Result<PathChange, Rejection> {
    let refuse = |message: String| Rejection::new(Reason::UnsupportedValue, format!("{field}: {message}"));
    let value = value.ok_or_else(|| refuse("is required by the type".to_owned()))?;
    // An empty prefix means that the matched prefix is cut off.
    if !value.is_empty() || is_full {
        validate::path(value).map_err(refuse)?;
    }
    Ok(if is_full { PathChange::Full(value.clone()) } else { PathChange::Prefix(value.clone()) })
}

fn plain_hostname(hostname: &str, field: &str) -> Result<String, Rejection> {
    let refuse =
        |error: String| Rejection::new(Reason::UnsupportedValue, format!("{field}.hostname: {error}"));
    match validate::hostname(hostname).map_err(refuse)? {
        ir::Hostname::Exact(name) => Ok(name),
        ir::Hostname::Wildcard(_) | ir::Hostname::Any => Err(refuse("a wildcard names no host".to_owned())),
    }
}

/// The name of a filter's type as the API writes it.
fn type_name(filter: &FilterType) -> &'static str {
    match filter {
        FilterType::RequestHeaderModifier => "RequestHeaderModifier",
        FilterType::ResponseHeaderModifier => "ResponseHeaderModifier",
        FilterType::RequestMirror => "RequestMirror",
        FilterType::RequestRedirect => "RequestRedirect",
        FilterType::UrlRewrite => "URLRewrite",
        FilterType::ExtensionRef => "ExtensionRef",
        FilterType::Cors => "CORS",
        FilterType::ExternalAuth => "ExternalAuth",
    }
}
