//! Requests.

use ai::exchange::{Exchange, Refusal, RequestHead};
use ai::guard::Verdict;
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai_config::GuardAction;
use serde_json::{Value, json};

use crate::corpus::{ENTITIES, HARMLESS};
use crate::world::{attempt, begin, guard_of_answers, guard_of_requests, head, question};

fn guarded(action: GuardAction, path: &str) -> Exchange {
    attempt(ProviderProtocol::OpenAiChat, guard_of_requests(action), path)
}

/// What the provider gets.
fn sent(action: GuardAction, path: &str, body: &str) -> Result<String, Refusal> {
    let mut exchange = guarded(action, path);
    assert!(exchange.needs_body(), "{path}");
    let sent = exchange.request(body.as_bytes().to_vec())?.into_body().unwrap();
    Ok(String::from_utf8(sent).unwrap())
}

#[test]
fn every_entity_is_masked_in_every_protocol() {
    let clients = ClientProtocol::ALL.into_iter().map(Some);
    for provider in ProviderProtocol::ALL {
        for client in clients.clone() {
            for (entity, mask) in ENTITIES {
                let (path, body) = question(client, &format!("Well, {entity}, as I said."));
                let mut exchange = attempt(provider, guard_of_requests(GuardAction::Mask), path);
                let body = body.to_string();
                let sent = exchange.request(body.into_bytes()).unwrap().into_body().unwrap();
                let sent: Value = serde_json::from_slice(&sent).unwrap();
                let expected = json!(format!("Well, {mask}, as I said.")).to_string();
                assert!(
                    sent.to_string().contains(&expected),
                    "{entity:?}, {client:?} at {provider:?}: {sent}"
                );
                assert_eq!(exchange.findings().request.unwrap().verdict, Verdict::Masked);
            }
        }
    }
}

#[test]
fn entities_are_rejected_and_harmless_texts_are_not() {
    let chat = |text: &str| question(Some(ClientProtocol::OpenAiChat), text);
    for (entity, _) in ENTITIES {
        let (path, body) = chat(&format!("please use {entity}."));
        let refusal = sent(GuardAction::Reject, path, &body.to_string()).unwrap_err();
        assert_eq!((refusal.status, refusal.content_type), (403, "text/plain"), "{entity}");
        assert_eq!(refusal.body, b"The request was rejected due to inappropriate content");
    }
    for text in HARMLESS {
        let (path, body) = chat(text);
        let sent = sent(GuardAction::Reject, path, &body.to_string());
        assert!(sent.is_ok_and(|sent| sent.contains(&json!(text).to_string())), "{text}");
    }
}

/// Every path with a body is guarded, and every member of the body.
#[test]
fn nothing_passes_beside_the_messages() {
    let card = "4111 1111 1111 1111";
    let rows = [
        ("/v1/embeddings", json!({"model": "m", "input": ["a", card]})),
        ("/v1/completions", json!({"model": "m", "prompt": [card], "suffix": "x"})),
        ("/v1/completions", json!({"model": "m", "prompt": "x", "suffix": card})),
        ("/v1/rerank", json!({"query": "x", "documents": [{"text": card}]})),
        ("/v1/moderations", json!({"input": card})),
        ("/v1/images/generations", json!({"prompt": card})),
        ("/v1/audio/speech", json!({"input": card, "voice": "x"})),
        ("/v1/messages/count_tokens", json!({"messages": [{"role": "user", "content": card}]})),
        ("/v1/chat/completions", json!({"messages": [{"role": "system", "content": card}]})),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "developer", "content": [{"type": "text", "text": card}]}]}),
        ),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "x", "name": card}]})),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "tool", "tool_call_id": "i", "content": card}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "i", "type": "function", "function": {"name": "f", "arguments": json!({"a": [card]}).to_string()}}]}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f", "description": card}}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"enum": [card]}}}}}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [], "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"description": card}}}}),
        ),
        ("/v1/chat/completions", json!({"messages": [], "metadata": {"k": card}, "user": "u"})),
        ("/v1/chat/completions", json!({"messages": [], "metadata": {card: "v"}})),
        ("/v1/chat/completions", json!({"messages": [], "stop": [card]})),
        ("/v1/chat/completions", json!({"messages": [], "x_unheard_of": {"deep": [{"er": card}]}})),
        (
            "/v1/responses",
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": card}]}], "instructions": "x"}),
        ),
        ("/v1/responses", json!({"input": "x", "instructions": card})),
    ];
    for (path, body) in rows {
        let refusal = sent(GuardAction::Reject, path, &body.to_string()).unwrap_err();
        assert_eq!(refusal.status, 403, "{path}: {body}");
        let masked = sent(GuardAction::Mask, path, &body.to_string()).unwrap();
        assert!(masked.contains("<CREDIT_CARD>") && !masked.contains("1111"), "{path}: {masked}");
    }
}

