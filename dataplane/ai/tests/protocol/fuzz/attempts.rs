//! Whole attempts: every provider, policy, path and client, requests and answers, single ones and streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use ai::exchange::{Exchange, Passage, Policy, Refusal, RequestHead};
use ai::guard::Verdict;
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai_config::{
    ClusterConfig, CredentialHeader, FieldDefault, Guard, GuardAction, GuardBuiltin, GuardExpression,
    GuardPatterns, GuardRejection, Message, PathOverride, Provider, RequestGuard, RoutePolicy, Schema,
    Translation, VERSION,
};
use serde::de::IgnoredAny;

use super::inputs::{Random, pieces};
use super::translations::{answer, request};
use crate::harness::content_type;

/// Paths of clients.
const PATHS: [&str; 14] = [
    "/",
    "/a?key=k&alt=sse",
    "/v1/chat/completions",
    "/x/v1/chat/completions?api-version=1",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages?beta=true",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1beta/models/m:generateContent",
    "/v1beta/models/m%2F..%3F:streamGenerateContent?alt=sse",
    "/v1beta/models/:countTokens",
    "/model/a.b-v1%3A0/converse",
    "/model/%/converse-stream",
];

fn cluster(random: &mut Random) -> ClusterConfig {
    let vertex = |schema, method: Option<&str>| Provider::VertexAi {
        api_version: "v1".to_owned(),
        project: "p".to_owned(),
        location: "l".to_owned(),
        publisher: "google".to_owned(),
        method: method.map(str::to_owned),
        schema,
    };
    let providers = [
        Provider::OpenAi,
        Provider::AzureOpenAi { deployment: "d".to_owned(), api_version: "2024-10-21".to_owned() },
        Provider::Anthropic { version: "2023-06-01".to_owned() },
        Provider::Gemini { api_version: "v1beta".to_owned() },
        vertex(Schema::Gemini, None),
        vertex(Schema::Anthropic, Some("rawPredict")),
        Provider::Bedrock { region: "us-east-1".to_owned() },
        Provider::Mistral,
    ];
    let paths =
        [None, Some(PathOverride::Base("/base".to_owned())), Some(PathOverride::Full("/f?x=1".to_owned()))];
    let passthrough = CredentialHeader { name: "x-api-key".to_owned(), prefix: String::new() };
    ClusterConfig {
        version: VERSION,
        backend: "default/b".to_owned(),
        provider: random.pick(&providers).clone(),
        authority: "provider.example".to_owned(),
        path: random.pick(&paths).clone(),
        model: random.pick(&[None, Some("claude-sonnet-4-5"), Some("a b/\u{e4}?")]).map(str::to_owned),
        defaults: defaults(random),
        passthrough: (random.below(4) == 0).then_some(passthrough),
        credentials: Vec::new(),
        pool_member: None,
        max_request_bytes: 1024 * 1024,
    }
}

fn defaults(random: &mut Random) -> Vec<FieldDefault> {
    let values = [("stream", "true"), ("max_tokens", "7"), ("messages", "[]"), ("x \"y\"", "{\"a\":null}")];
    let mut default = || {
        let (field, value) = *random.pick(&values);
        FieldDefault { field: field.to_owned(), value: value.to_owned(), replace: random.below(2) == 0 }
    };
    let list = [default(), default()];
    list.into_iter().take(random.below(6) / 2).collect()
}

fn messages(random: &mut Random) -> Vec<Message> {
    let mut message = || Message {
        role: (*random.pick(&["system", "user", "assistant", "developer"])).to_owned(),
        content: "quote \" and\nline".to_owned(),
    };
    let list = [message(), message()];
    list.into_iter().take(random.below(6) / 2).collect()
}

fn policy(random: &mut Random) -> RoutePolicy {
    RoutePolicy {
        version: VERSION,
        streaming: random.below(4) == 0,
        prepend: messages(random),
        append: messages(random),
        defaults: defaults(random),
        model_aliases: match random.below(3) {
            0 => [("m".to_owned(), "the-providers-own".to_owned())].into(),
            _ => BTreeMap::new(),
        },
        cost_header: random.below(4) == 0,
        translation: *random.pick(&[
            None,
            Some(Translation { strict: false, always: true }),
            Some(Translation { strict: true, always: false }),
            Some(Translation { strict: true, always: true }),
        ]),
        guard: guard(random),
    }
}

