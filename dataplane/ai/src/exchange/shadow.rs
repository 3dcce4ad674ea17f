//! Guards in shadow mode: what they would do is reported, and nothing of the request or the answer is changed, held back or
//! refused. Servers are asked while all goes on, and their answers may come when the request is over.

use ai_config::Moderation;

use super::Exchange;
use crate::guard::hooked::HookedAnswer;
use crate::guard::hooks::{
    Decision, Hook, HookFault, Question, Reply, moderation_question, of_moderation, of_webhook,
};
use crate::guard::texts::{Text, Texts};
use crate::guard::{AnswerGuard, AnswerKind, Finding, Side, Verdict};

/// Headers of the client's request that go with questions.
type Forwarded = Vec<(String, Vec<u8>)>;

/// The guards of an attempt that are in shadow mode.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// A copy of the request's body, as far as it has passed, where nobody else holds it.
    body: Vec<u8>,
    /// Whether the request was looked at.
    is_request_seen: bool,
    /// What is found in the request, once that is known.
    request: Option<Finding>,
    /// Looks at a copy of the answer.
    answer: Option<AnswerGuard>,
    /// A copy of the answer, of which a webhook is told.
    told: Option<HookedAnswer>,
    /// Those about the request, and those about the answer.
    headers: [Forwarded; 2],
    consultations: Vec<Consultation>,
}

/// A question to a server whose answer is only reported.
#[derive(Debug)]
pub struct Consultation {
    /// The question.
    pub question: Question,
    judge: Judge,
    about: Side,
    /// So many texts it is about.
    count: usize,
}

#[derive(Debug)]
enum Judge {
    Webhook,
    Moderation(Box<Moderation>),
}

impl Consultation {
    fn of_webhook(hook: &Hook, about: Side, texts: &[Text], headers: &[(String, Vec<u8>)]) -> Self {
        let question = hook.question(about, texts, headers);
        Self { question, judge: Judge::Webhook, about, count: texts.len() }
    }

    fn of_moderation(moderation: &Moderation, texts: &[Text]) -> Self {
        let question = moderation_question(moderation, texts);
        let judge = Judge::Moderation(Box::new(moderation.clone()));
        Self { question, judge, about: Side::Request, count: texts.len() }
    }

    /// The name of the phase in metrics.
    pub fn phase(&self) -> &'static str {
        match self.about {
            Side::Request => "request_shadow",
            Side::Response => "response_shadow",
        }
    }

    /// What the server would have done; it has answered, or, with `None`, has not.
    pub fn verdict(&self, reply: Option<Reply<'_>>) -> Verdict {
        let decision = match &self.judge {
            Judge::Webhook => of_webhook(reply, self.about, self.count),
            Judge::Moderation(moderation) => of_moderation(reply, moderation, self.count),
        };
        match decision {
            Ok(Decision::Pass) => Verdict::Passed,
            Ok(Decision::Mask(_)) => Verdict::Masked,
            Ok(Decision::Reject(_)) => Verdict::Rejected,
            Err(HookFault(_)) => Verdict::Unavailable,
        }
    }
}

impl Shadow {
    /// What is found in the request.
    pub(super) fn request(&self) -> Option<&Finding> {
        self.request.as_ref()
    }

    /// What is found in the answer so far. What a webhook says of it is not known here.
    pub(super) fn answer(&self) -> Option<Finding> {
        let unreadable = self.told.as_ref().map(HookedAnswer::finding);
        let unreadable = unreadable.filter(|finding| finding.verdict == Verdict::Unreadable);
        let found = self.answer.as_ref().map(AnswerGuard::finding);
        match (found, unreadable) {
            (Some(mut found), Some(_)) => {
                found.join(Verdict::Unreadable, []);
                Some(found)
            }
            (found, unreadable) => found.or(unreadable.cloned()),
        }
    }
}

impl Exchange {
    /// What servers are to be asked whose answers are only reported.
    pub fn take_consultations(&mut self) -> Vec<Consultation> {
        std::mem::take(&mut self.shadow.consultations)
    }

    fn watches_request(&self) -> bool {
        let guard = &self.policy.guard;
        let servers = &guard.shadow;
        guard.shadow_request.is_some() || servers.request_webhook.is_some() || servers.moderation.is_some()
    }

    pub(super) fn watches_answer(&self) -> bool {
        let guard = &self.policy.guard;
        guard.shadow_response.is_some() || guard.shadow.response_webhook.is_some()
    }

    /// Takes note of the headers of the client's request that servers want.
    pub(super) fn note_shadow_headers(&mut self, wanted: impl Fn(&Hook) -> Forwarded) {
        let servers = &self.policy.guard.shadow;
        let hooks = [&servers.request_webhook, &servers.response_webhook];
        self.shadow.headers = hooks.map(|hook| hook.as_ref().map(&wanted).unwrap_or_default());
    }

