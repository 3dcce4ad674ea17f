//! Envoy's dynamic-module ABI, version 0.2.0 (Envoy 1.40), as far as an HTTP filter of ours uses it.
//!
//! All `unsafe` code of the project is in this file and `main_thread`, and the declarations of the callbacks are in `callbacks`. It turns the C functions that Envoy calls (*hooks*) into calls of
//! [`Filter`] and [`Config`], and the C functions that Envoy offers (*callbacks*) into safe methods of [`Stream`] and
//! [`Definer`]. The ABI's source is Envoy's header `source/extensions/dynamic_modules/abi/abi.h`.
//!
//! What holds for all of it, by the ABI's contract:
//! - A pointer that Envoy hands to a hook is valid for the duration of that hook.
//! - Hooks of one filter run on the thread of its worker, one after the other; hooks of a configuration's creation run
//!   on the main thread, and its other uses may be on any thread at a time.
//! - What a callback returns as bytes belongs to Envoy, and stays as it is until the filter changes the same map or
//!   buffer, or the hook returns.
//!
//! A panic does not leave this file: see [`guarded`].

mod callbacks;

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::Duration;

use ai::exchange::{Question, Refusal, Reply};
use ai::metadata::Metadata;

use self::callbacks::*;
use crate::placement::{BodyStatus, Config, Filter, HeadersStatus};

/// The ABI that this module is built for. Envoy warns where its own is another.
const ABI_VERSION: &CStr = c"v0.2.0";

/// A map of headers of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum HeaderMap {
    /// The request's headers, pseudo-headers among them.
    Request = 0,
    /// The response's headers.
    Response = 2,
}

/// A part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Body {
    /// The piece of the request that has just come.
    Request = 0,
    /// What goes on when a request that was stopped goes on.
    StoppedRequest = 1,
    /// The piece of the response that has just come.
    Response = 2,
    /// What goes on when a response that was stopped goes on.
    StoppedResponse = 3,
}

/// Where metadata stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum MetadataSource {
    /// Of the request, written by filters.
    #[allow(dead_code, reason = "the values are those of the ABI")]
    Dynamic = 0,
    /// Of the route.
    Route = 1,
}

/// How urgent a line of Envoy's log is.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum LogLevel {
    /// For a person to look at.
    Error = 4,
}

/// A counter of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(usize);

/// A histogram of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram(usize);

/// A callback that defines a metric.
type Define = unsafe extern "C" fn(EnvoyConfig, ModuleBuffer, *const ModuleBuffer, usize, *mut usize) -> u32;

/// What a new configuration can define.
pub(crate) struct Definer(EnvoyConfig);

impl Definer {
    /// Defines a counter with these labels; `None` if Envoy refuses.
    pub(crate) fn counter(&mut self, name: &str, labels: &[&str]) -> Option<Counter> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_counter, name, labels)
            .map(Counter)
    }

    /// Defines a histogram with these labels; `None` if Envoy refuses.
    pub(crate) fn histogram(&mut self, name: &str, labels: &[&str]) -> Option<Histogram> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_histogram, name, labels)
            .map(Histogram)
    }

    fn define(&mut self, define: Define, name: &str, labels: &[&str]) -> Option<usize> {
        let labels: Vec<ModuleBuffer> = labels.iter().map(|label| buffer(label.as_bytes())).collect();
        let mut id = 0;
        // SAFETY: the configuration is being created; the names live until the call returns, and Envoy copies them.
        let result =
            unsafe { define(self.0, buffer(name.as_bytes()), labels.as_ptr(), labels.len(), &raw mut id) };
        (result == 0).then_some(id)
    }

    /// The configuration, for filters of other configurations that count by its metrics.
    pub(crate) fn scope(&self) -> Scope {
        Scope(self.0)
    }
}

/// A configuration whose metrics filters of other configurations use. Whoever has one must use it no more once
/// `on_http_filter_config_destroy` has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope(EnvoyConfig);

// SAFETY: it is used for Envoy's callbacks that count, which look up what was defined while the configuration was created,
// and change counters that any thread may change: Envoy calls the same code on every worker for filters.
unsafe impl Send for Scope {}
// SAFETY: as above.
unsafe impl Sync for Scope {}

