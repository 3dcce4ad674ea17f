//! The folders of `examples`.

use anyhow::{Context, Result};

use crate::echo::EchoBackend;
use crate::fixture::Fixture;
use crate::workspace::workspace_root;

/// The port that the Gateways of the examples listen on.
const PORT: &str = "port: 8080,";

/// The port of the first backend of an example on a laptop; the next ones follow.
const FIRST_BACKEND: u16 = 3001;

/// An example at work, with echo backends in the place of those on ports 3001, 3002 and so on.
#[derive(Debug)]
pub struct Example {
    /// Chancery with the example's documents.
    pub fixture: Fixture,
    /// The backends in the order of their ports.
    pub backends: Vec<EchoBackend>,
}

/// The rows of the acceptance list that have a folder of their own, with its name.
pub const ROWS: [(&str, &str); 12] = [
    ("A29", "guard-reject"),
    ("A30", "guard-response"),
    ("A31", "guard-builtins"),
    ("A32", "guard-answer"),
    ("A33", "guard-mask"),
    ("A34", "guard-stream"),
    ("A35", "moderation"),
    ("A36", "webhook"),
    ("A37", "jwt"),
    ("A38", "rights"),
    ("A39", "token-limit"),
    ("A40", "rate-limit"),
];

impl Example {
    /// Serves a folder of `examples`, but for the Gateway's port as it stands there.
    ///
    /// # Errors
    /// The folder cannot be read, or it cannot be served.
    pub async fn start(folder: &str, backends: &[&str]) -> Result<Self> {
        Self::start_all(&[folder], backends).await
    }

    /// Serves several folders together, as `chancery run` does with several paths.
    ///
    /// # Errors
    /// As [`Example::start`].
    pub async fn start_all(folders: &[&str], backends: &[&str]) -> Result<Self> {
        let files = documents_of(folders, &[])?;
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (mut running, mut arguments) = (Vec::new(), Vec::new());
        for (port, name) in (FIRST_BACKEND..).zip(backends) {
            let backend = EchoBackend::start(name).await?;
            let address = backend.address();
            arguments.push("--connect-to".to_owned());
            arguments.push(format!("127.0.0.1:{port}:{}:{}", address.ip(), address.port()));
            running.push(backend);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Ok(Self { fixture: Fixture::start_with(&files, &arguments).await?, backends: running })
    }
}

/// The documents of several folders: as [`documents`], with the folder before each name, and with `PORT` in place of the
/// Gateway's port 8080.
///
/// # Errors
/// They cannot be read.
pub fn documents_of(folders: &[&str], values: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for folder in folders {
        let documents = documents(folder, values)?;
        all.extend(
            documents
                .into_iter()
                .map(|(name, text)| (format!("{folder}-{name}"), text.replace(PORT, "port: PORT,"))),
        );
    }
    Ok(all)
}

/// The documents of a folder of `examples` by file name, with values in place of `$NAME`, as a shell puts them in.
///
/// # Errors
/// They cannot be read.
pub fn documents(folder: &str, values: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let mut documents = Vec::new();
    for file in std::fs::read_dir(workspace_root().join("examples").join(folder))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        let text = std::fs::read_to_string(&path)?;
        let text = values.iter().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value));
        documents.push((name, text));
    }
    Ok(documents)
}
