//! Fifty starts of the control plane, each with something wrong with the list of one kind: an Envoy that is there
//! from the first moment gets everything or nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use acceptance::fault_proxy::{Fault, FaultProxy};
use acceptance::{
    ApiServer, Collection, DEADLINE, LocalChart, LocalControlPlane, ProxyIdentity, READ, Setup, World,
    admin_get,
};
use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::ads_client::{AdsAddress, AdsClient, Kind, Protocol, ServedResources};
use e2e::http::eventually;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};

/// How many starts there are at least.
const STARTS: usize = 80;

/// How many at a time.
const AT_A_TIME: usize = 3;

/// How long an Envoy is watched while there must be nothing for it.
const HOLD: Duration = Duration::from_millis(700);

/// Between two attempts of an Envoy to connect.
const RETRY: Duration = Duration::from_millis(50);

/// How soon everything must be served once the kind can be read.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// What goes wrong, and with which kind.
type Case = (Collection, Fault);

/// Each kind late and refused in turn, those of a CRD absent.
fn cases() -> Vec<Case> {
    let every = [Fault::Delayed, Fault::Status(403), Fault::Status(500)];
    let custom = READ.iter().filter(|collection| collection.is_custom);
    let cases = every.iter().flat_map(|fault| READ.iter().map(|collection| (*collection, *fault)));
    let absent = custom.map(|collection| (*collection, ABSENT));
    cases.chain(absent).collect()
}

/// The group of the GatewayParameters that the Gateway refers to.
const KGATEWAY: &str = "gateway.kgateway.dev";

/// As if the CRD were not there.
const ABSENT: Fault = Fault::Status(404);

struct Scene {
    world: World,
    chart: LocalChart,
    server: ApiServer,
    identity: ProxyIdentity,
    /// What a start without faults serves.
    full: ServedResources,
    /// What is served where a kind has no objects; `None` for nothing at all, as there is no Gateway.
    without: BTreeMap<Collection, Option<ServedResources>>,
}

/// A replica behind a proxy of its own, and an Envoy that wants to be served by it.
struct Start {
    proxy: FaultProxy,
    plane: LocalControlPlane,
    envoy: JoinHandle<Result<AdsClient>>,
    address: AdsAddress,
}

impl Scene {
    fn start(&self, name: &str, collection: Option<Collection>, fault: Fault) -> Start {
        let proxy = FaultProxy::start(&self.world.network, &self.server, READ);
        if let Some(collection) = collection {
            proxy.set(collection, Some(fault));
        }
        let plane = self.chart.start(&self.world, name, proxy.address());
        let address = self.identity.address(plane.xds);
        let envoy = self.world.network.spawn(first_served(address.clone(), protocol_of(name)));
        Start { proxy, plane, envoy, address }
    }

    /// The figures of one start: how long until everything was served, from the fault's end or the start.
    fn run(&self, number: usize, (collection, fault): Case) -> Result<Duration> {
        let name = format!("cold-{number}");
        let Start { proxy, plane, mut envoy, address } = self.start(&name, Some(collection), fault);
        let admin = plane.admin;
        let outcome = match fault {
            ABSENT => {
                let expected = self.without[&collection].clone();
                let full = self.full.clone();
                self.world.network.run(async move {
                    let started = Instant::now();
                    match expected {
                        Some(expected) => {
                            is_whole(&served_in_time(&mut envoy).await?, &expected)?;
                        }
                        None => gets_nothing(collection, admin, &envoy, &address).await?,
                    }
                    let took = started.elapsed();
                    // The CRD appears.
                    proxy.set(collection, None);
                    envoy.abort();
                    eventually(RELEASE_LIMIT, || holds(&address, &full)).await?;
                    Ok(took)
                })
            }
            _ => {
                let full = self.full.clone();
                self.world.network.run(async move {
                    tokio::select! {
                        early = &mut envoy => return Err(too_early(early)),
                        waits = eventually(DEADLINE, || waits_for(admin, collection.kind)) => waits?,
                    }
                    if let Ok(early) = timeout(HOLD, &mut envoy).await {
                        return Err(too_early(early));
                    }
                    waits_for(admin, collection.kind).await?;
                    proxy.set(collection, None);
                    let released = Instant::now();
                    is_whole(&served_in_time(&mut envoy).await?, &full)?;
                    let took = released.elapsed();
                    ensure!(took <= RELEASE_LIMIT, "everything only after {took:?}");
                    Ok(took)
                })
            }
        };
        outcome.with_context(|| format!("{name}: {} {fault:?}\n{}", collection.kind, plane.log_tail()))
    }
}

fn protocol_of(name: &str) -> Protocol {
    if name.len().is_multiple_of(2) { Protocol::Delta } else { Protocol::StateOfTheWorld }
}

