//! `make bench-cluster`: how long from a write to the API server until Envoy serves what was written, with 10, 1,000
//! and 5,000 routes, and what that costs. Other numbers of routes may be given, the smaller first.

mod objects;
mod probe;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use acceptance::{
    ApiServer, DEADLINE, EchoApp, MERGE, Process, SYSTEM, Setup, Usage, World, restricted_namespace,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use self::objects::{GATEWAY, NAMESPACE, SERVICES};
use self::probe::Probe;
use self::report::{Latencies, SizeReport};

/// How many routes there are, in turn, unless others are given.
const SIZES: [usize; 4] = [10, 1_000, 5_000, 10_000];

/// Edits of a route, and of a backend's endpoints, at each size.
const SAMPLES: usize = 60;

/// Between two edits: what an edit causes later, such as the write of its status, is done by then.
const PAUSE: Duration = Duration::from_millis(300);

/// How long nothing is done, to see what is done all the same.
const REST: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    closed_pipe::end_quietly();
    let given: Vec<usize> = std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    let sizes = if given.is_empty() { SIZES.to_vec() } else { given };
    let world = World::start(&Setup::default());
    let _guard = world.cluster.keep_logs_on_panic();
    let bench = Bench::prepare(&world)?;
    let mut reports = Vec::new();
    for routes in sizes {
        println!("{routes} routes …");
        reports.push(bench.measure(routes)?);
    }
    report::print(&reports);
    Ok(())
}

/// What all sizes share.
struct Bench<'a> {
    world: &'a World,
    api: ApiServer,
    gateway: SocketAddr,
    /// The addresses of the two backends, and the names of their pods.
    backends: [(String, String); 2],
    leader: Process,
    follower: Process,
    envoy: Process,
    /// Where the leader shows its metrics.
    metrics: SocketAddr,
}

impl<'a> Bench<'a> {
    fn prepare(world: &'a World) -> Result<Self> {
        let cluster = &world.cluster;
        cluster.apply(&restricted_namespace(NAMESPACE))?;
        let backends = ["left", "right"].map(|name| {
            EchoApp::new(name, NAMESPACE).deploy(cluster);
            let pod = world.field(
                &["pods", "-n", NAMESPACE, "-l", &format!("app={name}")],
                ".items[0].status.podIP} {.items[0].metadata.name",
            );
            let (address, pod) = pod.split_once(' ').expect("a running pod");
            (address.to_owned(), pod.to_owned())
        });
        cluster.apply(&objects::gateway())?;
        for service in 0..SERVICES {
            cluster.apply(&objects::service(service, &backends[0].0))?;
        }
        let address = world.programmed(GATEWAY, NAMESPACE);
        let lease = ["lease", "chancery-leader", "-n", SYSTEM];
        let holder = world.field(&lease, ".spec.holderIdentity");
        let pods = ["pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=chancery"];
        let pods = cluster.kubectl_json(&[["get"].as_slice(), &pods].concat())?;
        let pods = pods["items"].as_array().context("pods")?;
        let is_leader =
            |pod: &&Value| pod["metadata"]["name"].as_str().is_some_and(|name| holder.starts_with(name));
        let leader = pods.iter().find(is_leader).context("the leader's pod")?;
        let follower = pods.iter().find(|pod| !is_leader(pod)).context("the follower's pod")?;
        let proxy = ["get", "pods", "-n", NAMESPACE, "-l"];
        let label = format!("gateway.networking.k8s.io/gateway-name={GATEWAY}");
        let proxy = cluster.kubectl_json(&[proxy.as_slice(), &[&label]].concat())?;
        Ok(Self {
            world,
            api: ApiServer::of(cluster)?,
            gateway: format!("{address}:8080").parse()?,
            backends,
            leader: Process::of_pod(leader, "chancery")?,
            follower: Process::of_pod(follower, "chancery")?,
            envoy: Process::of_pod(&proxy["items"][0], "envoy")?,
            metrics: format!("{}:9093", leader["status"]["podIP"].as_str().context("an address")?).parse()?,
        })
    }

    fn measure(&self, routes: usize) -> Result<SizeReport> {
        let created = Instant::now();
        self.create(routes)?;
        let created = created.elapsed();
        let settled = Instant::now();
        self.wait_until_settled(routes)?;
        let settled = settled.elapsed();
        let (rest, ()) = self.used(|| {
            std::thread::sleep(REST);
            Ok(())
        })?;
        let translations = self.translations()?;
        let (route_use, route) = self.used(|| self.change_routes(routes))?;
        let load = report::load();
        let (endpoint_use, endpoints) = self.used(|| self.change_endpoints(routes))?;
        let later = self.translations()?;
        let translation = (later.0 - translations.0) / (later.1 - translations.1).max(1.0);
        Ok(SizeReport {
            routes,
            created,
            settled,
            rest,
            route,
            route_use,
            endpoints,
            endpoint_use,
            translation,
            translations: (later.1 - translations.1) / (2 * SAMPLES) as f64,
            load,
        })
    }

