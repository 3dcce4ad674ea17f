//! The command line: what was typed, not yet what it means. The doc comments are the help.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use ir::IpFamilies;
use translator::{ConnectTo, TestHooks};

use crate::connect_to::parse_connect_to;
use crate::controller_name::ControllerName;

/// What `--version` prints.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), "\nmade for Envoy ", include_str!("../../.envoy-version"))
        .trim_ascii_end();

/// A Gateway API control plane with AI backends, for unmodified Envoy.
#[derive(Debug, Parser)]
#[command(name = "chancery", version = VERSION, max_term_width = 100)]
pub struct Args {
    /// What to log on stderr: a level (error, warn, info, debug, trace) or a filter such as
    /// `info,xds=debug`. Keys and tokens are never logged.
    #[arg(
        long,
        global = true,
        env = "RUST_LOG",
        value_name = "FILTER",
        default_value = "info",
        display_order = 1000
    )]
    pub log: String,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the Gateways of YAML files from this machine.
    ///
    /// Starts one Envoy per Gateway, prints what is served where, follows every save, and drains the
    /// Envoys on Ctrl-C (a second Ctrl-C ends them at once).
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),

    /// Serve the Gateways of a Kubernetes cluster.
    ///
    /// Reads the cluster's Gateways, routes and backends, runs one fleet of Envoys per Gateway, serves
    /// them over xDS and writes statuses. Several replicas share the work: all serve, one writes.
    Serve(Box<ServeArgs>),

    /// Print Envoy's configuration and every status, without running anything.
    ///
    /// The same input gives the same output. Secrets are not shown.
    #[command(after_help = TRANSLATE_EXAMPLES)]
    Translate(TranslateArgs),

    /// Say what is wrong with YAML files, one line per problem.
    ///
    /// The last line counts what was read and what was found. Exits with 0 if nothing is wrong, with 1 if something is,
    /// and with 2 if the command line is wrong. Warnings are about what works, but probably not as it was meant.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),

    /// Becomes an Envoy that ends with its parent (internal).
    #[command(hide = true)]
    ExecEnvoy(ExecEnvoyArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  chancery run gateway.yaml routes/            serve on 127.0.0.1
  chancery run --bind 0.0.0.0 .                serve on every IPv4 address
  chancery run --bind :: .                     serve on every address, IPv4 and IPv6
  chancery run --connect-to api.openai.com:443:127.0.0.1:8443 --upstream-ca ca.pem .
                                               replace a provider by a local one";

const TRANSLATE_EXAMPLES: &str = "\
Examples:
  chancery translate routes/
  kubectl get gateways,httproutes,services -A -o yaml | chancery translate -";

const CHECK_EXAMPLES: &str = "\
Examples:
  chancery check routes/ && echo fine
  chancery check -                             read standard input
  chancery check --strict --for-cluster --output sarif deploy/ > chancery.sarif
                                               in the review of a change";

/// `chancery run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Files and folders of YAML or JSON (folders with all below them: *.yaml, *.yml, *.json).
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How to translate.
    #[command(flatten)]
    pub translation: TranslationArgs,

    /// The Envoy binary. Without it: the one in .tools/, then the one in PATH.
    #[arg(long, env = "CHANCERY_ENVOY", value_name = "FILE")]
    pub envoy: Option<PathBuf>,

    /// Worker threads of each Envoy [default: 2, or fewer on a smaller machine].
    #[arg(long, value_name = "N")]
    pub envoy_concurrency: Option<NonZeroU32>,

    /// Where to keep sockets, bootstraps and Envoy's logs [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Address of health (/healthz, /readyz), Prometheus metrics (/metrics) and statuses (/status),
    /// or `off`.
    #[arg(long, value_name = "ADDR:PORT|off", default_value = "127.0.0.1:15000")]
    pub admin: AdminAddress,

    /// How long requests may take to finish on Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub drain_timeout: Duration,

    /// Rate limits.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Who counts for rate limits.
#[derive(Debug, clap::Args)]
pub struct LimitArgs {
    /// A Redis or Valkey server that holds the counts of rate limits, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`:
    /// several replicas share them, and they outlive us [default: in memory].
    #[arg(long, env = "CHANCERY_LIMIT_STORE", hide_env_values = true, value_name = "URL")]
    pub limit_store: Option<String>,

    /// How long what a request has reserved of a budget waits for the end of the request. Then it is charged as it is, since its
    /// proxy may be gone.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = parse_seconds)]
    pub reservation_lease: Duration,
}

/// `chancery serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The `controllerName` of the GatewayClasses to serve. Another control plane in the same cluster has another.
    #[arg(long, value_name = "DOMAIN/NAME", default_value_t)]
    pub controller_name: ControllerName,

    /// Address of the xDS port, which Envoys connect to (TLS 1.3, with service account tokens) [default: port 18000 of
    /// every interface].
    #[arg(long, value_name = "ADDR:PORT")]
    pub xds_bind: Option<SocketAddr>,

    /// The IP addresses of our pod. Their families are those of the cluster's network: of the addresses that Envoys listen
    /// on, of the endpoints that they can reach, and of their Services [default: IPv4].
    #[arg(long, env = "POD_IPS", value_name = "IP,...", value_delimiter = ',')]
    pub pod_ips: Vec<IpAddr>,

    /// Name of the Service of the xDS port, in our namespace: its DNS names are those that the
    /// certificate of the xDS port is for.
    #[arg(long, value_name = "NAME", default_value = "chancery")]
    pub xds_service: String,

    /// How many xDS streams may begin per second: so many of Envoys whose tokens are known, and so many of others. More
    /// wait for their turn, and those that would wait longer than 10 s are told to try again.
    #[arg(long, value_name = "STREAMS", default_value = "200")]
    pub max_new_streams_per_second: NonZeroU32,

    /// The image of the Envoys, unless GatewayParameters name another.
    #[arg(long, value_name = "IMAGE", default_value = crate::deployer::kubernetes::DEFAULT_IMAGE)]
    pub proxy_image: String,

    /// Address of health (/healthz, /readyz), Prometheus metrics (/metrics) and statuses (/status),
    /// or `off`. The other replicas ask there, too, what our Envoys refuse (/refusals); with `off`
    /// the status of a Gateway may lack that [default: port 9093 of every interface].
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub admin: Option<AdminAddress>,

    /// Our own namespace: of the Lease that decides who writes, and of the xDS authority's Secret.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "chancery-system")]
    pub namespace: String,

    /// What to call this replica; another name than all others have [default: the host name and the
    /// process ID].
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// How to reach the API server [default: as a pod does].
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Certificate authorities (PEM) that may sign the certificates of providers and backends
    /// [default: those of the proxy's image]. Followed when it changes.
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// How long a request may pass without any byte in either direction, unless its route's timeouts say
    /// otherwise.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = parse_seconds)]
    pub stream_idle_timeout: Duration,

    /// The module that Envoys fetch from the xDS port to change and count AI requests, or `off` [default:
    /// the one of this program's architecture in ../lib/chancery].
    #[arg(long, env = "CHANCERY_AI_MODULE", value_name = "FILE|off")]
    pub ai_module: Option<PathBuf>,

    /// For tests.
    #[command(flatten)]
    pub test: TestArgs,

    /// Rate limits.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What tests break on purpose; not shown to users.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct TestArgs {
    /// Pass values on to Envoy that it refuses.
    #[arg(long, hide = true)]
    pub test_unchecked_values: bool,

    /// Panic when an object of this name is translated.
    #[arg(long, hide = true, value_name = "NAME")]
    pub test_panic_at: Option<String>,
}

