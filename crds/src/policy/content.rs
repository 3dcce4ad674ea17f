//! What a policy of either dialect says, and what it applies to, in the same words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::http::HttpContent;
use super::{GuardContent, PromptEnrichment, PromptMessage, RouteType};
use crate::Kind;
use crate::access_log::AccessLogs;
use crate::ai::SpecError;
use crate::ext_auth::Demand;
use crate::gateway_api;
use crate::identity::IdentityContent;
use crate::listener_http::ListenerHttp;
use crate::listener_tracing::ListenerTracing;

/// An object that applies to others.
pub trait Policy {
    /// What it names itself, in the order of the spec; of those that cannot be meant, why.
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>>;

    /// What it says.
    ///
    /// # Errors
    /// It makes no sense.
    fn content(&self) -> Result<Content, SpecError>;
}

/// An object that a policy applies to, or several by their labels. They are in the namespace of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path of the field that names it.
    pub field: String,
    /// [`Kind::Gateway`] or [`Kind::HttpRoute`].
    pub kind: Kind,
    /// Which object.
    pub name: TargetName,
    /// A listener of the Gateway, or a rule of the HTTPRoute; the whole object if absent.
    pub section: Option<String>,
}

/// What a policy names as its target that it cannot apply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableTarget {
    /// What is wrong with it.
    pub error: SpecError,
    /// Group, kind and name of the object, if it is named.
    pub object: Option<Box<(String, String, String)>>,
}

/// Which objects of a kind are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetName {
    /// The one of this name.
    Name(String),
    /// Those that have all these labels.
    Labels(BTreeMap<String, String>),
}

/// What a policy says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// What is done with the requests to AI backends.
    pub ai: AiContent,
    /// What is done with the requests to any backend.
    pub http: HttpContent,
    /// Who clients must be, and what they may do.
    pub identity: IdentityContent,
    /// Who is asked whether a request may pass.
    pub ext_auth: Option<Demand>,
    /// What requests are answered with by the gateway itself.
    pub answer: Option<Answer>,
    /// Where requests are logged.
    pub access_logs: AccessLogs,
    /// Where the traces of requests go, with the field that says so.
    pub tracing: Option<(String, ListenerTracing)>,
    /// How listeners speak HTTP with clients, below `spec`.
    pub listener_http: ListenerHttp,
    /// Fields that are not carried out, and without which requests must not be served.
    pub refused: Vec<String>,
    /// Fields that have no effect.
    pub ignored: Vec<String>,
}

/// An answer that the gateway gives itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code, from 200 to 599.
    pub status: u16,
    /// The body.
    pub body: Option<AnswerBody>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerBody {
    /// This text, which is not empty, and no longer than Envoy takes.
    Text(String),
    /// What comes of a text in the language of Envoy's access logs, which is not empty.
    TextFormat {
        /// The text.
        format: String,
        /// The `content-type`; `text/plain` if absent.
        content_type: Option<String>,
    },
    /// What comes of an object whose texts are such formats.
    JsonFormat {
        /// The object.
        format: serde_json::Map<String, Value>,
        /// The `content-type`; `application/json` if absent.
        content_type: Option<String>,
    },
}

/// What is done with the requests to AI backends. Of a list, empty is the same as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AiContent {
    /// Whether every chat request asks for a stream.
    pub route_type: Option<RouteType>,
    /// Messages before those of the request; roles are in lower case.
    pub prepend: Vec<PromptMessage>,
    /// Messages after those of the request; roles are in lower case.
    pub append: Vec<PromptMessage>,
    /// Members that the body gets. No name stands twice.
    pub defaults: Vec<BodyDefault>,
    /// The provider's name of a model, by the name that clients know it by.
    pub model_aliases: BTreeMap<String, String>,
    /// Whether answers that are no streams tell in a header what they cost.
    pub cost_header: Option<bool>,
    /// What is looked for in requests and answers.
    pub guard: GuardContent,
}

/// A member that the body of a chat request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDefault {
    /// Its name.
    pub field: String,
    /// Its value, as JSON text.
    pub value: String,
    /// Whether it replaces what the request says.
    pub replace: bool,
}

impl Target {
    /// What a reference with this group and kind means.
    pub(crate) fn new(
        field: String,
        group: &str,
        kind: &str,
        name: TargetName,
        section: Option<String>,
    ) -> Result<Self, UnusableTarget> {
        match Kind::find(group, kind) {
            Some(kind @ (Kind::Gateway | Kind::HttpRoute)) if group == gateway_api::GROUP => {
                Ok(Self { field, kind, name, section })
            }
            _ => {
                let message = format!("{kind} of group {group:?} is not supported yet");
                Err(UnusableTarget::new(SpecError::unsupported(field, message), group, kind, &name))
            }
        }
    }
}

impl UnusableTarget {
    pub(crate) fn new(error: SpecError, group: &str, kind: &str, name: &TargetName) -> Self {
        let object = match name {
            TargetName::Name(name) => Some(Box::new((group.to_owned(), kind.to_owned(), name.clone()))),
            TargetName::Labels(_) => None,
        };
        Self { error, object }
    }
}

impl AiContent {
    /// Puts the members together that both dialects have.
    pub(crate) fn new(
        field: &str,
        enrichment: Option<&PromptEnrichment>,
        defaults: Vec<BodyDefault>,
        route_type: Option<RouteType>,
    ) -> Result<Self, SpecError> {
        let mut seen = BTreeSet::new();
        if let Some(index) = defaults.iter().position(|default| !seen.insert(&default.field)) {
            return Err(SpecError::invalid(
                format!("{field}.defaults[{index}].field"),
                "an earlier default has the same field",
            ));
        }
        let messages = |name: &str, list: &[PromptMessage]| -> Result<Vec<PromptMessage>, SpecError> {
            let read = list.iter().enumerate().map(|(index, PromptMessage { role, content })| {
                let role = role.trim().to_lowercase();
                match role.is_empty() {
                    true => Err(SpecError::invalid(
                        format!("{field}.promptEnrichment.{name}[{index}].role"),
                        "is empty",
                    )),
                    false => Ok(PromptMessage { role, content: content.clone() }),
                }
            });
            read.collect()
        };
        let (prepend, append) = match enrichment {
            Some(PromptEnrichment { prepend, append }) => {
                (messages("prepend", prepend)?, messages("append", append)?)
            }
            None => Default::default(),
        };
        Ok(Self {
            route_type,
            prepend,
            append,
            defaults,
            model_aliases: BTreeMap::new(),
            cost_header: None,
            guard: GuardContent::default(),
        })
    }
}

/// The JSON that a text holds; a text that does not look like JSON is itself the value. Numbers stay as they are written.
pub(crate) fn json_of(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    match serde_json::from_str::<Value>(trimmed) {
        Ok(_) => Ok(trimmed.to_owned()),
        Err(error) if trimmed.starts_with(['{', '[', '"']) => Err(format!("is not valid JSON: {error}")),
        Err(_) => Ok(Value::String(text.to_owned()).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        for (text, expected) in [
            ("0.5", Some("0.5")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("true", Some("true")),
            ("null", Some("null")),
            (" {\"a\": [1]} ", Some("{\"a\": [1]}")),
            ("\"5\"", Some("\"5\"")),
            ("gpt-4o", Some("\"gpt-4o\"")),
            ("answer in \"French\"\n", Some("\"answer in \\\"French\\\"\\n\"")),
            ("{a: 1}", None),
            ("[1", None),
            ("\"open", None),
        ] {
            assert_eq!(json_of(text).ok().as_deref(), expected, "{text}");
        }
    }
}
