//! A protocol's own request survives the canonical model, and a detour through another's.

use ai::protocol::{ClientProtocol, ProviderProtocol};
use serde_json::Value;

use crate::conversations::conversation;
use crate::harness::request;

const SAME: [(ClientProtocol, ProviderProtocol); 3] = [
    (ClientProtocol::OpenAiChat, ProviderProtocol::OpenAiChat),
    (ClientProtocol::AnthropicMessages, ProviderProtocol::AnthropicMessages),
    (ClientProtocol::Gemini, ProviderProtocol::Gemini),
];

fn through(client: ClientProtocol, provider: ProviderProtocol, body: &str) -> String {
    String::from_utf8(request(client, provider, body).body).unwrap()
}

#[test]
fn translating_again_changes_nothing() {
    for client in ClientProtocol::ALL {
        for (back, provider) in SAME {
            let once = through(client, provider, conversation(client));
            assert_eq!(through(back, provider, &once), once, "{client:?} to {provider:?}");
        }
    }
}

#[test]
fn a_detour_keeps_the_meaning() {
    for (client, own) in SAME {
        let direct = through(client, own, conversation(client));
        for (other_client, other) in SAME {
            let there = through(client, other, conversation(client));
            let back = through(other_client, own, &there);
            // Gemini has no ids: they are made anew.
            let ids = |text: &str| text.replace("call_a", "call_0").replace("call_b", "call_1");
            let parse = |text: &str| serde_json::from_str::<Value>(&ids(text)).unwrap();
            assert_eq!(parse(&back), parse(&direct), "{client:?} by way of {other:?}");
        }
    }
}

/// What only the client's own protocol knows passes to a provider of that protocol.
#[test]
fn fields_of_the_own_protocol_pass() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"u"}}],"name":"n"}],"logit_bias":{"50256":-100},"metadata":{"k":"v"},"service_tier":"flex","store":true,"seed":9007199254740993,"top_k":5,"prediction":{"type":"content","content":"x"}}"#;
    let gemini = r#"{"contents":[{"role":"user","parts":[{"executableCode":{"language":"PYTHON","code":"1"}}]}],"safetySettings":[{"category":"C","threshold":"T"}],"labels":{"a":"b"},"generationConfig":{"mediaResolution":"LOW","seed":7},"tools":[{"googleSearch":{}}]}"#;
    let anthropic = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"search_result","source":"s","title":"t","content":[]}]}],"tools":[{"type":"web_search_20250305","name":"web_search"}],"service_tier":"auto","context_management":{"edits":[]},"metadata":{"user_id":"u"},"top_k":5}"#;
    for ((client, provider), body) in SAME.into_iter().zip([chat, anthropic, gemini]) {
        let translated = request(client, provider, body);
        assert!(translated.lost.is_empty(), "{client:?} {:?}", translated.lost);
        let value: Value = serde_json::from_slice(&translated.body).unwrap();
        let wanted: Value = serde_json::from_str(body).unwrap();
        assert_eq!(value, wanted, "{client:?}");
    }
    assert!(
        through(ClientProtocol::OpenAiChat, ProviderProtocol::OpenAiChat, chat).contains("9007199254740993")
    );
}
