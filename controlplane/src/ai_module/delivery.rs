//! The module on its way to proxies in a cluster: they fetch it from the xDS port, by the cluster of their bootstrap
//! that leads there, over the same TLS and with the same token as everything else.
//!
//! The path has the file's SHA-256, which the configuration of the proxy names as well. So what is at a path never
//! changes, and a proxy that is led to a replica with another version gets a 404 there, and asks again.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use ir::{ModuleSource, RemoteModule};
use sha2::{Digest as _, Sha256};
use tonic::body::Body as GrpcBody;
use tower::Service;

use super::check;
use crate::bootstrap::XDS_CLUSTER;

/// What the path of a module begins with. Nothing else is served below it.
const FOLDER: &str = "/module/";

/// A module, held in memory: what is served stays the same when the file is replaced.
#[derive(Debug)]
pub struct Module {
    sha256: String,
    bytes: Bytes,
}

impl Module {
    /// Reads a file that is a module for the Envoy that this program is made for.
    ///
    /// # Errors
    /// It is none, or cannot be read: in words that name the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = check(path)?;
        let sha256 = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let architecture = architecture(&bytes);
        tracing::info!(file = %path.display(), sha256, architecture, "serving the module of the AI engine");
        Ok(Self { sha256, bytes: bytes.into() })
    }

    /// Where proxies get it, when the xDS port is at `authority` (`HOST:PORT`).
    pub fn source(&self, authority: &str) -> ModuleSource {
        ModuleSource::Remote(RemoteModule {
            uri: format!("https://{authority}{}", self.path()),
            cluster: XDS_CLUSTER.to_owned(),
            sha256: self.sha256.clone(),
        })
    }

    fn path(&self) -> String {
        format!("{FOLDER}{}.so", self.sha256)
    }
}

/// For which processors a module is, by the ELF header, in the words of container images.
fn architecture(bytes: &[u8]) -> &'static str {
    // e_machine, at 18 in files of both sizes.
    match bytes.get(18..20) {
        Some([62, 0]) => "amd64",
        Some([183, 0]) => "arm64",
        _ => "unknown",
    }
}

/// A gRPC service with the module beside it.
#[derive(Clone, Debug)]
pub struct WithModule<S> {
    module: Option<Arc<Module>>,
    service: S,
}

impl<S> WithModule<S> {
    /// Serves `module`, if there is one, and `service` at all other paths.
    pub fn new(module: Option<Arc<Module>>, service: S) -> Self {
        Self { module, service }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<GrpcBody> {
        let Some(module) = self.module.as_ref().filter(|module| module.path() == path) else {
            return status(StatusCode::NOT_FOUND);
        };
        if method != Method::GET {
            let mut refused = status(StatusCode::METHOD_NOT_ALLOWED);
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return refused;
        }
        let mut response = Response::new(GrpcBody::new(Full::new(module.bytes.clone())));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, module.bytes.len().into());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        response
    }
}

fn status(code: StatusCode) -> Response<GrpcBody> {
    let mut response = Response::new(GrpcBody::empty());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_LENGTH, 0.into());
    response
}

impl<S, B> Service<Request<B>> for WithModule<S>
where
    S: Service<Request<B>, Response = Response<GrpcBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<GrpcBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path().starts_with(FOLDER) {
            let answer = self.answer(request.method(), request.uri().path());
            return Box::pin(std::future::ready(Ok(answer)));
        }
        Box::pin(self.service.call(request))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A module that holds no more than these bytes.
    pub(crate) fn module(bytes: &'static [u8]) -> Module {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.so");
        std::fs::write(&path, [super::super::ENTRY_POINT, super::super::ABI_VERSION, bytes].concat())
            .unwrap();
        Module::read(&path).unwrap()
    }

    #[test]
    fn what_is_fetched_is_named_by_its_hash() {
        let module = module(b"1");
        let ModuleSource::Remote(remote) = module.source("chancery.x.svc:18000") else { panic!() };
        assert_eq!(remote.uri, format!("https://chancery.x.svc:18000/module/{}.so", remote.sha256));
        assert_eq!(remote.sha256.len(), 64);
        let other = super::tests::module(b"2");
        assert_ne!(other.sha256, remote.sha256);
    }

    #[test]
    fn the_architecture_is_read_from_the_header() {
        let header = |machine: u8| [b"\x7fELF".as_slice(), &[0; 14], &[machine, 0], &[0; 8]].concat();
        assert_eq!(
            [62, 183, 40].map(|machine| architecture(&header(machine))),
            ["amd64", "arm64", "unknown"]
        );
        assert_eq!(architecture(b"\x7fELF"), "unknown");
    }
}
