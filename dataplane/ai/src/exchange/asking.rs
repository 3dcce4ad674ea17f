//! Where servers are asked in an attempt: webhooks first, about the request as the client sent it and about the answer as the
//! client gets it; moderation last, about what expressions have left of the request.

use super::guarding::{BAD_GATEWAY, cannot_read};
use super::{Exchange, Refusal};
use crate::guard::hooked::{HookedAnswer, Stop, WEBHOOK};
use crate::guard::hooks::{
    Decision, Hook, HookFault, Question, Reply, moderation_question, of_moderation, of_webhook,
};
use crate::guard::texts::Texts;
use crate::guard::{AnswerKind, Finding, Side, Verdict};

/// The status where a server that is to be asked is at fault.
const UNAVAILABLE: u16 = 503;

/// What comes next with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on with this body.
    Send(Vec<u8>),
    /// A server is asked; [`Exchange::hear`] has its answer.
    Ask(Question),
}

impl Step {
    /// The body, if the request goes on.
    pub fn into_body(self) -> Option<Vec<u8>> {
        match self {
            Self::Send(body) => Some(body),
            Self::Ask(_) => None,
        }
    }
}

/// The servers of an attempt.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Headers of the client's request that go with each question about it, and about the answer.
    request_headers: Vec<(String, Vec<u8>)>,
    response_headers: Vec<(String, Vec<u8>)>,
    request: Option<Asked>,
    answer: Option<HookedAnswer>,
    /// Status and content type of what stands in place of the answer.
    replaced: Option<(u16, &'static str)>,
}

/// A request that a server is asked about.
#[derive(Debug)]
struct Asked {
    server: Server,
    body: Vec<u8>,
    texts: Texts,
}

#[derive(Clone, Copy, Debug)]
enum Server {
    Webhook,
    Moderation,
}

impl Server {
    /// The name of what it has found.
    fn name(self) -> &'static str {
        match self {
            Self::Webhook => WEBHOOK,
            Self::Moderation => "MODERATION",
        }
    }
}

impl Exchange {
    /// Whether servers are asked about the request.
    pub(super) fn asks_about_request(&self) -> bool {
        self.policy.guard.request_webhook.is_some() || self.policy.guard.moderation.is_some()
    }

    /// Whether servers are asked, who may want headers of the client's request: see [`Self::note_headers`].
    pub fn asks(&self) -> bool {
        let shadow = &self.policy.guard.shadow;
        let by_shadow = shadow.request_webhook.is_some() || shadow.response_webhook.is_some();
        self.asks_about_request() || self.policy.guard.response_webhook.is_some() || by_shadow
    }

