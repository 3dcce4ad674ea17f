//! Servers that are asked about requests and answers: webhooks and moderation, in either dialect.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::http::{TextPattern, Written};
use super::name_or_number;
use super::prompt_guard::GuardMode;
use crate::access_log::{HeaderMatch, HeaderMatchType};
use crate::ai::{self, AuthToken, SpecError};
use crate::auth_token::AuthTokenSpec;
use crate::object_ref::NamespacedName;
use crate::sensitive::SensitiveString;
use crate::{header, schema};

/// The model that judges where a policy names none.
pub const MODERATION_MODEL: &str = "omni-moderation-latest";

/// A server that is asked, as kgateway's policies have it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where it is.
    pub host: WebhookHost,
    /// Headers of the client's request that it gets: those of this name whose value is like this. None if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub forward_header_matches: Vec<HeaderMatch>,
    /// The name of forwardHeaderMatches in kgateway 2.0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub forward_headers: Vec<HeaderMatch>,
    /// Whether what it decides is acted upon; Enforce if absent. (Of Chancery; kgateway and Gloo have no such field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
}

/// Where a webhook is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct WebhookHost {
    /// IP address or DNS name.
    #[schemars(length(min = 1))]
    pub host: String,
    /// TCP port. On port 443, TLS is spoken.
    #[schemars(schema_with = "schema::port")]
    pub port: NonZeroU16,
}

/// A moderation service that is asked, as kgateway's policies have it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Moderation {
    /// That of OpenAI; required.
    #[serde(default, rename = "openAIModeration", skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiModeration>,
    /// Whether what it decides is acted upon; Enforce if absent. (Of Chancery; kgateway and Gloo have no such field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
}

/// A server that is asked, as Gloo's options have it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OptionWebhook {
    /// IP address or DNS name; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// TCP port; required. On port 443, TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<u32>,
    /// Headers of the client's request that it gets, by their names. None if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub forward_headers: Vec<OptionHeaderMatch>,
    /// Whether what it decides is acted upon; Enforce if absent. (Of Chancery; kgateway and Gloo have no such field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
}

/// Names of headers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OptionHeaderMatch {
    /// What the name is compared with. Case does not count.
    #[schemars(length(min = 1))]
    pub key: String,
    /// How it is compared: EXACT (0, if absent), PREFIX (1), SUFFIX (2), CONTAINS (3) or REGEX (4), which must match the
    /// whole name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::name_or_number")]
    pub match_type: Option<NameMatchType>,
}

/// How names are compared.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NameMatchType {
    Exact,
    Prefix,
    Suffix,
    Contains,
    Regex,
}

impl<'de> Deserialize<'de> for NameMatchType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_number(
            deserializer,
            &[
                ("EXACT", Self::Exact),
                ("PREFIX", Self::Prefix),
                ("SUFFIX", Self::Suffix),
                ("CONTAINS", Self::Contains),
                ("REGEX", Self::Regex),
            ],
        )
    }
}

/// A moderation service that is asked, as Gloo's options have it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct OptionModeration {
    /// That of OpenAI; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiModeration>,
    /// Whether what it decides is acted upon; Enforce if absent. (Of Chancery; kgateway and Gloo have no such field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
}

/// OpenAI's moderation (`POST /v1/moderations`).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenAiModeration {
    /// The API key; required. That of the client (passthrough) cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<AuthTokenSpec>,
    /// The model; omni-moderation-latest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A server that is asked, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookContent {
    /// IP address (without brackets) or DNS name.
    pub host: Written<String>,
    /// TCP port.
    pub port: NonZeroU16,
    /// Headers of the client's request that it gets: those that one of these takes.
    pub forward_headers: Vec<ForwardedHeaders>,
    /// Whether what it decides is only reported.
    pub is_shadow: bool,
}

/// Headers of the client's request that a webhook gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedHeaders {
    /// What their name is like; in lower case, unless it is an expression.
    pub name: Written<TextPattern>,
    /// What their value is like; any if absent.
    pub value: Option<Written<TextPattern>>,
}

