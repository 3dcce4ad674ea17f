//! An open-loop load generator: requests start at a fixed rate, however long answers take, and no outcome is
//! forgotten.
//!
//! Connections are HTTP/1.1 and kept, as a browser or a client library keeps them. A connection that turns out
//! to be closed before anything was sent on it is replaced; once a byte may have left, an error counts.
//!
//! There is a limit to connections, as every client has one. Without it, a machine that stands still for a second
//! is then asked for hundreds of new connections at once, and may never recover. A request that waits for one was
//! not sent and has not failed; the wait shows in the slowest answer and, if it lasts, in how many were finished.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::http::request;
use crate::tls_client;

/// A request that has not been answered completely this long after it was sent has failed, unless somebody waits longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Connections at a time.
const MAX_CONNECTIONS: usize = 100;
/// How many failures are kept with their words.
const SAMPLES: usize = 8;

/// What to send, where, and how often.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to connect.
    pub address: SocketAddr,
    /// The Host header.
    pub host: String,
    /// The request target, for example `/`.
    pub path: String,
    /// Requests per second.
    pub rate: NonZeroU32,
}

impl Load {
    /// Starts sending, until [`RunningLoad::stop`].
    ///
    /// # Errors
    /// A host or path that HTTP does not allow.
    pub fn start(self) -> Result<RunningLoad> {
        self.start_patiently(ANSWER_LIMIT)
    }

    /// The same, where a request has failed only so long after it was sent: on a machine that does much else besides, where
    /// a process may stand still for seconds.
    ///
    /// # Errors
    /// A host or path that HTTP does not allow.
    pub fn start_patiently(self, limit: Duration) -> Result<RunningLoad> {
        let template = request(Method::GET, &self.host, &self.path, &[], Bytes::new())?;
        Ok(self.send_over(None, limit, template))
    }

    /// Starts to send POST requests with this JSON, until [`RunningLoad::stop`].
    ///
    /// # Errors
    /// A host or path that HTTP does not allow.
    pub fn start_posting(self, body: &serde_json::Value) -> Result<RunningLoad> {
        let headers = [("content-type", "application/json")];
        let body = Bytes::from(body.to_string());
        let template = request(Method::POST, &self.host, &self.path, &headers, body)?;
        Ok(self.send_over(None, ANSWER_LIMIT, template))
    }

    /// The same as [`start`](Self::start) over TLS, with the host as server name.
    ///
    /// # Errors
    /// A host or path that HTTP does not allow.
    pub fn start_tls(self, tls: Arc<rustls::ClientConfig>) -> Result<RunningLoad> {
        let template = request(Method::GET, &self.host, &self.path, &[], Bytes::new())?;
        Ok(self.send_over(Some(tls), ANSWER_LIMIT, template))
    }

    fn send_over(
        self,
        tls: Option<Arc<rustls::ClientConfig>>,
        answer_limit: Duration,
        template: Request<Full<Bytes>>,
    ) -> RunningLoad {
        let shared = Arc::new(Shared {
            begin: Instant::now(),
            address: self.address,
            tls: tls.map(|config| (self.host, config)),
            answer_limit,
            template,
            idle: Mutex::default(),
            places: Semaphore::new(MAX_CONNECTIONS),
            report: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let period = Duration::from_secs(1) / self.rate.get();
        let task = tokio::spawn(drive(Arc::clone(&shared), period, stopped));
        RunningLoad { shared, stop, task }
    }
}

/// A load that is being sent.
#[derive(Debug)]
pub struct RunningLoad {
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningLoad {
    /// The outcomes so far.
    #[must_use]
    pub fn progress(&self) -> LoadReport {
        self.shared.report().clone()
    }

    /// Stops sending, waits for the answers that are due, and returns all outcomes.
    ///
    /// # Errors
    /// The generator itself broke.
    pub async fn stop(self) -> Result<LoadReport> {
        let _ = self.stop.send(());
        self.task.await?;
        let report = self.shared.report().clone();
        if report.started != report.finished() {
            bail!("{} requests have no outcome", report.started - report.finished());
        }
        Ok(report)
    }
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The connection was refused or reset while it was made.
    Connect,
    /// The connection broke after the request may have been sent, before the whole answer arrived.
    Broken,
    /// No complete answer in time.
    Timeout,
}

/// All outcomes of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests started.
    pub started: u64,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// Connections opened.
    pub connections: u64,
    /// The longest time between the moment a request was due and the end of its answer.
    pub slowest: Duration,
    /// The first few failures, in words.
    pub samples: Vec<String>,
}

impl LoadReport {
    /// Requests that were answered with a 2xx status.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum()
    }

    /// Requests that were answered with another status, or not at all.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.finished() - self.succeeded()
    }