    /// Takes note of the headers of the client's request that go with questions; lower-case names.
    pub fn note_headers<'a>(&mut self, headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone) {
        let policy = self.policy.clone();
        let wanted = |hook: &Hook| hook.forwarded(headers.clone());
        self.asking.request_headers = policy.guard.request_webhook.as_ref().map(wanted).unwrap_or_default();
        self.asking.response_headers = policy.guard.response_webhook.as_ref().map(wanted).unwrap_or_default();
        self.note_shadow_headers(wanted);
    }

    /// Takes in the whole body of a request.
    ///
    /// # Errors
    /// It is not what this operation takes, or a guard does not let it pass.
    pub fn request(&mut self, body: Vec<u8>) -> Result<Step, Refusal> {
        self.request_bytes = body.len();
        match self.policy.guard.request_webhook {
            Some(_) => self.ask_about_request(Server::Webhook, body),
            None => self.inspect_request(body),
        }
    }

    /// The server that [`Step::Ask`] is about has answered, or, with `None`, has not.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn hear(&mut self, reply: Option<Reply<'_>>) -> Result<Step, Refusal> {
        let Some(Asked { server, body, texts }) = self.asking.request.take() else {
            return Err(Refusal::misconfigured(self.facts.schema, "nothing was asked about this request"));
        };
        let (policy, count) = (self.policy.clone(), texts.texts.len());
        let decision = match (server, &policy.guard.moderation) {
            (Server::Moderation, Some(moderation)) => of_moderation(reply, moderation, count),
            _ => of_webhook(reply, Side::Request, count),
        };
        match decision {
            Ok(Decision::Pass) => {
                self.note_request(Verdict::Passed, []);
                self.after(server, body)
            }
            Ok(Decision::Mask(new)) => {
                self.note_request(Verdict::Masked, [server.name().to_owned()]);
                self.after(server, texts.replaced(&body, &new))
            }
            Ok(Decision::Reject(rejection)) => {
                self.note_request(Verdict::Rejected, [server.name().to_owned()]);
                Err(Refusal::by_guard(&rejection))
            }
            Err(fault) => {
                self.note_request(Verdict::Unavailable, []);
                Err(self.unavailable(server, fault))
            }
        }
    }

    fn ask_about_request(&mut self, server: Server, body: Vec<u8>) -> Result<Step, Refusal> {
        let texts = match Texts::of_json(&body, Side::Request) {
            Ok(texts) => texts,
            Err(fault) => return Err(self.unreadable_request(fault)),
        };
        if texts.texts.is_empty() {
            return self.after(server, body);
        }
        let guard = &self.policy.guard;
        let question = match server {
            Server::Webhook => guard
                .request_webhook
                .as_ref()
                .map(|hook| hook.question(Side::Request, &texts.texts, &self.asking.request_headers)),
            Server::Moderation => {
                guard.moderation.as_ref().map(|moderation| moderation_question(moderation, &texts.texts))
            }
        };
        let Some(question) = question else { return self.after(server, body) };
        self.asking.request = Some(Asked { server, body, texts });
        Ok(Step::Ask(question))
    }

    /// The server has nothing against the request.
    fn after(&mut self, server: Server, body: Vec<u8>) -> Result<Step, Refusal> {
        match server {
            Server::Webhook => self.inspect_request(body),
            Server::Moderation => self.send_request(body),
        }
    }

    /// Looks for expressions and kinds of data in the request.
    fn inspect_request(&mut self, body: Vec<u8>) -> Result<Step, Refusal> {
        self.shadow_request(&body);
        let body = self.guard_request(&body)?.unwrap_or(body);
        self.consult_moderation(&body);
        match self.policy.guard.moderation {
            Some(_) => self.ask_about_request(Server::Moderation, body),
            None => self.send_request(body),
        }
    }

    /// Brings the request into the form that the provider wants.
    fn send_request(&mut self, body: Vec<u8>) -> Result<Step, Refusal> {
        if self.edits_body() {
            return Ok(Step::Send(self.edit_request(&body)?.unwrap_or(body)));
        }
        self.watch_request(&body);
        Ok(Step::Send(body))
    }

    fn unavailable(&self, server: Server, HookFault(why): HookFault) -> Refusal {
        let message = match server {
            Server::Webhook => webhook_fault(why),
            Server::Moderation => format!("the moderation of this route's prompt guard {why}"),
        };
        let body = self.client_error(UNAVAILABLE, "", &message);
        let details = "chancery_ai_guard_unavailable";
        Refusal { status: UNAVAILABLE, content_type: "application/json", body, details }
    }

    /// The answer begins.
    pub(super) fn begin_asking(&mut self, kind: AnswerKind) {
        let is_asked = self.policy.guard.response_webhook.is_some();
        self.asking.answer = is_asked.then(|| HookedAnswer::new(kind));
    }

    /// Whether a webhook is asked about the answer.
    pub(super) fn asks_about_answer(&self) -> bool {
        self.asking.answer.is_some()
    }

    /// Whether nothing of the answer may go on before the webhook was asked.
    pub(super) fn asks_about_whole_answer(&self) -> bool {
        self.asking.answer.as_ref().is_some_and(HookedAnswer::is_whole)
    }

    /// Whether the webhook has a say in what is still to come of the answer.
    pub fn has_open_question(&self) -> bool {
        self.asking.answer.as_ref().is_some_and(|answer| !answer.is_done())
    }

    /// What the webhook has come to with the answer so far.
    pub(super) fn answer_finding(&self) -> Option<&Finding> {
        self.asking.answer.as_ref().map(HookedAnswer::finding)
    }

    /// The next piece of the answer, or, with `is_end`, its last one: what of it goes on without a question.
    pub(super) fn hold_piece(&mut self, piece: &[u8], is_end: bool) -> Vec<u8> {
        let Some(answer) = &mut self.asking.answer else { return piece.to_vec() };
        let mut passed = Vec::new();
        let mut result = answer.push(piece, &mut passed);
        if is_end && result.is_ok() {
            result = answer.end(&mut passed);
        }
        self.pass_on(&passed, result.err())
    }

    /// What the webhook is asked about the answer now, if it is not being asked already; [`Self::hear_about_answer`] takes
    /// what it says. Appends what goes on without a question.
    pub fn ask_about_answer(&mut self, out: &mut Vec<u8>) -> Option<Question> {
        let answer = self.asking.answer.as_mut()?;
        let mut passed = Vec::new();
        let (texts, stop) = match answer.ask(&mut passed) {
            Ok(texts) => (texts, None),
            Err(stop) => (None, Some(stop)),
        };
        out.extend(self.pass_on(&passed, stop));
        let hook = self.policy.guard.response_webhook.as_ref()?;
        Some(hook.question(Side::Response, &texts?, &self.asking.response_headers))
    }

    /// The webhook has answered, or, with `None`, has not: what of the answer goes on.
    pub fn hear_about_answer(&mut self, reply: Option<Reply<'_>>) -> Vec<u8> {
        let Some(answer) = &mut self.asking.answer else { return Vec::new() };
        let mut passed = Vec::new();
        let decision = of_webhook(reply, Side::Response, answer.asked());
        let stop = answer.hear(decision, &mut passed).err();
        self.pass_on(&passed, stop)
    }

    /// What of the answer's bytes that the webhook has let pass goes on, and of what replaces the rest if it has not.
    fn pass_on(&mut self, passed: &[u8], stop: Option<Stop>) -> Vec<u8> {
        // Of an answer that is no stream, nothing has gone on yet.
        if let (Some(stop), None) = (&stop, &self.framing) {
            return self.replacement(stop);
        }
        let is_done = self.asking.answer.as_ref().is_some_and(HookedAnswer::is_done);
        let mut out = match (self.guarding.is_some(), is_done) {
            (false, _) => passed.to_vec(),
            (true, false) => self.guard_piece(passed),
            (true, true) => self.guard_end(passed),
        };
        if let Some(stop) = stop {
            out.extend(match stop {
                Stop::Rejected(rejection) => self.error_event(rejection.status, &rejection.message),
                Stop::Unreadable(why) => self.stream_error(why),
                Stop::Hook(HookFault(why)) => self.error_event(UNAVAILABLE, &webhook_fault(why)),
            });
        }
        out
    }

    /// What stands in place of an answer of which nothing has gone on.
    fn replacement(&mut self, stop: &Stop) -> Vec<u8> {
        self.guarding = None;
        let (status, message) = match stop {
            Stop::Rejected(rejection) => {
                let Refusal { status, content_type, body, .. } = Refusal::by_guard(rejection);
                self.asking.replaced = Some((status, content_type));
                return body;
            }
            Stop::Unreadable(why) => (BAD_GATEWAY, cannot_read(why)),
            Stop::Hook(HookFault(why)) => (UNAVAILABLE, webhook_fault(why)),
        };
        self.asking.replaced = Some((status, "application/json"));
        self.client_error(status, "", &message)
    }

    /// Status and content type of what the webhook has put in place of the answer.
    pub(super) fn replaced_by_webhook(&self) -> Option<(u16, &'static str)> {
        self.asking.replaced
    }
}

fn webhook_fault(why: &str) -> String {
    format!("the webhook of this route's prompt guard {why}")
}
