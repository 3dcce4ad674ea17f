//! The shared libraries that a program needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, IoContext as _, Result};

/// The shared libraries that `program` needs, the loader included, as `ldd` finds them. None for a
/// static program.
pub(super) fn of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context(|| "run ldd".to_owned())?;
    let answer = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return parse(&answer);
    }
    // `ldd` calls it a failure when there is nothing to look for.
    if answer.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    Err(Error::Unexpected(format!("ldd {}: {}", program.display(), answer.trim())))
}

fn parse(answer: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in answer.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place.starts_with("not found") {
            return Err(Error::Unexpected(format!("the shared library {name} is not found")));
        }
        if place.starts_with('/') {
            libraries.extend(place.split_whitespace().next().map(PathBuf::from));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let answer = "\tlinux-vdso.so.1 (0x00007ffd1)\n\
                      \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        let found = parse(answer).expect("all are there");
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(found, expected.map(std::path::PathBuf::from));
    }

    #[test]
    fn a_missing_library_is_an_error_that_names_it() {
        let error = parse("\tlibgone.so.1 => not found\n").expect_err("it is missing");
        assert!(error.to_string().contains("libgone.so.1"), "{error}");
    }
}
