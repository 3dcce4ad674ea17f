//! Matches of requests.

use ir::{PathMatch, StringMatch, TextMatch, TextPattern};
use proto::core::RuntimeFractionalPercent;
use proto::matcher::string_matcher::MatchPattern;
use proto::matcher::{RegexMatcher, StringMatcher};
use proto::route::header_matcher::HeaderMatchSpecifier;
use proto::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use proto::route::route_match::{GrpcRouteMatchOptions, PathSpecifier};
use proto::route::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;

/// The denominator of [`below_fraction`], and of the shares of mirrors.
pub(super) const FRACTION_DENOMINATOR: u32 = 1_000_000;

/// One match of one rule.
pub(super) fn build_match(ir: &ir::RouteMatch) -> RouteMatch {
    let method = ir.method.iter().map(|method| header_matcher(":method", exact(method)));
    let headers = ir.headers.iter().map(|header| header_matcher(&header.name, string_matcher(&header.value)));
    RouteMatch {
        path_specifier: Some(path_specifier(&ir.path)),
        headers: method.chain(headers).collect(),
        query_parameters: ir
            .query_params
            .iter()
            .map(|param| QueryParameterMatcher {
                name: param.name.clone(),
                query_parameter_match_specifier: Some(QueryParameterMatchSpecifier::StringMatch(
                    string_matcher(&param.value),
                )),
            })
            .collect(),
        grpc: ir.is_grpc.then(GrpcRouteMatchOptions::default),
        ..RouteMatch::default()
    }
}

/// Restricts a match to the requests whose random number, of [`FRACTION_DENOMINATOR`], is below
/// `numerator`. Envoy draws one number per request and compares all routes with it.
pub(super) fn below_fraction(matches: RouteMatch, numerator: u32) -> RouteMatch {
    RouteMatch { runtime_fraction: Some(runtime_fraction(numerator)), ..matches }
}

/// `numerator` of [`FRACTION_DENOMINATOR`].
pub(super) fn runtime_fraction(numerator: u32) -> RuntimeFractionalPercent {
    let fraction = FractionalPercent { numerator, denominator: DenominatorType::Million.into() };
    RuntimeFractionalPercent { default_value: Some(fraction), ..RuntimeFractionalPercent::default() }
}

/// A header that is there, or is not.
pub(super) fn header_present(name: &str, is_present: bool) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(is_present)),
        ..HeaderMatcher::default()
    }
}

/// A header whose whole value fits an RE2 expression.
pub(super) fn header_fits(name: &str, pattern: &str) -> HeaderMatcher {
    header_matcher(name, regex_matcher(pattern.to_owned()))
}

/// Every request whose host is neither names with dots between them nor an address, with an optional port.
pub(super) fn unless_host_is_plain() -> RouteMatch {
    const PLAIN_HOST: &str = r"([\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?";
    let host = HeaderMatcher { invert_match: true, ..header_fits(":authority", PLAIN_HOST) };
    RouteMatch { headers: vec![host], ..every_request() }
}

/// Every request for a path.
pub(super) fn every_request() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() }
}

/// A text that fits an RE2 expression as a whole.
pub(super) fn regex_matcher(pattern: String) -> StringMatcher {
    pattern_matcher(MatchPattern::SafeRegex(regex(pattern)))
}

/// An RE2 expression. Where Envoy matches with it, it must fit the whole text.
pub(super) fn regex(regex: String) -> RegexMatcher {
    RegexMatcher { regex, ..RegexMatcher::default() }
}

/// This text and no other.
pub(super) fn exact(text: &str) -> StringMatcher {
    pattern_matcher(MatchPattern::Exact(text.to_owned()))
}

