//! What budgets say was spent, against the books of the providers: many requests at a time, through two proxies that share a
//! store, a part of which fails over, breaks off or is left by its client.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::http::{eventually, post_json};
use limit_rule::{Budget, Counted, Unit};
use limits::{LimitService, Metrics, Shared, Spending, Store};
use mock_llm::{Knobs, MockLlm};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::budgets::budget;
use crate::cost::{list, model};
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, World, backend, chat, failing, route, secret, streamed};

const ALICE: &str = "sk-canary-alice-000000000000000001";
const BOB: &str = "sk-canary-bob-00000000000000000002";

/// How many requests run at a time.
const AT_A_TIME: usize = 200;

/// How many events of a stream a provider sends that breaks off or goes silent.
const EVENTS: usize = 2;

/// How many requests there are; in the variable BOOKS_REQUESTS another number.
fn requests() -> usize {
    env::var("BOOKS_REQUESTS").ok().and_then(|number| number.parse().ok()).unwrap_or(2000)
}

/// A Valkey or Redis server that writes down what it is told before it answers, killed in the end.
pub(crate) struct StoreServer {
    child: Child,
    folder: TempDir,
}

impl StoreServer {
    pub(crate) fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        Ok(Self { child: Self::spawn(&folder)?, folder })
    }

    fn spawn(folder: &TempDir) -> Result<Child> {
        let made = e2e::workspace::workspace_root().join(".tools/bin/redis-server");
        let named = ["CHANCERY_VALKEY", "CHANCERY_REDIS"].into_iter().find_map(env::var_os);
        let program = named.map_or(made, PathBuf::from);
        let socket = folder.path().join("socket");
        let arguments = ["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", ""];
        Command::new(&program)
            .args(arguments)
            .arg("--dir")
            .arg(folder.path())
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: run `make redis`", program.display()))
    }

    /// Kills it and starts it again with what it has written down.
    fn restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = Self::spawn(&self.folder)?;
        Ok(())
    }

    pub(crate) fn address(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }

    pub(crate) async fn spending(&self, budget: &Budget) -> Result<Spending> {
        eventually(DEADLINE, || async {
            let store = Store::Shared(Shared::connect(&self.address())?);
            let service = LimitService::new(store, Metrics::default());
            anyhow::Ok(service.spending(budget).await?)
        })
        .await
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a token costs in 10^-12 dollars: of a prompt, and of an answer. The latter makes no whole millionth.
const PRICES: [u64; 2] = [1_250_000, 10_000_001];

/// What the book of a provider says.
#[derive(Clone, Copy, Default, PartialEq)]
struct Book {
    tokens: u64,
    /// What it costs, in millionths of a dollar: each request is rounded up for itself.
    micros: u64,
}

impl Book {
    fn of(prompt: u64, completion: u64) -> Self {
        let [input, output] = PRICES;
        Self {
            tokens: prompt + completion,
            micros: (prompt * input + completion * output).div_ceil(1_000_000),
        }
    }

    fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, micros: self.micros + other.micros }
    }
}

/// The budget of tokens as the proxies ask for it.
pub(crate) fn team(limit: u64) -> Budget {
    Budget {
        name: "default/team".to_owned(),
        counted: Counted::Tokens,
        limit,
        per: Unit::Year,
        time_zone: String::new(),
        spender: String::new(),
        is_audit: false,
        is_listed: false,
        fallback: String::new(),
    }
}

/// That of money.
fn purse() -> Budget {
    Budget { name: "default/purse".to_owned(), counted: Counted::Money, ..team(1_000_000_000_000) }
}

/// The objects: what answers, what fails over, and what breaks off or goes silent.
fn objects(limit: u64) -> String {
    let token = "authToken: {kind: SecretRef, secretRef: {name: provider}}";
    let gemini = format!("llm: {{gemini: {{apiVersion: v1beta, model: m, {token}}}, HOST_C}}");
    let silent = gemini.replace("HOST_C", "HOST_D");
    let pool = format!(
        "priorityGroups: [{{providers: [{{name: a, openai: {{{token}}}, HOST_B}}]}}, {{providers: [{{name: b, openai: {{{token}}}, HOST_A}}]}}]"
    );
    let routes = ["good", "pool", "cut", "silent"];
    let policies: String = routes.iter().map(|name| route(name) + &asking(name, &json!({}))).collect();
    secret("provider", "canary-provider")
        + &backend("good", &format!("llm: {{openai: {{{token}}}, HOST_A}}"))
        + &backend("pool", &pool)
        + &backend("cut", &gemini)
        + &backend("silent", &silent)
        + &policies
        + &key("alice", ALICE, "a", &json!({}))
        + &key("bob", BOB, "a", &json!({}))
        + &budget("team", &json!({"limit": {"tokens": limit}, "per": "Year"}))
        + &budget("purse", &json!({"limit": {"usd": "1000000"}, "per": "Year"}))
        + &list("own", &json!({"models": [model("*", "1.25", "10.000001")]}))
}

