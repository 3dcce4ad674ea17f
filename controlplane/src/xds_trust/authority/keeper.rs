//! Keeps the authority: every replica follows the Secret, the leader rotates it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use super::certificate::{Authority, BadCertificate};
use super::plan::{self, Action, Stored, plan};
use super::{Authorities, CaBundle};
use crate::lease::Leadership;
use crate::xds_trust::metrics::Metrics;
use crate::xds_trust::replica_key::ReplicaKey;
use crate::xds_trust::tls::ServerCertificate;

/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(5);
/// How long to wait at most before looking again, whatever the plan says: clocks are set.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// Where the authority is kept, and for whom it signs.
#[derive(Clone, Debug)]
pub struct AuthoritySettings {
    /// The namespace of the Secret: our own.
    pub namespace: String,
    /// The name of the Secret.
    pub secret: String,
    /// The DNS names that proxies reach the xDS port by.
    pub server_names: Vec<String>,
}

/// Keeps the authority and this replica's certificate; see [`AuthorityKeeper::run`].
pub struct AuthorityKeeper {
    secrets: Api<Secret>,
    settings: AuthoritySettings,
    leadership: watch::Receiver<Leadership>,
    certificate: ServerCertificate,
    bundle: watch::Sender<Option<CaBundle>>,
    replica_key: watch::Sender<Option<ReplicaKey>>,
    metrics: Metrics,
    /// The Secret as it was last seen; the outer `None` before that.
    seen: Option<Option<Seen>>,
    /// The last that was usable: served from, whatever becomes of the Secret.
    authorities: Option<Authorities>,
    /// The published successor, and since when this process knows it.
    next_seen: Option<(String, SystemTime)>,
    leaf: Option<IssuedLeaf>,
}

/// What a write has to know of the Secret.
struct Seen {
    secret: Secret,
    is_usable: bool,
}

/// What the present certificate was made from.
struct IssuedLeaf {
    signed_by: String,
    renew_at: SystemTime,
}

