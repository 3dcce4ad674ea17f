//! What can be wrong with a field, and the checks that both dialects share.

use std::{error, fmt, num::NonZeroU16};

use super::{AuthToken, HostOverride, PathOverride, credential};
use crate::{
    auth_token::{AuthTokenKind, AuthTokenSpec, SecretReference},
    header,
    object_ref::NamespacedName,
};

const HTTP_PORT: NonZeroU16 = NonZeroU16::new(80).unwrap();
const HTTPS_PORT: NonZeroU16 = NonZeroU16::new(443).unwrap();

/// Why a Backend or an Upstream is unusable. Never repeats a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// Whether the owner or we have to do something about it.
    pub kind: ErrorKind,
    /// Path of the field, such as `spec.ai.llm.provider.gemini.model`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object asks for something that we do not do yet.
    Unsupported,
    /// The object makes no sense.
    Invalid,
}

impl SpecError {
    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, path: path.into(), message: message.into() }
    }

    pub(crate) fn unsupported(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unsupported, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl error::Error for SpecError {}

/// A spelling that was understood but should be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Path of the field.
    pub path: String,
    /// What was understood, and how to write it.
    pub message: String,
}

impl Warning {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The one member that is set, with its name.
pub(super) fn exactly_one<T>(
    parent: &str,
    what: &str,
    members: impl IntoIterator<Item = (&'static str, Option<T>)>,
) -> Result<(&'static str, T), SpecError> {
    let mut set: Vec<(&'static str, T)> =
        members.into_iter().filter_map(|(name, member)| member.map(|member| (name, member))).collect();
    match (set.pop(), set.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(SpecError::invalid(parent, format!("one {what} must be set"))),
        (Some((last, _)), others) => {
            let names: Vec<&str> = others.iter().map(|(name, _)| *name).chain([last]).collect();
            Err(SpecError::invalid(
                parent,
                format!("only one {what} can be set, not {}", names.join(" and ")),
            ))
        }
    }
}

/// The one value among several spellings of one thing. Two spellings contradict each other, even if
/// they agree today.
pub(super) fn at_most_one<T>(
    candidates: impl IntoIterator<Item = (String, Option<T>)>,
) -> Result<Option<(String, T)>, SpecError> {
    let mut set = candidates.into_iter().filter_map(|(path, value)| value.map(|value| (path, value)));
    let first = set.next();
    match (first, set.next()) {
        (Some((kept, _)), Some((path, _))) => {
            Err(SpecError::invalid(path, format!("must not be set together with {kept}")))
        }
        (first, _) => Ok(first),
    }
}

/// A required text that becomes part of a URL path: nothing in it may end the path, leave its folder or
/// choose another method (`:`).
pub(super) fn path_text(path: String, text: Option<&str>, also: &str) -> Result<String, SpecError> {
    let text = required(&path, text)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || also.contains(c);
    let legal = text.chars().all(allowed) && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if legal { Ok(text.to_owned()) } else { Err(SpecError::invalid(path, "cannot be part of a URL path")) }
}

pub(super) fn required<'a>(path: &str, text: Option<&'a str>) -> Result<&'a str, SpecError> {
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| SpecError::invalid(path, "is required"))
}

/// An optional text; the empty one counts as absent (a protobuf default).
pub(super) fn optional(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).cloned()
}

/// The credential that is meant, for an object of that namespace.
pub(crate) fn auth_token(path: &str, token: &AuthTokenSpec, namespace: &str) -> Result<AuthToken, SpecError> {
    let named_by_kind = token.kind.map(|kind| match kind {
        AuthTokenKind::Inline => "inline",
        AuthTokenKind::SecretRef => "secretRef",
        AuthTokenKind::Passthrough => "passthrough",
    });
    // `kind: Passthrough` alone says everything; its member is empty anyway.
    let passthrough = token.passthrough.is_some() || token.kind == Some(AuthTokenKind::Passthrough);
    let members = [
        ("inline", token.inline.is_some()),
        ("secretRef", token.secret_ref.is_some()),
        ("passthrough", passthrough),
    ];
    let members = members.map(|(name, is_set)| (name, is_set.then_some(())));
    let (member, ()) = match (exactly_one(path, "source of the credential", members), named_by_kind) {
        (Err(_), Some(name)) if members.iter().all(|(_, is_set)| is_set.is_none()) => {
            return Err(SpecError::invalid(format!("{path}.{name}"), "is required by kind"));
        }
        (member, _) => member?,
    };
    if let Some(named) = named_by_kind.filter(|named| *named != member) {
        return Err(SpecError::invalid(
            format!("{path}.kind"),
            format!("names {named}, but {member} is set"),
        ));
    }
    match (&token.inline, &token.secret_ref) {
        (Some(inline), _) => match credential(inline.expose()) {
            Some(value) => Ok(AuthToken::Inline(value)),
            None => Err(SpecError::invalid(format!("{path}.inline"), "holds no usable credential")),
        },
        (None, Some(secret)) => {
            secret_reference(&format!("{path}.secretRef"), secret, namespace).map(AuthToken::SecretRef)
        }
        (None, None) => Ok(AuthToken::Passthrough),
    }
}

