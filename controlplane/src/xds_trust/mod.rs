//! Why a proxy may trust the xDS port, and why the port may trust a proxy.
//!
//! ```text
//!             Secret chancery-xds-ca
//!                │            │ CaBundle (ConfigMap of each Gateway)
//!                ▼            ▼
//!  listener ─► TLS 1.3 ◄─── Envoy ── authorization: Bearer <projected token>
//!                │                                   │
//!                ▼                                   ▼
//!          Authenticated ── Authenticator ─► TokenReview (cached)
//!                │                │
//!                │                └─► ProxyDirectory: (namespace, service account) ─► NodeGroup
//!                ▼
//!            AdsServer
//! ```
//!
//! * The server proves itself by a certificate of our own authority ([`AuthorityKeeper`]): all replicas share
//!   the authority, each issues itself a certificate that lives for a day.
//! * The proxy proves itself by a service account token made for us alone. Which Gateway it serves follows
//!   from the service account; what the node says of itself decides nothing.
//! * A stream ends when the token does, and is never older than [`Patience::max_age`].
//!
//! There is no way to serve in plain text, nor without a token.

mod authenticated;
mod authenticator;
mod authority;
mod cache;
mod metrics;
mod patience;
mod replica_key;
mod review;
mod server;
mod stream_rate;
mod tls;
mod token;

pub use authenticated::{AdmittedBody, AdmittedGroup, Authenticated};
pub use authenticator::{Admission, Authenticator, ProxyDirectory, ProxyIdentity};
pub use authority::{AuthorityKeeper, AuthoritySettings, CaBundle};
pub use metrics::Metrics;
pub use patience::Patience;
pub use replica_key::ReplicaKey;
pub use review::{KubeTokenReviewer, Reviewed, ServiceAccount, TokenReviewer, Unavailable, Verdict};
pub use server::serve_tls;
pub use tls::{ServerCertificate, server_config};
pub use token::BearerToken;

#[cfg(test)]
mod tests;
