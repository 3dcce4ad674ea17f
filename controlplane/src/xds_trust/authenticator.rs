//! Decides who may have a stream, and for how long.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use xds::NodeGroup;

use super::cache::{Lookup, Verdicts};
use super::metrics::{Metrics, ReviewResult};
use super::patience::Patience;
use super::review::{Reviewed, ServiceAccount, TokenReviewer, Verdict};
use super::stream_rate::StreamRate;
use super::token::BearerToken;

/// The service account of each proxy, and the group of Envoys that it stands for.
pub type ProxyDirectory = BTreeMap<ServiceAccount, NodeGroup>;

/// Who is at the other end of a stream, as the server found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyIdentity {
    /// Its service account.
    pub service_account: ServiceAccount,
    /// The UID of its pod, if the token is bound to one.
    pub pod: Option<String>,
    /// Whose snapshots it gets.
    pub group: NodeGroup,
}

/// Decides who may have a stream. A clone shares what was found out.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    reviewer: Box<dyn TokenReviewer>,
    audience: String,
    directory: watch::Receiver<Arc<ProxyDirectory>>,
    patience: Patience,
    metrics: Metrics,
    verdicts: Mutex<Verdicts>,
    peers: Arc<Peers>,
    /// Of the streams of those who have shown a genuine token before.
    known_rate: StreamRate,
    /// Of all others: whoever shows what looks like a token takes no turn of theirs.
    unknown_rate: StreamRate,
}

impl Authenticator {
    /// Lets in the proxies of `directory` with tokens for `audience`.
    pub fn new(
        reviewer: impl TokenReviewer,
        audience: impl Into<String>,
        directory: watch::Receiver<Arc<ProxyDirectory>>,
        patience: Patience,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            reviewer: Box::new(reviewer),
            audience: audience.into(),
            directory,
            patience,
            metrics,
            verdicts: Mutex::default(),
            peers: Arc::default(),
            known_rate: StreamRate::new(patience.new_streams_per_second, patience.longest_turn_wait),
            unknown_rate: StreamRate::new(patience.new_streams_per_second, patience.longest_turn_wait),
        }))
    }

    /// The times and limits in force.
    pub fn patience(&self) -> Patience {
        self.0.patience
    }

    /// Lets a call in, or says why not.
    ///
    /// # Errors
    /// `Unauthenticated` without a genuine token for us, `PermissionDenied` for one that is no proxy's,
    /// `ResourceExhausted` for too many streams of one pod, and `Unavailable` for an unknown token while
    /// the API server is away, or when too many streams begin at the same time.
    pub async fn admit(&self, headers: &HeaderMap, length: CallLength) -> Result<Admission, Status> {
        let admitted = self.try_admit(headers, length).await;
        admitted.inspect_err(|status| {
            self.0.metrics.count_refusal(status.code());
            tracing::warn!(code = ?status.code(), reason = status.message(), "refused a call of the xDS port");
        })
    }

    async fn try_admit(&self, headers: &HeaderMap, length: CallLength) -> Result<Admission, Status> {
        let token = BearerToken::from_headers(headers)
            .ok_or_else(|| Status::unauthenticated("a bearer token is needed"))?;
        let expires_at = self.check_claims(&token)?;
        // Before anything that costs us, or the API server, more than a look at the token.
        match (self.look_up(&token), length) {
            (Lookup::Genuine(_) | Lookup::Stale(_), CallLength::Short) => {}
            (Lookup::Genuine(_) | Lookup::Stale(_), CallLength::Stream) => self.0.known_rate.turn().await?,
            (Lookup::Rejected, _) => return Err(Refusal::Rejected.status()),
            (Lookup::Unknown, _) => self.0.unknown_rate.turn().await?,
        }
        let reviewed = self.reviewed(&token, expires_at).await.map_err(|refusal| refusal.status())?;
        let Reviewed { service_account, pod } = reviewed;
        let group = self.group_of(&service_account).ok_or_else(|| not_a_proxy(&service_account))?;
        let peer = pod.clone().unwrap_or_else(|| service_account.to_string());
        let place = match length {
            CallLength::Stream => {
                Some(Peers::enter(&self.0.peers, peer, self.0.patience.max_streams_per_peer)?)
            }
            CallLength::Short => None,
        };
        Ok(Admission {
            identity: ProxyIdentity { service_account, pod, group },
            token,
            expires_at,
            authenticator: self.clone(),
            _place: place,
        })
    }

    /// Refuses, without asking the API server, what by its own words is not for us; returns when it expires.
    fn check_claims(&self, token: &BearerToken) -> Result<SystemTime, Status> {
        let claims = token.claims();
        let claims = claims.ok_or_else(|| Status::unauthenticated("not the token of a service account"))?;
        if !claims.audiences.contains(&self.0.audience) {
            return Err(Status::unauthenticated("the token was made for another audience"));
        }
        if claims.expires_at <= SystemTime::now() {
            return Err(expired());
        }
        Ok(claims.expires_at)
    }

    /// Whose token it is, from memory if that is recent enough.
    async fn reviewed(&self, token: &BearerToken, expires_at: SystemTime) -> Result<Reviewed, Refusal> {
        let Inner { patience, metrics, .. } = &*self.0;
        let before = match self.look_up(token) {
            Lookup::Genuine(reviewed) => return Ok(reviewed),
            Lookup::Rejected => return Err(Refusal::Rejected),
            Lookup::Stale(reviewed) => Some(reviewed),
            Lookup::Unknown => None,
        };
        match self.0.reviewer.review(token).await {
            Ok(verdict) => {
                self.verdicts().insert(
                    token.digest(),
                    verdict.clone(),
                    expires_at,
                    SystemTime::now(),
                    patience,
                );
                match verdict {
                    Verdict::Genuine(reviewed) => {
                        metrics.count_review(ReviewResult::Genuine);
                        Ok(reviewed)
                    }
                    Verdict::Rejected => {
                        metrics.count_review(ReviewResult::Rejected);
                        Err(Refusal::Rejected)
                    }
                }
            }
            Err(unavailable) => {
                metrics.count_review(ReviewResult::Unavailable);
                tracing::warn!(error = unavailable.0, "cannot review a token");
                before.ok_or(Refusal::Unavailable)
            }
        }
    }

    /// What is remembered of a token.
    fn look_up(&self, token: &BearerToken) -> Lookup {
        self.verdicts().look_up(&token.digest(), SystemTime::now(), &self.0.patience)
    }

    fn group_of(&self, service_account: &ServiceAccount) -> Option<NodeGroup> {
        self.0.directory.borrow().get(service_account).cloned()
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        // The map is whole after every statement.
        self.0.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("audience", &self.0.audience).finish_non_exhaustive()
    }
}