/// By what metrics are counted: the stream of a filter, for those of its own configuration, or another configuration.
pub(crate) trait Recorder {
    /// Adds to a counter, with a value for each of its labels.
    fn count(&self, counter: Counter, labels: &[&str], value: u64);

    /// Adds a value to a histogram, with a value for each of its labels.
    fn record(&self, histogram: Histogram, labels: &[&str], value: u64);
}

/// A callback that changes a metric.
type Change = unsafe extern "C" fn(*mut c_void, usize, *const ModuleBuffer, usize, u64) -> u32;

/// Calls it.
///
/// # Safety
/// The filter or configuration is alive, and the callback is one for it.
unsafe fn change(change: Change, of: *mut c_void, id: usize, labels: &[&str], value: u64) {
    let labels: Vec<ModuleBuffer> = labels.iter().map(|label| buffer(label.as_bytes())).collect();
    // SAFETY: the caller vouches for the pointer; Envoy copies the labels, and refuses an id that it does not know.
    unsafe { change(of, id, labels.as_ptr(), labels.len(), value) };
}

impl Recorder for Stream {
    fn count(&self, counter: Counter, labels: &[&str], value: u64) {
        // SAFETY: the filter is alive during its hook.
        unsafe {
            change(
                envoy_dynamic_module_callback_http_filter_increment_counter,
                self.0,
                counter.0,
                labels,
                value,
            );
        }
    }

    fn record(&self, histogram: Histogram, labels: &[&str], value: u64) {
        let callback = envoy_dynamic_module_callback_http_filter_record_histogram_value;
        // SAFETY: the filter is alive during its hook.
        unsafe { change(callback, self.0, histogram.0, labels, value) };
    }
}

impl Recorder for Scope {
    fn count(&self, counter: Counter, labels: &[&str], value: u64) {
        let callback = envoy_dynamic_module_callback_http_filter_config_increment_counter;
        // SAFETY: the configuration is alive, since whoever has it does not use it after its end.
        unsafe { change(callback, self.0, counter.0, labels, value) };
    }

    fn record(&self, histogram: Histogram, labels: &[&str], value: u64) {
        let callback = envoy_dynamic_module_callback_http_filter_config_record_histogram_value;
        // SAFETY: as above.
        unsafe { change(callback, self.0, histogram.0, labels, value) };
    }
}

/// All headers of a map, as they are until it changes. To look at several of them costs less than to ask for each one.
pub(crate) struct Headers<'a> {
    all: Vec<EnvoyHeader>,
    stream: PhantomData<&'a Stream>,
}

impl<'a> Headers<'a> {
    /// The first value of a header; lower-case `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        // SAFETY: names and values belong to the header map, which changes only through `&mut Stream`.
        let text = |buffer| unsafe { bytes::<'a>(buffer) };
        let is_wanted =
            |header: &&EnvoyHeader| header.key.length == name.len() && text(header.key) == name.as_bytes();
        self.all.iter().find(is_wanted).map(|header| text(header.value))
    }

