//! A Gateway with AI backends whose providers are mocks on this machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::examples::documents_of;
use e2e::fixture::Fixture;
use e2e::http::{Response, eventually, post_json, request, send};
use e2e::provider::TestAuthority;
use http::Method;
use mock_llm::{Knobs, MockLlm};
use serde_json::{Value, json};
use tempfile::TempDir;

/// For whatever has to happen, on a machine that does much else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Chancery with its Envoy, and two providers.
pub(crate) struct World {
    pub(crate) fixture: Fixture,
    pub(crate) a: MockLlm,
    pub(crate) b: MockLlm,
}

impl World {
    /// Starts it with these objects beside a Gateway. In them, `HOST_A` and `HOST_B` become the overrides
    /// `host: …, port: …` of the two providers, `A_PORT` and `B_PORT` their ports.
    pub(crate) async fn start(objects: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_at(GATEWAY, objects, arguments).await
    }

    /// The same with another Gateway.
    pub(crate) async fn start_at(gateway: &str, objects: &str, arguments: &[&str]) -> Result<Self> {
        let (a, b) = (MockLlm::start().await?, MockLlm::start().await?);
        let objects = placed(objects, &a, &b);
        let files = [("gateway.yaml", gateway), ("objects.yaml", objects.as_str())];
        let fixture = Fixture::start_with(&files, arguments).await?;
        Ok(Self { fixture, a, b })
    }

    /// Objects in which the providers have their places.
    pub(crate) fn placed(&self, objects: &str) -> String {
        placed(objects, &self.a, &self.b)
    }

    /// Posts JSON to the Gateway.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Response> {
        post_json(self.fixture.address(), "ai.example", path, headers, body).await
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        send(self.fixture.address(), request(Method::GET, "ai.example", path, &[], Bytes::new())?).await
    }

    /// The value of a counter of the Gateway's Envoy whose name and labels hold all of these; waits until it is there.
    pub(crate) async fn counter(&self, parts: &[&str], at_least: u64) -> Result<u64> {
        let admin = self.fixture.envoy("gw")?;
        eventually(DEADLINE, || async {
            let text = admin.get("/stats/prometheus").await?.text();
            let line = text
                .lines()
                .find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
            ensure!(value >= at_least, "{parts:?} is {value}, not {at_least}");
            anyhow::Ok(value)
        })
        .await
    }

    /// The condition of a type of a Backend or Upstream.
    pub(crate) async fn condition(&self, object: &str, kind: &str) -> Result<Value> {
        let status = self.fixture.status(object).await?;
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null))
    }
}

fn placed(objects: &str, a: &MockLlm, b: &MockLlm) -> String {
    let place = |mock: &MockLlm| format!("host: 127.0.0.1, port: {}", mock.address().port());
    objects
        .replace("HOST_A", &place(a))
        .replace("HOST_B", &place(b))
        .replace("A_PORT", &a.address().port().to_string())
        .replace("B_PORT", &b.address().port().to_string())
}

/// The Gateway of nearly every test here.
pub(crate) const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: chancery
  listeners: [{name: http, port: PORT, protocol: HTTP}]
";

/// A Secret with a token.
pub(crate) fn secret(name: &str, token: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\nstringData: {{Authorization: {token}}}\n"
    )
}

/// A Backend of type AI with this `ai`.
pub(crate) fn backend(name: &str, ai: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}, namespace: default}}\nspec: {{type: AI, ai: {{{ai}}}}}\n"
    )
}

/// The first provider as OpenAI, with this key of the gateway's: the Backend `one`, and the route from the path `/one` to it.
pub(crate) fn openai(key: &str) -> String {
    let one = "llm: {openai: {authToken: {kind: SecretRef, secretRef: {name: key}}}, HOST_A}";
    secret("key", key) + &backend("one", one) + &route("one")
}

/// A route from the path `/NAME` to the Backend of that name.
pub(crate) fn route(name: &str) -> String {
    route_to(name, name)
}

/// A route from the path `/NAME` to this Backend.
pub(crate) fn route_to(name: &str, backend: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  parentRefs: [{{name: gw}}]\n  rules:\n  - matches: [{{path: {{value: /{name}}}}}]\n    backendRefs: [{{name: {backend}, group: gateway.kgateway.dev, kind: Backend}}]\n"
    )
}

/// A chat in OpenAI's form.
pub(crate) fn chat(text: &str) -> Value {
    json!({"model": "client-model", "messages": [{"role": "user", "content": text}]})
}

/// A chat in OpenAI's form that asks for a stream.
pub(crate) fn streamed(text: &str) -> Value {
    let mut question = chat(text);
    question["stream"] = json!(true);
    question
}

/// The text of a stream in OpenAI's form.
pub(crate) fn said(answer: &Response) -> String {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str::<Value>(data).unwrap())
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

/// Knobs that answer everything with this status.
pub(crate) fn failing(status: u16) -> Knobs {
    Knobs { status: Some(status), ..Knobs::default() }
}

/// An example with one Backend for OpenAI, as it stands in `examples`, in front of a mock.
pub(crate) struct OpenAiExample {
    pub(crate) fixture: Fixture,
    _provider: MockLlm,
    _folder: TempDir,
}

impl OpenAiExample {
    /// Serves a folder of `examples`.
    pub(crate) async fn start(folder: &str) -> Result<Self> {
        Self::start_for(&[folder], &[], &[]).await
    }

    /// Serves folders together, with further values for the variables in their documents, and further arguments.
    pub(crate) async fn start_for(folders: &[&str], values: &[(&str, &str)], more: &[&str]) -> Result<Self> {
        let authority = TestAuthority::generate()?;
        let name = "api.openai.com";
        let tls = Some(authority.server_config(&[name])?);
        let provider = MockLlm::start_on((Ipv4Addr::LOCALHOST, 0).into(), tls).await?;
        let files = TempDir::new()?;
        let trust = files.path().join("ca.pem");
        authority.write_certificate(&trust)?;
        let documents = documents_of(folders, &[&[("OPENAI_KEY", "key-of-openai")], values].concat())?;
        let documents: Vec<_> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let connect_to = format!("{name}:443:127.0.0.1:{}", provider.address().port());
        let trust = trust.display().to_string();
        let arguments = [&["--upstream-ca", &trust, "--connect-to", &connect_to], more].concat();
        let fixture = Fixture::start_with(&documents, &arguments).await?;
        Ok(Self { fixture, _provider: provider, _folder: files })
    }
}
