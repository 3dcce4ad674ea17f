//! What the control plane decides once, for every Gateway: plain data, no environment.

use std::net::IpAddr;
use std::time::Duration;

use ir::{HostPort, IpFamilies, ModuleSource, Trust};

/// The controller name that our GatewayClasses carry.
pub const CONTROLLER_NAME: &str = "chancery.dev/gateway-controller";

/// The default of [`Settings::control_plane_cluster`].
pub const CONTROL_PLANE_CLUSTER: &str = "xds_cluster";

/// The default of [`Settings::stream_idle_timeout`], which is Envoy's, too.
pub const DEFAULT_STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How to translate; the other input of [`crate::translate`] beside the objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// GatewayClasses with this `controllerName` are ours, and our status entries carry it.
    pub controller_name: String,
    /// Names of GatewayClasses that are ours even where no such object exists (standalone mode,
    /// in which nobody installs a class).
    pub implied_classes: Vec<String>,
    /// Whether no other controller reads the same objects (standalone mode), so that what names no
    /// Gateway of ours is a mistake and not somebody else's business.
    pub sole_controller: bool,
    /// Which addresses listeners bind.
    pub addressing: Addressing,
    /// The families of the network that proxies are in. Endpoints of others are left out, since no proxy can reach them.
    pub families: IpFamilies,
    /// The lowest port that the proxies may bind.
    pub lowest_port: u16,
    /// Replacements of upstream addresses, the first that fits wins.
    pub connect_to: Vec<ConnectTo>,
    /// Who may have signed the certificates of backends that say nothing else.
    pub trust: Trust,
    /// How long a request may pass without any byte in either direction, unless its route says otherwise.
    pub stream_idle_timeout: Duration,
    /// The file that proxies write their access log to; `None` for no log.
    pub access_log: Option<String>,
    /// The proxies' cluster that leads to the control plane: it counts for rate limits.
    pub control_plane_cluster: String,
    /// Whether proxies have the AI engine.
    pub ai_engine: AiEngine,
    /// The version of Gateway API that objects are held to where no CRD says it (standalone mode), such as `v1.6.3`.
    pub gateway_api_version: Option<String>,
    /// For tests of what must not happen.
    pub test_hooks: TestHooks,
}

/// Whether proxies have the AI engine, and where they get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AiEngine {
    /// They load this module.
    Available(ModuleSource),
    /// They have none, for this reason: a part of a sentence, for people.
    Unavailable(String),
}

/// What tests break on purpose. All off by default, and there is no way to set them from outside but by a hidden
/// option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestHooks {
    /// Translating an object of this name panics.
    pub panic_at: Option<String>,
    /// Values that Envoy refuses are not refused by us, so that Envoy gets to refuse them.
    pub unchecked_values: bool,
}

/// Which addresses listeners bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Every interface, in the families of the network: each proxy has a network of its own.
    AllInterfaces,
    /// Every interface, and clients come by the Service that is named as the proxy: its addresses are the
    /// Gateway's, and a readiness listener says when the proxy has its configuration.
    Service,
    /// 127.0.0.1; a Gateway that wants a port that an earlier one (by name) has there gets the
    /// next loopback address.
    Loopback,
    /// This one address; a Gateway that wants a port that an earlier one has there does not get it.
    Fixed(IpAddr),
}

/// curl's `--connect-to`: connections for one host and port go to another, while TLS, `Host` and
/// everything else stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// The host it is about; `None` for every host.
    pub host: Option<String>,
    /// The port it is about; `None` for every port.
    pub port: Option<u16>,
    /// The host to connect to instead; `None` for the same.
    pub to_host: Option<String>,
    /// The port to connect to instead; `None` for the same.
    pub to_port: Option<u16>,
}

impl Addressing {
    /// Whether each proxy has a network of its own, in which localhost is the proxy itself.
    pub fn is_own_network(self) -> bool {
        matches!(self, Self::AllInterfaces | Self::Service)
    }
}

impl Default for Settings {
    /// The settings of a cluster: our own class only, a Service for each proxy, the proxy image's trust.
    fn default() -> Self {
        Self {
            controller_name: CONTROLLER_NAME.to_owned(),
            implied_classes: Vec::new(),
            sole_controller: false,
            addressing: Addressing::Service,
            families: IpFamilies::default(),
            lowest_port: 1,
            connect_to: Vec::new(),
            trust: Trust::File("/etc/ssl/certs/ca-certificates.crt".to_owned()),
            stream_idle_timeout: DEFAULT_STREAM_IDLE_TIMEOUT,
            access_log: Some("/dev/stdout".to_owned()),
            control_plane_cluster: CONTROL_PLANE_CLUSTER.to_owned(),
            ai_engine: AiEngine::Unavailable("the control plane has no module for them".to_owned()),
            gateway_api_version: None,
            test_hooks: TestHooks::default(),
        }
    }
}

impl Settings {
    /// Where connections for `target` really go.
    pub fn connect(&self, target: HostPort) -> HostPort {
        let fits = |rule: &&ConnectTo| {
            rule.host.as_ref().is_none_or(|host| host.eq_ignore_ascii_case(&target.host))
                && rule.port.is_none_or(|port| port == target.port)
        };
        match self.connect_to.iter().find(fits) {
            Some(rule) => HostPort {
                host: rule.to_host.clone().unwrap_or(target.host),
                port: rule.to_port.unwrap_or(target.port),
            },
            None => target,
        }
    }
}
