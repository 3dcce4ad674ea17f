use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::http::{Response, exchange, request};
use e2e::provider::{MockProvider, TestAuthority};
use http::{Method, StatusCode};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const GEMINI: &str = "generativelanguage.googleapis.com";
const OPENAI: &str = "api.openai.com";
const GENERATE: &str = "/v1beta/models/gemini-1.5-flash-latest:generateContent";
const STREAM: &str = "/v1beta/models/gemini-1.5-flash-latest:streamGenerateContent";
const CHAT: &str = "/v1/chat/completions";

struct Fixture {
    authority: TestAuthority,
    provider: MockProvider,
}

impl Fixture {
    async fn start() -> Self {
        let authority = TestAuthority::generate().unwrap();
        let provider = MockProvider::start(&authority).await.unwrap();
        Self { authority, provider }
    }

    async fn post(&self, host: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        post(self.provider.address(), &self.authority, host, path, headers, body).await.unwrap()
    }

    async fn gemini(&self, path: &str) -> Response {
        self.post(GEMINI, path, &[("x-goog-api-key", "k-1")], &question()).await
    }

    async fn openai(&self, body: &Value) -> Response {
        self.post(OPENAI, CHAT, &[("authorization", "Bearer k-1")], body).await
    }
}

async fn post(
    address: SocketAddr,
    authority: &TestAuthority,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Response> {
    let connector = TlsConnector::from(authority.client_config()?);
    let name = ServerName::try_from(host.to_owned())?;
    let io = connector.connect(name, TcpStream::connect(address).await?).await?;
    exchange(io, request(Method::POST, host, path, headers, body.to_string().into())?).await
}

/// The request of the kgateway guide.
fn question() -> Value {
    json!({"contents": [{"parts": [{"text": "Explain how AI works in a few words"}]}]})
}

fn chat() -> Value {
    let messages = json!([{"role": "user", "content": "Explain how AI works in a few words"}]);
    json!({"model": "gpt-4o-mini", "messages": messages})
}

fn events(answer: &Response) -> Vec<String> {
    let text = answer.text().replace("\r\n", "\n");
    let events = text.split_terminator("\n\n");
    events.map(|event| event.strip_prefix("data: ").expect("an event starts with data").to_owned()).collect()
}

#[tokio::test]
async fn gemini_answers_as_the_guide_prints() {
    let fixture = Fixture::start().await;
    let answer = fixture.gemini(GENERATE).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let expected = json!({
        "candidates": [{
            "content": {
                "parts": [{"text": "Learning patterns from data to make predictions.\n"}],
                "role": "model"
            },
            "finishReason": "STOP",
            "avgLogprobs": -0.017732446392377216
        }],
        "usageMetadata": {
            "promptTokenCount": 8,
            "candidatesTokenCount": 9,
            "totalTokenCount": 17,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]
        },
        "modelVersion": "gemini-1.5-flash-latest",
        "responseId": "UxQ6aM_sKbjFnvgPocrJaA"
    });
    assert_eq!(answer.json().unwrap(), expected);
}

