//! Route filters of the API → header edits, rewrites and redirects of the IR.

use std::collections::BTreeSet;

use crds::gateway_api::part::{
    ExtensionRef, ExternalAuth, Filter, FilterMember as Member, FilterType, PathModifier, PathModifierType,
    RequestMirror, RequestRedirect, Scheme as SchemeSpec, UrlRewrite,
};
use ir::{
    Cors, HeaderModifier, HostRewrite, PathMatch, PathRewrite, Redirect, RedirectPath, Rewrite, Scheme,
};

use super::header_modifier::{self, Direction};
use super::listener::Rejection;
use super::policy::rejection;
use super::{cors, path, validate};
use crate::status::Reason;

/// The filters of a rule or of a backend reference, read but not yet tied to a match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    pub request_headers: HeaderModifier,
    pub response_headers: HeaderModifier,
    host: Option<HostRewrite>,
    path: Option<PathChange>,
    redirect: Option<RedirectFilter>,
    /// What browsers may do in pages of other origins.
    pub cors: Option<Cors>,
    /// Copies of requests, each with its field.
    pub mirrors: Vec<(String, RequestMirror)>,
    /// References to objects that say what is done, each with its field.
    pub extensions: Vec<(String, ExtensionRef)>,
    /// A service that is asked whether a request may pass, with its field.
    pub external_auth: Option<(String, Box<ExternalAuth>)>,
}

/// A change of the path; what a prefix is, is known with the match only.
#[derive(Clone, Debug)]
enum PathChange {
    Full(String),
    Prefix(String),
}

#[derive(Clone, Debug)]
struct RedirectFilter {
    scheme: Option<Scheme>,
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
        let name = filter.kind.as_str();
        let may_repeat = matches!(filter.kind, FilterType::ExtensionRef | FilterType::RequestMirror);
        if !seen.insert(filter.kind) && !may_repeat {
            let text = format!("{name} stands more than once");
            return Err(Rejection::at(Reason::IncompatibleFilters, field, text));
        }
        read.add(filter, &field)?;
    }
    if read.redirect.is_some() && (read.host.is_some() || read.path.is_some()) {
        let text = "a RequestRedirect and a URLRewrite exclude each other";
        return Err(Rejection::at(Reason::IncompatibleFilters, field, text));
    }
    if read.redirect.is_some() && !read.mirrors.is_empty() {
        let text = "a RequestRedirect and a RequestMirror exclude each other";
        return Err(Rejection::at(Reason::IncompatibleFilters, field, text));
    }
    Ok(read)
}

/// Reads the filters of a backend reference.
pub(crate) fn read_backend(filters: &[Filter], field: &str) -> Result<Filters, Rejection> {
    let read = read(filters, field)?;
    let unsupported = [
        ("RequestRedirect", read.redirect.is_some()),
        ("CORS", read.cors.is_some()),
        ("ExternalAuth", read.external_auth.is_some()),
    ];
    if let Some((name, _)) = unsupported.iter().find(|(_, present)| *present) {
        let text = format!("a filter of type {name} is supported at the rule, not at a backend reference");
        return Err(Rejection::at(Reason::UnsupportedValue, field, text));
    }
    Ok(read)
}

impl Filters {
    fn add(&mut self, filter: &Filter, place: &str) -> Result<(), Rejection> {
        let member = only_member(filter, place)?;
        let field = format!("{place}.{}", filter.kind.member());
        match member {
            Member::RequestHeaderModifier(modifier) => {
                let (edits, host) = header_modifier::read(modifier, Direction::Request, &field)?;
                self.request_headers = edits;
                host.map_or(Ok(()), |host| self.set_host(host, &field))
            }
            Member::ResponseHeaderModifier(modifier) => {
                (self.response_headers, _) = header_modifier::read(modifier, Direction::Response, &field)?;
                Ok(())
            }
            Member::UrlRewrite(spec) => self.add_rewrite(spec, &field),
            Member::RequestRedirect(spec) => {
                self.redirect = Some(redirect(spec, &field)?);
                Ok(())
            }
            Member::ExtensionRef(reference) => {
                self.extensions.push((field, ExtensionRef::clone(reference)));
                Ok(())
            }
            Member::Cors(spec) => {
                self.cors = Some(cors::read(spec, &field)?);
                Ok(())
            }
            Member::RequestMirror(spec) => {
                self.mirrors.push((field, RequestMirror::clone(spec)));
                Ok(())
            }
            Member::ExternalAuth(spec) => {
                spec.read(&field).map_err(rejection)?;
                self.external_auth = Some((field, spec.clone()));
                Ok(())
            }
        }
    }

    fn add_rewrite(&mut self, spec: &UrlRewrite, field: &str) -> Result<(), Rejection> {
        if let Some(hostname) = &spec.hostname {
            self.set_host(plain_hostname(hostname, field)?, &format!("{field}.hostname"))?;
        }
        if let Some(path) = &spec.path {
            self.path = Some(path_change(path, &format!("{field}.path"))?);
        }
        Ok(())
    }

    /// Notes the `Host` to send, of which there is one.
    fn set_host(&mut self, host: String, field: &str) -> Result<(), Rejection> {
        if self.host.replace(HostRewrite::Literal(host)).is_some() {
            let text = "another filter beside it sets Host, too";
            return Err(Rejection::at(Reason::IncompatibleFilters, field, text));
        }
        Ok(())
    }

    /// Whether requests are answered with a redirect.
    pub(crate) fn is_redirect(&self) -> bool {
        self.redirect.is_some()
    }

