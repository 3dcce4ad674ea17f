//! Where the proxies of this machine keep their sockets, bootstraps and logs.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ir::GatewayName;
use tempfile::TempDir;
use tokio::net::UnixListener;
use xxhash_rust::xxh3::xxh3_64;

/// A folder for us alone: whoever can reach the sockets in it can read every key.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Deletes a temporary folder in the end.
    _temporary: Option<TempDir>,
    /// Keeps a second process out.
    _lock: File,
}

impl StateDir {
    /// The given folder, made if need be; else a temporary one.
    ///
    /// # Errors
    /// It cannot be made, or another process uses it.
    pub fn open(given: Option<&Path>) -> Result<Self> {
        let (path, temporary, lock) = match given {
            Some(path) => {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(|| cannot_use(path))?;
                fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(|| cannot_use(path))?;
                (std::path::absolute(path)?, None, LOCK)
            }
            None => {
                temporary_folders().iter().for_each(|folder| remove_stale(folder, STALE_AGE));
                let temporary = make_temporary()?;
                (temporary.path().to_owned(), Some(temporary), TEMPORARY_LOCK)
            }
        };
        let lock = File::create(path.join(lock)).with_context(|| cannot_use(&path))?;
        if lock.try_lock().is_err() {
            bail!("{}: another chancery uses this folder (--state-dir)", path.display());
        }
        Ok(Self { path, _temporary: temporary, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder of one proxy.
    ///
    /// # Errors
    /// It cannot be made, or its path is too long for a socket.
    pub fn proxy(&self, gateway: &GatewayName) -> Result<ProxyDir> {
        let path = self.path.join(folder_name(gateway));
        let proxy = ProxyDir { path };
        if proxy.xds_socket().as_os_str().len() > MAX_SOCKET_PATH {
            bail!("{}: this path is too long for a socket; use a shorter --state-dir", proxy.path.display());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&proxy.path)
            .with_context(|| cannot_use(&proxy.path))?;
        Ok(proxy)
    }
}

/// The folder of one proxy.
#[derive(Clone, Debug)]
pub struct ProxyDir {
    path: PathBuf,
}

impl ProxyDir {
    /// The socket at which the proxy gets its configuration.
    pub fn xds_socket(&self) -> PathBuf {
        self.path.join("xds.sock")
    }

    /// The socket of the proxy's admin interface.
    pub fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    /// The proxy's bootstrap.
    pub fn bootstrap(&self) -> PathBuf {
        self.path.join("bootstrap.json")
    }

    /// The proxy's log.
    pub fn log(&self) -> PathBuf {
        self.path.join("envoy.log")
    }

    /// Listens at the xDS socket.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bind_xds_socket(&self) -> Result<UnixListener> {
        let path = self.xds_socket();
        // Left over from a process that was killed; the lock says that nobody listens there.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| cannot_use(&path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(|| cannot_use(&path))?;
        Ok(listener)
    }

    /// Removes what nobody listens at any more; the bootstrap and the log stay for a look at them.
    pub fn remove_sockets(&self) {
        for socket in [self.xds_socket(), self.admin_socket()] {
            // Envoy has removed its own.
            let _ = fs::remove_file(socket);
        }
    }

    /// Writes the bootstrap.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write_bootstrap(&self, bootstrap: &serde_json::Value) -> Result<()> {
        let path = self.bootstrap();
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| cannot_use(&path))?;
        writeln!(file, "{bootstrap:#}").with_context(|| cannot_use(&path))
    }
}

/// `sun_path` of unix(7), without the terminating zero.
const MAX_SOCKET_PATH: usize = 107;

/// Longer names are cut, and made unique by a hash.
const MAX_FOLDER_NAME: usize = 40;

/// `default_web`: Kubernetes names hold no `_`.
fn folder_name(gateway: &GatewayName) -> String {
    let name = format!("{}_{}", gateway.namespace, gateway.name);
    if name.len() <= MAX_FOLDER_NAME {
        return name;
    }
    let start: String = name.chars().take(MAX_FOLDER_NAME - 17).collect();
    format!("{start}-{:016x}", xxh3_64(name.as_bytes()))
}

/// The file that a process keeps locked as long as it uses its folder.
const LOCK: &str = "lock";

