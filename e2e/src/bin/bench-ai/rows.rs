//! The rows: a plain route and those of the AI engine, of one Gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use e2e::fixture::Fixture;
use e2e::manifests;

use crate::bodies::{self, Size};
use crate::meter::EnvoyProcess;
use crate::upstream;

/// What is measured.
#[derive(Debug)]
pub(crate) struct Row {
    /// For tables.
    pub name: &'static str,
    path: &'static str,
    /// Whether the client speaks Anthropic's protocol, else OpenAI's.
    claude: bool,
    /// How many times the processor time of the plain route it may take with 1 KB.
    pub target: Option<f64>,
}

const fn row(name: &'static str, path: &'static str, target: Option<f64>) -> Row {
    Row { name, path, claude: false, target }
}

/// The plain route is the first one. It stands a second time among them: how far those two are apart is how far others
/// may be apart by chance.
pub(crate) const ROWS: [Row; 7] = [
    row("plain route", "/plain/v1/chat/completions", None),
    row("plain route, again", "/plain/v1/chat/completions", None),
    row("metering", "/metered/v1/chat/completions", Some(1.1)),
    row("model override", "/override/v1/chat/completions", Some(1.3)),
    Row { claude: true, ..row("Anthropic client, openai", "/override/v1/messages", Some(1.4)) },
    row("OpenAI client, gemini", "/gemini/v1/chat/completions", Some(1.4)),
    row("failover after 429", "/pool/v1/chat/completions", None),
];

impl Row {
    /// The bytes of its request.
    pub(crate) fn request(&self, size: Size) -> Arc<Vec<u8>> {
        let body = bodies::request(size, self.claude);
        let version = if self.claude { "anthropic-version: 2023-06-01\r\n" } else { "" };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: bench.test\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: bench-ai\r\n{version}{} {}\r\ncontent-length: {}\r\n\r\n",
            self.path,
            upstream::WANTED,
            char::from(size.index()),
            body.len()
        );
        Arc::new((head + &body).into_bytes())
    }
}

/// Chancery with its Envoy, which has one worker.
#[derive(Debug)]
pub(crate) struct World {
    fixture: Fixture,
    /// Its Envoy.
    pub envoy: EnvoyProcess,
}

impl World {
    /// Starts it.
    pub(crate) async fn start() -> Result<Self> {
        let (upstream, refusing) = (upstream::start().await?, upstream::start_refusing().await?);
        let objects = objects(upstream, refusing);
        let mut fixture =
            Fixture::start_with(&[("all.yaml", &objects)], &["--envoy-concurrency", "1"]).await?;
        let envoy = EnvoyProcess::child_of(fixture.chancery.process().id())?;
        Ok(Self { fixture, envoy })
    }

    /// Where the Gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.fixture.address()
    }
}

fn objects(upstream: SocketAddr, refusing: SocketAddr) -> String {
    let place = |address: SocketAddr| format!("host: {}, port: {}", address.ip(), address.port());
    let (good, bad) = (place(upstream), place(refusing));
    let token = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let group = |place: &str| format!("{{providers: [{{openai: {{{token}}}, {place}}}]}}");
    let backends = [
        ("metered", format!("llm: {{openai: {{{token}}}, {good}}}")),
        ("override", format!("llm: {{openai: {{{token}, model: backend-model}}, {good}}}")),
        ("gemini", format!("llm: {{gemini: {{{token}, model: gemini-x, apiVersion: v1beta}}, {good}}}")),
        ("pool", format!("priorityGroups: [{}, {}]", group(&bad), group(&good))),
    ];
    let mut all = manifests::gateway("gw", "PORT") + &manifests::static_backend("plain", upstream);
    all +=
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {Authorization: bench-key}\n---\n";
    for (name, ai) in &backends {
        all += &format!(
            "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\n\
             spec: {{type: AI, ai: {{{ai}}}}}\n---\n"
        );
    }
    for name in ["plain"].into_iter().chain(backends.iter().map(|(name, _)| *name)) {
        let rule = format!(
            "matches: [{{path: {{value: /{name}}}}}]\n    \
             backendRefs: [{{name: {name}, group: gateway.kgateway.dev, kind: Backend}}]"
        );
        all += &manifests::http_route(name, "", &rule);
    }
    all
}
