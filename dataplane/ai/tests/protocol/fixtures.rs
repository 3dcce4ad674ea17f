//! Answers of providers, in the shapes of their public documentation. The same scenario of every
//! provider says the same.

use ai::protocol::ProviderProtocol;

use crate::clients::{Call, Said};
use crate::harness::bedrock_stream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Text,
    Tools,
    Reasoning,
}

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::Text, Self::Tools, Self::Reasoning];
}

pub(crate) const SIGNATURE: &str = "RXJrU2lnbmF0dXJl";
/// Larger than any integer type: must arrive as it is.
const PARIS: &str = r#"{"city":"Paris","big":12345678901234567890123,"a":1.50}"#;

/// What a scenario says, whichever provider says it.
pub(crate) fn said(scenario: Scenario) -> Said {
    let text = |text: &str| text.to_owned();
    match scenario {
        Scenario::Text => {
            Said { text: text("Hello, wörld! \u{1F600}\nBye."), stop: "end", ..Said::default() }
        }
        Scenario::Tools => Said {
            text: text("Let me check."),
            calls: vec![
                Call { name: text("get_weather"), arguments: text(PARIS) },
                Call { name: text("get_time"), arguments: text("{}") },
            ],
            stop: "tool",
            ..Said::default()
        },
        Scenario::Reasoning => Said {
            text: text("42"),
            reasoning: text("First, think."),
            signature: text(SIGNATURE),
            stop: "length",
            ..Said::default()
        },
    }
    .with_usage(20, 8, 7)
}

pub(crate) fn unary(provider: ProviderProtocol, scenario: Scenario) -> String {
    let template = match provider {
        ProviderProtocol::OpenAiChat => openai_unary(scenario),
        ProviderProtocol::AnthropicMessages => anthropic_unary(scenario),
        ProviderProtocol::Gemini => gemini_unary(scenario),
        ProviderProtocol::BedrockConverse => bedrock_unary(scenario),
    };
    template
        .replace("$PARIS_TEXT", &PARIS.replace('"', "\\\""))
        .replace("$PARIS", PARIS)
        .replace("$SIG", SIGNATURE)
}

fn openai_unary(scenario: Scenario) -> String {
    let (message, reason) = match scenario {
        Scenario::Text => (r#""content":"Hello, wörld! \ud83d\ude00\nBye.","refusal":null"#, "stop"),
        Scenario::Tools => (
            r#""content":"Let me check.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"$PARIS_TEXT"}},{"id":"call_2","type":"function","function":{"name":"get_time","arguments":"{}"}}]"#,
            "tool_calls",
        ),
        Scenario::Reasoning => (
            r#""content":"42","reasoning_content":"First, think.","reasoning_details":[{"type":"reasoning.text","text":"First, think.","signature":"$SIG","index":0}]"#,
            "length",
        ),
    };
    format!(
        r#"{{"id":"chatcmpl-9","object":"chat.completion","created":1700000001,"model":"gpt-x","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"logprobs":null,"finish_reason":"{reason}"}}],"usage":{{"prompt_tokens":20,"completion_tokens":8,"total_tokens":28,"prompt_tokens_details":{{"cached_tokens":7}},"completion_tokens_details":{{"reasoning_tokens":3}}}},"system_fingerprint":"fp"}}"#
    )
}

fn anthropic_unary(scenario: Scenario) -> String {
    let (content, reason) = match scenario {
        Scenario::Text => (r#"{"type":"text","text":"Hello, wörld! 😀\nBye."}"#, "end_turn"),
        Scenario::Tools => (
            r#"{"type":"text","text":"Let me check."},{"type":"tool_use","id":"toolu_1","name":"get_weather","input":$PARIS},{"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}"#,
            "tool_use",
        ),
        Scenario::Reasoning => (
            r#"{"type":"thinking","thinking":"First, think.","signature":"$SIG"},{"type":"text","text":"42"}"#,
            "max_tokens",
        ),
    };
    format!(
        r#"{{"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{content}],"stop_reason":"{reason}","stop_sequence":null,"usage":{{"input_tokens":13,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":8,"service_tier":"standard"}}}}"#
    )
}

fn gemini_unary(scenario: Scenario) -> String {
    let (parts, reason) = match scenario {
        Scenario::Text => (r#"{"text":"Hello, wörld! 😀\nBye."}"#, "STOP"),
        Scenario::Tools => (
            r#"{"text":"Let me check."},{"functionCall":{"name":"get_weather","args":$PARIS}},{"functionCall":{"name":"get_time","args":{}}}"#,
            "STOP",
        ),
        Scenario::Reasoning => (
            r#"{"text":"First, think.","thought":true,"thoughtSignature":"$SIG"},{"text":"42"}"#,
            "MAX_TOKENS",
        ),
    };
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},"finishReason":"{reason}","index":0,"safetyRatings":[]}}],"usageMetadata":{{"promptTokenCount":20,"candidatesTokenCount":5,"thoughtsTokenCount":3,"totalTokenCount":28,"cachedContentTokenCount":7}},"modelVersion":"gemini-x","responseId":"r9"}}"#
    )
}

