//! Prints our CRDs as YAML: to standard output, or with `--out DIR` into one file each. `--reference FILE` writes the page
//! that says what each of their fields means.

use std::{env, error::Error, fs, path::Path, process::ExitCode};

const USAGE: &str = "usage: crd-yaml [--out DIR | --reference FILE]";

fn main() -> ExitCode {
    closed_pipe::end_quietly();
    let args: Vec<String> = env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print(),
        ["--out", folder] => write(Path::new(folder)),
        ["--reference", file] => fs::write(file, crds::reference()).map_err(Into::into),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crd-yaml: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<(), Box<dyn Error>> {
    for manifest in crds::manifests()? {
        println!("---\n{}", manifest.yaml.trim_end());
    }
    Ok(())
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for manifest in crds::manifests()? {
        fs::write(folder.join(&manifest.file_name), manifest.yaml)?;
    }
    Ok(())
}
