//! Options that change where requests go and how they fare (Gloo's `faultinjection.proto`, `regex.proto`, `shadowing.proto` and
//! `protocol_upgrade.proto`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteOptions;
use super::http::FIELD;
use crate::ai::SpecError;
use crate::identity::BackendReference;
use crate::policy::http::{FaultContent, MirrorContent, PathContent, PathRegex, Setting, Written};
use crate::sensitive::Opaque;
use crate::traffic_policy::{FaultAbort, FaultDelay, FaultInjection};
use crate::upstream;

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

/// Copies of requests for another backend, whose answers nobody sees.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionShadowing {
    /// The Upstream that they go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamRef>,
    /// How many of a hundred requests are copied; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::percentage")]
    pub percentage: Option<f64>,
}

/// An Upstream.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; that of the RouteOption if absent. Another one needs a ReferenceGrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// What connections may become.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionUpgrade {
    /// WebSockets. It has no effect on AI backends, where nothing of them could be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<OptionUpgradeSpec>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub connect: Option<Box<Opaque>>,
}

/// Whether connections may become something else.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionUpgradeSpec {
    /// Whether they may; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl OptionShadowing {
    /// What it says.
    pub(super) fn content(&self) -> Result<Written<MirrorContent>, SpecError> {
        let Self { upstream, percentage } = self;
        let field = format!("{FIELD}.shadowing");
        let Some(UpstreamRef { name, namespace }) =
            upstream.clone().filter(|upstream| !upstream.name.is_empty())
        else {
            return Err(SpecError::invalid(format!("{field}.upstream.name"), "is required"));
        };
        let percentage = percentage.unwrap_or_default();
        if !(0.0..=100.0).contains(&percentage) {
            return Err(SpecError::invalid(format!("{field}.percentage"), "is not from 0 to 100"));
        }
        let backend = BackendReference {
            field: format!("{field}.upstream"),
            group: upstream::GROUP.to_owned(),
            kind: "Upstream".to_owned(),
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            name,
            port: None,
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to a million"
        )]
        let per_million = (percentage * 10_000.0).round() as u32;
        Ok(Written { field, value: MirrorContent { backend, per_million } })
    }
}

impl OptionUpgrade {
    /// Whether connections may become WebSockets, if anything is said; the last one counts. What has no effect is added to `ignored`.
    pub(super) fn websocket(upgrades: &[Self], ignored: &mut Vec<String>) -> Option<bool> {
        let mut said = None;
        for (index, Self { websocket, connect }) in upgrades.iter().enumerate() {
            if connect.is_some() {
                ignored.push(format!("{FIELD}.upgrades[{index}].connect"));
            }
            said = websocket.map(|spec| spec.enabled.unwrap_or(true)).or(said);
        }
        said
    }
}

impl RouteOptions {
    /// What the path becomes.
    pub(super) fn path_rewrite(&self) -> Result<Option<Written<PathContent>>, SpecError> {
        match (&self.prefix_rewrite, &self.regex_rewrite) {
            (None, None) => Ok(None),
            (None, Some(rewrite)) => rewrite.content().map(Some),
            (Some(to), None) => {
                let field = format!("{FIELD}.prefixRewrite");
                Ok(Some(Written { field, value: PathContent::Prefix(to.clone()) }))
            }
            (Some(_), Some(_)) => {
                let message = "has no place beside regexRewrite";
                Err(SpecError::invalid(format!("{FIELD}.prefixRewrite"), message))
            }
        }
    }
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
    pub(super) fn content(&self) -> Result<Written<PathContent>, SpecError> {
        let field = format!("{FIELD}.regexRewrite");
        let Some(OptionPattern { regex, .. }) = &self.pattern else {
            return Err(SpecError::invalid(format!("{field}.pattern"), "is required"));
        };
        let value = PathRegex { pattern: regex.clone(), substitution: self.substitution.clone() };
        Ok(Written { field, value: PathContent::Regex(value) })
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
        assert_eq!(spec.content().unwrap().value, PathContent::Regex(value));
    }

    #[test]
    fn copies_need_a_backend_and_a_share() {
        let copies = |spec: Value| {
            let spec: OptionShadowing = serde_json::from_value(spec).unwrap();
            spec.content().map(|written| written.value).map_err(|error| error.path)
        };
        let read = copies(json!({"upstream": {"name": "u"}, "percentage": 12.34567})).unwrap();
        assert_eq!(
            (read.backend.kind.as_str(), read.backend.namespace, read.per_million),
            ("Upstream", None, 123_457)
        );
        assert_eq!(copies(json!({"upstream": {"name": "u", "namespace": "n"}})).unwrap().per_million, 0);
        for (spec, member) in [
            (json!({"percentage": 5}), "upstream.name"),
            (json!({"upstream": {"name": "u"}, "percentage": 100.5}), "percentage"),
            (json!({"upstream": {"name": "u"}, "percentage": -1}), "percentage"),
        ] {
            assert_eq!(copies(spec.clone()), Err(format!("spec.options.shadowing.{member}")), "{spec}");
        }
    }

    #[test]
    fn the_last_word_about_an_upgrade_counts() {
        for (spec, said, names) in [
            (json!([]), None, vec![]),
            (json!([{"websocket": {}}]), Some(true), vec![]),
            (json!([{"websocket": {}}, {"websocket": {"enabled": false}}]), Some(false), vec![]),
            (
                json!([{"websocket": {}}, {"connect": {}}]),
                Some(true),
                vec!["spec.options.upgrades[1].connect"],
            ),
        ] {
            let (upgrades, mut ignored): (Vec<OptionUpgrade>, _) =
                (serde_json::from_value(spec.clone()).unwrap(), Vec::new());
            assert_eq!(OptionUpgrade::websocket(&upgrades, &mut ignored), said, "{spec}");
            assert_eq!(ignored, names, "{spec}");
        }
    }
}
