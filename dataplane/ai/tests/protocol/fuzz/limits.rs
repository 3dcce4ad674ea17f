//! Large and deep inputs.

use ai::protocol::{ClientProtocol, ProviderProtocol, translate_request};

use crate::harness::{context, options, run};

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
