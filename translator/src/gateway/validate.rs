//! Checks of single values that an API server would make, and that a folder of files does not.

use ir::Hostname;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// The longest expression that is taken. A limit in characters keeps parsing cheap.
const MAX_REGEX_CHARS: usize = 1024;

/// The largest program that an expression may compile to, in our estimate. Envoy refuses a whole
/// route table for one that is beyond its own limit, so ours lies well below.
const MAX_REGEX_SIZE: usize = 1000;

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

/// Checks an expression that Envoy will compile with RE2.
///
/// Expressions are read with the Rust engine's parser, which knows what RE2 knows and a little
/// more; what only Rust has is refused by name.
pub(crate) fn regex(text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_REGEX_CHARS {
        return Err(format!("the expression is longer than {MAX_REGEX_CHARS} characters"));
    }
    for foreign in ["&&", "--", "~~", "\\u", "\\U", "\\<", "\\>", "\\b{", "(?x", "(?R", "(?u"] {
        if text.contains(foreign) {
            return Err(format!("the expression {text:?} uses {foreign:?}, which RE2 does not know"));
        }
    }
    let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(text);
    let hir =
        parsed.map_err(|error| format!("the expression {text:?} is not valid: {}", last_line(&error)))?;
    if size(&hir) > MAX_REGEX_SIZE {
        return Err(format!("the expression {text:?} is too complex (more than {MAX_REGEX_SIZE} steps)"));
    }
    Ok(())
}

/// The parser's message is a picture of several lines; its last line says what is wrong.
fn last_line(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// How many steps the compiled expression has, roughly.
fn size(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) | HirKind::Look(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            size(&repetition.sub).saturating_add(1).saturating_mul(times as usize)
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum, part| sum.saturating_add(size(part)).saturating_add(1))
        }
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
        for good in ["/a/.*", "^/v[0-9]+/(users|items)$", "/x{1,3}", r"\d+", "(?i)/a"] {
            assert_eq!(regex(good), Ok(()), "{good}");
        }
        let long = "a".repeat(1025);
        for bad in ["(", "[a", r"(a)\1", "(?=a)", "a&&b", "[a&&b]", "(a{100}){100}", "x{1001}", &long] {
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