    /// The head of the request says that its body cannot be read.
    pub(super) fn shadow_cannot_read(&mut self) {
        if self.watches_request() {
            self.note_shadow(Finding::nothing(Verdict::Unreadable));
        }
    }

    /// The whole body of the request is there.
    pub(super) fn shadow_request(&mut self, body: &[u8]) {
        if !self.watches_request() || self.shadow.is_request_seen {
            return;
        }
        self.shadow.is_request_seen = true;
        let policy = self.policy.clone();
        let unreadable = || Finding::nothing(Verdict::Unreadable);
        if let Some(guard) = &policy.guard.shadow_request {
            self.note_shadow(guard.inspect(body).map_or_else(|_| unreadable(), |(finding, _)| finding));
        }
        if let Some(hook) = &policy.guard.shadow.request_webhook {
            self.consult(body, |texts, [headers, _]| {
                Consultation::of_webhook(hook, Side::Request, texts, headers)
            });
        }
    }

    /// The whole body of the request is there, without what expressions have masked.
    pub(super) fn consult_moderation(&mut self, body: &[u8]) {
        let policy = self.policy.clone();
        if let Some(moderation) = &policy.guard.shadow.moderation {
            self.consult(body, |texts, _| Consultation::of_moderation(moderation, texts));
        }
    }

    /// A server is to be asked about a request, if there is something to ask.
    fn consult(&mut self, body: &[u8], ask: impl Fn(&[Text], &[Forwarded; 2]) -> Consultation) {
        match Texts::of_json(body, Side::Request) {
            Ok(Texts { texts, .. }) if texts.is_empty() => {}
            Ok(Texts { texts, .. }) => {
                let consultation = ask(&texts, &self.shadow.headers);
                self.shadow.consultations.push(consultation);
            }
            Err(_) => self.note_shadow(Finding::nothing(Verdict::Unreadable)),
        }
    }

    /// A piece of a request passes that nobody holds back.
    pub fn request_passes(&mut self, piece: &[u8]) {
        self.watch_request(piece);
        if !self.watches_request() || self.shadow.is_request_seen {
            return;
        }
        let limit = usize::try_from(self.cluster.max_request_bytes).unwrap_or(usize::MAX);
        if self.shadow.body.len().saturating_add(piece.len()) > limit {
            self.shadow_cannot_read();
        } else {
            self.shadow.body.extend_from_slice(piece);
        }
    }

    /// A request that nobody holds back has passed whole.
    pub fn request_has_passed(&mut self) {
        if self.has_body && !self.shadow.is_request_seen {
            let body = std::mem::take(&mut self.shadow.body);
            self.shadow_request(&body);
            self.consult_moderation(&body);
        }
    }

    fn note_shadow(&mut self, finding: Finding) {
        match &mut self.shadow.request {
            Some(known) => known.join(finding.verdict, finding.names),
            none => *none = Some(finding),
        }
        self.shadow.is_request_seen = true;
        self.shadow.body = Vec::new();
    }

    /// The answer begins.
    pub(super) fn shadow_begins(&mut self, kind: AnswerKind) {
        let guard = &self.policy.guard;
        let patterns = guard.shadow_response.clone();
        self.shadow.answer = patterns.map(|patterns| AnswerGuard::new(patterns, kind));
        self.shadow.told = guard.shadow.response_webhook.as_ref().map(|_| HookedAnswer::new(kind));
    }

    /// A piece of the answer passes.
    pub(super) fn shadow_piece(&mut self, piece: &[u8]) {
        if let Some(guard) = &mut self.shadow.answer {
            // Why a stream would end here is part of the finding.
            let _ = guard.push(piece, &mut Vec::new());
        }
        self.tell_webhook(|answer, passed| answer.push(piece, passed).is_ok());
    }

    /// The answer has passed whole.
    pub(super) fn shadow_ends(&mut self, rest: &[u8]) {
        self.shadow_piece(rest);
        if let Some(guard) = &mut self.shadow.answer {
            let _ = guard.finish(&mut Vec::new());
        }
        self.tell_webhook(|answer, passed| answer.end(passed).is_ok());
    }

    /// More of the answer is there, of which the webhook is told, as if it let all of it pass.
    fn tell_webhook(&mut self, more: impl FnOnce(&mut HookedAnswer, &mut Vec<u8>) -> bool) {
        let (Some(hook), Some(answer)) = (&self.policy.guard.shadow.response_webhook, &mut self.shadow.told)
        else {
            return;
        };
        let mut passed = Vec::new();
        if !more(answer, &mut passed) {
            return;
        }
        while let Ok(Some(texts)) = answer.ask(&mut passed) {
            let [_, headers] = &self.shadow.headers;
            let consultation = Consultation::of_webhook(hook, Side::Response, &texts, headers);
            self.shadow.consultations.push(consultation);
            if answer.hear(Ok(Decision::Pass), &mut passed).is_err() {
                return;
            }
        }
    }
}
