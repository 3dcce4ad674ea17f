//! What a request must look like for a route to take it; precedence is `Ord`.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

/// One match of a rule. All parts must hold.
///
/// The order is Gateway API's precedence (`HTTPRouteRule`, field `matches`): what sorts first is
/// tried first. Exact path, then regular expression (implementation-specific; we put it between),
/// then prefix; longer paths first; then a method; then more headers; then more query parameters.
/// Matches that are equal in all of these are ordered by their content, so that the order is total.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteMatch {
    /// On the path, without query.
    pub path: PathMatch,
    /// On the method, upper case.
    pub method: Option<String>,
    /// On headers; sorted, at most one per name.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters; sorted, at most one per name.
    pub query_params: Vec<QueryParamMatch>,
    /// Whether only calls of gRPC are taken, as their `content-type` says.
    pub is_grpc: bool,
}

/// On the path, without query. Case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The whole path, as an RE2 expression.
    Regex(String),
    /// By path element: `/v2` matches `/v2` and `/v2/x`, not `/v2x`. Without trailing slash,
    /// except for `/` itself, which matches every path.
    Prefix(String),
}

/// How a header's or query parameter's value must look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StringMatch {
    /// The whole value, case-sensitive.
    Exact(String),
    /// The whole value, as an RE2 expression.
    Regex(String),
}

/// The largest program, in instructions of RE2, that an expression may compile to. Every Envoy is started with
/// it as the runtime key `re2.max_program_size.error_level`, and refuses a route table with a larger one.
pub const MAX_REGEX_PROGRAM_SIZE: usize = 2000;

/// On one header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// The header's name, lower case.
    pub name: String,
    /// Its value.
    pub value: StringMatch,
}

/// On one query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryParamMatch {
    /// The parameter's name, case-sensitive.
    pub name: String,
    /// Its value.
    pub value: StringMatch,
}

impl PathMatch {
    fn rank(&self) -> (u8, Reverse<u32>) {
        match self {
            Self::Exact(path) => (0, most_first(path.len())),
            Self::Regex(path) => (1, most_first(path.len())),
            Self::Prefix(path) => (2, most_first(path.len())),
        }
    }
}

impl Default for RouteMatch {
    /// Every request: Gateway API's default of a rule without matches.
    fn default() -> Self {
        Self {
            path: PathMatch::Prefix("/".to_owned()),
            method: None,
            headers: Vec::new(),
            query_params: Vec::new(),
            is_grpc: false,
        }
    }
}

/// The specification's precedence of a match: equal for matches between which it sees a tie, which the
/// route's age and name then break. What is less is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Precedence {
    path: (u8, Reverse<u32>),
    /// A match for calls of gRPC alone takes fewer requests than one for all.
    is_for_all: bool,
    without_method: bool,
    headers: Reverse<u32>,
    query_params: Reverse<u32>,
}

/// More comes first. An API object is far too small for a count that does not fit.
fn most_first(count: usize) -> Reverse<u32> {
    Reverse(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How specific a match by service and method is (Gateway API, `GRPCRouteRule.matches`).
#[derive(Clone, Copy, Debug)]
pub struct GrpcMethodPrecedence {
    /// Whether they are expressions.
    pub is_regex: bool,
    /// The characters of the service; zero for any.
    pub service: usize,
    /// The characters of the method; zero for any.
    pub method: usize,
}

impl Precedence {
    /// The precedence of a match by service and method that is else like this one: an exact service with its method as
    /// an exact path; then exact services, before expressions; then most characters of the service, then of the method.
    #[must_use]
    pub fn with_method(self, rank: GrpcMethodPrecedence) -> Self {
        let GrpcMethodPrecedence { is_regex, service, method } = rank;
        let is_exact = !is_regex && service > 0;
        if (is_exact && method > 0) || (service == 0 && method == 0) {
            return self;
        }
        // A name has at most 1024 characters (`GRPCMethodMatch`).
        let (service, method) = (service.min(0x7fff), method.min(0xffff));
        let characters = (usize::from(is_exact) << 31) | (service << 16) | method;
        Self { path: (1, most_first(characters)), ..self }
    }

    /// The precedence of a match with as many headers and query parameters, and else like this one.
    pub fn with_counts(self, headers: usize, query_params: usize) -> Self {
        Self { headers: most_first(headers), query_params: most_first(query_params), ..self }
    }
}

impl RouteMatch {
    /// What a header's value must look like, if the match says so; lower-case `name`.
    pub fn header(&self, name: &str) -> Option<&StringMatch> {
        self.headers.iter().find(|header| header.name == name).map(|header| &header.value)
    }

    /// The same match, whatever value a header has.
    #[must_use]
    pub fn without_header(&self, name: &str) -> Self {
        let mut matches = self.clone();
        matches.headers.retain(|header| header.name != name);
        matches
    }

    /// The specification's precedence alone.
    pub fn precedence(&self) -> Precedence {
        Precedence {
            path: self.path.rank(),
            is_for_all: !self.is_grpc,
            without_method: self.method.is_none(),
            headers: most_first(self.headers.len()),
            query_params: most_first(self.query_params.len()),
        }
    }
}

impl Ord for RouteMatch {
    fn cmp(&self, other: &Self) -> Ordering {
        self.precedence()
            .cmp(&other.precedence())
            .then_with(|| self.path.cmp(&other.path))
            .then_with(|| self.method.cmp(&other.method))
            .then_with(|| self.headers.cmp(&other.headers))
            .then_with(|| self.query_params.cmp(&other.query_params))
    }
}

impl PartialOrd for RouteMatch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(path: &str) -> RouteMatch {
        RouteMatch { path: PathMatch::Prefix(path.to_owned()), ..RouteMatch::default() }
    }

    fn header(name: &str) -> HeaderMatch {
        HeaderMatch { name: name.to_owned(), value: StringMatch::Exact("1".to_owned()) }
    }

    #[test]
    fn precedence_follows_the_specification() {
        let exact = RouteMatch { path: PathMatch::Exact("/a".to_owned()), ..RouteMatch::default() };
        let regex = RouteMatch { path: PathMatch::Regex("/a.*".to_owned()), ..RouteMatch::default() };
        let method = RouteMatch { method: Some("GET".to_owned()), ..prefix("/a") };
        let two_headers = RouteMatch { headers: vec![header("x"), header("y")], ..prefix("/a") };
        let one_header = RouteMatch { headers: vec![header("x")], ..prefix("/a") };
        let query = RouteMatch {
            query_params: vec![QueryParamMatch {
                name: "q".to_owned(),
                value: StringMatch::Exact("1".to_owned()),
            }],
            ..prefix("/a")
        };
        let expected = vec![
            exact,
            regex,
            prefix("/a/long"),
            method,
            two_headers,
            one_header,
            query,
            prefix("/a"),
            prefix("/"),
        ];
        let mut sorted = expected.clone();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}
