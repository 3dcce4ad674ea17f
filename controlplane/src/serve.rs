//! `chancery serve`: wires a cluster.
//!
//! ```text
//! KubernetesSource ──► pipeline ──► Publisher ──► snapshots ──► xDS port (TLS, tokens) ──► Envoys
//!        │                              └──► deployer, directory of proxies                  │
//!        └── how objects are ──► StatusWriter ◄── Reporter ◄── fleet ◄───────────────────────┘
//!                                     ▲
//!                  Lease ── leadership┘   (every replica serves; the leader writes)
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ir::GatewayName;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use translator::{AiEngine, Proxy};

use crate::admin::{self, Admin, View};
use crate::ai_module;
use crate::ai_module::delivery::{Module, WithModule};
use crate::api_client;
use crate::args::{AdminAddress, ServeArgs};
use crate::deployer::kubernetes::{DeployFailures, DeploySettings, KubernetesDeployer, ProxyHealth};
use crate::deployer::local::XdsService;
use crate::exit::Outcome;
use crate::fleet::Heard;
use crate::handover::{Asker, Handover};
use crate::lease::{self, Leadership, LeaseSettings};
use crate::mailbox::{self, mailbox};
use crate::pipeline::{Outlets, Pipeline, ProxyChanges};
use crate::publish::{Publisher, node_group};
use crate::refusal::Refusals;
use crate::refusals::Peers;
use crate::replicas::Replicas;
use crate::reporter::{Followed, Reporter};
use crate::selected_pods::SelectedPods;
use crate::settings::cluster;
use crate::signals::Signals;
use crate::source::Source as _;
use crate::source::kubernetes::{KubernetesSource, Others};
use crate::spending::Spending;
use crate::status::Statuses;
use crate::status_writer::StatusWriter;
use crate::telemetry::Metrics;
use crate::trust;
use crate::vital::Vitals;
use crate::xds_trust::{
    self, AdmittedGroup, Authenticated, Authenticator, AuthorityKeeper, AuthoritySettings, CaBundle,
    KubeTokenReviewer, Patience, ProxyDirectory, ServiceAccount, serve_tls, server_config,
};

/// The Lease of the replica that writes.
const LEASE: &str = "chancery-leader";

/// The Secret of the authority that the certificates of the xDS port are signed by.
const AUTHORITY_SECRET: &str = "chancery-xds-ca";

/// What the tokens of proxies must be made for.
pub const XDS_AUDIENCE: &str = "chancery.dev/xds";

