//! A Chancery at work: a folder of YAML that it serves, a mock provider in place of the real ones, and an
//! address of its own on loopback, so that tests run side by side.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::envoy::Admin;
use crate::examples::documents;
use crate::http::{self, Response};
use crate::provider::{MockProvider, PROVIDER_NAMES, TestAuthority};
use crate::scenario::Chancery;

/// How long anything may take to come about. Long, since a machine may be busy; nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A seed: a guide's documents, byte for byte, and the Gateway that it presupposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// kgateway's guide: a Backend.
    Kgateway,
    /// Gloo's guide: an Upstream.
    Gloo,
}

impl Seed {
    /// The documents by file name, with `key` in place of `$GOOGLE_KEY`, as the shell does it.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn documents(self, key: &str) -> Result<Vec<(String, String)>> {
        let folder = match self {
            Self::Kgateway => "seed-kgateway",
            Self::Gloo => "seed-gloo",
        };
        documents(folder, &[("GOOGLE_KEY", key)])
    }

    /// The namespace that its documents live in.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Kgateway => "kgateway-system",
            Self::Gloo => "gloo-system",
        }
    }
}

/// A running `chancery run` with its surroundings. All ends when dropped.
#[derive(Debug)]
pub struct Fixture {
    /// The process.
    pub chancery: Chancery,
    /// In place of the providers.
    pub provider: MockProvider,
    /// Where its listeners are bound.
    pub ip: IpAddr,
    /// The port that stands in the Gateways for `PORT`.
    pub port: u16,
    admin_port: u16,
    folder: TempDir,
}

impl Fixture {
    /// Starts Chancery on files, given as name and content. `PORT` in them is replaced by a free port. Waits
    /// until it says that it is ready.
    ///
    /// # Errors
    /// A binary is missing, or it does not become ready; with its log.
    pub async fn start(files: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(files, &[]).await
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(files: &[(&str, &str)], arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let authority = TestAuthority::generate()?;
        let provider = MockProvider::start(&authority).await?;
        let (ip, port, admin_port) = own_place()?;
        std::fs::create_dir(folder.path().join("config"))?;
        for (name, content) in files {
            write(&folder.path().join("config").join(name), &with_port(content, port))?;
        }
        let authority_file = folder.path().join("ca.pem");
        authority.write_certificate(&authority_file)?;
        let mut command: Vec<String> = vec!["config".into(), "--admin".into(), format!("{ip}:{admin_port}")];
        command.extend(["--state-dir".into(), path_text(&folder.path().join("state"))?]);
        if !arguments.contains(&"--upstream-ca") {
            command.extend(["--upstream-ca".into(), path_text(&authority_file)?]);
        }
        for name in PROVIDER_NAMES {
            if arguments.iter().any(|argument| argument.starts_with(&format!("{name}:"))) {
                continue;
            }
            let address = provider.address();
            command
                .extend(["--connect-to".into(), format!("{name}:443:{}:{}", address.ip(), address.port())]);
        }
        command.extend(arguments.iter().map(ToString::to_string));
        let chancery = Chancery::run(&command, folder.path())?;
        let fixture = Self { chancery, provider, ip, port, admin_port, folder };
        fixture.wait_until_ready().await?;
        Ok(fixture)
    }

    /// Starts Chancery on a folder of `examples` with values in place of `$NAME`, and with `--connect-to` rules (`HOST:PORT:HOST2:PORT2`) that lead
    /// to stand-ins for its backends. Its Gateways keep their ports, of which each example has its own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_example(folder: &str, values: &[(&str, &str)], connect_to: &[&str]) -> Result<Self> {
        let documents = documents(folder, values)?;
        let files: Vec<_> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let arguments: Vec<_> = connect_to.iter().flat_map(|rule| ["--connect-to", *rule]).collect();
        Self::start_with(&files, &arguments).await
    }

    /// Starts Chancery on seeds, with `key` in place of `$GOOGLE_KEY`, as the shell does it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_seeds(seeds: &[Seed], key: &str, arguments: &[&str]) -> Result<Self> {
        let mut files = Vec::new();
        for seed in seeds {
            for (name, text) in seed.documents(key)? {
                let name = format!("{}-{name}", seed.namespace());
                // The Gateway is ours, not the seed's: its port may differ.
                let text = if name.contains("0-gateway") { text.replace("8080", "PORT") } else { text };
                files.push((name, text));
            }
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::start_with(&files, arguments).await
    }

