//! Answers of every provider, told to every client.

use ai::protocol::{ClientProtocol, ProviderProtocol};

use crate::clients::{Said, read_stream, read_unary};
use crate::fixtures::{SIGNATURE, Scenario, said, stream, unary};
use crate::harness::{Run, content_type, context, run};

/// A signature that is not of the client's own family carries the name of its origin.
fn expected(client: ClientProtocol, provider: ProviderProtocol, scenario: Scenario) -> Said {
    let mut said = said(scenario);
    let own = match client {
        ClientProtocol::OpenAiChat | ClientProtocol::OpenAiResponses => {
            provider == ProviderProtocol::OpenAiChat
        }
        ClientProtocol::AnthropicMessages => {
            matches!(provider, ProviderProtocol::AnthropicMessages | ProviderProtocol::BedrockConverse)
        }
        ClientProtocol::Gemini => provider == ProviderProtocol::Gemini,
    };
    if !own && !said.signature.is_empty() {
        let tag = match provider {
            ProviderProtocol::OpenAiChat => "OpenAiSigTag",
            ProviderProtocol::AnthropicMessages | ProviderProtocol::BedrockConverse => "AnthropicSig",
            ProviderProtocol::Gemini => "GeminiSigTag",
        };
        said.signature = format!("{tag}{SIGNATURE}");
    }
    said
}

fn translate(
    client: ClientProtocol,
    provider: ProviderProtocol,
    scenario: Scenario,
    from_stream: bool,
    to_stream: bool,
) -> Run {
    let body = if from_stream { stream(provider, scenario) } else { unary(provider, scenario).into_bytes() };
    run(client, provider, context(client, to_stream), 200, content_type(provider, from_stream), &[&body])
}

#[test]
fn every_client_hears_what_every_provider_says() {
    for client in ClientProtocol::ALL {
        for provider in ProviderProtocol::ALL {
            for scenario in Scenario::ALL {
                for (from_stream, to_stream) in [(false, false), (true, true), (false, true), (true, false)] {
                    let run = translate(client, provider, scenario, from_stream, to_stream);
                    let what = format!(
                        "{client:?} from {provider:?}, {scenario:?}, {from_stream} to {to_stream}: {}",
                        run.text()
                    );
                    assert!(!run.failed, "{what}");
                    assert_eq!(run.status, 200, "{what}");
                    let read = if to_stream { read_stream } else { read_unary };
                    assert_eq!(read(client, run.text()), expected(client, provider, scenario), "{what}");
                    let usage = run.usage.unwrap();
                    assert_eq!((usage.input, usage.output, usage.cache_read), (20, 8, Some(7)), "{what}");
                }
            }
        }
    }
}

#[test]
fn the_usage_chunk_is_for_those_who_ask() {
    let body = stream(ProviderProtocol::OpenAiChat, Scenario::Text);
    let mut context = context(ClientProtocol::OpenAiChat, true);
    context.include_usage = false;
    let run = run(
        ClientProtocol::OpenAiChat,
        ProviderProtocol::OpenAiChat,
        context,
        200,
        "text/event-stream",
        &[&body],
    );
    assert!(!run.text().contains("usage"), "{}", run.text());
    assert_eq!(run.usage.unwrap().output, 8);
}

#[test]
fn gemini_clients_without_sse_get_an_array() {
    for provider in ProviderProtocol::ALL {
        let mut context = context(ClientProtocol::Gemini, true);
        context.json_array = true;
        let body = stream(provider, Scenario::Tools);
        let whole = run(
            ClientProtocol::Gemini,
            provider,
            context.clone(),
            200,
            content_type(provider, true),
            &[&body],
        );
        assert!(whole.json().as_array().unwrap().len() > 2);
        // A cut stream ends the array with an error.
        let cut = run(
            ClientProtocol::Gemini,
            provider,
            context,
            200,
            content_type(provider, true),
            &[&body[..body.len() / 2]],
        );
        assert_eq!(cut.json().as_array().unwrap().last().unwrap()["error"]["code"], 502);
    }
}

