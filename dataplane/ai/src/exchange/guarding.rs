//! Where a guard stands in an attempt: first at the request as the client sent it, last at the answer as the client gets it.

use ai_config::Schema;
use serde_json::json;

use super::{Exchange, Passage, Refusal, refusal};
use crate::framing::event_stream::write_message;
use crate::framing::media_type;
use crate::guard::{AnswerGuard, AnswerKind, BodyFault, Finding, Framing, Verdict};
use crate::protocol::{ClientProtocol, ErrorKind, error_body};

/// The status of an answer that must not pass.
pub(super) const BAD_GATEWAY: u16 = 502;

/// The guard of an answer under way.
#[derive(Debug)]
pub(super) struct Guarding {
    guard: AnswerGuard,
    /// Set where the answer is replaced as a whole.
    status: Option<u16>,
}

/// What guards have come to in one attempt; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the request.
    pub request: Option<Finding>,
    /// In the answer so far.
    pub response: Option<Finding>,
    /// In the request, by guards that only report.
    pub shadow_request: Option<Finding>,
    /// In the answer so far, by guards that only report.
    pub shadow_response: Option<Finding>,
}

impl Exchange {
    pub(super) fn guards_request(&self) -> bool {
        self.policy.guard.request.is_some() || self.asks_about_request()
    }

    fn guards_answer(&self) -> bool {
        self.policy.guard.response.is_some() || self.policy.guard.response_webhook.is_some()
    }

    /// What guards have come to so far.
    pub fn findings(&self) -> Findings {
        let mut response = self.guarding.as_ref().map(|guarding| guarding.guard.finding());
        if let Some(own) = self.answer_finding() {
            match &mut response {
                Some(response) => response.join(own.verdict, own.names.iter().cloned()),
                None => response = Some(own.clone()),
            }
        }
        Findings {
            request: self.request_finding.clone(),
            response,
            shadow_request: self.shadow.request().cloned(),
            shadow_response: self.shadow.answer(),
        }
    }

    /// Adds what a guard has come to with the request.
    pub(super) fn note_request(&mut self, verdict: Verdict, names: impl IntoIterator<Item = String>) {
        let none = Finding::nothing(Verdict::Passed);
        self.request_finding.get_or_insert(none).join(verdict, names);
    }

    /// Whether the body of the request can be inspected, as far as its head tells.
    pub(super) fn check_guardable(&self, is_encoded: bool, is_upgrade: bool) -> Result<(), Refusal> {
        if is_upgrade && (self.guards_request() || self.guards_answer()) {
            let message = "the prompt guard of this route cannot read connections that change their protocol";
            return Err(self.unreadable(400, "", message));
        }
        if is_encoded && self.guards_request() {
            let message = "the prompt guard of this route cannot read a body with a content-encoding";
            return Err(self.unreadable(415, "", message));
        }
        Ok(())
    }

    /// Looks at the request; gives the new body if something was masked.
    pub(super) fn guard_request(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let policy = self.policy.clone();
        let Some(guard) = &policy.guard.request else { return Ok(None) };
        match guard.inspect(body) {
            Ok((Finding { verdict, names }, new)) => {
                let is_rejected = verdict == Verdict::Rejected;
                self.note_request(verdict, names);
                if is_rejected { Err(Refusal::by_guard(&guard.rejection)) } else { Ok(new) }
            }
            Err(fault) => Err(self.unreadable_request(fault)),
        }
    }

    /// The answer to a request that cannot be looked at.
    pub(super) fn unreadable_request(&mut self, fault: BodyFault) -> Refusal {
        self.note_request(Verdict::Unreadable, []);
        let BodyFault { field, message } = fault;
        let message = match field {
            "" => cannot_read(&format!("the request body {message}")),
            _ => message,
        };
        self.unreadable(400, field, &message)
    }

    fn unreadable(&self, status: u16, field: &str, message: &str) -> Refusal {
        let body = self.client_error(status, field, message);
        Refusal { status, content_type: "application/json", body, details: "chancery_ai_guard_unreadable" }
    }

    /// What the client speaks, if it is not the provider's protocol.
    fn foreign(&self) -> Option<ClientProtocol> {
        match (&self.translation, self.spoken) {
            (Some(translation), _) => Some(translation.client),
            (None, super::Spoken::Foreign(client)) => Some(client),
            _ => None,
        }
    }

    /// An error in the form of the client's protocol.
    pub(super) fn client_error(&self, status: u16, field: &str, message: &str) -> Vec<u8> {
        match self.foreign() {
            Some(client) => {
                let text = if field.is_empty() { message.to_owned() } else { format!("{field}: {message}") };
                error_body(client, status, ErrorKind::from_status(status), None, &text)
            }
            None => refusal::error_body(self.facts.schema, status, field, message).to_string().into_bytes(),
        }
    }

