//! Matches of an HTTPRoute rule → the IR's.

use std::collections::BTreeMap;

use ai_config::MODEL_HEADER;
use crds::gateway_api::part::NamedMatch;
use crds::gateway_api::{HttpMatch as Match, HttpMethod as Method, PathMatchType as PathType};
use crds::header;
use ir::{HeaderMatch, PathMatch, Precedence, QueryParamMatch, RouteMatch, StringMatch};

use super::{path, validate};
use crate::AiEngine;
use crate::status::{Detail, Reason};

/// Headers of a request that the listener's connection manager takes away, or answers itself, before it
/// looks for a route (tried on Envoy 1.40 with the settings of `xds/hcm.rs`).
const NEVER_SEEN: [&str; 20] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
];

/// Why a match is not carried out as written.
#[derive(Debug)]
pub(crate) struct BadMatch {
    pub reason: Reason,
    /// All that is wrong with it.
    pub details: Vec<Detail>,
    /// The part of the match that is understood, if requests may have been meant that it takes.
    pub guard: Option<Box<Guard>>,
}

/// What is known of a match that cannot be carried out: it takes the requests that the match takes, and
/// some more. They must not fall to a wider rule, from which the match was meant to keep them.
#[derive(Debug)]
pub(crate) struct Guard {
    pub matches: RouteMatch,
    /// That of the match as written.
    pub precedence: Precedence,
}

/// What is wrong with a part of a match.
pub(super) enum Problem {
    /// It is not understood.
    Unknown(Detail),
    /// It needs the AI engine, which is not there.
    NoEngine(Detail),
    /// No request has it.
    Never(Detail),
}

/// What matches are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checks<'a> {
    /// Whether expressions are checked before Envoy gets them; off in tests of what Envoy refuses.
    pub are_on: bool,
    /// Reads the models of requests.
    pub ai_engine: &'a AiEngine,
}

impl BadMatch {
    /// Not even the path is known.
    pub(super) fn unknown_path(reason: Reason, detail: Detail) -> Self {
        Self { reason, details: vec![detail], guard: None }
    }
}

/// A match of a rule of requests, of whichever kind of route.
pub(super) trait RequestMatch {
    /// What a rule without matches takes.
    fn every() -> RouteMatch;

    /// Reads it.
    fn read(&self, field: &str, checks: Checks<'_>) -> Result<RouteMatch, BadMatch>;

    /// The precedence of what was read of it.
    fn precedence(&self, read: &RouteMatch) -> Precedence;

    /// How many headers and how many parameters of the query it names.
    fn counts(&self) -> (usize, usize);
}

impl Checks<'_> {
    pub(super) fn regex(self, text: &str) -> Result<(), String> {
        if self.are_on { validate::regex(text).map(drop) } else { Ok(()) }
    }
}

impl RequestMatch for Match {
    fn every() -> RouteMatch {
        RouteMatch::default()
    }

    fn read(&self, field: &str, checks: Checks<'_>) -> Result<RouteMatch, BadMatch> {
        read(self, field, checks)
    }

    fn precedence(&self, read: &RouteMatch) -> Precedence {
        read.precedence()
    }

    fn counts(&self) -> (usize, usize) {
        (self.headers.len(), self.query_params.len())
    }
}

fn read(spec: &Match, field: &str, checks: Checks<'_>) -> Result<RouteMatch, BadMatch> {
    let path = path(spec, &format!("{field}.path"), checks)
        .map_err(|detail| BadMatch::unknown_path(Reason::UnsupportedValue, detail))?;
    let mut problems = Vec::new();
    let method = spec.method.as_ref().map(method_name);
    if spec.method == Some(Method::Connect) {
        let text = "no listener takes CONNECT requests";
        problems.push(Problem::Never(Detail::at(format!("{field}.method"), text)));
    }
    let headers = headers(&spec.headers, field, checks, &mut problems);
    let mut query_params = BTreeMap::new();
    for (index, param) in spec.query_params.iter().enumerate() {
        let field = format!("{field}.queryParams[{index}]");
        match read_param(&param.name, &param.value, param.is_regex, &field, checks) {
            Ok(value) => drop(query_params.entry(param.name.to_string()).or_insert(value)),
            Err(problem) => problems.push(problem),
        }
    }
    let matches = RouteMatch {
        path,
        method,
        headers,
        query_params: query_params.into_iter().map(|(name, value)| QueryParamMatch { name, value }).collect(),
        is_grpc: false,
    };
    unless_problems(spec, matches, problems)
}

