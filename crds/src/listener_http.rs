//! How listeners speak HTTP with clients, as kgateway's HTTPListenerPolicy says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a policy says about it; what is absent is the proxy's usual way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerHttp {
    /// `useRemoteAddress`
    pub use_remote_address: Option<bool>,
    /// `xffNumTrustedHops`
    pub xff_num_trusted_hops: Option<u32>,
    /// `serverHeaderTransformation`
    pub server_header: Option<ServerHeaderTransformation>,
    /// `idleTimeout`, as it is written.
    pub idle_timeout: Option<String>,
    /// `healthCheck.path`, as it is written.
    pub health_path: Option<String>,
    /// `preserveHttp1HeaderCase`
    pub preserve_case: Option<bool>,
    /// `acceptHttp10`
    pub accept_http10: Option<bool>,
    /// `defaultHostForHttp10`, as it is written.
    pub http10_host: Option<String>,
    /// `maxRequestHeadersKb`
    pub max_headers_kb: Option<i32>,
    /// `upgradeConfig.enabledUpgrades`, as it is written.
    pub upgrades: Option<Vec<String>>,
}

/// What becomes of the header `server` of answers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum ServerHeaderTransformation {
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// A path by which whoever balances the load asks whether the proxy is well.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct ListenerHealthCheck {
    /// The path. It is answered with 200, and with 503 once the proxy is told to end, before anything else is looked at.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// What connections may become.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerUpgrades {
    /// The names that clients write in the header upgrade: websocket. Others are not supported yet.
    #[schemars(length(min = 1, max = 10), inner(length(min = 1, max = 64)))]
    pub enabled_upgrades: Vec<String>,
}
