//! User names with passwords, and API keys, as kgateway's TrafficPolicy has them (2.2).
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kgateway::Disable;
use crate::ai::SpecError;
use crate::policy::http::Setting;
use crate::sensitive::Opaque;
use crate::{SensitiveString, header};

/// The key of a Secret with users, if nobody says so.
const USERS_KEY: &str = ".htpasswd";

/// The header with an API key, if nobody says so.
const KEY_HEADER: &str = "api-key";

/// The user names and passwords of clients (RFC 7617): `basicAuth` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.users), has(self.secretRef), has(self.disable)].filter(x, x).size() == 1")
        .message("exactly one of users, secretRef and disable must be set")
)]
pub struct BasicAuth {
    /// The users, each as a line of a file of htpasswd, with a password of the form SHA: `name:{SHA}…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub users: Option<Vec<SensitiveString>>,
    /// A Secret with such a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<UsersSecret>,
    /// None, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// A Secret with users.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersSecret {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; that of the policy if absent. Another one needs a ReferenceGrant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The key of the Secret that holds the file; `.htpasswd` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub key: Option<String>,
}

/// The API keys of clients: `apiKeyAuth` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.secretRef), has(self.secretSelector), has(self.disable)].filter(x, x).size() == 1")
        .message("exactly one of secretRef, secretSelector and disable must be set")
)]
pub struct ApiKeyAuth {
    /// Where the key stands: the first place that has one counts. The header `api-key` if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub key_sources: Vec<ApiKeySource>,
    /// Whether the backend gets the key; not if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_credential: Option<bool>,
    /// The header in which the backend gets the name of the client; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_header: Option<String>,
    /// A Secret with keys: each of its entries is the name of a client with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeysSecret>,
    /// All Secrets of the policy's namespace that have these labels, with such entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_selector: Option<SecretSelector>,
    /// None, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// Where an API key stands; a header goes before a parameter, and that before a cookie.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.header) || has(self.query) || has(self.cookie)").message("one of header, query and cookie must be set"))]
pub struct ApiKeySource {
    /// In this header, with `Bearer ` before it or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// In this parameter of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// In this cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
}

/// A Secret with API keys.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysSecret {
    /// API group; empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind; Secret if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; that of the policy if absent. Another one needs a ReferenceGrant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Secrets by their labels.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretSelector {
    /// The labels that a Secret must have, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Not supported yet: a policy that has it is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_expressions: Option<Opaque>,
}

/// The users whose requests pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Users {
    /// Lines of a file of htpasswd.
    Lines {
        /// The field that holds them.
        field: String,
        /// Each line.
        lines: Vec<SensitiveString>,
    },
    /// A file of htpasswd in a Secret.
    Secret {
        /// The field that refers to it.
        field: String,
        /// Its namespace; that of the policy if absent.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// The key that holds the file.
        key: String,
    },
}

/// The API keys with which requests pass.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeys {
    /// The Secrets that hold them.
    pub secrets: KeySecrets,
    /// Where a key stands, in the order in which they are looked at. Never empty.
    pub places: Vec<KeyPlace>,
    /// Whether the backend gets the key.
    pub forward: bool,
    /// The header in which the backend gets the name of the client, in lower case.
    pub client_header: Option<String>,
}

/// Secrets with API keys.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySecrets {
    /// One.
    Named {
        /// The field that refers to it.
        field: String,
        /// Its namespace; that of the policy if absent.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// Those of the policy's namespace that have all of these labels.
    Labelled {
        /// The field with the labels.
        field: String,
        /// The labels; never empty.
        labels: BTreeMap<String, String>,
    },
}

/// Where an API key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header of this name, which is in lower case.
    Header(String),
    /// In a parameter of the query.
    Query(String),
    /// In a cookie.
    Cookie(String),
}

impl BasicAuth {
    /// What it says; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Setting<Users>, SpecError> {
        let Self { users, secret_ref, disable } = self;
        match (users, secret_ref, disable) {
            (Some(lines), None, None) => {
                Ok(Setting::On(Users::Lines { field: format!("{field}.users"), lines: lines.clone() }))
            }
            (None, Some(UsersSecret { name, namespace, key }), None) => Ok(Setting::On(Users::Secret {
                field: format!("{field}.secretRef"),
                namespace: namespace.clone(),
                name: name.clone(),
                key: key.clone().unwrap_or_else(|| USERS_KEY.to_owned()),
            })),
            (None, None, Some(Disable {})) => Ok(Setting::Off),
            _ => Err(SpecError::invalid(field, "exactly one of users, secretRef and disable must be set")),
        }
    }
}

