//! The folders of `examples`.

use anyhow::{Context, Result};

use crate::workspace::workspace_root;

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
