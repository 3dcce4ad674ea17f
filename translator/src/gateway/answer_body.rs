//! Answers that the gateway gives itself, by DirectResponses.

use crds::policy::{Answer, AnswerBody};
use ir::{DirectResponse, LogFormat};
use serde_json::Value;

use super::{access_log, validate};
use crate::status::{Reason, Rejection};

/// Reads an answer.
///
/// # Errors
/// Envoy would refuse its format.
pub(super) fn read(answer: &Answer) -> Result<DirectResponse, Rejection> {
    let Answer { status, body } = answer;
    Ok(DirectResponse { status: *status, body: body.as_ref().map(read_body).transpose()? })
}

fn read_body(body: &AnswerBody) -> Result<ir::AnswerBody, Rejection> {
    let field = "spec.bodyFormat";
    let (format, content_type, usual) = match body {
        AnswerBody::Text(text) => return Ok(ir::AnswerBody::Text(text.clone())),
        AnswerBody::TextFormat { format, content_type } => {
            access_log::check_text(&format!("{field}.text"), format)?;
            (LogFormat::Text(format.clone()), content_type, "text/plain")
        }
        AnswerBody::JsonFormat { format, content_type } => {
            access_log::check_json(&format!("{field}.json"), format)?;
            let text = Value::Object(format.clone()).to_string();
            (LogFormat::Json(text), content_type, "application/json")
        }
    };
    let content_type = content_type.as_deref().unwrap_or(usual);
    validate::header_value(content_type)
        .map_err(|error| Rejection::at(Reason::Invalid, format!("{field}.contentType"), error))?;
    Ok(ir::AnswerBody::Format { format, content_type: content_type.to_owned() })
}