/// How long an orderly end may take.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Serves the cluster until it is told to end, then hands over.
///
/// # Errors
/// Something that is needed from the start is missing: a port, a file, the way to the API server.
pub async fn serve(args: ServeArgs) -> Result<Outcome> {
    let (families, xds_bind, admin) = (args.families(), args.xds_address(), args.admin_address());
    let ServeArgs {
        controller_name,
        xds_bind: _,
        pod_ips: _,
        xds_service,
        max_new_streams_per_second,
        proxy_image,
        admin: _,
        namespace,
        identity,
        kubeconfig,
        upstream_ca,
        stream_idle_timeout,
        ai_module,
        test,
        limits,
    } = args;
    let mut signals = Signals::new()?;
    let xds_host = format!("{xds_service}.{namespace}.svc");
    let (ai_engine, module) =
        ai_engine(ai_module.as_deref(), &format!("{xds_host}:{port}", port = xds_bind.port()))?;
    let upstream = upstream_ca.as_deref();
    let settings = cluster(&controller_name, upstream, stream_idle_timeout, ai_engine, families, &test)?;
    let xds_listener = bind_xds(xds_bind).await?;
    let admin_listener = match admin {
        AdminAddress::At(address) => Some(admin::bind(address).await?),
        AdminAddress::Off => None,
    };
    let client = client(kubeconfig.as_deref()).await?;

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let xds_metrics = xds::Metrics::default();
    xds_metrics.register(&mut registry);
    let limits = limits.service(&mut registry)?.of_a_replica();
    let trust_metrics = xds_trust::Metrics::default();
    trust_metrics.register(&mut registry);

    let identity = identity.unwrap_or_else(default_identity);
    let (stop, stopped) = watch::channel(false);
    let (leadership_sender, leadership) = watch::channel(Leadership::Follower);
    let lease = LeaseSettings::new(&namespace, LEASE, identity.clone());
    let vitals = Vitals::default();
    let election = tokio::spawn(lease::compete(client.clone(), lease, leadership_sender, stopped.clone()));

    let authority = AuthoritySettings {
        namespace: namespace.clone(),
        secret: AUTHORITY_SECRET.to_owned(),
        server_names: server_names(&xds_service, &namespace),
    };
    let keeper = AuthorityKeeper::new(client.clone(), authority, leadership.clone(), trust_metrics.clone());
    let tls = server_config(keeper.certificate());
    let (bundle, replica_key) = (keeper.bundle(), keeper.replica_key());
    vitals.spawn("the authority of the xDS port", keeper.run());

    let publisher = Publisher::new();
    let cache = publisher.cache();
    let (directory_sender, directory) = watch::channel(Arc::new(ProxyDirectory::new()));
    let (events, heard) = mpsc::unbounded_channel();
    let (is_published, published) = watch::channel(false);

    let (heard_sender, refusals) = watch::channel(Refusals::new());
    let (elsewhere_sender, elsewhere) = watch::channel(Refusals::new());
    let replicas = Replicas::new(client.clone(), &namespace, &xds_service, &identity);
    tokio::spawn(Peers::new(replicas.clone()).follow(elsewhere_sender));
    let (others, questions) = Others::new();
    tokio::spawn(Asker::new(replicas, replica_key.clone()).run(questions));

    let (observed, observations) = mpsc::unbounded_channel();
    let (waiting_sender, waiting_for) = watch::channel(Vec::new());
    let source = KubernetesSource::new(
        client.clone(),
        controller_name.clone(),
        metrics.clone(),
        observed,
        waiting_sender,
        others,
    );
    let handover = Handover::new(source.inventory(), replica_key);

    // Everything that listens is there before the first object is read.
    let (view_sender, view) = watch::channel(View {
        waiting_for: vec!["the first list".to_owned()],
        statuses: Arc::new(Mutex::new(Statuses::new(controller_name.clone()))),
        ..View::default()
    });
    if let Some(listener) = admin_listener {
        let (cache, inventory) = (cache.clone(), Some(source.inventory()));
        let registry = Arc::new(registry);
        show(
            listener,
            Admin {
                view,
                registry,
                cache,
                bundle: Some(bundle.clone()),
                refusals: Some(refusals),
                handover: Some(handover.clone()),
                vitals: vitals.clone(),
                inventory,
            },
        )?;
    }
    let (translated_sender, translated) = mailbox();
    let (told, reports) = mailbox();
    let (to_reporter, at_reporter) = mailbox();
    let (to_deployer, at_deployer) = mailbox();
    let (to_directory, at_directory) = mailbox();
    let (to_selected, at_selected) = mailbox();
    let (findings_sender, findings) = watch::channel(Arc::default());
    let (fleet_sender, fleet) = watch::channel(Arc::new(Heard::default()));
    let (failures, failed) = watch::channel(DeployFailures::new());
    let (health_sender, health) = watch::channel(ProxyHealth::default());
    let (accounts_sender, accounts) = watch::channel(Arc::default());
    let (spends_sender, spends) = watch::channel(Arc::default());
    let spending = Spending::new(limits.clone(), accounts, Some(leadership.clone()), spends_sender);
    vitals.spawn("what is spent", spending.run());
    let reporter = Reporter::new(view_sender, told, metrics.clone(), heard_sender, accounts_sender);
    let followed = Followed {
        reports: translated,
        proxies: at_reporter,
        findings,
        waiting_for,
        heard: fleet,
        elsewhere,
        failures: failed,
        health,
        spends,
    };
    vitals.spawn("reporting", reporter.run(followed));
    let writer =
        StatusWriter::new(client.clone(), controller_name.clone(), leadership.clone(), metrics.clone());
    vitals.spawn("writing statuses", writer.run(reports, observations));

    let pods = SelectedPods::new(client.clone(), controller_name.clone(), leadership.clone());
    vitals.spawn("finding the pods of XBackends", pods.run(at_selected));

    let deploy = DeploySettings {
        controller: controller_name,
        xds_host,
        xds_port: xds_bind.port(),
        token_audience: XDS_AUDIENCE.to_owned(),
        image: proxy_image,
        families,
    };
    let deployer = KubernetesDeployer::new(client.clone(), deploy, leadership, failures, health_sender);
    vitals.spawn("deploying proxies", deployer.run(at_deployer, bundle.clone()));

    let patience =
        Patience { new_streams_per_second: max_new_streams_per_second.get(), ..Patience::default() };
    let reviewer = KubeTokenReviewer::new(client.clone(), XDS_AUDIENCE);
    let authenticator = Authenticator::new(reviewer, XDS_AUDIENCE, directory, patience, trust_metrics);
    let service = XdsService { cache, metrics: xds_metrics, events, limits };
    let xds_port = XdsPort { listener: xds_listener, tls, authenticator, service, module };
    let serving = tokio::spawn(xds_port.serve(bundle, published, stopped));
    vitals.spawn("the directory of proxies", Directory::new(directory_sender).follow(at_directory));

    let (settings, settings_changes) = watch::channel(settings);
    if let Some(file) = upstream_ca {
        trust::follow(&file, settings.clone())?;
    }
    let outlets = Outlets {
        reports: translated_sender,
        proxies: vec![to_directory, to_reporter, to_deployer],
        selections: Some(to_selected),
        findings: findings_sender,
        heard: fleet_sender,
        served: None,
        is_published,
    };
    let initial = settings.borrow().clone();
    let pipeline = Pipeline::new(initial, publisher, outlets, metrics, vitals.clone());
    pipeline.start(source.start()?, settings_changes, heard)?;

    let failed = tokio::select! {
        failed = vitals.failure() => Some(failed),
        () = signals.next() => None,
    };
    tracing::info!("handing over; once more to end at once");
    stop.send_replace(true);
    shut_down(election, serving, handover.finish(&client), &mut signals).await;
    // Started anew, it may be well again; as it is, it would say that it leads and do nothing.
    failed.map_or(Ok(Outcome::Success), |failed| bail!("{failed} has failed for good: see the log"))
}