impl TestArgs {
    /// As the translator takes them.
    pub fn hooks(&self) -> TestHooks {
        TestHooks { panic_at: self.test_panic_at.clone(), unchecked_values: self.test_unchecked_values }
    }
}

/// `chancery translate`.
#[derive(Debug, clap::Args)]
pub struct TranslateArgs {
    /// Files and folders of YAML or JSON; `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How to translate.
    #[command(flatten)]
    pub translation: TranslationArgs,

    /// The form of the output.
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "yaml")]
    pub output: OutputForm,
}

/// `chancery check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Files and folders of YAML or JSON; `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How to translate.
    #[command(flatten)]
    pub translation: TranslationArgs,

    /// Exit with 1 for warnings, too.
    #[arg(long)]
    pub strict: bool,

    /// The files are for a cluster, and not for `chancery run`: every port may be used, the cluster knows where
    /// Services run, and a route without parentRefs is served nowhere.
    #[arg(long)]
    pub for_cluster: bool,

    /// The form of the output: lines, JSON, or SARIF 2.1.0, which tools for code review show in place.
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "text")]
    pub output: CheckOutput,
}

/// What the translation depends on beside the objects.
#[derive(Clone, Debug, clap::Args)]
pub struct TranslationArgs {
    /// The address that listeners bind [default: 127.0.0.1, and 127.0.0.2 … for Gateways that want
    /// the same port].
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,

