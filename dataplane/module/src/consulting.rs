//! Servers that guards ask in shadow mode. Nothing waits for them, and their answers may come when the request is over: so
//! Envoy's main thread asks them, for no stream.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use ai::exchange::{Consultation, Reply};
use ai::guard::Verdict;

use crate::abi::{Scope, Waker, Wakers};
use crate::metrics;
use crate::provider::PATIENCE;

/// So many questions may be open. Further ones are not asked: a server that is slow costs the proxy no more than that.
const MOST_OPEN: usize = 1024;

/// The questions of this proxy.
static CONSULTING: LazyLock<Mutex<Consulting>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Consulting {
    waiting: Vec<Consultation>,
    asked: HashMap<(Scope, u64), Consultation>,
    /// One for each configuration that can ask.
    wakers: Wakers,
}

/// From now on a configuration can ask.
pub(crate) fn begin(waker: Waker) {
    consulting().wakers.add(waker);
}

/// The configuration ends, and hears no answers.
pub(crate) fn end(scope: Scope) {
    let mut consulting = consulting();
    consulting.wakers.remove(scope);
    let lost: Vec<_> = consulting.asked.extract_if(|(of, _), _| *of == scope).collect();
    // Whoever was woken was perhaps this one.
    if !consulting.waiting.is_empty() {
        consulting.wakers.wake();
    }
    drop(consulting);
    lost.iter().for_each(|(_, consultation)| count(consultation, None));
}

/// These are to be asked.
pub(crate) fn ask(consultations: Vec<Consultation>) {
    if consultations.is_empty() {
        return;
    }
    let mut consulting = consulting();
    let room = MOST_OPEN.saturating_sub(consulting.waiting.len() + consulting.asked.len());
    let mut consultations = consultations.into_iter();
    consulting.waiting.extend(consultations.by_ref().take(room));
    consulting.wakers.wake();
    drop(consulting);
    consultations.for_each(|consultation| count(&consultation, None));
}

/// Asks what is to be asked, on the main thread.
pub(crate) fn tell(scope: Scope) {
    let waiting = std::mem::take(&mut consulting().waiting);
    for consultation in waiting {
        // Envoy may call back before this returns.
        match scope.ask(&consultation.question, PATIENCE) {
            Some(id) => drop(consulting().asked.insert((scope, id), consultation)),
            None => count(&consultation, None),
        }
    }
}

/// A server has answered, or, with `None`, has not.
pub(crate) fn hear(scope: Scope, id: u64, reply: Option<Reply<'_>>) {
    let consultation = consulting().asked.remove(&(scope, id));
    if let Some(consultation) = consultation {
        count(&consultation, reply);
    }
}

fn count(consultation: &Consultation, reply: Option<Reply<'_>>) {
    let verdict: Verdict = consultation.verdict(reply);
    metrics::count_guard(consultation.phase(), verdict);
}

fn consulting() -> MutexGuard<'static, Consulting> {
    CONSULTING.lock().unwrap_or_else(PoisonError::into_inner)
}