impl AuthorityKeeper {
    /// A keeper, which has done nothing yet. `leadership` tells whether this replica may write.
    pub fn new(
        client: kube::Client,
        settings: AuthoritySettings,
        leadership: watch::Receiver<Leadership>,
        metrics: Metrics,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client, &settings.namespace),
            settings,
            leadership,
            certificate: ServerCertificate::default(),
            bundle: watch::Sender::new(None),
            replica_key: watch::Sender::new(None),
            metrics,
            seen: None,
            authorities: None,
            next_seen: None,
            leaf: None,
        }
    }

    /// The certificate of this replica, always the newest.
    pub fn certificate(&self) -> ServerCertificate {
        self.certificate.clone()
    }

    /// What proxies have to trust; `None` until it is known.
    pub fn bundle(&self) -> watch::Receiver<Option<CaBundle>> {
        self.bundle.subscribe()
    }

    /// What replicas seal with what only they may read; `None` until it is known.
    pub fn replica_key(&self) -> watch::Receiver<Option<ReplicaKey>> {
        self.replica_key.subscribe()
    }

    /// Follows the Secret until the sender of the leadership is gone.
    pub async fn run(mut self) {
        let secrets = watch_object(self.secrets.clone(), &self.settings.secret).default_backoff();
        let mut secrets = pin!(secrets);
        loop {
            let now = SystemTime::now();
            let wake_at = self.tend(now).await.min(now + LOOK_AGAIN);
            tokio::select! {
                seen = secrets.next() => match seen {
                    Some(Ok(secret)) => self.observe(secret, SystemTime::now()),
                    Some(Err(error)) => tracing::warn!(%error, "cannot watch the Secret of the xDS authority"),
                    None => return,
                },
                changed = self.leadership.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(wake_at.duration_since(now).unwrap_or_default()) => {}
            }
        }
    }

    /// Takes over what the Secret holds.
    pub(in crate::xds_trust) fn observe(&mut self, secret: Option<Secret>, now: SystemTime) {
        let authorities = secret.as_ref().map(Authorities::from_secret).transpose();
        let authorities = match authorities {
            Ok(authorities) => authorities.flatten(),
            Err(error) => {
                tracing::warn!(secret = self.settings.secret, %error, "the xDS authority cannot be used");
                None
            }
        };
        self.seen = Some(secret.map(|secret| Seen { secret, is_usable: authorities.is_some() }));
        let Some(authorities) = authorities else {
            return;
        };
        let next = authorities.next.as_ref().map(|next| next.certificate().pem().to_owned());
        self.next_seen = next.map(|next| match self.next_seen.take() {
            Some((known, at)) if known == next => (known, at),
            _ => (next, now),
        });
        let bundle = authorities.bundle();
        self.replica_key.send_replace(Some(ReplicaKey::derive(&authorities.signing.expose_key_der())));
        self.authorities = Some(authorities);
        self.bundle.send_if_modified(|published| {
            let is_new = published.as_ref() != Some(&bundle);
            *published = Some(bundle);
            is_new
        });
    }

    /// Does what is due; returns when to look again.
    pub(in crate::xds_trust) async fn tend(&mut self, now: SystemTime) -> SystemTime {
        let mut wake_at = now + LOOK_AGAIN;
        let is_leader = self.leadership.borrow().is_leader();
        if is_leader {
            wake_at = self.rotate(now).await;
        }
        match self.renew_leaf(now) {
            Ok(renew_at) => renew_at.map_or(wake_at, |renew_at| renew_at.min(wake_at)),
            Err(error) => {
                tracing::error!(%error, "cannot issue a certificate for the xDS port");
                now + RETRY
            }
        }
    }

    /// Makes all changes of the Secret that are due.
    async fn rotate(&mut self, now: SystemTime) -> SystemTime {
        loop {
            let Some(seen) = &self.seen else {
                return now + LOOK_AGAIN;
            };
            let is_usable = seen.as_ref().is_some_and(|seen| seen.is_usable);
            let stored = self.stored().filter(|_| is_usable);
            let action = plan(now, stored.as_ref());
            if let Action::Wait(until) = action {
                return until;
            }
            tracing::info!(?action, secret = self.settings.secret, "rotating the xDS authority");
            match self.apply(action, now).await {
                Ok(written) => self.observe(Some(written), now),
                // Another leader was faster: the watch brings what it wrote.
                Err(WriteError::Conflict) => return now + RETRY,
                Err(WriteError::Failed(error)) => {
                    tracing::error!(%error, secret = self.settings.secret, "cannot write the xDS authority");
                    return now + RETRY;
                }
            }
        }
    }

    fn stored(&self) -> Option<Stored> {
        let authorities = self.authorities.as_ref()?;
        let next = authorities.next.as_ref().zip(self.next_seen.as_ref());
        Some(Stored {
            signing: authorities.signing.certificate().validity(),
            next: next.map(|(next, (_, seen_at))| plan::Next {
                validity: next.certificate().validity(),
                seen_at: *seen_at,
            }),
            retired: authorities.retired.as_ref().map(|retired| retired.validity()),
        })
    }

    async fn apply(&self, action: Action, now: SystemTime) -> Result<Secret, WriteError> {
        let authorities = match (action, self.authorities.clone()) {
            (Action::Begin | Action::Wait(_), _) | (_, None) => Authorities::begin(Authority::generate(now)?),
            (Action::Announce, Some(present)) => {
                Authorities { next: Some(Arc::new(Authority::generate(now)?)), ..present }
            }
            (Action::Promote, Some(Authorities { signing, next, .. })) => Authorities {
                retired: next.as_ref().map(|_| signing.certificate().clone()),
                signing: next.unwrap_or(signing),
                next: None,
            },
            (Action::Forget, Some(present)) => Authorities { retired: None, ..present },
        };
        self.write(&authorities).await
    }

    /// Replaces the Secret as it was seen, and nothing newer.
    async fn write(&self, authorities: &Authorities) -> Result<Secret, WriteError> {
        let (name, data) = (&self.settings.secret, Some(authorities.to_data()));
        let written = match self.seen.as_ref().and_then(Option::as_ref) {
            Some(Seen { secret, .. }) => {
                let secret = Secret { data, ..secret.clone() };
                self.secrets.replace(name, &PostParams::default(), &secret).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
                let secret = Secret { metadata, data, ..Secret::default() };
                self.secrets.create(&PostParams::default(), &secret).await
            }
        };
        written.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 409 || status.code == 404 => WriteError::Conflict,
            error => WriteError::Failed(error.to_string()),
        })
    }

    /// Replaces this replica's certificate if another authority signs now, or it is half-way to its end.
    fn renew_leaf(&mut self, now: SystemTime) -> Result<Option<SystemTime>, BadCertificate> {
        let Some(Authorities { signing, .. }) = &self.authorities else {
            return Ok(None);
        };
        let signer = signing.certificate();
        if let Some(leaf) = &self.leaf
            && leaf.signed_by == signer.pem()
            && now < leaf.renew_at
        {
            return Ok(Some(leaf.renew_at));
        }
        let leaf = signing.issue(&self.settings.server_names, now)?;
        self.certificate.replace(leaf.key);
        self.metrics.set_authority_expiry(signer.validity().not_after);
        self.leaf = Some(IssuedLeaf { signed_by: signer.pem().to_owned(), renew_at: leaf.renew_at });
        tracing::info!(names = ?self.settings.server_names, "the xDS port has a new certificate");
        Ok(Some(leaf.renew_at))
    }
}

/// Why the Secret was not written.
enum WriteError {
    Conflict,
    Failed(String),
}

impl From<BadCertificate> for WriteError {
    fn from(error: BadCertificate) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests;
