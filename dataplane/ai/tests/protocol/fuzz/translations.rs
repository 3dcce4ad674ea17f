//! Every translation, of requests and answers.

use ai::protocol::{ClientProtocol, ProviderProtocol, translate_request};

use super::inputs::{Random, mutate, mutate_value, pieces, random_bytes};
use crate::conversations::conversation;
use crate::fixtures::{Scenario, stream, unary};
use crate::harness::{content_type, context, options, run};

/// A request of this client's, spoilt.
pub(super) fn request(random: &mut Random, client: ClientProtocol) -> Vec<u8> {
    spoilt(random, conversation(client))
}

/// An answer of this provider's, spoilt.
pub(super) fn answer(random: &mut Random, provider: ProviderProtocol, is_stream: bool) -> Vec<u8> {
    let scenario = *random.pick(&Scenario::ALL);
    match is_stream {
        true => mutate(random, &stream(provider, scenario)),
        false => spoilt(random, &unary(provider, scenario)),
    }
}

/// JSON with other bytes, or with other values; or no JSON at all.
fn spoilt(random: &mut Random, json: &str) -> Vec<u8> {
    match random.below(9) {
        0 => random_bytes(random),
        1..5 => mutate(random, json.as_bytes()),
        _ => {
            let mut value = serde_json::from_str(json).expect(json);
            for _ in 0..=random.below(3) {
                mutate_value(random, &mut value);
            }
            value.to_string().into_bytes()
        }
    }
}

pub(super) fn check(random: &mut Random) {
    if random.below(2) == 0 {
        let client = *random.pick(&ClientProtocol::ALL);
        let body = request(random, client);
        check_request(random, client, &body);
    } else {
        let provider = *random.pick(&ProviderProtocol::ALL);
        let is_stream = random.below(2) == 0;
        let body = answer(random, provider, is_stream);
        check_answer(random, provider, is_stream, &body);
    }
}

fn check_request(random: &mut Random, client: ClientProtocol, body: &[u8]) {
    let provider = *random.pick(&ProviderProtocol::ALL);
    match translate_request(client, provider, body, &options()) {
        Ok(translated) => {
            let value = serde_json::from_slice::<serde::de::IgnoredAny>(&translated.body);
            assert!(value.is_ok(), "{client:?} {provider:?}: {}", String::from_utf8_lossy(body));
        }
        Err(error) => {
            let told = error.to_client_body(client);
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&told).is_ok());
        }
    }
}

fn check_answer(random: &mut Random, provider: ProviderProtocol, from_stream: bool, body: &[u8]) {
    let client = *random.pick(&ClientProtocol::ALL);
    let to_stream = random.below(2) == 0;
    let pieces = pieces(random, body);
    let kind = content_type(provider, from_stream);
    let status = *random.pick(&[200, 200, 200, 400, 500]);
    let run = run(client, provider, context(client, to_stream), status, kind, &pieces);
    if to_stream && status == 200 {
        for (_, data) in crate::clients::events(run.text()) {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&data).is_ok();
            assert!(is_json || data == "[DONE]", "{data}");
        }
        assert!(!run.out.is_empty());
    } else {
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&run.out).is_ok(), "{}", run.text());
    }
}
