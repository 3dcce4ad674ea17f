//! Follows the file of `--upstream-ca`, so that a renewed authority needs no restart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use translator::Settings;

use crate::settings::read_trust;
use crate::source::file::FolderWatch;

/// Puts the content of `file` into the settings whenever it changes. A file that cannot be read, or
/// holds no certificate, changes nothing and is said.
///
/// # Errors
/// The system gives no watch or thread.
pub fn follow(file: &Path, settings: watch::Sender<Settings>) -> Result<()> {
    let mut watch = FolderWatch::new().context("cannot watch --upstream-ca")?;
    let file = std::path::absolute(file)?;
    watch.set(&folders(&file));
    let run = move || {
        // It may have changed between its first reading and the watch.
        loop {
            match read_trust(&file) {
                Ok(trust) => {
                    settings.send_if_modified(|settings| {
                        let is_new = settings.trust != trust;
                        settings.trust = trust;
                        is_new
                    });
                }
                Err(error) => tracing::warn!("{error:#}; keeping what it held before"),
            }
            watch.set(&folders(&file));
            if !watch.wait() || settings.is_closed() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("upstream-ca".to_owned()).spawn(run).context("cannot start a thread")?;
    Ok(())
}

/// The folder that the file stands in, and that of what it is a link to.
fn folders(file: &Path) -> BTreeSet<PathBuf> {
    let target = std::fs::canonicalize(file).ok();
    let files = std::iter::once(file.to_owned()).chain(target);
    files.filter_map(|file| file.parent().map(Path::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ir::Trust;

    use super::*;

    #[tokio::test]
    async fn a_renewed_authority_is_taken_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n");
        std::fs::write(&file, pem("one")).unwrap();
        let (sender, mut settings) = watch::channel(Settings::default());
        follow(&file, sender).unwrap();
        let mut expect = async |trust: &str| {
            let trust = Trust::Pem(trust.to_owned());
            let arrived = settings.wait_for(|settings| settings.trust == trust);
            tokio::time::timeout(Duration::from_secs(10), arrived).await.expect("in time").unwrap();
        };
        expect(&pem("one")).await;
        std::fs::write(&file, "broken").unwrap();
        std::fs::write(folder.path().join("new"), pem("two")).unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
        expect(&pem("two")).await;
    }
}
