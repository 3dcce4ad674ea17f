//! What an Envoy of a Gateway shows at the xDS port, and whom it trusts there.

use std::fmt;
use std::net::SocketAddr;

use e2e::ads_client::{AdsAddress, SecureAddress};

use crate::{RELEASE, SYSTEM, World};

/// The xDS port of the control plane, at its Service and at its pods.
pub const XDS_PORT: u16 = 18_000;

/// A token of a Gateway's Envoys, and the authority that its bootstrap names.
#[derive(Clone)]
pub struct ProxyIdentity {
    authority: String,
    token: String,
}

impl fmt::Debug for ProxyIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyIdentity")
    }
}

impl World {
    /// A new token of the service account `account`, which is called as all that the Gateway gets.
    ///
    /// # Panics
    /// The Gateway has no such account, or no ConfigMap of this name.
    #[must_use]
    pub fn proxy_identity(&self, namespace: &str, account: &str) -> ProxyIdentity {
        let token = ["create", "token", account, "-n", namespace, "--audience=chancery.dev/xds"];
        let token = self.cluster.kubectl(&token).expect("a token").trim().to_owned();
        let authority = self.field(&["configmap", account, "-n", namespace], r".data.ca\.crt");
        ProxyIdentity { authority, token }
    }
}

impl ProxyIdentity {
    /// How it reaches the xDS port that listens there.
    #[must_use]
    pub fn address(&self, address: SocketAddr) -> AdsAddress {
        AdsAddress::Tls(SecureAddress {
            address,
            server_name: format!("{RELEASE}.{SYSTEM}.svc"),
            authority: self.authority.clone(),
            token: self.token.clone(),
        })
    }
}
