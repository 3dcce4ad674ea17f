//! `chancery run`: the one place that wires everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use ir::GatewayName;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use translator::Proxy;

use crate::admin::{self, Admin, View};
use crate::ai_module;
use crate::args::{AdminAddress, RunArgs, TranslationArgs};
use crate::console::{Console, Followed};
use crate::deployer::Deployer as _;
use crate::deployer::local::{LocalDeployer, LocalSettings, XdsService};
use crate::deployer::state_dir::StateDir;
use crate::envoy::{self, EnvoySearch};
use crate::exit::Outcome;
use crate::fleet::Heard;
use crate::launcher::Launcher;
use crate::mailbox::{self, mailbox};
use crate::pipeline::{Outlets, Pipeline};
use crate::publish::Publisher;
use crate::settings::{Machine, standalone};
use crate::signals::Signals;
use crate::source::Source as _;
use crate::source::file::FileSource;
use crate::spending::Spending;
use crate::telemetry::Metrics;
use crate::trust;
use crate::vital::Vitals;

/// Worker threads of an Envoy on a machine that has them: plenty for one person.
const DEFAULT_CONCURRENCY: usize = 2;

/// Serves until it is told to end, then drains.
///
/// # Errors
/// Something that is needed from the start is missing: a path, an Envoy, a port, a folder.
pub async fn run(args: RunArgs) -> Result<Outcome> {
    let RunArgs { paths, translation, envoy, envoy_concurrency, state_dir, admin, drain_timeout, limits } =
        args;
    let mut signals = Signals::new()?;
    let mut settings = standalone(&translation, &Machine::detect())?;
    let TranslationArgs { upstream_ca, .. } = translation;
    let source = FileSource::new(&paths)?;
    let origins = source.origins();
    let envoy = EnvoySearch::from_environment(envoy).find()?;
    let state = StateDir::open(state_dir.as_deref())?;
    settings.ai_engine = ai_module::settle(settings.ai_engine, &envoy, state.path());
    let admin_listener = match admin {
        AdminAddress::At(address) => Some(admin::bind(address).await?),
        AdminAddress::Off => None,
    };

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let xds_metrics = xds::Metrics::default();
    xds_metrics.register(&mut registry);

    let publisher = Publisher::new();
    let vitals = Vitals::default();
    let cache = publisher.cache();
    let (events, heard) = mpsc::unbounded_channel();
    let local = LocalSettings {
        envoy: envoy.clone(),
        concurrency: envoy_concurrency.map_or_else(default_concurrency, std::num::NonZeroU32::get),
        drain_timeout,
    };
    let limits = limits.service(&mut registry)?;
    let service = XdsService { cache: cache.clone(), metrics: xds_metrics, events, limits: limits.clone() };
    let launcher = Launcher::start(Launcher::this_program())?;
    let mut deployer = LocalDeployer::new(local, state, service, launcher, metrics.clone());

    let (view_sender, view) =
        watch::channel(View { waiting_for: vec!["the first translation".to_owned()], ..View::default() });
    if let Some(listener) = admin_listener {
        tracing::info!(address = %listener.local_addr()?, "admin port: /healthz /readyz /metrics /status /debug/snapshot");
        tokio::spawn(admin::serve(
            listener,
            Admin {
                view,
                registry: Arc::new(registry),
                cache: cache.clone(),
                bundle: None,
                refusals: None,
                handover: None,
                vitals: vitals.clone(),
                inventory: None,
            },
        ));
    }

    let (settings, settings_changes) = watch::channel(settings);
    if let Some(file) = upstream_ca {
        trust::follow(&file, settings.clone())?;
    }
    let (reports_sender, reports) = mailbox();
    let (to_console, at_console) = mailbox();
    let (to_deployer, at_deployer) = mailbox();
    let (findings_sender, findings) = watch::channel(Arc::default());
    let (fleet_sender, fleet) = watch::channel(Arc::new(Heard::default()));
    let (served_sender, served) = watch::channel(Arc::default());
    let outlets = Outlets {
        reports: reports_sender,
        proxies: vec![to_deployer, to_console],
        selections: None,
        findings: findings_sender,
        heard: fleet_sender,
        served: Some(served_sender),
        is_published: watch::Sender::new(false),
    };
    let initial = settings.borrow().clone();
    let pipeline = Pipeline::new(initial, publisher, outlets, metrics.clone(), vitals.clone());
    pipeline.start(source.start()?, settings_changes, heard)?;
    let (accounts_sender, accounts) = watch::channel(Arc::default());
    let (spends_sender, spends) = watch::channel(Arc::default());
    vitals.spawn("what is spent", Spending::new(limits, accounts, None, spends_sender).run());
    let followed = Followed { reports, proxies: at_console, findings, heard: fleet, served, spends };
    let console = Console::new(view_sender, metrics, accounts_sender, origins);
    vitals.spawn("the console", console.run(followed));
    // After all that the first answer needs.
    tokio::task::spawn_blocking(move || check_version(&envoy));

    tokio::select! {
        () = deploy(&mut deployer, at_deployer) => {}
        () = signals.next() => {}
    }
    tracing::info!("draining; once more to end at once");
    deployer.shut_down(signals.next()).await;
    Ok(Outcome::Success)
}

/// Runs a proxy for each Gateway that is served. Does not end: what was published stays served when no more comes.
async fn deploy(
    deployer: &mut LocalDeployer,
    mut proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>,
) {
    let mut wanted = BTreeMap::new();
    while let Some(changed) = proxies.take().await {
        for (gateway, proxy) in changed {
            match proxy.filter(|proxy| proxy.is_served) {
                Some(proxy) => drop(wanted.insert(gateway, proxy.infra.clone())),
                None => drop(wanted.remove(&gateway)),
            }
        }
        deployer.reconcile(&wanted);
    }
    std::future::pending().await
}

fn default_concurrency() -> u32 {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(available.min(DEFAULT_CONCURRENCY)).unwrap_or(1)
}

fn check_version(envoy: &Path) {
    match envoy::version(envoy) {
        Ok(version) => {
            tracing::info!(binary = %envoy.display(), %version, "Envoy");
            envoy::warn_of_other_version(&version);
        }
        Err(error) => tracing::warn!("{error:#}"),
    }
}
