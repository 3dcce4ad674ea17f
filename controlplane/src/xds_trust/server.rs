//! Accepts TLS connections and serves HTTP/2 on them.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body as GrpcBody;
use tower::Service;

use super::authenticated::{Authenticated, InUse};

/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at a time; further ones are closed at once, for clients to try another replica.
const MAX_CONNECTIONS: usize = 4096;
/// Calls of one connection at a time: streams, of which a proxy has few, and questions about limits.
const MAX_CONCURRENT_STREAMS: u32 = 128;
/// Bytes of a call's headers, a token included.
const MAX_HEADER_LIST_LEN: u32 = 32 * 1024;
/// Dead peers are found by a probe after so long, and given up when it is not answered for so long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connections have to end after the server was told to.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `service` on `listener` until `shutdown` completes; then ends the connections. What ends the
/// service's streams (such as [`xds::AdsServer::close`]) is to be called by `shutdown`.
///
/// Nothing is served but TLS with `tls`, and nothing but by way of [`Authenticated`].
///
/// # Errors
/// The listener failed.
pub async fn serve_tls<S>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    service: Authenticated<S>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<GrpcBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let acceptor = TlsAcceptor::from(tls);
    let (closing, closed) = watch::channel(false);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors, most likely: others may end.
                tracing::warn!(%error, "cannot accept a connection of the xDS port");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(limit = MAX_CONNECTIONS, "too many connections to the xDS port");
            continue;
        };
        let (acceptor, service, closed) = (acceptor.clone(), service.clone(), closed.clone());
        connections.spawn(async move {
            if let Err(error) = serve_connection(stream, acceptor, service, closed).await {
                tracing::debug!(error, "a connection of the xDS port ended");
            }
            drop(place);
        });
    }
    closing.send_replace(true);
    let _ = timeout(SHUTDOWN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection, from handshake to end.
async fn serve_connection<S>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    service: Authenticated<S>,
    mut closed: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Incoming>, Response = Response<GrpcBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let patience = service.authenticator().patience();
    let in_use = InUse::default();
    let service = service.on_connection(in_use.clone());
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_LEN)
        .keep_alive_interval(Some(KEEPALIVE_INTERVAL))
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        _ = closed.wait_for(|closed| *closed) => {}
        () = sleep(patience.jittered_age()) => {}
        () = idle(&in_use, patience.idle_timeout / 2) => {}
    }
    // New calls go elsewhere; those that run may end in their time.
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// Waits until no call that was let in has been seen at two looks in a row.
async fn idle(in_use: &InUse, look_interval: Duration) {
    let mut idle_looks = 0;
    while idle_looks < 2 {
        sleep(look_interval).await;
        idle_looks = if in_use.is_idle() { idle_looks + 1 } else { 0 };
    }
}
