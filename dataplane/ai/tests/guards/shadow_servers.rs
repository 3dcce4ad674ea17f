//! Servers that are asked in shadow mode: they are asked what they are asked that act, and nothing of requests and answers is other
//! than without a guard.

use ai::exchange::{Exchange, Question, Step};
use ai::guard::{Finding, Verdict};
use ai_config::Guard;

use crate::hooks::{heard, judge, moderation, reply, sent, webhook};
use crate::world::{attempt, begin, head, pairs, question, stream};

const TEXTS: [&str; 5] = ["hello", "my secret", "block me", "I hate that secret", ""];

/// The servers of a guard that only reports what they say.
fn shadow(mut guard: Guard) -> Guard {
    let webhooks = guard.request_webhook.iter_mut().chain(&mut guard.response_webhook);
    webhooks.for_each(|webhook| webhook.is_shadow = true);
    guard.moderation.iter_mut().for_each(|moderation| moderation.is_shadow = true);
    guard
}

/// What servers are asked: the questions, and what they would do.
fn consulted(exchange: &mut Exchange) -> Vec<(Question, Verdict)> {
    let consultations = exchange.take_consultations().into_iter();
    consultations.map(|it| (it.question.clone(), it.verdict(reply(judge(&it.question).as_ref())))).collect()
}

/// What goes on of a request, whether it is held back or passes in pieces.
fn passed(exchange: &mut Exchange, body: &[u8]) -> Vec<u8> {
    if exchange.needs_body() {
        let step = exchange.request(body.to_vec());
        return step.ok().and_then(Step::into_body).expect("nothing is refused, and nobody waits");
    }
    body.chunks(7).for_each(|piece| exchange.request_passes(piece));
    exchange.request_has_passed();
    body.to_vec()
}

#[test]
fn requests_go_on_and_servers_are_asked_what_they_are_asked_that_act() {
    let mut reported = [0; 3];
    for (client, provider) in pairs() {
        for text in TEXTS {
            let (path, body) = question(client, text);
            let body = body.to_string();
            let what = format!("{text:?}: {client:?} at {provider:?}");
            for (server, only) in [
                (Guard { request_webhook: webhook(), ..Guard::default() }, 1),
                (Guard { moderation: moderation(), ..Guard::default() }, 1),
                (Guard { request_webhook: webhook(), moderation: moderation(), ..Guard::default() }, 2),
            ] {
                let mut asked = Vec::new();
                let mut acting = attempt(provider, server.clone(), path);
                let _ = sent(&mut acting, &body, &mut |question| {
                    asked.push(question.clone());
                    judge(question)
                });
                let mut without = attempt(provider, Guard::default(), path);
                let mut shadow = attempt(provider, shadow(server), path);
                assert_eq!(shadow.needs_body(), without.needs_body(), "{what}");
                let body = body.as_bytes();
                assert_eq!(passed(&mut shadow, body), passed(&mut without, body), "{what}");
                let consulted = consulted(&mut shadow);
                assert_eq!(consulted.len(), if text.is_empty() { 0 } else { only }, "{what}");
                if only == 1 {
                    let (questions, verdicts): (Vec<_>, Vec<_>) = consulted.into_iter().unzip();
                    assert_eq!(questions, asked, "{what}");
                    let acted = acting.findings().request.map(|finding| finding.verdict);
                    assert_eq!(verdicts.first(), acted.as_ref(), "{what}");
                    reported[0] += usize::from(acted == Some(Verdict::Passed));
                    reported[1] += usize::from(acted == Some(Verdict::Masked));
                    reported[2] += usize::from(acted == Some(Verdict::Rejected));
                }
            }
        }
    }
    assert!(reported.iter().all(|count| *count > 10), "{reported:?}");
}

#[test]
fn answers_pass_and_the_webhook_is_asked_what_it_is_asked_that_acts() {
    let long = "words and words ".repeat(100);
    for (client, provider) in pairs() {
        for text in ["hello", "my secret", long.as_str()] {
            let (path, body) = question(client, "hello");
            let pieces: Vec<&str> = text.split_inclusive(' ').collect();
            let (content_type, answer) = stream(provider, &pieces);
            let guard = Guard { response_webhook: webhook(), ..Guard::default() };
            let what = format!("{text:.9}: {client:?} at {provider:?}");
            let begin = |guard: Guard| {
                let mut exchange = attempt(provider, guard, path);
                passed(&mut exchange, body.to_string().as_bytes());
                exchange
            };
            let mut asked = Vec::new();
            heard(&mut begin(guard.clone()), content_type, &answer, 9, &mut |question| {
                asked.push(question.clone());
                judge(question)
            });
            let [mut without, mut shadow] = [begin(Guard::default()), begin(shadow(guard))];
            let mut got = [&mut without, &mut shadow].map(|exchange| {
                exchange.answer_begins(200, content_type, false);
                assert!(!exchange.holds_answer() && !exchange.has_open_question(), "{what}");
                let pieces = answer.chunks(9);
                let pieces = pieces.map(|piece| exchange.answer_piece(piece).unwrap_or(piece.to_vec()));
                let mut out: Vec<u8> = pieces.collect::<Vec<_>>().concat();
                out.extend(exchange.answer_ends());
                out
            });
            let [without_guard, with_guard] = &mut got;
            assert_eq!(with_guard, without_guard, "{what}");
            let (questions, verdicts): (Vec<_>, Vec<_>) = consulted(&mut shadow).into_iter().unzip();
            assert_eq!(questions, asked, "{what}");
            let expected = if text.contains("secret") { Verdict::Masked } else { Verdict::Passed };
            assert_eq!(verdicts.iter().max(), Some(&expected), "{what}");
            assert_eq!(shadow.findings().response, None);
        }
    }
}

/// What cannot be read passes, no server is asked, and it is reported. A server that does not answer is reported as well.
#[test]
fn what_cannot_be_read_or_asked_passes_and_is_reported() {
    let unreadable = Some(Finding { verdict: Verdict::Unreadable, names: Default::default() });
    let all = || {
        let (request_webhook, response_webhook) = (webhook(), webhook());
        shadow(Guard { request_webhook, moderation: moderation(), response_webhook, ..Guard::default() })
    };
    let (_, provider) = pairs().next().unwrap();
    for body in [vec![b'x'; 2 * 1024 * 1024], b"{\"a\": ".to_vec(), vec![0xff, 0xfe]] {
        let mut exchange = attempt(provider, all(), "/v1/files");
        assert_eq!(passed(&mut exchange, &body), body);
        assert_eq!(exchange.findings().shadow_request, unreadable);
        assert!(exchange.take_consultations().is_empty());
    }
    let encoded = ai::exchange::RequestHead { is_encoded: true, ..head("/v1/files") };
    let exchange = begin(provider, all(), &encoded).unwrap();
    assert_eq!(exchange.findings().shadow_request, unreadable);
    let (path, body) = question(None, "hello");
    let mut exchange = attempt(provider, all(), path);
    passed(&mut exchange, body.to_string().as_bytes());
    let consultations = exchange.take_consultations();
    assert_eq!(consultations.len(), 2);
    for consultation in consultations {
        assert_eq!(
            (consultation.phase(), consultation.verdict(None)),
            ("request_shadow", Verdict::Unavailable)
        );
    }
    let broken = b"data: {\xff}\n\n";
    exchange.answer_begins(200, "text/event-stream", false);
    assert_eq!(exchange.answer_piece(broken).unwrap_or(broken.to_vec()), broken);
    exchange.answer_ends();
    assert_eq!(exchange.findings().shadow_response, unreadable);
}