    /// Connect to HOST2:PORT2 for HOST:PORT, as curl's flag: TLS and Host header stay. An empty part
    /// fits all, or changes nothing; IPv6 addresses stand in brackets. May be repeated, the first
    /// that fits wins.
    #[arg(long, value_name = "HOST:PORT:HOST2:PORT2", value_parser = parse_connect_to)]
    pub connect_to: Vec<ConnectTo>,

    /// Certificate authorities (PEM) that may sign the certificates of providers and backends
    /// [default: the system's]. Followed when it changes.
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// How long a request may pass without any byte in either direction, unless its route's timeouts say
    /// otherwise.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = parse_seconds)]
    pub stream_idle_timeout: Duration,

    /// Write an access log to this file, or to standard output with `-`.
    #[arg(long, value_name = "FILE|-")]
    pub access_log: Option<PathBuf>,

    /// The module that Envoys load to change and count AI requests, or `off` [default: libchancery_ai.so
    /// beside this program, or in ../lib/chancery].
    #[arg(long, env = "CHANCERY_AI_MODULE", value_name = "FILE|off")]
    pub ai_module: Option<PathBuf>,

    /// For tests.
    #[command(flatten)]
    pub test: TestArgs,
}

/// The hidden command that an Envoy is started through.
#[derive(Debug, clap::Args)]
pub struct ExecEnvoyArgs {
    /// The process that must live on.
    #[arg(long)]
    pub parent: i32,

    /// The Envoy binary and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// The form of `translate`'s output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// The form of `check`'s output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// A line for each finding.
    Text,
    /// JSON.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

impl ServeArgs {
    /// The families of the cluster's network.
    pub fn families(&self) -> IpFamilies {
        IpFamilies::of(&self.pod_ips).unwrap_or_default()
    }

    /// Where Envoys connect to.
    pub fn xds_address(&self) -> SocketAddr {
        self.xds_bind.unwrap_or((self.families().every_interface(), XDS_PORT).into())
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> AdminAddress {
        self.admin.unwrap_or(AdminAddress::At((self.families().every_interface(), ADMIN_PORT).into()))
    }
}

/// The usual port of the xDS server.
const XDS_PORT: u16 = 18000;
/// The usual port of the admin server in a cluster.
const ADMIN_PORT: u16 = 9093;

/// Where the admin server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for AdminAddress {
    type Err = String;

    /// `off`, `ADDR:PORT`, or a port of 127.0.0.1.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Ok(port) = text.trim_start_matches(':').parse() {
            return Ok(Self::At((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "not an address with a port, such as 127.0.0.1:15000, nor `off`".to_owned())
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.trim_end_matches('s').parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn admin_addresses_are_read() {
        let rows = [
            ("off", Ok(AdminAddress::Off)),
            ("127.0.0.1:9", Ok(AdminAddress::At("127.0.0.1:9".parse().unwrap()))),
            ("[::1]:9", Ok(AdminAddress::At("[::1]:9".parse().unwrap()))),
            ("9", Ok(AdminAddress::At("127.0.0.1:9".parse().unwrap()))),
            (":9", Ok(AdminAddress::At("127.0.0.1:9".parse().unwrap()))),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<AdminAddress>(), expected, "{text}");
        }
        assert!("localhost".parse::<AdminAddress>().is_err());
    }

    #[test]
    fn the_version_names_the_envoy_that_it_is_made_for() {
        assert!(VERSION.contains(proto_version()), "{VERSION}");
    }

    fn proto_version() -> &'static str {
        include_str!("../../.envoy-version").trim()
    }

    #[test]
    fn run_needs_a_path() {
        let error = Args::try_parse_from(["chancery", "run"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