/// Tries from the first moment until it has everything that what it was served refers to.
async fn first_served(address: AdsAddress, protocol: Protocol) -> Result<AdsClient> {
    loop {
        if let Ok(mut client) = AdsClient::connect(&address, protocol, "cold").await {
            match client.complete(DEADLINE).await.map(drop) {
                Ok(()) => return Ok(client),
                // A part and then no more is what must not be.
                Err(error) if !client.history().is_empty() => {
                    return Err(error.context(format!("a part was served: {:?}", client.history())));
                }
                Err(_) => {}
            }
        }
        sleep(RETRY).await;
    }
}

/// What an Envoy was served although a kind cannot be read.
fn too_early(envoy: Result<Result<AdsClient>, JoinError>) -> anyhow::Error {
    match envoy.map_err(anyhow::Error::from).flatten() {
        Ok(client) => anyhow!("served while a kind cannot be read: {:?}", client.history()),
        Err(error) => error,
    }
}

async fn served_in_time(envoy: &mut JoinHandle<Result<AdsClient>>) -> Result<AdsClient> {
    timeout(DEADLINE, envoy).await.context("nothing is served")??
}

/// Fails unless the first that came was all there is, each resource once and as expected.
fn is_whole(client: &AdsClient, expected: &ServedResources) -> Result<()> {
    let mut told: BTreeMap<Kind, Vec<&String>> = BTreeMap::new();
    for (kind, names) in client.history() {
        told.entry(*kind).or_default().extend(names);
    }
    for (kind, names) in &told {
        let distinct: BTreeSet<_> = names.iter().collect();
        ensure!(distinct.len() == names.len(), "{kind:?} told more than once: {:?}", client.history());
    }
    let first =
        |kind| client.history().iter().find(|(told, _)| *told == kind).map(|(_, names)| names.clone());
    let clusters = expected.clusters.keys().cloned().collect::<Vec<_>>();
    let listeners = expected.listeners.keys().cloned().collect::<Vec<_>>();
    ensure!(first(Kind::Cluster).as_ref() == Some(&clusters), "clusters: {:?}", first(Kind::Cluster));
    ensure!(first(Kind::Listener).as_ref() == Some(&listeners), "listeners: {:?}", first(Kind::Listener));
    ensure!(client.resources() == expected, "{:?} is not {expected:?}", client.resources());
    Ok(())
}

/// Whether it waits for this list and for no other.
async fn waits_for(admin: SocketAddr, kind: &str) -> Result<()> {
    let answer = admin_get(admin, "/readyz").await?;
    let text = answer.text();
    let lists = text.matches("the list of ").count();
    let is_it = answer.status == 503 && lists == 1 && text.contains(&format!("the list of {kind} objects"));
    ensure!(is_it, "{}: {text}", answer.status);
    Ok(())
}

/// Whether the replica is ready and serves the Envoy nothing. Without a Gateway it is not even let in; that of a Gateway
/// whose parameters are missing is, so that it need not come again once they are there.
async fn gets_nothing(
    collection: Collection,
    admin: SocketAddr,
    envoy: &JoinHandle<Result<AdsClient>>,
    address: &AdsAddress,
) -> Result<()> {
    let ready = || async move {
        let answer = admin_get(admin, "/readyz").await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok::<_, anyhow::Error>(())
    };
    eventually(DEADLINE, ready).await?;
    sleep(HOLD).await;
    ensure!(!envoy.is_finished(), "something is served without a Gateway");
    match AdsClient::connect(address, Protocol::Delta, "cold").await {
        Ok(mut client) => {
            ensure!(collection.kind == "GatewayParameters", "an Envoy without a Gateway is let in");
            ensure!(client.complete(HOLD).await.is_err(), "it is complete without anything");
            ensure!(client.history().is_empty(), "served: {:?}", client.history());
            Ok(())
        }
        Err(error) => {
            ensure!(collection.kind != "GatewayParameters", "{error:#}");
            let error = format!("{error:#}");
            ensure!(error.contains("not that of a proxy"), "{error}");
            Ok(())
        }
    }
}

/// Whether exactly this is served.
async fn holds(address: &AdsAddress, expected: &ServedResources) -> Result<()> {
    let mut client = AdsClient::connect(address, Protocol::Delta, "cold").await?;
    let served = client.complete(Duration::from_secs(1)).await?;
    ensure!(served == expected, "{served:?} is not {expected:?}");
    Ok(())
}

