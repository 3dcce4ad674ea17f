//! Heeds the API server when it asks for patience: after an answer with `Retry-After` (429 of its priority and fairness,
//! 503 while it starts or ends), requests of the same kind wait so long before they are sent.
//!
//! Of the same kind are reads, or writes, of one group of resources: a server that is asked too often for routes still
//! renews the Lease, and statuses that wait do not hold up a watch.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use kube::client::Body;
use tokio::time::{Instant, sleep};
use tower::buffer::Buffer;
use tower::util::ServiceExt as _;
use tower::{BoxError, Layer, Service};

/// A longer wait than this is taken for a mistake of the server's.
const LONGEST: Duration = Duration::from_secs(300);

/// A request that would have to wait longer fails at once, and whoever sent it tries again later. It is shorter than
/// anybody waits for an answer: else that would be told as a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests that may stand before the connection at a time.
const QUEUE: usize = 1024;

/// Makes requests wait for as long as the API server has asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paced;

impl<S, B> Layer<S> for Paced
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send + Sync,
{
    type Service = PacedService<S::Future>;

    /// Must be called within a tokio runtime.
    fn layer(&self, service: S) -> Self::Service {
        PacedService { inner: Buffer::new(service, QUEUE), waits: Waits::default() }
    }
}

pub(crate) struct PacedService<F> {
    // A request that waits keeps the service for later.
    inner: Buffer<Request<Body>, F>,
    waits: Waits,
}

// Not derived: that would ask for futures that can be cloned.
impl<F: Send + 'static> Clone for PacedService<F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), waits: self.waits.clone() }
    }
}

impl<F, B, E> Service<Request<Body>> for PacedService<F>
where
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut inner, waits) = (self.inner.clone(), self.waits.clone());
        Box::pin(async move {
            let flow = Flow::of(&request);
            waits.pass(&flow).await?;
            let response = inner.ready().await?.call(request).await?;
            waits.learn(flow, response.status(), response.headers());
            Ok(response)
        })
    }
}

/// What is asked for patience as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    /// Such as `/apis/gateway.networking.k8s.io`.
    group: String,
    is_write: bool,
}

impl Flow {
    fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path();
        let segments = if path.starts_with("/apis/") { 2 } else { 1 };
        let group = path.split('/').skip(1).take(segments).map(|segment| format!("/{segment}")).collect();
        Self { group, is_write: *request.method() != Method::GET }
    }
}

/// Until when each flow waits. There are as many as groups of resources.
#[derive(Clone, Debug, Default)]
struct Waits(Arc<Mutex<BTreeMap<Flow, Instant>>>);

impl Waits {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Flow, Instant>> {
        // Whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when a request of this flow may be sent.
    ///
    /// # Errors
    /// That is longer ahead than anybody waits.
    async fn pass(&self, flow: &Flow) -> Result<(), BoxError> {
        loop {
            let until = self.lock().get(flow).copied();
            let wait = until.unwrap_or_else(Instant::now).saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            if wait > PATIENCE {
                return Err(format!("the API server asks to wait {} s longer", wait.as_secs()).into());
            }
            sleep(wait).await;
        }
    }

