//! The reference of our kinds: every field, with its type and its meaning, as the schemas of the CRDs say it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use crate::custom_resource_definitions;

const HEAD: &str = "# Reference of Chancery's kinds
Generated from the schemas of the CRDs by `make crds`; a test holds it to them. The kinds of Gateway API are in
[gateway-api.md](gateway-api.md), what AI backends do in [ai-engine.md](ai-engine.md), policies in
[policies.md](policies.md), parameters of proxies in [cluster.md](cluster.md). `[]` stands for each entry of a list, `.*` for
each entry of a map. A field that is not carried out yet says so, here and in the object's status.
";

/// The page, in Markdown; the same bytes on every run.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut shown: Vec<(String, JSONSchemaProps)> = Vec::new();
    for crd in custom_resource_definitions() {
        let Some((title, schema)) = spec_of(&crd) else { continue };
        page.push_str(&format!("\n## {title}\n"));
        match shown.iter().find(|(_, known)| *known == schema) {
            Some((same, _)) => page.push_str(&format!("Its fields are those of {same}.\n")),
            None => {
                page.push_str(&format!("{}\n\n", in_cell(&schema)));
                page.push_str("| field | type | meaning |\n|---|---|---|\n");
                members(&schema, "spec", &mut page);
                shown.push((title, schema));
            }
        }
    }
    page
}

/// The name of a kind for a heading, and the schema of its spec in the newest version.
fn spec_of(crd: &CustomResourceDefinition) -> Option<(String, JSONSchemaProps)> {
    let version = crd.spec.versions.iter().find(|version| version.storage)?;
    let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
    let spec = schema.properties.as_ref()?.get("spec")?.clone();
    Some((format!("{} ({}/{})", crd.spec.names.kind, crd.spec.group, version.name), spec))
}

/// A row for each member of an object, each followed by those of its own.
fn members(schema: &JSONSchemaProps, path: &str, page: &mut String) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, member) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let mut kind = kind(member);
        if required.contains(name) {
            kind.push_str(", required");
        }
        page.push_str(&format!("| `{path}` | {kind} | {} |\n", in_cell(member)));
        below(member, &path, page);
    }
}

/// The rows below a field: its members, or those of its entries.
fn below(schema: &JSONSchemaProps, path: &str, page: &mut String) {
    members(schema, path, page);
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        below(item, &format!("{path}[]"), page);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(entry)) = &schema.additional_properties {
        below(entry, &format!("{path}.*"), page);
    }
}

/// What values a field takes.
fn kind(schema: &JSONSchemaProps) -> String {
    let choices: Vec<_> = schema.enum_.iter().flatten().map(|choice| value(&choice.0)).collect();
    let mut kind = match (schema.type_.as_deref(), &schema.items, &schema.additional_properties) {
        _ if !choices.is_empty() => format!("one of {}", choices.join(", ")),
        _ if schema.x_kubernetes_int_or_string == Some(true) => "integer or string".to_owned(),
        (Some("array"), Some(JSONSchemaPropsOrArray::Schema(item)), _) => {
            format!("list of {}", self::kind(item))
        }
        (Some("object"), _, Some(JSONSchemaPropsOrBool::Schema(entry))) => {
            format!("map of {}", self::kind(entry))
        }
        (Some(name), ..) => name.to_owned(),
        (None, ..) => "any".to_owned(),
    };
    if let Some(default) = &schema.default {
        kind.push_str(&format!(", default {}", value(&default.0)));
    }
    kind
}

/// A value as it is written in YAML.
fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

/// The description, as it may stand in a cell of a table.
fn in_cell(schema: &JSONSchemaProps) -> String {
    let text = schema.description.as_deref().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}
