//! Options that change where requests go and how they fare (Gloo's `faultinjection.proto` and `regex.proto`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::FIELD;
use crate::ai::SpecError;
use crate::policy::http::{FaultContent, PathRegex, Setting, Written};
use crate::sensitive::Opaque;
use crate::traffic_policy::{FaultAbort, FaultDelay, FaultInjection};

/// Faults that are made for tests of what clients do then.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionFaults {
    /// Requests are answered with an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<OptionAbort>,
    /// Requests wait before they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<OptionDelay>,
}

/// Requests are answered with an error.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionAbort {
    /// How many in a hundred; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage: Option<i32>,
    /// The status.
    #[schemars(range(min = 200, max = 599))]
    pub http_status: i32,
}

/// Requests wait before they go on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionDelay {
    /// How many in a hundred; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage: Option<i32>,
    /// How long; at most an hour.
    pub fixed_delay: String,
}

/// What the parts of the path become that an expression fits.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionRegexRewrite {
    /// The expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<OptionPattern>,
    /// What is put in place of each part; a backslash and a digit are what the group of that number fits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub substitution: String,
}

/// An expression.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionPattern {
    /// Says that the language is RE2, which it is in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub google_re2: Option<Box<Opaque>>,
    /// The expression.
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,
}

impl OptionFaults {
    /// What it says.
    pub(super) fn content(&self) -> Result<Setting<FaultContent>, SpecError> {
        let Self { abort, delay } = self;
        let field = format!("{FIELD}.faults");
        if abort.is_none() && delay.is_none() {
            return Err(SpecError::invalid(field, "abort or delay must be set"));
        }
        // As kgateway's, but for an absent number.
        let percentage = |written: Option<i32>| Some(written.unwrap_or_default());
        let faults = FaultInjection {
            abort: abort.as_ref().map(|abort| FaultAbort {
                percentage: percentage(abort.percentage),
                http_status: Some(abort.http_status),
                ..FaultAbort::default()
            }),
            delay: delay.as_ref().map(|delay| FaultDelay {
                percentage: percentage(delay.percentage),
                fixed_delay: delay.fixed_delay.clone(),
            }),
            ..FaultInjection::default()
        };
        faults.content(&field)
    }
}

impl OptionRegexRewrite {
    /// What it says.
    pub(super) fn content(&self) -> Result<Written<PathRegex>, SpecError> {
        let field = format!("{FIELD}.regexRewrite");
        let Some(OptionPattern { regex, .. }) = &self.pattern else {
            return Err(SpecError::invalid(format!("{field}.pattern"), "is required"));
        };
        let value = PathRegex { pattern: regex.clone(), substitution: self.substitution.clone() };
        Ok(Written { field, value })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::policy::http::{AbortContent, Injected};

    fn faults(spec: Value) -> Result<Setting<FaultContent>, String> {
        let spec: OptionFaults = serde_json::from_value(spec).unwrap();
        spec.content().map_err(|error| error.path)
    }

    #[test]
    fn faults_are_read() {
        let written = json!({"abort": {"percentage": 2, "httpStatus": 503}, "delay": {"percentage": 100, "fixedDelay": "1.5s"}});
        let expected = FaultContent {
            abort: Some(Injected { what: AbortContent::Http(503), percentage: 2 }),
            delay: Some(Injected { what: Duration::from_millis(1500), percentage: 100 }),
            ..FaultContent::default()
        };
        assert_eq!(faults(written), Ok(Setting::On(expected)));
        for (spec, member) in [
            (json!({}), ""),
            (json!({"abort": {"percentage": -1, "httpStatus": 503}}), ".abort.percentage"),
            (json!({"abort": {"percentage": 101, "httpStatus": 503}}), ".abort.percentage"),
            (json!({"abort": {"percentage": 1, "httpStatus": 100}}), ".abort.httpStatus"),
            (json!({"delay": {"percentage": 1, "fixedDelay": "2h"}}), ".delay.fixedDelay"),
            (json!({"delay": {"percentage": 1, "fixedDelay": "0s"}}), ".delay.fixedDelay"),
        ] {
            assert_eq!(faults(spec.clone()), Err(format!("spec.options.faults{member}")), "{spec}");
        }
    }

    #[test]
    fn an_expression_needs_a_pattern() {
        let spec: OptionRegexRewrite = serde_json::from_value(json!({"substitution": "a"})).unwrap();
        assert_eq!(spec.content().unwrap_err().path, "spec.options.regexRewrite.pattern");
        let spec = json!({"pattern": {"googleRe2": {}, "regex": "^/a"}, "substitution": "/b"});
        let spec: OptionRegexRewrite = serde_json::from_value(spec).unwrap();
        let value = PathRegex { pattern: "^/a".to_owned(), substitution: "/b".to_owned() };
        assert_eq!(spec.content().unwrap().value, value);
    }
}