impl ApiKeyAuth {
    /// What it says; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Setting<ApiKeys>, SpecError> {
        let Self { key_sources, forward_credential, client_id_header, secret_ref, secret_selector, disable } =
            self;
        let secrets = match (secret_ref, secret_selector, disable) {
            (Some(secret), None, None) => secret.read(&format!("{field}.secretRef"))?,
            (None, Some(SecretSelector { match_expressions: Some(_), .. }), None) => {
                let field = format!("{field}.secretSelector.matchExpressions");
                return Err(SpecError::unsupported(field, "not supported yet"));
            }
            (None, Some(SecretSelector { match_labels, match_expressions: None }), None) => {
                let field = format!("{field}.secretSelector.matchLabels");
                if match_labels.is_empty() {
                    return Err(SpecError::invalid(field, "without labels, every Secret would hold keys"));
                }
                KeySecrets::Labelled { field, labels: match_labels.clone() }
            }
            (None, None, Some(Disable {})) => return Ok(Setting::Off),
            _ => {
                let message = "exactly one of secretRef, secretSelector and disable must be set";
                return Err(SpecError::invalid(field, message));
            }
        };
        let mut places = Vec::new();
        for (index, source) in key_sources.iter().enumerate() {
            places.extend(source.read(&format!("{field}.keySources[{index}]"))?);
        }
        if places.is_empty() {
            places.push(KeyPlace::Header(KEY_HEADER.to_owned()));
        }
        let client_header = client_id_header.as_ref().map(|name| {
            let field = format!("{field}.clientIdHeader");
            let name = header::editable_name(name).map_err(|error| SpecError::invalid(&field, error))?;
            match name == "host" || places.contains(&KeyPlace::Header(name.clone())) {
                true => Err(SpecError::invalid(field, format!("{name:?} cannot hold the name of a client"))),
                false => Ok(name),
            }
        });
        Ok(Setting::On(ApiKeys {
            secrets,
            client_header: client_header.transpose()?,
            places,
            forward: forward_credential.unwrap_or_default(),
        }))
    }
}

impl KeysSecret {
    fn read(&self, field: &str) -> Result<KeySecrets, SpecError> {
        let Self { group, kind, name, namespace } = self;
        let (group, kind) = (group.as_deref().unwrap_or_default(), kind.as_deref().unwrap_or("Secret"));
        if (group, kind) != ("", "Secret") {
            let message = format!("a {kind} of group {group:?} holds no keys");
            return Err(SpecError::unsupported(field, message));
        }
        Ok(KeySecrets::Named { field: field.to_owned(), namespace: namespace.clone(), name: name.clone() })
    }
}

impl ApiKeySource {
    /// The places in their order.
    fn read(&self, field: &str) -> Result<Vec<KeyPlace>, SpecError> {
        let Self { header, query, cookie } = self;
        let token = |member: &str, name: &String| {
            header::name_token(name).map_err(|error| SpecError::invalid(format!("{field}.{member}"), error))
        };
        if let Some(cookie) = cookie {
            token("cookie", cookie)?;
        }
        let header = header.as_ref().map(|name| token("header", name).map(KeyPlace::Header)).transpose()?;
        let places = [header, query.clone().map(KeyPlace::Query), cookie.clone().map(KeyPlace::Cookie)];
        let places: Vec<_> = places.into_iter().flatten().collect();
        match places.is_empty() {
            true => Err(SpecError::invalid(field, "one of header, query and cookie must be set")),
            false => Ok(places),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Without them, a selector would take more Secrets than its author wants.
    #[test]
    fn expressions_of_a_selector_are_refused_and_not_passed_over() {
        for labels in [json!({}), json!({"a": "b"})] {
            let expressions = json!([{"key": "c", "operator": "Exists"}]);
            let selector = json!({"matchLabels": labels, "matchExpressions": expressions});
            let spec: ApiKeyAuth = serde_json::from_value(json!({"secretSelector": selector})).unwrap();
            let error = spec.read("spec.apiKeyAuth").unwrap_err();
            assert_eq!(error.path, "spec.apiKeyAuth.secretSelector.matchExpressions", "{selector}");
        }
    }
}