    /// What the three processes use while `work` is done.
    fn used<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<([Usage; 3], T)> {
        let processes = [&self.leader, &self.follower, &self.envoy];
        let before = processes.map(Process::usage);
        let result = work()?;
        let mut usages = processes.map(Process::usage);
        for (usage, before) in usages.iter_mut().zip(before) {
            usage.cpu = usage.cpu.saturating_sub(before.cpu);
            usage.wall = usage.wall.saturating_sub(before.wall);
        }
        Ok((usages, result))
    }

    /// Creates the routes that are missing.
    fn create(&self, routes: usize) -> Result<()> {
        const CONNECTIONS: usize = 4;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let api = self.api.clone();
                self.world.network.spawn(async move {
                    let mut connection = api.connect().await?;
                    for route in (first..routes).step_by(CONNECTIONS) {
                        objects::apply_route(&mut connection, route).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        self.world.network.run(async move {
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    /// Waits until every status is written and Envoy serves the routes.
    fn wait_until_settled(&self, routes: usize) -> Result<()> {
        let (api, gateway) = (self.api.clone(), self.gateway);
        self.world.network.run(async move {
            let mut connection = api.connect().await?;
            let settled = e2e::http::eventually(DEADLINE, || async {
                let answer =
                    e2e::http::get(gateway, &objects::host(routes - 1), &objects::path(routes - 1)).await?;
                ensure!(answer.status == 200, "the last route is answered with {}", answer.status);
                anyhow::Ok(())
            });
            settled.await?;
            let started = Instant::now();
            loop {
                let list = connection.get(&objects::routes_path()).await?;
                let accepted =
                    list["items"].as_array().into_iter().flatten().filter(|r| objects::is_accepted(r));
                let accepted = accepted.count();
                if accepted == routes {
                    return Ok(());
                }
                ensure!(started.elapsed() < 3 * DEADLINE, "{accepted} of {routes} routes have a status");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }

    fn change_routes(&self, routes: usize) -> Result<Latencies> {
        let (api, gateway) = (self.api.clone(), self.gateway);
        self.world.network.run(async move {
            let mut probe = Probe::connect(&api, gateway).await?;
            let mut latencies = Latencies::default();
            for sample in 0..SAMPLES {
                // Spread over all, old and new.
                let route = sample * 7919 % routes;
                let mark = format!("{routes}-{sample}");
                let target = (objects::host(route), objects::path(route));
                let write = (objects::route_path(route), MERGE, objects::marked_route(route, &mark));
                let is_served = |answer: &probe::Answer| {
                    answer.headers.get("x-bench").is_some_and(|v| v == mark.as_str())
                };
                latencies.add(probe.time(write, &target, is_served).await?);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(latencies)
        })
    }

    fn change_endpoints(&self, routes: usize) -> Result<Latencies> {
        let (api, gateway, backends) = (self.api.clone(), self.gateway, self.backends.clone());
        self.world.network.run(async move {
            let mut probe = Probe::connect(&api, gateway).await?;
            let mut latencies = Latencies::default();
            for sample in 0..SAMPLES {
                let service = sample % SERVICES.min(routes);
                // The other one than in the turn before.
                let turn = sample / SERVICES.min(routes) + 1;
                let (address, pod) = &backends[turn % 2];
                let target = (objects::host(service), objects::path(service));
                let endpoints = json!({"endpoints": objects::endpoints(address)});
                let write = (objects::slice_path(service), MERGE, endpoints);
                let named = format!("\"{pod}\"");
                let is_served = |answer: &probe::Answer| {
                    answer.body.windows(named.len()).any(|window| window == named.as_bytes())
                };
                latencies.add(probe.time(write, &target, is_served).await?);
                tokio::time::sleep(PAUSE).await;
            }
            // As it was, for the next size.
            for service in 0..SERVICES {
                let endpoints = json!({"endpoints": objects::endpoints(&backends[0].0)});
                probe.write(&objects::slice_path(service), MERGE, &endpoints).await?;
            }
            Ok(latencies)
        })
    }

    /// Seconds spent in translations so far by the leader, and their number.
    fn translations(&self) -> Result<(f64, f64)> {
        let metrics = self.metrics;
        let text =
            self.world.network.run(async move { e2e::http::get(metrics, "metrics", "/metrics").await })?;
        let text = text.text();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok()).with_context(|| name.to_owned())
        };
        let name = "chancery_translation_duration_seconds";
        Ok((value(&format!("{name}_sum"))?, value(&format!("{name}_count"))?))
    }
}