/// OpenAI's moderation, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModerationContent {
    /// The API key, with the path of `authToken`.
    pub key: Written<ApiKey>,
    /// The model.
    pub model: String,
    /// Whether what it decides is only reported.
    pub is_shadow: bool,
}

/// An API key, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKey {
    /// The key itself: cleaned, not empty.
    Inline(SensitiveString),
    /// A Secret with the key under [`SECRET_KEY`](crate::ai::SECRET_KEY).
    SecretRef(NamespacedName),
}

/// A server that is asked, in a dialect.
pub trait ReadWebhook {
    /// What it says, if `field` is its path.
    fn read(&self, field: &str) -> Result<WebhookContent, SpecError>;
}

/// A moderation service that is asked, in a dialect.
pub trait ReadModeration {
    /// The name of the member with OpenAI's, and the member.
    fn openai(&self) -> (&'static str, Option<&OpenAiModeration>);

    /// Whether what it decides is acted upon.
    fn mode(&self) -> Option<GuardMode>;

    /// What it says in a policy of that namespace, if `field` is its path.
    fn read(&self, field: &str, namespace: &str) -> Result<ModerationContent, SpecError> {
        let (name, openai) = self.openai();
        let field = format!("{field}.{name}");
        let openai = openai.ok_or_else(|| SpecError::invalid(&field, "is required"))?;
        let content = openai.read(&field, namespace)?;
        Ok(ModerationContent { is_shadow: is_shadow(self.mode()), ..content })
    }
}

impl ReadWebhook for Webhook {
    fn read(&self, field: &str) -> Result<WebhookContent, SpecError> {
        let Self { host: WebhookHost { host, port }, forward_header_matches, forward_headers, mode } = self;
        if !forward_headers.is_empty() && !forward_header_matches.is_empty() {
            let message = format!("must not be set together with {field}.forwardHeaderMatches");
            return Err(SpecError::invalid(format!("{field}.forwardHeaders"), message));
        }
        let all = [("forwardHeaderMatches", forward_header_matches), ("forwardHeaders", forward_headers)];
        let all = all.into_iter().flat_map(|(name, list)| list.iter().enumerate().map(move |it| (name, it)));
        let forward_headers = all.map(|(name, (index, HeaderMatch { type_, name: header, value }))| {
            let path = |member: &str| format!("{field}.{name}[{index}].{member}");
            let value = match type_ {
                None | Some(HeaderMatchType::Exact) => TextPattern::Exact(value.clone()),
                Some(HeaderMatchType::RegularExpression) => TextPattern::Regex(value.clone()),
            };
            let header = header_name(path("name"), header)?;
            let name = Written { field: path("name"), value: TextPattern::Exact(header) };
            Ok(ForwardedHeaders { name, value: Some(Written { field: path("value"), value }) })
        });
        Ok(WebhookContent {
            host: host_at(format!("{field}.host.host"), host)?,
            port: *port,
            forward_headers: forward_headers.collect::<Result<_, _>>()?,
            is_shadow: is_shadow(*mode),
        })
    }
}

impl ReadWebhook for OptionWebhook {
    fn read(&self, field: &str) -> Result<WebhookContent, SpecError> {
        let Self { host, port, forward_headers, mode } = self;
        let port = port.unwrap_or_default();
        let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
        let forward_headers =
            forward_headers.iter().enumerate().map(|(index, OptionHeaderMatch { key, match_type })| {
                let field = format!("{field}.forwardHeaders[{index}].key");
                let part = || header::name_token(key).map_err(|error| SpecError::invalid(&field, error));
                let value = match match_type {
                    None | Some(NameMatchType::Exact) => TextPattern::Exact(header_name(field.clone(), key)?),
                    Some(NameMatchType::Prefix) => TextPattern::Prefix(part()?),
                    Some(NameMatchType::Suffix) => TextPattern::Suffix(part()?),
                    Some(NameMatchType::Contains) => TextPattern::Contains(part()?),
                    Some(NameMatchType::Regex) => TextPattern::Regex(key.clone()),
                };
                Ok(ForwardedHeaders { name: Written { field, value }, value: None })
            });
        Ok(WebhookContent {
            host: host_at(format!("{field}.host"), host.as_deref().unwrap_or_default())?,
            port: port.ok_or_else(|| {
                SpecError::invalid(format!("{field}.port"), "is not a port from 1 to 65535")
            })?,
            forward_headers: forward_headers.collect::<Result<_, _>>()?,
            is_shadow: is_shadow(*mode),
        })
    }
}

impl ReadModeration for Moderation {
    fn openai(&self) -> (&'static str, Option<&OpenAiModeration>) {
        ("openAIModeration", self.openai.as_ref())
    }