/// The same in a temporary folder, which may be removed when nobody keeps it locked any more.
const TEMPORARY_LOCK: &str = "temporary.lock";

/// What the names of temporary folders begin with.
const PREFIX: &str = "chancery-";

/// How old a lock must be before a folder counts as left over: another process may be about to lock its own.
const STALE_AGE: Duration = Duration::from_secs(10);

/// Where temporary folders are made, if possible in the first.
fn temporary_folders() -> Vec<PathBuf> {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime_dir.into_iter().chain([std::env::temp_dir()]).collect()
}

fn make_temporary() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
    let made = temporary_folders().into_iter().find_map(|folder| builder.tempdir_in(folder).ok());
    made.context("cannot make a temporary folder; use --state-dir")
}

/// Removes the folders of processes that were killed, which could not do so themselves. Their lock is free.
fn remove_stale(folder: &Path, min_age: Duration) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for path in ours.map(|entry| entry.path()) {
        // A folder of another user cannot be looked into, and one without this lock is no temporary one of ours. What
        // is no file, such as a pipe, could keep whoever opens it waiting.
        let lock = path.join(TEMPORARY_LOCK);
        if !fs::symlink_metadata(&lock).is_ok_and(|found| found.is_file()) {
            continue;
        }
        let Ok(lock) = File::open(lock) else { continue };
        let age =
            lock.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age >= min_age) && lock.try_lock().is_ok() {
            tracing::info!(folder = %path.display(), "removing what a process that was killed has left");
            // Another process may be at it, too.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn cannot_use(path: &Path) -> String {
    format!("cannot use {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(name: &str) -> GatewayName {
        GatewayName { namespace: "default".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn nobody_else_can_look_into_it() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(&root.path().join("state"))).unwrap();
        let proxy = state.proxy(&gateway("web")).unwrap();
        proxy.write_bootstrap(&serde_json::json!({})).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(state.path()), mode(&proxy.path), mode(&proxy.bootstrap())), (0o700, 0o700, 0o600));
        let temporary = StateDir::open(None).unwrap();
        assert_eq!(mode(temporary.path()), 0o700);
    }

    #[test]
    fn two_processes_do_not_share_one() {
        let root = tempfile::tempdir().unwrap();
        let _first = StateDir::open(Some(root.path())).unwrap();
        let error = StateDir::open(Some(root.path())).unwrap_err().to_string();
        assert!(error.contains("another chancery"), "{error}");
    }

    #[test]
    fn a_temporary_one_is_deleted_in_the_end() {
        let state = StateDir::open(None).unwrap();
        let path = state.path().to_owned();
        drop(state);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str, lock: Option<&str>| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            lock.map(|lock| File::create(path.join(lock)).unwrap())
        };
        drop(make("chancery-killed", Some(TEMPORARY_LOCK)));
        let running = make("chancery-running", Some(TEMPORARY_LOCK)).unwrap();
        running.lock().unwrap();
        make("chancery-notes", None);
        // One that somebody has named by --state-dir.
        drop(make("chancery-named", Some(LOCK)));
        drop(make("other", Some(TEMPORARY_LOCK)));
        let left = || {
            let entries = fs::read_dir(root.path()).unwrap().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        remove_stale(root.path(), Duration::from_secs(3600));
        assert_eq!(left().len(), 5, "one that is about to be locked stays");
        remove_stale(root.path(), Duration::ZERO);
        assert_eq!(left(), ["chancery-named", "chancery-notes", "chancery-running", "other"]);
    }

    #[test]
    fn folder_names_are_short_and_distinct() {
        assert_eq!(folder_name(&gateway("web")), "default_web");
        let (long, other) =
            (folder_name(&gateway(&"x".repeat(200))), folder_name(&gateway(&"x".repeat(201))));
        assert_eq!(long.len(), MAX_FOLDER_NAME);
        assert_ne!(long, other);
    }

    #[tokio::test]
    async fn the_socket_of_a_killed_process_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(root.path())).unwrap();
        let proxy = state.proxy(&gateway("web")).unwrap();
        drop(proxy.bind_xds_socket().unwrap());
        assert!(proxy.xds_socket().exists());
        proxy.bind_xds_socket().unwrap();
    }
}
