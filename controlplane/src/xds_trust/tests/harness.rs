//! A running xDS port with two Gateways, and a client without manners.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use limits::LimitService;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;
use xds::{AdsServer, NodeGroup, Resource, ResourceType, SnapshotWriter};

use super::super::*;
use crate::ai_module::delivery::tests::module;
use crate::ai_module::delivery::{Module, WithModule};
use crate::lease::Leadership;
use crate::mock_api::MockApi;

pub(super) const AUDIENCE: &str = "chancery.dev/xds";
pub(super) const SERVER: &str = "chancery.chancery-system.svc";
pub(super) const LIMITS: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
pub(super) const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
pub(super) const SOTW: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// The end of the module that the port serves.
pub(super) const MODULE: &[u8] = b"canary-module";

/// Longer than anything here takes; only a bug waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it does not happen")
}

// --- tokens ---

/// A token with these claims, which no two calls make equal.
pub(super) fn token(audience: &str, expires_in: i64) -> BearerToken {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let claims = json!({"aud": [audience], "exp": now.saturating_add_signed(expires_in), "jti": serial});
    BearerToken::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

pub(super) fn service_account(namespace: &str, name: &str) -> ServiceAccount {
    ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// An API server that knows some tokens.
#[derive(Clone, Default)]
pub(super) struct Reviewer(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    genuine: BTreeMap<String, Reviewed>,
    is_down: bool,
    reviews: usize,
}

impl Reviewer {
    /// A genuine token of that service account.
    pub(super) fn issue(&self, namespace: &str, name: &str, expires_in: i64) -> BearerToken {
        let token = token(AUDIENCE, expires_in);
        let pod = Some(format!("pod-of-{name}"));
        let reviewed = Reviewed { service_account: service_account(namespace, name), pod };
        self.0.lock().unwrap().genuine.insert(token.expose().to_owned(), reviewed);
        token
    }

    pub(super) fn revoke(&self, token: &BearerToken) {
        self.0.lock().unwrap().genuine.remove(token.expose());
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap().is_down = is_down;
    }

    pub(super) fn reviews(&self) -> usize {
        self.0.lock().unwrap().reviews
    }
}

impl TokenReviewer for Reviewer {
    fn review<'a>(
        &'a self,
        token: &'a BearerToken,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Unavailable>> + Send + 'a>> {
        let mut known = self.0.lock().unwrap();
        known.reviews += 1;
        let verdict = known.genuine.get(token.expose()).cloned().map_or(Verdict::Rejected, Verdict::Genuine);
        let answer = if known.is_down { Err(Unavailable("down".to_owned())) } else { Ok(verdict) };
        Box::pin(std::future::ready(answer))
    }
}

// --- the port ---

/// A running port. Gateway `shop/web` has a cluster called `canary-web`, `shop/other` one called
/// `canary-other`.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    pub(super) reviewer: Reviewer,
    pub(super) directory: watch::Sender<Arc<ProxyDirectory>>,
    pub(super) writer: SnapshotWriter,
    pub(super) keeper: AuthorityKeeper,
    pub(super) module: Arc<Module>,
    _leads: watch::Sender<Leadership>,
    _stop: oneshot::Sender<()>,
}

impl Port {
    pub(super) async fn open(patience: Patience) -> Self {
        let (leads, leadership) = watch::channel(Leadership::Leader {
            until: tokio::time::Instant::now() + Duration::from_hours(24 * 365),
        });
        let settings = AuthoritySettings {
            namespace: "chancery-system".to_owned(),
            secret: "ca".to_owned(),
            server_names: vec![SERVER.to_owned()],
        };
        let mut keeper =
            AuthorityKeeper::new(MockApi::new().client(), settings, leadership, Metrics::default());
        keeper.observe(None, SystemTime::now());
        keeper.tend(SystemTime::now()).await;
        Self::open_with(patience, keeper, leads).await
    }

    pub(super) async fn open_with(
        patience: Patience,
        keeper: AuthorityKeeper,
        leads: watch::Sender<Leadership>,
    ) -> Self {
        let mut writer = SnapshotWriter::new();
        let groups = ["web", "other"].map(|name| NodeGroup::new(format!("shop/{name}")));
        let accounts = [service_account("shop", "web"), service_account("shop", "other")];
        for (name, group) in ["web", "other"].iter().zip(&groups) {
            publish(&mut writer, group, name);
        }
        let directory = watch::Sender::new(Arc::new(accounts.into_iter().zip(groups).collect()));
        let reviewer = Reviewer::default();
        let authenticator = Authenticator::new(
            reviewer.clone(),
            AUDIENCE,
            directory.subscribe(),
            patience,
            Metrics::default(),
        );
        let limits = LimitService::default().server();
        let ads = AdsServer::new(writer.cache(), AdmittedGroup).with_neighbour(limits::PATH, limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = server_config(keeper.certificate());
        let (stop, stopped) = oneshot::channel::<()>();
        let module = Arc::new(module(MODULE));
        let service = WithModule::new(Some(module.clone()), ads);
        let service = Authenticated::new(authenticator, service).with_short_calls(limits::PATH);
        tokio::spawn(serve_tls(listener, tls, service, async {
            let _ = stopped.await;
        }));
        Self { address, reviewer, directory, writer, keeper, module, _leads: leads, _stop: stop }
    }

    /// Connects as a proxy does that trusts the present bundle.
    pub(super) async fn connect(&self) -> Client {
        let bundle = self.bundle();
        Client::connect(self.address, &bundle, &rustls::version::TLS13).await.unwrap()
    }

    pub(super) fn bundle(&self) -> String {
        self.keeper.bundle().borrow().as_ref().unwrap().pem().to_owned()
    }
}

/// Publishes a cluster whose name and bytes are `canary-NAME`.
pub(super) fn publish(writer: &mut SnapshotWriter, group: &NodeGroup, name: &str) {
    let name = format!("canary-{name}");
    let cluster = Resource::new(name.clone(), ResourceType::Cluster, name.as_bytes(), vec![]);
    writer.publish(group, [cluster].into_iter().collect());
}

// --- the client ---

pub(super) struct Client {
    requests: SendRequest<RequestBody>,
    /// What the server showed, DER.
    pub(super) certificate: Vec<u8>,
}

type Frames = UnboundedReceiverStream<Result<Frame<Bytes>, std::convert::Infallible>>;
type RequestBody = StreamBody<Frames>;

impl Client {
    pub(super) async fn connect(
        address: SocketAddr,
        bundle: &str,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Self, std::io::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(SERVER).unwrap();
        let stream = soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (requests, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(Self { requests, certificate })
    }

    /// Calls a method, and asks for everything that it has under any name.
    pub(super) async fn call(&mut self, path: &str, token: Option<&BearerToken>) -> Call {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(Ok(Frame::data(discovery_request(path)))).unwrap();
        Call { response: self.send(path, token, receiver).await, _requests: sender }
    }

    async fn send(
        &mut self,
        path: &str,
        token: Option<&BearerToken>,
        frames: mpsc::UnboundedReceiver<Result<Frame<Bytes>, std::convert::Infallible>>,
    ) -> Response<Incoming> {
        let mut request = Request::post(format!("https://{SERVER}{path}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let body = StreamBody::new(UnboundedReceiverStream::new(frames));
        soon(self.requests.send_request(request.body(body).unwrap())).await.unwrap()
    }

    /// Calls a method that has one question and one answer; gives the code, and whatever came in the body.
    pub(super) async fn ask(&mut self, path: &str, token: Option<&BearerToken>) -> (Code, Vec<u8>) {
        let (question, rest) = mpsc::unbounded_channel();
        question.send(Ok(Frame::data(discovery_request(path)))).unwrap();
        drop(question);
        let response = self.send(path, token, rest).await;
        Call { response, _requests: mpsc::unbounded_channel().0 }.end().await
    }

    /// Asks for a page as any HTTP client does: the status, headers and body of the answer.
    pub(super) async fn fetch(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&BearerToken>,
    ) -> (http::response::Parts, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(format!("https://{SERVER}{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        // The end of the request, which has no body.
        let (_, receiver) = mpsc::unbounded_channel();
        let body = StreamBody::new(UnboundedReceiverStream::new(receiver));
        let response = soon(self.requests.send_request(request.body(body).unwrap())).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, soon(body.collect()).await.unwrap().to_bytes().to_vec())
    }

    /// Waits until the server has closed the connection.
    pub(super) async fn closed(&mut self) {
        soon(async {
            while !self.requests.is_closed() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Calls a method that must be refused; gives the code and whatever came in the body.
    pub(super) async fn refused(&mut self, path: &str, token: Option<&BearerToken>) -> (Code, Vec<u8>) {
        self.call(path, token).await.end().await
    }
}

/// A framed request for all clusters, from a node that claims to be another; or, of the service that counts, for nothing.
fn discovery_request(path: &str) -> Bytes {
    use prost::Message as _;
    if path == LIMITS {
        let request = proto::ratelimit_service::RateLimitRequest {
            domain: limit_rule::DOMAIN.to_owned(),
            ..Default::default()
        };
        return framed(&request.encode_to_vec());
    }
    let claimed = "shop/other".to_owned();
    let node = proto::core::Node { id: claimed.clone(), cluster: claimed, ..Default::default() };
    let (node, type_url) = (Some(node), ResourceType::Cluster.type_url().to_owned());
    let message = match path {
        SOTW => proto::discovery::DiscoveryRequest { node, type_url, ..Default::default() }.encode_to_vec(),
        _ => proto::discovery::DeltaDiscoveryRequest { node, type_url, ..Default::default() }.encode_to_vec(),
    };
    framed(&message)
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// A call in progress.
pub(super) struct Call {
    response: Response<Incoming>,
    _requests: mpsc::UnboundedSender<Result<Frame<Bytes>, std::convert::Infallible>>,
}

impl Call {
    /// The next message, as it is on the wire.
    pub(super) async fn message(&mut self) -> Vec<u8> {
        let frame = soon(self.response.body_mut().frame()).await;
        frame.expect("the call ended").unwrap().into_data().expect("the call ended").to_vec()
    }

    /// The code of a call that ended at once.
    pub(super) fn response_code(&self) -> Option<Code> {
        grpc_status(self.response.headers())
    }

    /// Reads to the end: the code, and all bytes of messages.
    pub(super) async fn end(mut self) -> (Code, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut code = grpc_status(self.response.headers());
        while let Some(frame) = soon(self.response.body_mut().frame()).await {
            match frame.unwrap().into_data() {
                Ok(data) => bytes.extend(data),
                Err(frame) => code = code.or(grpc_status(frame.trailers_ref().unwrap())),
            }
        }
        (code.expect("a gRPC status"), bytes)
    }
}

fn grpc_status(headers: &http::HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

/// Whether the bytes hold this text.
pub(super) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