fn guard(random: &mut Random) -> Option<Guard> {
    let mut patterns = || GuardPatterns {
        expressions: [".", "[a-z]+", "text|data", "\\d+$"]
            .into_iter()
            .filter(|_| random.below(3) == 0)
            .map(|pattern| GuardExpression { pattern: pattern.to_owned(), name: None })
            .collect(),
        builtins: vec![GuardBuiltin::CreditCard, GuardBuiltin::Email, GuardBuiltin::PhoneNumber],
        is_shadow: random.below(4) == 0,
    };
    let (request, response) = (patterns(), patterns());
    let action = *random.pick(&[GuardAction::Mask, GuardAction::Mask, GuardAction::Reject]);
    let rejection = GuardRejection { message: "{}".to_owned(), ..GuardRejection::default() };
    (random.below(2) == 0).then(|| Guard {
        request: (random.below(3) == 0).then_some(RequestGuard { patterns: request, action, rejection }),
        response: (random.below(3) > 0).then_some(response),
        ..Guard::default()
    })
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn check_refusal(refusal: &Refusal) {
    assert!((400..=500).contains(&refusal.status) && is_json(&refusal.body), "{refusal:?}");
}

pub(super) fn check(random: &mut Random) {
    let (cluster, policy) = (Arc::new(cluster(random)), Arc::new(Policy::new(policy(random)).unwrap()));
    let is_post = random.below(8) > 0;
    let path = *random.pick(&PATHS);
    let head = RequestHead {
        method: if is_post { "POST" } else { "GET" },
        path,
        has_body: is_post,
        has_anthropic_version: random.below(3) == 0,
        is_encoded: random.below(20) == 0,
        is_upgrade: random.below(20) == 0,
        now: 1_700_000_000,
        fallback: (random.below(20) == 0).then_some(br#"[{"from":"*","to":"cheaper"}]"#),
    };
    let mut exchange = match Exchange::begin(cluster, policy, &head) {
        Ok(exchange) => exchange,
        Err(refusal) => return check_refusal(&refusal),
    };
    if is_post && let Err(refusal) = send(random, &mut exchange) {
        return check_refusal(&refusal);
    }
    let path = exchange.head().path;
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(path.starts_with('/') && is_plain, "{head:?} becomes {path:?}");
    hear(random, &mut exchange);
    let outcome = exchange.outcome();
    assert!(outcome.usage.is_none_or(|usage| usage.total() < u64::MAX));
}

fn send(random: &mut Random, exchange: &mut Exchange) -> Result<(), Refusal> {
    let client = *random.pick(&ClientProtocol::ALL);
    let body = request(random, client);
    if !exchange.needs_body() {
        pieces(random, &body).into_iter().for_each(|piece| exchange.request_passes(piece));
        return Ok(());
    }
    if let Some(changed) = exchange.request(body.clone())?.into_body() {
        let (before, after) = (String::from_utf8_lossy(&body), String::from_utf8_lossy(&changed));
        assert!(is_json(&changed) || !is_json(&body), "{before} becomes {after}");
    }
    Ok(())
}

fn hear(random: &mut Random, exchange: &mut Exchange) {
    // Mostly the provider's own words.
    let provider = match (random.below(4), exchange.facts().schema) {
        (0, _) => *random.pick(&ProviderProtocol::ALL),
        (_, Schema::OpenAi) => ProviderProtocol::OpenAiChat,
        (_, Schema::Anthropic) => ProviderProtocol::AnthropicMessages,
        (_, Schema::Gemini) => ProviderProtocol::Gemini,
        (_, Schema::Bedrock) => ProviderProtocol::BedrockConverse,
    };
    let is_stream = random.below(2) == 0;
    let body = answer(random, provider, is_stream);
    let types = [content_type(provider, is_stream), content_type(provider, is_stream), "text/html", ""];
    let status = *random.pick(&[200, 200, 200, 201, 400, 401, 403, 429, 500, 529]);
    let kind = *random.pick(&types);
    if status >= 300 && random.below(2) == 0 {
        // Short, so that bodies hold it by chance.
        exchange.redact([b"key".as_slice(), b"a"]);
    }
    let passage = exchange.answer_begins(status, kind, random.below(10) == 0);
    let mut out = Vec::new();
    for piece in pieces(random, &body) {
        let instead = exchange.answer_piece(piece);
        assert_eq!(instead.is_none(), passage == Passage::AsItIs, "{passage:?}");
        out.extend(instead.unwrap_or_else(|| piece.to_vec()));
    }
    let rest = exchange.answer_ends();
    if passage == Passage::AsItIs {
        return;
    }
    out.extend(rest);
    let is_whole_json = matches!(passage, Passage::Replaced | Passage::Translated("application/json"));
    assert!(
        !is_whole_json
            || is_json(&out)
            || exchange.findings().response.is_some_and(|finding| finding.verdict == Verdict::Unreadable),
        "{passage:?}: {}",
        String::from_utf8_lossy(&out)
    );
}
