//! The mock itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::body::AnswerBody;
use crate::knobs::Knobs;
use crate::recording::Recording;
use crate::reply::{Reply, Request as Arrived};
use crate::server::{Connection, Server};
use crate::{admin, protocol};

/// A running mock of all providers. It stops when dropped.
#[derive(Debug)]
pub struct MockLlm {
    server: Server,
    state: Arc<State>,
}

/// What the connections share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) recording: Recording,
    knobs: Mutex<Knobs>,
}

impl State {
    pub(crate) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MockLlm {
    /// Starts on a free loopback port, without TLS.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), None).await
    }

    /// Starts on `listen` (port 0: chosen by the kernel), with TLS if there is a configuration for it. The
    /// configuration names the protocols to negotiate; HTTP/1.1 and HTTP/2 are both served.
    ///
    /// # Errors
    /// `listen` is taken.
    pub async fn start_on(listen: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self> {
        let state = Arc::new(State { recording: Recording::new(), knobs: Mutex::default() });
        let shared = Arc::clone(&state);
        let handler = move |request, connection| handle(Arc::clone(&shared), request, connection);
        Ok(Self { server: Server::start(listen, tls, handler).await?, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What arrived.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.state.recording
    }

    /// The knobs as they stand.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.state.knobs().clone()
    }

    /// Sets all knobs, for the requests that arrive from now on.
    pub fn set_knobs(&self, knobs: Knobs) {
        *self.state.knobs() = knobs;
    }

    /// Changes some knobs.
    pub fn change_knobs(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state.knobs());
    }
}

async fn handle(
    state: Arc<State>,
    request: Request<Incoming>,
    connection: Connection,
) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    let is_admin = head.uri.path().starts_with("/__");
    let (body, whole) = match body.collect().await {
        Ok(body) => (body.to_bytes(), true),
        Err(_) => (Bytes::new(), false),
    };
    if is_admin {
        let request = Arrived { head: &head, body: &body, now: SystemTime::now() };
        let reply = admin::answer(&state, &request).await;
        return reply.into_response(&Knobs::default(), &head.headers, None);
    }
    let exchange = state.recording.push(&head, &connection, body.clone());
    if !whole {
        // Nobody reads it; the exchange ends as one whose client has gone.
        drop(exchange);
        return Reply::plain(400, "the request was not complete").into_response(
            &Knobs::default(),
            &head.headers,
            None,
        );
    }
    let knobs = state.knobs().take_for_request();
    if knobs.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(knobs.delay_ms)).await;
    }
    let arrived = Arrived { head: &head, body: &body, now: SystemTime::now() };
    protocol::reply(&arrived, &knobs).into_response(&knobs, &head.headers, Some(exchange))
}
