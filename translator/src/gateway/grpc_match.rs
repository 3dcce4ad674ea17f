//! Matches of a GRPCRoute rule → the IR's. A call is a request for the path `/service/method`.

use crds::gateway_api::{GrpcMatch, GrpcMethodMatch};
use ir::{GrpcMethodPrecedence, PathMatch, Precedence, RouteMatch};

use super::http_match::{self, BadMatch, Checks, RequestMatch};
use super::path;
use crate::status::{Detail, Reason};

/// Any service, or any method.
const ANY: &str = "[^/]+";

impl RequestMatch for GrpcMatch {
    fn every() -> RouteMatch {
        RouteMatch { is_grpc: true, ..RouteMatch::default() }
    }

    fn read(&self, field: &str, checks: Checks<'_>) -> Result<RouteMatch, BadMatch> {
        let path = match &self.method {
            None => Ok(RouteMatch::default().path),
            Some(method) => path(method, &format!("{field}.method"), checks),
        };
        let path = path.map_err(|detail| BadMatch::unknown_path(Reason::UnsupportedValue, detail))?;
        let mut problems = Vec::new();
        let headers = http_match::headers(&self.headers, field, checks, &mut problems);
        let matches = RouteMatch { path, headers, ..Self::every() };
        http_match::unless_problems(self, matches, problems)
    }

    fn precedence(&self, read: &RouteMatch) -> Precedence {
        let Some(method) = &self.method else { return read.precedence() };
        let length = |part: &Option<Box<str>>| part.as_ref().map_or(0, |part| part.len());
        read.precedence().with_method(GrpcMethodPrecedence {
            is_regex: method.is_regex,
            service: length(&method.service),
            method: length(&method.method),
        })
    }

    fn counts(&self) -> (usize, usize) {
        (self.headers.len(), 0)
    }
}

/// The path of the calls of a service, of a method, or both.
fn path(spec: &GrpcMethodMatch, field: &str, checks: Checks<'_>) -> Result<PathMatch, Detail> {
    let (service, method) = (spec.service.as_deref(), spec.method.as_deref());
    if spec.is_regex {
        for (name, part) in [("service", service), ("method", method)] {
            // Each by itself: parentheses of the one must not close those of the other.
            part.map_or(Ok(()), |part| {
                checks.regex(part).map_err(|error| Detail::at(format!("{field}.{name}"), error))
            })?;
        }
        let group = |part: Option<&str>| part.map_or_else(|| ANY.to_owned(), |part| format!("(?:{part})"));
        let pattern = format!("/{}/{}", group(service), group(method));
        checks.regex(&pattern).map_err(|error| Detail::at(field, error))?;
        return Ok(PathMatch::Regex(pattern));
    }
    let matched = |path: String| path::matched(&path).map_err(|error| Detail::at(field, error));
    match (service, method) {
        (Some(service), Some(method)) => matched(format!("/{service}/{method}")).map(PathMatch::Exact),
        (Some(service), None) => matched(format!("/{service}")).map(PathMatch::Prefix),
        (None, Some(method)) if is_identifier(method) => Ok(PathMatch::Regex(format!("/{ANY}/{method}"))),
        (None, Some(method)) => {
            Err(Detail::at(format!("{field}.method"), format!("{method:?} is not the name of a method")))
        }
        (None, None) => Ok(RouteMatch::default().path),
    }
}

/// Whether a name can stand in an expression as it is.
fn is_identifier(name: &str) -> bool {
    name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}
