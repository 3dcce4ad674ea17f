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

impl Example {
    /// Serves a folder of `examples`, but for the Gateway's port as it stands there.
    ///
    /// # Errors
    /// The folder cannot be read, or it cannot be served.
    pub async fn start(folder: &str, backends: &[&str]) -> Result<Self> {
        let files = documents(folder, &[])?;
        let files: Vec<_> =
            files.into_iter().map(|(name, text)| (name, text.replace(PORT, "port: PORT,"))).collect();
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
