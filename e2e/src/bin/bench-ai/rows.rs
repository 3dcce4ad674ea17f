//! The rows: a plain route and those of the AI engine, of one Gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use e2e::fixture::Fixture;
use e2e::manifests;
use e2e::token::Issuer;
use serde_json::json;

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
    /// Whether the client shows a token and a virtual key.
    shows_itself: bool,
    /// What it is compared with.
    pub base: Base,
    /// How many times the processor time of what it is compared with it may take with 1 KB.
    pub target: Option<f64>,
}

/// What a row is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The plain route.
    Plain,
    /// The row [`METERING`].
    Metering,
}

/// The name of the row that only counts tokens.
pub(crate) const METERING: &str = "metering";

const fn row(name: &'static str, path: &'static str, target: Option<f64>) -> Row {
    Row { name, path, claude: false, shows_itself: false, base: Base::Plain, target }
}

/// A metered route that asks for more, compared with one that does not.
const fn access(name: &'static str, path: &'static str, target: Option<f64>) -> Row {
    Row { shows_itself: true, base: Base::Metering, ..row(name, path, target) }
}

/// The plain route is the first one. It stands a second time among them: how far those two are apart is how far others
/// may be apart by chance.
pub(crate) const ROWS: [Row; 12] = [
    row("plain route", "/plain/v1/chat/completions", None),
    row("plain route, again", "/plain/v1/chat/completions", None),
    row(METERING, "/metered/v1/chat/completions", Some(1.1)),
    row("model override", "/override/v1/chat/completions", Some(1.3)),
    Row { claude: true, ..row("Anthropic client, openai", "/override/v1/messages", Some(1.4)) },
    row("OpenAI client, gemini", "/gemini/v1/chat/completions", Some(1.4)),
    row("failover after 429", "/pool/v1/chat/completions", None),
    access("metering + token (JWT)", "/token/v1/chat/completions", None),
    access("metering + key", "/key/v1/chat/completions", None),
    access("metering + key, budget", "/budget/v1/chat/completions", None),
    access("metering + guard", "/guard/v1/chat/completions", None),
    access("metering + all of them", "/access/v1/chat/completions", Some(1.25)),
];

/// The rows whose name holds a text, and those that they are compared with; the plain route is the first one.
pub(crate) fn named(text: &str) -> Vec<&'static Row> {
    let is_meant = |row: &Row| row.name.contains(text);
    let is_metering_needed = ROWS.iter().any(|row| is_meant(row) && row.base == Base::Metering);
    let is_base = |index: usize, row: &Row| index == 0 || row.name == METERING && is_metering_needed;
    let rows = ROWS.iter().enumerate().filter(|(index, row)| is_meant(row) || is_base(*index, row));
    rows.map(|(_, row)| row).collect()
}

/// The virtual key without a budget, and the one with one.
const KEYS: [(&str, &str); 2] = [("free", "sk-bench-0123456789"), ("spender", "sk-bench-9876543210")];

impl Row {
    /// The bytes of its request.
    fn request(&self, size: Size, token: &str) -> Arc<Vec<u8>> {
        let body = bodies::request(size, self.claude);
        let key = match self.path.starts_with("/key/") {
            true => KEYS[0].1,
            false => KEYS[1].1,
        };
        let shown = match self.shows_itself {
            true => format!("authorization: Bearer {token}\r\nx-api-key: {key}\r\n"),
            false => String::new(),
        };
        let version = if self.claude { "anthropic-version: 2023-06-01\r\n" } else { "" };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: bench.test\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: bench-ai\r\n{version}{shown}{} {}\r\ncontent-length: {}\r\n\r\n",
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
    token: String,
    /// Its Envoy.
    pub envoy: EnvoyProcess,
}

impl World {
    /// Starts it.
    pub(crate) async fn start() -> Result<Self> {
        let (upstream, refusing) = (upstream::start().await?, upstream::start_refusing().await?);
        let issuer = Issuer::new()?;
        let token = issuer.token(&json!({"sub": "alice", "team": "search", "exp": 4_000_000_000_u64}))?;
        let objects = objects(upstream, refusing) + &access_objects(&issuer);
        let mut fixture =
            Fixture::start_with(&[("all.yaml", &objects)], &["--envoy-concurrency", "1"]).await?;
        let envoy = EnvoyProcess::child_of(fixture.chancery.process().id())?;
        Ok(Self { fixture, token, envoy })
    }

    /// The bytes of a row's request.
    pub(crate) fn request(&self, row: &Row, size: Size) -> Arc<Vec<u8>> {
        row.request(size, &self.token)
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
        all += &route(name, name);
    }
    all
}

fn route(name: &str, backend: &str) -> String {
    let rule = format!(
        "matches: [{{path: {{value: /{name}}}}}]\n    \
         backendRefs: [{{name: {backend}, group: gateway.kgateway.dev, kind: Backend}}]"
    );
    manifests::http_route(name, "", &rule)
}

/// The routes that ask for more than the metered one, to the same provider.
fn access_objects(issuer: &Issuer) -> String {
    let token = "jwtAuth: {extensionRef: {name: idp}}";
    let keys = |kind: &str| format!("virtualKeys: {{matchLabels: {{kind: {kind}}}}}");
    let guard =
        "ai: {promptGuard: {request: {regex: {action: REJECT, matches: [{pattern: 'project [A-Z]{4,}'}]}}}}";
    let [(_, _), (spender, _)] = KEYS;
    let all = format!("{token}, {}, {guard}", keys(spender));
    let mut text = format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayExtension\nmetadata: {{name: idp}}\n\
         spec: {{type: JWT, jwt: {{providers: [{{name: idp, jwks: {{local: {{inline: '{}'}}}}}}]}}}}\n---\n\
         apiVersion: chancery.dev/v1alpha1\nkind: Budget\nmetadata: {{name: all}}\n\
         spec: {{keys: {{matchLabels: {{kind: {spender}}}}}, limit: {{tokens: 1000000000000}}, per: Year}}\n---\n",
        issuer.key_set()
    );
    for (name, key) in KEYS {
        text += &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{key: {key}}}\n---\n\
             apiVersion: chancery.dev/v1alpha1\nkind: VirtualKey\nmetadata: {{name: {name}, labels: {{kind: {name}}}}}\n\
             spec: {{secretRef: {{name: {name}}}}}\n---\n"
        );
    }
    for (name, members) in [
        ("token", token),
        ("key", &keys("free")),
        ("budget", &keys(spender)),
        ("guard", guard),
        ("access", &all),
    ] {
        text += &route(name, "metered");
        text += &format!(
            "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec: \
             {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}], {members}}}\n---\n"
        );
    }
    text
}
