//! `gateway.kgateway.dev/v1alpha1` DirectResponse: an answer that the gateway gives itself. Filters of HTTPRoutes name it.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::policy::{Answer, AnswerBody, Content, Policy, PolicyStatus, Target, UnusableTarget};
use crate::sensitive::Opaque;

/// The longest body that Envoy takes, in bytes (`RouteConfiguration.max_direct_response_body_size_bytes`).
const LONGEST_BODY: usize = 4096;

/// The statuses of answers that have no body (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
const WITHOUT_BODY: [u16; 3] = [204, 205, 304];

/// An answer that the gateway gives itself.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.kgateway.dev",
    version = "v1alpha1",
    kind = "DirectResponse",
    plural = "directresponses",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    category = "kgateway",
    label("app", "kgateway"),
    doc = "An answer that the gateway gives itself. Filters of HTTPRoutes name it.",
    printcolumn(
        name = "Status",
        type_ = "integer",
        json_path = ".spec.status",
        description = "The status code"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.body) && has(self.bodyFormat))").message("at most one of body and bodyFormat may be set")
)]
pub struct DirectResponseSpec {
    /// The status code.
    #[schemars(range(min = 200, max = 599))]
    pub status: i32,
    /// The body, which is sent as it stands here; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub body: Option<String>,
    /// What the body is made of for each request, in the language of Envoy's access logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_format: Option<BodyFormat>,
}

/// What a body is made of for each request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.text) != has(self.json)").message("exactly one of text and json must be set"))]
pub struct BodyFormat {
    /// The header content-type; text/plain of a text, and application/json of JSON, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub content_type: Option<String>,
    /// A text, which may hold Envoy's commands, such as %REQ(:PATH)%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub text: Option<String>,
    /// A JSON object, whose texts may hold Envoy's commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Opaque>,
}

impl BodyFormat {
    fn body(&self) -> Result<AnswerBody, SpecError> {
        let Self { content_type, text, json } = self;
        let content_type = content_type.clone();
        match (text, json) {
            (Some(format), None) if !format.is_empty() => {
                Ok(AnswerBody::TextFormat { format: format.clone(), content_type })
            }
            (None, Some(Opaque(serde_json::Value::Object(format)))) => {
                Ok(AnswerBody::JsonFormat { format: format.clone(), content_type })
            }
            (None, Some(_)) => Err(SpecError::invalid("spec.bodyFormat.json", "is not an object")),
            _ => Err(SpecError::invalid("spec.bodyFormat", "exactly one of text and json must be set")),
        }
    }
}

impl Policy for DirectResponse {
    fn targets(&self) -> Vec<Result<Target, UnusableTarget>> {
        Vec::new()
    }

    fn content(&self) -> Result<Content, SpecError> {
        let DirectResponseSpec { status, body, body_format } = &self.spec;
        let status = u16::try_from(*status).ok().filter(|status| (200..600).contains(status));
        let status = status.ok_or_else(|| SpecError::invalid("spec.status", "must be from 200 to 599"))?;
        let body = match (body, body_format) {
            (None, None) => None,
            (Some(body), None) if body.len() > LONGEST_BODY => {
                return Err(SpecError::invalid("spec.body", format!("has more than {LONGEST_BODY} bytes")));
            }
            (Some(body), None) => Some(AnswerBody::Text(body.clone())),
            (None, Some(format)) => Some(format.body()?),
            (Some(_), Some(_)) => {
                return Err(SpecError::invalid("spec", "at most one of body and bodyFormat may be set"));
            }
        };
        if body.is_some() && WITHOUT_BODY.contains(&status) {
            let field = if body_format.is_some() { "spec.bodyFormat" } else { "spec.body" };
            return Err(SpecError::invalid(field, format!("an answer with status {status} has none")));
        }
        Ok(Content { answer: Some(Answer { status, body }), ..Content::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(status: i32, body: Option<String>) -> Result<Content, String> {
        let spec = DirectResponseSpec { status, body, body_format: None };
        DirectResponse::new("a", spec).content().map_err(|error| error.path)
    }

    #[test]
    fn what_envoy_would_refuse_or_send_wrongly_is_refused() {
        let long = |character: &str, count: usize| Some(character.repeat(count));
        for (status, body, refused) in [
            (200, None, None),
            (204, None, None),
            (599, long("a", 4096), None),
            (200, long("a", 4097), Some("spec.body")),
            (200, long("ü", 2048), None),
            (200, long("ü", 2049), Some("spec.body")),
            (204, long("a", 1), Some("spec.body")),
            (205, long("a", 1), Some("spec.body")),
            (304, long("a", 1), Some("spec.body")),
            (199, None, Some("spec.status")),
            (600, None, Some("spec.status")),
            (-1, None, Some("spec.status")),
        ] {
            assert_eq!(content(status, body).err().as_deref(), refused, "{status}");
        }
    }
}
