//! The two seeds, byte for byte, through a real Envoy: acceptance rows A1–A4, and where the key is seen.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture, Seed, ask_gemini};
use e2e::http::{Response, eventually};
use e2e::leaks;
use e2e::recording::RecordedRequest;
use serde_json::Value;

const KEY: &str = "canary-4f1c9d27a8";

/// The condition of a type in a list of conditions.
fn condition<'a>(conditions: &'a Value, kind: &str) -> &'a Value {
    conditions
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

fn assert_native_gemini(answer: &Response) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json().unwrap();
    let candidate = &json["candidates"][0];
    assert!(candidate["content"]["parts"][0]["text"].is_string(), "{json}");
    assert_eq!(candidate["content"]["role"], "model");
    assert_eq!(candidate["finishReason"], "STOP");
    assert!(candidate["avgLogprobs"].is_number(), "{json}");
    for field in ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"] {
        assert!(json["usageMetadata"][field].is_number(), "{field} in {json}");
    }
    assert_eq!(json["modelVersion"], "gemini-1.5-flash-latest");
    assert!(json["responseId"].is_string(), "{json}");
}

fn assert_is_what_gemini_expects(request: &RecordedRequest, key: &str) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.path_and_query(), "/v1beta/models/gemini-1.5-flash-latest:generateContent");
    assert_eq!(request.host, "generativelanguage.googleapis.com");
    assert_eq!(request.sni.as_deref(), Some("generativelanguage.googleapis.com"));
    assert_eq!(request.header("x-goog-api-key"), Some(key));
    assert_eq!(request.occurrences(key), 1, "the key stands in one header and nowhere else");
    assert_eq!(request.json()["contents"][0]["parts"][0]["text"], "Explain how AI works in a few words");
}