    fn mode(&self) -> Option<GuardMode> {
        self.mode
    }
}

impl ReadModeration for OptionModeration {
    fn openai(&self) -> (&'static str, Option<&OpenAiModeration>) {
        ("openai", self.openai.as_ref())
    }

    fn mode(&self) -> Option<GuardMode> {
        self.mode
    }
}

impl OpenAiModeration {
    fn read(&self, field: &str, namespace: &str) -> Result<ModerationContent, SpecError> {
        let Self { auth_token, model } = self;
        let field = format!("{field}.authToken");
        let token = auth_token.as_ref().ok_or_else(|| SpecError::invalid(&field, "is required"))?;
        let key = match ai::auth_token(&field, token, namespace)? {
            AuthToken::Inline(key) => ApiKey::Inline(key),
            AuthToken::SecretRef(secret) => ApiKey::SecretRef(secret),
            AuthToken::Passthrough | AuthToken::AwsInline(_) | AuthToken::AwsSecretRef(_) => {
                let message = "a moderation service needs a key of its own: Passthrough is not supported";
                return Err(SpecError::unsupported(field, message));
            }
        };
        let model = model.as_deref().map(str::trim).filter(|model| !model.is_empty());
        Ok(ModerationContent {
            key: Written { field, value: key },
            model: model.unwrap_or(MODERATION_MODEL).to_owned(),
            is_shadow: false,
        })
    }
}

/// Whether a guard in this mode only reports.
fn is_shadow(mode: Option<GuardMode>) -> bool {
    mode == Some(GuardMode::Shadow)
}

fn host_at(field: String, host: &str) -> Result<Written<String>, SpecError> {
    let value = ai::bare_host(&field, host)?;
    Ok(Written { field, value })
}

/// The name of a header that may be copied from one request into another, in lower case.
fn header_name(field: String, name: &str) -> Result<String, SpecError> {
    match header::editable_name(name) {
        Ok(name) if name != "host" => Ok(name),
        Ok(_) => Err(SpecError::invalid(field, "Host says which server is meant and cannot be forwarded")),
        Err(message) => Err(SpecError::invalid(field, message)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ai::ErrorKind;
    use crate::policy::{GuardContent, Policy};
    use crate::{DecodeError, Object};

    /// What a policy of either dialect says.
    fn content(kind: &str, guard: &Value) -> Result<GuardContent, SpecError> {
        let (group, ai) = match kind {
            "TrafficPolicy" => ("gateway.kgateway.dev/v1alpha1", json!({"ai": {"promptGuard": guard}})),
            _ => ("gateway.solo.io/v1", json!({"options": {"ai": {"promptGuard": guard}}})),
        };
        let metadata = json!({"name": "a", "namespace": "ns"});
        let document = json!({"apiVersion": group, "kind": kind, "metadata": metadata, "spec": ai});
        let decoded =
            Object::decode(document).unwrap_or_else(|error: DecodeError| panic!("{guard}: {error}"));
        assert_eq!(decoded.unknown_fields, [] as [&str; 0], "{guard}");
        let content = match decoded.object {
            Object::TrafficPolicy(policy) => policy.content(),
            Object::RouteOption(policy) => policy.content(),
            other => panic!("{other:?} is no policy"),
        };
        content.map(|content| {
            assert_eq!(content.refused, [] as [&str; 0], "{guard}");
            content.ai.guard
        })
    }

    fn written<T>(field: &str, value: T) -> Written<T> {
        Written { field: field.to_owned(), value }
    }

    fn named(field: &str, name: TextPattern, value: Option<(&str, TextPattern)>) -> ForwardedHeaders {
        let value = value.map(|(field, value)| written(field, value));
        ForwardedHeaders { name: written(field, name), value }
    }

    fn exact(text: &str) -> TextPattern {
        TextPattern::Exact(text.to_owned())
    }

    #[test]
    fn kgateways_servers_are_read() {
        let headers = json!([{"name": "X-Team", "value": "a"},
            {"type": "RegularExpression", "name": "x-user", "value": "u.*"}]);
        let entry = |list: &str, index: usize, member: &str, phase: &str| {
            format!("spec.ai.promptGuard.{phase}.webhook.{list}[{index}].{member}")
        };
        for list in ["forwardHeaderMatches", "forwardHeaders"] {
            let content = content(
                "TrafficPolicy",
                &json!({"request": {
                        "webhook": {"host": {"host": "hook.ns.svc", "port": 8000}, list: headers, "mode": "Shadow"},
                        "moderation": {"openAIModeration": {"authToken": {"kind": "SecretRef", "secretRef": {"name": "key"}}}, "mode": "Enforce"}},
                    "response": {"webhook": {"host": {"host": "[::1]", "port": 443}}}}),
            );
            let content = content.unwrap();
            let at = |index, member| entry(list, index, member, "request");
            let forward_headers = vec![
                named(&at(0, "name"), exact("x-team"), Some((&at(0, "value"), exact("a")))),
                named(
                    &at(1, "name"),
                    exact("x-user"),
                    Some((&at(1, "value"), TextPattern::Regex("u.*".to_owned()))),
                ),
            ];
            let host = written("spec.ai.promptGuard.request.webhook.host.host", "hook.ns.svc".to_owned());
            let port = NonZeroU16::new(8000).unwrap();
            assert_eq!(
                content.request_webhook,
                Some(WebhookContent { host, port, forward_headers, is_shadow: true })
            );
            let host = written("spec.ai.promptGuard.response.webhook.host.host", "::1".to_owned());
            let port = NonZeroU16::new(443).unwrap();
            let expected = WebhookContent { host, port, forward_headers: Vec::new(), is_shadow: false };
            assert_eq!(content.response_webhook, Some(expected));
            let key = ApiKey::SecretRef(NamespacedName::new("ns", "key"));
            let field = "spec.ai.promptGuard.request.moderation.openAIModeration.authToken";
            let model = "omni-moderation-latest".to_owned();
            assert_eq!(
                content.moderation,
                Some(ModerationContent { key: written(field, key), model, is_shadow: false })
            );
        }
    }

    #[test]
    fn gloos_servers_are_read() {
        let keys = json!([{"key": "X-Team"}, {"key": "X-A-", "matchType": "PREFIX"}, {"key": "-B", "matchType": 2},
            {"key": "c", "matchType": "CONTAINS"}, {"key": "X-[0-9]+", "matchType": "REGEX"}]);
        let content = content(
            "RouteOption",
            &json!({"request": {
                "webhook": {"host": "hook", "port": 8000, "forwardHeaders": keys, "mode": "Shadow"},
                "moderation": {"mode": "Shadow", "openai": {"model": "m", "authToken": {"inline": "Bearer k"}}}}}),
        );
        let content = content.unwrap();
        let name = |index: usize, pattern| {
            let field = format!("spec.options.ai.promptGuard.request.webhook.forwardHeaders[{index}].key");
            named(&field, pattern, None)
        };
        let forward_headers = vec![
            name(0, exact("x-team")),
            name(1, TextPattern::Prefix("x-a-".to_owned())),
            name(2, TextPattern::Suffix("-b".to_owned())),
            name(3, TextPattern::Contains("c".to_owned())),
            name(4, TextPattern::Regex("X-[0-9]+".to_owned())),
        ];
        let host = written("spec.options.ai.promptGuard.request.webhook.host", "hook".to_owned());
        let port = NonZeroU16::new(8000).unwrap();
        assert_eq!(
            content.request_webhook,
            Some(WebhookContent { host, port, forward_headers, is_shadow: true })
        );
        let key = ApiKey::Inline(SensitiveString::new("k"));
        let field = "spec.options.ai.promptGuard.request.moderation.openai.authToken";
        let expected = ModerationContent { key: written(field, key), model: "m".to_owned(), is_shadow: true };
        assert_eq!(content.moderation, Some(expected));
        assert_eq!(content.response_webhook, None);
    }

    #[test]
    fn what_cannot_be_asked_names_its_field() {
        let hook = |rest: Value| {
            let mut hook = json!({"host": {"host": "h", "port": 1}});
            hook.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            json!({"request": {"webhook": hook}})
        };
        let option = |hook: Value| json!({"response": {"webhook": hook}});
        let moderation = |moderation: Value| json!({"request": {"moderation": moderation}});
        let token = |token: Value| moderation(json!({"openAIModeration": {"authToken": token}}));
        let header = |name: &str| json!({"forwardHeaders": [{"name": name, "value": "a"}]});
        let named = |name: &str, kind: &str| {
            option(json!({"host": "h", "port": 1, "forwardHeaders": [{"key": name, "matchType": kind}]}))
        };
        let (kgateway, gloo) = ("TrafficPolicy", "RouteOption");
        for (kind, guard, field, message) in [
            (
                kgateway,
                hook(json!({"host": {"host": "a b", "port": 1}})),
                "request.webhook.host.host",
                "neither an IP",
            ),
            (
                kgateway,
                hook(json!({"host": {"host": "http://a", "port": 1}})),
                "request.webhook.host.host",
                "neither an IP",
            ),
            (kgateway, hook(header("a b")), "request.webhook.forwardHeaders[0].name", "is not a header name"),
            (
                kgateway,
                hook(header("Content-Length")),
                "request.webhook.forwardHeaders[0].name",
                "frames messages",
            ),
            (kgateway, hook(header("Host")), "request.webhook.forwardHeaders[0].name", "cannot be forwarded"),
            (
                kgateway,
                hook(
                    json!({"forwardHeaders": [{"name": "a", "value": "b"}], "forwardHeaderMatches": [{"name": "a", "value": "b"}]}),
                ),
                "request.webhook.forwardHeaders",
                "must not be set together",
            ),
            (gloo, option(json!({"port": 1})), "response.webhook.host", "is required"),
            (gloo, option(json!({"host": "h"})), "response.webhook.port", "is not a port"),
            (gloo, option(json!({"host": "h", "port": 65536})), "response.webhook.port", "is not a port"),
            (gloo, named("", "PREFIX"), "response.webhook.forwardHeaders[0].key", "is not a header name"),
            (gloo, named("a:", "CONTAINS"), "response.webhook.forwardHeaders[0].key", "is not a header name"),
            (gloo, named("upgrade", "EXACT"), "response.webhook.forwardHeaders[0].key", "frames messages"),
            (kgateway, moderation(json!({})), "request.moderation.openAIModeration", "is required"),
            (gloo, moderation(json!({})), "request.moderation.openai", "is required"),
            (
                kgateway,
                moderation(json!({"openAIModeration": {}})),
                "request.moderation.openAIModeration.authToken",
                "is required",
            ),
            (
                kgateway,
                token(json!({"inline": " "})),
                "request.moderation.openAIModeration.authToken.inline",
                "no usable",
            ),
            (
                kgateway,
                token(json!({"kind": "Passthrough"})),
                "request.moderation.openAIModeration.authToken",
                "Passthrough",
            ),
        ] {
            let error = content(kind, &guard).unwrap_err();
            let parent = if kind == gloo { "spec.options.ai.promptGuard" } else { "spec.ai.promptGuard" };
            assert_eq!(error.path, format!("{parent}.{field}"), "{guard}");
            assert!(error.message.contains(message), "{guard}: {error}");
            let is_unsupported = error.kind == ErrorKind::Unsupported;
            assert_eq!(is_unsupported, message == "Passthrough", "{guard}");
        }
    }
}
