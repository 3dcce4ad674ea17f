//! Redirects of backends that the gateway follows itself: `internalRedirect` of a TrafficPolicy.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::header;
use crate::policy::http::FollowContent;

/// The statuses of redirects (RFC 9110 §15.4).
const CODES: [u16; 5] = [301, 302, 303, 307, 308];

/// Redirects of backends that the gateway follows itself: their target must be an absolute URL, for which a route of the listener
/// says what is done. The client gets the last answer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.redirectResponseCodes) || self.redirectResponseCodes.all(c, c == 301 || c == 302 || c == 303 || c == 307 || c == 308)")
        .message("redirectResponseCodes may be 301, 302, 303, 307 and 308")
)]
pub struct InternalRedirect {
    /// The statuses of redirects that are followed: 301, 302, 303, 307 and 308. 302 alone, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 5))]
    pub redirect_response_codes: Vec<i32>,
    /// Whether also those are followed that lead from https to http, or back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_cross_scheme_redirect: Option<bool>,
    /// Headers that the next request gets from the redirect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    pub response_headers_to_copy: Vec<String>,
    /// How many are followed for a request; one, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub max_redirects: Option<u32>,
}

impl InternalRedirect {
    /// What it says.
    pub(super) fn content(&self) -> Result<FollowContent, SpecError> {
        let at = |member: &str| format!("spec.internalRedirect.{member}");
        let Self {
            redirect_response_codes,
            allow_cross_scheme_redirect,
            response_headers_to_copy,
            max_redirects,
        } = self;
        let code = |(index, code): (usize, &i32)| {
            let known = u16::try_from(*code).ok().filter(|code| CODES.contains(code));
            let field = at(&format!("redirectResponseCodes[{index}]"));
            known.ok_or_else(|| SpecError::invalid(field, "must be 301, 302, 303, 307 or 308"))
        };
        let codes = redirect_response_codes.iter().enumerate().map(code).collect::<Result<Vec<_>, _>>()?;
        let header = |(index, name): (usize, &String)| {
            let field = at(&format!("responseHeadersToCopy[{index}]"));
            let name = header::editable_name(name).map_err(|error| SpecError::invalid(&field, error))?;
            // Envoy refuses these, since the target says them.
            match name.as_str() {
                "host" => Err(SpecError::invalid(field, "the target of the redirect says the host")),
                _ => Ok(name),
            }
        };
        let headers = response_headers_to_copy.iter().enumerate().map(header);
        let max = max_redirects.unwrap_or(1);
        if max == 0 {
            return Err(SpecError::invalid(at("maxRedirects"), "must be at least 1"));
        }
        Ok(FollowContent {
            codes: if codes.is_empty() { vec![302] } else { codes },
            crosses_schemes: allow_cross_scheme_redirect.unwrap_or_default(),
            copied_headers: headers.collect::<Result<_, _>>()?,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn content(spec: Value) -> Result<FollowContent, String> {
        let spec: InternalRedirect = serde_json::from_value(spec).unwrap();
        spec.content().map_err(|error| error.path)
    }

    #[test]
    fn one_redirect_with_302_is_followed_unless_more_is_said() {
        let expected = FollowContent { codes: vec![302], max: 1, ..FollowContent::default() };
        assert_eq!(content(json!({})), Ok(expected));
        let written = json!({"redirectResponseCodes": [307, 308], "allowCrossSchemeRedirect": true,
            "responseHeadersToCopy": ["X-A"], "maxRedirects": 3});
        let expected = FollowContent {
            codes: vec![307, 308],
            crosses_schemes: true,
            copied_headers: vec!["x-a".to_owned()],
            max: 3,
        };
        assert_eq!(content(written), Ok(expected));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        for (spec, member) in [
            (json!({"redirectResponseCodes": [302, 304]}), "redirectResponseCodes[1]"),
            (json!({"responseHeadersToCopy": ["content_length"]}), "responseHeadersToCopy[0]"),
            (json!({"responseHeadersToCopy": ["a", "Host"]}), "responseHeadersToCopy[1]"),
            (json!({"responseHeadersToCopy": [":path"]}), "responseHeadersToCopy[0]"),
            (json!({"maxRedirects": 0}), "maxRedirects"),
        ] {
            assert_eq!(content(spec.clone()), Err(format!("spec.internalRedirect.{member}")), "{spec}");
        }
    }
}
