//! What happens to a request or response on its way: header edits, rewrites, redirects.

use serde::{Deserialize, Serialize};

/// Edits of headers. Names are lower case; each list is in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeaderModifier {
    /// Replace the header, whatever it held.
    pub set: Vec<(String, String)>,
    /// Append to what the header holds.
    pub add: Vec<(String, String)>,
    /// Drop the header.
    pub remove: Vec<String>,
}

impl HeaderModifier {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// What these edits and then `later` ones come to.
    #[must_use]
    pub fn followed_by(&self, later: &Self) -> Self {
        let is_replaced = |name: &str| {
            later.remove.iter().chain(later.set.iter().map(|(set, _)| set)).any(|other| other == name)
        };
        let joined = |own: &[(String, String)], others: &[(String, String)]| {
            let kept = own.iter().filter(|(name, _)| !is_replaced(name));
            kept.chain(others).cloned().collect()
        };
        let mut remove: Vec<_> = self.remove.iter().chain(&later.remove).cloned().collect();
        remove.sort();
        remove.dedup();
        Self { set: joined(&self.set, &later.set), add: joined(&self.add, &later.add), remove }
    }
}

/// Changes of the request's target before it goes upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rewrite {
    /// The `Host` to send.
    pub host: Option<HostRewrite>,
    /// The path to send. The query stays as it is.
    pub path: Option<PathRewrite>,
}

/// The `Host` to send upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HostRewrite {
    /// This name.
    Literal(String),
    /// The name by which the endpoint was found that a request goes to; where it has none, the request's own.
    OfEndpoint,
}

/// The path to send upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PathRewrite {
    /// The path of the request, whatever the rule says: the destination puts its own in.
    Keep,
    /// This path instead of the whole path. A query behind it comes before that of the request.
    Full(String),
    /// `substitution` instead of each part of the path that an RE2 expression fits.
    Regex {
        /// The expression, which is not larger than Envoy takes.
        pattern: String,
        /// A backslash and a digit are what the group of that number fits, of which there is one.
        substitution: String,
    },
    /// `to` instead of the leading path elements `from`, with Gateway API's rules for slashes
    /// (`HTTPPathModifier`, field `replacePrefixMatch`).
    Prefix {
        /// The prefix that the route matched, without trailing slash unless it is `/`.
        from: String,
        /// What replaces it.
        to: String,
    },
}

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant where a URL names none (RFC 9110 §4.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Redirect {
    /// The scheme; `None` is that of the listener.
    pub scheme: Option<Scheme>,
    /// The host name; `None` is that of the request, without its port.
    pub host: Option<String>,
    /// The port; `None` is the scheme's own if there is a scheme here, and the listener's if there is none
    /// (Gateway API, `HTTPRequestRedirectFilter.port`).
    pub port: Option<u16>,
    /// The path; `None` is that of the request.
    pub path: Option<RedirectPath>,
    /// The status code: 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// The path of a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RedirectPath {
    /// This path instead of the whole path. A query behind it replaces that of the request.
    Full(String),
    /// As [`PathRewrite::Prefix`].
    Prefix {
        /// The prefix that the route matched.
        from: String,
        /// What replaces it.
        to: String,
    },
}