fn bedrock_unary(scenario: Scenario) -> String {
    let (content, reason) = match scenario {
        Scenario::Text => (r#"{"text":"Hello, wörld! 😀\nBye."}"#, "end_turn"),
        Scenario::Tools => (
            r#"{"text":"Let me check."},{"toolUse":{"toolUseId":"tooluse_1","name":"get_weather","input":$PARIS}},{"toolUse":{"toolUseId":"tooluse_2","name":"get_time","input":{}}}"#,
            "tool_use",
        ),
        Scenario::Reasoning => (
            r#"{"reasoningContent":{"reasoningText":{"text":"First, think.","signature":"$SIG"}}},{"text":"42"}"#,
            "max_tokens",
        ),
    };
    format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":[{content}]}}}},"stopReason":"{reason}","usage":{{"inputTokens":13,"outputTokens":8,"totalTokens":28,"cacheReadInputTokens":7,"cacheWriteInputTokens":0}},"metrics":{{"latencyMs":551}}}}"#
    )
}

pub(crate) fn stream(provider: ProviderProtocol, scenario: Scenario) -> Vec<u8> {
    let template = match provider {
        ProviderProtocol::OpenAiChat => openai_stream(scenario),
        ProviderProtocol::AnthropicMessages => anthropic_stream(scenario),
        ProviderProtocol::Gemini => gemini_stream(scenario),
        ProviderProtocol::BedrockConverse => {
            return bedrock_stream(&bedrock_lines(scenario).replace("$SIG", SIGNATURE));
        }
    };
    template.replace("$PARIS", PARIS).replace("$SIG", SIGNATURE).into_bytes()
}

fn openai_stream(scenario: Scenario) -> String {
    let (deltas, reason): (&[&str], &str) = match scenario {
        Scenario::Text => (
            &[r#"{"content":"Hello, "}"#, r#"{"content":"wörld! \ud83d\ude00"}"#, r#"{"content":"\nBye."}"#],
            "stop",
        ),
        Scenario::Tools => (
            &[
                r#"{"content":"Let me check."}"#,
                r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Paris\",\"big\":1234567890"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"1234567890123,\"a\":1.50}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"get_time","arguments":"{}"}}]}"#,
            ],
            "tool_calls",
        ),
        Scenario::Reasoning => (
            &[
                r#"{"reasoning":"First, ","reasoning_details":[{"type":"reasoning.text","text":"First, ","index":0}]}"#,
                r#"{"reasoning":"think.","reasoning_details":[{"type":"reasoning.text","text":"think.","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","signature":"$SIG","index":0}]}"#,
                r#"{"content":"42"}"#,
            ],
            "length",
        ),
    };
    let head = r#""id":"chatcmpl-9","object":"chat.completion.chunk","created":1700000001,"model":"gpt-x""#;
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}],\"usage\":null}}\n\n"
        )
    };
    let mut out = String::from(": keep-alive\n\n");
    out += &chunk(r#"{"role":"assistant","content":""}"#, "null");
    for delta in deltas {
        out += &chunk(delta, "null");
    }
    out += &chunk("{}", &format!("\"{reason}\""));
    out += &format!(
        "data: {{{head},\"choices\":[],\"usage\":{{\"prompt_tokens\":20,\"completion_tokens\":8,\"total_tokens\":28,\"prompt_tokens_details\":{{\"cached_tokens\":7}},\"completion_tokens_details\":{{\"reasoning_tokens\":3}}}}}}\n\ndata: [DONE]\n\n"
    );
    out
}

