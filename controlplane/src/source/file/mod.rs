//! Objects from YAML and JSON files.
//!
//! Every change makes us read all files again and compare: no event has to be understood, and none
//! that was lost is missed for long. What is broken is said and keeps its last good version:
//!
//! - an object that does not fit its type stays as it last was in this file;
//! - while a document of a file cannot be read at all, nothing that the file gave goes away.

mod document;
mod folder;
mod implied;
mod manifest;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crds::{Object, ObjectRef};
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_128;

use self::manifest::Manifest;
pub(crate) use self::text::Text;
pub(crate) use self::watch::FolderWatch;
use super::{Change, Finding, Origin, Origins, Severity, SharedOrigins, Source, Update, rule};

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// How long an object must be gone before that is believed: whoever saves a file in place empties it
/// first, and we may read it just then.
const CONFIRM_REMOVAL: Duration = Duration::from_millis(60);

/// How often a removal that keeps changing is looked at again.
const CONFIRM_ATTEMPTS: usize = 10;

/// Files and folders of manifests.
#[derive(Debug)]
pub struct FileSource {
    paths: Vec<PathBuf>,
    /// What came on standard input, if that is a part of the source.
    standard_input: Option<Arc<Manifest>>,
    manifests: BTreeMap<PathBuf, Arc<Manifest>>,
    objects: BTreeMap<ObjectRef, Object>,
    findings: Vec<Finding>,
    origins: SharedOrigins,
    is_gateway_implied: bool,
}

/// What the files hold at one moment.
struct Scan {
    manifests: BTreeMap<PathBuf, Arc<Manifest>>,
    objects: BTreeMap<ObjectRef, Object>,
    findings: Vec<Finding>,
    origins: Origins,
    folders: BTreeSet<PathBuf>,
}

impl FileSource {
    /// A source of these files and folders, nothing of them read yet.
    ///
    /// # Errors
    /// One of them does not exist.
    pub fn new(paths: &[PathBuf]) -> anyhow::Result<Self> {
        for path in paths {
            if let Err(error) = fs::metadata(path) {
                bail!("{}: {}", path.display(), io_message(&error));
            }
        }
        Ok(Self {
            paths: paths.to_vec(),
            standard_input: None,
            manifests: BTreeMap::new(),
            objects: BTreeMap::new(),
            findings: Vec::new(),
            origins: SharedOrigins::default(),
            is_gateway_implied: true,
        })
    }

    /// A source of these files and folders and of standard input, which stands for a file and is named
    /// `-`. For commands that read once: standard input gives nothing a second time.
    ///
    /// # Errors
    /// A file does not exist, or standard input cannot be read.
    pub fn with_standard_input(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let (standard_input, files): (Vec<_>, Vec<_>) =
            paths.iter().cloned().partition(|path| path.as_os_str() == STANDARD_INPUT);
        let mut source = Self::new(&files)?;
        if let Some(name) = standard_input.first() {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
            source.standard_input = Some(Arc::new(Manifest::parse(name, xxh3_128(&bytes), bytes, None)));
        }
        Ok(source)
    }

    /// Leaves routes without `parentRefs` as they are, as a cluster does.
    #[must_use]
    pub fn without_implied_gateway(self) -> Self {
        Self { is_gateway_implied: false, ..self }
    }

    /// Where the objects stand that were read last.
    pub fn origins(&self) -> SharedOrigins {
        self.origins.clone()
    }

    /// How many files were read last.
    pub fn file_count(&self) -> usize {
        self.manifests.len()
    }

    /// Reads all files and says what changed since the last time (at the first time: everything).
    pub fn read(&mut self) -> Update {
        let scan = self.scan();
        self.accept(scan)
    }

