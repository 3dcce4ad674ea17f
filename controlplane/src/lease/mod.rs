//! Who may write: leader election over a `coordination.k8s.io` Lease.
//!
//! Our own, on kube's client, because a writer must be fenced: it stops by itself when its lease may have
//! passed to another, without waiting to be told. It is client-go's algorithm: a lease counts as expired when *we* have seen it unchanged for its duration,
//! so clocks of two machines are never compared.

mod record;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::backoff::jitter;
use record::Record;

/// Who competes for which lease, and how fast.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Where the lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are: unique among the competitors.
    pub identity: String,
    /// A lease that stays unchanged for so long is free.
    pub duration: Duration,
    /// A leader that could not renew for so long is none any more; less than `duration`.
    pub renew_deadline: Duration,
    /// Between renewals, and between looks at another's lease.
    pub retry: Duration,
}

impl LeaseSettings {
    /// After the death of a leader another one leads within `duration` + `retry`, which is 12 s.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(10),
            renew_deadline: Duration::from_secs(7),
            retry: Duration::from_secs(2),
        }
    }
}

/// Whether we lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Another one leads, or nobody.
    Follower,
    /// We lead, and nobody else does before this moment. Whatever a leader does must be done by then;
    /// the moment moves on with each renewal.
    Leader {
        /// When we stop leading unless we renew.
        until: Instant,
    },
}

impl Leadership {
    /// The moment until which we lead, if we lead now.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Leader { until } => Some(until).filter(|until| *until > Instant::now()),
            Self::Follower => None,
        }
    }

    /// Whether we lead now.
    pub fn is_leader(self) -> bool {
        self.deadline().is_some()
    }
}

