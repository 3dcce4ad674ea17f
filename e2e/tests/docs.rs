//! Links in the project's pages lead to files, and to headings in them; the objects that pages show are valid.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::scenario;
use e2e::workspace::workspace_root;

/// Folders in which nothing is the project's own text.
const OTHERS: [&str; 5] = [".git", ".tools", "dist", "node_modules", "target"];

/// All pages below a folder.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !OTHERS.iter().any(|other| *other == name) {
                pages(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// The lines of a page that are text, without blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The targets of `[text](target)`.
fn targets(page: &str) -> Vec<&str> {
    let of_line = |line| str::split(line, "](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    prose(page).flat_map(of_line).collect()
}

/// What a heading is called in a link: its words in lower case, with hyphens in place of spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// What is wrong with a link of a page; `None` if it leads somewhere or to another site.
fn fault(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (file, heading) =
        target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !path.exists() {
        return Some(format!("{target}: there is no such file"));
    }
    let heading = heading?;
    let is_there = fs::read_to_string(&path).is_ok_and(|text| anchors(&text).contains(heading));
    (!is_there).then(|| format!("{target}: the page has no such heading"))
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    let root = workspace_root();
    let mut all = Vec::new();
    pages(&root, &mut all)?;
    let mut faults = Vec::new();
    let mut links = 0;
    for page in &all {
        let text = fs::read_to_string(page)?;
        for target in targets(&text) {
            links += 1;
            let wrong = fault(page, target);
            faults.extend(wrong.map(|wrong| format!("{}: {wrong}", page.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(all.len() > 10 && links > 50, "{} pages, {links} links", all.len());
    Ok(())
}

#[test]
fn a_link_to_nowhere_is_found() {
    let page = workspace_root().join("README.md");
    assert_eq!(fault(&page, "docs/cluster.md"), None);
    assert_eq!(fault(&page, "docs/gateway-api.md#features"), None);
    assert!(fault(&page, "docs/nothing.md").is_some());
    assert!(fault(&page, "docs/gateway-api.md#nothing").is_some());
    assert!(fault(&page, "#nothing").is_some());
    let text = "a [b](c.md), [d](e#f)\n```\n[no](link)\n```\n## What must hold, and `x`\n";
    assert_eq!(targets(text), ["c.md", "e#f"]);
    assert!(anchors(text).contains("what-must-hold-and-x"));
}

/// The blocks of YAML of a page that are objects, not parts of some.
fn objects(page: &str) -> Vec<String> {
    let blocks =
        page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
    blocks.filter(|block| block.lines().any(|line| line.starts_with("apiVersion:"))).collect()
}

/// What `chancery check` says of documents, without that objects of other pages are missing.
fn findings(documents: &str) -> Result<Vec<String>> {
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("page.yaml");
    fs::write(&file, documents)?;
    let output = Command::new(scenario::binary()?).args(["check", "--for-cluster"]).arg(&file).output()?;
    let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(text.contains(" in 1 file: "), "no closing line: {text}");
    let lines = text.lines().filter(|line| !line.contains(" in 1 file: "));
    Ok(lines.filter(|line| !line.ends_with(" does not exist")).map(str::to_owned).collect())
}

#[test]
fn objects_in_the_pages_are_valid() -> Result<()> {
    let mut all = Vec::new();
    pages(&workspace_root(), &mut all)?;
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in all {
        for documents in objects(&fs::read_to_string(&page)?) {
            count += 1;
            faults
                .extend(findings(&documents)?.into_iter().map(|line| format!("{}: {line}", page.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 10, "{count} blocks");
    let wrong = "apiVersion: chancery.dev/v1alpha1\nkind: Budget\nmetadata: {name: a}\nspec: {limits: {}}\n";
    assert!(!findings(wrong)?.is_empty());
    Ok(())
}
