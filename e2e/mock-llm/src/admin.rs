//! The mock's own endpoints, for programs that are not in Rust.

use http::Method;
use serde_json::{Value, json};

use crate::knobs::Knobs;
use crate::mock::State;
use crate::reply::Reply;

pub(crate) fn answer(state: &State, head: &http::request::Parts, body: &[u8]) -> Reply {
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/__requests") => {
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
