//! The HTTP server: HTTP/1.1 and HTTP/2, with or without TLS, on one address.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::body::AnswerBody;

/// What is known of a connection beyond its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    /// The server name of the TLS handshake.
    pub(crate) sni: Option<Arc<str>>,
}

/// A server that stops, and closes its connections, when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on `listen` and answers every request with `handler`.
    pub(crate) async fn start<H, F>(
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: H,
    ) -> Result<Self>
    where
        H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + 'static,
        F: Future<Output = Response<AnswerBody>> + Send + 'static,
    {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), handler));
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections live in the task's own set, and end with it.
        self.task.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Collected as they end, so that the set does not grow for ever.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((io, _)) => {
                    connections.spawn(serve(io, tls.clone(), handler.clone()));
                }
                // Out of file descriptors, mostly: give others time to close some.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

async fn serve<H, F>(io: TcpStream, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>, Connection) -> F + Send + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    // Pieces of a stream are small, and to be seen at once.
    let _ = io.set_nodelay(true);
    match tls {
        None => serve_http(io, Connection::default(), handler).await,
        Some(acceptor) => {
            // A failed handshake is the client's to report.
            if let Ok(io) = acceptor.accept(io).await {
                let sni = io.get_ref().1.server_name().map(Arc::from);
                serve_http(io, Connection { sni }, handler).await;
            }
        }
    }
}

async fn serve_http<S, H, F>(io: S, connection: Connection, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Connection) -> F + Send + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request, connection.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // A client that goes away is no fault of the server.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}
