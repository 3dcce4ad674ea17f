//! What `chancery check` says of typical mistakes (`tests/mistakes`), and of documents as other projects publish them
//! (`tests/shapes`, written anew): of each NAME.yaml the lines in NAME.expected.
//!
//! `make golden` (`UPDATE_GOLDEN=1`) rewrites what is expected. Each line is to say what is wrong, where, and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use controlplane::args::{Args, Command};
use controlplane::check::check_command;
use controlplane::exit::Outcome;
use controlplane::settings::Machine;

/// What a check of one file prints, with how it ends.
fn said(path: &Path) -> String {
    let Command::Check(args) = Args::parse_from(["chancery", "check", path.to_str().unwrap()]).command else {
        panic!("another command");
    };
    let machine = Machine { lowest_port: 1, trust_file: Some("/trust.pem".into()), ai_module: None };
    let printed = check_command(&args, &machine).unwrap();
    let folder = format!("{}/", path.parent().unwrap().display());
    let notices: String = printed.remarks.lines().map(|line| format!("notice: {line}\n")).collect();
    let exit = if printed.outcome == Outcome::Success { 0 } else { 1 };
    format!("{notices}{}exit {exit}\n", printed.output).replace(&folder, "")
}

/// Compares what is said of every file of a folder with what is expected.
fn compare(folder: &str, at_least: usize) -> Vec<(PathBuf, String)> {
    let folder = Path::new("tests").join(folder);
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut inputs, mut outputs): (Vec<_>, Vec<_>) =
        entries.partition(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    inputs.sort();
    outputs.sort();
    assert!(inputs.len() >= at_least, "{} files in {}", inputs.len(), folder.display());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for input in &inputs {
        let (text, expected) = (said(input), input.with_extension("expected"));
        if update {
            fs::write(&expected, &text).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", input.display()));
        }
        all.push((input.clone(), text));
    }
    assert!(wrong.is_empty(), "{}\nIf this is as wanted: make golden", wrong.join("\n"));
    let known: Vec<_> = inputs.iter().map(|input| input.with_extension("expected")).collect();
    for output in outputs.iter().filter(|output| !known.contains(output)) {
        assert!(update, "{} has no input; make golden removes it", output.display());
        fs::remove_file(output).unwrap();
    }
    all
}

/// Words of the programming language, and of libraries.
const FOREIGN_WORDS: [&str; 9] =
    ["i32", "u16", "nonzero", "expected ", "invalid type", "struct ", "Some(", "None", "variant"];

#[test]
fn mistakes_are_told_at_their_place() {
    for (input, text) in compare("mistakes", 40) {
        let name = input.file_name().unwrap().to_str().unwrap();
        let lines: Vec<_> = text.lines().collect();
        let told: Vec<_> = lines.iter().filter(|line| line.starts_with(name)).collect();
        assert!(!told.is_empty(), "{name}: nothing is told\n{text}");
        for line in told {
            let is_placed = line[name.len()..].starts_with(':');
            assert!(is_placed, "{name}: {line}");
            for word in FOREIGN_WORDS {
                assert!(!line.contains(word), "{name}: {word:?} in {line}");
            }
        }
        assert!(
            lines.iter().rev().nth(1).unwrap().contains(" problem"),
            "{name}: the last line counts\n{text}"
        );
    }
}

#[test]
fn documents_of_other_projects_are_read_as_they_are() {
    compare("shapes", 20);
}
