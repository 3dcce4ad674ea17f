//! Which features of Gateway API are supported, under the names that a GatewayClass's status tells
//! (`GatewayClassStatus.supportedFeatures`; the names are those of `pkg/features` of Gateway API's repository).
//!
//! Names come and go with the releases of Gateway API, so the list that is told is that of the release that is
//! installed. A feature stands here when all of it works.

use crds::NamespacedName;
use crds::gateway_api::{CustomResourceDefinition, VERSIONED_CRD};

use crate::gateway::view::View;
use crate::status::{Condition, ConditionType, Reason};

/// A release of Gateway API of which the names of features are known. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 1.6
    V1_6,
    /// 1.7
    V1_7,
}

/// A feature of Gateway API that is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The first of the known releases that has it.
    pub first: Release,
    /// The last of the known releases that has it.
    pub last: Release,
}

/// In every release that is known.
const fn always(name: &'static str) -> Feature {
    Feature { name, first: Release::V1_6, last: Release::V1_7 }
}

/// Gone with 1.7.
const fn until_1_6(name: &'static str) -> Feature {
    Feature { name, first: Release::V1_6, last: Release::V1_6 }
}

/// New in 1.7.
const fn since_1_7(name: &'static str) -> Feature {
    Feature { name, first: Release::V1_7, last: Release::V1_7 }
}

/// Every feature that is supported, sorted by name.
pub const FEATURES: &[Feature] = &[
    always("BackendTLSPolicy"),
    always("BackendTLSPolicySANValidation"),
    always("GRPCRoute"),
    always("GRPCRouteNamedRouteRule"),
    since_1_7("GRPCRouteRequestHeaderModifier"),
    always("Gateway"),
    always("GatewayAddressEmpty"),
    always("GatewayBackendClientCertificate"),
    always("GatewayFrontendClientCertificateValidation"),
    always("GatewayFrontendClientCertificateValidationInsecureFallback"),
    always("GatewayHTTPListenerIsolation"),
    always("GatewayHTTPSListenerDetectMisdirectedRequests"),
    always("GatewayInfrastructure"),
    since_1_7("GatewayListenerFilters"),
    always("GatewayPort8080"),
    since_1_7("GatewayRouteHostnameIntersectionPrecedence"),
    always("GatewayStaticAddresses"),
    always("HTTPRoute"),
    always("HTTPRoute303RedirectStatusCode"),
    always("HTTPRoute307RedirectStatusCode"),
    always("HTTPRoute308RedirectStatusCode"),
    always("HTTPRouteBackendProtocolH2C"),
    always("HTTPRouteBackendProtocolWebSocket"),
    always("HTTPRouteBackendRequestHeaderModification"),
    always("HTTPRouteBackendTimeout"),
    since_1_7("HTTPRouteBackendURLRewrite"),
    always("HTTPRouteCORS"),
    always("HTTPRouteDestinationPortMatching"),
    always("HTTPRouteHostRewrite"),
    always("HTTPRouteMethodMatching"),
    always("HTTPRouteNamedRouteRule"),
    always("HTTPRouteParentRefPort"),
    always("HTTPRoutePathRedirect"),
    always("HTTPRoutePathRewrite"),
    always("HTTPRoutePortRedirect"),
    always("HTTPRouteQueryParamMatching"),
    always("HTTPRouteRequestMirror"),
    always("HTTPRouteRequestMultipleMirrors"),
    always("HTTPRouteRequestPercentageMirror"),
    always("HTTPRouteRequestTimeout"),
    always("HTTPRouteResponseHeaderModification"),
    until_1_6("HTTPRouteRetry"),
    until_1_6("HTTPRouteRetryBackendTimeout"),
    since_1_7("HTTPRouteRetryCodes"),
    always("HTTPRouteRetryConnectionError"),
    always("HTTPRouteSchemeRedirect"),
    always("ListenerSet"),
    always("ReferenceGrant"),
    always("TCPRoute"),
    always("TLSRoute"),
    always("TLSRouteModeMixed"),
    always("TLSRouteModeTerminate"),
    always("UDPRoute"),
];

impl Release {
    /// Every known release, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1_6, Self::V1_7];

    /// The minor version of 1.x.
    fn minor(self) -> u32 {
        match self {
            Self::V1_6 => 6,
            Self::V1_7 => 7,
        }
    }

    /// The features of this release that are supported, sorted by name.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        let has = move |feature: &&Feature| feature.first <= self && self <= feature.last;
        FEATURES.iter().filter(has).map(|feature| feature.name)
    }

    /// The known release that is nearest to a version such as `v1.6.3`, and whether the version is one of it.
    fn nearest(version: &str) -> (Self, bool) {
        let mut numbers = version.trim_start_matches('v').split(['.', '-']);
        let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
        let (major, minor) = (number(), number());
        let (oldest, newest) = (Self::V1_6, Self::V1_7);
        match (major, minor) {
            (Some(1), Some(minor)) => {
                let known = Self::ALL.into_iter().find(|release| release.minor() == minor);
                known.map_or((if minor < oldest.minor() { oldest } else { newest }, false), |known| {
                    (known, true)
                })
            }
            (Some(0), _) => (oldest, false),
            _ => (newest, false),
        }
    }
}

/// The release whose names are told, and the condition that says whether it is the one that is installed.
pub(crate) fn installed(view: &impl View) -> (Release, Condition) {
    let crd = view.object::<CustomResourceDefinition>(&NamespacedName::new("", VERSIONED_CRD));
    let version = crd.and_then(|crd| crd.bundle_version()).or(view.settings().gateway_api_version.as_deref());
    let known = Release::ALL.map(|release| format!("v1.{}", release.minor())).join(" and ");
    let (release, message) = match version.map(|version| (version, Release::nearest(version))) {
        Some((version, (release, true))) => {
            let message = format!("the Gateway API CRDs are of version {version}");
            let kind = ConditionType::SupportedVersion;
            return (release, Condition::good(kind, Reason::SupportedVersion, message));
        }
        Some((version, (release, false))) => {
            (release, format!("the Gateway API CRDs are of version {version}; {known} are supported"))
        }
        None => {
            let message = format!(
                "the CRD {VERSIONED_CRD} does not say which version of Gateway API it is of; {known} are supported"
            );
            (Release::V1_6, message)
        }
    };
    (release, Condition::bad(ConditionType::SupportedVersion, Reason::UnsupportedVersion, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_fit_into_a_status() {
        assert!(FEATURES.is_sorted_by(|left, right| left.name < right.name), "sorted, each once");
        for release in Release::ALL {
            // GatewayClassStatus.supportedFeatures has at most 64 entries.
            assert!(release.features().count() <= 64);
        }
    }

    #[test]
    fn a_version_is_that_of_its_release_or_the_nearest() {
        for (version, release, is_known) in [
            ("v1.6.0", Release::V1_6, true),
            ("v1.6.3", Release::V1_6, true),
            ("v1.7.0-rc.1", Release::V1_7, true),
            ("v1.7.1", Release::V1_7, true),
            ("v1.5.1", Release::V1_6, false),
            ("v0.8.0", Release::V1_6, false),
            ("v1.8.0", Release::V1_7, false),
            ("v2.0.0", Release::V1_7, false),
            ("", Release::V1_7, false),
            ("main", Release::V1_7, false),
        ] {
            assert_eq!(Release::nearest(version), (release, is_known), "{version}");
        }
    }
}
