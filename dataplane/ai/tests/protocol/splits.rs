//! Where the network cuts a stream makes no difference.

use ai::protocol::{ClientProtocol, ProviderProtocol};

use crate::fixtures::{Scenario, stream};
use crate::harness::{content_type, context, run};

fn every_split_gives_the_same_output(provider: ProviderProtocol) {
    for scenario in Scenario::ALL {
        let body = stream(provider, scenario);
        let kind = content_type(provider, true);
        for client in ClientProtocol::ALL {
            let context = context(client, true);
            let whole = run(client, provider, context.clone(), 200, kind, &[&body]).out;
            for at in 0..=body.len() {
                let (head, tail) = body.split_at(at);
                let split = run(client, provider, context.clone(), 200, kind, &[head, tail]).out;
                assert!(split == whole, "{client:?} {provider:?} {scenario:?} split at {at}");
            }
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert!(run(client, provider, context, 200, kind, &bytes).out == whole);
        }
    }
}

#[test]
fn every_split_of_openai_streams() {
    every_split_gives_the_same_output(ProviderProtocol::OpenAiChat);
}

#[test]
fn every_split_of_anthropic_streams() {
    every_split_gives_the_same_output(ProviderProtocol::AnthropicMessages);
}

#[test]
fn every_split_of_gemini_streams() {
    every_split_gives_the_same_output(ProviderProtocol::Gemini);
}

#[test]
fn every_split_of_bedrock_streams() {
    every_split_gives_the_same_output(ProviderProtocol::BedrockConverse);
}

/// A stream that breaks anywhere before its last event is an error for the client, never an end.
#[test]
fn a_cut_stream_never_looks_whole() {
    for provider in ProviderProtocol::ALL {
        for scenario in Scenario::ALL {
            let body = stream(provider, scenario);
            let kind = content_type(provider, true);
            let stops = ["\"finish_reason\":\"", "\"stop_reason\":\"", "finishReason", "stopReason"];
            let text = String::from_utf8_lossy(&body).into_owned();
            let end = stops.iter().filter_map(|name| text.rfind(name)).max().unwrap();
            let end =
                if provider == ProviderProtocol::BedrockConverse { end.min(body.len()) / 2 } else { end };
            for client in ClientProtocol::ALL {
                for at in (0..end).step_by(7) {
                    let cut = run(client, provider, context(client, true), 200, kind, &[&body[..at]]);
                    assert!(cut.failed, "{client:?} {provider:?} {scenario:?} cut at {at}: {}", cut.text());
                    let wrong = ["[DONE]", "message_stop", "response.completed", "\"finishReason\""];
                    assert!(
                        !wrong.iter().any(|end| cut.text().contains(end)),
                        "{client:?} {provider:?} {scenario:?} cut at {at}: {}",
                        cut.text()
                    );
                    let events = crate::clients::events(cut.text());
                    assert!(events.last().unwrap().1.contains("error"), "{client:?} {provider:?} {at}");
                }
            }
        }
    }
}