/// Checks a seed's objects and one request, with credentials of the client's own on board.
async fn assert_seed_is_served(fixture: &Fixture, seed: Seed, ip: IpAddr) -> Result<()> {
    let namespace = seed.namespace();
    let kind = match seed {
        Seed::Kgateway => "Backend",
        Seed::Gloo => "Upstream",
    };
    let backend = fixture.status(&format!("{kind} {namespace}/google")).await?;
    assert_eq!(condition(&backend["conditions"], "Accepted")["status"], "True", "{backend}");
    let route = fixture.status(&format!("HTTPRoute {namespace}/google")).await?;
    for kind in ["Accepted", "ResolvedRefs"] {
        assert_eq!(condition(&route["parents"][0]["conditions"], kind)["status"], "True", "{route}");
    }

    let _before = fixture.provider.requests().take();
    let own = [
        ("authorization", "Bearer client-secret"),
        ("x-api-key", "client-secret"),
        ("cookie", "a=client-secret"),
    ];
    let answer = ask_gemini((ip, fixture.port).into(), &own).await?;
    assert_native_gemini(&answer);
    let requests = fixture.provider.requests().take();
    let [request] = &requests[..] else { panic!("one request, not {}", requests.len()) };
    assert_is_what_gemini_expects(request, KEY);
    assert_eq!(request.occurrences("client-secret"), 0, "the client's own credentials stay here");
    assert_eq!(request.header_values("x-forwarded-for"), [""; 0], "the client's address stays here");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_the_kgateway_seed_reaches_gemini() -> Result<()> {
    let fixture = Fixture::start_seeds(&[Seed::Kgateway], KEY, &[]).await?;
    assert_seed_is_served(&fixture, Seed::Kgateway, fixture.ip).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_the_gloo_seed_reaches_gemini() -> Result<()> {
    let fixture = Fixture::start_seeds(&[Seed::Gloo], KEY, &[]).await?;
    assert_seed_is_served(&fixture, Seed::Gloo, fixture.ip).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_both_seeds_are_served_side_by_side() -> Result<()> {
    let fixture = Fixture::start_seeds(&[Seed::Kgateway, Seed::Gloo], KEY, &[]).await?;
    // By name, gloo-system/ai-gateway comes first; the other wants the same port.
    let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    assert_seed_is_served(&fixture, Seed::Gloo, fixture.ip).await?;
    assert_seed_is_served(&fixture, Seed::Kgateway, second).await?;
    let gateway = fixture.status("Gateway kgateway-system/ai-gateway").await?;
    assert_eq!(gateway["addresses"][0]["value"], "127.0.0.2");

    // Taking one away leaves the other as it is.
    for file in ["0-gateway", "1-secret", "2-upstream", "3-route"] {
        fixture.delete(&format!("gloo-system-{file}.yaml"))?;
    }
    eventually(DEADLINE, || async {
        let answer = ask_gemini((fixture.ip, fixture.port).into(), &[]).await?;
        let last = fixture.provider.requests().last();
        ensure!(answer.status == 200 && last.is_some(), "{}", answer.status);
        let gateways = fixture.status("Gateway gloo-system/ai-gateway").await;
        ensure!(gateways.is_err(), "the other Gateway is still there");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_a_rotated_key_is_used_next_and_a_deleted_one_no_more() -> Result<()> {
    const NEW_KEY: &str = "canary-rotated-77";
    let fixture = Fixture::start_seeds(&[Seed::Kgateway], KEY, &[]).await?;
    assert_native_gemini(&fixture.ask_gemini(&[]).await?);

    let secret = "kgateway-system-1-secret.yaml";
    fixture.save(secret, &fixture.read(secret)?.replace(KEY, NEW_KEY))?;
    eventually(DEADLINE, || async {
        assert_native_gemini(&fixture.ask_gemini(&[]).await?);
        let last = fixture.provider.requests().last();
        let key = last.as_ref().and_then(|request| request.header("x-goog-api-key"));
        ensure!(key == Some(NEW_KEY), "the old key is still in use");
        Ok(())
    })
    .await?;

    fixture.delete(secret)?;
    eventually(DEADLINE, || async {
        let backend = fixture.status("Backend kgateway-system/google").await?;
        let accepted = condition(&backend["conditions"], "Accepted");
        ensure!(accepted["status"] == "False" && accepted["reason"] == "SecretNotFound", "{accepted}");
        let answer = fixture.ask_gemini(&[]).await?;
        ensure!(answer.status == 500, "{}", answer.status);
        anyhow::Ok(())
    })
    .await?;
    let _before = fixture.provider.requests().take();
    let answer = fixture.ask_gemini(&[]).await?;
    assert_eq!(answer.status, 500);
    assert_eq!(fixture.provider.requests().count(), 0, "the provider is not contacted");
    let route = fixture.status("HTTPRoute kgateway-system/google").await?;
    let resolved = condition(&route["parents"][0]["conditions"], "ResolvedRefs");
    assert_eq!((&resolved["status"], &resolved["reason"]), (&"False".into(), &"BackendNotFound".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_nowhere_but_in_the_upstream_request() -> Result<()> {
    let fixture = Fixture::start_seeds(&[Seed::Kgateway, Seed::Gloo], KEY, &["--log", "trace"]).await?;
    assert_native_gemini(&fixture.ask_gemini(&[]).await?);
    // Error paths as well: an upstream failure, a broken document with the key in it, a wrong type.
    fixture.provider.force_status(Some(http::StatusCode::UNAUTHORIZED));
    assert_eq!(fixture.ask_gemini(&[]).await?.status, 401);
    fixture.save(
        "broken.yaml",
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData: {KEY}\n"),
    )?;
    fixture.save("torn.yaml", &format!("apiVersion: v1\nkind: Secret\nstringData: {{a: \"{KEY}\n"))?;
    fixture.save(
        "field.yaml",
        &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: z}}\nextra: {KEY}\n"),
    )?;
    eventually(DEADLINE, || async {
        let log = fixture.chancery.log();
        ensure!(
            ["broken.yaml", "torn.yaml", "field.yaml"].iter().all(|name| log.contains(name)),
            "not yet reported"
        );
        Ok(())
    })
    .await?;

    let places = leaks::places(&fixture, &["kgateway-system", "gloo-system"]).await?;
    leaks::assert_absent(&places, KEY);
    Ok(())
}