/// The world, the objects, and what healthy starts serve.
fn prepare() -> (Scene, LocalControlPlane, FaultProxy) {
    let world = World::start(&Setup { install: false, ..Setup::default() });
    let chart = LocalChart::apply(&world);
    let server = ApiServer::of(&world.cluster).expect("the API server");
    world.cluster.apply(include_str!("cold_starts.yaml")).expect("the objects");
    // This one leads all the time, and so makes the Gateway's account; all others only serve.
    let proxy = FaultProxy::start(&world.network, &server, READ);
    let leader = chart.start(&world, "leader", proxy.address());
    let made = || world.cluster.kubectl(&["get", "configmap,serviceaccount", "gateway", "-n", "cold"]);
    world.cluster.wait_until("what the Gateway gets", DEADLINE, made).expect("the Gateway's account");
    let identity = world.proxy_identity("cold", "gateway");
    let address = identity.address(leader.xds);
    let full = world.network.run(async move {
        let mut client = AdsClient::connect(&address, Protocol::Delta, "cold").await?;
        client.complete(DEADLINE).await.cloned()
    });
    let full = full.expect("a healthy start serves");
    let mut scene = Scene { world, chart, server, identity, full, without: BTreeMap::new() };
    for collection in READ.iter().filter(|collection| collection.is_custom) {
        let without = without(&scene, *collection);
        scene.without.insert(*collection, without);
    }
    (scene, leader, proxy)
}

/// What a start serves that finds no objects of this kind.
fn without(scene: &Scene, collection: Collection) -> Option<ServedResources> {
    let name = format!("empty-{}-{}", collection.group, collection.plural);
    let Start { plane, mut envoy, address, proxy: _proxy } =
        scene.start(&name, Some(collection), Fault::Empty);
    let admin = plane.admin;
    // A Gateway whose parameters cannot be found is not accepted: its Envoys keep what they have.
    let is_of_gateway = matches!(
        (collection.group, collection.kind),
        (_, "GatewayClass" | "Gateway") | (KGATEWAY, "GatewayParameters")
    );
    let served = scene.world.network.run(async move {
        if !is_of_gateway {
            return Ok(Some(served_in_time(&mut envoy).await?.resources().clone()));
        }
        gets_nothing(collection, admin, &envoy, &address).await?;
        envoy.abort();
        anyhow::Ok(None)
    });
    let served = served.unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", plane.log_tail()));
    // Of the other dialect's parameters there are none. Virtual keys, their budgets and prices need the AI engine, which these control
    // planes do not have: with or without them, the route answers 500.
    let makes_a_difference = match collection.kind {
        "GatewayParameters" => collection.group == KGATEWAY,
        "VirtualKey" | "Budget" | "PriceList" => false,
        _ => true,
    };
    assert_eq!(served.as_ref() != Some(&scene.full), makes_a_difference, "without {}", collection.kind);
    served
}

#[test]
fn cold_starts_with_one_kind_late_refused_or_absent_serve_everything_or_nothing() {
    let (scene, _leader, _proxy) = prepare();
    let ServedResources { listeners, routes, clusters, endpoints, secrets, .. } = &scene.full;
    println!(
        "everything: {} listeners, {} route configurations, {} clusters, {} load assignments, {} secrets",
        listeners.len(),
        routes.len(),
        clusters.len(),
        endpoints.len(),
        secrets.len()
    );
    let started = Instant::now();
    let left: Mutex<VecDeque<(usize, Case)>> = Mutex::new(cases().into_iter().enumerate().collect());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, case)) =
                    { left.lock().unwrap_or_else(PoisonError::into_inner).pop_front() }
                {
                    let outcome = scene.run(number, case);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((case, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|(_, outcome)| outcome.as_ref().err())
        .map(|error| format!("{error:#}"))
        .collect();
    // First, since the summary below needs a good start of each kind.
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let slowest = outcomes.iter().filter_map(|((collection, fault), outcome)| {
        outcome.as_ref().ok().map(|took| (*took, collection.kind, *fault))
    });
    let absent = |fault: &Fault| *fault == ABSENT;
    let (starts, releases): (Vec<_>, Vec<_>) = slowest.partition(|(_, _, fault)| absent(fault));
    let slowest = |times: &[(Duration, &'static str, Fault)]| {
        let slowest = times.iter().max_by_key(|(took, ..)| *took);
        let (took, kind, fault) = slowest.expect("both kinds of cases are among them");
        format!("{:.1} s ({kind}, {fault:?})", took.as_secs_f64())
    };
    println!(
        "{} cold starts in {:.0} s, {} with a partial, empty or late push; slowest from the fault's end {}, from \
         the start without a CRD {}",
        outcomes.len(),
        started.elapsed().as_secs_f64(),
        failures.len(),
        slowest(&releases),
        slowest(&starts),
    );
    assert!(outcomes.len() >= STARTS, "only {} starts", outcomes.len());
}
