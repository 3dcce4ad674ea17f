//! Proxies as processes of this machine: one Envoy per Gateway, with a socket of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ir::{GatewayName, ProxyInfra};
use limits::LimitService;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use xds::{AdsServer, ClientEvent, FixedGroup, Identify, SnapshotCache};

use super::Deployer;
use super::proxy::{Phase, ProxySpec, left, supervise};
use super::state_dir::StateDir;
use crate::bootstrap::{Bootstrap, render_bootstrap};
use crate::launcher::Launcher;
use crate::publish::node_group;
use crate::telemetry::Metrics;

/// How long to wait when a proxy cannot even be prepared, such as on a full disk.
const RETRY: Duration = Duration::from_secs(5);

/// How Envoys are run on this machine.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The Envoy binary.
    pub envoy: PathBuf,
    /// Worker threads of each.
    pub concurrency: u32,
    /// How long requests may take to finish when an Envoy is to end.
    pub drain_timeout: Duration,
}

/// What the Envoys are served from.
#[derive(Clone, Debug)]
pub struct XdsService {
    /// The snapshots.
    pub cache: SnapshotCache,
    /// Where to count.
    pub metrics: xds::Metrics,
    /// Who hears of acknowledgements and rejections.
    pub events: mpsc::UnboundedSender<ClientEvent>,
    /// Who counts requests and tokens.
    pub limits: LimitService,
}

impl XdsService {
    /// One that counts in memory.
    pub fn new(
        cache: SnapshotCache,
        metrics: xds::Metrics,
        events: mpsc::UnboundedSender<ClientEvent>,
    ) -> Self {
        Self { cache, metrics, events, limits: LimitService::default() }
    }

    /// A server for those that `identify` knows.
    pub fn server(self, identify: impl Identify) -> AdsServer {
        let Self { cache, metrics, events, limits } = self;
        let server = AdsServer::new(cache, identify).with_metrics(metrics).with_events(move |event| {
            // Nobody listens at the end of the program.
            let _ = events.send(event);
        });
        server.with_neighbour(limits::PATH, limits.server())
    }
}

/// Runs one Envoy per Gateway.
#[derive(Debug)]
pub struct LocalDeployer {
    context: Context,
    proxies: BTreeMap<GatewayName, Proxy>,
    /// Proxies that are no longer wanted, until they have ended.
    ending: BTreeMap<GatewayName, JoinHandle<()>>,
}

/// What every proxy needs.
#[derive(Clone, Debug)]
struct Context {
    settings: LocalSettings,
    state: Arc<StateDir>,
    xds: XdsService,
    launcher: Launcher,
    metrics: Metrics,
}

#[derive(Debug)]
struct Proxy {
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl LocalDeployer {
    /// A deployer without proxies.
    pub fn new(
        settings: LocalSettings,
        state: StateDir,
        xds: XdsService,
        launcher: Launcher,
        metrics: Metrics,
    ) -> Self {
        let context = Context { settings, state: Arc::new(state), xds, launcher, metrics };
        Self { context, proxies: BTreeMap::new(), ending: BTreeMap::new() }
    }

    /// Drains and ends every proxy; from the moment that `at_once` completes, without draining.
    pub async fn shut_down(self, at_once: impl Future<Output = ()>) {
        let (mut phases, mut tasks) = (Vec::new(), Vec::from_iter(self.ending.into_values()));
        for Proxy { phase, task } in self.proxies.into_values() {
            phase.send_replace(Phase::Drain);
            phases.push(phase);
            tasks.push(task);
        }
        let all_ended = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        tokio::pin!(all_ended);
        tokio::select! {
            () = &mut all_ended => return,
            () = at_once => {}
        }
        for phase in &phases {
            phase.send_replace(Phase::Stop);
        }
        all_ended.await;
    }

    fn start(&mut self, gateway: &GatewayName) {
        let (sender, mut phase) = watch::channel(Phase::Serve);
        let before = self.ending.remove(gateway);
        let (context, name) = (self.context.clone(), gateway.clone());
        let task = tokio::spawn(async move {
            // Its ports and its folder are free only then.
            if let Some(before) = before {
                let _ = before.await;
            }
            while let Err(error) = run_proxy(context.clone(), &name, phase.clone()).await {
                tracing::error!(gateway = %name, "cannot run an Envoy: {error:#}");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = left(&mut phase, Phase::Serve) => return,
                }
            }
        });
        self.proxies.insert(gateway.clone(), Proxy { phase: sender, task });
    }

    fn stop(&mut self, gateway: &GatewayName) {
        let Some(Proxy { phase, task }) = self.proxies.remove(gateway) else { return };
        tracing::info!(%gateway, "is gone; draining its Envoy");
        phase.send_replace(Phase::Drain);
        self.ending.insert(gateway.clone(), task);
    }
}

impl Deployer for LocalDeployer {
    fn reconcile(&mut self, wanted: &BTreeMap<GatewayName, ProxyInfra>) {
        self.ending.retain(|_, task| !task.is_finished());
        let unwanted: BTreeSet<_> =
            self.proxies.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        for gateway in &unwanted {
            self.stop(gateway);
        }
        for gateway in wanted.keys() {
            let is_running = self.proxies.get(gateway).is_some_and(|proxy| !proxy.task.is_finished());
            if !is_running {
                self.start(gateway);
            }
        }
    }
}

/// Serves and supervises one proxy until its phase says that it is to end. The socket says which
/// Gateway's configuration it gets, whatever the Envoy says of itself.
async fn run_proxy(context: Context, gateway: &GatewayName, phase: watch::Receiver<Phase>) -> Result<()> {
    let Context { settings, state, xds, launcher, metrics } = context;
    let LocalSettings { envoy, concurrency, drain_timeout } = settings;
    let folder = state.proxy(gateway)?;
    let (xds_socket, admin_socket) = (folder.xds_socket(), folder.admin_socket());
    let listener = folder.bind_xds_socket()?;
    let bootstrap = Bootstrap { gateway, xds_socket: &xds_socket, admin_socket: &admin_socket };
    folder.write_bootstrap(&render_bootstrap(&bootstrap))?;

    let server = xds.server(FixedGroup(node_group(gateway)));
    let serving = tokio::spawn(xds::serve_unix(server, listener, std::future::pending()));
    let spec = ProxySpec {
        gateway: gateway.clone(),
        envoy,
        bootstrap: folder.bootstrap(),
        admin_socket,
        log: folder.log(),
        concurrency,
        drain_timeout,
    };
    supervise(spec, launcher, metrics, phase).await;
    serving.abort();
    folder.remove_sockets();
    Ok(())
}
