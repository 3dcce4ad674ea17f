//! Hostnames as Gateway API writes them, and their order and intersection.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A hostname to match: everything, every name below a suffix, or one exact name. Always lower
/// case.
///
/// The order puts the more specific hostname first, by Gateway API's rule (`HTTPRouteSpec`,
/// field `hostnames`): most characters in a matching non-wildcard name, then most characters.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// One name, such as `api.example.com`.
    Exact(Arc<str>),
    /// `*.example.com`, held as `example.com`: any number of labels before it, at least one.
    Wildcard(Arc<str>),
    /// Every host.
    Any,
}

impl Hostname {
    /// Reads a hostname as a listener or a route writes it. Empty and `*` mean every host.
    ///
    /// The text is taken as it is, but for case: whether it is a valid name is for the caller,
    /// who knows the object and the field.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("*.") {
            Some(suffix) => Self::Wildcard(suffix.into()),
            None if text.is_empty() || text == "*" => Self::Any,
            None => Self::Exact(text.into()),
        }
    }

    /// Whether every host that `other` matches is matched by `self` too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(mine), Self::Exact(theirs)) => mine == theirs,
            (Self::Wildcard(suffix), Self::Exact(name)) => is_below(name, suffix),
            (Self::Wildcard(mine), Self::Wildcard(theirs)) => mine == theirs || is_below(theirs, mine),
            (Self::Exact(_) | Self::Wildcard(_), _) => false,
        }
    }

    /// The hosts that both match: the narrower of the two, or nothing.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            Some(other.clone())
        } else if other.covers(self) {
            Some(self.clone())
        } else {
            None
        }
    }

    /// Every hostname that [covers](Self::covers) this one, itself among them: as many as it has labels, so
    /// that they can be looked up where there are many to compare with.
    pub fn covering(&self) -> impl Iterator<Item = Self> + '_ {
        let name = self.name();
        let suffixes = name.match_indices('.').filter(|(dot, _)| *dot > 0);
        let wildcards = suffixes.map(|(dot, _)| Self::Wildcard(name[dot + 1..].into()));
        let any = (*self != Self::Any).then_some(Self::Any);
        std::iter::once(self.clone()).chain(wildcards).chain(any)
    }

    /// How specific the hostname is; greater is more specific.
    fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Exact(name) => (2, name.len()),
            Self::Wildcard(suffix) => (1, suffix.len()),
            Self::Any => (0, 0),
        }
    }

    /// The name, or what the names end with.
    fn name(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Wildcard(name) => name,
            Self::Any => "",
        }
    }
}

/// Whether `name` is `suffix` with at least one more label before it.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl Ord for Hostname {
    fn cmp(&self, other: &Self) -> Ordering {
        other.specificity().cmp(&self.specificity()).then_with(|| self.name().cmp(other.name()))
    }
}

impl PartialOrd for Hostname {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The form that Envoy's virtual host domains take: `*`, `*.suffix` or the name.
impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl Serialize for Hostname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersection_is_the_narrower_name_or_nothing() {
        for (a, b, expected) in [
            ("", "", Some("*")),
            ("", "a.com", Some("a.com")),
            ("*.a.com", "b.a.com", Some("b.a.com")),
            ("*.a.com", "c.b.a.com", Some("c.b.a.com")),
            ("*.a.com", "*.b.a.com", Some("*.b.a.com")),
            ("*.a.com", "a.com", None),
            ("*.a.com", "xa.com", None),
            ("A.com", "a.COM", Some("a.com")),
            ("a.com", "b.com", None),
            ("*.a.com", "*.b.com", None),
        ] {
            let (a, b) = (Hostname::parse(a), Hostname::parse(b));
            let expected = expected.map(Hostname::parse);
            assert_eq!(a.intersect(&b), expected, "{a} with {b}");
            assert_eq!(b.intersect(&a), expected, "{b} with {a}");
        }
    }

    #[test]
    fn covering_gives_all_that_cover_and_no_others() {
        let texts = [
            "",
            "*.com",
            "a.com",
            "*.a.com",
            "b.a.com",
            "xa.com",
            "*.b.a.com",
            "c.b.a.com",
            "*.c.com",
            "com",
        ];
        let all = texts.map(Hostname::parse);
        for hostname in &all {
            let covering: Vec<_> = hostname.covering().collect();
            for other in &all {
                let times = covering.iter().filter(|covering| *covering == other).count();
                assert_eq!(times, usize::from(other.covers(hostname)), "{other} over {hostname}");
            }
        }
    }

    #[test]
    fn more_specific_hostnames_sort_first() {
        let mut names =
            ["", "*.com", "a.com", "*.a.com", "long.a.com", "*.b.a.com"].map(Hostname::parse).to_vec();
        names.sort();
        let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["long.a.com", "a.com", "*.b.a.com", "*.a.com", "*.com", "*"]);
    }
}
