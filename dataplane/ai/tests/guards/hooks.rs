//! Servers that are asked about requests and answers.

use ai::exchange::{Exchange, Question, Refusal, Reply, Step};
use ai::guard::{SEGMENT, Verdict};
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai_config::{Guard, GuardAction, GuardRejection, Moderation, Webhook};
use serde_json::{Value, json};

use crate::corpus::HARMLESS;
use crate::world::{attempt, events, guard_of_answers, guard_of_requests, pairs, question, stream, text};

pub(crate) fn webhook() -> Option<Webhook> {
    let authority = "guard.example".to_owned();
    Some(Webhook { cluster: "webhook".to_owned(), authority, forward_headers: Vec::new(), is_shadow: false })
}

pub(crate) fn moderation() -> Option<Moderation> {
    Some(Moderation {
        cluster: "moderation".to_owned(),
        authority: "api.openai.com".to_owned(),
        path: "/v1/moderations".to_owned(),
        model: "m".to_owned(),
        rejection: GuardRejection { status: 418, message: "flagged".to_owned() },
        is_shadow: false,
    })
}

/// What a server says.
pub(crate) type Judge<'a> = &'a mut dyn FnMut(&Question) -> Option<(u16, String)>;

/// Masks `secret`, rejects `block` and flags `hate`.
pub(crate) fn judge(question: &Question) -> Option<(u16, String)> {
    let body: Value = serde_json::from_slice(&question.body).unwrap();
    if question.path == "/v1/moderations" {
        let judged = |input: &Value| json!({"flagged": input.as_str().unwrap().contains("hate")});
        let results: Vec<_> = body["input"].as_array().unwrap().iter().map(judged).collect();
        return Some((200, json!({"results": results}).to_string()));
    }
    let said = question.body.clone();
    let said = String::from_utf8(said).unwrap();
    let action = if said.contains("block") {
        json!({"body": "blocked", "status_code": 422})
    } else if said.contains("secret") {
        json!({"body": serde_json::from_str::<Value>(&said.replace("secret", "****")).unwrap()["body"]})
    } else {
        json!({"reason": "nothing found"})
    };
    Some((200, json!({"action": action}).to_string()))
}

pub(crate) fn reply(said: Option<&(u16, String)>) -> Option<Reply<'_>> {
    said.map(|(status, body)| Reply { status: *status, body: body.as_bytes() })
}

/// What the provider gets of a request.
pub(crate) fn sent(exchange: &mut Exchange, body: &str, judge: Judge<'_>) -> Result<String, Refusal> {
    assert!(exchange.needs_body());
    let mut step = exchange.request(body.as_bytes().to_vec())?;
    loop {
        match step {
            Step::Send(body) => {
                return Ok(String::from_utf8(body).unwrap());
            }
            Step::Ask(question) => step = exchange.hear(reply(judge(&question).as_ref()))?,
        }
    }
}

/// What the client gets of an answer.
pub(crate) fn heard(
    exchange: &mut Exchange,
    content_type: &str,
    body: &[u8],
    piece: usize,
    judge: Judge<'_>,
) -> Vec<u8> {
    exchange.answer_begins(200, content_type, false);
    let mut out = Vec::new();
    let mut ask = |exchange: &mut Exchange, out: &mut Vec<u8>| {
        while let Some(question) = exchange.ask_about_answer(out) {
            assert!(exchange.ask_about_answer(out).is_none(), "one question at a time");
            out.extend(exchange.hear_about_answer(reply(judge(&question).as_ref())));
        }
    };
    for piece in body.chunks(piece) {
        out.extend(exchange.answer_piece(piece).expect("a guarded answer is never passed as it is"));
        ask(exchange, &mut out);
    }
    out.extend(exchange.answer_ends());
    ask(exchange, &mut out);
    out
}

