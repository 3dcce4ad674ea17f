//! How long an edit takes until the real Envoy serves it, beside the time that Envoy itself needs: the same bytes,
//! made before and published at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use controlplane::bootstrap::{Bootstrap, render_bootstrap};
use controlplane::publish::{Publisher, Resources, node_group};
use crds::Object;
use ir::GatewayName;
use serde_json::{Value, json};
use translator::{Addressing, Change, GatewayChange, Settings, Translator};
use xds::{AdsServer, FixedGroup};

use crate::world::{self, Shape};

/// Edits of each kind.
const EDITS: usize = 30;

/// Between two edits, so that Envoy is at rest.
const PAUSE: Duration = Duration::from_millis(100);

struct Proxy {
    child: Child,
    port: u16,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures with so many routes and prints a line.
pub(crate) fn measure(routes: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build()?;
    let _guard = runtime.enter();
    let gateway = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
    let settings = Settings {
        implied_classes: vec!["chancery".to_owned()],
        addressing: Addressing::Fixed([127, 0, 0, 1].into()),
        access_log: None,
        ..Settings::default()
    };
    let (mut translator, mut publisher) = (Translator::new(settings), Publisher::new());
    let port = free_port()?;
    let objects =
        world::objects(Shape::OneHostEach, routes).chain([probed(0)]).map(|object| on_port(object, port));
    publish(&mut translator, &mut publisher, objects);

    let folder = tempfile::tempdir()?;
    let (xds_socket, admin_socket) = (folder.path().join("xds.sock"), folder.path().join("admin.sock"));
    let listener = tokio::net::UnixListener::bind(&xds_socket)?;
    let server = AdsServer::new(publisher.cache(), FixedGroup(node_group(&gateway)));
    runtime.spawn(xds::serve_unix(server, listener, std::future::pending()));
    let bootstrap = Bootstrap { gateway: &gateway, xds_socket: &xds_socket, admin_socket: &admin_socket };
    let config = folder.path().join("bootstrap.json");
    std::fs::write(&config, render_bootstrap(&bootstrap).to_string())?;
    let envoy = std::env::var_os("CHANCERY_ENVOY").context("CHANCERY_ENVOY names no Envoy")?;
    let child = Command::new(envoy)
        .args(["--concurrency", "1", "--log-level", "error", "--config-path"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let proxy = Proxy { child, port };
    let mut client = Client::connect(&proxy)?;
    client.wait_for(0)?;

    let mut ours = Vec::new();
    let mut versions: Vec<Resources> = Vec::new();
    for version in 1..=EDITS {
        std::thread::sleep(PAUSE);
        let document = on_port(probed(version), port);
        let started = Instant::now();
        versions.push(publish(&mut translator, &mut publisher, [document]));
        client.wait_for(version)?;
        ours.push(started.elapsed());
    }
    let mut floor = Vec::new();
    for (at, resources) in versions.iter().enumerate() {
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        publisher.update(&gateway, resources);
        client.wait_for(at + 1)?;
        floor.push(started.elapsed());
    }
    let (ours, floor) = (median(ours), median(floor));
    println!(
        "{routes:>7} routes: a route's edit is served after {:.1} ms (p50), the same bytes replayed after {:.1} ms; \
         ratio {:.2}",
        ours.as_secs_f64() * 1e3,
        floor.as_secs_f64() * 1e3,
        ours.as_secs_f64() / floor.as_secs_f64()
    );
    Ok(())
}

/// Translates and publishes; gives what was published.
fn publish(
    translator: &mut Translator,
    publisher: &mut Publisher,
    documents: impl IntoIterator<Item = Value>,
) -> Resources {
    let decoded = documents.into_iter().filter_map(|document| Object::decode(document).ok());
    let delta = translator.update(decoded.map(|decoded| Change::Apply(decoded.object)));
    let mut published = Resources::new();
    for (gateway, change) in delta.gateways {
        let GatewayChange::Served { resources, is_complete, .. } = change else { continue };
        match is_complete {
            true => publisher.publish(&gateway, &resources),
            false => publisher.update(&gateway, &resources),
        };
        published = resources;
    }
    published
}

/// The Gateway with its port; everything else as it is.
fn on_port(mut object: Value, port: u16) -> Value {
    if object["kind"] == "Gateway" {
        object["spec"]["listeners"][0]["port"] = json!(port);
    }
    object
}

/// The route that requests go to: it answers with its version.
fn probed(version: usize) -> Value {
    let redirect = json!({"type": "RequestRedirect", "requestRedirect":
        {"path": {"type": "ReplaceFullPath", "replaceFullPath": format!("/version-{version}")}}});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "probed", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["probed.example.com"],
            "rules": [{"filters": [redirect]}]}})
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects once there is somebody.
    fn connect(proxy: &Proxy) -> Result<Self> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match TcpStream::connect(("127.0.0.1", proxy.port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                    return Ok(Self { stream: BufReader::new(stream) });
                }
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => bail!("Envoy does not listen: {error}"),
            }
        }
    }

    /// Asks again and again until the route answers in this version.
    fn wait_for(&mut self, version: usize) -> Result<()> {
        let expected = format!("/version-{version}");
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if self.ask()?.ends_with(&expected) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        bail!("version {version} is not served")
    }

    /// The `Location` of an answer.
    fn ask(&mut self) -> Result<String> {
        self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: probed.example.com\r\n\r\n")?;
        let (mut location, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("location: ") {
                value.clone_into(&mut location);
            }
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(location)
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
