//! Answers.

use std::sync::Arc;

use ai::exchange::Policy;
use ai::guard::Verdict;
use ai::protocol::{ClientProtocol, ProviderProtocol};
use serde_json::{Value, json};

use crate::corpus::{ENTITIES, HARMLESS};
use crate::world::{
    attempt, begin_with, events, guard_of_answers, head, heard, pairs, policy, question, stream, text,
};

/// What a client gets of a text that the provider streams in these pieces.
fn streamed(
    client: Option<ClientProtocol>,
    provider: ProviderProtocol,
    pieces: &[&str],
    chunk: usize,
) -> String {
    streamed_with(policy(guard_of_answers(), true), client, provider, pieces, chunk).0
}

/// The same on a route with this policy, and the JSON of all events that the client gets.
pub(crate) fn streamed_with(
    policy: Arc<Policy>,
    client: Option<ClientProtocol>,
    provider: ProviderProtocol,
    pieces: &[&str],
    chunk: usize,
) -> (String, String) {
    let (path, question) = question(client, "hello");
    let mut exchange = begin_with(provider, policy, &head(path)).unwrap();
    if exchange.needs_body() {
        exchange.request(question.to_string().into_bytes()).unwrap();
    }
    let (content_type, body) = stream(provider, pieces);
    let out = heard(&mut exchange, content_type, &body, chunk);
    let usage = exchange.outcome().usage.expect("tokens are told");
    assert_eq!((usage.prompt, usage.completion), (Some(3), Some(4)), "{client:?} at {provider:?}");
    let events = events(client, &out);
    let all = Value::from(events.clone()).to_string();
    let found = text(client, &events);
    // Nothing stands elsewhere, such as in the events that repeat the whole text.
    let whole: String = pieces.concat();
    assert!(found == whole || !all.contains(&whole), "{client:?} at {provider:?}: {all}");
    (found, all)
}

#[test]
fn every_entity_is_masked_wherever_a_stream_is_split() {
    for (index, (entity, mask)) in ENTITIES.into_iter().enumerate() {
        let answer = format!("Well, {entity}, as I said.");
        let expected = format!("Well, {mask}, as I said.");
        // Each client has its turn at each split; all of them, at every one, take too long for a debug build.
        let mut pairs = pairs().cycle().skip(index);
        for (at, _) in answer.char_indices().skip(1) {
            let (client, provider) = pairs.next().unwrap();
            let (first, second) = answer.split_at(at);
            let found = streamed(client, provider, &[first, second], usize::MAX);
            assert_eq!(found, expected, "{entity:?} at {at}: {client:?} at {provider:?}");
        }
    }
}

#[test]
fn an_entity_in_as_many_events_as_it_has_characters_is_masked_in_every_protocol() {
    for (index, (client, provider)) in pairs().enumerate() {
        for (entity, mask) in ENTITIES.into_iter().skip(index % 3).step_by(3) {
            let answer = format!("It is {entity}");
            let pieces: Vec<&str> = answer.split_inclusive(|_: char| true).collect();
            let found = streamed(client, provider, &pieces, 7);
            assert_eq!(found, format!("It is {mask}"), "{entity:?}: {client:?} at {provider:?}");
        }
    }
}

#[test]
fn harmless_streams_stay_as_they_are() {
    for (text, (client, provider)) in HARMLESS.into_iter().zip(pairs().cycle()) {
        let pieces: Vec<&str> = text.split_inclusive(' ').collect();
        assert_eq!(streamed(client, provider, &pieces, usize::MAX), text);
    }
    // Byte for byte.
    let (content_type, body) = stream(ProviderProtocol::AnthropicMessages, &["Hello, ", "how are ", "you?"]);
    let mut exchange = attempt(ProviderProtocol::AnthropicMessages, guard_of_answers(), "/v1/messages");
    assert_eq!(heard(&mut exchange, content_type, &body, 11), body);
    assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Passed);
}

