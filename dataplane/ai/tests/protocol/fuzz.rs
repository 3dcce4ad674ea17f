//! Mutated fixtures and random bytes through every reader: nothing panics, whatever is written is
//! well formed. `CHANCERY_AI_FUZZ` sets the number of inputs.

use ai::framing::event_stream::EventStreamDecoder;
use ai::framing::sse::SseParser;
use ai::protocol::{ClientProtocol, ProviderProtocol, translate_request};

use crate::conversations::conversation;
use crate::fixtures::{Scenario, stream, unary};
use crate::harness::{content_type, context, options, run};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

const SPLICES: [&[u8]; 22] = [
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"1e999",
    b"true",
    b"\\u0000",
    b"\\ud800",
    b"\xFF",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\n\n",
    b"data: ",
    b"99999999999999999999",
    b"\"type\":\"text\",",
    b"data: [DONE]\n\n",
];

fn mutate(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, random.pick(&SPLICES).iter().copied())),
            3 => drop(bytes.splice(at..at, random.pick(&SPLICES).iter().copied())),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
        }
    }
    bytes
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A value in place of another: what syntax-aware clients get wrong.
fn mutate_value(random: &mut Random, value: &mut serde_json::Value) {
    use serde_json::{Value, json};
    let target = match value {
        Value::Object(map) if !map.is_empty() => {
            let at = random.below(map.len());
            map.values_mut().nth(at)
        }
        Value::Array(list) if !list.is_empty() => {
            let at = random.below(list.len());
            list.get_mut(at)
        }
        _ => None,
    };
    match target {
        Some(inner) if random.below(4) > 0 => mutate_value(random, inner),
        Some(inner) => {
            let values = [
                json!(null),
                json!({}),
                json!([]),
                json!("x"),
                json!(7),
                json!(-1.5),
                json!(true),
                json!([{}]),
            ];
            *inner = random.pick(&values).clone();
        }
        None => *value = json!("y"),
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
    let (head, tail) = body.split_at(random.below(body.len() + 1));
    let kind = content_type(provider, from_stream);
    let status = *random.pick(&[200, 200, 200, 400, 500]);
    let run = run(client, provider, context(client, to_stream), status, kind, &[head, tail]);
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

#[test]
fn nothing_panics() {
    let inputs = std::env::var("CHANCERY_AI_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for turn in 0..inputs {
        let provider = *random.pick(&ProviderProtocol::ALL);
        let scenario = *random.pick(&Scenario::ALL);
        let client = *random.pick(&ClientProtocol::ALL);
        match turn % 6 {
            0 => {
                let body = mutate(&mut random, conversation(client).as_bytes());
                check_request(&mut random, client, &body);
            }
            1 => {
                let mut value = serde_json::from_str(conversation(client)).unwrap();
                for _ in 0..=random.below(3) {
                    mutate_value(&mut random, &mut value);
                }
                check_request(&mut random, client, value.to_string().as_bytes());
            }
            2 => {
                let body = mutate(&mut random, unary(provider, scenario).as_bytes());
                check_answer(&mut random, provider, false, &body);
            }
            3 => {
                let mut value = serde_json::from_str(&unary(provider, scenario)).unwrap();
                mutate_value(&mut random, &mut value);
                check_answer(&mut random, provider, false, value.to_string().as_bytes());
            }
            4 => {
                let body = mutate(&mut random, &stream(provider, scenario));
                check_answer(&mut random, provider, true, &body);
            }
            _ => {
                let body = random_bytes(&mut random);
                let _ = SseParser::new().push(&body, |_| ());
                let _ = EventStreamDecoder::new().push(&body, |_| ());
                check_request(&mut random, client, &body);
                let from_stream = random.below(2) == 0;
                check_answer(&mut random, provider, from_stream, &body);
            }
        }
    }
}

/// Large requests take time in proportion to their size.
#[test]
fn size_is_no_danger() {
    let fields: String = (0..30_000).map(|n| format!("\"x{n}\":1,")).collect();
    let name = "n".repeat(200_000);
    let properties: String = (0..20_000).map(|n| format!("\"p{n}\":{{\"type\":\"STRING\"}},")).collect();
    let schema = format!(
        "{{\"type\":\"OBJECT\",\"properties\":{{\"{name}\":{{\"properties\":{{{properties}\"z\":{{}}}}}}}}}}"
    );
    let turns: String = (0..5_000)
        .map(|n| {
            format!(
                r#"{{"role":"assistant","tool_calls":[{{"id":"c{n}","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"c{n}","content":"r"}},"#
            )
        })
        .collect();
    let bodies = [
        (
            ClientProtocol::OpenAiChat,
            format!(r#"{{{fields}"model":"m","messages":[{{"role":"user","content":"a"}}]}}"#),
        ),
        (
            ClientProtocol::Gemini,
            format!(
                r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{schema}}}]}}]}}"#
            ),
        ),
        (
            ClientProtocol::OpenAiChat,
            format!(r#"{{"model":"m","messages":[{turns}{{"role":"user","content":"a"}}]}}"#),
        ),
    ];
    let begin = std::time::Instant::now();
    for (client, body) in bodies {
        for provider in ProviderProtocol::ALL {
            translate_request(client, provider, body.as_bytes(), &options()).unwrap();
        }
    }
    // Seconds without optimisation; hours if anything were quadratic.
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}

/// Deep nesting must not exhaust the stack.
#[test]
fn deep_nesting_is_no_danger() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    let schema = r#"{"type":"OBJECT","items":"#.repeat(5_000) + "{}" + &"}".repeat(5_000);
    let bodies = [
        (
            ClientProtocol::OpenAiChat,
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":{deep}}}]}}"#),
        ),
        (ClientProtocol::AnthropicMessages, {
            let open = r#"{"type":"tool_result","tool_use_id":"a","content":["#.repeat(5_000);
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{open}{}]}}]}}"#,
                "]}".repeat(5_000)
            )
        }),
        (
            ClientProtocol::Gemini,
            format!(
                r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{schema}}}]}}]}}"#
            ),
        ),
    ];
    for (client, body) in bodies {
        for provider in ProviderProtocol::ALL {
            let _ = translate_request(client, provider, body.as_bytes(), &options());
        }
    }
    for provider in ProviderProtocol::ALL {
        for status in [200, 400] {
            run(
                ClientProtocol::OpenAiChat,
                provider,
                context(ClientProtocol::OpenAiChat, false),
                status,
                "application/json",
                &[deep.as_bytes()],
            );
        }
    }
}
