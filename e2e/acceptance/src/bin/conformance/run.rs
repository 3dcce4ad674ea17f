//! One run of the suite.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use acceptance::{EchoGateway, Traffic, World};
use anyhow::{Context as _, Result};

use crate::Arguments;
use crate::processors::Ticks;
use crate::results::{Outcome, Results, TestResult};

/// The class that the chart installs.
const CLASS: &str = "chancery";

/// An address that the cluster's load balancer can give, and that no Service gets by chance: they are given from the
/// lowest on.
const USABLE_ADDRESS: &str = "10.90.7.7";

/// An address that is not the load balancer's to give.
const UNUSABLE_ADDRESS: &str = "192.0.2.1";

/// How long the test run may take. Nobody who watches it waits so long; it is there so that it ends.
const TIME_LIMIT: &str = "60m";

/// As for programs that read it: a test's result is written when it ends, not when all have. Lines of the test runner
/// then begin with a mark.
const TEST_OUTPUT: &str = "-test.v=test2json";
const MARK: char = '\u{16}';

/// Who implements what is tested, as the report says it.
const IMPLEMENTATION: [(&str, &str); 4] = [
    ("organization", "chancery"),
    ("project", "chancery"),
    ("url", "https://chancery.dev"),
    ("contact", "https://chancery.dev"),
];

/// Requests per second to a Gateway of its own while the suite makes and deletes others. Few, so that the suite has the
/// machine.
const PROBE_RATE: u32 = 50;

/// Runs the suite, and tells whether its test run passed, and no request failed to a Gateway that has nothing to do with it.
pub(crate) fn run(world: &World, arguments: &Arguments) -> Result<bool> {
    let gateway = EchoGateway::new("probe");
    gateway.deploy_backend(world);
    let address = gateway.deploy_gateway(world);
    let probe = Traffic::start_at(PROBE_RATE, world, "Probe", &address, EchoGateway::HOST);
    let passed = run_suite(world, arguments)?;
    let failed = probe.stop().failed();
    Ok(passed && failed == 0)
}

fn run_suite(world: &World, arguments: &Arguments) -> Result<bool> {
    let program = absolute(&arguments.program)?;
    for folder in [Some(arguments.output.as_path()), arguments.report.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let log = arguments.output.join("output.log");
    let mut output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let started = Instant::now();
    let ticks = Ticks::now()?;
    let mut suite = world
        .cluster
        .inside(program)
        .args([TEST_OUTPUT, "-test.timeout", TIME_LIMIT])
        .args(flags(arguments)?)
        .args(&arguments.flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Words of the suite's libraries.
        .stderr(output.try_clone().context("share the log")?)
        .spawn()
        .context("start the suite")?;
    let lines = BufReader::new(suite.stdout.take().context("the suite's output")?);
    let mut results = Results::default();
    for line in lines.lines() {
        let line = line.context("read the suite's output")?;
        let line = line.trim_start_matches(MARK);
        writeln!(output, "{line}").context("write the log")?;
        let Some(result) = TestResult::parse(line) else { continue };
        if result.outcome != Outcome::Skipped {
            println!("{:6.0} s  {:?} {}", started.elapsed().as_secs_f64(), result.outcome, result.name);
            results.add(result);
        } else if arguments.test.is_none() {
            results.add(result);
        }
    }
    let passed = suite.wait().context("wait for the suite")?.success();
    let idle = Ticks::now()?.idle_since(ticks);
    println!("{results}");
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    println!("{minutes:.1} min, of which the machine's processors waited {:.0} %", 100.0 * idle);
    println!("Report: {}\nOutput: {}", arguments.report.display(), log.display());
    Ok(passed)
}

/// The suite's flags. The features to test are not among them: it takes those that the GatewayClass claims.
fn flags(arguments: &Arguments) -> Result<Vec<String>> {
    let report = arguments.report.parent().map(absolute).transpose()?.context("the report has a folder")?;
    let report = report.join(arguments.report.file_name().context("the report has a name")?);
    let mut flags = vec![
        ("gateway-class", CLASS.to_owned()),
        ("conformance-profiles", arguments.profiles.join(",")),
        ("usable-address", USABLE_ADDRESS.to_owned()),
        ("unusable-address", UNUSABLE_ADDRESS.to_owned()),
        ("report-output", report.display().to_string()),
        ("version", format!("v{}", env!("CARGO_PKG_VERSION"))),
    ];
    flags.extend(IMPLEMENTATION.map(|(name, value)| (name, value.to_owned())));
    flags.extend(arguments.test.iter().map(|test| ("run-test", test.clone())));
    Ok(flags.into_iter().map(|(name, value)| format!("-{name}={value}")).collect())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("find {}", path.display()))
}