/// Prose goes on word by word: it is not kept until the end.
#[test]
fn no_more_is_held_back_than_the_figure_that_is_documented() {
    let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
    exchange.request(question(Some(ClientProtocol::OpenAiChat), "x").1.to_string().into_bytes()).unwrap();
    exchange.answer_begins(200, "text/event-stream", false);
    let (mut sent, mut got) = (0, 0);
    for index in 0..2000 {
        let words = if index % 7 == 0 { "word,\n" } else { "word " };
        let event = format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": words}}]}));
        sent += words.len();
        let out = exchange.answer_piece(event.as_bytes()).unwrap();
        if !out.is_empty() {
            let client = Some(ClientProtocol::OpenAiChat);
            got += text(client, &events(client, &out)).len();
        }
        // Events are held as wholes: the one in which the bytes begin, and the one that has just come.
        assert!(
            sent - got <= ai::guard::MAX_HOLD + 2 * "word,\n".len(),
            "{} bytes are held back",
            sent - got
        );
    }
    assert!(got > 0);
}

/// The arguments of a call are JSON, and stay it.
#[test]
fn arguments_of_calls_stay_json() {
    for (arguments, expected) in [
        (
            r#"{"to":"jane@example.com","card":4111111111111111,"n":1}"#,
            r#"{"to":"<EMAIL_ADDRESS>","card":"<CREDIT_CARD>","n":1}"#,
        ),
        (r#"{"card":"\u0034111 1111 1111 1111"}"#, r#"{"card":"<CREDIT_CARD>"}"#),
        (r#"{"city":"Paris"}"#, r#"{"city":"Paris"}"#),
    ] {
        for size in 1..=arguments.len() {
            let pieces = arguments.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap());
            let mut body = String::new();
            for piece in pieces {
                let call = json!({"index": 0, "function": {"arguments": piece}});
                body += &format!(
                    "data: {}\n\n",
                    json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
                );
            }
            body += &format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
            );
            let mut exchange =
                attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
            let out = heard(&mut exchange, "text/event-stream", body.as_bytes(), usize::MAX);
            let piece = |event: &Value| {
                let call = &event["choices"][0]["delta"]["tool_calls"][0];
                call["function"]["arguments"].as_str().unwrap_or_default().to_owned()
            };
            let found: String = events(Some(ClientProtocol::OpenAiChat), &out).iter().map(piece).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }
}

/// Choices that come side by side are different texts.
#[test]
fn choices_are_told_apart() {
    let event = |index: u32, text: &str| {
        format!("data: {}\n\n", json!({"choices": [{"index": index, "delta": {"content": text}}]}))
    };
    let body = [
        event(0, "a 4111 1111 "),
        event(1, "b 5105 1051 "),
        event(0, "1111 1111."),
        event(1, "0510 5100."),
        "data: [DONE]\n\n".to_owned(),
    ];
    let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
    let out = heard(&mut exchange, "text/event-stream", body.concat().as_bytes(), 5);
    let events = events(Some(ClientProtocol::OpenAiChat), &out);
    for (index, expected) in [(0, "a <CREDIT_CARD>."), (1, "b <CREDIT_CARD>.")] {
        let own = events.iter().filter(|event| event["choices"][0]["index"] == index).cloned();
        assert_eq!(text(Some(ClientProtocol::OpenAiChat), &own.collect::<Vec<_>>()), expected);
    }
}

#[test]
fn whole_answers_are_masked_and_else_stay_byte_for_byte() {
    let answer = |text: &str| {
        format!(
            "{{ \"id\":\"c-1\",\"choices\":[{{\"index\":0, \"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}}}}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}} }}\n"
        )
    };
    for (before, after) in [
        ("5105105105105100 is an even number.", "<CREDIT_CARD> is an even number."),
        ("mail jane@example.com", "mail <EMAIL_ADDRESS>"),
        ("nothing", "nothing"),
    ] {
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
        let out = heard(&mut exchange, "application/json", answer(before).as_bytes(), 10);
        assert_eq!(String::from_utf8(out).unwrap(), answer(after));
        assert_eq!(exchange.outcome().usage.unwrap().total(), 7);
        let finding = exchange.findings().response.unwrap();
        assert_eq!(finding.verdict, if before == after { Verdict::Passed } else { Verdict::Masked });
    }
}

#[test]
fn gemini_streams_as_an_array_are_masked() {
    let element = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}}]}).to_string();
    let body = |texts: [&str; 2]| format!("[{},\r\n{}\n]\n", element(texts[0]), element(texts[1]));
    let path = "/v1beta/models/m:streamGenerateContent";
    for chunk in [1, 17, usize::MAX] {
        let mut exchange = attempt(ProviderProtocol::Gemini, guard_of_answers(), path);
        let out =
            heard(&mut exchange, "application/json", body(["4111 1111 ", "1111 1111"]).as_bytes(), chunk);
        assert_eq!(String::from_utf8(out).unwrap(), body(["<CREDIT_CARD>", ""]));
    }
}

