//! Sockets.

use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Error, Server};

use super::AdsServer;

/// An idle connection is probed this often, so that dead peers (and proxies in between) are found.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// A peer that does not answer a probe for this long is gone.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves on a Unix socket until `shutdown` completes; then ends all streams and waits for the connections.
///
/// # Errors
/// The transport failed.
pub async fn serve_unix(
    server: AdsServer,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let closing = server.clone();
    let shutdown = async move {
        shutdown.await;
        closing.close();
    };
    let incoming = UnixListenerStream::new(listener);
    transport().serve_with_incoming_shutdown(server, incoming, shutdown).await
}

/// Like [`serve_unix`], on a TCP socket and in plain text: for loopback or behind something that encrypts.
///
/// # Errors
/// The transport failed.
pub async fn serve_tcp(
    server: AdsServer,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let closing = server.clone();
    let shutdown = async move {
        shutdown.await;
        closing.close();
    };
    let incoming = TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    transport().serve_with_incoming_shutdown(server, incoming, shutdown).await
}

fn transport() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}