    fn scan(&self) -> Scan {
        let listing = folder::list(&self.paths);
        let mut manifests = BTreeMap::new();
        let mut findings = listing.findings;
        let mut objects = BTreeMap::new();
        let mut origins = Origins::default();
        let standard_input = self.standard_input.clone().map(|input| (PathBuf::from(STANDARD_INPUT), input));
        let files = listing.files.into_iter().filter_map(|path| Some((path.clone(), self.manifest(&path)?)));
        for (path, manifest) in standard_input.into_iter().chain(files) {
            findings.extend(manifest.findings.iter().cloned());
            origins.broken.extend(manifest.broken.iter().cloned());
            for (origin, object) in &manifest.objects {
                match origins.by_object.entry(object.object_ref()) {
                    Entry::Vacant(entry) => {
                        objects.insert(entry.key().clone(), object.clone());
                        entry.insert(origin.clone());
                    }
                    Entry::Occupied(first) => {
                        findings.push(duplicate(origin, first.key(), first.get()));
                    }
                }
            }
            manifests.insert(path, manifest);
        }
        findings.extend(implied::attach(&mut objects, &origins.by_object, self.is_gateway_implied));
        Scan { manifests, objects, findings, origins, folders: listing.folders }
    }

    /// Reads one file; `None` if it is gone.
    fn manifest(&self, path: &Path) -> Option<Arc<Manifest>> {
        let previous = self.manifests.get(path);
        match fs::read(path) {
            Ok(bytes) => {
                let hash = xxh3_128(&bytes);
                match previous.filter(|previous| previous.hash == Some(hash)) {
                    Some(unchanged) => Some(Arc::clone(unchanged)),
                    None => Some(Arc::new(Manifest::parse(path, hash, bytes, previous.map(Arc::as_ref)))),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                Some(Arc::new(Manifest::unreadable(path, &io_message(&error), previous.map(Arc::as_ref))))
            }
        }
    }

    fn removed(&self, scan: &Scan) -> BTreeSet<ObjectRef> {
        self.objects.keys().filter(|object| !scan.objects.contains_key(object)).cloned().collect()
    }

    fn accept(&mut self, scan: Scan) -> Update {
        let deleted = self.removed(&scan).into_iter().map(Change::Delete);
        let applied = scan.objects.iter().filter(|(key, object)| self.objects.get(key) != Some(object));
        let changes = deleted.chain(applied.map(|(_, object)| Change::Apply(object.clone()))).collect();
        self.manifests = scan.manifests;
        self.objects = scan.objects;
        // Before the objects themselves, of which others tell.
        self.origins.set(scan.origins);
        let are_new = self.findings != scan.findings;
        self.findings = scan.findings;
        Update { changes, findings: are_new.then(|| self.findings.clone()) }
    }

    /// Scans until every removal has been seen twice, with a `wait` between.
    fn confirmed_scan(&self, mut wait: impl FnMut()) -> Scan {
        let mut scan = self.scan();
        for _ in 0..CONFIRM_ATTEMPTS {
            let removed = self.removed(&scan);
            if removed.is_empty() {
                break;
            }
            wait();
            scan = self.scan();
            if self.removed(&scan).is_subset(&removed) {
                break;
            }
        }
        scan
    }

    /// The thread that reads whenever something may have changed. Sends at once, then only changes.
    fn run(mut self, mut watch: FolderWatch, updates: &mpsc::Sender<Update>) {
        let mut is_first = true;
        loop {
            let mut scan = if is_first {
                self.scan()
            } else {
                self.confirmed_scan(|| watch.wait_until_quiet(CONFIRM_REMOVAL))
            };
            // What happened in a folder before it was watched has made no event.
            while watch.set(&scan.folders) {
                scan = self.scan();
            }
            let update = self.accept(scan);
            let is_news = is_first || !update.changes.is_empty() || update.findings.is_some();
            if is_news && updates.blocking_send(update).is_err() {
                return;
            }
            is_first = false;
            if !watch.wait() || updates.is_closed() {
                return;
            }
        }
    }
}

impl Source for FileSource {
    fn start(self) -> anyhow::Result<mpsc::Receiver<Update>> {
        let watch = FolderWatch::new().context("cannot watch files for changes")?;
        let (sender, receiver) = mpsc::channel(1);
        // A thread of its own: all it does is blocking. It ends with the process at the latest.
        std::thread::Builder::new()
            .name("file-source".to_owned())
            .spawn(move || self.run(watch, &sender))
            .context("cannot start a thread")?;
        Ok(receiver)
    }
}

fn duplicate(origin: &Origin, object: &ObjectRef, first: &Origin) -> Finding {
    let message = format!("stands here a second time; the first one, at {}, is used", first.of(""));
    Finding::new(origin.of(""), Severity::Problem, rule::DUPLICATE_OBJECT, message).of(object.clone())
}

/// An error of the file system in a user's words.
pub(crate) fn io_message(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