    /// Whether it says what the path becomes.
    pub(crate) fn rewrites_path(&self) -> bool {
        self.path.is_some()
    }

    /// The type of a filter that says what is done with requests in place of an answer, or on the way to a backend.
    pub(crate) fn needs_backend(&self) -> Option<&'static str> {
        let filters = [
            ("RequestRedirect", self.is_redirect()),
            ("URLRewrite", self.host.is_some() || self.path.is_some()),
            ("RequestMirror", !self.mirrors.is_empty()),
        ];
        filters.into_iter().find_map(|(name, is_there)| is_there.then_some(name))
    }

    /// The redirect for requests that `matched` took.
    pub(crate) fn redirect(&self, matched: &PathMatch) -> Option<Result<Redirect, Rejection>> {
        let filter = self.redirect.as_ref()?;
        let path = match &filter.path {
            None => None,
            Some(PathChange::Full(path)) => Some(RedirectPath::Full(path.clone())),
            Some(PathChange::Prefix(to)) => match prefix_of(matched, "requestRedirect") {
                Ok(from) => Some(RedirectPath::Prefix { from, to: to.clone() }),
                Err(rejection) => return Some(Err(rejection)),
            },
        };
        let RedirectFilter { scheme, host, port, status, .. } = filter;
        Some(Ok(Redirect { scheme: *scheme, host: host.clone(), port: *port, path, status: *status }))
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

fn prefix_of(matched: &PathMatch, field: &str) -> Result<String, Rejection> {
    match matched {
        PathMatch::Prefix(prefix) => Ok(prefix.clone()),
        PathMatch::Exact(_) | PathMatch::Regex(_) => {
            let field = format!("{field}.path.replacePrefixMatch");
            Err(Rejection::at(Reason::IncompatibleFilters, field, "the match is not of type PathPrefix"))
        }
    }
}

/// The member that a filter's type names. Others beside it would be ignored, and are refused.
fn only_member<'a>(filter: &'a Filter, field: &str) -> Result<&'a Member, Rejection> {
    let refuse = |member: &str, text: String| {
        Rejection::at(Reason::UnsupportedValue, format!("{field}.{member}"), text)
    };
    if let Some(other) = filter.members.iter().find(|member| member.belongs_to() != filter.kind) {
        let (member, kind) = (other.belongs_to().member(), filter.kind.as_str());
        return Err(refuse(member, format!("has no effect in a filter of type {kind}")));
    }
    let member = filter.members.first();
    member.ok_or_else(|| refuse(filter.kind.member(), "is required by the type".to_owned()))
}

fn redirect(spec: &RequestRedirect, field: &str) -> Result<RedirectFilter, Rejection> {
    let path = spec.path.as_ref().map(|path| {
        let change = path_change(path, &format!("{field}.path"))?;
        refuse_query_of_prefix(&change, &format!("{field}.path"))?;
        Ok(change)
    });
    let invalid = |member: &str, value: i64| {
        Rejection::at(
            Reason::UnsupportedValue,
            format!("{field}.{member}"),
            format!("{value} is not possible"),
        )
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
        scheme: spec.scheme.map(|scheme| match scheme {
            SchemeSpec::Http => Scheme::Http,
            SchemeSpec::Https => Scheme::Https,
        }),
        host: spec.hostname.as_deref().map(|hostname| plain_hostname(hostname, field)).transpose()?,
        port: port.transpose()?,
        path: path.transpose()?,
        status,
    })
}

/// Reads a change of the path from the two members of which the type names one.
fn path_change(path: &PathModifier, field: &str) -> Result<PathChange, Rejection> {
    let is_full = path.kind == PathModifierType::ReplaceFullPath;
    let (full, prefix) = (path.replace_full_path.as_deref(), path.replace_prefix_match.as_deref());
    let (name, value, other_name, other) = if is_full {
        ("replaceFullPath", full, "replacePrefixMatch", prefix)
    } else {
        ("replacePrefixMatch", prefix, "replaceFullPath", full)
    };
    let refuse = |name: &str, message: &str| {
        Rejection::at(Reason::UnsupportedValue, format!("{field}.{name}"), message)
    };
    if other.is_some() {
        return Err(refuse(other_name, "has no effect beside this type"));
    }
    let value = value.ok_or_else(|| refuse(name, "is required by the type"))?;
    // An empty prefix means that the matched prefix is cut off.
    if !value.is_empty() || is_full {
        path::replacement(value).map_err(|message| refuse(name, &message))?;
    }
    if value.contains('#') {
        return Err(refuse(name, "contains #, which cannot stand in a request"));
    }
    Ok(if is_full { PathChange::Full(value.to_owned()) } else { PathChange::Prefix(value.to_owned()) })
}

/// Envoy puts what follows the prefix, the request's own query included, behind the new prefix.
fn refuse_query_of_prefix(change: &PathChange, field: &str) -> Result<(), Rejection> {
    match change {
        PathChange::Prefix(to) if to.contains('?') => {
            let field = format!("{field}.replacePrefixMatch");
            Err(Rejection::at(Reason::UnsupportedValue, field, "a redirect's prefix cannot hold a query"))
        }
        _ => Ok(()),
    }
}

fn plain_hostname(hostname: &str, field: &str) -> Result<String, Rejection> {
    let refuse = |error: String| Rejection::at(Reason::UnsupportedValue, format!("{field}.hostname"), error);
    validate::exact_hostname(hostname).map(|name| name.to_string()).map_err(refuse)
}
