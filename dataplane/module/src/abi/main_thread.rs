//! What a configuration does on Envoy's main thread without a stream: it is woken there, and calls a server.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::Duration;

use super::callbacks::*;
use ai::exchange::{Question, Reply};

use super::{Definer, Scope, answer, buffer, question_headers, status};
use crate::placement::Config;

/// Has a configuration woken on the main thread, from any thread. Envoy forgets it if the configuration has gone by then.
#[derive(Debug)]
pub(crate) struct Waker {
    scheduler: *mut c_void,
    scope: Scope,
}

// SAFETY: Envoy's scheduler only posts to the dispatcher of the main thread, which any thread may do; the dispatcher outlives the
// configurations, and whoever has a waker drops it before its configuration ends.
unsafe impl Send for Waker {}

impl Waker {
    /// One for the configuration that is being created.
    pub(crate) fn new(definer: &Definer) -> Option<Self> {
        // SAFETY: the configuration is being created, on the main thread.
        let scheduler = unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_new(definer.0) };
        (!scheduler.is_null()).then(|| Self { scheduler, scope: definer.scope() })
    }

    /// Has [`Config::on_wake`] called.
    fn wake(&self) {
        // SAFETY: the scheduler is ours until it is dropped.
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self.scheduler, 0) }
    }
}

/// Those of all configurations that can do something. One of them is enough for it.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    /// One more.
    pub(crate) fn add(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    /// The configuration ends.
    pub(crate) fn remove(&mut self, scope: Scope) {
        self.0.retain(|waker| waker.scope != scope);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Has one of them woken, if there is one.
    pub(crate) fn wake(&self) {
        self.0.iter().take(1).for_each(Waker::wake);
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        // SAFETY: it was made by Envoy for us, and is given back once.
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_delete(self.scheduler) }
    }
}

thread_local! {
    /// The configuration that is calling a server just now, as [`ASKING`](super::ASKING) for filters.
    static CALLING: Cell<EnvoyConfig> = const { Cell::new(ptr::null_mut()) };
}

impl Scope {
    /// Calls a method of gRPC with one message. To be used on the main thread alone. [`Config::on_answer`] is called later with what this gives,
    /// unless it gives `None`: then nobody was called.
    pub(crate) fn call(self, cluster: &str, path: &str, message: &[u8], timeout: Duration) -> Option<u64> {
        let headers = [
            (":method", "POST"),
            (":path", path),
            (":authority", cluster),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let headers = headers.map(|(name, value)| ModuleHeader {
            key: buffer(name.as_bytes()),
            value: buffer(value.as_bytes()),
        });
        self.send(cluster, &mut headers.into(), message, timeout)
    }

    /// Asks a server, in the same way.
    pub(crate) fn ask(self, question: &Question, timeout: Duration) -> Option<u64> {
        self.send(&question.cluster, &mut question_headers(question), &question.body, timeout)
    }

    fn send(
        self,
        cluster: &str,
        headers: &mut Vec<ModuleHeader>,
        body: &[u8],
        timeout: Duration,
    ) -> Option<u64> {
        let mut id = 0;
        CALLING.set(self.0);
        // SAFETY: the configuration is alive, since it was woken or whoever has it does not use it after its end; `id` is ours; Envoy
        // copies everything else before the call returns.
        let result = unsafe {
            envoy_dynamic_module_callback_http_filter_config_http_callout(
                self.0,
                &raw mut id,
                buffer(cluster.as_bytes()),
                headers.as_mut_ptr(),
                headers.len(),
                buffer(body),
                u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            )
        };
        CALLING.set(ptr::null_mut());
        (result == 0).then_some(id)
    }
}

/// What a server has answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The status of gRPC, where it stands in the header.
    pub(crate) grpc_status: Option<&'a [u8]>,
    /// The status of HTTP and the body.
    pub(crate) reply: Reply<'a>,
}

/// Runs the logic of a hook of a configuration.
fn guarded(config: *const c_void, run: impl FnOnce(&Config)) {
    // SAFETY: it is what `on_http_filter_config_new` returned, and Envoy calls no hook of it once it was given back.
    if let Some(config) = unsafe { config.cast::<Config>().as_ref() } {
        drop(catch_unwind(AssertUnwindSafe(|| run(config))));
    }
}

hook!(envoy_dynamic_module_on_http_filter_config_scheduled(envoy: EnvoyConfig, config: *const c_void, _event: u64) {
    guarded(config, |config| config.on_wake(Scope(envoy)));
});

hook!(envoy_dynamic_module_on_http_filter_config_http_callout_done(envoy: EnvoyConfig, config: *const c_void, id: u64, result: u32, headers: *const EnvoyHeader, header_count: usize, body: *const EnvoyBuffer, body_count: usize) {
    if CALLING.get() == envoy {
        return;
    }
    // SAFETY: Envoy says that so much is there, until the hook returns.
    let (headers, body) = unsafe { answer(result, (headers, header_count), (body, body_count)) };
    let answer = status(&headers).map(|status| Answer {
        grpc_status: headers.get("grpc-status"),
        reply: Reply { status, body: &body },
    });
    guarded(config, |config| config.on_answer(Scope(envoy), id, answer));
});