/// The AI engine of the proxies, and the module that they fetch from the xDS port at `authority`.
fn ai_engine(given: Option<&Path>, authority: &str) -> Result<(AiEngine, Option<Arc<Module>>)> {
    let found = std::env::current_exe().ok().and_then(|program| ai_module::beside(&program));
    Ok(match ai_module::for_cluster(given, found.as_deref())? {
        Ok(module) => (AiEngine::Available(module.source(authority)), Some(Arc::new(module))),
        Err(reason) => {
            tracing::warn!("no AI engine: {reason}");
            (AiEngine::Unavailable(reason), None)
        }
    })
}

/// Waits until the lease is given back, all streams have ended and others have what they cannot read, but not long.
async fn shut_down(
    election: JoinHandle<()>,
    serving: JoinHandle<()>,
    handed_over: impl Future<Output = ()>,
    signals: &mut Signals,
) {
    let orderly = async {
        let _ = election.await;
        let _ = serving.await;
    };
    let orderly = async {
        if tokio::time::timeout(SHUTDOWN_PATIENCE, orderly).await.is_err() {
            tracing::warn!("ending although not everything is handed over");
        }
    };
    tokio::select! {
        _ = async { tokio::join!(orderly, handed_over) } => {}
        () = signals.next() => {}
    }
}

/// Knows by which service account the Envoys of each Gateway show who they are.
struct Directory {
    accounts: BTreeMap<GatewayName, ServiceAccount>,
    shown: watch::Sender<Arc<ProxyDirectory>>,
}

impl Directory {
    fn new(shown: watch::Sender<Arc<ProxyDirectory>>) -> Self {
        Self { accounts: BTreeMap::new(), shown }
    }

