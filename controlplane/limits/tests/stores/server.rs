//! Real servers for the shared store.

use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use limits::{Memory, Shared, Store};
use tempfile::TempDir;

/// A server of one test alone, which is killed at its end.
pub(crate) struct Server {
    program: PathBuf,
    child: Child,
    port: u16,
    folder: TempDir,
    lasting: Lasting,
}

/// Whether a server writes everything down before it answers.
#[derive(Clone, Copy)]
pub(crate) enum Lasting {
    Yes,
    No,
}

/// The servers that there are: Redis, and Valkey where the variable CHANCERY_VALKEY names one.
fn programs() -> Vec<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/redis-server");
    let redis = env::var_os("CHANCERY_REDIS").map_or(made, PathBuf::from);
    assert!(redis.is_file(), "no Redis: run `make redis`, or name a server in the variable CHANCERY_REDIS");
    let valkey = env::var_os("CHANCERY_VALKEY").map(PathBuf::from);
    assert!(
        valkey.as_ref().is_none_or(|program| program.is_file()),
        "CHANCERY_VALKEY: no such server as {valkey:?} (`make valkey` installs one)"
    );
    [redis].into_iter().chain(valkey).collect()
}

/// One of each.
pub(crate) fn servers(lasting: Lasting) -> Vec<Server> {
    programs().into_iter().map(|program| Server::start(program, lasting)).collect()
}

/// A store in this process, and one in each server.
pub(crate) fn stores(servers: &[Server]) -> Vec<Store> {
    let memory = Store::Memory(Memory::default());
    [memory].into_iter().chain(servers.iter().map(Server::store)).collect()
}

impl Server {
    fn start(program: PathBuf, lasting: Lasting) -> Self {
        let folder = TempDir::new().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = spawn(&program, port, folder.path(), lasting);
        Self { program, child, port, folder, lasting }
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> Store {
        Store::Shared(Shared::connect(&self.address()).unwrap())
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again in its folder, at its port.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.program, self.port, self.folder.path(), self.lasting);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a server, and waits until it has read what it wrote down, and answers.
fn spawn(program: &Path, port: u16, folder: &Path, lasting: Lasting) -> Child {
    let appendonly = match lasting {
        Lasting::Yes => "yes",
        Lasting::No => "no",
    };
    let child = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", appendonly, "--appendfsync", "always", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !answers(port).unwrap_or(false) {
        assert!(Instant::now() < deadline, "{} does not answer", program.display());
        sleep(Duration::from_millis(20));
    }
    child
}

fn answers(port: u16) -> io::Result<bool> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    connection.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}
