//! The HTTP server under every mock: HTTP/1.1 and HTTP/2 (by ALPN, or with prior knowledge), with or
//! without TLS, on one address.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::recording::{RecordedRequest, Recording};

/// How long open exchanges may go on after a graceful stop was asked for.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is known of a connection beyond its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The server name of the TLS handshake; `None` without TLS, or when the client sent none.
    pub(crate) sni: Option<String>,
}

/// A server that stops when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on `listen` (port 0: chosen by the kernel) and answers every request with `handler`.
    pub(crate) async fn start<H, F>(
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: H,
    ) -> Result<Self>
    where
        H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), stopped, handler));
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Listens on a free port of loopback, and records every request before it answers it with `answer`.
    pub(crate) async fn recorded<A, F>(
        tls: Option<Arc<rustls::ServerConfig>>,
        recording: Recording,
        answer: A,
    ) -> Result<Self>
    where
        A: Fn(RecordedRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler = move |request, connection: Arc<Connection>| {
            let (recording, answer) = (recording.clone(), answer.clone());
            async move {
                match RecordedRequest::read(request, &connection).await {
                    Ok(request) => {
                        recording.push(request.clone());
                        answer(request).await
                    }
                    // The client went away; nobody reads this.
                    Err(_) => Response::new(Body::default()),
                }
            }
        };
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), tls, handler).await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets open exchanges end (for at most 5 s), and closes every connection.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // The task ends by itself; an error means that it was already gone.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections live in the task's own set, and end with it.
        self.task.abort();
    }
}

async fn accept<H, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
    handler: H,
) where
    H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            // Collected as they end, so that the set does not grow for ever.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((io, _)) => {
                    connections.spawn(serve(io, tls.clone(), graceful.watcher(), handler.clone()));
                }
                // Out of file descriptors, mostly: give others time to close some.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_LIMIT, graceful.shutdown()).await;
}

async fn serve<H, F>(io: TcpStream, tls: Option<TlsAcceptor>, watcher: Watcher, handler: H)
where
    H: Fn(Request<Incoming>, Arc<Connection>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Small answers, sent at once: waiting for more data would only add latency to measurements.
    let _ = io.set_nodelay(true);
    match tls {
        None => serve_http(io, Connection { sni: None }, watcher, handler).await,
        Some(acceptor) => {
            // A failed handshake is the client's to report.
            if let Ok(io) = acceptor.accept(io).await {
                let sni = io.get_ref().1.server_name().map(str::to_owned);
                serve_http(io, Connection { sni }, watcher, handler).await;
            }
        }
    }
}

async fn serve_http<S, H, F>(io: S, connection: Connection, watcher: Watcher, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Arc<Connection>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connection = Arc::new(connection);
    let service = service_fn(move |request| {
        let answer = handler(request, Arc::clone(&connection));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(io), service).into_owned();
    // A client that goes away is no fault of the server.
    let _ = watcher.watch(served).await;
}
