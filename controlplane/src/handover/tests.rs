use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::mock_api::{Fault, MockApi};
use crate::source::Source as _;
use crate::source::kubernetes::KubernetesSource;

const BACKENDS: &str = "/apis/gateway.kgateway.dev/v1alpha1/backends";

fn backend() -> Value {
    json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend",
        "metadata": {"name": "ai", "namespace": "default"},
        "spec": {"type": "AI", "ai": {"llm": {"openai": {
            "authToken": {"kind": "Inline", "inline": "sk-canary"}, "model": "gpt-4o",
        }}}},
    })
}

fn kind(name: &str) -> &'static KindInfo {
    KINDS.iter().find(|kind| kind.kind == name).unwrap()
}

fn key(key: &str) -> watch::Receiver<Option<ReplicaKey>> {
    watch::Sender::new(Some(ReplicaKey::for_tests(key))).subscribe()
}

/// A replica that has read what the API server holds, once it has answered for the first time.
async fn replica(api: &MockApi, secret: &str) -> Handover {
    let source = KubernetesSource::for_tests(api.client());
    let inventory = source.inventory();
    let mut updates = source.start().unwrap();
    updates.recv().await.unwrap();
    tokio::spawn(async move { while updates.recv().await.is_some() {} });
    Handover::new(inventory, key(secret))
}

/// Serves what `answer` says; gives the name of a slice that leads there.
async fn serve(api: &MockApi, name: &'static str, answer: Answerer) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let route = |State(answer): State<Answerer>, Path((kind, number)): Path<(String, String)>| async move {
        match answer {
            Answerer::Replica(replica) => replica.answer(&kind, &number).await.unwrap(),
            Answerer::Forger(bytes) => bytes,
            Answerer::Older => {
                let sealed = serde_json::to_vec(&Answer::UnknownKind).unwrap();
                ReplicaKey::for_tests("key").seal(&subject(&kind, &number), &sealed).unwrap()
            }
        }
    };
    let router = Router::new().route(PATH, get(route)).with_state(answer);
    tokio::spawn(async { axum::serve(listener, router).await });
    api.apply(replicas::slice(name, name, address));
}

#[derive(Clone)]
enum Answerer {
    Replica(Handover),
    /// Says always the same.
    Forger(Vec<u8>),
    /// Does not know the kind.
    Older,
}

async fn ask(api: &MockApi, secret: &str, name: &str) -> Option<KnownElsewhere> {
    let replicas = Replicas::new(api.client(), "chancery-system", "chancery", "own");
    let (questions, asked) = mpsc::channel(1);
    tokio::spawn(Asker::new(replicas, key(secret)).run(asked));
    let (answer, answered) = oneshot::channel();
    questions.send((kind(name), answer)).await.unwrap();
    answered.await.ok()
}

fn is(known: Option<&KnownElsewhere>, expected: Option<&KnownElsewhere>) -> bool {
    known == expected
}

#[tokio::test]
async fn a_replica_hands_on_what_it_has_read_to_who_has_the_key_and_to_nobody_else() {
    let api = MockApi::new();
    api.apply(backend());
    let holder = replica(&api, "key").await;
    serve(&api, "holder", Answerer::Replica(holder.clone())).await;
    let Some(KnownElsewhere::Objects(objects)) = ask(&api, "key", "Backend").await else { panic!() };
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["spec"], backend()["spec"]);
    assert!(is(ask(&api, "another", "Backend").await.as_ref(), None));
    // Credentials are in Secrets, which nobody hands on.
    assert!(is(ask(&api, "key", "Secret").await.as_ref(), None));
    let sealed = holder.answer("Backend.gateway.kgateway.dev", "7").await.unwrap();
    assert!(!sealed.windows(9).any(|window| window == b"sk-canary"));
}

#[tokio::test]
async fn an_answer_that_is_made_up_or_repeated_is_not_believed() {
    let api = MockApi::new();
    let holder = replica(&api, "key").await;
    let earlier = holder.answer("Backend.gateway.kgateway.dev", "7").await.unwrap();
    serve(&api, "repeats", Answerer::Forger(earlier)).await;
    serve(&api, "makes-up", Answerer::Forger(b"{\"objects\": []}".to_vec())).await;
    assert!(is(ask(&api, "key", "Backend").await.as_ref(), None));
    // Beside one that tells the truth they change nothing.
    serve(&api, "tells", Answerer::Replica(holder)).await;
    assert!(is(ask(&api, "key", "Backend").await.as_ref(), Some(&KnownElsewhere::Objects(Vec::new()))));
}

#[tokio::test]
async fn a_kind_counts_as_never_read_only_if_every_replica_says_so() {
    let api = MockApi::new();
    assert!(is(ask(&api, "key", "Backend").await.as_ref(), None));
    serve(&api, "older", Answerer::Older).await;
    assert!(is(ask(&api, "key", "Backend").await.as_ref(), Some(&KnownElsewhere::NeverRead)));
    serve(&api, "silent", Answerer::Forger(Vec::new())).await;
    assert!(is(ask(&api, "key", "Backend").await.as_ref(), None));
}

#[tokio::test(start_paused = true)]
async fn a_replica_ends_at_once_unless_it_holds_what_nobody_can_read_any_more() {
    let api = MockApi::new();
    api.apply(backend());
    let ending = replica(&api, "key").await;
    let started = Instant::now();
    ending.finish(&api.client()).await;
    assert!(started.elapsed() < Duration::from_secs(1));

    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let started = Instant::now();
    ending.finish(&api.client()).await;
    assert_eq!(started.elapsed().as_secs(), LAST_PATIENCE.as_secs());

    let started = Instant::now();
    let client = api.client();
    let taken = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        ending.answer("Backend.gateway.kgateway.dev", "7").await.unwrap()
    };
    let ((), _) = tokio::join!(ending.finish(&client), taken);
    assert_eq!(started.elapsed().as_secs(), 3);

    // A kind that does not exist is no loss.
    let api = MockApi::new();
    api.remove_kind(BACKENDS);
    let ending = replica(&api, "key").await;
    api.set_fault(BACKENDS, Some(Fault::Status(403)));
    let started = Instant::now();
    ending.finish(&api.client()).await;
    assert!(started.elapsed() < Duration::from_secs(1));
}
