//! A service that is asked by HTTP whether a request may pass, as an authorization service does it.

use std::net::SocketAddr;

use anyhow::Result;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use crate::recording::{RecordedRequest, Recording};
use crate::server::{Body, Server};

/// The value of `authorization` that lets a request pass.
pub const PASS: &str = "let-me-in";

/// A running service. It lets requests pass whose `authorization` is [`PASS`], says who they are from in `x-user`, and
/// answers others with 401. It stops when dropped.
#[derive(Debug)]
pub struct AuthServer {
    server: Server,
    recording: Recording,
}

impl AuthServer {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        let recording = Recording::new();
        let answer = |request| std::future::ready(answer(&request));
        let server = Server::recorded(None, recording.clone(), answer);
        Ok(Self { server: server.await?, recording })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it was asked.
    #[must_use]
    pub fn asked(&self) -> &Recording {
        &self.recording
    }
}

fn answer(request: &RecordedRequest) -> Response<Body> {
    let (status, body) = match request.header("authorization") {
        Some(PASS) => (StatusCode::OK, "welcome"),
        _ => (StatusCode::UNAUTHORIZED, "who are you?"),
    };
    let mut response = Response::new(Full::from(body).boxed_unsync());
    *response.status_mut() = status;
    let headers = [
        ("x-user", "alice"),
        ("x-hidden", "1"),
        ("x-reason", "because"),
        // What nobody may choose for the request that goes on.
        ("host", "evil.test"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
    }
    response
}