/// What cannot be read does not pass: a whole answer becomes 502, a stream ends with an error.
#[test]
fn what_cannot_be_read_does_not_pass() {
    let whole: [(&str, &[u8], bool); 8] = [
        ("text/plain", b"data: {\"a\":\"4111111111111111\"\n\ndata: b\n\n", false),
        ("text/plain", b"\xef\xbb\xbfdata: {\"a\":\"4111 1111 \"}\n\ndata: {\"a\":\"1111 1111\"}\n\n", false),
        ("application/x-ndjson", b"{\"a\":\"4111111111111111\"}\n{\"a\":\"4111111111111111\"", false),
        ("", b"[{\"a\":\"4111111111111111\"},\n{\"a\":", false),
        ("application/json", b"{\"content\":\"4111111111111111\"", false),
        ("application/json", b"{\"a\":\"4111111111111111\",\"a\":1}", false),
        ("audio/mpeg", b"\xff\xfb4111111111111111", false),
        ("application/json", b"{\"a\":\"4111111111111111\"}", true),
    ];
    for (content_type, body, is_encoded) in whole {
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
        exchange.answer_begins(200, content_type, is_encoded);
        assert!(exchange.holds_answer());
        assert_eq!(exchange.answer_piece(body), Some(Vec::new()));
        let out = String::from_utf8(exchange.answer_ends()).unwrap();
        assert_eq!(exchange.replaced(), Some((502, "application/json")), "{content_type}");
        assert!(out.contains("prompt guard") && !out.contains("4111"), "{out}");
        assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Unreadable);
    }
    let streams: [(&[u8], &str); 8] = [
        (b"{\"error\":\"4111111111111111\"}", "text/event-stream"),
        (b"{\n  \"error\": \"4111111111111111\"\n}\n\n", "text/event-stream; charset=utf-8"),
        (b"\xef\xbb\xbfdata: {\"a\":\"4111111111111111\"}\n\n", "text/event-stream"),
        (b"\xef\xbb\xbfdata: {\"a\":\"4111111111111111\",\ndata: \"b\":1}\n\n", "text/event-stream"),
        (b": comment\n{\"error\":\"4111111111111111\"}\n\n", "text/event-stream"),
        (b"event: x\n4111111111111111\ndata: {}\n\n", "text/event-stream"),
        (b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {4111111111111111\n\ndata: b\n\n", "text/event-stream"),
        (b"\0\0\0\x10garbage 4111111111111111", "application/vnd.amazon.eventstream"),
    ];
    for (body, content_type) in streams {
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
        let out = heard(&mut exchange, content_type, body, 9);
        let out = String::from_utf8_lossy(&out);
        assert!(out.contains("prompt guard") && !out.contains("4111") && !out.contains("data: b"), "{out}");
    }
}

#[test]
fn text_that_is_no_json_is_masked() {
    for text in [
        "a card: 4111 1111 1111 1111\n",
        ": 4111 1111 1111 1111\n",
        "event: 4111 1111 1111 1111\n",
        "data:\n  card: 4111 1111 1111 1111\n",
        "{name}, your card is 4111 1111 1111 1111.",
        "{} is empty, 4111 1111 1111 1111 is not.",
        "[1] 4111 1111 1111 1111",
    ] {
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/files/f/content");
        let out = heard(&mut exchange, "text/plain", text.as_bytes(), 3);
        let expected = text.replace("4111 1111 1111 1111", "<CREDIT_CARD>");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Masked);
    }
}

/// An event with a piece of text and the reason why the choice has ended.
type Element = fn(&str, &Value) -> Value;

fn chat_event(text: &str, reason: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]})
}

fn gemini_event(text: &str, reason: &Value) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]})
}