/// What a text must be like.
pub(super) fn text_matcher(ir: &TextMatch) -> StringMatcher {
    let pattern = match &ir.pattern {
        TextPattern::Exact(text) => MatchPattern::Exact(text.clone()),
        TextPattern::Prefix(text) => MatchPattern::Prefix(text.clone()),
        TextPattern::Suffix(text) => MatchPattern::Suffix(text.clone()),
        TextPattern::Contains(text) => MatchPattern::Contains(text.clone()),
        TextPattern::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern.clone())),
    };
    // Envoy refuses it beside an expression.
    let ignore_case = ir.ignore_case && !matches!(ir.pattern, TextPattern::Regex(_));
    StringMatcher { ignore_case, ..pattern_matcher(pattern) }
}

fn path_specifier(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) if has_two_spellings(path) => {
            PathSpecifier::SafeRegex(regex(literal_pattern(path)))
        }
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern.clone())),
        // Envoy rejects a separated prefix that ends in a slash.
        PathMatch::Prefix(prefix) => match prefix.trim_end_matches('/') {
            "" => PathSpecifier::Prefix("/".to_owned()),
            prefix if has_two_spellings(prefix) => {
                PathSpecifier::SafeRegex(regex(format!("{}(/.*)?", literal_pattern(prefix))))
            }
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        },
    }
}

/// Whether a path has escapes whose letters clients may write in either case. `%3a` and `%3A` mean the
/// same (RFC 3986 §6.2.2.1), but Envoy leaves them as they come.
pub(super) fn has_two_spellings(path: &str) -> bool {
    let escapes = path.split('%').skip(1).filter_map(|rest| rest.get(..2));
    escapes
        .filter(|digits| is_escape(digits))
        .any(|digits| digits.contains(|char: char| char.is_alphabetic()))
}

fn is_escape(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The RE2 expression of this path alone, with escapes in either case.
pub(super) fn literal_pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut parts = path.split('%');
    pattern.push_str(&quote(parts.next().unwrap_or_default()));
    for part in parts {
        pattern.push('%');
        match part.split_at_checked(2) {
            Some((digits, rest)) if is_escape(digits) => {
                digits.chars().for_each(|digit| push_either_case(&mut pattern, digit));
                pattern.push_str(&quote(rest));
            }
            _ => pattern.push_str(&quote(part)),
        }
    }
    pattern
}

fn push_either_case(pattern: &mut String, digit: char) {
    if digit.is_ascii_alphabetic() {
        pattern.extend(['[', digit.to_ascii_uppercase(), digit.to_ascii_lowercase(), ']']);
    } else {
        pattern.push(digit);
    }
}

/// A text in which RE2 sees no operator.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii() && !char.is_ascii_alphanumeric() && !matches!(char, '/' | '-' | '_' | '%') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted
}

pub(super) fn header_matcher(name: &str, value: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value)),
        ..HeaderMatcher::default()
    }
}

pub(super) fn string_matcher(value: &StringMatch) -> StringMatcher {
    match value {
        StringMatch::Exact(text) => exact(text),
        StringMatch::Regex(pattern) => regex_matcher(pattern.clone()),
    }
}

pub(super) fn pattern_matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

#[cfg(test)]
mod tests {
    use ir::MAX_REGEX_PROGRAM_SIZE;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What we write ourselves is never what makes Envoy refuse a route table.
        #[test]
        fn patterns_of_paths_are_ones_that_re2_takes(path in "/(%3[aA]|%[cC]3|[!-~]){0,340}") {
            let pattern = literal_pattern(&path);
            for pattern in [pattern.clone(), format!("{pattern}(/.*)?"), format!("^{pattern}/*"), format!("^{pattern}")] {
                let verdict = re2_syntax::check(&pattern, MAX_REGEX_PROGRAM_SIZE);
                prop_assert!(verdict.is_ok(), "{pattern}: {verdict:?}");
            }
        }
    }

    #[test]
    fn the_longest_path_of_escapes_fits() {
        let path = format!("/{}", "%3a".repeat(341));
        let size = re2_syntax::check(&format!("{}(/.*)?", literal_pattern(&path)), MAX_REGEX_PROGRAM_SIZE);
        assert!(size.is_ok(), "{size:?}");
    }
}
