//! The commands of the pages: those of `examples/README.md` are run as they are written, at ports of the test's own, and of
//! all others it is shown that what they name exists. docs/tutorial.md has a test of its own; what needs a cluster is run
//! there (`e2e/acceptance/tests/pages.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::examples::ROWS;
use e2e::fixture::own_place;
use e2e::page;
use e2e::scenario;
use e2e::workspace::workspace_root;

/// The pages with commands, other than the tutorial.
const PAGES: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/cluster.md",
    "docs/testing.md",
    "e2e/cluster/README.md",
    "examples/README.md",
    "examples/openai/README.md",
];

/// The pages with commands that are looked at: those, and one for each row of the acceptance list that has a folder.
fn looked_at() -> impl Iterator<Item = String> {
    let rows = ROWS.iter().map(|(_, folder)| format!("examples/{folder}/README.md"));
    PAGES.iter().map(|page| (*page).to_owned()).chain(rows)
}

/// The tutorial, which is run as a whole, and how files that are committed were made.
const OTHERWISE: [&str; 3] =
    ["docs/tutorial.md", "examples/certificates/README.md", "proto/descriptors/README.md"];

/// Copies a folder, with other ports in its documents.
fn copy(from: &Path, to: &Path, here: &impl Fn(&str) -> String) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            copy(&path, &to.join(name), here)?;
        } else {
            fs::write(to.join(name), here(&fs::read_to_string(&path)?))?;
        }
    }
    Ok(())
}

/// Runs one block of `examples/README.md`, and gives what it prints.
fn run_block(commands: &str) -> Result<String> {
    let ((_, listener, admin), (_, backend, second)) = (own_place()?, own_place()?);
    let folder = tempfile::TempDir::new()?;
    let gemini = folder.path().join("gemini").display().to_string();
    let here = |text: &str| {
        let port = |text: String, written: &str, ours: u16| text.replace(written, &ours.to_string());
        let text =
            ["8080", "8443"].iter().fold(text.to_owned(), |text, written| port(text, written, listener));
        let text = ["3000", "3001", "3443"].iter().fold(text, |text, written| port(text, written, backend));
        let text = port(text, "3002", second);
        text.replace("/tmp/gemini", &gemini)
    };
    copy(&workspace_root().join("examples"), &folder.path().join("examples"), &here)?;
    // A person waits until what runs in the background is ready, and ends what runs in the foreground. The function is only
    // called in the background, so that what is ended is the program.
    let run = format!(
        "chancery() {{ exec '{}' \"$@\" --bind 127.0.0.1 --admin 127.0.0.1:{admin}; }}\n\
         curl() {{ command curl --silent --show-error --retry 300 --retry-delay 1 --retry-connrefused \"$@\"; }}\n",
        scenario::binary()?.display()
    );
    let lines = commands.trim_end().lines().rev().skip(1);
    let blocking = lines.filter(|line| line.starts_with("chancery run")).find(|line| !line.ends_with('&'));
    ensure!(blocking.is_none(), "nothing is run after {blocking:?}, which does not end");
    let block = match commands.trim_end().rsplit_once('\n') {
        Some((before, last)) if last.starts_with("chancery run") => {
            format!("{before}\n{last} &\ncurl http://127.0.0.1:{admin}/readyz\n")
        }
        _ => commands.to_owned(),
    };
    let output = page::run(folder.path(), &format!("export GOOGLE_KEY=a-key\n{run}{}", here(&block)))?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{commands}\n{log}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_commands_of_the_examples_do_what_they_say() -> Result<()> {
    let text = fs::read_to_string(workspace_root().join("examples/README.md"))?;
    let blocks = page::steps(&text);
    assert!(blocks.len() >= 4, "{} blocks", blocks.len());
    let printed: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = blocks.iter().map(|block| scope.spawn(|| run_block(&block.commands))).collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect::<Result<_>>()
    })?;
    for (what, expected) in [
        ("gemini", "google"),
        ("https", "Directory listing"),
        ("mtls", "Directory listing"),
        ("jwt", " 401 "),
        ("jwt", " 403 "),
        ("ext-auth", " 401 "),
        ("ext-auth", " 200 "),
    ] {
        let found = blocks.iter().zip(&printed).find(|(block, _)| block.commands.contains(what));
        let (_, printed) = found.with_context(|| what.to_owned())?;
        ensure!(printed.contains(expected), "{what}: {printed}");
    }
    Ok(())
}

/// The commands of a page, one per line, without comments.
fn commands(page: &str) -> Vec<String> {
    let blocks = page::steps(page).into_iter().map(|step| step.commands.replace("\\\n", " "));
    let lines: Vec<String> =
        blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let without_comment = |line: &String| {
        let end = line.match_indices('#').map(|(at, _)| at).find(|at| *at == 0 || line[..*at].ends_with(' '));
        line[..end.unwrap_or(line.len())].trim().to_owned()
    };
    let parts = lines
        .iter()
        .map(without_comment)
        .flat_map(|line| line.split(" && ").map(str::trim).map(str::to_owned).collect::<Vec<_>>());
    parts.filter(|command| !command.is_empty()).collect()
}

