//! Whole attempts, without an Envoy.

mod fallback;

use ai_config::{FieldDefault, Message, RoutePolicy, Translation, VERSION};
use serde_json::{Value, json};

use super::*;

fn cluster(provider: Provider, model: Option<&str>) -> Arc<ClusterConfig> {
    Arc::new(ClusterConfig {
        version: VERSION,
        backend: "default/b".to_owned(),
        provider,
        authority: "provider.example".to_owned(),
        path: None,
        model: model.map(str::to_owned),
        defaults: Vec::new(),
        passthrough: None,
        credentials: Vec::new(),
        pool_member: None,
        max_request_bytes: 1024,
    })
}

fn head(path: &str) -> RequestHead<'_> {
    RequestHead { method: "POST", path, has_body: true, now: 1_700_000_000, ..RequestHead::default() }
}

fn begin(provider: Provider, model: Option<&str>, policy: RoutePolicy, path: &str) -> Exchange {
    Exchange::begin(cluster(provider, model), Arc::new(Policy::new(policy).unwrap()), &head(path)).unwrap()
}

/// The body at the provider.
fn sent(exchange: &mut Exchange, body: &Value) -> Value {
    let text = body.to_string();
    let sent = exchange.request(text.into_bytes()).unwrap().into_body().unwrap();
    serde_json::from_slice(&sent).unwrap()
}

fn anthropic() -> Provider {
    Provider::Anthropic { version: "2023-06-01".to_owned() }
}

fn gemini() -> Provider {
    Provider::Gemini { api_version: "v1beta".to_owned() }
}

fn bedrock() -> Provider {
    Provider::Bedrock { region: "us-east-1".to_owned() }
}

const STREAM: &str = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"usage\"}}],\"usage\":null}\r\n\r\n\
data: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\r\n\r\n\
data: [DONE]\r\n\r\n";

#[test]
fn the_usage_is_asked_for_and_hidden_from_who_did_not_ask_wherever_the_stream_is_split() {
    let events: Vec<&str> = STREAM.split_inclusive("\r\n\r\n").collect();
    for (options, expected) in [
        (json!(null), format!("{}{}", events[0], events[2])),
        (json!({"include_usage": true}), STREAM.to_owned()),
    ] {
        for split in 0..=STREAM.len() {
            let mut exchange = begin(Provider::OpenAi, None, RoutePolicy::default(), "/v1/chat/completions");
            let mut body = json!({"model": "m", "stream": true, "messages": []});
            if !options.is_null() {
                body["stream_options"] = options.clone();
            }
            assert_eq!(sent(&mut exchange, &body)["stream_options"], json!({"include_usage": true}));
            exchange.answer_begins(200, "text/event-stream; charset=utf-8", false);
            let (first, second) = STREAM.as_bytes().split_at(split);
            let mut out = Vec::new();
            for piece in [first, second] {
                out.extend(exchange.answer_piece(piece).unwrap_or_else(|| piece.to_vec()));
            }
            out.extend(exchange.answer_ends());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "split at {split}");
            let outcome = exchange.outcome();
            assert_eq!(outcome.usage.unwrap().total(), 7);
            assert_eq!((outcome.model.as_str(), outcome.provider_model.as_deref()), ("m", Some("m-1")));
            assert!(outcome.streaming);
        }
    }
}

