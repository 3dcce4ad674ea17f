//! Matches of requests.

use ir::{PathMatch, StringMatch};
use proto::core::RuntimeFractionalPercent;
use proto::matcher::string_matcher::MatchPattern;
use proto::matcher::{RegexMatcher, StringMatcher};
use proto::route::header_matcher::HeaderMatchSpecifier;
use proto::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use proto::route::route_match::PathSpecifier;
use proto::route::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;

/// The denominator of [`below_fraction`].
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
        ..RouteMatch::default()
    }
}

/// Restricts a match to the requests whose random number, of [`FRACTION_DENOMINATOR`], is below
/// `numerator`. Envoy draws one number per request and compares all routes with it.
pub(super) fn below_fraction(matches: RouteMatch, numerator: u32) -> RouteMatch {
    let fraction = FractionalPercent { numerator, denominator: DenominatorType::Million.into() };
    RouteMatch {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(fraction),
            ..RuntimeFractionalPercent::default()
        }),
        ..matches
    }
}

/// Restricts a match to the requests whose `Host` names a port.
pub(super) fn with_port_in_host(mut matches: RouteMatch) -> RouteMatch {
    // The last colon outside the brackets of an IPv6 address.
    let pattern = MatchPattern::SafeRegex(regex(".*[^:]:[0-9]+".to_owned()));
    matches.headers.push(header_matcher(":authority", pattern_matcher(pattern)));
    matches
}

/// An RE2 expression. Where Envoy matches with it, it must fit the whole text.
pub(super) fn regex(regex: String) -> RegexMatcher {
    RegexMatcher { regex, ..RegexMatcher::default() }
}

/// This text and no other.
pub(super) fn exact(text: &str) -> StringMatcher {
    pattern_matcher(MatchPattern::Exact(text.to_owned()))
}

fn path_specifier(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern.clone())),
        // Envoy rejects a separated prefix that ends in a slash.
        PathMatch::Prefix(prefix) => match prefix.trim_end_matches('/') {
            "" => PathSpecifier::Prefix("/".to_owned()),
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_owned()),
        },
    }
}

pub(super) fn header_matcher(name: &str, value: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(value)),
        ..HeaderMatcher::default()
    }
}

fn string_matcher(value: &StringMatch) -> StringMatcher {
    match value {
        StringMatch::Exact(text) => exact(text),
        StringMatch::Regex(pattern) => pattern_matcher(MatchPattern::SafeRegex(regex(pattern.clone()))),
    }
}

fn pattern_matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}
