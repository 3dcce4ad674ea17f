//! Which requests are refused because they come from pages of other origins (Gloo's `csrf.proto`).

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::http::FIELD;
use super::traffic::OptionPattern;
use crate::ai::SpecError;
use crate::policy::http::{CsrfContent, Written};
use crate::policy::{name_or_number, set_members};
use crate::traffic_policy::{StringMatcher, is_false};

/// Which requests that change something are refused because they come from pages of other origins.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionCsrf {
    /// Of how many requests the origin is checked; all if neither share is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_enabled: Option<OptionShare>,
    /// Of how many requests the origin is checked and counted, and never refused. It has no effect beside a `filterEnabled` above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_enabled: Option<OptionShare>,
    /// Origins (host and port) beside the destination's own that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub additional_origins: Vec<OptionText>,
}

/// A share of requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionShare {
    /// The share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<OptionFraction>,
    /// A setting of Envoy's that says another share. It has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_key: Option<String>,
}

/// A fraction.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionFraction {
    /// How many of the denominator; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub numerator: Option<u32>,
    /// HUNDRED (0, if absent), TEN_THOUSAND (1) or MILLION (2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::name_or_number")]
    pub denominator: Option<OptionDenominator>,
}

/// The denominator of a fraction.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are Envoy's")]
pub enum OptionDenominator {
    Hundred,
    TenThousand,
    Million,
}

impl<'de> Deserialize<'de> for OptionDenominator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values =
            [("HUNDRED", Self::Hundred), ("TEN_THOUSAND", Self::TenThousand), ("MILLION", Self::Million)];
        name_or_number(deserializer, &values)
    }
}

/// What a text must be like: exactly one of `exact`, `prefix`, `suffix` and `safeRegex`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionText {
    /// It is this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// It begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub prefix: Option<String>,
    /// It ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub suffix: Option<String>,
    /// This expression fits all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_regex: Option<OptionPattern>,
    /// Whether the case of letters makes no difference; it has no effect on an expression.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_case: bool,
}

/// All requests, in [`CsrfContent::per_million`].
const ALL: u32 = 1_000_000;

impl OptionCsrf {
    /// What it says; what has no effect is added to `ignored`.
    pub(super) fn content(&self, ignored: &mut Vec<String>) -> Result<Written<CsrfContent>, SpecError> {
        let Self { filter_enabled, shadow_enabled, additional_origins } = self;
        let field = format!("{FIELD}.csrf");
        let mut share = |name: &str, share: &Option<OptionShare>| {
            let Some(share) = share else { return Ok(None) };
            share.per_million(&format!("{field}.{name}"), ignored).map(Some)
        };
        let (enforced, shadowed) =
            (share("filterEnabled", filter_enabled)?, share("shadowEnabled", shadow_enabled)?);
        let (per_million, is_enforced) = match (enforced, shadowed) {
            (None, None) => (ALL, true),
            (None | Some(0), Some(shadowed)) => (shadowed, false),
            (Some(enforced), _) => (enforced, true),
        };
        let origins = additional_origins.iter().enumerate().map(|(index, origin)| {
            let OptionText { exact, prefix, suffix, safe_regex, ignore_case } = origin.clone();
            let safe_regex = safe_regex.map(|pattern| pattern.regex);
            let text = StringMatcher { exact, prefix, suffix, contains: None, safe_regex, ignore_case };
            text.content(&format!("{field}.additionalOrigins[{index}]"))
        });
        let additional_origins = origins.collect::<Result<_, _>>()?;
        Ok(Written { field, value: CsrfContent { per_million, is_enforced, additional_origins } })
    }
}

impl OptionShare {
    fn per_million(&self, field: &str, ignored: &mut Vec<String>) -> Result<u32, SpecError> {
        let Self { default_value, runtime_key } = self;
        let runtime_key = ("runtimeKey", runtime_key.as_ref().is_some_and(|key| !key.is_empty()));
        ignored.extend(set_members([runtime_key]).map(|name| format!("{field}.{name}")));
        let Some(OptionFraction { numerator, denominator }) = default_value else {
            return Err(SpecError::invalid(format!("{field}.defaultValue"), "is required"));
        };
        let unit = match denominator {
            None | Some(OptionDenominator::Hundred) => 10_000,
            Some(OptionDenominator::TenThousand) => 100,
            Some(OptionDenominator::Million) => 1,
        };
        let share = numerator.unwrap_or_default().checked_mul(unit).filter(|share| *share <= ALL);
        share.ok_or_else(|| SpecError::invalid(format!("{field}.defaultValue"), "is more than all requests"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn content(spec: Value) -> Result<(u32, bool, Vec<String>), String> {
        let (spec, mut ignored) = (serde_json::from_value::<OptionCsrf>(spec).unwrap(), Vec::new());
        let CsrfContent { per_million, is_enforced, .. } =
            spec.content(&mut ignored).map_err(|error| error.path)?.value;
        Ok((per_million, is_enforced, ignored))
    }

    #[test]
    fn shares_are_read() {
        let share = |numerator: u32, denominator: Value| json!({"defaultValue": {"numerator": numerator, "denominator": denominator}});
        for (spec, per_million, is_enforced) in [
            (json!({}), ALL, true),
            (json!({"filterEnabled": {"defaultValue": {"numerator": 5}}}), 50_000, true),
            (json!({"filterEnabled": share(5, json!("TEN_THOUSAND"))}), 500, true),
            (json!({"filterEnabled": share(5, json!(2)), "shadowEnabled": share(9, json!(0))}), 5, true),
            (
                json!({"filterEnabled": {"defaultValue": {}}, "shadowEnabled": share(9, json!(0))}),
                90_000,
                false,
            ),
            (json!({"shadowEnabled": share(1_000_000, json!("MILLION"))}), ALL, false),
            (json!({"filterEnabled": {"defaultValue": {}}}), 0, true),
        ] {
            assert_eq!(content(spec.clone()), Ok((per_million, is_enforced, vec![])), "{spec}");
        }
        let spec = json!({"filterEnabled": {"defaultValue": {"numerator": 1}, "runtimeKey": "k"}});
        let ignored = vec!["spec.options.csrf.filterEnabled.runtimeKey".to_owned()];
        assert_eq!(content(spec), Ok((10_000, true, ignored)));
        for (spec, path) in [
            (json!({"filterEnabled": {}}), "filterEnabled.defaultValue"),
            (json!({"shadowEnabled": share(101, json!("HUNDRED"))}), "shadowEnabled.defaultValue"),
            (json!({"filterEnabled": share(u32::MAX, json!("HUNDRED"))}), "filterEnabled.defaultValue"),
            (
                json!({"additionalOrigins": [{"exact": "a"}, {"exact": "a", "prefix": "b"}]}),
                "additionalOrigins[1]",
            ),
        ] {
            assert_eq!(content(spec.clone()), Err(format!("spec.options.csrf.{path}")), "{spec}");
        }
    }
}