#[tokio::test]
async fn gemini_streams_events_that_add_up_to_the_answer() {
    let fixture = Fixture::start().await;
    let answer = fixture.gemini(&format!("{STREAM}?alt=sse")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let chunks: Vec<Value> =
        events(&answer).iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_adds_up(&chunks);
}

#[tokio::test]
async fn gemini_streams_one_json_array_without_alt_sse() {
    let fixture = Fixture::start().await;
    let answer = fixture.gemini(STREAM).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    assert_adds_up(answer.json().unwrap().as_array().unwrap());
}

fn assert_adds_up(chunks: &[Value]) {
    assert!(chunks.len() > 1, "one chunk is no stream");
    let candidate = |chunk: &Value| chunk["candidates"][0].clone();
    let text: String = chunks
        .iter()
        .map(|chunk| candidate(chunk)["content"]["parts"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "Learning patterns from data to make predictions.\n");
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(candidate(last)["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 17);
    assert!(others.iter().all(|chunk| candidate(chunk)["finishReason"].is_null()));
}

#[tokio::test]
async fn openai_answers_with_a_chat_completion_and_its_usage() {
    let fixture = Fixture::start().await;
    let answer = fixture.openai(&chat()).await;
    assert_eq!(answer.status, 200);
    let body = answer.json().unwrap();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o-mini");
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(
        body["choices"][0]["message"]["content"],
        "Learning patterns from data to make predictions.\n"
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(8), &json!(9)));
    assert_eq!(usage["total_tokens"], 17);
}

#[tokio::test]
async fn openai_streams_chunks_and_the_usage_only_when_asked() {
    let fixture = Fixture::start().await;
    for include_usage in [false, true] {
        let mut body = chat();
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": include_usage});
        let mut events = events(&fixture.openai(&body).await);
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
        let contents = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
        assert_eq!(contents.collect::<String>(), "Learning patterns from data to make predictions.\n");
        let with_usage: Vec<&Value> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
        if include_usage {
            assert_eq!(with_usage.len(), 1);
            assert_eq!(chunks.last(), with_usage.first().copied());
            assert_eq!(with_usage[0]["choices"], json!([]));
            assert_eq!(with_usage[0]["usage"]["total_tokens"], 17);
        } else {
            assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
        }
    }
}

#[tokio::test]
async fn a_missing_or_empty_key_is_refused_in_the_native_shape() {
    let fixture = Fixture::start().await;
    // A key in the query or in the other provider's header is none.
    for headers in [&[][..], &[("x-goog-api-key", "")], &[("authorization", "Bearer k-1")]] {
        let path = format!("{GENERATE}?key=k-1");
        let answer = fixture.post(GEMINI, &path, headers, &question()).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.json().unwrap()["error"]["status"], "PERMISSION_DENIED");
    }
    for headers in [&[][..], &[("authorization", "Bearer ")], &[("authorization", "Basic eA==")]] {
        let answer = fixture.post(OPENAI, CHAT, headers, &chat()).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.json().unwrap()["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn an_unknown_key_is_refused_once_keys_are_listed() {
    let fixture = Fixture::start().await;
    fixture.provider.accept_only(["k-2"]);
    let gemini = fixture.gemini(GENERATE).await;
    assert_eq!(gemini.status, 400);
    assert_eq!(gemini.json().unwrap()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    let openai = fixture.openai(&chat()).await;
    assert_eq!(openai.status, 401);
    assert_eq!(openai.json().unwrap()["error"]["code"], "invalid_api_key");
    fixture.provider.accept_only(["k-1"]);
    assert_eq!(fixture.gemini(GENERATE).await.status, 200);
    assert_eq!(fixture.openai(&chat()).await.status, 200);
}

#[tokio::test]
async fn two_keys_in_one_request_are_refused() {
    let fixture = Fixture::start().await;
    let headers = [("x-goog-api-key", "k-1"), ("x-goog-api-key", "k-2")];
    assert_eq!(fixture.post(GEMINI, GENERATE, &headers, &question()).await.status, 400);
}

#[tokio::test]
async fn an_unknown_path_is_not_found_in_the_native_shape() {
    let fixture = Fixture::start().await;
    for path in ["/gemini", "/v2/models/m:generateContent", "/v1beta/models/m:countTokens"] {
        let answer = fixture.gemini(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json().unwrap()["error"]["status"], "NOT_FOUND");
    }
    let answer = fixture.post(OPENAI, "/openai", &[("authorization", "Bearer k-1")], &chat()).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json().unwrap()["error"]["message"], "Invalid URL (POST /openai)");
}

#[tokio::test]
async fn a_body_without_contents_or_messages_is_refused() {
    let fixture = Fixture::start().await;
    let answer = fixture.post(GEMINI, GENERATE, &[("x-goog-api-key", "k-1")], &json!({})).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().unwrap()["error"]["status"], "INVALID_ARGUMENT");
    assert_eq!(fixture.openai(&json!({"model": "m"})).await.status, 400);
    assert_eq!(fixture.openai(&json!({"messages": [{}]})).await.status, 400);
}

#[tokio::test]
async fn every_request_is_recorded_as_it_arrived() {
    let fixture = Fixture::start().await;
    fixture.gemini(&format!("{GENERATE}?a=b")).await;
    fixture.openai(&chat()).await;
    let seen = fixture.provider.requests().wait_for(2, Duration::from_secs(5)).await.unwrap();
    let first = &seen[0];
    assert_eq!((first.method.as_str(), first.path()), ("POST", GENERATE));
    assert_eq!(first.path_and_query(), format!("{GENERATE}?a=b"));
    assert_eq!((&*first.host, first.sni.as_deref()), (GEMINI, Some(GEMINI)));
    assert_eq!(first.header("x-goog-api-key"), Some("k-1"));
    assert_eq!(first.occurrences("k-1"), 1);
    assert_eq!(first.json(), question());
    assert_eq!((&*seen[1].host, seen[1].sni.as_deref()), (OPENAI, Some(OPENAI)));
    assert!(seen[0].at <= seen[1].at);
    assert_eq!(fixture.provider.requests().take().len(), 2);
    assert_eq!(fixture.provider.requests().count(), 0);
}

#[tokio::test]
async fn what_is_printed_of_a_request_shows_no_credential() {
    let fixture = Fixture::start().await;
    let headers = [("x-goog-api-key", "hush"), ("authorization", "Bearer hush"), ("x-api-key", "hush")];
    fixture.post(GEMINI, &format!("{GENERATE}?alt=json&key=hush"), &headers, &question()).await;
    let request = fixture.provider.requests().last().unwrap();
    for printed in [request.to_string(), format!("{request:?}"), format!("{:?}", fixture.provider)] {
        assert!(!printed.contains("hush"), "{printed}");
    }
    assert!(request.to_string().contains("?alt=json&key=(redacted)"));
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_refuses_the_certificate() {
    let fixture = Fixture::start().await;
    let other = TestAuthority::generate().unwrap();
    let refused = post(fixture.provider.address(), &other, GEMINI, GENERATE, &[], &question()).await;
    assert!(refused.unwrap_err().to_string().contains("certificate"));
}

#[tokio::test]
async fn a_client_that_wants_another_name_refuses_the_certificate() {
    let fixture = Fixture::start().await;
    let address = fixture.provider.address();
    let refused = post(address, &fixture.authority, "other.example", GENERATE, &[], &question()).await;
    assert!(refused.unwrap_err().to_string().contains("certificate"));
}

#[tokio::test]
async fn a_client_that_offers_http2_gets_it() {
    let fixture = Fixture::start().await;
    let mut config = Arc::unwrap_or_clone(fixture.authority.client_config().unwrap());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let io = TcpStream::connect(fixture.provider.address()).await.unwrap();
    let name = ServerName::try_from(OPENAI).unwrap();
    let io = TlsConnector::from(Arc::new(config)).connect(name, io).await.unwrap();
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(io);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let target = format!("https://{OPENAI}{CHAT}");
    let request = http::Request::post(target).header("authorization", "Bearer k-1");
    let request = request.body(http_body_util::Full::<bytes::Bytes>::from(chat().to_string())).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    assert_eq!(fixture.provider.requests().last().unwrap().host, OPENAI);
}

#[tokio::test]
async fn the_forced_status_and_the_delay_hold_until_they_are_changed() {
    let fixture = Fixture::start().await;
    fixture.provider.force_status(Some(StatusCode::TOO_MANY_REQUESTS));
    let gemini = fixture.gemini(GENERATE).await;
    assert_eq!(gemini.status, 429);
    assert_eq!(gemini.json().unwrap()["error"]["status"], "RESOURCE_EXHAUSTED");
    let openai = fixture.openai(&chat()).await;
    assert_eq!((openai.status, &openai.json().unwrap()["error"]["type"]), (429, &json!("requests")));
    fixture.provider.force_status(None);
    fixture.provider.set_delay(Duration::from_millis(100));
    let started = Instant::now();
    assert_eq!(fixture.gemini(GENERATE).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_streamed_answer_arrives_piece_by_piece() {
    let fixture = Fixture::start().await;
    fixture.provider.set_piece_delay(Duration::from_millis(50));
    let started = Instant::now();
    let answer = fixture.gemini(&format!("{STREAM}?alt=sse")).await;
    let pauses = u32::try_from(events(&answer).len() - 1).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50) * pauses);
}

#[tokio::test]
async fn waiting_for_more_requests_than_come_says_what_came() {
    let fixture = Fixture::start().await;
    fixture.gemini(GENERATE).await;
    let error = fixture.provider.requests().wait_for(2, Duration::from_millis(20)).await.unwrap_err();
    assert!(error.to_string().contains("1 of 2"), "{error}");
    assert!(error.to_string().contains(GENERATE), "{error}");
}
