//! Our own certificate authority for the xDS port.
//!
//! It is kept in one Secret that all replicas read and the leader alone writes. A successor is published
//! long before it signs, so that every proxy trusts it by then:
//!
//! ```text
//!  signing ──── 275 days ────► announce next ──── 1 day ────► promote ──── until it expires ────► forget
//!  bundle:   A                  A + B                          A + B                          B
//!  signs:    A                  A                              B                              B
//! ```
//!
//! Deleting the Secret's data is the emergency exit: a new authority begins, which no proxy trusts until its
//! ConfigMap is updated; until then proxies keep the configuration that they have.

mod certificate;
mod keeper;
mod plan;
mod secret;

use std::fmt;
use std::sync::Arc;

pub use keeper::{AuthorityKeeper, AuthoritySettings};

use certificate::{Authority, AuthorityCertificate};

/// The certificates that prove the xDS port, PEM, for proxies to trust. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaBundle(String);

impl CaBundle {
    /// The certificates, one after the other.
    pub fn pem(&self) -> &str {
        &self.0
    }

    /// For who only asks whether there is one.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self("CERTIFICATES".to_owned())
    }
}

/// All that the Secret holds.
#[derive(Clone)]
struct Authorities {
    /// Signs the servers' certificates.
    signing: Arc<Authority>,
    /// Is trusted already, and will sign.
    next: Option<Arc<Authority>>,
    /// Signed before, and is trusted until it expires. Its key is gone.
    retired: Option<AuthorityCertificate>,
}

impl Authorities {
    fn begin(signing: Authority) -> Self {
        Self { signing: Arc::new(signing), next: None, retired: None }
    }

    /// What proxies have to trust.
    fn bundle(&self) -> CaBundle {
        let next = self.next.as_ref().map(|next| next.certificate());
        let all = [Some(self.signing.certificate()), next, self.retired.as_ref()];
        CaBundle(all.into_iter().flatten().map(AuthorityCertificate::pem).collect())
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("signing", &self.signing.certificate().validity())
            .field("next", &self.next.as_ref().map(|next| next.certificate().validity()))
            .field("retired", &self.retired.as_ref().map(AuthorityCertificate::validity))
            .finish()
    }
}
