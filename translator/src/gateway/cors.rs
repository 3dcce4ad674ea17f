//! The CORS filter of the API → the IR's.

use crds::gateway_api::part::Cors as CorsSpec;
use crds::header;
use ir::{Cors, MAX_REGEX_PROGRAM_SIZE, NameList, Origins};

use super::validate;
use crate::status::{Reason, Rejection};

/// How long a browser may keep the answer to a preflight request that says nothing (`HTTPCORSFilter.maxAge`), in
/// seconds.
const DEFAULT_MAX_AGE: u32 = 5;

/// Stands for every origin, method or header.
const ANY: &str = "*";

/// Reads a CORS filter.
pub(crate) fn read(spec: &CorsSpec, field: &str) -> Result<Cors, Rejection> {
    let refuse = |member: &str, message: String| {
        Rejection::at(Reason::UnsupportedValue, format!("{field}.{member}"), message)
    };
    let lower = |name: &str| header::name_token(name);
    let methods = names(&spec.allow_methods, method).map_err(|error| refuse("allowMethods", error))?;
    let headers = names(&spec.allow_headers, lower).map_err(|error| refuse("allowHeaders", error))?;
    let expose = names(&spec.expose_headers, lower).map_err(|error| refuse("exposeHeaders", error))?;
    if expose == NameList::Any && spec.allow_credentials {
        let message = "`*` means no header where credentials are allowed; name the headers".to_owned();
        return Err(refuse("exposeHeaders", message));
    }
    let max_age = match spec.max_age {
        None => DEFAULT_MAX_AGE,
        Some(seconds) => u32::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| refuse("maxAge", format!("{seconds} is not above zero")))?,
    };
    Ok(Cors {
        origins: origins(&spec.allow_origins).map_err(|error| refuse("allowOrigins", error))?,
        credentials: spec.allow_credentials,
        methods,
        headers,
        expose,
        max_age,
    })
}

fn names(written: &[Box<str>], read: impl Fn(&str) -> Result<String, String>) -> Result<NameList, String> {
    match written {
        [only] if **only == *ANY => Ok(NameList::Any),
        written if written.iter().any(|name| **name == *ANY) => Err("`*` stands alone".to_owned()),
        written => Ok(NameList::These(written.iter().map(|name| read(name)).collect::<Result<_, _>>()?)),
    }
}

/// A method (RFC 9110 §9.1: a token, whose case counts).
fn method(name: &str) -> Result<String, String> {
    header::name_token(name)?;
    Ok(name.to_owned())
}

/// Expressions for the origins, as few as there can be.
fn origins(written: &[Box<str>]) -> Result<Origins, String> {
    if written.iter().any(|origin| **origin == *ANY) {
        return if written.len() == 1 { Ok(Origins::Any) } else { Err("`*` stands alone".to_owned()) };
    }
    let mut patterns: Vec<String> = Vec::new();
    for origin in written {
        let pattern = origin_pattern(origin)?;
        let joined = patterns.last().map(|last| format!("{last}|{pattern}"));
        match joined.filter(|joined| re2_syntax::check(joined, MAX_REGEX_PROGRAM_SIZE).is_ok()) {
            Some(joined) => {
                patterns.pop();
                patterns.push(joined);
            }
            None => patterns.push(pattern),
        }
    }
    Ok(Origins::Matching(patterns))
}

/// The expression for one origin: `SCHEME://HOST` with an optional port. Browsers never write the scheme's own port,
/// and the letters of a host in lower case (RFC 6454 §6).
fn origin_pattern(origin: &str) -> Result<String, String> {
    let refuse =
        || format!("{origin:?} is not an origin such as https://example.com or https://*.example.com:8443");
    let (scheme, rest) = origin.split_once("://").ok_or_else(refuse)?;
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(refuse()),
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| refuse())?)),
        None => (rest, None),
    };
    let host = host.to_ascii_lowercase();
    let host = match host.strip_prefix('*') {
        // Any host, an address included.
        Some("") => r"([0-9a-z._-]+|\[[0-9a-f:.]+\])".to_owned(),
        Some(suffix) if suffix.starts_with('.') && is_name(suffix.trim_start_matches('.')) => {
            format!(r"[0-9a-z._-]+{}", suffix.replace('.', r"\."))
        }
        None if is_name(&host) => host.replace('.', r"\."),
        _ => return Err(refuse()),
    };
    let port = port.filter(|port| *port != own_port).map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}{port}"))
}

/// Whether it is the name of a host or an IPv4 address.
fn is_name(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok() || validate::hostname(host).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(origins: &[&str]) -> CorsSpec {
        CorsSpec {
            allow_origins: origins.iter().map(|origin| (*origin).into()).collect(),
            ..CorsSpec::default()
        }
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        for (origin, expected) in [
            ("https://www.foo.com", r"https://www\.foo\.com"),
            ("http://Foo.com:80", r"http://foo\.com"),
            ("https://foo.com:80", r"https://foo\.com:80"),
            ("https://*.bar.com:8443", r"https://[0-9a-z._-]+\.bar\.com:8443"),
            ("http://*", r"http://([0-9a-z._-]+|\[[0-9a-f:.]+\])"),
            ("http://127.0.0.1:3000", r"http://127\.0\.0\.1:3000"),
        ] {
            let read = read(&spec(&[origin]), "f").unwrap();
            assert_eq!(read.origins, Origins::Matching(vec![expected.to_owned()]), "{origin}");
        }
        for bad in
            ["foo.com", "ftp://foo.com", "https://", "https://*foo.com", "https://foo.com:0x", "https://a/b"]
        {
            let error = read(&spec(&[bad]), "f").unwrap_err().message();
            assert!(error.starts_with("f.allowOrigins: "), "{error}");
        }
        assert_eq!(read(&spec(&["*"]), "f").unwrap().origins, Origins::Any);
        assert!(read(&spec(&["*", "https://a.com"]), "f").is_err());
    }

    /// Envoy refuses a route table with an expression that is too large.
    #[test]
    fn many_origins_become_several_expressions() {
        let names: Vec<String> =
            (0..64).map(|number| format!("https://{number}{}.com", "a".repeat(60))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Origins::Matching(patterns) = read(&spec(&names), "f").unwrap().origins else { panic!() };
        assert!(patterns.len() > 1 && patterns.len() < 10, "{}", patterns.len());
        for pattern in &patterns {
            assert!(re2_syntax::check(pattern, MAX_REGEX_PROGRAM_SIZE).is_ok());
        }
        assert_eq!(patterns.join("|").split('|').count(), 64);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let starred = |credentials| CorsSpec {
            expose_headers: Box::new(["*".into()]),
            allow_credentials: credentials,
            ..CorsSpec::default()
        };
        assert_eq!(read(&starred(false), "f").unwrap().expose, NameList::Any);
        assert!(read(&starred(true), "f").unwrap_err().message().contains("exposeHeaders"));
        let zero = CorsSpec { max_age: Some(0), ..CorsSpec::default() };
        assert!(read(&zero, "f").unwrap_err().message().contains("maxAge"));
        assert_eq!(read(&CorsSpec::default(), "f").unwrap().max_age, 5);
    }
}