    /// The answer begins; `passage` is what becomes of it without a guard.
    pub(super) fn begin_guarding(
        &mut self,
        passage: Passage,
        content_type: &str,
        is_encoded: bool,
    ) -> Passage {
        if !self.guards_answer() && !self.watches_answer() {
            return passage;
        }
        let (content_type, is_encoded) = match passage {
            Passage::Translated(content_type) => (content_type, is_encoded),
            Passage::Replaced => ("application/json", false),
            Passage::AsItIs | Passage::Changed => (content_type, is_encoded),
        };
        let kind = match self.framing_of(content_type) {
            _ if is_encoded => AnswerKind::Unreadable("the provider's answer has a content-encoding"),
            Ok(framing) => AnswerKind::Stream(framing),
            Err(is_json) if is_json => AnswerKind::Json,
            Err(_) => AnswerKind::Other,
        };
        self.shadow_begins(kind);
        if !self.guards_answer() {
            return passage;
        }
        self.framing = kind.framing();
        self.begin_asking(kind);
        if let Some(patterns) = self.policy.guard.response.clone() {
            self.guarding = Some(Guarding { guard: AnswerGuard::new(patterns, kind), status: None });
        }
        match passage {
            Passage::AsItIs => Passage::Changed,
            other => other,
        }
    }

    /// How a stream of this content type is framed.
    ///
    /// # Errors
    /// It is no stream: whether it is JSON.
    fn framing_of(&self, content_type: &str) -> Result<Framing, bool> {
        let kind = media_type(content_type);
        let is_json = kind == "application/json" || kind.ends_with("+json");
        match kind.as_str() {
            "text/event-stream" => Ok(Framing::Sse),
            "application/vnd.amazon.eventstream" => Ok(Framing::Aws),
            _ if is_json && self.is_stream() => Ok(Framing::Array),
            _ => Err(is_json),
        }
    }

    /// Whether nothing of the answer may go on, its head included, before [`Exchange::answer_ends`].
    pub fn holds_answer(&self) -> bool {
        let is_whole = self.guarding.as_ref().is_some_and(|guarding| guarding.guard.is_whole());
        is_whole || self.asks_about_whole_answer()
    }

    /// Status and content type of the answer that was put in place of the provider's, once that has ended.
    pub fn replaced(&self) -> Option<(u16, &'static str)> {
        let own = self.guarding.as_ref().and_then(|guarding| guarding.status);
        self.replaced_by_webhook().or(own.map(|status| (status, "application/json")))
    }

    /// What of an answer's piece goes on.
    pub(super) fn guard_piece(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        let result = self.guarding.as_mut().map_or(Ok(()), |guarding| guarding.guard.push(piece, &mut out));
        if let Err(why) = result {
            out.extend(self.stream_error(why));
        }
        out
    }

    /// What goes on at the end of an answer, whose last bytes are these.
    pub(super) fn guard_end(&mut self, rest: &[u8]) -> Vec<u8> {
        let mut out = self.guard_piece(rest);
        let Some(guarding) = self.guarding.as_mut() else { return out };
        let is_whole = guarding.guard.is_whole();
        if let Err(why) = guarding.guard.finish(&mut out) {
            if !is_whole {
                out.extend(self.stream_error(why));
                return out;
            }
            guarding.status = Some(BAD_GATEWAY);
            let message = cannot_read(why);
            return self.client_error(BAD_GATEWAY, "", &message);
        }
        out
    }

    /// The event that tells the client of a stream that it ends here.
    pub(super) fn stream_error(&self, why: &str) -> Vec<u8> {
        self.error_event(BAD_GATEWAY, &format!("{why}; the prompt guard of this route has ended it"))
    }

    /// The event of an error that ends a stream.
    pub(super) fn error_event(&self, status: u16, message: &str) -> Vec<u8> {
        let body = self.client_error(status, "", message);
        let text = String::from_utf8_lossy(&body);
        let is_responses = self.foreign() == Some(ClientProtocol::OpenAiResponses)
            || (self.foreign().is_none() && self.operation == crate::operation::Operation::Responses);
        let is_claude = self.foreign() == Some(ClientProtocol::AnthropicMessages)
            || (self.foreign().is_none() && self.facts.schema == Schema::Anthropic);
        match self.framing {
            Some(Framing::Aws) => {
                let headers = [
                    (":exception-type", "internalServerException"),
                    (":content-type", "application/json"),
                    (":message-type", "exception"),
                ];
                let mut out = Vec::new();
                // It is far below the limits of a message.
                let _ = write_message(&mut out, &headers, &body);
                out
            }
            Some(Framing::Array) => format!(",\n{text}]").into_bytes(),
            _ if is_responses => {
                let event =
                    json!({"type": "error", "code": "server_error", "message": message, "param": null});
                format!("event: error\ndata: {event}\n\n").into_bytes()
            }
            _ if is_claude => format!("event: error\ndata: {text}\n\n").into_bytes(),
            _ => format!("data: {text}\n\n").into_bytes(),
        }
    }
}

/// What a client is told whose request or answer does not pass since a guard cannot read it, for this reason.
pub(super) fn cannot_read(why: &str) -> String {
    format!("{why}, so that the prompt guard of this route cannot read it")
}
