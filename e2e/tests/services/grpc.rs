//! Servers of gRPC, on loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tower::Service;

/// A running server. It stops taking connections when dropped.
pub(crate) struct GrpcServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl GrpcServer {
    /// Starts on a free port.
    pub(crate) async fn start<S>(service: S) -> Result<Self>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let service = service.clone();
                let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
                    service.clone().call(request.map(Body::new))
                });
                let builder = auto::Builder::new(TokioExecutor::new()).http2_only();
                let service = TowerToHyperService::new(service);
                let connection = builder.serve_connection(TokioIo::new(io), service).into_owned();
                // A client that goes away is no fault of the server.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { address, task })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