    /// The address of the Gateways' port on the main address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    /// The folder that Chancery serves.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The folder with Envoy's bootstraps, sockets and logs.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Writes a file of the folder as editors do it: a new file, moved into place.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, name: &str, content: &str) -> Result<()> {
        write(&self.config().join(name), &with_port(content, self.port))
    }

    /// Deletes a file of the folder.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub fn delete(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.config().join(name))?)
    }

    /// What a file of the folder holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.config().join(name))?)
    }

    /// `GET path` on the admin port of Chancery.
    ///
    /// # Errors
    /// No answer.
    pub async fn admin(&self, path: &str) -> Result<Response> {
        http::get((self.ip, self.admin_port).into(), "localhost", path).await
    }

    /// The status of an object, by its name as messages print it (`HTTPRoute default/r`).
    ///
    /// # Errors
    /// No answer, or no such object.
    pub async fn status(&self, object: &str) -> Result<Value> {
        let all = self.admin("/status").await?.json()?;
        let is_wanted = |entry: &&Value| {
            let text = |field: &str| entry["object"][field].as_str().unwrap_or_default();
            format!("{} {}/{}", text("kind"), text("namespace"), text("name")) == object
        };
        let found = all["statuses"].as_array().context("a list of statuses")?.iter().find(is_wanted);
        Ok(found.with_context(|| format!("no status of {object} in {all:#}"))?["status"].clone())
    }

    /// Waits until a condition of the object that is named like `Gateway default/gw` has this reason, and gives its
    /// message. `at`: where in the status the conditions stand, such as `/conditions` or `/ancestors/0/conditions`.
    ///
    /// # Errors
    /// It has not within [`DEADLINE`]; the error shows the status.
    pub async fn told(&self, object: &str, at: &str, kind: &str, reason: &str) -> Result<String> {
        http::eventually(DEADLINE, || async {
            let status = self.status(object).await?;
            let conditions = status.pointer(at).and_then(Value::as_array);
            let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
            let found = found.filter(|found| found["reason"] == reason);
            let found = found.with_context(|| format!("{object}: no {kind} {reason} at {at}: {status}"))?;
            anyhow::Ok(found["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// The admin interface of the Envoy of a Gateway.
    ///
    /// # Errors
    /// There is none below the state folder.
    pub fn envoy(&self, gateway: &str) -> Result<Admin> {
        let socket = find(&self.state(), &|path: &Path| {
            path.ends_with("admin.sock") && path.to_string_lossy().contains(gateway)
        });
        Ok(Admin::unix(socket.with_context(|| format!("no admin.sock of {gateway} in {:?}", self.state()))?))
    }

    /// Sends the request of the seeds' guides.
    ///
    /// # Errors
    /// No answer.
    pub async fn ask_gemini(&self, headers: &[(&str, &str)]) -> Result<Response> {
        ask_gemini(self.address(), headers).await
    }

    /// Waits until somebody takes connections at the Gateways' port: a moment after Chancery is ready, since Envoy first gets
    /// what the listener names.
    ///
    /// # Errors
    /// Nobody does within [`DEADLINE`].
    pub async fn wait_until_bound(&self) -> Result<()> {
        let bound =
            http::eventually(DEADLINE, || async { anyhow::Ok(TcpStream::connect(self.address()).await?) });
        bound.await.map(drop)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let ready = http::eventually(DEADLINE, || async {
            let answer = self.admin("/readyz").await?;
            ensure!(answer.status == 200, "/readyz: {} {}", answer.status, answer.text());
            anyhow::Ok(())
        });
        ready.await.with_context(|| format!("chancery is not ready:\n{}", self.chancery.log()))
    }
}

/// Sends the request of the seeds' guides to an address.
///
/// # Errors
/// No answer.
pub async fn ask_gemini(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Response> {
    let body = json!({"contents": [{"parts": [{"text": "Explain how AI works in a few words"}]}]});
    http::post_json(address, &address.to_string(), "/gemini", headers, &body).await
}

/// 127.0.0.1, and two ports that nobody else uses there: one for listeners, one for the admin server.
///
/// Chosen below the kernel's range for outgoing connections, which under load would take them.
///
/// # Errors
/// There are none.
pub fn own_place() -> Result<(IpAddr, u16, u16)> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 4_000) as u16;
    for _ in 0..8_000 {
        let offset = (start * 2 + NEXT.fetch_add(2, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + offset;
        let is_free = |last: u8, port: u16| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).is_ok();
        if claims(port) && [1, 2].iter().all(|last| is_free(*last, port) && is_free(*last, port + 1)) {
            return Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), port, port + 1));
        }
    }
    anyhow::bail!("no free port from 20000 to 32000 on 127.0.0.1 and 127.0.0.2")
}

/// Whether no other test has this port: Envoys share a port without an error, and each would get some of the other one's requests. A
/// name in the kernel is the claim, so that it also holds between processes, and ends with this one.
fn claims(port: u16) -> bool {
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = format!("chancery-test-port-{port}");
    let claim = UnixAddress::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
    let is_ours = claim.is_ok();
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).extend(claim);
    is_ours
}

fn with_port(content: &str, port: u16) -> String {
    content.replace("PORT", &port.to_string())
}

fn write(path: &Path, content: &str) -> Result<()> {
    let name = path.file_name().context("a name")?.to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    std::fs::write(&draft, content)?;
    Ok(std::fs::rename(draft, path)?)
}

fn path_text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

/// The first path below a folder that is wanted.
fn find(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
        .iter()
        .find(|path| wanted(path))
        .cloned()
        .or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|folder| find(folder, wanted)))
}
