//! From the command line and the machine to the translator's [`Settings`].

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ir::{IpFamilies, Trust};
use translator::{Addressing, AiEngine, CONTROLLER_NAME, Settings};

use crate::ai_module;
use crate::args::{TestArgs, TranslationArgs};
use crate::bootstrap::XDS_CLUSTER;
use crate::controller_name::ControllerName;
use crate::source::file::io_message;

/// The classes that the Gateways of a file may name: ours and those of the dialects that we read.
const IMPLIED_CLASSES: [&str; 3] = ["chancery", "kgateway", "gloo-gateway"];

/// Where distributions keep the certificate authorities that their system trusts.
const SYSTEM_TRUST: [&str; 5] = [
    // Debian, Ubuntu, Arch, Gentoo
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    // SUSE
    "/etc/ssl/ca-bundle.pem",
    // RHEL 7
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // Alpine
    "/etc/ssl/cert.pem",
];

/// The settings of the standalone mode.
///
/// # Errors
/// `--upstream-ca` cannot be read, or `--ai-module` names a file that is no such module.
pub fn standalone(args: &TranslationArgs, machine: &Machine) -> Result<Settings> {
    let TranslationArgs { bind, connect_to, upstream_ca, stream_idle_timeout, access_log, ai_module, test } =
        args;
    let trust = match upstream_ca {
        Some(file) => read_trust(file)?,
        None => system_trust(machine),
    };
    Ok(Settings {
        controller_name: CONTROLLER_NAME.to_owned(),
        implied_classes: IMPLIED_CLASSES.map(str::to_owned).to_vec(),
        sole_controller: true,
        addressing: bind.map_or(Addressing::Loopback, Addressing::Fixed),
        // What a machine reaches changes with its networks.
        families: IpFamilies::Both,
        lowest_port: machine.lowest_port,
        connect_to: connect_to.clone(),
        trust,
        stream_idle_timeout: *stream_idle_timeout,
        access_log: access_log.as_deref().map(access_log_path).transpose()?,
        control_plane_cluster: XDS_CLUSTER.to_owned(),
        ai_engine: ai_module::engine(ai_module.as_deref(), machine.ai_module.as_deref())?,
        gateway_api_version: Some(crd_validation::GATEWAY_API_VERSION.to_owned()),
        test_hooks: test.hooks(),
    })
}

/// The settings of a cluster.
///
/// # Errors
/// `--upstream-ca` cannot be read.
pub fn cluster(
    controller_name: &ControllerName,
    upstream_ca: Option<&Path>,
    stream_idle_timeout: Duration,
    ai_engine: AiEngine,
    families: IpFamilies,
    test: &TestArgs,
) -> Result<Settings> {
    let settings = Settings {
        families,
        controller_name: controller_name.to_string(),
        stream_idle_timeout,
        ai_engine,
        test_hooks: test.hooks(),
        ..Settings::default()
    };
    match upstream_ca {
        Some(file) => Ok(Settings { trust: read_trust(file)?, ..settings }),
        None => Ok(settings),
    }
}

/// What there is to know about the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The lowest port that we may bind.
    pub lowest_port: u16,
    /// The system's certificate authorities, if there are any.
    pub trust_file: Option<PathBuf>,
    /// The module of the AI engine, if it stands beside this program.
    pub ai_module: Option<PathBuf>,
}

impl Machine {
    /// Looks at the machine that this runs on.
    pub fn detect() -> Self {
        let from_environment = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let candidates = from_environment.into_iter().chain(SYSTEM_TRUST.map(PathBuf::from));
        Self {
            lowest_port: lowest_port(),
            trust_file: candidates.into_iter().find(|path| path.is_file()),
            ai_module: std::env::current_exe().ok().and_then(|program| ai_module::beside(&program)),
        }
    }
}

/// Reads certificate authorities; checks no more than that some are there.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn read_trust(file: &Path) -> Result<Trust> {
    let pem = match fs::read_to_string(file) {
        Ok(pem) => pem,
        Err(error) => bail!("--upstream-ca: {}: {}", file.display(), io_message(&error)),
    };
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        bail!("--upstream-ca: {}: holds no certificate in PEM form", file.display());
    }
    Ok(Trust::Pem(pem))
}

fn system_trust(machine: &Machine) -> Trust {
    let file = machine.trust_file.clone().unwrap_or_else(|| {
        tracing::warn!(
            "no certificate authorities found on this system: TLS connections to providers will fail; \
             install the package ca-certificates, set SSL_CERT_FILE or use --upstream-ca"
        );
        PathBuf::from(SYSTEM_TRUST[0])
    });
    Trust::File(file.display().to_string())
}

fn access_log_path(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return Ok("/dev/stdout".to_owned());
    }
    let path = std::path::absolute(path).context("--access-log")?;
    Ok(path.display().to_string())
}

// --- the right to low ports ---

/// The bit of CAP_NET_BIND_SERVICE (capability.h).
const CAP_NET_BIND_SERVICE: u64 = 1 << 10;

/// The lowest port that this process, and so the Envoys that it starts, may bind.
fn lowest_port() -> u16 {
    let unprivileged = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // What Envoy will be able to do, not what we are: across exec, root keeps what it has, and
    // anybody else keeps the ambient capabilities alone.
    let set = if rustix::process::geteuid().is_root() { "CapEff" } else { "CapAmb" };
    let may_bind = capabilities(&status, set).is_some_and(|set| set & CAP_NET_BIND_SERVICE != 0);
    if may_bind { 1 } else { u16::max(unprivileged, 1) }
}

/// One of the sets of capabilities in the text of `/proc/PID/status`.
fn capabilities(status: &str, set: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// `127.0.0.1:8080`, `[::1]:8080`.
pub(crate) fn authority(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::tests::translation_args;

    #[test]
    fn settings_follow_the_arguments() {
        let machine = Machine { lowest_port: 1024, trust_file: Some("/trust.pem".into()), ai_module: None };
        let mut args = translation_args();
        let settings = standalone(&args, &machine).unwrap();
        assert_eq!(settings.addressing, Addressing::Loopback);
        assert_eq!(settings.trust, Trust::File("/trust.pem".to_owned()));
        assert_eq!((settings.lowest_port, settings.access_log), (1024, None));
        args.bind = Some("10.0.0.1".parse().unwrap());
        args.access_log = Some("-".into());
        let settings = standalone(&args, &machine).unwrap();
        assert_eq!(settings.addressing, Addressing::Fixed("10.0.0.1".parse().unwrap()));
        assert_eq!(settings.access_log.as_deref(), Some("/dev/stdout"));
    }

    #[test]
    fn an_upstream_ca_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = read_trust(file.path()).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
        let error = read_trust(Path::new("/does/not/exist")).unwrap_err().to_string();
        assert_eq!(error, "--upstream-ca: /does/not/exist: no such file or folder");
    }

    #[test]
    fn capabilities_are_read_from_the_status_of_the_process() {
        let status = "Name:\tx\nCapEff:\t0000000000000400\nCapAmb:\t0000000000000000\n";
        assert_eq!(capabilities(status, "CapEff"), Some(CAP_NET_BIND_SERVICE));
        assert_eq!(capabilities(status, "CapAmb"), Some(0));
        assert_eq!(capabilities("Name:\tx\n", "CapEff"), None);
    }
}