fn anthropic_stream(scenario: Scenario) -> String {
    let (blocks, reason): (&[(&str, &[&str])], &str) = match scenario {
        Scenario::Text => (
            &[(
                r#"{"type":"text","text":""}"#,
                &[
                    r#"{"type":"text_delta","text":"Hello, wörld!"}"#,
                    r#"{"type":"text_delta","text":" 😀\nBye."}"#,
                ],
            )],
            "end_turn",
        ),
        Scenario::Tools => (
            &[
                (r#"{"type":"text","text":""}"#, &[r#"{"type":"text_delta","text":"Let me check."}"#]),
                (
                    r#"{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}"#,
                    &[
                        r#"{"type":"input_json_delta","partial_json":""}"#,
                        r#"{"type":"input_json_delta","partial_json":"{\"city\":\"Paris\",\"big\":123456789"}"#,
                        r#"{"type":"input_json_delta","partial_json":"01234567890123,\"a\":1.50}"}"#,
                    ],
                ),
                (r#"{"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}"#, &[]),
            ],
            "tool_use",
        ),
        Scenario::Reasoning => (
            &[
                (
                    r#"{"type":"thinking","thinking":"","signature":""}"#,
                    &[
                        r#"{"type":"thinking_delta","thinking":"First, "}"#,
                        r#"{"type":"thinking_delta","thinking":"think."}"#,
                        r#"{"type":"signature_delta","signature":"$SIG"}"#,
                    ],
                ),
                (r#"{"type":"text","text":""}"#, &[r#"{"type":"text_delta","text":"42"}"#]),
            ],
            "max_tokens",
        ),
    };
    let mut out = String::new();
    let mut event = |name: &str, data: String| out += &format!("event: {name}\r\ndata: {data}\r\n\r\n");
    event(
        "message_start",
        r#"{"type":"message_start","message":{"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":13,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":1}}}"#.to_owned(),
    );
    event("ping", r#"{"type":"ping"}"#.to_owned());
    for (index, (start, deltas)) in blocks.iter().enumerate() {
        event(
            "content_block_start",
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{start}}}"#),
        );
        for delta in *deltas {
            event(
                "content_block_delta",
                format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#),
            );
        }
        event("content_block_stop", format!(r#"{{"type":"content_block_stop","index":{index}}}"#));
    }
    event(
        "message_delta",
        format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":8}}}}"#
        ),
    );
    event("message_stop", r#"{"type":"message_stop"}"#.to_owned());
    out
}

fn gemini_stream(scenario: Scenario) -> String {
    let (parts, reason): (&[&str], &str) = match scenario {
        Scenario::Text => (&[r#"{"text":"Hello, wörld!"}"#, r#"{"text":" 😀\nBye."}"#], "STOP"),
        Scenario::Tools => (
            &[
                r#"{"text":"Let me check."}"#,
                r#"{"functionCall":{"name":"get_weather","args":$PARIS}},{"functionCall":{"name":"get_time","args":{}}}"#,
            ],
            "STOP",
        ),
        Scenario::Reasoning => (
            &[
                r#"{"text":"First, ","thought":true}"#,
                r#"{"text":"think.","thought":true}"#,
                r#"{"text":"","thought":true,"thoughtSignature":"$SIG"}"#,
                r#"{"text":"42"}"#,
            ],
            "MAX_TOKENS",
        ),
    };
    let mut out = String::new();
    let mut chunk = |parts: &str, reason: &str, counts: &str| {
        out += &format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{parts}],\"role\":\"model\"}}{reason},\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":20,\"cachedContentTokenCount\":7{counts}}},\"modelVersion\":\"gemini-x\",\"responseId\":\"r9\"}}\r\n\r\n"
        );
    };
    for part in parts {
        chunk(part, "", ",\"totalTokenCount\":20");
    }
    let reason = format!(",\"finishReason\":\"{reason}\"");
    chunk(
        r#"{"text":""}"#,
        &reason,
        ",\"candidatesTokenCount\":5,\"thoughtsTokenCount\":3,\"totalTokenCount\":28",
    );
    out
}

pub(crate) fn bedrock_lines(scenario: Scenario) -> String {
    let (body, reason) = match scenario {
        Scenario::Text => (
            r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Hello, wörld!"}}
            contentBlockDelta {"contentBlockIndex":0,"delta":{"text":" 😀\nBye."}}
            contentBlockStop {"contentBlockIndex":0}"#,
            "end_turn",
        ),
        Scenario::Tools => (
            r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Let me check."}}
            contentBlockStop {"contentBlockIndex":0}
            contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"get_weather"}}}
            contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"city\":\"Paris\",\"big\":12345678901"}}}
            contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"234567890123,\"a\":1.50}"}}}
            contentBlockStop {"contentBlockIndex":1}
            contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"tooluse_2","name":"get_time"}}}
            contentBlockStop {"contentBlockIndex":2}"#,
            "tool_use",
        ),
        Scenario::Reasoning => (
            r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"First, "}}}
            contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"think."}}}
            contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"$SIG"}}}
            contentBlockStop {"contentBlockIndex":0}
            contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"42"}}
            contentBlockStop {"contentBlockIndex":1}"#,
            "max_tokens",
        ),
    };
    format!(
        "messageStart {{\"role\":\"assistant\",\"p\":\"abc\"}}\n{body}\nmessageStop {{\"stopReason\":\"{reason}\"}}\nmetadata {{\"usage\":{{\"inputTokens\":13,\"outputTokens\":8,\"totalTokens\":28,\"cacheReadInputTokens\":7,\"cacheWriteInputTokens\":0}},\"metrics\":{{\"latencyMs\":1}}}}\n"
    )
}