/// Reads the headers of a match; what is wrong with them goes to `problems`.
pub(super) fn headers(
    specs: &[NamedMatch],
    field: &str,
    checks: Checks<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<HeaderMatch> {
    let mut headers = BTreeMap::new();
    for (index, header) in specs.iter().enumerate() {
        let field = format!("{field}.headers[{index}]");
        match read_header(&header.name, &header.value, header.is_regex, &field, checks) {
            // The specification: of entries with the same name the first counts.
            Ok((name, value)) => drop(headers.entry(name).or_insert(value)),
            Err(problem) => problems.push(problem),
        }
    }
    headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect()
}

/// What was read of a match, if nothing is wrong with it.
pub(super) fn unless_problems(
    spec: &impl RequestMatch,
    matches: RouteMatch,
    problems: Vec<Problem>,
) -> Result<RouteMatch, BadMatch> {
    if problems.is_empty() { Ok(matches) } else { Err(bad_match(spec, matches, problems)) }
}

fn bad_match(spec: &impl RequestMatch, matches: RouteMatch, problems: Vec<Problem>) -> BadMatch {
    let is_never = problems.iter().any(|problem| matches!(problem, Problem::Never(_)));
    let lacks_engine = problems.iter().any(|problem| matches!(problem, Problem::NoEngine(_)));
    let reason = if lacks_engine { Reason::AiEngineUnavailable } else { Reason::UnsupportedValue };
    let details = problems.into_iter().map(|problem| match problem {
        Problem::Unknown(detail) | Problem::NoEngine(detail) | Problem::Never(detail) => detail,
    });
    let guard = (!is_never).then(|| {
        let (headers, query_params) = spec.counts();
        let precedence = spec.precedence(&matches).with_counts(headers, query_params);
        Box::new(Guard { matches, precedence })
    });
    BadMatch { reason, details: details.collect(), guard }
}

fn path(spec: &Match, field: &str, checks: Checks<'_>) -> Result<PathMatch, Detail> {
    let value = &*spec.path;
    let read = match spec.path_type {
        PathType::Exact => path::matched(value).map(PathMatch::Exact),
        PathType::PathPrefix => {
            path::matched(value).map(|path| PathMatch::Prefix(without_trailing_slash(&path)))
        }
        PathType::RegularExpression => checks.regex(value).map(|()| PathMatch::Regex(value.to_owned())),
    };
    read.map_err(|error| Detail::at(format!("{field}.value"), error))
}

/// `/abc/` and `/abc` are the same prefix (Gateway API, `PathMatchType`).
fn without_trailing_slash(prefix: &str) -> String {
    let trimmed = prefix.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

fn read_header(
    name: &str,
    value: &str,
    is_regex: bool,
    field: &str,
    checks: Checks<'_>,
) -> Result<(String, StringMatch), Problem> {
    let unknown = |error: String| Problem::Unknown(Detail::at(format!("{field}.name"), error));
    let name = header::name_token(name).map_err(unknown)?;
    let never =
        |member: &str, text: String| Err(Problem::Never(Detail::at(format!("{field}.{member}"), text)));
    if let (MODEL_HEADER, AiEngine::Unavailable(reason)) = (name.as_str(), checks.ai_engine) {
        let text = format!(
            "to choose a route by the model of a request needs the AI engine, which the proxies do not have: {reason}"
        );
        return Err(Problem::NoEngine(Detail::at(field, text)));
    }
    if name.contains('_') {
        let text = format!("a request with a header like {name:?} is refused, because of its underscore");
        return never("name", text);
    }
    if NEVER_SEEN.contains(&name.as_str()) {
        let text = format!("the proxy takes {name:?} from every request before it looks for a route");
        return never("name", text);
    }
    if !is_regex && value.trim_matches([' ', '\t']) != value {
        return never("value", "a header's value never begins or ends with white space".to_owned());
    }
    if !is_regex && value.chars().any(|char| char.is_control() && char != '\t') {
        return never("value", "a header's value never holds a control character".to_owned());
    }
    Ok((name, string_match(is_regex, value, field, checks)?))
}

fn read_param(
    name: &str,
    value: &str,
    is_regex: bool,
    field: &str,
    checks: Checks<'_>,
) -> Result<StringMatch, Problem> {
    // The API writes them like names of headers, but with case.
    if header::name_token(name).is_err() {
        let text = format!("{name:?} is not possible");
        return Err(Problem::Unknown(Detail::at(format!("{field}.name"), text)));
    }
    let never = |member: &str, text: &str| {
        let text = format!(
            "{text:?} cannot stand in a query, which is compared as the client sends it; write it with escapes, such \
             as %20 for a space"
        );
        Err(Problem::Never(Detail::at(format!("{field}.{member}"), text)))
    };
    if name.contains(['#', '&']) {
        return never("name", name);
    }
    let is_sent = |char: char| char.is_ascii_graphic() && !matches!(char, '#' | '&');
    if !is_regex && !value.chars().all(is_sent) {
        return never("value", value);
    }
    string_match(is_regex, value, field, checks)
}

fn string_match(
    is_regex: bool,
    value: &str,
    field: &str,
    checks: Checks<'_>,
) -> Result<StringMatch, Problem> {
    if is_regex {
        checks.regex(value).map_err(|error| Problem::Unknown(Detail::at(format!("{field}.value"), error)))?;
        return Ok(StringMatch::Regex(value.to_owned()));
    }
    Ok(StringMatch::Exact(value.to_owned()))
}

/// The method as it stands in a request line.
fn method_name(method: &Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    };
    name.to_owned()
}
