//! What is looked for in requests and answers, in either dialect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::guard_server::{ModerationContent, ReadModeration, ReadWebhook, WebhookContent};
use crate::ai::SpecError;

/// What is looked for in requests and answers. `W` and `M` are the dialect's webhook and moderation.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct PromptGuard<W, M> {
    /// In requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<PromptGuardRequest<W, M>>,
    /// In answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<PromptGuardResponse<W>>,
}

/// What is looked for in requests: by the webhook first, then by regex, then by moderation.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PromptGuardRequest<W, M> {
    /// The answer to a request that is rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_response: Option<CustomResponse>,
    /// Expressions and kinds of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<GuardRegex>,
    /// A server that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Box<W>>,
    /// A moderation service that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Box<M>>,
}

/// What is looked for in answers: by the webhook first, then by regex, where a match is always masked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PromptGuardResponse<W> {
    /// Expressions and kinds of data. Its action has no effect: an answer that has begun cannot be rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<GuardRegex>,
    /// A server that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Box<W>>,
}

/// The answer to a request that is rejected.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CustomResponse {
    /// The body; `The request was rejected due to inappropriate content` if absent. A JSON object has the content type
    /// `application/json`, any other text `text/plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The status code; 403 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub status_code: Option<i32>,
}

/// Expressions and kinds of data.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRegex {
    /// Expressions, in RE2's syntax. `.` matches line feeds, `^` and `$` match at lines, and case does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub matches: Vec<GuardRegexMatch>,
    /// Kinds of data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub builtins: Vec<GuardBuiltin>,
    /// What becomes of a request in which something is found; MASK if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<GuardAction>,
    /// Whether what is found is acted upon; Enforce if absent. (Of Chancery; kgateway and Gloo have no such field.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GuardMode>,
}

/// An expression.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRegexMatch {
    /// The expression.
    #[schemars(length(min = 1))]
    pub pattern: String,
    /// Its name in access logs; CUSTOM if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A kind of data.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GuardBuiltin {
    /// Social Security numbers of the United States.
    Ssn,
    /// Numbers of payment cards.
    CreditCard,
    /// Telephone numbers.
    PhoneNumber,
    /// Addresses of e-mail.
    Email,
}

/// Whether a guard acts upon what it finds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// It does.
    Enforce,
    /// It does not: metrics and access logs say what it would do, and nothing is changed, held back or refused.
    Shadow,
}

/// What becomes of a request in which something is found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GuardAction {
    /// It goes on with a mask in place of what was found.
    Mask,
    /// It is answered by the gateway.
    Reject,
}

/// What a policy says about guards, with the path of each of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardContent {
    /// The answer to a request that is rejected.
    pub custom_response: Option<CustomResponse>,
    /// What is looked for in requests.
    pub request: Option<GuardRegexContent>,
    /// What is looked for in answers.
    pub response: Option<GuardRegexContent>,
    /// The server that is asked about requests.
    pub request_webhook: Option<WebhookContent>,
    /// The moderation service that is asked about requests.
    pub moderation: Option<ModerationContent>,
    /// The server that is asked about answers.
    pub response_webhook: Option<WebhookContent>,
}

/// What is looked for; never nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRegexContent {
    /// Path of the field.
    pub field: String,
    /// What it says.
    pub regex: GuardRegex,
}

impl<W: ReadWebhook, M: ReadModeration> PromptGuard<W, M> {
    /// What it says in a policy of that namespace, if `field` is its path; adds the fields without effect to `ignored`.
    pub(crate) fn content(
        &self,
        field: &str,
        namespace: &str,
        ignored: &mut Vec<String>,
    ) -> Result<GuardContent, SpecError> {
        let regex = |phase: &str, regex: Option<&GuardRegex>| {
            let regex = regex.filter(|regex| !(regex.matches.is_empty() && regex.builtins.is_empty()))?;
            Some(GuardRegexContent { field: format!("{field}.{phase}.regex"), regex: regex.clone() })
        };
        let webhook = |phase: &str, webhook: Option<&W>| {
            webhook.map(|webhook| webhook.read(&format!("{field}.{phase}.webhook"))).transpose()
        };
        let request = self.request.as_ref();
        let response = self.response.as_ref();
        let moderation = request.and_then(|request| request.moderation.as_ref());
        let moderation =
            moderation.map(|moderation| moderation.read(&format!("{field}.request.moderation"), namespace));
        let answers = response.and_then(|response| response.regex.as_ref());
        if answers.is_some_and(|regex| regex.action == Some(GuardAction::Reject)) {
            ignored.push(format!("{field}.response.regex.action"));
        }
        Ok(GuardContent {
            custom_response: request.and_then(|request| request.custom_response.clone()),
            request: regex("request", request.and_then(|request| request.regex.as_ref())),
            response: regex("response", answers),
            request_webhook: webhook("request", request.and_then(|request| request.webhook.as_deref()))?,
            moderation: moderation.transpose()?,
            response_webhook: webhook("response", response.and_then(|response| response.webhook.as_deref()))?,
        })
    }
}