/// Competes until `stop` becomes true (or its sender is gone), and then gives the lease back, so that
/// another one leads at once.
pub async fn compete(
    client: Client,
    settings: LeaseSettings,
    leadership: watch::Sender<Leadership>,
    mut stop: watch::Receiver<bool>,
) {
    let api = Api::namespaced(client, &settings.namespace);
    let mut election = Election { api, settings, seen: None, until: None, said: None };
    let competing = async {
        loop {
            let wait = election.attempt().await;
            election.publish(&leadership);
            // A leader stops when its time is over, whatever it waits for.
            election.rest(wait, &leadership).await;
        }
    };
    tokio::select! {
        () = competing => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // First stop to lead, then let another one.
    leadership.send_replace(Leadership::Follower);
    election.release().await;
}

/// Who has the lease after an attempt.
enum Holder {
    Us,
    Another,
    /// The lease was written while we looked at it.
    Unclear,
}

/// One competitor.
struct Election {
    api: Api<Lease>,
    settings: LeaseSettings,
    /// The record as it was read last, and since when it is so.
    seen: Option<(Record, Instant)>,
    /// Until when we lead.
    until: Option<Instant>,
    /// What was said last to be wrong.
    said: Option<String>,
}

impl Election {
    /// One try to get or to keep the lease; says how long to wait until the next.
    async fn attempt(&mut self) -> Duration {
        let began = Instant::now();
        let patience = self.until.unwrap_or(began + self.settings.renew_deadline);
        let result = timeout_at(patience, self.acquire_or_renew()).await;
        match result {
            Ok(Ok(Holder::Us)) => {
                self.said = None;
                // Counted from before the request: the others may have seen it as early as that.
                self.until = Some(began + self.settings.renew_deadline);
            }
            Ok(Ok(Holder::Another)) => {
                self.said = None;
                self.until = None;
            }
            // Who holds it is seen at the next look; a lease of ours holds as long as it did.
            Ok(Ok(Holder::Unclear)) => self.said = None,
            Ok(Err(error)) => self.complain(error.to_string()),
            Err(_) => self.complain("the API server does not answer".to_owned()),
        }
        self.next_wait()
    }

    /// Takes the lease if it is ours or free.
    async fn acquire_or_renew(&mut self) -> Result<Holder, Error> {
        let name = self.settings.name.clone();
        let Some(lease) = self.api.get_opt(&name).await? else {
            let record = Record::first(&self.settings.identity, self.settings.duration);
            return self.write(record, None).await;
        };
        let record = Record::read(&lease);
        let is_unchanged = self.seen.as_ref().is_some_and(|(seen, _)| *seen == record);
        if !is_unchanged {
            self.seen = Some((record.clone(), Instant::now()));
        }
        let is_ours = record.holder == self.settings.identity;
        if !is_ours && !self.is_free(&record) {
            return Ok(Holder::Another);
        }
        let next = record.taken_by(&self.settings.identity, self.settings.duration);
        self.write(next, Some(lease)).await
    }

    /// Writes the record unless another one did meanwhile.
    async fn write(&mut self, record: Record, previous: Option<Lease>) -> Result<Holder, Error> {
        let params = PostParams::default();
        let name = self.settings.name.clone();
        let written = match previous {
            Some(lease) => self.api.replace(&name, &params, &record.write(lease)).await,
            None => self.api.create(&params, &record.write(record::named(&name))).await,
        };
        match written {
            Ok(lease) => {
                self.seen = Some((Record::read(&lease), Instant::now()));
                Ok(Holder::Us)
            }
            Err(Error::Api(status)) if status.code == 409 => Ok(Holder::Unclear),
            Err(error) => Err(error),
        }
    }

    fn is_free(&self, record: &Record) -> bool {
        record.holder.is_empty() || self.expiry(record).is_some_and(|expiry| expiry <= Instant::now())
    }

    /// When another's lease will be free if it stays as it is.
    fn expiry(&self, record: &Record) -> Option<Instant> {
        let (_, since) = self.seen.as_ref()?;
        Some(*since + record.duration.unwrap_or(self.settings.duration))
    }

    /// Until the next renewal or look; not beyond the moment when another's lease is free.
    fn next_wait(&self) -> Duration {
        let retry = jitter(self.settings.retry);
        let Some((record, _)) = &self.seen else { return retry };
        if self.until.is_some() {
            return retry;
        }
        let until_free = self.expiry(record).map(|expiry| expiry.saturating_duration_since(Instant::now()));
        // Free, and yet we have it not: another one was faster, or something is wrong.
        until_free.filter(|wait| !wait.is_zero()).map_or(retry, |wait| wait.min(retry))
    }

    /// Waits; a leader whose time is over meanwhile is none any more.
    async fn rest(&mut self, wait: Duration, leadership: &watch::Sender<Leadership>) {
        let Some(until) = self.until else { return sleep(wait).await };
        tokio::select! {
            biased;
            () = sleep_until(until) => {
                self.until = None;
                self.publish(leadership);
            }
            () = sleep(wait) => {}
        }
    }

    fn publish(&mut self, leadership: &watch::Sender<Leadership>) {
        self.until = self.until.filter(|until| *until > Instant::now());
        let now = self.until.map_or(Leadership::Follower, |until| Leadership::Leader { until });
        let was_leader = matches!(*leadership.borrow(), Leadership::Leader { .. });
        match (was_leader, self.until.is_some()) {
            (false, true) => tracing::info!(identity = self.settings.identity, "leading: writing statuses"),
            (true, false) => tracing::warn!(identity = self.settings.identity, "no longer leading"),
            _ => {}
        }
        leadership.send_if_modified(|published| {
            let is_new = *published != now;
            *published = now;
            is_new
        });
    }

    async fn release(&mut self) {
        let give_back = async {
            let lease = self.api.get(&self.settings.name).await?;
            let record = Record::read(&lease);
            if record.holder == self.settings.identity {
                let freed = record.released();
                self.api.replace(&self.settings.name, &PostParams::default(), &freed.write(lease)).await?;
            }
            Ok::<_, Error>(())
        };
        // Nobody waits for it longer than a moment: it expires anyway.
        match timeout(self.settings.retry, give_back).await {
            Ok(Ok(())) => tracing::info!("gave the lease back"),
            Ok(Err(error)) => tracing::warn!("cannot give the lease back: {error}"),
            Err(_) => tracing::warn!("cannot give the lease back: the API server does not answer"),
        }
    }

    fn complain(&mut self, message: String) {
        if self.said.as_ref() != Some(&message) {
            tracing::warn!(lease = self.settings.name, "cannot get or keep the lease: {message}");
            self.said = Some(message);
        }
    }
}