    /// Names, in lower case, and values. A name that is no text is left out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone {
        self.all.iter().filter_map(|header| {
            // SAFETY: as above.
            let (name, value) = unsafe { (bytes::<'a>(header.key), bytes::<'a>(header.value)) };
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }
}

/// The stream that a filter belongs to, for the duration of one hook.
pub(crate) struct Stream(EnvoyFilter);

impl Stream {
    /// The first value of a header; lower-case `name`.
    pub(crate) fn header(&self, map: HeaderMap, name: &str) -> Option<&[u8]> {
        let mut result = EMPTY;
        // SAFETY: the filter is alive during its hook; `result` is ours; a null `count` means that it is not asked for.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_header(
                self.0,
                map as u32,
                buffer(name.as_bytes()),
                &raw mut result,
                0,
                ptr::null_mut(),
            )
        };
        // SAFETY: the value belongs to the header map, which changes only through `&mut self`.
        found.then(|| unsafe { bytes(result) })
    }

    /// All headers of a map.
    pub(crate) fn headers(&self, map: HeaderMap) -> Headers<'_> {
        // SAFETY: the filter is alive during its hook.
        let count = unsafe { envoy_dynamic_module_callback_http_get_headers_size(self.0, map as u32) };
        let mut all = vec![EnvoyHeader { key: EMPTY, value: EMPTY }; count];
        // SAFETY: there is room for as many headers as Envoy has just counted, and nothing changed since.
        let found =
            unsafe { envoy_dynamic_module_callback_http_get_headers(self.0, map as u32, all.as_mut_ptr()) };
        if !found {
            all.clear();
        }
        Headers { all, stream: PhantomData }
    }

    /// Sets a header to one value, whatever it held.
    pub(crate) fn set_header(&mut self, map: HeaderMap, name: &str, value: &[u8]) {
        // SAFETY: the filter is alive during its hook; Envoy copies name and value.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(
                self.0,
                map as u32,
                buffer(name.as_bytes()),
                buffer(value),
            );
        }
    }

    /// Sets a header that is there once at most, unless it has this value: to find that out costs less.
    pub(crate) fn ensure_header(&mut self, map: HeaderMap, name: &str, value: &[u8]) {
        if self.header(map, name) != Some(value) {
            self.set_header(map, name, value);
        }
    }

    /// Removes a header.
    pub(crate) fn remove_header(&mut self, map: HeaderMap, name: &str) {
        let nothing = ModuleBuffer { ptr: ptr::null(), length: 0 };
        // SAFETY: as above; a null value is the ABI's sign for removing.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(
                self.0,
                map as u32,
                buffer(name.as_bytes()),
                nothing,
            );
        }
    }

    /// Calls `take` with each piece of memory of a body, in order.
    pub(crate) fn body(&self, body: Body, mut take: impl FnMut(&[u8])) {
        // SAFETY: the filter is alive during its hook.
        let count = unsafe { envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, body as u32) };
        if count == 0 {
            return;
        }
        let mut few = [EMPTY; FEW];
        let mut many = Vec::new();
        let chunks = match few.get_mut(..count) {
            Some(few) => few,
            None => {
                many.resize(count, EMPTY);
                &mut many
            }
        };
        // SAFETY: there is room for as many pieces as Envoy has just counted, and nothing changed since.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_body_chunks(self.0, body as u32, chunks.as_mut_ptr())
        };
        if found {
            for chunk in chunks.iter().copied() {
                // SAFETY: the piece belongs to the buffer, which changes only through `&mut self`.
                take(unsafe { bytes(chunk) });
            }
        }
    }

    /// Puts this into a body that was stopped, for when it goes on. An end of the stream needs it, too, with no data.
    pub(crate) fn append_body(&mut self, body: Body, data: &[u8]) {
        let needed = u64::try_from(data.len()).unwrap_or(u64::MAX).saturating_add(1);
        // SAFETY: the filter is alive during its hook; Envoy copies the data. A buffer that got more than its limit here would
        // have Envoy answer the request itself and end the filter, which Envoy 1.40 does not outlive, so the limit is raised.
        unsafe {
            if envoy_dynamic_module_callback_http_get_buffer_limit(self.0) < needed {
                envoy_dynamic_module_callback_http_set_buffer_limit(self.0, needed);
            }
            envoy_dynamic_module_callback_http_append_body(self.0, body as u32, buffer(data));
        }
    }

    /// Asks a server. The hook for its answer is called later, unless this gives `false`: then nobody was asked.
    pub(crate) fn ask(&mut self, question: &Question, timeout: Duration) -> bool {
        let mut headers = question_headers(question);
        let mut id = 0;
        ASKING.set(self.0);
        // SAFETY: the filter is alive during its hook; `id` is ours; Envoy copies everything else before the call returns.
        let result = unsafe {
            envoy_dynamic_module_callback_http_filter_http_callout(
                self.0,
                &raw mut id,
                buffer(question.cluster.as_bytes()),
                headers.as_mut_ptr(),
                headers.len(),
                buffer(&question.body),
                u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            )
        };
        ASKING.set(ptr::null_mut());
        result == 0
    }

    /// Takes everything out of the body of a hook and puts this in its place.
    pub(crate) fn replace_body(&mut self, body: Body, data: &[u8]) {
        // SAFETY: the filter is alive during its hook; Envoy copies the data.
        unsafe {
            let size = envoy_dynamic_module_callback_http_get_body_size(self.0, body as u32);
            if size > 0 {
                envoy_dynamic_module_callback_http_drain_body(self.0, body as u32, size);
            }
            if !data.is_empty() {
                envoy_dynamic_module_callback_http_append_body(self.0, body as u32, buffer(data));
            }
        }
    }

    /// Has the body of a hook be this. What came in one piece and is not changed is there already, and stays.
    pub(crate) fn ensure_body(&mut self, body: Body, data: &[u8]) {
        let mut rest = Some(data);
        self.body(body, |piece| rest = rest.and_then(|rest| rest.strip_prefix(piece)));
        if rest.is_none_or(|rest| !rest.is_empty()) {
            self.replace_body(body, data);
        }
    }

    /// Answers the request from here.
    pub(crate) fn respond(&mut self, status: u16, content_type: &str, body: &[u8], details: &str) {
        let mut header =
            ModuleHeader { key: buffer(b"content-type"), value: buffer(content_type.as_bytes()) };
        // SAFETY: the filter is alive during its hook; Envoy copies everything before the call returns.
        unsafe {
            envoy_dynamic_module_callback_http_send_response(
                self.0,
                u32::from(status),
                &raw mut header,
                1,
                buffer(body),
                buffer(details.as_bytes()),
            );
        }
    }

    /// A string of metadata.
    pub(crate) fn metadata(&self, source: MetadataSource, namespace: &str, key: &str) -> Option<&[u8]> {
        let mut result = EMPTY;
        // SAFETY: the filter is alive during its hook; `result` is ours.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_metadata_string(
                self.0,
                source as u32,
                buffer(namespace.as_bytes()),
                buffer(key.as_bytes()),
                &raw mut result,
            )
        };
        // SAFETY: the value belongs to the route or the stream; both outlive the hook.
        found.then(|| unsafe { bytes(result) })
    }

    /// What this request was given before, at this attempt or an earlier one. No log shows it.
    pub(crate) fn state(&self, key: &str) -> Option<&[u8]> {
        let mut result = EMPTY;
        // SAFETY: the filter is alive during its hook; `result` is ours.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_filter_state_bytes(
                self.0,
                buffer(key.as_bytes()),
                &raw mut result,
            )
        };
        // SAFETY: the value belongs to the request, and is written once.
        found.then(|| unsafe { bytes(result) })
    }

    /// Gives the request something to keep for all of its attempts. It can be given once.
    pub(crate) fn set_state(&mut self, key: &str, value: &[u8]) {
        // SAFETY: the filter is alive during its hook; Envoy copies both.
        unsafe {
            envoy_dynamic_module_callback_http_set_filter_state_bytes(
                self.0,
                buffer(key.as_bytes()),
                buffer(value),
            );
        }
    }

    /// Merges values into the stream's dynamic metadata.
    pub(crate) fn set_metadata(&mut self, namespace: &str, values: &Metadata) {
        // SAFETY: the filter is alive during its hook; Envoy copies everything.
        unsafe {
            envoy_dynamic_module_callback_http_set_dynamic_metadata_struct(
                self.0,
                buffer(namespace.as_bytes()),
                buffer(values.as_bytes()),
            );
        }
    }

    /// Has the route chosen again, when it is asked for next.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the filter is alive during its hook.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
    }

    /// Has the route chosen now, if that is still to be done: without a route there are no metadata of one.
    pub(crate) fn choose_route(&mut self) {
        let mut name = EMPTY;
        // SAFETY: the filter is alive during its hook; `name` is ours. Envoy looks for the route to tell its cluster.
        unsafe { envoy_dynamic_module_callback_http_get_cluster_name(self.0, &raw mut name) };
    }

    /// Has the route choose its cluster again.
    pub(crate) fn refresh_cluster(&mut self) {
        // SAFETY: the filter is alive during its hook; Envoy does nothing where there is no route.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cluster_cache(self.0) }
    }
}

