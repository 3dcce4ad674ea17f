//! `make conformance`: the official conformance suite of Gateway API against Chancery in a one-node cluster, with the
//! suite's own backends as pods. Fails when the suite's test run does, or a request to a Gateway that is not the suite's.

mod processors;
mod results;
mod run;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use acceptance::{Setup, World};
use anyhow::{Context as _, Result};
use clap::Parser;
use cluster::{GatewayApi, images};

#[derive(Debug, Parser)]
#[command(about = "The conformance suite of Gateway API against Chancery in a one-node cluster")]
struct Arguments {
    /// The compiled test of e2e/conformance.
    #[arg(long)]
    program: PathBuf,
    /// A file with the names of the images that the suite's manifests use, one a line.
    #[arg(long)]
    images: PathBuf,
    /// The folder of Gateway API's custom resource definitions of the suite's version.
    #[arg(long)]
    crds: PathBuf,
    /// The profiles to run, separated by commas, such as GATEWAY-HTTP.
    #[arg(long, value_delimiter = ',', required = true)]
    profiles: Vec<String>,
    /// One test to run in place of all.
    #[arg(long)]
    test: Option<String>,
    /// The folder of the suite's output (`output.log`) and of what the run leaves behind.
    #[arg(long)]
    output: PathBuf,
    /// The file of the report.
    #[arg(long)]
    report: PathBuf,
    /// More flags of the suite.
    #[arg(last = true)]
    flags: Vec<String>,
}

fn main() -> Result<ExitCode> {
    closed_pipe::end_quietly();
    let arguments = Arguments::parse();
    let names = fs::read_to_string(&arguments.images)
        .with_context(|| format!("read the names of images in {}", arguments.images.display()))?;
    let world = World::start(&Setup {
        gateway_api: Some(GatewayApi::Folder(arguments.crds.clone())),
        // Nothing that is measured here is about its availability, and the node is small.
        values: vec!["replicas=1".to_owned()],
        ..Setup::default()
    });
    let _guard = world.cluster.keep_logs_on_panic();
    for name in names.lines() {
        world.cluster.load_image(&images::of_suite(world.cluster.tools(), name)?)?;
    }
    let passed = run::run(&world, &arguments)?;
    if !passed {
        world.cluster.keep_logs()?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