/// Two proxies with control planes of their own, which share a store.
struct Site {
    store: StoreServer,
    worlds: [World; 2],
    _more: [MockLlm; 2],
}

impl Site {
    async fn start(limit: u64, more: &[&str]) -> Result<Self> {
        let store = StoreServer::start()?;
        let (cut, silent) = (MockLlm::start().await?, MockLlm::start().await?);
        cut.set_knobs(Knobs { cut_after: Some(EVENTS), ..Knobs::default() });
        silent.set_knobs(Knobs { stall_after: Some(EVENTS), ..Knobs::default() });
        let place = |mock: &MockLlm| format!("host: 127.0.0.1, port: {}", mock.address().port());
        let objects = objects(limit).replace("HOST_C", &place(&cut)).replace("HOST_D", &place(&silent));
        let address = store.address();
        let arguments = [&["--limit-store", &*address], more].concat();
        let worlds = [World::start(&objects, &arguments).await?, World::start(&objects, &arguments).await?];
        for world in &worlds {
            world.b.set_knobs(failing(503));
        }
        Ok(Self { store, worlds, _more: [cut, silent] })
    }
}

/// What the provider's book says of a stream that ends after so many events: each says what it has come to so far.
async fn book_of_cut_stream() -> Result<Book> {
    let mock = MockLlm::start().await?;
    let path = "/v1beta/models/m:streamGenerateContent?alt=sse";
    let headers = [("x-goog-api-key", "any")];
    let answer = post_json(mock.address(), "gemini", path, &headers, &gemini_question()).await?;
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let last = events.take(EVENTS).last().with_context(|| format!("no event in {text}"))?;
    let usage = serde_json::from_str::<Value>(last)?["usageMetadata"].clone();
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    let book = Book::of(count("promptTokenCount"), count("candidatesTokenCount"));
    ensure!(book.tokens > 0 && book.tokens == count("totalTokenCount"), "{usage}");
    Ok(book)
}

fn gemini_question() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one two three four five six seven"}]}],
        "generationConfig": {"maxOutputTokens": 300}})
}

/// Asks for a stream of Gemini's, and reads the events that its provider sends, or all. It ends when it is dropped.
async fn begin(world: &World, path: &str) -> Result<TcpStream> {
    let body = gemini_question().to_string();
    let mut stream = TcpStream::connect(world.fixture.address()).await?;
    let head = format!(
        "POST /{path}/v1beta/models/m:streamGenerateContent?alt=sse HTTP/1.1\r\nhost: ai.example\r\nx-api-key: {BOB}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        let count = stream.read_buf(&mut seen).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&seen);
        if count == 0 || text.matches("data: ").count() >= EVENTS {
            ensure!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
            return Ok(stream);
        }
    }
}

