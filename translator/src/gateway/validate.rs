//! Checks of single values that an API server would make, and that a folder of files does not.

use ir::{Hostname, MAX_REGEX_PROGRAM_SIZE};

/// The longest expression that is taken, in characters (Gateway API, `HTTPHeaderMatch.value`).
const MAX_REGEX_CHARS: usize = 4096;

/// Reads a hostname of a listener or route: a DNS name, perhaps with `*.` in front.
pub(crate) fn hostname(text: &str) -> Result<Hostname, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_ip = name.parse::<std::net::IpAddr>().is_ok();
    if name.len() > 253 || is_ip || !name.split('.').all(is_label) {
        return Err(format!("{text:?} is not a DNS name (a `*.` in front is allowed, an IP address is not)"));
    }
    Ok(Hostname::parse(text))
}

/// Reads the name of one host.
pub(crate) fn exact_hostname(text: &str) -> Result<Hostname, String> {
    match hostname(text)? {
        name @ Hostname::Exact(_) => Ok(name),
        Hostname::Wildcard(_) | Hostname::Any => Err("a wildcard names no host".to_owned()),
    }
}

/// Checks an expression that Envoy will compile with RE2, and gives how many groups it has.
///
/// Envoy refuses a whole route table for one that it does not take.
pub(crate) fn regex(text: &str) -> Result<usize, String> {
    if text.chars().count() > MAX_REGEX_CHARS {
        return Err(format!("the expression is longer than {MAX_REGEX_CHARS} characters"));
    }
    match re2_syntax::check(text, MAX_REGEX_PROGRAM_SIZE) {
        Ok(compiled) => Ok(compiled.groups),
        Err(error) => Err(format!("the expression {text:?} is not one that RE2 takes: {error}")),
    }
}

/// Checks a header's value (RFC 9110 §5.5): visible characters, spaces and tabs.
pub(crate) fn header_value(value: &str) -> Result<(), String> {
    if value.len() > 4096 || value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the value is longer than 4096 bytes or holds a control character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_are_dns_names() {
        for good in ["a", "a.example.com", "*.example.com", "A.Example.com", "1a.b"] {
            assert!(hostname(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "*.", "a..b", "-a.b", "a_.b", "10.0.0.1", "a.com:80", "*.*.com", "a b"] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn expressions_are_ones_that_re2_takes() {
        for good in [
            "/a/.*",
            "^/v[0-9]+/(users|items)$",
            "/x{1,3}",
            r"\d+",
            "(?i)/a",
            "a--b",
            "/[a-z]+--[0-9]+",
            r"/\\users",
            "/users/{id}",
            r"\pL",
            r"\Q.\E",
            "a&&b",
            "[a&&b]",
            "[[:alpha:]]",
            "a*?",
        ] {
            assert!(regex(good).is_ok(), "{good}");
        }
        let long = "a".repeat(4097);
        for bad in [
            "",
            "(",
            "[a",
            r"(a)\1",
            "(?=a)",
            "(a{100}){100}",
            "x{1001}",
            "/a**",
            "(?ix)a",
            "(?u)a",
            "[[:foo:]]",
            "(?P<é>x)",
            r"/\W{490}",
            &long,
        ] {
            assert!(regex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn header_values_hold_no_control_characters() {
        for good in ["", "ok %", "a\tb", "ä"] {
            assert_eq!(header_value(good), Ok(()), "{good:?}");
        }
        for bad in ["a\r\nb", "\0", "\u{7f}", &"a".repeat(4097)] {
            assert!(header_value(bad).is_err(), "{bad:?}");
        }
    }
}
