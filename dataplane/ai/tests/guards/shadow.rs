//! Guards in shadow mode: they find what guards find that act, and nothing of requests and answers is other than without a
//! guard.

use ai::exchange::{Exchange, Step};
use ai::guard::{Finding, Verdict};
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai_config::{Guard, GuardAction};

use crate::corpus::{ENTITIES, HARMLESS};
use crate::world::{
    attempt, begin, begin_with, guard_of_answers, guard_of_requests, head, pairs, policy, question, stream,
};

/// A guard that only reports.
fn shadow(mut guard: Guard) -> Guard {
    let request = guard.request.as_mut().map(|request| &mut request.patterns);
    request.into_iter().chain(&mut guard.response).for_each(|patterns| patterns.is_shadow = true);
    guard
}

/// What goes on of a request, whether it is held back or passes in pieces; `None` if it is refused.
fn sent(exchange: &mut Exchange, body: &[u8]) -> Option<Vec<u8>> {
    if exchange.needs_body() {
        return exchange.request(body.to_vec()).ok().and_then(Step::into_body);
    }
    body.chunks(7).for_each(|piece| exchange.request_passes(piece));
    exchange.request_has_passed();
    Some(body.to_vec())
}

/// What a client gets of an answer.
fn got(exchange: &mut Exchange, content_type: &str, body: &[u8], chunk: usize) -> Vec<u8> {
    exchange.answer_begins(200, content_type, false);
    assert!(!exchange.holds_answer());
    let pieces = body.chunks(chunk).flat_map(|piece| exchange.answer_piece(piece).unwrap_or(piece.to_vec()));
    let mut out: Vec<u8> = pieces.collect();
    out.extend(exchange.answer_ends());
    out
}

fn texts() -> impl Iterator<Item = &'static str> {
    ENTITIES.into_iter().map(|(entity, _)| entity).chain(HARMLESS.into_iter().take(20))
}

#[test]
fn requests_go_on_as_without_a_guard_and_the_report_is_what_the_guard_would_do() {
    let mut reported = [0, 0];
    for action in [GuardAction::Mask, GuardAction::Reject] {
        for (text, (client, provider)) in texts().zip(pairs().cycle()) {
            for is_translated in [false, true] {
                let (path, body) = question(client, text);
                let body = body.to_string().into_bytes();
                let exchange = |guard| begin_with(provider, policy(guard, is_translated), &head(path));
                let Ok(mut without) = exchange(Guard::default()) else { continue };
                let mut acting = exchange(guard_of_requests(action)).unwrap();
                let mut shadow = exchange(shadow(guard_of_requests(action))).unwrap();
                assert_eq!(shadow.needs_body(), without.needs_body());
                let what = format!("{text:?}: {client:?} at {provider:?}");
                assert_eq!(sent(&mut shadow, &body), sent(&mut without, &body), "{what}");
                let _ = acting.request(body);
                let (acting, shadow) = (acting.findings(), shadow.findings());
                assert_eq!(shadow.shadow_request, acting.request, "{what}");
                assert_eq!((shadow.request, acting.shadow_request), (None, None), "{what}");
                let verdict = shadow.shadow_request.unwrap().verdict;
                reported[usize::from(verdict != Verdict::Passed)] += 1;
            }
        }
    }
    assert!(reported.iter().all(|count| *count > 30), "{reported:?}");
}

#[test]
fn answers_pass_as_without_a_guard_and_the_report_is_what_the_guard_would_do() {
    let mut reported = [0, 0];
    for (text, (client, provider)) in texts().zip(pairs().cycle()) {
        let (path, body) = question(client, "hello");
        let pieces: Vec<&str> = text.split_inclusive(|_: char| true).collect();
        let (content_type, answer) = stream(provider, &pieces);
        let mut exchanges = [Guard::default(), shadow(guard_of_answers()), guard_of_answers()].map(|guard| {
            let mut exchange = attempt(provider, guard, path);
            sent(&mut exchange, body.to_string().as_bytes()).unwrap();
            exchange
        });
        let [without, shadow, acting] = &mut exchanges;
        let what = format!("{text:?}: {client:?} at {provider:?}");
        for chunk in [5, usize::MAX] {
            assert_eq!(
                got(shadow, content_type, &answer, chunk),
                got(without, content_type, &answer, chunk),
                "{what}"
            );
        }
        assert_eq!(shadow.outcome(), without.outcome(), "{what}");
        acting.answer_begins(200, content_type, false);
        acting.answer_piece(&answer);
        acting.answer_ends();
        let (acting, shadow) = (acting.findings(), shadow.findings());
        assert_eq!(shadow.shadow_response, acting.response, "{what}");
        assert_eq!((shadow.response, acting.shadow_response), (None, None), "{what}");
        reported[usize::from(shadow.shadow_response.unwrap().verdict != Verdict::Passed)] += 1;
    }
    assert!(reported.iter().all(|count| *count > 10), "{reported:?}");
}

/// What a guard that acts refuses since it cannot read it passes, and is reported.
#[test]
fn what_cannot_be_read_passes_and_is_reported() {
    let unreadable = Some(Finding { verdict: Verdict::Unreadable, names: Default::default() });
    let both = || {
        let (requests, answers) = (guard_of_requests(GuardAction::Reject), guard_of_answers());
        shadow(Guard { response: answers.response, ..requests })
    };
    let provider = ProviderProtocol::OpenAiChat;
    // A request of another operation passes in pieces; this one is longer than is read, the others are no JSON or no text.
    for body in [vec![b'x'; 2 * 1024 * 1024], b"{\"a\": ".to_vec(), vec![0xff, 0xfe]] {
        let mut exchange = attempt(provider, both(), "/v1/files");
        assert!(!exchange.needs_body());
        assert_eq!(sent(&mut exchange, &body).as_ref(), Some(&body));
        assert_eq!(exchange.findings().shadow_request, unreadable);
    }
    let encoded = ai::exchange::RequestHead { is_encoded: true, ..head("/v1/files") };
    let exchange = begin(provider, both(), &encoded).unwrap();
    assert_eq!(exchange.findings().shadow_request, unreadable);
    // Without a body there is nothing to report.
    let none = ai::exchange::RequestHead { method: "GET", has_body: false, ..head("/v1/models") };
    let mut exchange = begin(provider, both(), &none).unwrap();
    exchange.request_has_passed();
    assert_eq!(exchange.findings().shadow_request, None);
    for (content_type, body) in
        [("application/json", &b"{\"a\": "[..]), ("text/event-stream", b"data: {\xff}\n\n")]
    {
        let (path, question) = question(Some(ClientProtocol::OpenAiChat), "hello");
        // In the provider's own protocol, so that nothing else reads the answer.
        let mut exchange = begin_with(provider, policy(both(), false), &head(path)).unwrap();
        sent(&mut exchange, question.to_string().as_bytes()).unwrap();
        assert_eq!(got(&mut exchange, content_type, body, 3), body, "{content_type}");
        assert_eq!(exchange.findings().shadow_response, unreadable, "{content_type}");
    }
}
