//! `cluster`: a one-node Kubernetes for a person. `make cluster` and `make cluster-down` use it.

mod held;

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use cluster::{Cluster, GatewayApi, Image, Options, Tools, images};

use held::Held;

#[derive(Debug, Parser)]
#[command(about = "A real one-node Kubernetes in namespaces of its own, without a container engine")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring a cluster up and keep it until `down`; says how to use it.
    Up(Up),
    /// Hold a cluster in the foreground (what `up` starts).
    #[command(hide = true)]
    Hold(Up),
    /// End a cluster; nothing is left of it.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Run a command inside: `cluster exec kubectl get pods -A`, `cluster exec bash`.
    Exec {
        #[command(flatten)]
        which: Which,
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Make an image tarball of programs, without a container engine.
    Image {
        /// The image's name, such as `chancery:dev`.
        #[arg(long)]
        name: String,
        /// The tarball to write.
        #[arg(long)]
        output: PathBuf,
        /// More files, as `source:/target`.
        #[arg(long = "file", value_name = "SOURCE:TARGET")]
        files: Vec<String>,
        /// The numeric user and group.
        #[arg(long, default_value = cluster::NONROOT)]
        user: String,
        /// The programs; the first one is the entry point.
        #[arg(required = true)]
        programs: Vec<PathBuf>,
    },
}

#[derive(Clone, Debug, Args)]
struct Which {
    /// Which cluster, when there are several.
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    which: Which,
    /// Image tarballs for its pods, besides the stock Envoy and echo-basic.
    #[arg(long = "image", value_name = "TARBALL")]
    images: Vec<PathBuf>,
    /// Answer NAME in the cluster's DNS with the addresses of TARGET.
    #[arg(long = "dns-alias", value_name = "NAME=TARGET")]
    dns_aliases: Vec<String>,
}

fn main() -> ExitCode {
    closed_pipe::end_quietly();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says: what is missing here is not a bug.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    match action {
        Action::Up(up) => bring_up(&up),
        Action::Hold(up) => hold(&up),
        Action::Down { which } => match Held::find(&which.name)? {
            Some(held) => held.end(),
            None => {
                println!("No cluster {} is up.", which.name);
                Ok(())
            }
        },
        Action::Exec { which, command } => exec(&which, &command),
        Action::Image { name, output, files, user, programs } => {
            let mut image = Image::new(name).user(&user);
            for program in programs {
                image = image.program(program);
            }
            for file in files {
                let (source, target) = file.split_once(':').context("--file takes SOURCE:TARGET")?;
                image = image.file(source, target);
            }
            Ok(image.write(&output)?)
        }
    }
}

/// Starts `hold` as a process that outlives this one, and waits until its cluster is ready.
fn bring_up(up: &Up) -> Result<()> {
    // Said here rather than in the log of the other process.
    Tools::locate()?;
    if let Some(held) = Held::find(&up.which.name)? {
        print_usage(&up.which, &held);
        return Ok(());
    }
    let started = Instant::now();
    let log = Held::log(&up.which.name)?;
    let output = fs::File::create(&log)?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(action) = arguments.first_mut() {
        *action = "hold".into();
    }
    let mut holder = std::process::Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    loop {
        if let Some(held) = Held::find(&up.which.name)? {
            println!(
                "Kubernetes {} is up ({:.1} s).",
                cluster::kubernetes_version(),
                started.elapsed().as_secs_f64()
            );
            print_usage(&up.which, &held);
            return Ok(());
        }
        if holder.try_wait()?.is_some() {
            bail!("{}", fs::read_to_string(log)?.trim());
        }
        thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn hold(up: &Up) -> Result<()> {
    let aliases = up.dns_aliases.iter().map(|alias| {
        let (name, target) = alias.split_once('=').context("--dns-alias takes NAME=TARGET")?;
        Ok((name.to_owned(), target.to_owned()))
    });
    let tools = Tools::locate()?;
    let mut options = Options { dns_aliases: aliases.collect::<Result<_>>()?, ..Options::default() };
    options.images = vec![images::envoy(&tools)?, images::echo(&tools)?];
    options.images.extend(up.images.iter().cloned());
    let cluster = Cluster::start(&options)?;
    cluster.install_gateway_api(&GatewayApi::Experimental)?;
    Held::record(&up.which.name, &cluster)?;
    // Until SIGTERM; the end of this process is the end of the cluster.
    loop {
        thread::park();
    }
}

fn exec(which: &Which, command: &[OsString]) -> Result<()> {
    let held = Held::find(&which.name)?.context("no such cluster is up: run `make cluster`")?;
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let error = held.entrance(&Tools::locate()?).command(program).args(arguments).exec();
    Err(error).context("cannot run nsenter")
}

fn print_usage(which: &Which, held: &Held) {
    let program = std::env::args().next().unwrap_or_else(|| "cluster".to_owned());
    let name = if which.name == "default" { String::new() } else { format!(" --name {}", which.name) };
    println!(
        "  {program} exec{name} kubectl get pods -A\n  \
           {program} exec{name} curl http://10.90.0.1     # the first load balancer's address\n  \
           {program} exec{name} helm list -A\n  \
           {program} exec{name} bash                      # a shell in it\n\
         Addresses answer only inside. Logs: {}\n\
         End it: {program} down{name}",
        held.logs().display()
    );
}
