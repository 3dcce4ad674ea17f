//! Attempts at providers with a guarded route, and the streams of providers.

use std::sync::Arc;

use ai::exchange::{Exchange, Policy, Refusal, RequestHead};
use ai::framing::event_stream::{EventStreamDecoder, write_json_event};
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai_config::{
    ClusterConfig, Guard, GuardAction, GuardBuiltin, GuardExpression, GuardPatterns, GuardRejection,
    Provider, RequestGuard, RoutePolicy, Translation, VERSION,
};
use serde_json::{Value, json};

use crate::corpus::EXPRESSIONS;

pub(crate) fn patterns() -> GuardPatterns {
    let expressions = EXPRESSIONS
        .iter()
        .map(|pattern| GuardExpression { pattern: (*pattern).to_owned(), name: Some("codename".to_owned()) });
    GuardPatterns { expressions: expressions.collect(), ..builtins() }
}

/// All built-in kinds, without expressions: no more of a stream is held back than these need.
pub(crate) fn builtins() -> GuardPatterns {
    let builtins =
        vec![GuardBuiltin::CreditCard, GuardBuiltin::Email, GuardBuiltin::PhoneNumber, GuardBuiltin::Ssn];
    GuardPatterns { builtins, ..GuardPatterns::default() }
}

pub(crate) fn guard_of_requests(action: GuardAction) -> Guard {
    let rejection = GuardRejection::default();
    Guard { request: Some(RequestGuard { patterns: patterns(), action, rejection }), ..Guard::default() }
}

pub(crate) fn guard_of_answers() -> Guard {
    Guard { response: Some(patterns()), ..Guard::default() }
}

pub(crate) fn provider(protocol: ProviderProtocol) -> Provider {
    match protocol {
        ProviderProtocol::OpenAiChat => Provider::OpenAi,
        ProviderProtocol::AnthropicMessages => Provider::Anthropic { version: "2023-06-01".to_owned() },
        ProviderProtocol::Gemini => Provider::Gemini { api_version: "v1beta".to_owned() },
        ProviderProtocol::BedrockConverse => Provider::Bedrock { region: "us-east-1".to_owned() },
    }
}

/// The head of a request with a body.
pub(crate) fn head(path: &str) -> RequestHead<'_> {
    RequestHead { method: "POST", path, has_body: true, now: 1_700_000_000, ..RequestHead::default() }
}

/// The request at a provider of a client that speaks a protocol, or, with `None`, Bedrock's own.
pub(crate) fn attempt(provider_protocol: ProviderProtocol, guard: Guard, path: &str) -> Exchange {
    begin(provider_protocol, guard, &head(path)).unwrap()
}

/// What becomes of a request with this head.
pub(crate) fn begin(
    provider_protocol: ProviderProtocol,
    guard: Guard,
    head: &RequestHead<'_>,
) -> Result<Exchange, Refusal> {
    begin_with(provider_protocol, policy(guard, true), head)
}

/// The policy of a route with a guard; clients are translated to the protocol of the provider, or what they send goes on
/// in their own.
pub(crate) fn policy(guard: Guard, is_translated: bool) -> Arc<Policy> {
    let translation = is_translated.then_some(Translation { strict: false, always: true });
    let policy = RoutePolicy { version: VERSION, guard: Some(guard), translation, ..RoutePolicy::default() };
    Arc::new(Policy::new(policy).unwrap())
}

/// What becomes of a request with this head on a route with this policy.
pub(crate) fn begin_with(
    provider_protocol: ProviderProtocol,
    policy: Arc<Policy>,
    head: &RequestHead<'_>,
) -> Result<Exchange, Refusal> {
    let cluster = ClusterConfig {
        version: VERSION,
        backend: "default/b".to_owned(),
        provider: provider(provider_protocol),
        authority: "provider.example".to_owned(),
        path: None,
        model: Some("m".to_owned()),
        defaults: Vec::new(),
        passthrough: None,
        credentials: Vec::new(),
        pool_member: None,
        max_request_bytes: 1024 * 1024,
    };
    Exchange::begin(Arc::new(cluster), policy, head)
}

/// Each client at each provider, and Bedrock's own protocol.
pub(crate) fn pairs() -> impl Iterator<Item = (Option<ClientProtocol>, ProviderProtocol)> + Clone {
    let all = ProviderProtocol::ALL
        .into_iter()
        .flat_map(|provider| ClientProtocol::ALL.into_iter().map(move |client| (Some(client), provider)));
    all.chain([(None, ProviderProtocol::BedrockConverse)])
}

/// The path and the body of a request for a stream. `None` is Bedrock's own protocol.
pub(crate) fn question(client: Option<ClientProtocol>, text: &str) -> (&'static str, Value) {
    match client {
        Some(ClientProtocol::OpenAiChat) => (
            "/v1/chat/completions",
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": text}]}),
        ),
        Some(ClientProtocol::OpenAiResponses) => {
            ("/v1/responses", json!({"model": "m", "stream": true, "input": text}))
        }
        Some(ClientProtocol::AnthropicMessages) => (
            "/v1/messages",
            json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}),
        ),
        Some(ClientProtocol::Gemini) => (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        ),
        None => {
            ("/model/m/converse-stream", json!({"messages": [{"role": "user", "content": [{"text": text}]}]}))
        }
    }
}