/// A number may need a word before it, and the word may stand in the part before.
#[test]
fn a_word_of_the_part_before_says_what_a_number_is() {
    let message = |second: &str| {
        let parts = json!([{"type": "text", "text": "my phone is"}, {"type": "text", "text": second}]);
        json!({"messages": [{"role": "user", "content": parts}]}).to_string()
    };
    for (number, expected) in [
        (" 2125550123.", " <PHONE_NUMBER>."),
        (" 2125550123 or 212-555-0123", " <PHONE_NUMBER> or <PHONE_NUMBER>"),
        (" 2125550", " 2125550"),
    ] {
        let sent = sent(GuardAction::Mask, "/v1/chat/completions", &message(number)).unwrap();
        let sent: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(sent["messages"][0]["content"][1]["text"], expected);
    }
}

/// What the head says is enough to refuse it.
#[test]
fn what_cannot_be_read_by_its_head_is_refused() {
    let head = head("/v1/chat/completions");
    let upgrade = RequestHead { is_upgrade: true, ..head };
    let encoded = RequestHead { is_encoded: true, ..head };
    let of_requests = || guard_of_requests(GuardAction::Mask);
    for (head, guard, status, why) in [
        (upgrade, of_requests(), 400, "change their protocol"),
        (upgrade, guard_of_answers(), 400, "change their protocol"),
        (encoded, of_requests(), 415, "content-encoding"),
    ] {
        let refusal = begin(ProviderProtocol::OpenAiChat, guard, &head).unwrap_err();
        assert_eq!((refusal.status, refusal.details), (status, "chancery_ai_guard_unreadable"));
        let text = String::from_utf8(refusal.body).unwrap();
        assert!(text.contains("prompt guard") && text.contains(why), "{text}");
    }
    // A guard of answers does not read requests.
    assert!(begin(ProviderProtocol::OpenAiChat, guard_of_answers(), &encoded).is_ok());
}

/// A body that cannot be read is refused, and the answer says why.
#[test]
fn what_cannot_be_read_is_refused() {
    let utf16: Vec<u8> = "{\"messages\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let multipart =
        b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n4111111111111111\r\n--x--\r\n";
    let rows: [(&[u8], &str); 8] = [
        (b"", "is not valid JSON"),
        (b"{\"messages\":[]} {\"messages\":[]}", "is not valid JSON"),
        (b"{\"messages\":NaN}", "is not valid JSON"),
        (b"{\"messages\":[{\"content\":\"a\",\"content\":\"b\"}]}", "has the member \\\"content\\\" twice"),
        (
            b"{\"messages\":[{\"content\":\"a\",\"c\\u006fntent\":\"b\"}]}",
            "has the member \\\"content\\\" twice",
        ),
        (&utf16, "is not valid JSON"),
        (multipart, "is not valid JSON"),
        (b"\x1f\x8b\x08\0\0", "is not valid JSON"),
    ];
    for (body, why) in rows {
        for path in ["/v1/chat/completions", "/v1/files", "/v1/embeddings"] {
            let mut exchange = guarded(GuardAction::Mask, path);
            let refusal = exchange.request(body.to_vec()).unwrap_err();
            let text = String::from_utf8(refusal.body).unwrap();
            assert!(
                refusal.status == 400 && text.contains(why) && text.contains("prompt guard"),
                "{path}: {text}"
            );
            assert_eq!(exchange.findings().request.unwrap().verdict, Verdict::Unreadable);
        }
    }
    let refusal = sent(GuardAction::Mask, "/v1/embeddings", r#"{"input":[[1,2,3]]}"#).unwrap_err();
    assert!(String::from_utf8(refusal.body).unwrap().contains("tokens as numbers"));
}
