//! A key is nowhere but in the request to its own provider: every provider, every shape of a credential, single answers,
//! streams, and errors of a provider that repeats what it was sent.

use anyhow::{Context, Result, ensure};
use e2e::http::eventually;
use e2e::leaks::{self, Place};
use mock_llm::Knobs;
use serde_json::{Value, json};

use crate::world::{DEADLINE, World, backend, chat, route};

/// A backend with a credential of its own.
struct Case {
    /// Its name, and that of its route.
    name: &'static str,
    /// Whether it is an Upstream of Gloo's.
    is_upstream: bool,
    /// The member of `llm`, or of an Upstream's `ai`, with `TOKEN` in place of how the credential is given.
    provider: &'static str,
    shape: Shape,
    protocol: Protocol,
}

/// How the credential is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    SecretRef,
    Inline,
    /// The client's own.
    Passthrough,
    /// An AWS key in a Secret.
    AwsSecret,
    /// An AWS key in the object itself.
    AwsInline,
}

/// What the provider speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
}

const fn case(name: &'static str, provider: &'static str, shape: Shape, protocol: Protocol) -> Case {
    Case { name, is_upstream: false, provider, shape, protocol }
}

const AZURE: &str =
    "azureopenai: {TOKEN, endpoint: e.openai.azure.com, deploymentName: d, apiVersion: 2024-10-21}";
const VERTEX: &str = "vertexai: {TOKEN, model: gemini-x, apiVersion: v1, projectId: p, location: us-east1}";
const GEMINI: &str = "gemini: {TOKEN, model: gemini-x, apiVersion: v1beta}";
const ANTHROPIC: &str = "anthropic: {TOKEN, model: claude-x}";

const CASES: [Case; 15] = [
    case("openai", "openai: {TOKEN}", Shape::SecretRef, Protocol::OpenAi),
    case("openai-inline", "openai: {TOKEN}", Shape::Inline, Protocol::OpenAi),
    case("openai-own", "openai: {TOKEN}", Shape::Passthrough, Protocol::OpenAi),
    case("azure", AZURE, Shape::SecretRef, Protocol::OpenAi),
    case("azure-inline", AZURE, Shape::Inline, Protocol::OpenAi),
    case("anthropic", ANTHROPIC, Shape::SecretRef, Protocol::Anthropic),
    case("anthropic-inline", ANTHROPIC, Shape::Inline, Protocol::Anthropic),
    case("anthropic-own", ANTHROPIC, Shape::Passthrough, Protocol::Anthropic),
    case("gemini", GEMINI, Shape::SecretRef, Protocol::Gemini),
    case("gemini-inline", GEMINI, Shape::Inline, Protocol::Gemini),
    case("vertex", VERTEX, Shape::SecretRef, Protocol::Gemini),
    case("vertex-inline", VERTEX, Shape::Inline, Protocol::Gemini),
    case(
        "bedrock",
        "bedrock: {auth: {type: Secret, secretRef: {name: bedrock}}, model: amazon.nova-lite}",
        Shape::AwsSecret,
        Protocol::Bedrock,
    ),
    Case {
        is_upstream: true,
        ..case(
            "bedrock-inline",
            "bedrock: {TOKEN, model: amazon.nova-lite, CUSTOM}",
            Shape::AwsInline,
            Protocol::Bedrock,
        )
    },
    Case {
        is_upstream: true,
        ..case(
            "mistral",
            "mistral: {TOKEN, model: mistral-small, CUSTOM}",
            Shape::SecretRef,
            Protocol::OpenAi,
        )
    },
];

impl Case {
    /// What is looked for: the key, or the secret part of an AWS key.
    fn key(&self) -> String {
        format!("canary-{}-7f3a91c04e", self.name)
    }

    /// The session token of an AWS key, which goes to the provider as it is.
    fn session(&self) -> String {
        format!("session-{}-51d20b88aa", self.name)
    }

    fn is_aws(&self) -> bool {
        matches!(self.shape, Shape::AwsSecret | Shape::AwsInline)
    }

    fn objects(&self) -> String {
        let Self { name, .. } = self;
        let (key, session) = (self.key(), self.session());
        let (token, data) = match self.shape {
            Shape::SecretRef => {
                let name = match self.is_upstream {
                    true => format!("authToken: {{secretRef: {{name: {name}}}}}"),
                    false => format!("authToken: {{kind: SecretRef, secretRef: {{name: {name}}}}}"),
                };
                (name, format!("Authorization: {key}"))
            }
            Shape::Inline => (format!("authToken: {{kind: Inline, inline: {key}}}"), String::new()),
            Shape::Passthrough => ("authToken: {kind: Passthrough}".to_owned(), String::new()),
            Shape::AwsSecret => {
                (String::new(), format!("accessKey: AKIDEXAMPLE, secretKey: {key}, sessionToken: {session}"))
            }
            Shape::AwsInline => (
                format!(
                    "credentialProvider: {{inline: {{accessKeyId: AKIDEXAMPLE, secretAccessKey: {key}, sessionToken: {session}}}}}"
                ),
                String::new(),
            ),
        };
        let provider = self
            .provider
            .replace("TOKEN", &token)
            .replace("CUSTOM", "customHost: {host: 127.0.0.1, port: A_PORT}");
        let mut all = match self.is_upstream {
            true => {
                format!(
                    "---\napiVersion: gloo.solo.io/v1\nkind: Upstream\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ai: {{{provider}}}}}\n"
                ) + &route(name).replace(
                    "group: gateway.kgateway.dev, kind: Backend",
                    "group: gloo.solo.io, kind: Upstream",
                )
            }
            false => backend(name, &format!("llm: {{{provider}, HOST_A}}")) + &route(name),
        };
        if !data.is_empty() {
            all += &format!(
                "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\nstringData: {{{data}}}\n"
            );
        }
        all
    }

