//! Which files belong to the paths that the user named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{Finding, Place, Severity, rule};

/// What the paths lead to at one moment.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files to read: in the order of the paths, within a folder sorted by name.
    pub(crate) files: Vec<PathBuf>,
    /// The folders in which a change may matter.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Paths that lead nowhere, folders that cannot be read, and folders without a file to read.
    pub(crate) findings: Vec<Finding>,
    seen: BTreeSet<PathBuf>,
}

/// Lists the files: a path to a file stands for that file whatever its name, one to a folder for
/// every manifest in and below it.
pub(crate) fn list(paths: &[PathBuf]) -> Listing {
    let mut listing = Listing::default();
    for path in paths {
        // The parent too: a save by rename, or a link that is set anew, is a change there.
        listing.watch_parent(path);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let before = listing.files.len();
                let is_new = fs::canonicalize(path).is_ok_and(|target| !listing.seen.contains(&target));
                listing.add_folder(path);
                if is_new && listing.files.len() == before {
                    let message = "the folder holds no *.yaml, *.yml or *.json file";
                    let place = Place::file(path);
                    listing.findings.push(Finding::new(
                        place,
                        Severity::Warning,
                        rule::NOTHING_TO_READ,
                        message,
                    ));
                }
            }
            Ok(_) => listing.add_file(path),
            Err(error) => listing.problem(path, &error),
        }
    }
    listing
}

/// Whether a file of this name in a folder is a manifest: `*.yaml`, `*.yml` or `*.json`, and neither
/// hidden nor what an editor leaves beside the file that it edits.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "yaml" | "yml" | "json") && !name.starts_with(['.', '#'])
}

impl Listing {
    fn add_file(&mut self, path: &Path) {
        if let Ok(target) = fs::canonicalize(path) {
            if !self.seen.insert(target.clone()) {
                return;
            }
            self.watch_parent(&target);
        }
        self.files.push(path.to_owned());
    }

    fn add_folder(&mut self, path: &Path) {
        let first_visit = fs::canonicalize(path).is_ok_and(|target| self.seen.insert(target));
        if !first_visit {
            return;
        }
        self.folders.insert(path.to_owned());
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &error),
        };
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            let hidden =
                entry.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
            match fs::metadata(&entry) {
                Ok(metadata) if metadata.is_dir() && !hidden => self.add_folder(&entry),
                Ok(metadata) if metadata.is_file() && is_manifest(&entry) => self.add_file(&entry),
                _ => {}
            }
        }
    }

    fn watch_parent(&mut self, path: &Path) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.folders.insert(parent.to_owned());
    }

    fn problem(&mut self, path: &Path, error: &std::io::Error) {
        let message = super::io_message(error);
        self.findings.push(Finding::new(Place::file(path), Severity::Problem, rule::UNREADABLE, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_manifests_at_any_depth_in_order() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("b/deep")).unwrap();
        fs::create_dir_all(path(".git")).unwrap();
        for name in [
            "c.json",
            "a.yaml",
            "b/deep/x.yml",
            ".a.yaml.swp",
            ".hidden.yaml",
            "#a.yaml",
            "a.yaml~",
            "a.txt",
            ".git/x.yaml",
        ] {
            fs::write(path(name), "").unwrap();
        }
        let listing = list(&[root.path().to_owned()]);
        assert_eq!(listing.files, [path("a.yaml"), path("b/deep/x.yml"), path("c.json")]);
        assert!(listing.folders.contains(&path("b/deep")), "{listing:?}");
        assert!(listing.findings.is_empty());
    }

    #[test]
    fn a_file_is_read_once_however_often_it_is_named_and_whatever_its_name() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("manifest.txt");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        let listing = list(&[
            file.clone(),
            root.path().join("../").join(root.path().file_name().unwrap()),
            file.clone(),
        ]);
        assert_eq!(listing.files, [file]);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_said() {
        let root = tempfile::tempdir().unwrap();
        let listing = list(&[root.path().join("missing.yaml")]);
        assert_eq!(listing.findings[0].message, "no such file or folder");
    }
}
