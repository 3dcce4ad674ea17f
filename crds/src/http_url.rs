//! URLs with `http:` or `https:` (RFC 9110 §4.2).

/// A URL that a proxy is to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// As it was written.
    pub text: String,
    /// Whether it begins with `https:`.
    pub is_tls: bool,
    /// The host, a name or an address without brackets.
    pub host: String,
    /// The port; that of the scheme if none is written.
    pub port: u16,
}

impl HttpUrl {
    /// Reads a URL. One with a user, a fragment, a blank or a character that is not printable ASCII is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (is_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("begins neither with https:// nor with http://".to_owned()),
        };
        if !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
            || text.contains(['#', '"', '<', '>', '\\'])
        {
            return Err("has a fragment, or a character that cannot stand in a URL".to_owned());
        }
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        let default = if is_tls { 443 } else { 80 };
        let (host, port) =
            host_and_port(place, default).ok_or_else(|| format!("{place:?} is not a host with a port"))?;
        Ok(Self { text: text.to_owned(), is_tls, host, port })
    }
}

/// The host of an authority, without brackets, and its port; `None` if it is no authority, or has a user.
pub(crate) fn host_and_port(place: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | ':' | '_');
    let port = port.map_or(Some(default), |port| port.parse().ok()).filter(|port| *port > 0)?;
    (!host.is_empty() && host.len() <= 253 && host.chars().all(is_host)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_and_a_port() {
        for (text, expected) in [
            ("https://a.example/keys", Some((true, "a.example", 443))),
            ("http://a.example:8080/realms/x?y=z", Some((false, "a.example", 8080))),
            ("https://[::1]:1", Some((true, "::1", 1))),
            ("https://a.example?x", Some((true, "a.example", 443))),
            ("a.example/keys", None),
            ("ftp://a.example", None),
            ("https://", None),
            ("https:///keys", None),
            ("https://user@a.example/", None),
            ("https://a.example:0/", None),
            ("https://a.example/a b", None),
            ("https://a.example/#keys", None),
            ("https://a.example/\u{e4}", None),
        ] {
            let read = HttpUrl::parse(text).ok();
            let read = read.as_ref().map(|url| (url.is_tls, url.host.as_str(), url.port));
            assert_eq!(read, expected, "{text}");
        }
    }
}