#[test]
fn several_answers_reach_clients_that_can_ask_for_them() {
    let body = r#"{"id":"1","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"},{"index":1,"message":{"content":"b"},"finish_reason":"length"}]}"#;
    for client in [ClientProtocol::OpenAiChat, ClientProtocol::Gemini] {
        let whole = run(
            client,
            ProviderProtocol::OpenAiChat,
            context(client, false),
            200,
            "application/json",
            &[body.as_bytes()],
        )
        .json();
        let list = if client == ClientProtocol::Gemini { "candidates" } else { "choices" };
        assert_eq!(whole[list][1]["index"], 1, "{whole}");
        let streamed = run(
            client,
            ProviderProtocol::OpenAiChat,
            context(client, true),
            200,
            "application/json",
            &[body.as_bytes()],
        );
        assert!(streamed.text().contains("\"b\"") && !streamed.failed, "{}", streamed.text());
    }
}

#[test]
fn stop_reasons_in_all_directions() {
    let cases = [
        (ProviderProtocol::AnthropicMessages, "end_turn", "refusal", "filtered"),
        (ProviderProtocol::AnthropicMessages, "end_turn", "stop_sequence", "end"),
        (ProviderProtocol::AnthropicMessages, "end_turn", "something_new", "end"),
        (ProviderProtocol::OpenAiChat, "\"stop\"", "\"content_filter\"", "filtered"),
        (ProviderProtocol::Gemini, "STOP", "SAFETY", "filtered"),
        (ProviderProtocol::BedrockConverse, "end_turn", "guardrail_intervened", "filtered"),
    ];
    for (provider, from, to, wanted) in cases {
        let body = unary(provider, Scenario::Text).replace(from, to);
        for client in ClientProtocol::ALL {
            let run =
                run(client, provider, context(client, false), 200, "application/json", &[body.as_bytes()]);
            assert_eq!(read_unary(client, run.text()).stop, wanted, "{client:?} {provider:?} {to}");
        }
    }
}

#[test]
fn signatures_of_tool_calls_reach_every_client() {
    let body = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hm.","thought":true},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"U0lH"},{"functionCall":{"name":"g","args":{}}}]},"finishReason":"STOP"}]}"#;
    let stream = format!("data: {body}\n\n");
    for client in ClientProtocol::ALL {
        for (bytes, kind, is_stream) in
            [(body, "application/json", false), (stream.as_str(), "text/event-stream", true)]
        {
            let run = run(
                client,
                ProviderProtocol::Gemini,
                context(client, is_stream),
                200,
                kind,
                &[bytes.as_bytes()],
            );
            assert!(run.text().contains("U0lH"), "{client:?}: {}", run.text());
            if client == ClientProtocol::AnthropicMessages && is_stream {
                // In the block of the thought before it, not in one of its own.
                assert_eq!(run.text().matches("\"type\":\"thinking\"").count(), 1, "{}", run.text());
            }
        }
    }
}

/// A client hears a stream of OpenAI chat.
fn chat_stream(client: ClientProtocol, body: &str) -> Run {
    let provider = ProviderProtocol::OpenAiChat;
    run(client, provider, context(client, true), 200, "text/event-stream", &[body.as_bytes()])
}

#[test]
fn fragments_of_two_calls_in_turns_are_an_error_not_a_mixture() {
    let chunk = |index: u32, rest: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{index},{rest}}}]}}}}]}}\n\n"
        )
    };
    let body = chunk(0, r#""id":"a","function":{"name":"f","arguments":"{"}"#)
        + &chunk(1, r#""id":"b","function":{"name":"g","arguments":"{"}"#)
        + &chunk(0, r#""function":{"arguments":"}"}"#);
    for client in ClientProtocol::ALL {
        let run = chat_stream(client, &body);
        assert!(run.failed, "{client:?}: {}", run.text());
    }
}

#[test]
fn hosts_that_number_all_calls_zero_are_understood() {
    let call = |id: &str, name: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"{id}\",\"function\":{{\"name\":\"{name}\",\"arguments\":\"{{}}\"}}}}]}}}}]}}\n\n"
        )
    };
    let body = call("a", "f")
        + &call("b", "g")
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1.0,\"completion_tokens\":2}}\n\n";
    for client in ClientProtocol::ALL {
        let run = chat_stream(client, &body);
        let said = read_stream(client, run.text());
        let names: Vec<&str> = said.calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!((names, said.stop), (vec!["f", "g"], "tool"), "{client:?}");
    }
}