    fn learn(&self, flow: Flow, status: StatusCode, headers: &HeaderMap) {
        let Some(wait) = asked_for(status, headers) else { return };
        let until = Instant::now() + wait;
        let mut waits = self.lock();
        let before = waits.get(&flow).copied();
        // Several answers may be on their way; the longest wait counts.
        waits.insert(flow.clone(), before.map_or(until, |before| before.max(until)));
        // Once per time of waiting, however many requests were under way.
        if before.is_none_or(|before| before <= Instant::now()) {
            let Flow { group, is_write } = flow;
            tracing::warn!(%status, group, is_write, "the API server asks to wait {} s", wait.as_secs());
        }
    }
}

/// The wait that an answer asks for; the API server says it in seconds.
fn asked_for(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = headers.get(header::RETRY_AFTER).filter(|_| asks)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::service_fn;

    use super::*;

    type Times = Arc<Mutex<Vec<(String, Duration)>>>;

    /// A server that answers the first request of every path with this status and wait, and the others well.
    fn server(
        status: u16,
        retry_after: &'static str,
    ) -> (impl Clone + Fn(&'static str, Method) -> Sent, Times) {
        let times = Times::default();
        let (started, log) = (Instant::now(), times.clone());
        let service = service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let is_first = log.lock().unwrap().iter().all(|(known, _)| *known != path);
            log.lock().unwrap().push((path, started.elapsed()));
            let response = Response::builder().status(if is_first { status } else { 200 });
            let response = response.header(header::RETRY_AFTER, retry_after).body(());
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        let paced = Paced.layer(service);
        let send = move |path: &'static str, method: Method| -> Sent {
            let mut paced = paced.clone();
            Box::pin(async move {
                let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
                // 0 stands for a request that was not sent.
                paced.call(request).await.map_or(0, |response| response.status().as_u16())
            })
        };
        (send, times)
    }

    type Sent = Pin<Box<dyn Future<Output = u16> + Send>>;

    const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
    const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/gateways";
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/x/leases/y";

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_to_wait_waits_and_nothing_else_does() {
        for status in [429, 503] {
            let (send, times) = server(status, "7");
            assert_eq!(send(ROUTES, Method::GET).await, status);
            // Other groups, and writes, have not been asked; both get their own first answer, and wait from then on.
            send(LEASE, Method::GET).await;
            send("/apis/gateway.networking.k8s.io/v1/namespaces/a/httproutes/b/status", Method::PATCH).await;
            assert!(times.lock().unwrap().iter().all(|(_, at)| *at < Duration::from_secs(1)), "{times:?}");
            assert_eq!(send(ROUTES, Method::GET).await, 200);
            assert!(times.lock().unwrap()[3].1 >= Duration::from_secs(7), "{times:?}");
            // It is over: what comes later goes at once.
            let before = Instant::now();
            assert_eq!(send(ROUTES, Method::GET).await, 200);
            assert!(before.elapsed() < Duration::from_secs(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_the_same_group_wait_for_one_another() {
        let (send, times) = server(429, "3");
        send(ROUTES, Method::GET).await;
        tokio::join!(send(ROUTES, Method::GET), send(GATEWAYS, Method::GET));
        let times = times.lock().unwrap();
        assert!(times[1..].iter().all(|(_, at)| *at >= Duration::from_secs(3)), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_would_wait_too_long_fails_at_once_and_one_that_comes_later_is_sent() {
        let (send, times) = server(429, "60");
        assert_eq!(send(ROUTES, Method::GET).await, 429);
        let started = Instant::now();
        assert_eq!(send(ROUTES, Method::GET).await, 0);
        assert!(started.elapsed() < Duration::from_secs(1));
        sleep(Duration::from_secs(55)).await;
        assert_eq!(send(ROUTES, Method::GET).await, 200);
        assert!(times.lock().unwrap()[1].1 >= Duration::from_secs(60), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_waits_the_longest_counts() {
        let waits = Waits::default();
        let flow = Flow { group: "/api".to_owned(), is_write: false };
        for seconds in ["7", "1"] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, seconds.parse().unwrap())]);
            waits.learn(flow.clone(), StatusCode::TOO_MANY_REQUESTS, &headers);
        }
        let started = Instant::now();
        waits.pass(&flow).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(7));
    }

    #[test]
    fn only_an_answer_that_asks_for_it_makes_anybody_wait() {
        let headers = |value: &str| HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
        let rows = [
            (429, headers("7"), Some(7)),
            (503, headers(" 1 "), Some(1)),
            (429, headers("86400"), Some(300)),
            (429, headers("soon"), None),
            (429, headers("-1"), None),
            (429, HeaderMap::new(), None),
            (200, headers("7"), None),
            (500, headers("7"), None),
        ];
        for (status, headers, seconds) in rows {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(asked_for(status, &headers), seconds.map(Duration::from_secs), "{status} {headers:?}");
        }
    }
}
