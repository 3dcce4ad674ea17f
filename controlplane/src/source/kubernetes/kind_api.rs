//! The requests that list and watch one kind, and what may be absent from a cluster.

use std::time::Duration;

use crds::{KindInfo, gateway_api};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use serde::de::IgnoredAny;
use tokio::time::timeout;

use super::end::End;

/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;

/// Seconds after which the API server ends a watch, so that watches spread over its replicas anew.
const WATCH_SECONDS: u32 = 290;

/// How long the API server may take for a short answer.
const TRIAL_PATIENCE: Duration = Duration::from_secs(2);

/// Secrets of these types are never a certificate or a key that an object of ours may name; a cluster
/// has many of them, and large ones.
pub(super) const FOREIGN_SECRET_TYPES: [&str; 5] = [
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/service-account-token",
];

/// One kind in one of its versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct KindApi {
    pub kind: &'static KindInfo,
    pub version: &'static str,
}

type HttpRequest = http::Request<Vec<u8>>;

impl KindApi {
    /// The `apiVersion` of what is read.
    pub(super) fn api_version(&self) -> String {
        match self.kind.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// One page; the first without a token.
    pub(super) fn list(&self, continue_token: Option<String>) -> Result<HttpRequest, kube::Error> {
        let parameters = ListParams {
            field_selector: self.field_selector(),
            limit: Some(PAGE_SIZE),
            continue_token,
            ..ListParams::default()
        };
        self.request().list(&parameters).map_err(kube::Error::BuildRequest)
    }

    /// A watch that begins with all objects as they are now, and a bookmark after them.
    pub(super) fn list_and_watch(&self) -> Result<HttpRequest, kube::Error> {
        // Without a resource version: as new as the API server has it, never an older state from a cache.
        self.request().watch(&self.watch_parameters(true), "").map_err(kube::Error::BuildRequest)
    }

    /// A watch of what changes after a version.
    pub(super) fn watch(&self, resource_version: &str) -> Result<HttpRequest, kube::Error> {
        self.request()
            .watch(&self.watch_parameters(false), resource_version)
            .map_err(kube::Error::BuildRequest)
    }

    fn watch_parameters(&self, send_initial_events: bool) -> WatchParams {
        WatchParams {
            field_selector: self.field_selector(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events,
            ..WatchParams::default()
        }
    }

    fn field_selector(&self) -> Option<String> {
        match (self.kind.group, self.kind.kind) {
            ("", "Secret") => Some(FOREIGN_SECRET_TYPES.map(|foreign| format!("type!={foreign}")).join(",")),
            // Of all CRDs the one that says which version of Gateway API there is; nothing else may be read.
            (_, "CustomResourceDefinition") => Some(format!("metadata.name={}", gateway_api::VERSIONED_CRD)),
            _ => None,
        }
    }

    /// What tells which kinds the API server has in this version of the group; everybody may ask.
    fn discovery(&self) -> Result<HttpRequest, kube::Error> {
        let request = http::Request::get(self.version_path()).body(Vec::new());
        request.map_err(|error| kube::Error::BuildRequest(kube::core::request::Error::BuildRequest(error)))
    }

    /// Whether the API server says that it has no such kind. Who may not read a kind is told that it is forbidden, whether
    /// or not the kind exists; which kinds there are, everybody may know.
    pub(super) async fn is_absent(&self, client: &Client) -> bool {
        if !is_optional(self.kind) {
            return false;
        }
        let Ok(request) = self.discovery() else { return false };
        match timeout(TRIAL_PATIENCE, client.request::<APIResourceList>(request)).await {
            Ok(Err(error)) => matches!(End::from(&error), End::NotFound),
            Ok(Ok(list)) => !list.resources.iter().any(|resource| resource.name == self.kind.plural),
            Err(_) => false,
        }
    }

    fn request(&self) -> Request {
        Request::new(format!("{}/{}", self.version_path(), self.kind.plural))
    }

    fn version_path(&self) -> String {
        let root = if self.kind.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}", self.api_version())
    }
}

/// Whether the API server gives the objects of a kind to us, or has no such kind.
pub async fn can_be_read(client: &Client, kind: &'static KindInfo) -> bool {
    for version in kind.versions {
        let api = KindApi { kind, version };
        let one =
            ListParams { field_selector: api.field_selector(), limit: Some(1), ..ListParams::default() };
        let Ok(request) = api.request().list(&one) else { return false };
        let listed = timeout(TRIAL_PATIENCE, client.request::<IgnoredAny>(request)).await;
        match listed.map_err(|_| End::silent()).and_then(|listed| listed.map_err(|error| End::from(&error))) {
            Ok(_) => return true,
            Err(End::NotFound) => {}
            Err(End::Forbidden(_)) if api.is_absent(client).await => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether a cluster can be without this kind: it comes with a CRD.
pub(super) fn is_optional(kind: &KindInfo) -> bool {
    !kind.is_builtin()
}

/// What to do about an absent kind without which there is nothing to serve.
pub(super) fn install_hint(kind: &KindInfo) -> Option<&'static str> {
    let is_needed =
        kind.group == gateway_api::GROUP && matches!(kind.kind, "GatewayClass" | "Gateway" | "HTTPRoute");
    is_needed.then_some(
        "the Gateway API is not installed in this cluster; install it with: kubectl apply --server-side -f \
         https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/standard-install.yaml",
    )
}