/// A client that leaves has cost what was told until then.
#[test]
fn a_stream_that_is_left_is_counted_as_far_as_it_came() {
    let mut exchange = begin(anthropic(), None, RoutePolicy::default(), "/v1/messages");
    exchange.request_passes(br#"{"model": "claude", "stream": true}"#);
    exchange.answer_begins(200, "text/event-stream", false);
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-1\",\
                 \"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\nevent: content";
    assert_eq!(exchange.answer_piece(start.as_bytes()), None, "it passes as it is");
    let outcome = exchange.outcome();
    assert_eq!((outcome.usage.unwrap().prompt, outcome.usage.unwrap().completion), (Some(25), Some(1)));
    assert_eq!((outcome.model.as_str(), outcome.provider_model.as_deref()), ("claude", Some("claude-1")));
}

/// What an answer comes to, wherever it is split.
fn outcomes(begin: impl Fn() -> Exchange, content_type: &str, answer: &[u8]) -> Vec<Outcome> {
    let outcome = |split| {
        let mut exchange = begin();
        exchange.answer_begins(200, content_type, false);
        let (first, second) = answer.split_at(split);
        exchange.answer_piece(first);
        exchange.answer_piece(second);
        exchange.answer_ends();
        exchange.outcome()
    };
    (0..=answer.len()).map(outcome).collect()
}

#[test]
fn why_an_answer_has_ended_is_told_in_the_same_words_for_all_providers() {
    let (json, stream) = ("application/json", "text/event-stream");
    let chat = "/v1/chat/completions";
    let generate = "/v1beta/models/m:generateContent";
    let rows: [(Provider, &str, &str, &str, &[&str]); 9] = [
        (
            Provider::OpenAi,
            chat,
            json,
            r#"{"model":"x","choices":[{"message":{"content":"finish_reason"},"finish_reason":"length"},{"finish_reason":"tool_calls"}]}"#,
            &["length", "tool_calls"],
        ),
        (
            Provider::OpenAi,
            chat,
            stream,
            "data: {\"model\":\"x\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n\
             data: {\"model\":\"x\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            &["stop"],
        ),
        (
            anthropic(),
            "/v1/messages",
            json,
            r#"{"model":"x","content":[{"text":"a"}],"stop_reason":"tool_use"}"#,
            &["tool_calls"],
        ),
        (
            anthropic(),
            "/v1/messages",
            stream,
            "data: {\"type\":\"message_start\",\"message\":{\"model\":\"x\",\"stop_reason\":null}}\n\n\
             data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\n",
            &["length"],
        ),
        (
            gemini(),
            generate,
            json,
            r#"{"candidates":[{"content":{},"finishReason":"SAFETY"}],"modelVersion":"x"}"#,
            &["content_filter"],
        ),
        (
            gemini(),
            generate,
            stream,
            "data: {\"candidates\":[{\"content\":{}}],\"modelVersion\":\"x\"}\n\n\
             data: {\"candidates\":[{\"finishReason\": \"MALFORMED_FUNCTION_CALL\"}]}\n\n",
            &["error"],
        ),
        (bedrock(), "/model/m/converse", json, r#"{"output":{},"stopReason":"end_turn"}"#, &["stop"]),
        // Of an answer that is another's, nothing is known.
        (Provider::OpenAi, "/v1/responses", json, r#"{"model":"x","status":"completed"}"#, &[]),
        (Provider::OpenAi, chat, json, r#"{"model":"x","choices":[{"finish_reason":7}]}"#, &[]),
    ];
    for (provider, path, content_type, answer, expected) in rows {
        let begin = || begin(provider.clone(), None, RoutePolicy::default(), path);
        for outcome in outcomes(begin, content_type, answer.as_bytes()) {
            assert_eq!(outcome.finish_reasons, expected, "{answer}");
        }
    }
}

#[test]
fn a_translated_answer_tells_its_model_and_why_it_has_ended() {
    let whole = r#"{"id":"i","type":"message","role":"assistant","model":"claude-1","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let stream = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"claude-1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
                  data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":2}}\n\n\
                  data: {\"type\":\"message_stop\"}\n\n";
    for (is_stream, content_type, answer, reason) in
        [(false, "application/json", whole, "stop"), (true, "text/event-stream", stream, "length")]
    {
        let translating = || {
            let mut exchange = begin(anthropic(), None, RoutePolicy::default(), "/v1/chat/completions");
            let messages = json!([{"role": "user", "content": "x"}]);
            sent(&mut exchange, &json!({"model": "m", "stream": is_stream, "messages": messages}));
            exchange
        };
        for outcome in outcomes(translating, content_type, answer.as_bytes()) {
            assert_eq!(outcome.finish_reasons, [reason], "{answer}");
            assert_eq!(outcome.provider_model.as_deref(), Some("claude-1"), "{answer}");
        }
    }
}

#[test]
fn a_body_that_needs_no_change_is_not_changed() {
    let body = b"{ \"model\":\"m\", \"messages\" : [],\"n\": 1e400 }";
    let mut exchange = begin(Provider::OpenAi, None, RoutePolicy::default(), "/openai");
    assert!(exchange.needs_body());
    assert_eq!(exchange.request(body.to_vec()).unwrap(), Step::Send(body.to_vec()));
    let mut exchange = begin(Provider::OpenAi, Some("mine"), RoutePolicy::default(), "/openai");
    let changed = exchange.request(body.to_vec()).unwrap().into_body().unwrap();
    assert_eq!(String::from_utf8(changed).unwrap(), "{ \"model\":\"mine\", \"messages\" : [],\"n\": 1e400 }");
    assert_eq!(exchange.outcome().model, "mine");
}

#[test]
fn defaults_keep_their_types_and_fill_what_is_absent() {
    let default = |field: &str, value: &str, replace| FieldDefault {
        field: field.into(),
        value: value.into(),
        replace,
    };
    let policy = RoutePolicy {
        defaults: vec![
            default("temperature", "0.5", false),
            default("max_tokens", "100", true),
            default("metadata", r#"{"team":"a \"b\""}"#, false),
            default("flag", "true", false),
        ],
        ..RoutePolicy::default()
    };
    for (provider, path) in
        [(Provider::OpenAi, "/a"), (anthropic(), "/a"), (gemini(), "/a"), (bedrock(), "/a")]
    {
        let mut exchange = begin(provider, Some("m"), policy.clone(), path);
        let body = json!({"temperature": 0, "max_tokens": 7, "flag": null, "max_tokens_": 1});
        let body = sent(&mut exchange, &body);
        assert_eq!(
            (&body["temperature"], &body["max_tokens"], &body["flag"]),
            (&json!(0), &json!(100), &json!(null)),
            "0 and null are values"
        );
        assert_eq!(body["metadata"], json!({"team": "a \"b\""}));
    }
}

#[test]
fn messages_are_added_in_every_schema() {
    let message = |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
    let policy = RoutePolicy {
        prepend: vec![message("system", "quote \" and\nline"), message("assistant", "before")],
        append: vec![message("user", "after")],
        ..RoutePolicy::default()
    };
    let text = "quote \" and\nline";
    let mut exchange = begin(Provider::OpenAi, None, policy.clone(), "/a");
    let body = sent(&mut exchange, &json!({"messages": [{"role": "user", "content": "own"}]}));
    let roles: Vec<_> =
        body["messages"].as_array().unwrap().iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["system", "assistant", "user", "user"]);
    assert_eq!(body["messages"][0]["content"], text);

    let mut exchange = begin(Provider::OpenAi, None, policy.clone(), "/v1/responses");
    let body = sent(&mut exchange, &json!({"input": "own"}));
    assert_eq!(body["input"][2], json!({"role": "user", "content": "own"}));

    let mut exchange = begin(anthropic(), None, policy.clone(), "/a");
    let own = json!({"max_tokens": 1, "system": "own", "messages": [{"role": "user", "content": "x"}]});
    let body = sent(&mut exchange, &own);
    assert_eq!(body["system"], format!("{text}\nown"));
    assert_eq!(body["messages"].as_array().unwrap().len(), 3);

    let mut exchange = begin(gemini(), Some("m"), policy.clone(), "/a");
    let body =
        sent(&mut exchange, &json!({"system_instruction": {"parts": [{"text": "own"}]}, "contents": []}));
    assert_eq!(body["system_instruction"]["parts"], json!([{"text": text}, {"text": "own"}]));
    assert_eq!(body["contents"][0], json!({"role": "model", "parts": [{"text": "before"}]}));

    let mut exchange = begin(bedrock(), Some("m"), policy.clone(), "/a");
    let body = sent(&mut exchange, &json!({"messages": [{"role": "user", "content": [{"text": "own"}]}]}));
    assert_eq!(body["system"], json!([{"text": text}]));
    // Converse refuses two messages of the same role in a row.
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    assert_eq!(body["messages"][1], json!({"role": "user", "content": [{"text": "own"}, {"text": "after"}]}));
    let own =
        br#"{"messages": [{"role": "assistant", "content": [{"toolUse": {"input": {"z": 1.10, "a": 1}}}]}]}"#;
    let mut exchange = begin(bedrock(), Some("m"), policy.clone(), "/a");
    let body = String::from_utf8(exchange.request(own.to_vec()).unwrap().into_body().unwrap()).unwrap();
    // The client's own text stays as it is.
    assert!(body.contains(r#"{"text":"before"},{"toolUse": {"input": {"z": 1.10, "a": 1}}}]}"#), "{body}");

    let mut exchange = begin(anthropic(), None, policy, "/a");
    let refusal =
        exchange.request(br#"{"max_tokens": 1, "system": 7, "messages": []}"#.to_vec()).unwrap_err();
    assert_eq!(refusal.status, 400);
}

#[test]
fn a_route_for_streams_asks_each_provider_in_its_way() {
    let policy = RoutePolicy { streaming: true, ..RoutePolicy::default() };
    let mut exchange = begin(Provider::OpenAi, None, policy.clone(), "/a");
    let body = sent(&mut exchange, &json!({"stream": false, "messages": []}));
    assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
    let mut exchange = begin(gemini(), Some("m"), policy.clone(), "/a");
    assert_eq!(sent(&mut exchange, &json!({"contents": []})), json!({"contents": []}));
    assert_eq!(exchange.head().path, "/v1beta/models/m:streamGenerateContent?alt=sse");
    let exchange = begin(bedrock(), Some("m"), policy, "/model/x/converse");
    assert_eq!(exchange.head().path, "/model/m/converse-stream");
}

#[test]
fn strict_translation_refuses_what_it_cannot_carry_in_the_clients_words() {
    let body = json!({"model": "m", "logit_bias": {"1": 2}, "messages": [{"role": "user", "content": "x"}]});
    let policy = |strict| RoutePolicy {
        translation: Some(Translation { strict, always: true }),
        ..RoutePolicy::default()
    };
    let mut exchange = begin(gemini(), Some("g"), policy(true), "/v1/chat/completions");
    let refusal = exchange.request(body.to_string().into_bytes()).unwrap_err();
    let told: Value = serde_json::from_slice(&refusal.body).unwrap();
    assert_eq!((refusal.status, &told["error"]["param"]), (400, &json!("logit_bias")));
    let mut exchange = begin(gemini(), Some("g"), policy(false), "/v1/chat/completions");
    assert!(sent(&mut exchange, &body)["contents"].is_array());
    assert_eq!(exchange.outcome().lost, ["logit_bias"]);
    assert_eq!(exchange.head().path, "/v1beta/models/g:generateContent");
}

#[test]
fn what_a_provider_says_about_the_gateways_key_is_not_passed_on() {
    for status in [401, 403] {
        let mut exchange = begin(Provider::OpenAi, None, RoutePolicy::default(), "/a");
        sent(&mut exchange, &json!({"messages": []}));
        assert_eq!(exchange.answer_begins(status, "application/json", false), Passage::Replaced);
        assert_eq!(exchange.answer_piece(b"the key sk-123 is wrong"), Some(Vec::new()));
        let told: Value = serde_json::from_slice(&exchange.answer_ends()).unwrap();
        assert_eq!(told["error"]["message"], "the provider refused the credential of the gateway");
    }
}

#[test]
fn a_provider_whose_path_holds_the_model_needs_one() {
    let begun = Exchange::begin(cluster(gemini(), None), Arc::default(), &head("/v1/models"));
    assert!(begun.is_ok(), "a list of models needs none");
    let mut exchange = begin(gemini(), None, RoutePolicy::default(), "/a");
    assert_eq!(exchange.request(b"{}".to_vec()).unwrap_err().status, 400);
    let mut exchange = begin(gemini(), None, RoutePolicy::default(), "/v1/models/own:generateContent");
    assert_eq!(sent(&mut exchange, &json!({"contents": []})), json!({"contents": []}));
    assert_eq!(exchange.head().path, "/v1beta/models/own:generateContent");
}

#[test]
fn an_alias_is_the_providers_name_of_the_clients_model() {
    let policy = || RoutePolicy {
        version: VERSION,
        model_aliases: [("fast".to_owned(), "provider-fast".to_owned())].into(),
        ..RoutePolicy::default()
    };
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "a"}]});
    let gemini_body = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}]});
    let gemini_path = "/v1beta/models/fast:generateContent";
    let rows = [
        ("in the body", Provider::OpenAi, None, "/v1/chat/completions", chat("fast"), Some("provider-fast")),
        ("translated", anthropic(), None, "/v1/chat/completions", chat("fast"), Some("provider-fast")),
        ("in the path", gemini(), None, gemini_path, gemini_body.clone(), None),
        ("from the body into the path", gemini(), None, "/v1/chat/completions", chat("fast"), None),
        ("from the path into the body", anthropic(), None, gemini_path, gemini_body, Some("provider-fast")),
    ];
    for (says, provider, own, path, body, expected) in rows {
        let mut exchange = begin(provider, own, policy(), path);
        assert!(exchange.needs_body() || expected.is_none(), "{says}");
        let sent = sent(&mut exchange, &body);
        assert_eq!(sent["model"].as_str(), expected, "{says}: {sent}");
        let is_in_path = exchange.head().path.contains("/models/provider-fast:");
        assert_eq!(is_in_path, expected.is_none(), "{says}: {}", exchange.head().path);
        assert_eq!(exchange.outcome().model, "fast", "{says}: metrics have the client's name");
    }
    let mut exchange = begin(Provider::OpenAi, None, policy(), "/v1/chat/completions");
    assert_eq!(sent(&mut exchange, &chat("other"))["model"], "other");
    let mut exchange = begin(Provider::OpenAi, Some("own"), policy(), "/v1/chat/completions");
    assert_eq!(sent(&mut exchange, &chat("fast"))["model"], "own", "the Backend's counts");
    assert_eq!(exchange.outcome().model, "own");
}