/// Why a token is not believed.
enum Refusal {
    Rejected,
    Unavailable,
}

impl Refusal {
    /// What the caller is told: not why the API server is away.
    fn status(&self) -> Status {
        match self {
            Self::Rejected => Status::unauthenticated("the token is not valid"),
            Self::Unavailable => Status::unavailable("the token cannot be reviewed at this time"),
        }
    }
}

fn expired() -> Status {
    Status::unauthenticated("the token has expired")
}

fn not_a_proxy(service_account: &ServiceAccount) -> Status {
    Status::permission_denied(format!("the service account {service_account} is not that of a proxy"))
}

/// How long a call takes, which says what it costs us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallLength {
    /// It is open for hours. Few may begin at once, and a pod has few of them.
    Stream,
    /// A question with one answer, of which a proxy has as many as requests. How many there are at a time is bounded by
    /// connections.
    Short,
}

/// A call that was let in. A stream counts as one of its pod for as long as this lives.
#[derive(Debug)]
pub struct Admission {
    identity: ProxyIdentity,
    token: BearerToken,
    expires_at: SystemTime,
    authenticator: Authenticator,
    _place: Option<Place>,
}

impl Admission {
    /// Who was let in.
    pub fn identity(&self) -> &ProxyIdentity {
        &self.identity
    }

    /// Waits until the call has to end, and returns why: the token has expired or was revoked, the service
    /// account is no longer that of the same proxy, or the stream is old.
    pub(super) async fn ended(self) -> Status {
        let patience = self.authenticator.0.patience;
        let remaining = self.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        // A token may claim to be valid for longer than the clock can tell.
        let expiry = Instant::now() + remaining.min(Duration::from_hours(24 * 365));
        let old_age = Instant::now() + patience.jittered_age();
        let mut directory = self.authenticator.0.directory.clone();
        loop {
            if self.authenticator.group_of(&self.identity.service_account).as_ref()
                != Some(&self.identity.group)
            {
                return not_a_proxy(&self.identity.service_account);
            }
            tokio::select! {
                () = sleep_until(expiry) => return expired(),
                () = sleep_until(old_age) => return Status::unavailable("the stream is old; please reconnect"),
                () = sleep(patience.recheck_interval) => {
                    let reviewed = self.authenticator.reviewed(&self.token, self.expires_at).await;
                    // While the API server is away, running streams stay.
                    if let Err(refusal @ Refusal::Rejected) = reviewed {
                        return refusal.status();
                    }
                }
                () = changed(&mut directory) => {}
            }
        }
    }
}

/// Waits for a change; for ever once there can be none.
async fn changed(directory: &mut watch::Receiver<Arc<ProxyDirectory>>) {
    if directory.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The open streams of each pod.
#[derive(Default)]
struct Peers(Mutex<BTreeMap<String, usize>>);

impl Peers {
    fn enter(peers: &Arc<Self>, peer: String, limit: usize) -> Result<Place, Status> {
        let mut open = peers.lock();
        let count = open.entry(peer.clone()).or_default();
        if *count >= limit {
            return Err(Status::resource_exhausted("too many streams of one proxy"));
        }
        *count += 1;
        drop(open);
        Ok(Place { peers: peers.clone(), peer })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream of a pod.
struct Place {
    peers: Arc<Peers>,
    peer: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.peer).finish()
    }
}