/// The Secret that is meant; without a namespace it is in the object's own.
pub(super) fn secret_reference(
    path: &str,
    secret: &SecretReference,
    namespace: &str,
) -> Result<NamespacedName, SpecError> {
    let name = required(&format!("{path}.name"), Some(&secret.name))?;
    let namespace = optional(secret.namespace.as_ref()).unwrap_or_else(|| namespace.to_owned());
    Ok(NamespacedName::new(namespace, name))
}

/// A host with its port, each from a field of its own.
pub(super) fn host(path: &str, host: &str, port: NonZeroU16) -> Result<HostOverride, SpecError> {
    let host = bare_host(path, host)?;
    Ok(HostOverride { server_name: host.clone(), host, port })
}

/// An IP address or a DNS name: neither a URL nor a host with a port.
pub(crate) fn bare_host(path: &str, host: &str) -> Result<String, SpecError> {
    let host = required(path, Some(host))?;
    let bracketless = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bracketless.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bracketless.to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.len() <= 253 && host.chars().all(legal) {
        return Ok(host.to_owned());
    }
    Err(SpecError::invalid(path, "is neither an IP address nor a DNS name"))
}

/// `host` or `host:port`, with or without a scheme; the port is 80 after `http://` and otherwise 443.
pub(super) fn host_from_text(path: &str, text: &str) -> Result<HostOverride, SpecError> {
    let text = text.trim().trim_end_matches('/');
    let (authority, default_port) = match text.split_once("://") {
        Some(("https", rest)) => (rest, HTTPS_PORT),
        Some(("http", rest)) => (rest, HTTP_PORT),
        Some(_) => return Err(SpecError::invalid(path, "has a scheme other than http and https")),
        None => (text, HTTPS_PORT),
    };
    // The colons of an unbracketed IPv6 address separate no port.
    let is_address = authority.parse::<std::net::IpAddr>().is_ok();
    match authority.rsplit_once(':') {
        Some((name, port)) if !is_address && !port.ends_with(']') => {
            let port =
                port.parse().map_err(|_| SpecError::invalid(path, "has a port that is not 1 to 65535"))?;
            host(path, name, port)
        }
        _ => host(path, authority, default_port),
    }
}

pub(super) fn full_path(path: &str, value: &str) -> Result<PathOverride, SpecError> {
    absolute_path(path, value).map(|value| PathOverride::Full(value.to_owned()))
}

pub(super) fn base_path(path: &str, value: &str) -> Result<PathOverride, SpecError> {
    let value = absolute_path(path, value)?;
    if value.contains('?') {
        return Err(SpecError::invalid(path, "must not contain a query"));
    }
    Ok(PathOverride::Base(value.trim_end_matches('/').to_owned()))
}

fn absolute_path<'a>(path: &str, value: &'a str) -> Result<&'a str, SpecError> {
    let value = required(path, Some(value))?;
    let legal = value.starts_with('/') && value.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if legal { Ok(value) } else { Err(SpecError::invalid(path, "is not a URL path that begins with `/`")) }
}

/// The name of the header that carries the credential, in lower case as Envoy compares it.
pub(super) fn header_name(path: &str, name: &str) -> Result<String, SpecError> {
    let name = header::editable_name(name).map_err(|message| SpecError::invalid(path, message))?;
    if name == "host" {
        return Err(SpecError::invalid(
            path,
            "Host says which server is meant and cannot carry a credential",
        ));
    }
    // Access logs read these headers when a request is over, with what clusters have put into them.
    if name.starts_with("x-envoy-") {
        return Err(SpecError::invalid(
            path,
            "x-envoy-… is for what Envoy itself tells, not for a credential",
        ));
    }
    Ok(name)
}