    /// Follows what is translated. The Envoys of a Gateway that cannot be served at this time are let in, too: they
    /// get nothing new and go on with what they have.
    async fn follow(mut self, mut proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>) {
        while let Some(changed) = proxies.take().await {
            self.update(changed);
        }
    }

    fn update(&mut self, changed: ProxyChanges) {
        for (gateway, proxy) in changed {
            let account = proxy.map(|proxy| ServiceAccount {
                namespace: gateway.namespace.clone(),
                name: proxy.infra.name.clone(),
            });
            match account {
                Some(account) => drop(self.accounts.insert(gateway, account)),
                None => drop(self.accounts.remove(&gateway)),
            }
        }
        let accounts = self.accounts.iter().map(|(gateway, account)| (account.clone(), node_group(gateway)));
        let directory = Arc::new(accounts.collect::<ProxyDirectory>());
        self.shown.send_if_modified(|shown| {
            let is_new = *shown != directory;
            *shown = directory;
            is_new
        });
    }
}

/// The port that Envoys connect to.
struct XdsPort {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    authenticator: Authenticator,
    service: XdsService,
    module: Option<Arc<Module>>,
}

impl XdsPort {
    /// Serves from the moment when there is a certificate and something to serve, until it is to stop.
    /// An Envoy that comes before waits: no answer is better than one that takes away what it has.
    async fn serve(
        self,
        mut bundle: watch::Receiver<Option<CaBundle>>,
        mut published: watch::Receiver<bool>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let Self { listener, tls, authenticator, service, module } = self;
        let ready = async {
            let _ = bundle.wait_for(Option::is_some).await;
            let _ = published.wait_for(|published| *published).await;
        };
        tokio::select! {
            () = ready => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let server = service.server(AdmittedGroup);
        let closing = server.clone();
        let shutdown = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            closing.close();
        };
        tracing::info!("serving xDS");
        let service =
            Authenticated::new(authenticator, WithModule::new(module, server)).with_short_calls(limits::PATH);
        if let Err(error) = serve_tls(listener, tls, service, shutdown).await {
            tracing::error!(%error, "the xDS port has failed");
        }
    }
}

async fn bind_xds(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot bind the xDS address {address}; choose another with --xds-bind"))
}

fn show(listener: TcpListener, admin: Admin) -> Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "admin port: /healthz /readyz /metrics /status /debug/objects /debug/snapshot");
    tokio::spawn(admin::serve(listener, admin));
    Ok(())
}

/// The way to the API server: by the file, or as the pod that we are.
async fn client(kubeconfig: Option<&Path>) -> Result<Client> {
    let config = match kubeconfig {
        Some(file) => {
            let hint = || format!("--kubeconfig: {}", file.display());
            let kubeconfig = Kubeconfig::read_from(file).with_context(hint)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(hint)?
        }
        None => {
            Config::incluster().context("not in a pod of a cluster; name the way to one with --kubeconfig")?
        }
    };
    tracing::info!(server = %config.cluster_url, "Kubernetes");
    api_client::connect(config).context("cannot make a client of the API server")
}

/// The DNS names of a Service.
fn server_names(service: &str, namespace: &str) -> Vec<String> {
    let name = format!("{service}.{namespace}");
    vec![format!("{name}.svc"), format!("{name}.svc.cluster.local"), name, service.to_owned()]
}

fn default_identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_for_every_name_of_the_service() {
        let names = server_names("chancery", "chancery-system");
        assert!(names.contains(&"chancery.chancery-system.svc".to_owned()), "{names:?}");
        assert!(names.contains(&"chancery.chancery-system.svc.cluster.local".to_owned()), "{names:?}");
    }

    /// In a pod, it is the pod's name; two processes on one machine must not take each other for themselves.
    #[test]
    fn two_processes_of_one_machine_have_different_names() {
        let other = std::process::Command::new("sh").args(["-c", "echo $PPID-$$"]).output().unwrap();
        let other = String::from_utf8(other.stdout).unwrap();
        let (parent, child) = other.trim().split_once('-').unwrap();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_eq!(default_identity(), format!("{host}-{parent}"));
        assert_ne!(parent, child);
    }
}
