//! Two control planes that share their counts in a Valkey: what a team has spent is what the provider has told, though few of its
//! requests are asked about, and one connection asks and another one settles.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use acceptance::{DEADLINE, QUESTION, Setup, World, gateway_socket, restricted_namespace, workspace};
use cluster::Error;
use e2e::http::post_json;
use serde_json::Value;

const NAMESPACE: &str = "spending";

/// Where the store listens, on the node.
const STORE: (&str, &str) = ("10.89.0.2", "16379");

/// The key of the team.
const KEY: &str = "sk-canary-team-000000000000000001";

/// So many clients ask at the same time, one question after the other.
const CLIENTS: u64 = 4;
const QUESTIONS: u64 = 100;

/// A Valkey in the cluster's network; killed when dropped.
struct Store(Child);

impl Store {
    fn start(world: &World) -> Self {
        let made = workspace().join(".tools/bin/valkey-server");
        let program = env::var_os("CHANCERY_VALKEY").map_or(made, PathBuf::from);
        assert!(program.is_file(), "{}: run `make valkey`", program.display());
        let (address, port) = STORE;
        let mut command = world.cluster.inside(program);
        command.args(["--bind", address, "--port", port, "--protected-mode", "no", "--save", ""]);
        Self(command.stdout(Stdio::null()).spawn().expect("the store starts"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks, and gives the tokens of the answer.
async fn ask(address: std::net::SocketAddr) -> Result<u64, String> {
    let question: Value = serde_json::from_str(QUESTION).expect("JSON");
    let answer = post_json(address, "ai.example", "/", &[("x-api-key", KEY)], &question).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let tokens = answer.json().ok().and_then(|answer| answer["usageMetadata"]["totalTokenCount"].as_u64());
    tokens.filter(|_| answer.status == 200).ok_or_else(|| format!("{}: {}", answer.status, answer.text()))
}

#[test]
fn what_is_spent_is_what_the_provider_has_told_though_few_requests_are_asked_about() {
    let world = World::start(&Setup::default());
    let _guard = world.cluster.keep_logs_on_panic();
    let _store = Store::start(&world);
    let (address, port) = STORE;
    let url = format!("--from-literal=url=redis://{address}:{port}");
    let secret = ["create", "secret", "generic", "limit-store", "-n", acceptance::SYSTEM, &url];
    world.cluster.kubectl(&secret).expect("the Secret of the store");
    world.helm("upgrade", &["limitStore.secret=limit-store".to_owned()]);
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    world.cluster.apply(&include_str!("limit_store.yaml").replace("@KEY@", KEY)).expect("the objects");
    let gateway = gateway_socket(&world.programmed("gw", NAMESPACE));

    let first = || world.network.run(ask(gateway)).map_err(Error::Unexpected);
    let first = world.cluster.wait_until("an answer", DEADLINE, first).expect("an answer");
    let all = world.network.run(async move {
        let clients = (0..CLIENTS).map(|_| {
            tokio::spawn(async move {
                let mut spent = 0;
                for _ in 0..QUESTIONS {
                    spent += ask(gateway).await?;
                }
                Ok::<_, String>(spent)
            })
        });
        let mut spent = 0;
        for client in clients.collect::<Vec<_>>() {
            spent += client.await.expect("a client")?;
        }
        Ok::<_, String>(spent)
    });
    let spent = first + all.expect("every question has an answer");

    let pods = world.pods(NAMESPACE, "gateway.networking.k8s.io/gateway-name=gw");
    let statistics = world.cluster.envoy_admin(NAMESPACE, &pods[0], "/stats?filter=ratelimit.ok$");
    let statistics = statistics.expect("statistics");
    let asked: u64 = statistics.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    println!("{spent} tokens in {} requests, {asked} questions", CLIENTS * QUESTIONS + 1);
    assert!(asked > 0 && asked < CLIENTS * QUESTIONS / 4, "{asked} questions");
    let settled = || {
        let budget = ["budget", "team", "-n", NAMESPACE];
        let [told, reserved] =
            ["spent", "reserved"].map(|member| world.field(&budget, &format!(".status.spend.{member}")));
        match told == spent.to_string() && reserved == "0" {
            true => Ok(()),
            false => Err(Error::Unexpected(format!("{told} spent of {spent}, {reserved} reserved"))),
        }
    };
    world.cluster.wait_until("what is spent", DEADLINE, settled).expect("what the provider has told");
}
