//! What attempts cost: as each provider tells its usage and its tier, in its own protocol and translated, whole and streamed.

use std::collections::BTreeMap;

use ai_config::{DatedPrice, ModelPrice, PriceList, Rate, Tier, VERSION};
use serde_json::{Value, json};

use super::*;
use crate::framing::event_stream::write_message;
use crate::prices::Usd;

const FLEX: Option<Tier> = Some(Tier::Flex);

/// A token of the prompt costs 1, one of the answer 1,000, one from the cache 1,000,000, and one written to the cache for an hour
/// 10^9; all of it a hundred times as much in the tier flex.
fn prices() -> Prices {
    let rate = |tier, factor: u64| Rate {
        tier,
        input: factor,
        output: Some(1_000 * factor),
        cache_read: Some(1_000_000 * factor),
        cache_write_hour: Some(1_000_000_000 * factor),
        ..Rate::default()
    };
    let price = DatedPrice { from: None, rates: vec![rate(None, 1), rate(FLEX, 100)] };
    let models = vec![ModelPrice { model: "*".to_owned(), prices: vec![price] }];
    let list = PriceList { name: "n/l".to_owned(), provider: None, backends: Vec::new(), models };
    Prices::new(BTreeMap::from([("n".to_owned(), vec![list])]))
}

fn begin(provider: Provider, path: &str, body: &Value) -> Exchange {
    let cluster = ClusterConfig {
        version: VERSION,
        backend: "n/b".to_owned(),
        provider,
        authority: "provider.example".to_owned(),
        path: None,
        model: Some("m".to_owned()),
        defaults: Vec::new(),
        passthrough: None,
        credentials: Vec::new(),
        pool_member: None,
        max_request_bytes: 1024,
    };
    let head = RequestHead { method: "POST", path, has_body: true, ..RequestHead::default() };
    let mut exchange = Exchange::begin(Arc::new(cluster), Arc::default(), &head).unwrap();
    if exchange.needs_body() {
        exchange.request(body.to_string().into_bytes()).unwrap();
    }
    exchange
}

/// What a whole answer costs.
fn cost(mut exchange: Exchange, content_type: &str, answer: &[u8]) -> Option<Usd> {
    exchange.answer_begins(200, content_type, false);
    exchange.answer_piece(answer);
    exchange.answer_ends();
    match exchange.cost(&exchange.outcome(), &prices())? {
        Cost::Known { amount, is_estimated: false, .. } => Some(amount),
        Cost::Known { .. } | Cost::Unknown => None,
    }
}

/// A provider, its own path, its answer, the same as a stream with its content type, and the tokens that are written to its cache.
type Row = (Provider, &'static str, Value, (&'static str, Vec<u8>), u64);

/// Three tokens of the prompt, two from the cache and four of the answer, in the tier flex.
fn rows() -> Vec<Row> {
    let sse = |events: &[Value]| -> Vec<u8> {
        let event = |event: &Value| match event["type"].as_str() {
            Some(kind) => format!("event: {kind}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        };
        events.iter().map(event).collect::<String>().into_bytes()
    };
    let aws = |events: &[(&str, Value)]| -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, payload) in events {
            let headers =
                [(":event-type", *kind), (":content-type", "application/json"), (":message-type", "event")];
            write_message(&mut out, &headers, payload.to_string().as_bytes()).unwrap();
        }
        out
    };
    let counts =
        json!({"prompt_tokens": 5, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}});
    let openai = json!({"model": "m", "service_tier": "flex", "usage": counts,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]});
    let openai_stream = [
        json!({"model": "m", "service_tier": "flex", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}),
        json!({"model": "m", "service_tier": "flex", "choices": [], "usage": counts}),
    ];
    let counts = json!({"input_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1}, "output_tokens": 4, "service_tier": "flex"});
    let claude = json!({"type": "message", "id": "i", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "a"}], "usage": counts});
    let begun = json!({"id": "i", "role": "assistant", "model": "m", "content": [], "usage": counts});
    let claude_stream = [
        json!({"type": "message_start", "message": begun}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ];
    let gemini = json!({"modelVersion": "m",
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "cachedContentTokenCount": 2, "candidatesTokenCount": 4, "trafficType": "ON_DEMAND_FLEX"}});
    let counts = json!({"inputTokens": 3, "outputTokens": 4, "totalTokens": 10, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]});
    let nova = json!({"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}, "stopReason": "end_turn",
        "usage": counts, "serviceTier": {"type": "flex"}});
    let nova_stream = aws(&[
        ("messageStop", json!({"stopReason": "end_turn"})),
        ("metadata", json!({"usage": counts, "serviceTier": {"type": "flex"}})),
    ]);
    let (sse_type, aws_type) = ("text/event-stream", "application/vnd.amazon.eventstream");
    let anthropic = Provider::Anthropic { version: "2023-06-01".to_owned() };
    let google = Provider::Gemini { api_version: "v1beta".to_owned() };
    let bedrock = Provider::Bedrock { region: "us-east-1".to_owned() };
    vec![
        (Provider::OpenAi, "/v1/chat/completions", openai, (sse_type, sse(&openai_stream)), 0),
        (anthropic, "/v1/messages", claude, (sse_type, sse(&claude_stream)), 1),
        (google, "/v1beta/models/m:generateContent", gemini.clone(), (sse_type, sse(&[gemini])), 0),
        (bedrock, "/model/m/converse", nova, (aws_type, nova_stream), 1),
    ]
}