/// The targets and variables of the Makefiles.
struct Make {
    text: String,
}

impl Make {
    fn read() -> Result<Self> {
        let files = [
            "Makefile",
            "helm.mk",
            "e2e/cluster/cluster.mk",
            "e2e/conformance/conformance.mk",
            "e2e/sdk/sdk.mk",
        ];
        let texts = files.map(|file| fs::read_to_string(workspace_root().join(file)));
        Ok(Self { text: texts.into_iter().collect::<Result<Vec<_>, _>>()?.join("\n") })
    }

    fn fault(&self, words: &[&str]) -> Option<String> {
        let is_known = |word: &&str| match word.split_once('=') {
            Some((variable, _)) => self.text.contains(&format!("$({variable})")),
            None => {
                let rule = format!("{word}:");
                self.text.lines().any(|line| line.starts_with(&rule) || line.starts_with(&format!("{word} ")))
            }
        };
        words.iter().find(|word| !is_known(word)).map(|word| format!("make has no {word}"))
    }
}

/// What `chancery SUBCOMMAND --help` does not have.
fn unknown_flag(words: &[&str]) -> Result<Option<String>> {
    let (subcommand, rest) = words.split_first().context("a subcommand")?;
    let help = Command::new(scenario::binary()?).args([*subcommand, "--help"]).output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let flags = rest.iter().filter(|word| word.starts_with("--"));
    let mut unknown = flags.filter(|flag| !help.contains(**flag));
    Ok(if help.contains("Usage") {
        unknown.next().map(|flag| (*flag).to_owned())
    } else {
        Some((*subcommand).to_owned())
    })
}

/// What is wrong with a command; programs of other projects are not looked at.
fn fault(command: &str, make: &Make) -> Result<Option<String>> {
    // A quoted value is one word.
    let unquoted: String = command.split('\'').step_by(2).collect::<Vec<_>>().join("x");
    let words: Vec<&str> = unquoted.split_whitespace().collect();
    let Some((program, rest)) = words.split_first() else { return Ok(None) };
    Ok(match *program {
        "make" => make.fault(rest),
        "cargo" => {
            let packages = rest.iter().zip(rest.iter().skip(1)).filter(|(flag, _)| **flag == "-p");
            let manifest = fs::read_to_string(workspace_root().join("Cargo.lock"))?;
            let is_known = |name: &str| manifest.contains(&format!("name = \"{name}\"\n"));
            packages
                .map(|(_, name)| *name)
                .find(|name| !is_known(name))
                .map(|name| format!("no package {name}"))
        }
        "helm" => {
            let chart = rest.get(2).map(|chart| workspace_root().join(chart).join("Chart.yaml"));
            (rest[0] == "install" && !chart.as_deref().is_some_and(Path::is_file))
                .then(|| "no chart".to_owned())
        }
        program if program.ends_with("chancery") => unknown_flag(rest)?,
        "kubectl" | "curl" | "python3" | "openssl" | "mkdir" | "cd" | "for" | "sed" | "done" => None,
        other => Some(format!("what is {other}?")),
    })
}

#[test]
fn what_the_commands_of_the_pages_name_exists() -> Result<()> {
    let make = Make::read()?;
    let (mut faults, mut count) = (Vec::new(), 0);
    for page in looked_at() {
        for command in commands(&fs::read_to_string(workspace_root().join(&page))?) {
            count += 1;
            faults.extend(fault(&command, &make)?.map(|fault| format!("{page}: {command}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 50, "{count} commands");
    for wrong in [
        "make nothing",
        "make test NOTHING=1",
        "chancery run --nothing",
        "chancery nothing",
        "cargo build -p nothing",
        "helm install a b",
    ] {
        assert!(fault(wrong, &make)?.is_some(), "{wrong}");
    }
    Ok(())
}

#[test]
fn every_page_with_commands_is_looked_at() -> Result<()> {
    let mut found = BTreeSet::new();
    let mut folders = vec![workspace_root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path: PathBuf = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "dist" {
                folders.push(path);
            } else if name.ends_with(".md") && !page::steps(&fs::read_to_string(&path)?).is_empty() {
                found.insert(path.strip_prefix(workspace_root())?.to_string_lossy().into_owned());
            }
        }
    }
    for page in looked_at().chain(OTHERWISE.map(str::to_owned)) {
        assert!(found.remove(&page), "{page} has no commands");
    }
    assert_eq!(found, BTreeSet::new());
    Ok(())
}
