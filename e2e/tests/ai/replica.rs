//! The control plane's end of a cluster without a cluster: translation, xDS port with TLS and tokens, and the module;
//! and Envoys with the bootstrap that they have in pods.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use controlplane::ai_module::delivery::{Module, WithModule};
use controlplane::deployer::local::XdsService;
use controlplane::fleet::Heard;
use controlplane::mailbox::mailbox;
use controlplane::pipeline::{Outlets, Pipeline};
use controlplane::publish::{Publisher, node_group};
use controlplane::source::{Change, Update};
use controlplane::telemetry::Metrics;
use controlplane::vital::Vitals;
use controlplane::xds_trust::{
    AdmittedGroup, Authenticated, Authenticator, BearerToken, Patience, ProxyDirectory, Reviewed,
    ServiceAccount, TokenReviewer, Unavailable, Verdict, serve_tls,
};
use crds::Object;
use e2e::envoy::Envoy;
use e2e::fixture::own_place;
use e2e::provider::TestAuthority;
use e2e::workspace::workspace_root;
use ir::{GatewayName, ModuleSource};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use translator::{Addressing, AiEngine, Settings};

/// The name that the certificate of the xDS port is for, as in the bootstrap of the golden.
const SERVER: &str = "chancery.chancery-system.svc";
const AUDIENCE: &str = "chancery.dev/xds";

/// How long a module may not arrive until that is told; in production, 30 s.
const PATIENCE: Duration = Duration::from_secs(1);

/// What replicas and proxies share.
pub(crate) struct Site {
    /// Where the Gateway listens.
    pub(crate) gateway: SocketAddr,
    /// Where the xDS port is.
    xds: SocketAddr,
    authority: TestAuthority,
    token: String,
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Result<Self> {
        let (ip, port, xds_port) = own_place()?;
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
        let claims = json!({"aud": [AUDIENCE], "exp": expires}).to_string();
        Ok(Self {
            gateway: (ip, port).into(),
            xds: (ip, xds_port).into(),
            authority: TestAuthority::generate()?,
            token: format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)),
            folder: TempDir::new()?,
        })
    }

    /// Where a proxy fetches a module.
    pub(crate) fn source(&self, module: &Module) -> ModuleSource {
        module.source(&format!("{SERVER}:{}", self.xds.port()))
    }

    /// Where proxies keep the modules that they have fetched.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The modules that proxies have fetched.
    pub(crate) fn cached(&self) -> Result<Vec<String>> {
        let files = std::fs::read_dir(self.cache())?;
        let names = files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
        let names: Result<Vec<String>> = names.collect();
        Ok(names?.into_iter().filter(|name| name.ends_with(".so")).collect())
    }

    /// Starts an Envoy as in a pod: the bootstrap of the deployer's golden, with the folders and the address of this
    /// site, and without the listeners for probes and metrics, whose ports are those of a pod.
    pub(crate) async fn envoy(&self) -> Result<Envoy> {
        let at = |name: &str| self.folder.path().join(name);
        for folder in ["config", "token", "run", "cache"] {
            std::fs::create_dir_all(at(folder))?;
        }
        let golden = "controlplane/src/deployer/kubernetes/tests/golden/default.yaml";
        let golden = std::fs::read_to_string(workspace_root().join(golden))?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&golden)?;
        let config = objects.iter().find(|object| object["kind"] == "ConfigMap").context("a ConfigMap")?;
        for (name, text) in config["data"].as_object().context("files")? {
            let text = text.as_str().context("a file")?;
            let text = [
                ("/etc/chancery", "config"),
                ("/var/run/secrets/chancery.dev/xds", "token"),
                ("/var/run/chancery", "run"),
            ]
            .iter()
            .fold(text.to_owned(), |text, (path, folder)| text.replace(path, &at(folder).to_string_lossy()));
            std::fs::write(at("config").join(name), text)?;
        }
        std::fs::write(at("config").join("ca.crt"), self.authority.certificate_pem())?;
        std::fs::write(at("token").join("token"), &self.token)?;
        let mut bootstrap: Value =
            serde_json::from_str(&std::fs::read_to_string(at("config").join("bootstrap.json"))?)?;
        bootstrap["static_resources"]["listeners"] = json!([]);
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().context("clusters")?;
        let xds =
            clusters.iter_mut().find(|cluster| cluster["name"] == "xds_cluster").context("xds_cluster")?;
        let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
        *xds.pointer_mut(address).context("the address")? =
            json!({"address": self.xds.ip(), "port_value": self.xds.port()});
        Envoy::start_with_temporary_files(&bootstrap.to_string(), &self.cache()).await
    }
}

/// A replica of the control plane.
pub(crate) struct Replica {
    /// What the proxies say.
    pub(crate) heard: watch::Receiver<Arc<Heard>>,
    settings: watch::Sender<Settings>,
    stop: oneshot::Sender<()>,
    port: JoinHandle<std::io::Result<()>>,
    _updates: mpsc::Sender<Update>,
}

