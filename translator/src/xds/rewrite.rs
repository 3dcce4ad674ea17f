//! Rewrites of the path, for forwarded requests and for redirects.
//!
//! Envoy applies each of them to the path alone and leaves the query as it is.

use proto::matcher::RegexMatchAndSubstitute;

use super::matcher::{has_two_spellings, literal_pattern, regex};

/// How Envoy rewrites a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EnvoyRewrite {
    /// What the route's match took of the path is replaced by this.
    Prefix(String),
    /// Every place where the expression fits is replaced.
    Regex(RegexMatchAndSubstitute),
}

/// `to` instead of the whole path.
pub(super) fn replace_full(to: &str) -> EnvoyRewrite {
    replace_regex("^/.*$", &literal_substitution(to))
}

/// Every match of the RE2 expression `pattern` by `substitution`.
pub(super) fn replace_regex(pattern: &str, substitution: &str) -> EnvoyRewrite {
    EnvoyRewrite::Regex(RegexMatchAndSubstitute {
        pattern: Some(regex(pattern.to_owned())),
        substitution: substitution.to_owned(),
    })
}

/// `to` instead of the path elements `from` at the path's start, for a route that matches by the
/// prefix `from`.
///
/// The table in Gateway API's `HTTPPathModifier` (field `replacePrefixMatch`) says what becomes of
/// slashes: one at the end of either means nothing, and the result never lacks its first one.
pub(super) fn replace_prefix(from: &str, to: &str) -> EnvoyRewrite {
    let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
    if from.is_empty() {
        // The route's match is `/`: Envoy replaces that slash, which `to` therefore gives back.
        EnvoyRewrite::Prefix(format!("{to}/"))
    } else if to.is_empty() {
        // A prefix rewrite would leave `/a` without any slash, or give `/a/b` two of them.
        replace_regex(&format!("^{}/*", literal_pattern(from)), "/")
    } else if has_two_spellings(from) {
        // The route's match is an expression, of which Envoy's prefix rewrite would replace all.
        replace_regex(&format!("^{}", literal_pattern(from)), &literal_substitution(to))
    } else {
        EnvoyRewrite::Prefix(to.to_owned())
    }
}

/// A text in which RE2's substitution sees no reference to a group.
fn literal_substitution(text: &str) -> String {
    text.replace('\\', r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(rewrite: EnvoyRewrite) -> String {
        match rewrite {
            EnvoyRewrite::Prefix(to) => format!("prefix {to}"),
            EnvoyRewrite::Regex(rewrite) => {
                format!("regex {} -> {}", rewrite.pattern.unwrap().regex, rewrite.substitution)
            }
        }
    }

    #[test]
    fn prefixes_are_replaced_with_exactly_one_slash_between_the_parts() {
        for (from, to, expected) in [
            ("/foo", "/xyz", "prefix /xyz"),
            ("/foo", "/xyz/", "prefix /xyz"),
            ("/foo/", "/xyz", "prefix /xyz"),
            ("/foo", "", "regex ^/foo/* -> /"),
            ("/foo", "/", "regex ^/foo/* -> /"),
            ("/foo.d/a+b", "/", r"regex ^/foo\.d/a\+b/* -> /"),
            ("/foo-d/a_b", "/", "regex ^/foo-d/a_b/* -> /"),
            ("/a%3Ab", "/xyz/", "regex ^/a%3[Aa]b -> /xyz"),
            ("/a%3ab", "/", "regex ^/a%3[Aa]b/* -> /"),
            ("/a%24b", "/xyz", "prefix /xyz"),
            ("/", "/xyz", "prefix /xyz/"),
            ("/", "/", "prefix /"),
            ("/", "", "prefix /"),
        ] {
            assert_eq!(show(replace_prefix(from, to)), expected, "{from} by {to}");
        }
    }

    #[test]
    fn a_full_path_is_taken_literally() {
        assert_eq!(show(replace_full("/v1/chat")), "regex ^/.*$ -> /v1/chat");
        assert_eq!(show(replace_full(r"/a\1b")), r"regex ^/.*$ -> /a\\1b");
    }
}
