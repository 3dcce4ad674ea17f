//! Errors of providers and of the gateway, in the client's own words.

use ai::protocol::{ClientProtocol, ErrorKind, ProviderProtocol, error_body};
use serde_json::{Value, json};

use crate::harness::{bedrock_stream, context, refused, run};

fn error(client: ClientProtocol, provider: ProviderProtocol, status: u16, body: &str) -> Value {
    // A client that asked for a stream gets a plain body as well.
    let run = run(client, provider, context(client, true), status, "application/json", &[body.as_bytes()]);
    assert!(run.failed);
    assert_eq!(run.status, status);
    run.json()
}

/// The kind and the message, wherever the protocol has them.
fn told(client: ClientProtocol, value: &Value) -> (String, String) {
    let error = &value["error"];
    let kind = if client == ClientProtocol::Gemini { &error["status"] } else { &error["type"] };
    (kind.as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}

#[test]
fn kinds_of_errors_keep_their_meaning() {
    let cases = [
        (
            ProviderProtocol::OpenAiChat,
            429,
            r#"{"error":{"message":"slow","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
        ),
        (
            ProviderProtocol::AnthropicMessages,
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"},"request_id":"r"}"#,
        ),
        (
            ProviderProtocol::Gemini,
            429,
            r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[]}}"#,
        ),
        (
            ProviderProtocol::Gemini,
            429,
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
        ),
        (ProviderProtocol::BedrockConverse, 429, r#"{"message":"slow"}"#),
        (
            ProviderProtocol::BedrockConverse,
            429,
            r#"{"__type":"com.amazon#ThrottlingException","Message":"slow"}"#,
        ),
        (ProviderProtocol::OpenAiChat, 429, r#"{"object":"error","message":"slow","type":"x","code":429}"#),
        (ProviderProtocol::OpenAiChat, 429, r#"{"error":"slow"}"#),
    ];
    for (provider, status, body) in cases {
        for client in ClientProtocol::ALL {
            let value = error(client, provider, status, body);
            let kind =
                if client == ClientProtocol::Gemini { "RESOURCE_EXHAUSTED" } else { "rate_limit_error" };
            assert_eq!(told(client, &value), (kind.to_owned(), "slow".to_owned()), "{client:?} {body}");
        }
    }
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    let value = error(ClientProtocol::Gemini, ProviderProtocol::AnthropicMessages, 529, overloaded);
    assert_eq!(value, json!({"error":{"code":529,"message":"busy","status":"UNAVAILABLE"}}));
    let value = error(
        ClientProtocol::AnthropicMessages,
        ProviderProtocol::Gemini,
        404,
        r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}"#,
    );
    assert_eq!(value, json!({"type":"error","error":{"type":"not_found_error","message":"no"}}));
}

#[test]
fn bodies_that_are_not_json_are_not_handed_on() {
    for client in ClientProtocol::ALL {
        for body in ["<html><body>502 nginx/1.2</body></html>", "", "null", "{}", "\u{FFFD}"] {
            let value = error(client, ProviderProtocol::OpenAiChat, 502, body);
            let (_, message) = told(client, &value);
            assert!(message.contains("502") && !message.contains("nginx"), "{message}");
        }
    }
}

#[test]
fn refused_credentials_are_not_echoed() {
    for status in [401, 403] {
        for client in ClientProtocol::ALL {
            for body in [
                r#"{"error":{"message":"Incorrect API key provided: sk-abc***xyz","type":"invalid_request_error","code":"invalid_api_key","param":"sk-abc"}}"#,
                r#"{"message":"The security token sk-abc is invalid"}"#,
            ] {
                let value = error(client, ProviderProtocol::OpenAiChat, status, body);
                assert!(!value.to_string().contains("sk-abc"), "{value}");
            }
        }
    }
    let body = r#"{"error":{"code":400,"message":"API key not valid. sk-abc","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
    let value = error(ClientProtocol::AnthropicMessages, ProviderProtocol::Gemini, 400, body);
    assert_eq!(value["error"]["type"], "authentication_error");
    assert!(!value.to_string().contains("sk-abc"), "{value}");
    // Nor if the status hides what it is about.
    let body = r#"{"error":{"message":"bad key sk-abc","type":"authentication_error"}}"#;
    let value = error(ClientProtocol::OpenAiChat, ProviderProtocol::AnthropicMessages, 400, body);
    assert!(!value.to_string().contains("sk-abc"), "{value}");
}

#[test]
fn errors_inside_of_streams() {
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{}}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned();
    let openai = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\ndata: [DONE]\n\n".to_owned();
    let gemini =
        "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\n\n".to_owned();
    let mut bedrock = bedrock_stream("messageStart {\"role\":\"assistant\"}");
    let headers = [(":message-type", "exception"), (":exception-type", "serviceUnavailableException")];
    ai::framing::event_stream::write_message(&mut bedrock, &headers, br#"{"message":"busy"}"#).unwrap();
    let cases = [
        (ProviderProtocol::AnthropicMessages, anthropic.into_bytes()),
        (ProviderProtocol::OpenAiChat, openai.into_bytes()),
        (ProviderProtocol::Gemini, gemini.into_bytes()),
        (ProviderProtocol::BedrockConverse, bedrock),
    ];
    for (provider, body) in cases {
        let kind = crate::harness::content_type(provider, true);
        for client in ClientProtocol::ALL {
            let told = run(client, provider, context(client, true), 200, kind, &[&body]);
            assert!(told.failed, "{client:?} {provider:?}");
            let (name, data) = crate::clients::events(told.text()).pop().unwrap();
            let value: Value = serde_json::from_str(&data).unwrap();
            match client {
                ClientProtocol::OpenAiChat => assert_eq!(value["error"]["type"], "overloaded_error"),
                ClientProtocol::AnthropicMessages => {
                    assert_eq!(name.as_deref(), Some("error"));
                    assert_eq!(
                        value,
                        json!({"type":"error","error":{"type":"overloaded_error","message":"busy"}})
                    );
                }
                ClientProtocol::Gemini => {
                    assert_eq!(value, json!({"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}));
                }
                ClientProtocol::OpenAiResponses => {
                    assert_eq!(name.as_deref(), Some("response.failed"));
                    assert_eq!(value["response"]["status"], "failed");
                    assert_eq!(value["response"]["error"], json!({"code":"server_error","message":"busy"}));
                }
            }
            // Whoever asked for a whole answer gets a status.
            let whole = run(client, provider, context(client, false), 200, kind, &[&body]);
            assert_eq!(whole.status, 503, "{client:?} {provider:?}");
            assert!(whole.json()["error"]["message"].as_str().unwrap().contains("busy"));
        }
    }
}

#[test]
fn answers_that_cannot_be_read_are_502() {
    for provider in ProviderProtocol::ALL {
        for client in ClientProtocol::ALL {
            for body in ["", "{", "<html>", "[]", "{}", "7"] {
                let told = run(
                    client,
                    provider,
                    context(client, false),
                    200,
                    "application/json",
                    &[body.as_bytes()],
                );
                assert_eq!((told.status, told.failed), (502, true), "{client:?} {provider:?} {body}");
                told.json();
            }
        }
    }
}

#[test]
fn a_corrupt_event_stream_is_an_error() {
    let mut body = bedrock_stream(&crate::fixtures::bedrock_lines(crate::fixtures::Scenario::Text));
    let middle = body.len() / 2;
    body[middle] ^= 1;
    for client in ClientProtocol::ALL {
        let kind = "application/vnd.amazon.eventstream";
        let told = run(client, ProviderProtocol::BedrockConverse, context(client, true), 200, kind, &[&body]);
        assert!(told.failed && told.text().contains("checksum"), "{}", told.text());
    }
}

#[test]
fn errors_of_the_gateway_itself() {
    let body = |client| {
        let body = error_body(client, 429, ErrorKind::RateLimit, Some("budget_exceeded"), "no budget");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let openai = json!({"error":{"message":"no budget","type":"rate_limit_error","param":null,"code":"budget_exceeded"}});
    assert_eq!(body(ClientProtocol::OpenAiChat), openai);
    assert_eq!(body(ClientProtocol::OpenAiResponses), openai);
    assert_eq!(
        body(ClientProtocol::AnthropicMessages),
        json!({"type":"error","error":{"type":"rate_limit_error","message":"no budget"}})
    );
    assert_eq!(
        body(ClientProtocol::Gemini),
        json!({"error":{"code":429,"message":"no budget","status":"RESOURCE_EXHAUSTED"}})
    );
}

#[test]
fn request_errors_name_the_field() {
    let error = refused(
        ClientProtocol::OpenAiChat,
        ProviderProtocol::OpenAiChat,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
    );
    assert_eq!(error.field.as_deref(), Some("messages[0].content[0].text"));
    let body: Value = serde_json::from_slice(&error.to_client_body(ClientProtocol::OpenAiChat)).unwrap();
    assert_eq!(
        body,
        json!({"error":{"message":"messages[0].content[0].text: the field is required","type":"invalid_request_error","param":"messages[0].content[0].text","code":null}})
    );
    for (body, message) in [
        ("", "JSON"),
        ("[]", "object"),
        (r#"{"model":"m"}"#, "required"),
        (r#"{"messages":[]}"#, "required"),
        (r#"{"model":"m","messages":[]}"#, "no message"),
        (r#"{"model":"m","model":"n","messages":[]}"#, "twice"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":"x"}"#, "whole number"),
    ] {
        let error = refused(ClientProtocol::OpenAiChat, ProviderProtocol::Gemini, body);
        assert!(error.to_string().contains(message), "{body}: {error}");
        assert_eq!(error.status, 400);
    }
}
