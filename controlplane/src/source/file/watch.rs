//! Tells when files may have changed. What changed is found out by reading them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::folder::is_manifest;

/// How long nothing must happen after an event before the files are read: an editor's save is
/// several events, and between them the file may be empty or away.
const HOLD_OFF: Duration = Duration::from_millis(20);

/// How long a stream of events may put off the reading.
const MAX_HOLD_OFF: Duration = Duration::from_millis(200);

/// Watches folders (not files: a file that is replaced by a rename would be lost).
pub(crate) struct FolderWatch {
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<notify::Event>>,
    folders: BTreeSet<PathBuf>,
}

impl FolderWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The operating system gives no watch (on Linux: `fs.inotify.max_user_instances`).
    pub(crate) fn new() -> notify::Result<Self> {
        let (sender, events) = channel();
        let watcher = notify::recommended_watcher(sender)?;
        Ok(Self { watcher, events, folders: BTreeSet::new() })
    }

    /// Watches these folders from now on; says whether one of them was not watched before, so that
    /// something in it may have been missed.
    pub(crate) fn set(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let gone: Vec<PathBuf> = self.folders.difference(folders).cloned().collect();
        for folder in gone {
            // It fails for a folder that was deleted, whose watch ended with it.
            let _ = self.watcher.unwatch(&folder);
            self.folders.remove(&folder);
        }
        let mut added = false;
        for folder in folders {
            if self.folders.contains(folder) {
                continue;
            }
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => added |= self.folders.insert(folder.clone()),
                Err(error) => tracing::warn!(folder = %folder.display(), %error, "cannot watch this folder"),
            }
        }
        added
    }

    /// Waits until files may have changed and have come to rest. `false`: never again.
    pub(crate) fn wait(&mut self) -> bool {
        loop {
            match self.events.recv() {
                Ok(event) if self.matters(&event) => break,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        self.wait_until_quiet(HOLD_OFF);
        true
    }

    /// Waits until nothing that matters has happened for a time, but not for ever.
    pub(crate) fn wait_until_quiet(&mut self, quiet: Duration) {
        let end = Instant::now() + MAX_HOLD_OFF.max(quiet);
        let mut quiet_at = Instant::now() + quiet;
        loop {
            match self.events.recv_timeout(quiet_at.min(end).saturating_duration_since(Instant::now())) {
                Ok(event) if self.matters(&event) => quiet_at = Instant::now() + quiet,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn matters(&mut self, event: &notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else { return true };
        match event.kind {
            // Our own reading makes such events.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return false,
            EventKind::Remove(_) => event.paths.iter().for_each(|path| self.forget(path)),
            _ => {}
        }
        event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| may_matter(path))
    }

    /// A folder that was deleted has lost its watch; one that comes back in its place needs a new one.
    fn forget(&mut self, path: &Path) {
        if self.folders.remove(path) {
            let _ = self.watcher.unwatch(path);
        }
    }
}

/// A manifest, a folder, a link (Kubernetes swaps `..data`), or a file that the user named; but not
/// what else happens in the folder of such a file.
fn may_matter(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_editor_file = name.ends_with('~') || (name.starts_with('.') && !name.starts_with(".."));
    is_manifest(path) || (!is_editor_file && !name.ends_with(".log"))
}