thread_local! {
    /// The filter that is asking a server just now. Envoy answers at once where no host of the server's is known: its hook is
    /// called inside of the one that asks, which has the filter. The question counts as not asked then.
    static ASKING: Cell<EnvoyFilter> = const { Cell::new(ptr::null_mut()) };
}

/// What happens to a stream behind a hook that is not one of the stream's own. Whatever it is, it runs the stream's hooks
/// and may end the filter, so that nothing may have the filter any more.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing.
    Wait,
    /// The request goes on.
    SendRequest,
    /// The response goes on.
    SendResponse,
    /// The request is answered from here.
    Respond(Refusal),
}

impl Next {
    fn run(self, envoy: EnvoyFilter) {
        match self {
            Self::Wait => {}
            // SAFETY: Envoy keeps its side of the filter until the hook has returned, and nothing has ours.
            Self::SendRequest => unsafe {
                envoy_dynamic_module_callback_http_filter_continue_decoding(envoy);
            },
            // SAFETY: as above.
            Self::SendResponse => unsafe {
                envoy_dynamic_module_callback_http_filter_continue_encoding(envoy);
            },
            Self::Respond(Refusal { status, content_type, body, details }) => {
                Stream(envoy).respond(status, content_type, &body, details);
            }
        }
    }
}