/// A stream of a provider: its content type and bytes.
pub(crate) fn stream(provider: ProviderProtocol, pieces: &[&str]) -> (&'static str, Vec<u8>) {
    let mut out = Vec::new();
    let mut sse = |name: &str, event: Value| {
        if !name.is_empty() {
            out.extend(format!("event: {name}\n").into_bytes());
        }
        out.extend(format!("data: {event}\n\n").into_bytes());
    };
    match provider {
        ProviderProtocol::OpenAiChat => {
            let chunk = |delta: Value, finish: Value| {
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            sse("", chunk(json!({"role": "assistant", "content": ""}), Value::Null));
            pieces.iter().for_each(|piece| sse("", chunk(json!({"content": piece}), Value::Null)));
            sse("", chunk(json!({}), json!("stop")));
            let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
            sse("", json!({"id": "c", "choices": [], "usage": usage}));
            out.extend(b"data: [DONE]\n\n");
        }
        ProviderProtocol::AnthropicMessages => {
            let usage = json!({"input_tokens": 3, "output_tokens": 1});
            let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage});
            sse("message_start", json!({"type": "message_start", "message": message}));
            let block = json!({"type": "text", "text": ""});
            sse(
                "content_block_start",
                json!({"type": "content_block_start", "index": 0, "content_block": block}),
            );
            sse("ping", json!({"type": "ping"}));
            for piece in pieces {
                let delta = json!({"type": "text_delta", "text": piece});
                sse(
                    "content_block_delta",
                    json!({"type": "content_block_delta", "index": 0, "delta": delta}),
                );
            }
            sse("content_block_stop", json!({"type": "content_block_stop", "index": 0}));
            let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}});
            sse("message_delta", end);
            sse("message_stop", json!({"type": "message_stop"}));
        }
        ProviderProtocol::Gemini => {
            let chunk = |text: &str, finish: Value| {
                json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}],
                    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}, "modelVersion": "m"})
            };
            let (last, others) = pieces.split_last().unwrap();
            others.iter().for_each(|piece| sse("", chunk(piece, Value::Null)));
            sse("", chunk(last, json!("STOP")));
        }
        ProviderProtocol::BedrockConverse => {
            let mut event =
                |kind: &str, event: Value| write_json_event(&mut out, kind, &event.to_string()).unwrap();
            event("messageStart", json!({"role": "assistant", "p": "ab"}));
            for piece in pieces {
                event(
                    "contentBlockDelta",
                    json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcd"}),
                );
            }
            event("contentBlockStop", json!({"contentBlockIndex": 0}));
            event("messageStop", json!({"stopReason": "end_turn"}));
            let usage = json!({"inputTokens": 3, "outputTokens": 4, "totalTokens": 7});
            event("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}}));
            return ("application/vnd.amazon.eventstream", out);
        }
    }
    ("text/event-stream", out)
}

/// The JSON of the events that a client gets.
pub(crate) fn events(client: Option<ClientProtocol>, bytes: &[u8]) -> Vec<Value> {
    if client.is_none() {
        let mut all = Vec::new();
        let mut decoder = EventStreamDecoder::new();
        decoder.push(bytes, |message| all.push(serde_json::from_slice(message.payload).unwrap())).unwrap();
        assert!(decoder.is_complete());
        return all;
    }
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

/// The text that a client puts together from the events.
pub(crate) fn text(client: Option<ClientProtocol>, events: &[Value]) -> String {
    let piece = |event: &Value| -> String {
        let text = match client {
            Some(ClientProtocol::OpenAiChat) => &event["choices"][0]["delta"]["content"],
            Some(ClientProtocol::OpenAiResponses) if event["type"] == "response.output_text.delta" => {
                &event["delta"]
            }
            Some(ClientProtocol::OpenAiResponses) => &Value::Null,
            Some(ClientProtocol::AnthropicMessages) | None => &event["delta"]["text"],
            Some(ClientProtocol::Gemini) => {
                let parts =
                    event["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
                return parts.iter().filter_map(|part| part["text"].as_str()).collect();
            }
        };
        text.as_str().unwrap_or_default().to_owned()
    };
    events.iter().map(piece).collect()
}

/// Sends a body through the answer side of an attempt, in one piece or byte by byte.
pub(crate) fn heard(exchange: &mut Exchange, content_type: &str, body: &[u8], piece: usize) -> Vec<u8> {
    exchange.answer_begins(200, content_type, false);
    let mut out = Vec::new();
    for piece in body.chunks(piece) {
        out.extend(exchange.answer_piece(piece).expect("a guarded answer is never passed as it is"));
    }
    out.extend(exchange.answer_ends());
    out
}
