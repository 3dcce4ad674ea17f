//! Every parser by itself.

use ai::framing::event_stream::EventStreamDecoder;
use ai::framing::sse::SseParser;
use ai::json::{Capture, Edit, Object};
use ai::operation::Operation;
use ai::protocol::{ClientProtocol, ProviderProtocol};
use ai::provider::without_credentials;
use ai::usage::Usage;
use ai_config::{ClusterConfig, RoutePolicy};

use super::inputs::{Random, mutate, pieces, random_bytes};
use crate::conversations::conversation;
use crate::fixtures::{Scenario, stream, unary};

const CLUSTER: &str = r#"{"version":1,"backend":"ns/b","provider":{"azureOpenAi":{"deployment":"d","apiVersion":"2024-10-21"}},"authority":"h","path":{"base":"/x"},"defaults":[{"field":"f","value":"1","replace":true}],"maxRequestBytes":1024}"#;
const POLICY: &str = r#"{"version":1,"streaming":true,"prepend":[{"role":"user","content":"c"}],"translation":{"strict":true}}"#;
const PATH: &str = "/v1/models/publishers/google/models/m%2F:streamGenerateContent?alt=sse&key=k&x=%3D";

/// What some parser takes, spoilt.
fn input(random: &mut Random) -> Vec<u8> {
    let (provider, scenario) = (*random.pick(&ProviderProtocol::ALL), *random.pick(&Scenario::ALL));
    let good = match random.below(7) {
        0 => conversation(*random.pick(&ClientProtocol::ALL)).into(),
        1 => unary(provider, scenario).into_bytes(),
        2 => stream(provider, scenario),
        3 => CLUSTER.into(),
        4 => POLICY.into(),
        5 => PATH.into(),
        _ => return random_bytes(random),
    };
    mutate(random, &good)
}

pub(super) fn check(random: &mut Random) {
    let input = input(random);
    let pieces = pieces(random, &input);
    framing(&pieces);
    members(&input, &pieces);
    let _ = Usage::read(&input);
    let _ = serde_json::from_slice::<ClusterConfig>(&input);
    let _ = serde_json::from_slice::<RoutePolicy>(&input);
    let text = String::from_utf8_lossy(&input);
    let _ = Operation::of(&text).is_chat();
    assert!(without_credentials(&text).len() <= text.len());
}

fn framing(pieces: &[&[u8]]) {
    let (mut events, mut messages) = (SseParser::new(), EventStreamDecoder::new());
    for piece in pieces {
        // What cannot be read is an error, here and later.
        let _ = events.push(piece, |_| ());
        let _ = messages.push(piece, |_| ());
    }
    events.finish();
    let _ = messages.is_complete();
}

/// Members are found wherever the text is cut, and one that is set is there afterwards.
fn members(input: &[u8], pieces: &[&[u8]]) {
    const NAMES: &[&str] = &["usage", "model"];
    let (mut whole, mut cut) = (Capture::new(NAMES), Capture::new(NAMES));
    whole.push(input);
    pieces.iter().for_each(|piece| cut.push(piece));
    for name in NAMES {
        assert_eq!(whole.get(name), cut.get(name), "{name}: {}", String::from_utf8_lossy(input));
    }
    if let Ok(object) = Object::parse(input) {
        let edited = object.with(&[Edit::new("model", "\"set\"")]);
        let edited = Object::parse(&edited).expect("an object with another member");
        assert_eq!(edited.get("model"), Some(&b"\"set\""[..]));
    }
}