/// Writes a line into Envoy's log.
pub(crate) fn log(level: LogLevel, message: &str) {
    // SAFETY: Envoy copies the message.
    unsafe { envoy_dynamic_module_callback_log(level as u32, buffer(message.as_bytes())) }
}

/// The head of a question.
fn question_headers(question: &Question) -> Vec<ModuleHeader> {
    let own = [
        (":method", "POST"),
        (":path", &question.path),
        (":authority", &question.authority),
        ("content-type", "application/json"),
    ];
    let forwarded = question.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let all = own.into_iter().map(|(name, value)| (name, value.as_bytes())).chain(forwarded);
    all.map(|(name, value)| ModuleHeader { key: buffer(name.as_bytes()), value: buffer(value) }).collect()
}

/// The status of an answer.
fn status(headers: &Headers<'_>) -> Option<u16> {
    std::str::from_utf8(headers.get(":status")?).ok()?.parse().ok()
}

/// What a server has answered: the headers, none if it has not, and the body.
///
/// # Safety
/// So many headers and pieces of a body must be there for `'a`, where the pointers are not null.
unsafe fn answer<'a>(
    result: u32,
    (headers, header_count): (*const EnvoyHeader, usize),
    (body, body_count): (*const EnvoyBuffer, usize),
) -> (Headers<'a>, Vec<u8>) {
    let (mut all, mut text) = (Vec::new(), Vec::new());
    if result == 0 && !headers.is_null() {
        // SAFETY: the caller vouches for them.
        all.extend_from_slice(unsafe { std::slice::from_raw_parts(headers, header_count) });
        if !body.is_null() {
            // SAFETY: as above.
            for piece in unsafe { std::slice::from_raw_parts(body, body_count) } {
                // SAFETY: as above.
                text.extend_from_slice(unsafe { bytes(*piece) });
            }
        }
    }
    (Headers { all, stream: PhantomData }, text)
}

/// So many pieces of a body are told without an allocation.
const FEW: usize = 16;

const EMPTY: EnvoyBuffer = EnvoyBuffer { ptr: ptr::null(), length: 0 };

fn buffer(data: &[u8]) -> ModuleBuffer {
    ModuleBuffer { ptr: data.as_ptr(), length: data.len() }
}

/// The bytes of a buffer of Envoy's.
///
/// # Safety
/// The buffer must stay as it is for `'a`.
unsafe fn bytes<'a>(buffer: EnvoyBuffer) -> &'a [u8] {
    if buffer.ptr.is_null() {
        return &[];
    }
    // SAFETY: Envoy has said that so many bytes are there; the caller vouches for how long.
    unsafe { std::slice::from_raw_parts(buffer.ptr, buffer.length) }
}

// --- hooks ---

/// A hook that Envoy looks up by its name.
macro_rules! hook {
    ($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        /// A hook of the ABI: see the documentation of this file.
        // SAFETY: the name and the signature are those of the ABI's header; nothing else in the program has this name.
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $type),*) $(-> $result)? $body
    };
}

