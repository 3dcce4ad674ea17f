//! What the policies of both dialects have in common: what they say about AI backends, and their status.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

mod content;
mod guard_server;
pub mod http;
mod prompt_guard;

pub(crate) use content::json_of;
pub use content::{
    AiContent, Answer, AnswerBody, BodyDefault, Content, Policy, Target, TargetName, UnusableTarget,
};

pub use guard_server::{
    ApiKey, ForwardedHeaders, MODERATION_MODEL, Moderation, ModerationContent, NameMatchType,
    OpenAiModeration, OptionHeaderMatch, OptionModeration, OptionWebhook, Webhook, WebhookContent,
    WebhookHost,
};
pub use prompt_guard::{
    CustomResponse, GuardAction, GuardBuiltin, GuardContent, GuardMode, GuardRegex, GuardRegexContent,
    GuardRegexMatch, PromptGuard, PromptGuardRequest, PromptGuardResponse,
};

use crate::core::Condition;

/// Messages that are put around those of a request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptEnrichment {
    /// Messages before those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepend: Vec<PromptMessage>,
    /// Messages after those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<PromptMessage>,
}

/// A message.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who says it, such as system, user or assistant; in any case.
    #[schemars(length(min = 1))]
    pub role: String,
    /// The text.
    pub content: String,
}

/// Whether every chat request asks for a stream.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteType {
    /// The request says so itself, where its protocol can.
    #[serde(rename = "CHAT")]
    Chat,
    /// Every one does.
    #[serde(rename = "CHAT_STREAMING")]
    ChatStreaming,
}

/// The names, in the order of their numbers.
const ROUTE_TYPES: [(&str, RouteType); 2] =
    [("CHAT", RouteType::Chat), ("CHAT_STREAMING", RouteType::ChatStreaming)];

impl<'de> Deserialize<'de> for RouteType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_number(deserializer, &ROUTE_TYPES)
    }
}

/// Reads a value by its name, or by its number, which is its place: a CRD made from protobuf takes both.
pub(crate) fn name_or_number<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    values: &[(&'static str, T)],
) -> Result<T, D::Error> {
    deserializer.deserialize_any(NameOrNumber(values))
}

struct NameOrNumber<'a, T>(&'a [(&'static str, T)]);

impl<T: Copy> Visitor<'_> for NameOrNumber<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, _)) in self.0.iter().enumerate() {
            let before = match number {
                0 => "",
                _ if number + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}{name} ({number})")?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let found = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        let wrong = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
        found.map(|(_, value)| *value).ok_or_else(wrong)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

/// The schema of a [`RouteType`] that has a name.
pub(crate) fn route_type_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["CHAT", "CHAT_STREAMING"] })
}

/// Observed state of a policy (Gateway API, PolicyStatus).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PolicyStatus {
    /// One entry per Gateway that the policy has to do with, and per controller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ancestors: Vec<PolicyAncestorStatus>,
}

/// State of a policy at one Gateway.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAncestorStatus {
    /// The Gateway; the target itself where it is not found.
    pub ancestor_ref: AncestorRef,
    /// The controller that has written the entry.
    pub controller_name: String,
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// An object that a policy has to do with.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AncestorRef {
    /// API group; that of Gateway API if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; Gateway if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace; that of the policy if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// A listener or a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// A port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// Makes a struct of members that are known and of members that are only kept, with lists of those that are set.
///
/// Members that say who may do what, or that change a request or its answer, are `refused`: what they apply to must not
/// be done without them. The others are `ignored`.
macro_rules! with_opaque_members {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$known_meta:meta])* pub $known:ident: $type:ty, )+
        }
        $( refused { $( $refused:ident $refused_json:literal, )+ } )?
        $( ignored { $( $ignored:ident $ignored_json:literal, )+ } )?
    ) => {
        $(#[$meta])*
        pub struct $name {
            $( $(#[$known_meta])* pub $known: $type, )+
            $( $(
                #[doc = "Not carried out yet: what it applies to is answered with 500."]
                #[serde(default, rename = $refused_json, skip_serializing_if = "Option::is_none")]
                #[schemars(schema_with = "crate::schema::any")]
                pub $refused: Option<Box<crate::sensitive::Opaque>>,
            )+ )?
            $( $(
                #[doc = "Not carried out yet: it has no effect, and the status says so."]
                #[serde(default, rename = $ignored_json, skip_serializing_if = "Option::is_none")]
                #[schemars(schema_with = "crate::schema::any")]
                pub $ignored: Option<Box<crate::sensitive::Opaque>>,
            )+ )?
        }

        impl $name {
            $(
                /// The members that are set and must be carried out, and are not.
                fn refused_members(&self) -> Vec<&'static str> {
                    let members = [$( ($refused_json, self.$refused.is_some()), )+];
                    $crate::policy::set_members(members).collect()
                }
            )?

            $(
                /// The members that are set and have no effect.
                fn ignored_members(&self) -> Vec<&'static str> {
                    let members = [$( ($ignored_json, self.$ignored.is_some()), )+];
                    $crate::policy::set_members(members).collect()
                }
            )?
        }
    };
}

pub(crate) use with_opaque_members;

/// Of members, each with whether it is set, the names of those that are.
pub(crate) fn set_members<'a>(
    members: impl IntoIterator<Item = (&'a str, bool)>,
) -> impl Iterator<Item = &'a str> {
    members.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_type_has_a_name_or_a_number() {
        for (written, expected) in [
            (json!("CHAT"), Some(RouteType::Chat)),
            (json!("CHAT_STREAMING"), Some(RouteType::ChatStreaming)),
            (json!(0), Some(RouteType::Chat)),
            (json!(1), Some(RouteType::ChatStreaming)),
            (json!(2), None),
            (json!(-1), None),
            (json!("chat"), None),
            (json!(true), None),
        ] {
            assert_eq!(serde_json::from_value::<RouteType>(written.clone()).ok(), expected, "{written}");
        }
    }
}