    /// A single answer and a stream, in OpenAI's chat protocol, which is translated for most, and in the provider's own:
    /// paths and bodies.
    fn requests(&self) -> Vec<(String, Value)> {
        let with_stream = |mut body: Value| {
            body["stream"] = json!(true);
            body
        };
        let name = self.name;
        let openai = format!("/{name}/v1/chat/completions");
        let mut all = vec![(openai.clone(), chat("hello there")), (openai, with_stream(chat("hello there")))];
        let turn = |content: Value| json!([{"role": "user", "content": content}]);
        match self.protocol {
            Protocol::OpenAi => {}
            Protocol::Anthropic => {
                let body = json!({"model": "m", "max_tokens": 9, "messages": turn(json!("hello there"))});
                let path = format!("/{name}/v1/messages");
                all.extend([(path.clone(), body.clone()), (path, with_stream(body))]);
            }
            Protocol::Gemini => {
                let body = json!({"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]});
                let path = |method: &str| format!("/{name}/v1beta/models/x:{method}");
                all.push((path("generateContent"), body.clone()));
                all.push((path("streamGenerateContent?alt=sse"), body));
            }
            Protocol::Bedrock => {
                let body = json!({"messages": turn(json!([{"text": "hello there"}]))});
                all.push((format!("/{name}/model/x/converse"), body.clone()));
                all.push((format!("/{name}/model/x/converse-stream"), body));
            }
        }
        all
    }

    /// Sends all of them, and looks at what has come to the provider. Gives what the client has heard.
    async fn ask(&self, world: &World, status: u16) -> Result<Vec<Place>> {
        let mut heard = Vec::new();
        let bearer = format!("Bearer {}", self.key());
        let headers =
            if self.shape == Shape::Passthrough { &[("authorization", bearer.as_str())][..] } else { &[] };
        for (path, body) in self.requests() {
            let answer = world.post(&path, headers, &body).await?;
            ensure!(answer.status == status, "{path}: {} {}", answer.status, answer.text());
            let seen = world.a.recording().take();
            let [request] = &seen[..] else { panic!("{path}: {} requests", seen.len()) };
            let head = format!("{:?}", request.headers);
            let (sent, kept) = match self.is_aws() {
                true => (self.session(), Some(self.key())),
                false => (self.key(), None),
            };
            assert!(head.contains(&sent), "{path}: the provider gets its own key: {head}");
            assert_eq!(head.matches("canary-").count(), usize::from(!self.is_aws()), "{path}: once: {head}");
            let rest = format!("{} {}", request.path_and_query(), String::from_utf8_lossy(&request.body));
            assert!(!rest.contains(&sent), "{path}: {rest}");
            if let Some(kept) = kept {
                assert!(!head.contains(&kept) && !rest.contains(&kept), "{path}: it only signs: {head}");
            }
            heard.push((format!("the answer to {path}"), format!("{:?} {}", answer.headers, answer.text())));
        }
        Ok(heard)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_is_nowhere_but_in_the_request_to_its_provider() -> Result<()> {
    let objects: String = CASES.iter().map(Case::objects).collect();
    let folder = tempfile::tempdir()?;
    let access_log = folder.path().join("access.log");
    let path = access_log.to_str().context("a path")?;
    let world = World::start(&objects, &["--log", "trace", "--access-log", path]).await?;
    let admin = world.fixture.envoy("gw")?;
    let answer = admin.post("/logging?dynamic_modules=trace").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let mut heard = Vec::new();
    for case in &CASES {
        heard.extend(case.ask(&world, 200).await?);
    }
    // Who may not do something is told so with the words of the gateway; the rest passes, without the key.
    for status in [400, 401, 403, 429, 500] {
        world.a.set_knobs(Knobs { status: Some(status), echo_credentials: true, ..Knobs::default() });
        for case in CASES.iter().filter(|case| case.shape != Shape::Passthrough) {
            heard.extend(case.ask(&world, status).await?);
        }
    }
    let requests = heard.len();
    assert!(requests > 100, "{requests}");
    let redacted = heard.iter().filter(|(_, text)| text.contains("[redacted]")).count();
    assert!(redacted > 0, "no provider has repeated its credential");
    let log = eventually(DEADLINE, || async {
        let log = std::fs::read_to_string(&access_log)?;
        let lines = log.lines().count();
        ensure!(lines >= requests, "{lines} of {requests} requests are in the access log");
        anyhow::Ok(log)
    })
    .await?;
    assert!(log.contains("\"provider_model\":"), "what the AI engine says about requests: {log}");
    let mut places = leaks::places(&world.fixture, &["gw"]).await?;
    places.push(("the access log".to_owned(), log));
    places.extend(heard);
    for case in &CASES {
        leaks::assert_absent(&places, &case.key());
        if case.is_aws() {
            leaks::assert_absent(&places, &case.session());
        }
    }
    Ok(())
}
