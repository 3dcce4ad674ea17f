//! A server that judges prompts and answers: the webhooks of kgateway's AI gateway, and OpenAI's moderation.
//!
//! A text with `block` in it is rejected, `secret` in one is masked with `****`, and moderation flags one with `hate`.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::recording::{RecordedRequest, Recording};
use crate::server::{Body, Server};

/// How the server behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// It judges.
    #[default]
    Judges,
    /// It answers with this status, and judges in the body.
    Fails(u16),
    /// It answers with something that is no judgement.
    Babbles,
    /// It never answers.
    Stalls,
}

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct GuardServer {
    server: Server,
    recording: Recording,
    conduct: Arc<Mutex<Conduct>>,
}

impl GuardServer {
    /// Starts it on a port of loopback, with TLS if there is a configuration for it.
    ///
    /// # Errors
    /// No port.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let (recording, conduct) = (Recording::new(), Arc::<Mutex<Conduct>>::default());
        let own = conduct.clone();
        let answer = move |request| {
            let conduct = *own.lock().unwrap_or_else(PoisonError::into_inner);
            async move { answer(&request, conduct).await }
        };
        let server = Server::recorded(tls, recording.clone(), answer).await?;
        Ok(Self { server, recording, conduct })
    }

    /// The port that it listens on, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// What it was asked.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Has it behave in another way.
    pub fn behave(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }
}

async fn answer(request: &RecordedRequest, conduct: Conduct) -> Response<Body> {
    let status = match conduct {
        Conduct::Judges => 200,
        Conduct::Fails(status) => status,
        Conduct::Babbles => return with_status(200, "{\"action\": [\"pass\"], \"results\": \"none\"}"),
        Conduct::Stalls => std::future::pending().await,
    };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let judged = match request.uri.path() {
        "/request" => judged(&body["body"], "messages", |message| message),
        "/response" => judged(&body["body"], "choices", |choice| &mut choice["message"]),
        "/v1/moderations" => moderated(&body),
        _ => return with_status(404, "nothing is judged here"),
    };
    with_status(status, &judged.to_string())
}

/// What becomes of the texts of messages or choices.
fn judged(body: &Value, member: &str, message: fn(&mut Value) -> &mut Value) -> Value {
    let mut list = body[member].as_array().cloned().unwrap_or_default();
    let mut is_masked = false;
    for one in &mut list {
        let content = &mut message(one)["content"];
        let text = content.as_str().unwrap_or_default().to_owned();
        if text.contains("block") {
            return json!({"action": {"body": "blocked by the webhook", "status_code": 403, "reason": "block"}});
        }
        if text.contains("secret") {
            is_masked = true;
            *content = Value::String(text.replace("secret", "****"));
        }
    }
    match is_masked {
        true => json!({"action": {"body": {member: list}, "reason": "secret"}}),
        false => json!({"action": {"reason": "nothing found"}}),
    }
}

fn moderated(body: &Value) -> Value {
    let inputs = body["input"].as_array().cloned().unwrap_or_default();
    let results: Vec<Value> = inputs
        .iter()
        .map(|input| json!({"flagged": input.as_str().is_some_and(|text| text.contains("hate")), "categories": {}}))
        .collect();
    json!({"id": "modr-1", "model": body["model"], "results": results})
}

fn with_status(status: u16, body: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