/// Runs the logic of a hook of a stream. If it panics, the request is answered with 500 and the stream is given up:
/// what the filter should have done to it is not known to be done.
fn guarded<T>(
    envoy: EnvoyFilter,
    module: *const c_void,
    failed: T,
    run: impl FnOnce(&mut Filter, &mut Stream) -> T,
) -> T {
    // SAFETY: `module` is what `on_http_filter_new` returned, is given back only by `on_http_filter_destroy`, and no
    // two hooks of one filter run at a time.
    let Some(filter) = (unsafe { module.cast_mut().cast::<Filter>().as_mut() }) else { return failed };
    let mut stream = Stream(envoy);
    match catch_unwind(AssertUnwindSafe(|| run(filter, &mut stream))) {
        Ok(value) => value,
        Err(_) => {
            filter.give_up();
            stream.respond(500, "text/plain", b"the AI engine failed on this request", "chancery_ai_panic");
            failed
        }
    }
}

hook!(envoy_dynamic_module_on_program_init() -> *const c_char {
    // The message of a panic may hold what the panic was about; only the place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log(LogLevel::Error, &format!("chancery: the AI engine failed at {place}"));
    }));
    ABI_VERSION.as_ptr()
});

hook!(envoy_dynamic_module_on_http_filter_config_new(config: EnvoyConfig, name: EnvoyBuffer, settings: EnvoyBuffer) -> *const c_void {
    // SAFETY: both live until the hook returns.
    let (name, settings) = unsafe { (bytes(name), bytes(settings)) };
    let parsed = catch_unwind(AssertUnwindSafe(|| Config::new(name, settings, &mut Definer(config))));
    match parsed {
        Ok(Ok(parsed)) => Box::into_raw(Box::new(parsed)).cast_const().cast(),
        Ok(Err(message)) => {
            log(LogLevel::Error, &format!("chancery: the configuration of the AI engine is not valid: {message}"));
            // By the ABI, Envoy refuses the configuration then.
            ptr::null()
        }
        Err(_) => ptr::null(),
    }
});

hook!(envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
    if !config.is_null() {
        // SAFETY: it is what `on_http_filter_config_new` returned, and Envoy gives it back once.
        let config = unsafe { Box::from_raw(config.cast_mut().cast::<Config>()) };
        drop(catch_unwind(AssertUnwindSafe(|| config.end())));
    }
});

hook!(envoy_dynamic_module_on_http_filter_per_route_config_new(_name: EnvoyBuffer, _settings: EnvoyBuffer) -> *const c_void {
    // What a route says travels in its metadata, so that a route table does not depend on the module.
    ptr::null()
});

hook!(envoy_dynamic_module_on_http_filter_per_route_config_destroy(_config: *const c_void) {});

hook!(envoy_dynamic_module_on_http_filter_new(config: *const c_void, _envoy: EnvoyFilter) -> *const c_void {
    // SAFETY: it is what `on_http_filter_config_new` returned; Envoy keeps it while it makes filters of it.
    let Some(config) = (unsafe { config.cast::<Config>().as_ref() }) else { return ptr::null() };
    match catch_unwind(AssertUnwindSafe(|| Box::new(Filter::new(config)))) {
        Ok(filter) => Box::into_raw(filter).cast_const().cast(),
        Err(_) => ptr::null(),
    }
});

hook!(envoy_dynamic_module_on_http_filter_destroy(module: *const c_void) {
    if !module.is_null() {
        // SAFETY: it is what `on_http_filter_new` returned, and Envoy gives it back once.
        let mut filter = unsafe { Box::from_raw(module.cast_mut().cast::<Filter>()) };
        drop(catch_unwind(AssertUnwindSafe(move || filter.on_destroy())));
    }
});

hook!(envoy_dynamic_module_on_http_filter_request_headers(envoy: EnvoyFilter, module: *const c_void, end: bool) -> u32 {
    guarded(envoy, module, HeadersStatus::Stop, |filter, stream| filter.on_request_headers(stream, end)) as u32
});

hook!(envoy_dynamic_module_on_http_filter_request_body(envoy: EnvoyFilter, module: *const c_void, end: bool) -> u32 {
    guarded(envoy, module, BodyStatus::Stop, |filter, stream| filter.on_request_body(stream, end)) as u32
});

hook!(envoy_dynamic_module_on_http_filter_request_trailers(envoy: EnvoyFilter, module: *const c_void) -> u32 {
    guarded(envoy, module, HeadersStatus::Stop, Filter::on_request_trailers) as u32
});