#[test]
fn every_provider_is_priced_in_its_own_words_and_translated() {
    for (provider, own_path, answer, (stream_type, stream), written) in rows() {
        let expected = 100 * (3 + 4_000 + 2_000_000 + u128::from(written) * 1_000_000_000);
        let (chat, claude) = ("/v1/chat/completions", "/v1/messages");
        for path in [own_path, chat, claude] {
            let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]});
            let mut asked = body.clone();
            asked["stream"] = json!(true);
            let streamed =
                own_path.replace(":generate", ":streamGenerate").replace("/converse", "/converse-stream");
            let stream_path = if path == own_path { streamed.as_str() } else { path };
            for (path, body, content_type, answer) in [
                (path, &body, "application/json", answer.to_string().into_bytes()),
                (stream_path, &asked, stream_type, stream.clone()),
            ] {
                let exchange = begin(provider.clone(), path, body);
                let text = String::from_utf8_lossy(&answer).into_owned();
                assert_eq!(
                    cost(exchange, content_type, &answer),
                    Some(Usd::from_picos(expected)),
                    "{path}: {text}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_billed_costs_nothing_and_what_is_estimated_says_so() {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "a"}]});
    let begun = || begin(Provider::OpenAi, "/v1/chat/completions", &body);
    let cost = |exchange: &Exchange| match exchange.cost(&exchange.outcome(), &prices()) {
        None => None,
        Some(Cost::Known { amount, is_estimated, .. }) => Some((amount, is_estimated)),
        Some(Cost::Unknown) => panic!("everything has a price"),
    };
    let mut exchange = begun();
    assert_eq!(cost(&exchange), None, "no provider has taken it");
    exchange.answer_begins(429, "application/json", false);
    exchange.answer_piece(b"{}");
    exchange.answer_ends();
    assert_eq!(cost(&exchange), None, "an error");
    let prompt = u128::try_from(body.to_string().len()).unwrap().div_ceil(4);
    let mut exchange = begun();
    exchange.answer_begins(200, "text/event-stream", false);
    for events in 0..4_u128 {
        assert_eq!(cost(&exchange), Some((Usd::from_picos(prompt + 1_000 * events), true)), "{events}");
        exchange.answer_piece(b"data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    }
    exchange
        .answer_piece(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n");
    exchange.answer_ends();
    assert_eq!(cost(&exchange), Some((Usd::from_picos(2_007), false)), "what is told counts");
    let mut exchange = begin(Provider::OpenAi, "/v1/models", &body);
    exchange.answer_begins(200, "application/json", false);
    exchange.answer_piece(b"{}");
    exchange.answer_ends();
    assert_eq!(cost(&exchange), None, "a list of models");
    assert!(!exchange.is_billed_unknown());
    // Speech is billed for, though nobody tells for what.
    for (status, expected) in [(200, true), (500, false)] {
        let mut exchange = begin(Provider::OpenAi, "/v1/audio/speech", &body);
        assert!(!exchange.is_billed_unknown());
        exchange.answer_begins(status, "audio/mpeg", false);
        exchange.answer_piece(b"sound");
        exchange.answer_ends();
        assert_eq!((cost(&exchange), exchange.is_billed_unknown()), (None, expected), "{status}");
    }
}