#[test]
fn requests_pass_are_masked_or_rejected_in_every_protocol() {
    for provider in ProviderProtocol::ALL {
        for client in ClientProtocol::ALL.map(Some) {
            let guard = || Guard { request_webhook: webhook(), ..Guard::default() };
            let ask = |said: &str| {
                let (path, body) = question(client, said);
                let mut exchange = attempt(provider, guard(), path);
                let sent = sent(&mut exchange, &body.to_string(), &mut judge);
                (sent, exchange.findings().request.unwrap())
            };
            let holds = |sent: String, said: &str| sent.contains(&json!(said).to_string());
            let (passed, finding) = ask("hello");
            assert!(holds(passed.unwrap(), "hello"), "{client:?} at {provider:?}");
            assert_eq!(finding.verdict, Verdict::Passed);
            let (masked, finding) = ask("my secret");
            assert!(holds(masked.unwrap(), "my ****"), "{client:?} at {provider:?}");
            assert_eq!((finding.verdict, finding.names), (Verdict::Masked, ["WEBHOOK".to_owned()].into()));
            let (rejected, finding) = ask("block me");
            let refusal = rejected.unwrap_err();
            assert_eq!((refusal.status, &*refusal.body), (422, b"blocked".as_slice()));
            assert_eq!(finding.verdict, Verdict::Rejected);
        }
    }
}

#[test]
fn the_webhook_comes_first_then_expressions_and_moderation_gets_what_they_have_left() {
    let guard = Guard {
        request_webhook: webhook(),
        moderation: moderation(),
        ..guard_of_requests(GuardAction::Mask)
    };
    let (path, _) = question(Some(ClientProtocol::OpenAiChat), "");
    let mut asked = Vec::new();
    let mut remember = |question: &Question| {
        asked.push((question.path.clone(), String::from_utf8(question.body.clone()).unwrap()));
        judge(question)
    };
    let ask = |said: &str, judge: Judge<'_>| {
        let body = question(Some(ClientProtocol::OpenAiChat), said).1.to_string();
        sent(&mut attempt(ProviderProtocol::OpenAiChat, guard.clone(), path), &body, judge)
    };
    let sent = ask("secret card 4111 1111 1111 1111", &mut remember).unwrap();
    assert!(sent.contains("**** card <CREDIT_CARD>"), "{sent}");
    assert_eq!(asked[0].0, "/request");
    assert!(asked[0].1.contains("secret card 4111"), "{asked:?}");
    assert_eq!(asked[1].0, "/v1/moderations");
    assert!(asked[1].1.contains("**** card <CREDIT_CARD>"), "{asked:?}");
    let refusal = ask("I hate you", &mut judge).unwrap_err();
    assert_eq!((refusal.status, &*refusal.body), (418, b"flagged".as_slice()));
    // What is rejected earlier is asked about no more.
    let mut count = 0;
    let mut counting = |question: &Question| {
        count += 1;
        judge(question)
    };
    assert_eq!(ask("block all hate", &mut counting).unwrap_err().status, 422);
    assert_eq!(count, 1);
}