hook!(envoy_dynamic_module_on_http_filter_response_headers(envoy: EnvoyFilter, module: *const c_void, end: bool) -> u32 {
    guarded(envoy, module, HeadersStatus::Stop, |filter, stream| filter.on_response_headers(stream, end)) as u32
});

hook!(envoy_dynamic_module_on_http_filter_response_body(envoy: EnvoyFilter, module: *const c_void, end: bool) -> u32 {
    guarded(envoy, module, BodyStatus::Stop, |filter, stream| filter.on_response_body(stream, end)) as u32
});

hook!(envoy_dynamic_module_on_http_filter_response_trailers(envoy: EnvoyFilter, module: *const c_void) -> u32 {
    guarded(envoy, module, HeadersStatus::Stop, Filter::on_response_trailers) as u32
});

hook!(envoy_dynamic_module_on_http_filter_stream_complete(envoy: EnvoyFilter, module: *const c_void) {
    guarded(envoy, module, (), Filter::on_stream_complete);
});

hook!(envoy_dynamic_module_on_http_filter_http_callout_done(envoy: EnvoyFilter, module: *const c_void, _id: u64, result: u32, headers: *const EnvoyHeader, header_count: usize, body: *const EnvoyBuffer, body_count: usize) {
    if ASKING.get() == envoy {
        return;
    }
    // SAFETY: Envoy says that so much is there, until the hook returns.
    let (headers, text) = unsafe { answer(result, (headers, header_count), (body, body_count)) };
    let reply = status(&headers).map(|status| Reply { status, body: &text });
    let next = guarded(envoy, module, Next::Wait, |filter, stream| filter.on_reply(stream, reply));
    next.run(envoy);
});

mod main_thread;

pub(crate) use main_thread::{Answer, Waker, Wakers};

// Hooks of what this filter does not use. Envoy loads no module without them.
hook!(envoy_dynamic_module_on_http_filter_scheduled(_f: EnvoyFilter, _m: *const c_void, _event: u64) {});
hook!(envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(_f: EnvoyFilter, _m: *const c_void) {});
hook!(envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(_f: EnvoyFilter, _m: *const c_void) {});
hook!(envoy_dynamic_module_on_http_filter_local_reply(_f: EnvoyFilter, _m: *const c_void, _code: u32, _details: EnvoyBuffer, _reset: bool) -> u32 { 0 });
hook!(envoy_dynamic_module_on_http_filter_http_stream_headers(_f: EnvoyFilter, _m: *const c_void, _id: u64, _headers: *const c_void, _count: usize, _end: bool) {});
hook!(envoy_dynamic_module_on_http_filter_http_stream_data(_f: EnvoyFilter, _m: *const c_void, _id: u64, _data: *const c_void, _count: usize, _end: bool) {});
hook!(envoy_dynamic_module_on_http_filter_http_stream_trailers(_f: EnvoyFilter, _m: *const c_void, _id: u64, _trailers: *const c_void, _count: usize) {});
hook!(envoy_dynamic_module_on_http_filter_http_stream_complete(_f: EnvoyFilter, _m: *const c_void, _id: u64) {});
hook!(envoy_dynamic_module_on_http_filter_http_stream_reset(_f: EnvoyFilter, _m: *const c_void, _id: u64, _reason: u32) {});
hook!(envoy_dynamic_module_on_http_filter_config_http_stream_headers(_c: EnvoyConfig, _m: *const c_void, _id: u64, _headers: *const c_void, _count: usize, _end: bool) {});
hook!(envoy_dynamic_module_on_http_filter_config_http_stream_data(_c: EnvoyConfig, _m: *const c_void, _id: u64, _data: *const c_void, _count: usize, _end: bool) {});
hook!(envoy_dynamic_module_on_http_filter_config_http_stream_trailers(_c: EnvoyConfig, _m: *const c_void, _id: u64, _trailers: *const c_void, _count: usize) {});
hook!(envoy_dynamic_module_on_http_filter_config_http_stream_complete(_c: EnvoyConfig, _m: *const c_void, _id: u64) {});
hook!(envoy_dynamic_module_on_http_filter_config_http_stream_reset(_c: EnvoyConfig, _m: *const c_void, _id: u64, _reason: u32) {});
