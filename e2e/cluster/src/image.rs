//! Container images without a container engine: a program, the shared libraries that it needs, and
//! little else, in one layer.
//!
//! The tarball has the format of `docker save`, which `ctr images import`, `docker load`, `podman load`
//! and `kind load image-archive` all take. Equal input gives equal bytes.

mod libraries;
mod tar;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, IoContext as _, Result};
use tar::Archive;

/// The user that images run as unless told otherwise: "nonroot" of the distroless images.
pub const NONROOT: &str = "65532:65532";

const PASSWD: &str =
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// An image to be written. The methods add to it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Image {
    name: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    user: String,
    files: BTreeMap<String, Content>,
}

#[derive(Clone, Debug)]
enum Content {
    Program(PathBuf),
    File(PathBuf),
    Text(String),
}

impl Image {
    /// An empty image called `name` (with a tag, such as `chancery:dev`).
    ///
    /// A reference with a digest is never satisfied by an imported image: refer to it by its tag.
    pub fn new(name: impl Into<String>) -> Self {
        let text = |text: &str| Content::Text(text.to_owned());
        Self {
            name: name.into(),
            entrypoint: Vec::new(),
            arguments: Vec::new(),
            environment: BTreeMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]),
            user: NONROOT.to_owned(),
            files: BTreeMap::from([("/etc/passwd".into(), text(PASSWD)), ("/etc/group".into(), text(GROUP))]),
        }
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds the program `source` as `/usr/local/bin/<its file name>`, with the shared libraries that it
    /// needs. The first one becomes the entry point.
    pub fn program(mut self, source: impl Into<PathBuf>) -> Self {
        let source = source.into();
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let target = format!("/usr/local/bin/{name}");
        if self.entrypoint.is_empty() {
            self.entrypoint.push(target.clone());
        }
        self.files.insert(target, Content::Program(source));
        self
    }

    /// Adds the file `source`, readable by everyone, at the absolute path `target`.
    pub fn file(mut self, source: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        self.files.insert(target.into(), Content::File(source.into()));
        self
    }

    /// Adds a file with this text at the absolute path `target`.
    pub fn text(mut self, text: impl Into<String>, target: impl Into<String>) -> Self {
        self.files.insert(target.into(), Content::Text(text.into()));
        self
    }

    /// Replaces the entry point.
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Sets the arguments that the entry point gets when a container gives none.
    pub fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the numeric `user:group` (default [`NONROOT`]).
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Writes the tarball, all or nothing.
    ///
    /// # Errors
    /// A file cannot be read, a shared library is not found, or `target` cannot be written.
    pub fn write(&self, target: &Path) -> Result<()> {
        let layer = self.layer()?;
        let digest = hexadecimal(&Sha256::digest(&layer));
        let config = self.config(&digest).to_string();
        let config_name = format!("{}.json", hexadecimal(&Sha256::digest(&config)));
        let layer_name = format!("{digest}/layer.tar");
        let manifest = json!([{"Config": config_name, "RepoTags": [self.name], "Layers": [layer_name]}]);

        let mut archive = Archive::default();
        archive.file(&config_name, 0o644, config.as_bytes())?;
        archive.folder(&digest, 0o755)?;
        archive.file(&layer_name, 0o644, &layer)?;
        archive.file("manifest.json", 0o644, manifest.to_string().as_bytes())?;
        write_whole(target, &archive.finish())
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut files: BTreeMap<String, (u32, Vec<u8>)> = BTreeMap::new();
        for (target, content) in &self.files {
            let entry = match content {
                Content::Text(text) => (0o644, text.clone().into_bytes()),
                Content::File(source) => (0o644, read(source)?),
                Content::Program(source) => {
                    for library in libraries::of(source)? {
                        files.insert(library.to_string_lossy().into_owned(), (0o755, read(&library)?));
                    }
                    (0o755, read(source)?)
                }
            };
            files.insert(target.clone(), entry);
        }
        let mut archive = Archive::default();
        for folder in folders(files.keys()) {
            archive.folder(&folder, if folder == "tmp" { 0o1777 } else { 0o755 })?;
        }
        for (target, (mode, bytes)) in &files {
            archive.file(target.trim_start_matches('/'), *mode, bytes)?;
        }
        Ok(archive.finish())
    }

    fn config(&self, layer_digest: &str) -> Value {
        let environment: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": self.user,
                "Entrypoint": self.entrypoint,
                "Cmd": self.arguments,
                "Env": environment,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{}],
        })
    }
}

/// `/tmp`, and the folders of `files`, parents first; without a slash at the start.
fn folders<'a>(files: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut folders = std::collections::BTreeSet::from(["tmp".to_owned()]);
    for file in files {
        let parents = Path::new(file).ancestors().skip(1);
        let parents = parents.map(|parent| parent.to_string_lossy().trim_start_matches('/').to_owned());
        folders.extend(parents.filter(|parent| !parent.is_empty()));
    }
    folders.into_iter().collect()
}

/// The architecture as images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).context(|| format!("read {}", path.display()))
}

/// Writes a file that others see whole or not at all.
fn write_whole(target: &Path, bytes: &[u8]) -> Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    };
    write().context(|| format!("write {}", target.display()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A path that an archive cannot hold.
fn unsupported(path: &str) -> Error {
    Error::Unexpected(format!("an image cannot hold the path {path:?}: too long"))
}

#[cfg(test)]
mod tests;
