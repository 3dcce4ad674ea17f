//! Prompt guards: what must not reach a provider or a client is found in requests and answers, and masked or refused.
//!
//! A guard looks at every string of a body, whatever the protocol, so that a member that nobody has thought of does not
//! pass it; what it cannot read does not pass either. [`canonical`] has the forms of a text in which it looks, [`patterns`]
//! what it looks for, [`document`] and [`body`] find and replace strings in JSON, and [`stream`] does the same in answers that
//! come piece by piece.

mod answer;
mod body;
mod canonical;
mod channel;
mod digits;
mod document;
mod email;
mod frames;
pub(crate) mod hooked;
pub mod hooks;
mod patterns;
mod slots;
mod stream;
pub(crate) mod texts;
mod unlabelled;

use std::collections::BTreeSet;
use std::sync::Arc;

use ai_config::{GuardAction, GuardPatterns, GuardRejection, Moderation, Webhook};

pub use answer::MAX_ANSWER;
pub(crate) use answer::{AnswerGuard, AnswerKind};
pub(crate) use body::{BodyFault, Side};
pub(crate) use frames::Framing;
pub use hooked::SEGMENT;
pub use patterns::{MAX_HOLD, PatternError};
pub use stream::MAX_HELD_EVENTS;

use hooks::Hook;
use patterns::{Entity, Patterns};

/// What a route looks for, ready for use.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub request: Option<RequestGuard>,
    pub response: Option<Arc<Patterns>>,
    /// What is looked for in requests and only reported.
    pub shadow_request: Option<RequestGuard>,
    /// The same in answers.
    pub shadow_response: Option<Arc<Patterns>>,
    pub request_webhook: Option<Hook>,
    pub moderation: Option<Moderation>,
    pub response_webhook: Option<Hook>,
    /// Servers that are asked, and what they decide is only reported.
    pub shadow: ShadowServers,
}

/// Servers whose decisions are only reported.
#[derive(Debug, Default)]
pub(crate) struct ShadowServers {
    pub request_webhook: Option<Hook>,
    pub moderation: Option<Moderation>,
    pub response_webhook: Option<Hook>,
}

/// What is looked for in requests, ready for use.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    patterns: Patterns,
    action: GuardAction,
    /// The answer to what is rejected.
    pub rejection: GuardRejection,
}

/// What a guard has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing was found.
    Passed,
    /// Something was found and masked.
    Masked,
    /// Something was found, and the request was answered by the gateway.
    Rejected,
    /// It could not be looked at, and did not pass.
    Unreadable,
    /// A server that was to be asked gave no answer, and it did not pass.
    Unavailable,
}

impl Verdict {
    /// Its name in metrics and access logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Masked => "masked",
            Self::Rejected => "rejected",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What a guard has found, for metrics and access logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What became of it.
    pub verdict: Verdict,
    /// The names of what was found: those of built-in kinds, and those that the policy gives its expressions.
    pub names: BTreeSet<String>,
}

impl Finding {
    /// What a guard has come to that has found nothing.
    pub(crate) fn nothing(verdict: Verdict) -> Self {
        Self { verdict, names: BTreeSet::new() }
    }

    /// Adds what another guard has come to.
    pub(crate) fn join(&mut self, verdict: Verdict, names: impl IntoIterator<Item = String>) {
        self.verdict = self.verdict.max(verdict);
        self.names.extend(names);
    }
}

impl Guard {
    /// Compiles what a route looks for.
    ///
    /// # Errors
    /// An expression cannot be used.
    pub(crate) fn new(guard: &ai_config::Guard) -> Result<Self, PatternError> {
        let request = guard.request.as_ref().map(|request| {
            Ok(RequestGuard {
                patterns: Patterns::new(&request.patterns)?,
                action: request.action,
                rejection: request.rejection.clone(),
            })
        });
        let request: Option<RequestGuard> = request.transpose()?;
        let response: Option<Arc<Patterns>> =
            guard.response.as_ref().map(Patterns::new).transpose()?.map(Into::into);
        let is_request_shadow = guard.request.as_ref().is_some_and(|request| request.patterns.is_shadow);
        let is_response_shadow = guard.response.as_ref().is_some_and(|response| response.is_shadow);
        let (shadow_request, request) = if is_request_shadow { (request, None) } else { (None, request) };
        let (shadow_response, response) =
            if is_response_shadow { (response, None) } else { (None, response) };
        let hook = |webhook: &Option<Webhook>, is_shadow: bool| {
            let webhook = webhook.as_ref().filter(|webhook| webhook.is_shadow == is_shadow);
            webhook.map(Hook::new).transpose()
        };
        let moderation = |is_shadow: bool| guard.moderation.clone().filter(|it| it.is_shadow == is_shadow);
        Ok(Self {
            request,
            response,
            shadow_request,
            shadow_response,
            request_webhook: hook(&guard.request_webhook, false)?,
            moderation: moderation(false),
            response_webhook: hook(&guard.response_webhook, false)?,
            shadow: ShadowServers {
                request_webhook: hook(&guard.request_webhook, true)?,
                moderation: moderation(true),
                response_webhook: hook(&guard.response_webhook, true)?,
            },
        })
    }
}

/// Whether all expressions can be used.
///
/// # Errors
/// One cannot be.
pub fn check(patterns: &GuardPatterns) -> Result<(), PatternError> {
    Patterns::new(patterns).map(drop)
}

impl RequestGuard {
    /// Looks at the body of a request; gives the new one if something was masked.
    pub(crate) fn inspect(&self, body: &[u8]) -> Result<(Finding, Option<Vec<u8>>), BodyFault> {
        let (masked, found) = body::masked(body, &self.patterns, body::Side::Request)?;
        let verdict = match (found.is_empty(), self.action) {
            (true, _) => Verdict::Passed,
            (false, GuardAction::Mask) => Verdict::Masked,
            (false, GuardAction::Reject) => Verdict::Rejected,
        };
        Ok((Finding { verdict, names: names(&self.patterns, &found) }, masked))
    }
}

/// The names of what was found.
fn names(patterns: &Patterns, found: &BTreeSet<Entity>) -> BTreeSet<String> {
    found.iter().map(|entity| patterns.name(*entity).to_owned()).collect()
}
