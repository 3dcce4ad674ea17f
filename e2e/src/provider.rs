//! A mock LLM provider: Gemini and OpenAI in their native shapes, over TLS, on loopback.
//!
//! One server plays both. It presents a certificate of a [`TestAuthority`] for the names it is given, so that
//! a client which verifies what it should verify is satisfied, and one which does not is found out by what
//! was recorded (Host, SNI, headers, body of every request).

mod answer;
mod authority;
mod credential;
mod gemini;
mod openai;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;

use self::answer::Answer;
pub use self::authority::{Issued, TestAuthority};
use self::credential::Credential;
use crate::recording::{RecordedRequest, Recording};
use crate::server::{Body, Connection, Server};

/// The names that the certificate carries unless others are asked for.
pub const PROVIDER_NAMES: [&str; 2] = ["generativelanguage.googleapis.com", "api.openai.com"];

/// A running mock provider. It stops when dropped.
#[derive(Debug)]
pub struct MockProvider {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    recording: Recording,
    knobs: Mutex<Knobs>,
}

/// What a test can change while the provider runs.
#[derive(Clone, Default)]
struct Knobs {
    delay: Duration,
    piece_delay: Duration,
    forced_status: Option<StatusCode>,
    valid_keys: Option<BTreeSet<String>>,
    observer: Option<Observer>,
    record_nothing: bool,
}

type Observer = Arc<dyn Fn(&RecordedRequest, StatusCode) + Send + Sync>;

impl std::fmt::Debug for Knobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys stay out.
        f.debug_struct("Knobs").field("delay", &self.delay).finish_non_exhaustive()
    }
}

impl MockProvider {
    /// Starts on a free loopback port, with the names of the real providers.
    ///
    /// # Errors
    /// No port or no certificate.
    pub async fn start(authority: &TestAuthority) -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), authority, &PROVIDER_NAMES).await
    }

    /// Starts on `listen` with a certificate for `dns_names`.
    ///
    /// # Errors
    /// `listen` is taken, or a name is no DNS name.
    pub async fn start_on(listen: SocketAddr, authority: &TestAuthority, dns_names: &[&str]) -> Result<Self> {
        let state = Arc::new(State { recording: Recording::new(), knobs: Mutex::default() });
        let tls = authority.server_config(dns_names)?;
        let shared = Arc::clone(&state);
        let handler = move |request, connection| handle(Arc::clone(&shared), request, connection);
        let server = Server::start(listen, Some(tls), handler).await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// All requests it saw.
    #[must_use]
    pub fn requests(&self) -> &Recording {
        &self.state.recording
    }

    /// Waits this long before answering (from now on).
    pub fn set_delay(&self, delay: Duration) {
        self.state.change(|knobs| knobs.delay = delay);
    }

    /// Waits this long between the pieces of a streamed answer (from now on).
    pub fn set_piece_delay(&self, delay: Duration) {
        self.state.change(|knobs| knobs.piece_delay = delay);
    }

    /// Answers everything with this status, as an error in the provider's shape; `None`: normally again.
    pub fn force_status(&self, status: Option<StatusCode>) {
        self.state.change(|knobs| knobs.forced_status = status);
    }

    /// Refuses every key but these; without this call any non-empty key will do.
    pub fn accept_only<K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) {
        let keys = keys.into_iter().map(Into::into).collect();
        self.state.change(|knobs| knobs.valid_keys = Some(keys));
    }

    /// Calls `observer` with every request and the status of its answer.
    pub fn observe(&self, observer: impl Fn(&RecordedRequest, StatusCode) + Send + Sync + 'static) {
        self.state.change(|knobs| knobs.observer = Some(Arc::new(observer)));
    }

    /// Records no request from now on, for a provider that runs for long.
    pub fn record_nothing(&self) {
        self.state.change(|knobs| knobs.record_nothing = true);
    }

    /// Lets open exchanges end, then closes all connections.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl State {
    fn change(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.knobs.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn knobs(&self) -> Knobs {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn handle(
    state: Arc<State>,
    request: http::Request<Incoming>,
    connection: Arc<Connection>,
) -> Response<Body> {
    let request = match RecordedRequest::read(request, &connection).await {
        Ok(request) => request,
        // The client went away; nobody reads this.
        Err(_) => {
            return openai::error(StatusCode::BAD_REQUEST, "incomplete body", None)
                .into_response(Duration::ZERO);
        }
    };
    let knobs = state.knobs();
    if !knobs.record_nothing {
        state.recording.push(request.clone());
    }
    tokio::time::sleep(knobs.delay).await;
    let answer = answer(&request, &knobs);
    if let Some(observer) = &knobs.observer {
        observer(&request, answer.status);
    }
    answer.into_response(knobs.piece_delay)
}

fn answer(request: &RecordedRequest, knobs: &Knobs) -> Answer {
    let path = request.path();
    if let Some(status) = knobs.forced_status {
        let message = "This error was asked for.";
        return match Api::of(request) {
            Api::Gemini => gemini::error(status, message),
            Api::OpenAi => openai::error(status, message, None),
        };
    }
    let valid = knobs.valid_keys.as_ref();
    let is_post = request.method == Method::POST;
    match (gemini::Call::parse(path), Api::of(request)) {
        (Some(call), _) if is_post => {
            gemini::answer(request, &call, &Credential::of(request, gemini::KEY_HEADER, "", valid))
        }
        _ if is_post && path == openai::CHAT_PATH => {
            openai::answer(request, &Credential::of(request, "authorization", "Bearer ", valid))
        }
        (_, Api::Gemini) => gemini::error(StatusCode::NOT_FOUND, "Requested entity was not found."),
        (_, Api::OpenAi) => openai::unknown_url(&request.method, path),
    }
}

/// Whose shape an error takes.
enum Api {
    Gemini,
    OpenAi,
}

impl Api {
    fn of(request: &RecordedRequest) -> Self {
        let host = request.host.split(':').next().unwrap_or_default();
        if host.ends_with("googleapis.com") || request.path().contains("/models/") {
            Self::Gemini
        } else {
            Self::OpenAi
        }
    }
}