impl Replica {
    /// Starts one that serves `module` and tells proxies to fetch it from `source`.
    pub(crate) async fn start(
        site: &Site,
        module: Option<Arc<Module>>,
        source: ModuleSource,
        objects: &str,
    ) -> Result<Self> {
        let settings = Settings {
            implied_classes: vec!["chancery".to_owned()],
            addressing: Addressing::Fixed(site.gateway.ip()),
            access_log: None,
            ai_engine: AiEngine::Available(source),
            ..Settings::default()
        };
        let (updates, received) = mpsc::channel(1);
        let (settings, settings_changes) = watch::channel(settings);
        let (events, heard_events) = mpsc::unbounded_channel();
        let (to_heard, heard) = watch::channel(Arc::new(Heard::default()));
        let outlets = Outlets {
            reports: mailbox().0,
            proxies: Vec::new(),
            selections: None,
            findings: watch::channel(Arc::default()).0,
            heard: to_heard,
            served: None,
            is_published: watch::Sender::new(false),
        };
        let mut published = outlets.is_published.subscribe();
        let publisher = Publisher::new();
        let service = XdsService::new(publisher.cache(), xds::Metrics::default(), events);
        let metrics = Metrics::register(&mut Registry::default());
        let initial = settings.borrow().clone();
        let pipeline = Pipeline::new(initial, publisher, outlets, metrics, Vitals::default());
        pipeline.start(received, settings_changes, heard_events)?;
        updates.send(Update { changes: changes(objects)?, findings: None }).await?;
        published.wait_for(|published| *published).await?;

        let gateway = GatewayName { namespace: "default".to_owned(), name: "gw".to_owned() };
        let directory = ProxyDirectory::from_iter([(account(), node_group(&gateway))]);
        let authenticator = Authenticator::new(
            Reviewer(site.token.clone()),
            AUDIENCE,
            watch::channel(Arc::new(directory)).1,
            Patience::default(),
            controlplane::xds_trust::Metrics::default(),
        );
        let patience = xds::Settings { not_ready_patience: PATIENCE, ..xds::Settings::default() };
        let ads = service.server(AdmittedGroup).with_settings(patience);
        let closing = ads.clone();
        let listener = TcpListener::bind(site.xds).await?;
        let tls = site.authority.server_config(&[SERVER])?;
        let (stop, stopped) = oneshot::channel();
        let served = Authenticated::new(authenticator, WithModule::new(module, ads));
        let port = tokio::spawn(serve_tls(listener, tls, served, async move {
            let _ = stopped.await;
            closing.close();
        }));
        Ok(Self { heard, settings, stop, port, _updates: updates })
    }

    /// Tells proxies to fetch the module from elsewhere.
    pub(crate) fn set_source(&self, source: ModuleSource) {
        self.settings.send_modify(|settings| settings.ai_engine = AiEngine::Available(source));
    }

    /// What proxies refuse at this time: the objects that it comes from, and words for people.
    pub(crate) fn refused(&self) -> Vec<(Vec<String>, String)> {
        let heard = self.heard.borrow();
        let refusals = heard.refused.values().flatten();
        let told = refusals.map(|refusal| {
            (refusal.objects.iter().map(ToString::to_string).collect(), refusal.message.clone())
        });
        told.collect()
    }

    /// Ends it as a pod ends: streams are closed, and then the port.
    pub(crate) async fn stop(self) -> Result<()> {
        ensure!(self.stop.send(()).is_ok(), "the port has ended before");
        Ok(self.port.await??)
    }
}

fn changes(text: &str) -> Result<Vec<Change>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let decode = |document| Ok(Change::Apply(Object::decode(document)?.object));
    documents.into_iter().filter(|document| !document.is_null()).map(decode).collect()
}

fn account() -> ServiceAccount {
    ServiceAccount { namespace: "default".to_owned(), name: "gw".to_owned() }
}

/// Knows one token.
struct Reviewer(String);

impl TokenReviewer for Reviewer {
    fn review<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>> {
        let reviewed = Reviewed { service_account: account(), pod: Some("gw-0".to_owned()) };
        let is_it = token.expose() == self.0;
        let verdict = if is_it { Verdict::Genuine(reviewed) } else { Verdict::Rejected };
        Box::pin(std::future::ready(Ok(verdict)))
    }
}

/// The module as Cargo builds it with some bytes at its end, which make it another version.
pub(crate) fn module(folder: &Path, end: &[u8]) -> Result<Arc<Module>> {
    let path = folder.join("module.so");
    let mut bytes = std::fs::read(e2e::scenario::ai_module()?)?;
    bytes.extend_from_slice(end);
    std::fs::write(&path, bytes)?;
    Ok(Arc::new(Module::read(&path).map_err(anyhow::Error::msg)?))
}
