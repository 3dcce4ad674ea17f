//! Matches of an HTTPRoute rule → the IR's.

use std::collections::BTreeMap;

use crds::gateway_api::httproutes::{
    HttpRouteRulesMatches as Match, HttpRouteRulesMatchesHeadersType as HeaderType,
    HttpRouteRulesMatchesPath as Path, HttpRouteRulesMatchesPathType as PathType,
    HttpRouteRulesMatchesQueryParamsType as QueryType,
};
use ir::{HeaderMatch, PathMatch, QueryParamMatch, RouteMatch, StringMatch};

use super::validate;

/// Reads one match. The error names the field.
pub(crate) fn read(spec: &Match, field: &str) -> Result<RouteMatch, String> {
    let path = path(spec.path.as_ref(), &format!("{field}.path"))?;
    let method = spec.method.as_ref().map(method_name).transpose()?;
    let mut headers = BTreeMap::new();
    for (index, header) in spec.headers.iter().flatten().enumerate() {
        let field = format!("{field}.headers[{index}]");
        let name = validate::header_name(&header.name).map_err(|error| format!("{field}.name: {error}"))?;
        let is_regex = header.r#type == Some(HeaderType::RegularExpression);
        let value = string_match(is_regex, &header.value, &field)?;
        // The specification: of entries with the same name the first counts.
        headers.entry(name).or_insert(value);
    }
    let mut query_params = BTreeMap::new();
    for (index, param) in spec.query_params.iter().flatten().enumerate() {
        let field = format!("{field}.queryParams[{index}]");
        let is_regex = param.r#type == Some(QueryType::RegularExpression);
        // The API writes them like names of headers, but with case.
        validate::header_name(&param.name)
            .map_err(|_| format!("{field}.name: {:?} is not possible", param.name))?;
        let value = string_match(is_regex, &param.value, &field)?;
        query_params.entry(param.name.clone()).or_insert(value);
    }
    Ok(RouteMatch {
        path,
        method,
        headers: headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect(),
        query_params: query_params.into_iter().map(|(name, value)| QueryParamMatch { name, value }).collect(),
    })
}

fn path(spec: Option<&Path>, field: &str) -> Result<PathMatch, String> {
    let kind = spec.and_then(|path| path.r#type.as_ref()).unwrap_or(&PathType::PathPrefix);
    let value = spec.and_then(|path| path.value.as_deref()).unwrap_or("/");
    let checked = match kind {
        PathType::Exact | PathType::PathPrefix => validate::path(value),
        PathType::RegularExpression => validate::regex(value),
    };
    checked.map_err(|error| format!("{field}.value: {error}"))?;
    Ok(match kind {
        PathType::Exact => PathMatch::Exact(value.to_owned()),
        PathType::RegularExpression => PathMatch::Regex(value.to_owned()),
        PathType::PathPrefix => PathMatch::Prefix(without_trailing_slash(value)),
    })
}

/// `/abc/` and `/abc` are the same prefix (Gateway API, `PathMatchType`).
fn without_trailing_slash(prefix: &str) -> String {
    let trimmed = prefix.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

fn string_match(is_regex: bool, value: &str, field: &str) -> Result<StringMatch, String> {
    if is_regex {
        validate::regex(value).map_err(|error| format!("{field}.value: {error}"))?;
        return Ok(StringMatch::Regex(value.to_owned()));
    }
    Ok(StringMatch::Exact(value.to_owned()))
}

/// The method as it stands in a request line: the API writes it the same way.
fn method_name(method: &impl serde::Serialize) -> Result<String, String> {
    let name = serde_json::to_value(method).map_err(|error| error.to_string())?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}
