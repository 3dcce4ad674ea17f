//! What Envoy does with the matches of its routes, as far as our own tables use them.

use proto::matcher::string_matcher::MatchPattern;
use proto::route::RouteMatch;
use proto::route::header_matcher::HeaderMatchSpecifier;
use proto::route::route_match::PathSpecifier;

/// Whether a match takes a request with this path and these headers, `:method` among them. Without metadata.
pub(crate) fn takes<'a>(matches: &RouteMatch, path: &str, header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let path = match matches.path_specifier.as_ref().unwrap() {
        PathSpecifier::Path(wanted) => path == wanted,
        PathSpecifier::Prefix(prefix) => path.starts_with(prefix),
        PathSpecifier::PathSeparatedPrefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        other => panic!("{other:?}"),
    };
    path && matches.headers.iter().all(|wanted| {
        let Some(HeaderMatchSpecifier::StringMatch(matcher)) = &wanted.header_match_specifier else {
            panic!()
        };
        let Some(MatchPattern::Exact(value)) = &matcher.match_pattern else { return false };
        header(&wanted.name) == Some(value.as_str())
    })
}
