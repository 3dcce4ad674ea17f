//! Backends and clients of connections and datagrams that are not HTTP: lines of text go in, and come back with the name of who
//! answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a datagram may take: those that are dropped are waited for.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(2);

/// A server that answers each line, or each datagram, with its name and the same text. It stops when dropped.
#[derive(Debug)]
pub struct LineBackend {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl LineBackend {
    /// Takes connections, with TLS if it is given a configuration.
    ///
    /// # Errors
    /// No port.
    pub async fn connections(identity: &str, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, identity) = (listener.local_addr()?, identity.to_owned());
        let acceptor = tls.map(TlsAcceptor::from);
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (identity, acceptor) = (identity.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // A client that goes away is no fault of the server.
                    let _ = match acceptor {
                        None => answer_lines(io, &identity).await,
                        Some(acceptor) => match acceptor.accept(io).await {
                            Ok(io) => answer_lines(io, &identity).await,
                            Err(error) => Err(error.into()),
                        },
                    };
                });
            }
        });
        Ok(Self { address, task })
    }

    /// Takes datagrams.
    ///
    /// # Errors
    /// No port.
    pub async fn datagrams(identity: &str) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, identity) = (socket.local_addr()?, identity.to_owned());
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                let _ = socket.send_to(format!("{identity}: {text}").as_bytes(), client).await;
            }
        });
        Ok(Self { address, task })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for LineBackend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer_lines<S: AsyncRead + AsyncWrite + Unpin>(io: S, identity: &str) -> Result<()> {
    let mut io = BufStream::new(io);
    let mut line = String::new();
    while io.read_line(&mut line).await? > 0 {
        io.write_all(format!("{identity}: {line}").as_bytes()).await?;
        io.flush().await?;
        line.clear();
    }
    Ok(())
}

/// A connection on which lines are said.
#[derive(Debug)]
pub struct Lines<S>(BufStream<S>);

impl Lines<TcpStream> {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self(BufStream::new(TcpStream::connect(address).await?)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    /// Says a line and gives the answer, without its end.
    ///
    /// # Errors
    /// The connection is closed, or nothing comes.
    pub async fn say(&mut self, text: &str) -> Result<String> {
        let exchange = async {
            self.0.write_all(format!("{text}\n").as_bytes()).await?;
            self.0.flush().await?;
            let mut line = String::new();
            ensure!(self.0.read_line(&mut line).await? > 0, "the connection was closed");
            Ok(line.trim_end().to_owned())
        };
        timeout(PATIENCE, exchange).await.context("no answer")?
    }
}

/// Says one line on a connection of its own.
///
/// # Errors
/// The connection is refused or closed, or nothing comes.
pub async fn say(address: SocketAddr, text: &str) -> Result<String> {
    Lines::connect(address).await?.say(text).await
}

/// The same within TLS, with this server name.
///
/// # Errors
/// Likewise; or the handshake fails, as an [`io::Error`](std::io::Error).
pub async fn say_in_tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
    text: &str,
) -> Result<String> {
    let io = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned())?;
    let io =
        timeout(PATIENCE, TlsConnector::from(config).connect(name, io)).await.context("no handshake")??;
    Lines(BufStream::new(io)).say(text).await
}

/// Sends one datagram from a port of its own and gives the answer; `None` if none comes.
///
/// # Errors
/// It cannot be sent.
pub async fn send_datagram(address: SocketAddr, text: &str) -> Result<Option<String>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(address).await?;
    socket.send(text.as_bytes()).await?;
    let mut buffer = [0; 2048];
    match timeout(DATAGRAM_PATIENCE, socket.recv(&mut buffer)).await {
        Ok(Ok(length)) => {
            Ok(Some(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()))
        }
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}
