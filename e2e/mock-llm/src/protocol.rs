//! The protocols of the providers, one module each.

mod anthropic;
mod anthropic_stream;
mod bedrock;
mod chat;
mod chat_request;
mod credential;
mod gemini;
mod gemini_request;
mod openai;
mod read;
mod responses;
mod responses_stream;
mod sse;
mod strict;

use serde_json::Value;

use crate::error::{self, Fault};
use crate::knobs::Knobs;
use crate::reply::{Reply, Request};
use crate::route::{Operation, Provider, Route, route};

/// When the mock says that things were created: the same always, so that answers are.
const CREATED: u64 = 1_767_225_600;
/// The error that a stream reports in its middle when it is told to.
const STATUS_IN_STREAM: u16 = 529;

/// What is answered to a request.
pub(crate) fn reply(request: &Request<'_>, knobs: &Knobs) -> Reply {
    let body: Option<Value> = serde_json::from_slice(request.body).ok();
    let model = body.as_ref().and_then(|body| body.get("model")?.as_str());
    let Some(route) = route(&request.head.method, request.head.uri.path(), model) else {
        return Fault::new(404, format!("Unknown request URL: {}", request.head.uri.path()))
            .reply(Provider::OpenAi);
    };
    if let Some(status) = knobs.status {
        let mut fault = error::forced(status);
        if knobs.echo_credentials {
            fault.message += &format!(" You sent: {}", credential::all(&request.head.headers));
        }
        let reply = refuse(&fault, &route, request);
        return match knobs.retry_after {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        };
    }
    let checked = credential::check(&route, request, knobs);
    let body = checked.and_then(|()| match body {
        Some(body) => Ok(body),
        None if route.operation == Operation::Models => Ok(Value::Null),
        None => Err(Fault::new(400, "We could not parse the JSON body of your request.")),
    });
    let checked = body.and_then(|body| match knobs.lenient {
        true => Ok(body),
        false => strict::check(&route, &body).map(|()| body),
    });
    checked
        .and_then(|body| answer(&route, request, &body))
        .unwrap_or_else(|fault| refuse(&fault, &route, request))
}

fn wants_events(request: &Request<'_>) -> bool {
    request.parameter("alt") == Some("sse")
}

fn refuse(fault: &Fault, route: &Route, request: &Request<'_>) -> Reply {
    match route.operation {
        Operation::StreamGenerate if !wants_events(request) => fault.reply_in_list(route.provider),
        _ => fault.reply(route.provider),
    }
}

fn answer(route: &Route, request: &Request<'_>, body: &Value) -> Result<Reply, Fault> {
    match route.operation {
        Operation::Chat => chat::reply(route, body),
        Operation::Responses => responses::reply(body),
        Operation::Embeddings => openai::embeddings(body),
        Operation::Models => Ok(openai::models()),
        Operation::Images => Ok(openai::images(body)),
        Operation::Speech => openai::speech(body),
        Operation::Moderations => openai::moderations(body),
        Operation::Messages | Operation::RawPredict => anthropic::messages(route, body),
        Operation::CountMessages => anthropic::count(body),
        Operation::Generate => gemini::generate(route, body),
        Operation::StreamGenerate => gemini::stream(route, body, wants_events(request)),
        Operation::CountTokens => gemini::count(route, body),
        Operation::EmbedContent => Ok(gemini::embed(body)),
        Operation::BatchEmbedContents => Ok(gemini::batch_embed(body)),
        Operation::Converse => bedrock::converse(route, body),
        Operation::ConverseStream => bedrock::converse_stream(route, body),
    }
}