/// One request; what the provider's book says about it.
async fn ask(world: &World, number: usize, cut: Book) -> Result<Book> {
    let path = match number % 10 {
        1 | 2 => {
            drop(begin(world, if number % 10 == 1 { "cut" } else { "silent" }).await?);
            return Ok(cut);
        }
        0 => "/pool",
        _ => "/good",
    };
    let mut question = if number % 4 == 3 { streamed("hello") } else { chat("hello") };
    question["max_tokens"] = json!(300);
    question["messages"][0]["content"] = json!("word ".repeat(1 + number % 50));
    if number % 4 == 3 {
        question["stream_options"] = json!({"include_usage": true});
    }
    let key = if number.is_multiple_of(2) { ALICE } else { BOB };
    let answer = world.post(path, &[("x-api-key", key)], &question).await?;
    ensure!(answer.status == 200, "{path}: {}: {}", answer.status, answer.text());
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let parts = events.chain([text.as_str()]).filter_map(|part| serde_json::from_str::<Value>(part).ok());
    let usage = parts.map(|part| part["usage"].clone()).rfind(Value::is_object);
    let usage = usage.with_context(|| format!("{path}: no usage in {text}"))?;
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    Ok(Book::of(count("prompt_tokens"), count("completion_tokens")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_is_what_the_providers_books_say() -> Result<()> {
    let mut site = Site::start(1_000_000_000, &[]).await?;
    let cut = book_of_cut_stream().await?;
    let (began, count) = (Instant::now(), requests());
    let worlds = Arc::new(site.worlds);
    let (mut running, mut booked, mut next) = (JoinSet::new(), Book::default(), 0);
    while next < count || !running.is_empty() {
        if next < count && running.len() < AT_A_TIME {
            let (worlds, number) = (worlds.clone(), next);
            running.spawn(async move {
                let [first, second] = &*worlds;
                ask(if number % 3 == 0 { first } else { second }, number, cut).await
            });
            next += 1;
        } else if let Some(done) = running.join_next().await {
            booked = booked.and(done??);
        }
    }
    let budget = team(1_000_000_000);
    let settled = async |budget: &Budget, booked: u64| {
        eventually(DEADLINE, || async {
            let spending = site.store.spending(budget).await?;
            ensure!(spending.reserved == 0 && spending.spent == booked, "{spending:?}, books: {booked}");
            anyhow::Ok(spending)
        })
        .await
    };
    let (tokens, money) = (settled(&budget, booked.tokens).await?, settled(&purse(), booked.micros).await?);
    println!(
        "{count} requests in {:?}: {tokens:?} tokens, {money:?} millionths of a dollar",
        began.elapsed()
    );
    site.store.restart()?;
    assert_eq!(site.store.spending(&budget).await?, tokens, "the store writes down what it knows");
    assert_eq!(site.store.spending(&purse()).await?, money);
    Ok(())
}

/// Each request says how long its answer may be, so that the limit holds to the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_spent_than_the_limit_however_many_ask_at_a_time() -> Result<()> {
    const LIMIT: u64 = 5_000;
    let site = Site::start(LIMIT, &[]).await?;
    let worlds = Arc::new(site.worlds);
    let mut running = JoinSet::new();
    for number in 0..AT_A_TIME {
        let worlds = worlds.clone();
        running.spawn(async move {
            let mut question = chat("hello");
            question["max_tokens"] = json!(50);
            let world = worlds.get(number % 2).context("a proxy")?;
            let answer = world.post("/good", &[("x-api-key", ALICE)], &question).await?;
            ensure!([200, 429].contains(&answer.status), "{}", answer.status);
            let told = answer.json().ok().and_then(|answer| answer["usage"]["total_tokens"].as_u64());
            anyhow::Ok(told.filter(|_| answer.status == 200))
        });
    }
    let answers: Vec<Option<u64>> = running.join_all().await.into_iter().collect::<Result<_>>()?;
    let booked: u64 = answers.iter().flatten().sum();
    let refused = answers.iter().filter(|answer| answer.is_none()).count();
    eventually(DEADLINE, || async {
        let spending = site.store.spending(&team(LIMIT)).await?;
        ensure!(spending.reserved == 0 && spending.spent == booked, "{spending:?}, books: {booked}");
        anyhow::Ok(())
    })
    .await?;
    assert!(booked <= LIMIT && refused > 0, "{booked} of {LIMIT} tokens, {refused} requests refused");
    Ok(())
}

/// Kills the Envoy of a world. Its control plane starts another one.
fn kill_envoy(world: &World) -> Result<()> {
    let state = world.fixture.state().display().to_string();
    let processes = std::fs::read_dir("/proc")?.filter_map(|entry| {
        let entry = entry.ok()?;
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        let is_envoy = arguments.split('\0').next()?.ends_with("envoy") && arguments.contains(&state);
        is_envoy.then_some(Pid::from_raw(number)?)
    });
    let processes: Vec<Pid> = processes.collect();
    ensure!(processes.len() == 1, "{processes:?}");
    processes.into_iter().try_for_each(|process| Ok(kill_process(process, Signal::KILL)?))
}

/// What its requests have reserved is held back from all others, and counts as spent when the lease is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_proxy_has_reserved_is_held_and_then_charged() -> Result<()> {
    const STREAMS: u64 = 8;
    let text = u64::try_from(gemini_question().to_string().len())?.div_ceil(4);
    let held = STREAMS * (text + 300);
    let limit = held + 400;
    // Long enough that all of it is still held when the proxy is gone.
    let site = Site::start(limit, &["--reservation-lease", "20"]).await?;
    let [killed, other] = &site.worlds;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(begin(killed, "silent").await?);
    }
    let spending = async |spent: u64, reserved: u64| {
        eventually(2 * DEADLINE, || async {
            let found = site.store.spending(&team(limit)).await?;
            ensure!(
                (found.spent, found.reserved) == (spent, reserved),
                "{found:?}, not {spent} and {reserved}"
            );
            anyhow::Ok(())
        })
        .await
    };
    let asked = async |world: &World, tokens: u64| {
        let mut question = chat("hello");
        question["max_tokens"] = json!(tokens);
        let answer = world.post("/good", &[("x-api-key", ALICE)], &question).await?;
        let used = answer.json().ok().and_then(|answer| answer["usage"]["total_tokens"].as_u64());
        anyhow::Ok((answer.status, used.unwrap_or_default()))
    };
    spending(0, held).await?;
    kill_envoy(killed)?;
    drop(streams);
    let (status, mut booked) = asked(other, 50).await?;
    assert_eq!(status, 200, "beside what is held, something is left");
    assert_eq!(asked(other, 400).await?.0, 429, "what is held is not left");
    spending(booked, held).await?;
    spending(booked + held, 0).await?;
    let book = STREAMS * book_of_cut_stream().await?.tokens;
    assert!(book <= held, "the providers' bills are covered: {book} of {held}");
    // Both proxies spend what is left, and no more.
    for world in &site.worlds {
        let used = eventually(DEADLINE, || async {
            let (status, used) = asked(world, 50).await?;
            ensure!(status == 200, "{status}");
            anyhow::Ok(used)
        })
        .await?;
        booked += used;
        assert_eq!(asked(world, 400).await?.0, 429, "what is charged is not left");
    }
    spending(booked + held, 0).await
}
