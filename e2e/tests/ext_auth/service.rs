//! A service that is asked by gRPC, by Envoy's own protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use proto::auth_service::authorization_server::{Authorization, AuthorizationServer};
use proto::auth_service::check_response::HttpResponse;
use proto::auth_service::{CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use proto::core::{HeaderValue, HeaderValueOption};
use proto::types::{HttpStatus, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

/// What the header `x-verdict` of a request asks for; a request without it is refused.
pub(crate) const VERDICT: &str = "x-verdict";

/// The value of forged headers.
pub(crate) const FORGED: &str = "4711";

/// The service. It stops taking connections when dropped.
pub(crate) struct GrpcService {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<CheckRequest>>>,
    task: JoinHandle<()>,
}

impl GrpcService {
    /// Starts on a free loopback port.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, asked) = (listener.local_addr()?, Arc::default());
        let service = AuthorizationServer::new(Judge { asked: Arc::clone(&asked) });
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                let builder = auto::Builder::new(TokioExecutor::new()).http2_only();
                let connection = builder.serve_connection(TokioIo::new(io), service).into_owned();
                // A client that goes away is no fault of the server.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { address, asked, task })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Takes out what it was asked.
    pub(crate) fn take_asked(&self) -> Vec<CheckRequest> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for GrpcService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Judge {
    asked: Arc<Mutex<Vec<CheckRequest>>>,
}

#[tonic::async_trait]
impl Authorization for Judge {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let verdict = http(&request).headers.get(VERDICT).cloned().unwrap_or_default();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let pass = |headers: &[(&str, &str)], remove: &[&str]| {
            let ok = OkHttpResponse {
                headers: headers.iter().map(|(name, value)| header(name, value)).collect(),
                headers_to_remove: remove.iter().map(ToString::to_string).collect(),
                response_headers_to_add: vec![header("x-checked", "yes")],
                ..OkHttpResponse::default()
            };
            Ok(answer(0, HttpResponse::OkResponse(ok)))
        };
        match verdict.as_str() {
            "pass" => pass(&[("x-user", "alice")], &["x-secret"]),
            // Everything that it should not change.
            "forge" => {
                let framing = crds::header::FRAMING.map(|name| (name, FORGED));
                let others =
                    [("host", "evil.test"), (":path", "/admin"), (":method", "DELETE"), ("x-user", "alice")];
                pass(&[framing.as_slice(), &others].concat(), &["content-length"])
            }
            "reroute" => pass(&[(":path", "/other"), ("x-user", "alice"), ("host", "evil.test")], &[]),
            "broken" => pass(&[("x-user", "a\nb")], &[]),
            "fail" => Err(Status::internal("the service is broken")),
            _ => {
                let denied = DeniedHttpResponse {
                    status: Some(HttpStatus { code: StatusCode::PaymentRequired.into() }),
                    headers: vec![header("www-authenticate", "Custom"), header("x-reason", "because")],
                    body: "not you".to_owned(),
                };
                Ok(answer(7, HttpResponse::DeniedResponse(denied)))
            }
        }
    }
}

/// The request that a question is about.
pub(crate) fn http(request: &CheckRequest) -> proto::auth_service::attribute_context::HttpRequest {
    let attributes = request.attributes.clone().unwrap_or_default();
    attributes.request.and_then(|request| request.http).unwrap_or_default()
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), ..HeaderValue::default() }),
        ..HeaderValueOption::default()
    }
}

fn answer(code: i32, response: HttpResponse) -> Response<CheckResponse> {
    let status = proto::rpc::Status { code, ..proto::rpc::Status::default() };
    Response::new(CheckResponse {
        status: Some(status),
        http_response: Some(response),
        ..CheckResponse::default()
    })
}