/// A stream of Gemini tells the tokens with every event, one of OpenAI at its end, and some never: what is not told is
/// estimated, so that a stream that ends at any event has cost something.
#[test]
fn tokens_that_are_not_told_are_estimated() {
    let openai = |body: &Value| {
        let mut exchange = begin(Provider::OpenAi, None, RoutePolicy::default(), "/v1/chat/completions");
        sent(&mut exchange, body);
        exchange
    };
    let question = json!({"model": "m", "stream": true, "messages": []});
    let prompt = u64::try_from(question.to_string().len()).unwrap().div_ceil(4);
    let mut exchange = openai(&question);
    assert_eq!(exchange.tokens(), 0, "no provider has taken it");
    exchange.answer_begins(200, "text/event-stream", false);
    assert_eq!(exchange.tokens(), prompt);
    let text = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for count in 1..5 {
        exchange.answer_piece(text.as_bytes());
        assert_eq!(exchange.tokens(), prompt + count);
    }
    let mut untold = openai(&question);
    untold.answer_begins(200, "text/event-stream", false);
    untold.answer_piece(text.as_bytes());
    untold.answer_ends();
    assert!(untold.tokens() > prompt, "the provider tells nothing");
    exchange
        .answer_piece(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":9}}\n\n");
    assert_eq!(exchange.tokens(), 99);
    exchange.answer_piece(b"data: [DONE]\n\n");
    exchange.answer_ends();
    assert_eq!(exchange.tokens(), 99, "what is told counts");

    let mut refused = openai(&question);
    refused.answer_begins(500, "application/json", false);
    refused.answer_piece(b"{}");
    refused.answer_ends();
    assert_eq!(refused.tokens(), 0, "an error costs nothing");

    let mut gemini =
        begin(gemini(), Some("m"), RoutePolicy::default(), "/v1beta/models/m:streamGenerateContent");
    sent(&mut gemini, &json!({"contents": []}));
    gemini.answer_begins(200, "text/event-stream", false);
    for count in 1..4 {
        let event = format!(
            "data: {{\"candidates\":[],\"usageMetadata\":{{\"promptTokenCount\":7,\"candidatesTokenCount\":{count}}}}}\n\n"
        );
        gemini.answer_piece(event.as_bytes());
        assert_eq!(gemini.tokens(), 7 + count);
    }

    let mut foreign = begin(anthropic(), None, RoutePolicy::default(), "/v1/chat/completions");
    sent(
        &mut foreign,
        &json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "a"}]}),
    );
    foreign.answer_begins(200, "text/event-stream", false);
    let before = foreign.tokens();
    foreign.answer_piece(
        b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"usage\":{\"input_tokens\":500,\"output_tokens\":1}}}\n\n",
    );
    assert!(before > 0 && foreign.tokens() > 500, "{before} {}", foreign.tokens());
}