/// Servers that do not do what they should, for a number of texts that is not known beforehand.
const FAULTS: [Option<(u16, &str)>; 8] = [
    None,
    Some((500, r#"{"action":{}}"#)),
    Some((404, "")),
    Some((302, r#"{"action":{}}"#)),
    Some((200, "")),
    Some((200, "<html>")),
    Some((200, r#"{"action":{"body":{"messages":[],"choices":[]}}}"#)),
    Some((200, r#"{"results":[]}"#)),
];

#[test]
fn nothing_passes_while_a_server_is_at_fault() {
    let clients = ClientProtocol::ALL.map(Some);
    for (fault, client) in FAULTS.into_iter().zip(clients.into_iter().cycle()) {
        let mut faulty = |_: &Question| fault.map(|(status, body)| (status, body.to_owned()));
        for guard in [
            Guard { request_webhook: webhook(), ..Guard::default() },
            Guard { moderation: moderation(), ..Guard::default() },
        ] {
            let (path, body) = question(client, "hello");
            let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard, path);
            let refusal = sent(&mut exchange, &body.to_string(), &mut faulty).unwrap_err();
            assert_eq!(
                (refusal.status, refusal.details),
                (503, "chancery_ai_guard_unavailable"),
                "{fault:?}"
            );
            assert!(serde_json::from_slice::<Value>(&refusal.body).is_ok());
            assert_eq!(exchange.findings().request.unwrap().verdict, Verdict::Unavailable);
        }
        let (client, provider) = (client, ProviderProtocol::OpenAiChat);
        let guard = Guard { response_webhook: webhook(), ..Guard::default() };
        let (path, question) = question(client, "hello");
        let mut exchange = attempt(provider, guard, path);
        let _ = exchange.request(question.to_string().into_bytes()).unwrap();
        let (content_type, body) = stream(provider, &["one ", "two"]);
        let out = heard(&mut exchange, content_type, &body, usize::MAX, &mut faulty);
        let events = events(client, &out);
        assert_eq!(text(client, &events), "", "{fault:?}");
        assert!(Value::from(events).to_string().contains("webhook of this route"), "{fault:?}");
        assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Unavailable);
    }
}

#[test]
fn streams_are_asked_about_by_segments_and_masked_wherever_they_are_split() {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(SEGMENT / 30);
    for (client, provider) in pairs() {
        for (said, expected) in [
            ("nothing here".to_owned(), "nothing here".to_owned()),
            ("a secret is a secret".to_owned(), "a **** is a ****".to_owned()),
            (format!("{long}a secret"), format!("{long}a ****")),
        ] {
            for size in [1, 5, usize::MAX] {
                let pieces: Vec<String> = match size {
                    usize::MAX => vec![said.clone()],
                    _ => said
                        .as_bytes()
                        .chunks(size)
                        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
                        .collect(),
                };
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                let guard = Guard { response_webhook: webhook(), ..Guard::default() };
                let (path, question) = question(client, "hello");
                let mut exchange = attempt(provider, guard, path);
                if exchange.needs_body() {
                    let _ = exchange.request(question.to_string().into_bytes()).unwrap();
                }
                let (content_type, body) = stream(provider, &pieces);
                let mut asked = 0;
                let mut counting = |question: &Question| {
                    asked += 1;
                    judge(question)
                };
                let out = heard(&mut exchange, content_type, &body, 100, &mut counting);
                let events = events(client, &out);
                assert_eq!(text(client, &events), expected, "{client:?} at {provider:?}, {size}");
                assert!(!String::from_utf8_lossy(&out).contains("secret"), "{client:?} at {provider:?}");
                let usage = exchange.outcome().usage.expect("tokens are told");
                assert_eq!((usage.prompt, usage.completion), (Some(3), Some(4)));
                if size != usize::MAX && said.len() > 2 * SEGMENT {
                    assert!(
                        (2..=9).contains(&asked),
                        "{asked} questions, {client:?} at {provider:?}, {size}"
                    );
                }
            }
        }
    }
}

#[test]
fn streams_that_pass_stay_as_they_are_and_those_that_are_rejected_end() {
    let guard = || Guard { response_webhook: webhook(), ..Guard::default() };
    for said in HARMLESS {
        let pieces: Vec<&str> = said.split_inclusive(' ').collect();
        let (content_type, body) = stream(ProviderProtocol::AnthropicMessages, &pieces);
        let mut exchange = attempt(ProviderProtocol::AnthropicMessages, guard(), "/v1/messages");
        assert_eq!(heard(&mut exchange, content_type, &body, 11, &mut judge), body, "{said}");
    }
    let first = "words ".repeat(SEGMENT / 6 + 1);
    let pieces = [first.as_str(), "please block ", "this"];
    for client in ClientProtocol::ALL.map(Some) {
        let (path, question) = question(client, "hello");
        let provider = ProviderProtocol::OpenAiChat;
        let mut exchange = attempt(provider, guard(), path);
        let _ = exchange.request(question.to_string().into_bytes()).unwrap();
        let (content_type, body) = stream(provider, &pieces);
        let mut out = heard(&mut exchange, content_type, &body, 64, &mut judge);
        let events = events(client, &out);
        assert_eq!(text(client, &events), first, "{client:?}");
        assert!(Value::from(events).to_string().contains("blocked"), "{client:?}");
        assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Rejected);
        // Nothing comes behind the end.
        assert_eq!(exchange.ask_about_answer(&mut out), None);
    }
}

#[test]
fn whole_answers_are_held_and_replaced() {
    let answer = |said: &str| {
        json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": said},
            "logprobs": {"content": [{"token": said}]}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    };
    let ask = |body: &str, content_type: &str, judge: Judge<'_>| {
        let guard = Guard { response_webhook: webhook(), ..guard_of_answers() };
        let mut exchange = attempt(ProviderProtocol::AnthropicMessages, guard, "/v1/messages/count_tokens");
        exchange.answer_begins(200, content_type, false);
        assert!(exchange.holds_answer());
        let out = heard(&mut exchange, content_type, body.as_bytes(), 9, judge);
        assert!(!exchange.holds_answer());
        (String::from_utf8(out).unwrap(), exchange.replaced(), exchange.findings().response.unwrap().verdict)
    };
    let json = "application/json";
    let passes = answer("hello").to_string();
    let (body, replaced, verdict) = ask(&answer("my secret 4111111111111111").to_string(), json, &mut judge);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "my **** <CREDIT_CARD>");
    assert_eq!((&body["choices"][0]["logprobs"], replaced, verdict), (&Value::Null, None, Verdict::Masked));
    let (body, replaced, verdict) = ask(&answer("block").to_string(), json, &mut judge);
    assert_eq!((&*body, replaced, verdict), ("blocked", Some((422, "text/plain")), Verdict::Rejected));
    let (body, replaced, verdict) = ask(&passes, json, &mut |_| None);
    assert_eq!((replaced, verdict), (Some((503, json)), Verdict::Unavailable));
    assert!(body.contains("webhook of this route"), "{body}");
    let (body, replaced, verdict) = ask("{\"cut", json, &mut judge);
    assert_eq!((replaced, verdict), (Some((502, json)), Verdict::Unreadable));
    assert!(body.contains("not valid JSON"), "{body}");
    let (body, ..) = ask("a plain secret", "text/plain", &mut judge);
    assert_eq!(body, "a plain ****");
}

#[test]
fn a_stream_that_breaks_while_its_webhook_is_asked_ends_once() {
    let guard = Guard { response_webhook: webhook(), ..Guard::default() };
    let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard, "/v1/chat/completions");
    exchange.answer_begins(200, "text/event-stream", false);
    let said = "words ".repeat(SEGMENT);
    let (_, body) = stream(ProviderProtocol::OpenAiChat, &[&said]);
    let mut out = exchange.answer_piece(&body).unwrap();
    let question = exchange.ask_about_answer(&mut out).expect("there is enough text");
    out.extend(exchange.answer_piece(b"data: {broken\n\n").unwrap());
    let rejects = (200, r#"{"action":{"body":"no","status_code":403}}"#.to_owned());
    for said in [judge(&question), Some(rejects), None] {
        let heard = exchange.hear_about_answer(reply(said.as_ref()));
        assert_eq!(String::from_utf8(heard).unwrap(), "");
    }
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("not valid JSON") && !out.contains("words"), "{out}");
    assert_eq!(out.matches("\"error\"").count(), 1, "{out}");
    assert_eq!(exchange.findings().response.unwrap().verdict, Verdict::Unreadable);
}

#[test]
fn events_without_data_are_not_held_without_end() {
    for event in [": ping\n\n", "event: ping\n\n"] {
        let guard = Guard { response_webhook: webhook(), ..Guard::default() };
        let mut exchange = attempt(ProviderProtocol::OpenAiChat, guard, "/v1/chat/completions");
        exchange.answer_begins(200, "text/event-stream", false);
        let (_, body) = stream(ProviderProtocol::OpenAiChat, &["few words"]);
        let mut out = exchange.answer_piece(&body).unwrap();
        assert!(exchange.ask_about_answer(&mut out).is_none(), "there is not enough text");
        let many = event.repeat(1024 * 1024 / event.len());
        for _ in 0..17 {
            out.extend(exchange.answer_piece(many.as_bytes()).unwrap());
        }
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("too large to be inspected") && !out.contains("few"), "{event:?}");
    }
}

#[test]
fn a_stream_without_a_label_is_asked_about_as_a_stream() {
    for (provider, pieces) in [ProviderProtocol::OpenAiChat, ProviderProtocol::Gemini]
        .map(|provider| (provider, ["a sec", "ret it is"]))
    {
        let (_, body) = stream(provider, &pieces);
        let guard = Guard { response_webhook: webhook(), ..Guard::default() };
        let mut exchange = attempt(provider, guard, "/v1/other");
        let mut asked = Vec::new();
        let mut remember = |question: &Question| {
            asked.push(String::from_utf8(question.body.clone()).unwrap());
            judge(question)
        };
        let out = heard(&mut exchange, "text/plain", &body, 50, &mut remember);
        assert!(asked.concat().contains("a secret it is"), "{asked:?}");
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("a **** it is") && out.contains("data: "), "{out}");
    }
}
