//! The clock of what requests share: a thread that sees when a shared reservation has been idle for long enough, and has Envoy's
//! main thread tell the service what was spent of it. Filters have no timer.

use std::sync::{Condvar, PoisonError};
use std::thread;
use std::time::Instant;

use ai::keys::settling::{PATH, Settling, TIMEOUT, is_settled};
use ai::keys::sharing::LINGER;

use crate::abi::{Answer, Scope, Waker, Wakers};
use crate::spending::{Running, running};

/// Told when something is to be waited for, where nothing was.
static CLOCK: Condvar = Condvar::new();

/// A part of what runs in this proxy.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    settling: Settling<(Scope, u64)>,
    /// One for each configuration that can tell the service.
    wakers: Wakers,
    /// When the thread looks next.
    at: Option<Instant>,
    is_running: bool,
}

impl Running {
    /// Whether what requests share will be settled.
    pub(crate) fn can_settle(&self) -> bool {
        !self.clock.wakers.is_empty()
    }

    /// Something waits from now on.
    pub(crate) fn wait(&mut self, now: Instant) {
        if self.clock.at.is_some() {
            return;
        }
        self.clock.at = Some(now + LINGER);
        if !self.clock.is_running {
            let thread = thread::Builder::new().name("chancery-clock".to_owned()).spawn(run);
            self.clock.is_running = thread.is_ok();
        }
        CLOCK.notify_one();
    }

    /// What is over is to be told, and somebody is woken to tell it.
    fn look(&mut self, now: Instant) {
        let settlements = self.sharing.settle(now);
        self.clock.settling.add(settlements, now);
        let tells = self.clock.settling.next();
        let is_due = tells.is_some_and(|at| at <= now);
        if is_due {
            self.clock.wakers.wake();
        }
        // Whoever was woken may be gone before it comes to that.
        let tells = tells.map(|at| if is_due { now + LINGER } else { at });
        self.clock.at = self.sharing.next().into_iter().chain(tells).min();
    }
}

/// From now on a configuration can tell the service what requests have shared.
pub(crate) fn begin(waker: Waker) {
    running().clock.wakers.add(waker);
}

/// The configuration ends.
pub(crate) fn end(scope: Scope) {
    let (mut running, now) = (running(), Instant::now());
    running.clock.wakers.remove(scope);
    running.clock.settling.forget(|(of, _)| *of == scope, now);
    if running.clock.settling.next().is_some() {
        running.wait(now);
    }
}

/// Tells the service what is to be told, on the main thread.
pub(crate) fn tell(scope: Scope, cluster: &str) {
    let now = Instant::now();
    let tellings = running().clock.settling.take(now);
    for telling in tellings {
        // Envoy may call back before this returns.
        let call = scope.call(cluster, PATH, &telling.message(), TIMEOUT);
        let mut running = running();
        match call {
            Some(id) => running.clock.settling.called((scope, id), telling),
            None => running.clock.settling.failed(telling, now),
        }
    }
}

/// The service has answered, or, with `None`, has not.
pub(crate) fn hear(scope: Scope, id: u64, answer: Option<Answer<'_>>) {
    let is_settled = answer
        .is_some_and(|Answer { grpc_status, reply }| is_settled(reply.status, grpc_status, reply.body.len()));
    let (mut running, now) = (running(), Instant::now());
    running.clock.settling.answered(&(scope, id), is_settled, now);
    if !is_settled {
        running.wait(now);
    }
}

/// The thread.
fn run() {
    let mut running = running();
    loop {
        let now = Instant::now();
        running = match running.clock.at {
            None => CLOCK.wait(running).unwrap_or_else(PoisonError::into_inner),
            Some(at) if at > now => {
                CLOCK.wait_timeout(running, at - now).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                running.look(now);
                running
            }
        };
    }
}