/// Some hosts label a stream as plain text, or not at all.
#[test]
fn streams_without_a_label_are_masked() {
    let chat: fn(&str) -> Value = |text| chat_event(text, &Value::Null);
    let gemini: fn(&str) -> Value = |text| gemini_event(text, &Value::Null);
    let ollama: fn(&str) -> Value = |text| json!({"message": {"role": "assistant", "content": text}});
    let generate: fn(&str) -> Value = |text| json!({"model": "m", "response": text, "done": false});
    for (element, begin, between, end) in [
        (chat, "data: ", "\n\ndata: ", "\n\ndata: [DONE]\n\n"),
        (chat, ": c\r\n\r\nevent: x\r\ndata: ", "\r\n\r\nevent: x\r\ndata: ", "\r\n\r\n"),
        (gemini, "\n\nid: 1\ndata: ", "\n\nid: 2\ndata: ", "\n\n"),
        (gemini, "[", ",\r\n", "\n]\n"),
        (chat, "", "\n", "\n"),
        (ollama, "", "\n", "\n"),
        (generate, "", "", ""),
    ] {
        let body = |texts: [&str; 3]| {
            format!("{begin}{}{end}", texts.map(|text| element(text).to_string()).join(between))
        };
        for content_type in
            ["", "text/plain; charset=utf-8", "application/octet-stream", "application/x-ndjson"]
        {
            let mut exchange =
                attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
            let answer = body(["It is 4111 1111 ", "1111 1", "111."]);
            let out = heard(&mut exchange, content_type, answer.as_bytes(), 11);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out, body(["It is <CREDIT_CARD>", "", "."]), "{content_type}: {answer}");
            assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Masked);
            let harmless = body(["It ", "is ", "1111."]);
            let mut exchange =
                attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
            assert_eq!(heard(&mut exchange, content_type, harmless.as_bytes(), 11), harmless.as_bytes());
        }
    }
    // What stands beside the data is text.
    let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
    let out = heard(&mut exchange, "", b": 4111 1111 1111 1111\nevent: jane@example.com\ndata: {}\n\n", 11);
    assert_eq!(String::from_utf8(out).unwrap(), ": <CREDIT_CARD>\nevent: <EMAIL_ADDRESS>\ndata: {}\n\n");
}

/// Some hosts give a reason in every event why the text has ended, or send events without data in between.
#[test]
fn only_the_end_of_a_stream_ends_a_text() {
    let (chat, gemini): (Element, Element) = (chat_event, gemini_event);
    for (element, reason, between, end) in [
        (chat, json!(""), "", "\n\n"),
        (chat, json!("stop"), "", "\n\n"),
        (chat, json!(null), "event: ping\n\n", "\n\n"),
        (chat, json!(null), "data:\n\nid: 1\n\n", "\n\n"),
        (gemini, json!("STOP"), "", "\r\n\r\n"),
        (gemini, json!("STOP"), "event: x\r\n\r\n", "\r\n\r\n"),
    ] {
        let body = |texts: [&str; 2]| {
            let [first, second] = texts.map(|text| format!("data: {}{end}", element(text, &reason)));
            format!("{first}{between}{second}")
        };
        let path = "/v1beta/models/m:streamGenerateContent?alt=sse";
        let mut exchange = attempt(ProviderProtocol::Gemini, guard_of_answers(), path);
        let answer = body(["It is 4111 1111 ", "1111 1111"]);
        let out = heard(&mut exchange, "text/event-stream", answer.as_bytes(), 5);
        assert_eq!(String::from_utf8(out).unwrap(), body(["It is <CREDIT_CARD>", ""]));
    }
}

/// A comment keeps the connection alive, and is not held back; what is held stays whole.
#[test]
fn comments_go_on_at_once() {
    for end in ["\n", "\r\n", "\r"] {
        let event = |text: &str| format!("data: {}{end}{end}", chat_event(text, &Value::Null));
        let comment = format!(": wait{end}{end}");
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
        let body = [event("4111 1111 "), comment.clone(), event("1111 1111")].concat();
        let out = heard(&mut exchange, "text/event-stream", body.as_bytes(), 3);
        let expected = [comment, event("<CREDIT_CARD>"), event("")].concat();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{end:?}");
    }
}

/// Events without data count among what is held back, which is bounded.
#[test]
fn events_without_data_are_not_held_without_end() {
    let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard_of_answers(), "/v1/chat/completions");
    exchange.answer_begins(200, "text/event-stream", false);
    let open = chat_event("4111 1111 ", &Value::Null);
    let (mut sent, mut got) = (0, 0);
    let bare = "event: ping\n\n".repeat(100);
    for piece in std::iter::once(format!("data: {open}\n\n")).chain(std::iter::repeat_n(bare, 400)) {
        sent += piece.len();
        got += exchange.answer_piece(piece.as_bytes()).unwrap().len();
        assert!(sent - got <= ai::guard::MAX_HELD_EVENTS, "{} bytes are held back", sent - got);
    }
    assert!(sent > ai::guard::MAX_HELD_EVENTS);
}
