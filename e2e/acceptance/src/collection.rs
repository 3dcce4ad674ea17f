//! The kinds that the control plane reads, as a witness from outside: not taken from the product.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::ApiConnection;

/// All objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The version that the cluster stores.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in paths.
    pub plural: &'static str,
    /// Whether it comes with a CRD, which a cluster can be without.
    pub is_custom: bool,
}

const fn builtin(group: &'static str, kind: &'static str, plural: &'static str) -> Collection {
    Collection { group, version: "v1", kind, plural, is_custom: false }
}

const fn custom(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Collection {
    Collection { group, version, kind, plural, is_custom: true }
}

/// Secrets.
pub const SECRETS: Collection = builtin("", "Secret", "secrets");
/// Services.
pub const SERVICES: Collection = builtin("", "Service", "services");
/// EndpointSlices.
pub const ENDPOINT_SLICES: Collection = builtin("discovery.k8s.io", "EndpointSlice", "endpointslices");
/// CRDs, of which the control plane reads [`VERSIONED_CRD`] alone.
const CRDS: Collection =
    builtin("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions");
/// HTTPRoutes.
pub const HTTP_ROUTES: Collection = custom(GATEWAY_API, "v1", "HTTPRoute", "httproutes");

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Everything that the control plane reads in order to translate it.
pub const READ: &[Collection] = &[
    builtin("", "Namespace", "namespaces"),
    builtin("", "ConfigMap", "configmaps"),
    SECRETS,
    SERVICES,
    ENDPOINT_SLICES,
    CRDS,
    custom(GATEWAY_API, "v1", "GatewayClass", "gatewayclasses"),
    custom(GATEWAY_API, "v1", "Gateway", "gateways"),
    HTTP_ROUTES,
    custom(GATEWAY_API, "v1", "GRPCRoute", "grpcroutes"),
    custom(GATEWAY_API, "v1", "ListenerSet", "listenersets"),
    custom(GATEWAY_API, "v1", "TCPRoute", "tcproutes"),
    custom(GATEWAY_API, "v1", "TLSRoute", "tlsroutes"),
    custom(GATEWAY_API, "v1", "UDPRoute", "udproutes"),
    custom(GATEWAY_API, "v1", "ReferenceGrant", "referencegrants"),
    custom(GATEWAY_API, "v1", "BackendTLSPolicy", "backendtlspolicies"),
    custom("gateway.networking.x-k8s.io", "v1alpha1", "XBackend", "xbackends"),
    custom("chancery.dev", "v1alpha1", "Budget", "budgets"),
    custom("chancery.dev", "v1alpha1", "PriceList", "pricelists"),
    custom("chancery.dev", "v1alpha1", "VirtualKey", "virtualkeys"),
    custom("gateway.kgateway.dev", "v1alpha1", "Backend", "backends"),
    custom("gateway.kgateway.dev", "v1alpha1", "GatewayParameters", "gatewayparameters"),
    custom("gateway.gloo.solo.io", "v1alpha1", "GatewayParameters", "gatewayparameters"),
    custom("gloo.solo.io", "v1", "Upstream", "upstreams"),
    custom("gateway.kgateway.dev", "v1alpha1", "TrafficPolicy", "trafficpolicies"),
    custom("gateway.kgateway.dev", "v1alpha1", "DirectResponse", "directresponses"),
    custom("gateway.kgateway.dev", "v1alpha1", "GatewayExtension", "gatewayextensions"),
    custom("gateway.solo.io", "v1", "RouteOption", "routeoptions"),
    custom("gateway.solo.io", "v1", "VirtualHostOption", "virtualhostoptions"),
    custom("gateway.kgateway.dev", "v1alpha1", "BackendConfigPolicy", "backendconfigpolicies"),
    custom("gateway.kgateway.dev", "v1alpha1", "HTTPListenerPolicy", "httplistenerpolicies"),
    custom("gateway.solo.io", "v1", "ListenerOption", "listeneroptions"),
    custom("gateway.solo.io", "v1", "HttpListenerOption", "httplisteneroptions"),
    custom("ratelimit.solo.io", "v1alpha1", "RateLimitConfig", "ratelimitconfigs"),
];

/// The CRD that says which version of Gateway API is installed.
const VERSIONED_CRD: &str = "gatewayclasses.gateway.networking.k8s.io";

/// The types of Secrets that the control plane does not ask for.
const FOREIGN_SECRETS: [&str; 5] = [
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/service-account-token",
];

impl Collection {
    /// Where its objects, those of all namespaces, are.
    #[must_use]
    pub fn path(self) -> String {
        let Self { group, version, plural, .. } = self;
        match group {
            "" => format!("/api/{version}/{plural}"),
            group => format!("/apis/{group}/{version}/{plural}"),
        }
    }

    /// Whether this is where its objects are, in any version.
    #[must_use]
    pub fn has_path(self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["", "api", _, plural] => self.group.is_empty() && *plural == self.plural,
            ["", "apis", group, _, plural] => (*group, *plural) == (self.group, self.plural),
            _ => false,
        }
    }

    /// The objects that concern the control plane, by what [`object_name`] makes of them, with their versions.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn versions(self, api: &mut ApiConnection) -> Result<BTreeMap<String, String>> {
        let list = api.get(&self.path()).await?;
        let items = list["items"].as_array().into_iter().flatten();
        let ours = items.filter(|item| match self {
            SECRETS => !FOREIGN_SECRETS.contains(&item["type"].as_str().unwrap_or_default()),
            CRDS => item["metadata"]["name"] == VERSIONED_CRD,
            _ => true,
        });
        let version = |item: &Value| {
            let metadata = &item["metadata"];
            let version = metadata["resourceVersion"].as_str().unwrap_or_default().to_owned();
            (object_name(self.group, self.kind, metadata), version)
        };
        Ok(ours.map(version).collect())
    }
}

/// `Kind.group namespace/name`, of an object with the fields `namespace` and `name`.
#[must_use]
pub fn object_name(group: &str, kind: &str, object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    format!("{kind}.{group} {}/{}", text("namespace"), text("name"))
}
