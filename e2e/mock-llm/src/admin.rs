//! The mock's own endpoints, for programs that are not in Rust.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::knobs::Knobs;
use crate::mock::State;
use crate::recording::Recorded;
use crate::reply::{Reply, Request};

/// How long a question waits for what it asks about, unless it says so.
const PATIENCE_MS: u64 = 10_000;

pub(crate) async fn answer(state: &State, request: &Request<'_>) -> Reply {
    let Request { head, body, .. } = request;
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/__requests") => {
            // Waits for so many clients to leave; if they do not, the answer shows it.
            let number = |name| request.parameter(name).and_then(|value| value.parse::<u64>().ok());
            if let Some(count) = number("disconnected") {
                let patience = Duration::from_millis(number("within_ms").unwrap_or(PATIENCE_MS));
                let gone = |all: &[std::sync::Arc<Recorded>]| {
                    all.iter().filter(|one| one.disconnected()).count() as u64 >= count
                };
                let _ = state.recording.wait_for(patience, gone).await;
            }
            let requests = state.recording.all();
            Reply::json(200, &Value::Array(requests.iter().map(|request| request.to_json()).collect()))
        }
        (&Method::DELETE, "/__requests") => {
            Reply::json(200, &json!({ "deleted": state.recording.take().len() }))
        }
        (&Method::GET, "/__knobs") => knobs(&state.knobs()),
        (&Method::PUT, "/__knobs") => match serde_json::from_slice::<Knobs>(body) {
            Ok(new) => {
                *state.knobs() = new.clone();
                knobs(&new)
            }
            Err(error) => Reply::json(400, &json!({ "error": error.to_string() })),
        },
        _ => Reply::json(404, &json!({ "error": "there are /__requests and /__knobs" })),
    }
}

fn knobs(knobs: &Knobs) -> Reply {
    Reply::json(200, &serde_json::to_value(knobs).unwrap_or_default())
}