    /// Requests whose outcome is known.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.failures.values().sum::<u64>()
    }

    /// `begin` is when the load began: a failure says how long after it the request was due.
    fn record(&mut self, begin: Instant, due: Instant, outcome: Result<u16, (Failure, String)>) {
        let took = due.elapsed();
        let at = due.duration_since(begin).as_secs_f64();
        self.slowest = self.slowest.max(took);
        let sample = match outcome {
            Ok(status) => {
                *self.statuses.entry(status).or_default() += 1;
                (!(200..300).contains(&status))
                    .then(|| format!("at {at:.1} s: status {status} after {took:?}"))
            }
            Err((failure, words)) => {
                *self.failures.entry(failure).or_default() += 1;
                Some(format!("at {at:.1} s: {failure:?} after {took:?}: {words}"))
            }
        };
        if self.samples.len() < SAMPLES {
            self.samples.extend(sample);
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} failed", self.started, self.failed())?;
        write!(f, " (statuses {:?}, without answer {:?})", self.statuses, self.failures)?;
        write!(f, ", {} connections, slowest {:?}", self.connections, self.slowest)?;
        self.samples.iter().try_for_each(|sample| write!(f, "\n  {sample}"))
    }
}

#[derive(Debug)]
struct Shared {
    begin: Instant,
    address: SocketAddr,
    /// The server name and how TLS is spoken; `None` is without.
    tls: Option<(String, Arc<rustls::ClientConfig>)>,
    answer_limit: Duration,
    template: Request<Full<Bytes>>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    places: Semaphore,
    report: Mutex<LoadReport>,
}

impl Shared {
    fn report(&self) -> std::sync::MutexGuard<'_, LoadReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept connection that is not known to be closed, or a new one.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, (Failure, String)> {
        while let Some(kept) = self.take_idle() {
            if kept.is_ready() {
                return Ok(kept);
            }
        }
        let failed = |error: &dyn fmt::Display| (Failure::Connect, error.to_string());
        let io = TcpStream::connect(self.address).await.map_err(|error| failed(&error))?;
        io.set_nodelay(true).map_err(|error| failed(&error))?;
        let sender = match &self.tls {
            None => begin(io).await,
            Some((name, config)) => match tls_client::handshake(io, name, config).await {
                Ok(io) => begin(io).await,
                Err(error) => return Err(failed(&error)),
            },
        };
        let sender = sender.map_err(|error| failed(&error))?;
        self.report().connections += 1;
        Ok(sender)
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        self.idle().pop()
    }

    async fn send(&self) -> Result<u16, (Failure, String)> {
        let mut request = self.template.clone();
        loop {
            let mut sender = self.connection().await?;
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let body = answer.into_body().collect().await;
                    body.map_err(|error| (Failure::Broken, error.to_string()))?;
                    self.keep(sender).await;
                    return Ok(status);
                }
                Err(mut error) => match error.take_message() {
                    // Nothing of it was sent: the kept connection had been closed by the other side.
                    Some(unsent) => request = unsent,
                    None => return Err((Failure::Broken, error.into_error().to_string())),
                },
            }
        }
    }

    /// Puts a connection back, once it is ready for the next request; not if it is to be closed.
    async fn keep(&self, mut sender: SendRequest<Full<Bytes>>) {
        if sender.ready().await.is_ok() {
            self.idle().push(sender);
        }
    }
}

/// Begins HTTP on a new connection.
async fn begin<S>(io: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(io)).await?;
    // Ends with the sender; its errors reach us through the request.
    tokio::spawn(connection);
    Ok(sender)
}

async fn drive(shared: Arc<Shared>, period: Duration, mut stopped: oneshot::Receiver<()>) {
    let mut requests = JoinSet::new();
    let mut ticks = interval(period);
    // Open loop: what was due while the machine was busy is still sent.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            // Also when the handle was dropped.
            _ = &mut stopped => break,
            Some(_) = requests.join_next() => {}
            due = ticks.tick() => {
                shared.report().started += 1;
                requests.spawn(one(Arc::clone(&shared), due));
            }
        }
    }
    while requests.join_next().await.is_some() {}
}

async fn one(shared: Arc<Shared>, due: Instant) {
    let place = shared.places.acquire().await;
    let limit = shared.answer_limit;
    let outcome = match tokio::time::timeout(limit, shared.send()).await {
        Ok(outcome) => outcome,
        Err(_) => Err((Failure::Timeout, format!("no answer within {limit:?}"))),
    };
    drop(place);
    shared.report().record(shared.begin, due, outcome);
}
