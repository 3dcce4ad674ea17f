//! A service that sees requests and answers and changes them, by Envoy's protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use proto::core::{HeaderValue, HeaderValueOption};
use proto::ext_proc_service::body_mutation::Mutation;
use proto::ext_proc_service::external_processor_server::{ExternalProcessor, ExternalProcessorServer};
use proto::ext_proc_service::processing_request::Request as Seen;
use proto::ext_proc_service::processing_response::Response as Verdict;
use proto::ext_proc_service::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpBody, HttpHeaders,
    ImmediateResponse, ProcessingRequest, ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};
use proto::types::{HttpStatus, StatusCode};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::grpc::GrpcServer;

/// The header of a request by which it says what is to be done with it.
pub(crate) const DO: &str = "x-do";

/// The value of headers that the service may not set.
pub(crate) const FORGED: &str = "4711";

/// A running service. It writes bodies in capitals and adds headers.
pub(crate) struct Processor {
    server: GrpcServer,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Processor {
    pub(crate) async fn start() -> Result<Self> {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let server =
            GrpcServer::start(ExternalProcessorServer::new(Changes { seen: Arc::clone(&seen) })).await?;
        Ok(Self { server, seen })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Takes out what it has seen, message by message.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Changes {
    seen: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl ExternalProcessor for Changes {
    type ProcessStream = ReceiverStream<Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let mut messages = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            let mut asked_for = String::new();
            while let Ok(Some(message)) = messages.message().await {
                let metadata = message.metadata_context.unwrap_or_default().filter_metadata;
                let Some(request) = message.request else { continue };
                note(&seen, &request, &metadata.into_keys().collect::<Vec<_>>());
                if let Seen::RequestHeaders(headers) = &request {
                    asked_for = headers_of(headers).remove(DO).unwrap_or_default();
                }
                let answer = match asked_for.as_str() {
                    "fail" => Err(Status::internal("the service is broken")),
                    "hang" => continue,
                    _ => Ok(answer(request, &asked_for)),
                };
                if answers.send(answer).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn note(seen: &Mutex<Vec<String>>, request: &Seen, metadata: &[String]) {
    let text = |body: &HttpBody| format!("{} {}", body.body.len(), body.end_of_stream);
    let line = match request {
        Seen::RequestHeaders(headers) => {
            format!("request {} {}", headers_of(headers)[":path"], metadata.join(","))
        }
        Seen::ResponseHeaders(headers) => format!("response {}", headers_of(headers)[":status"]),
        Seen::RequestBody(body) => format!("request body {}", text(body)),
        Seen::ResponseBody(body) => format!("response body {}", text(body)),
        Seen::RequestTrailers(_) => "request trailers".to_owned(),
        Seen::ResponseTrailers(_) => "response trailers".to_owned(),
    };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
}

fn answer(request: Seen, asked_for: &str) -> ProcessingResponse {
    let verdict = match request {
        Seen::RequestHeaders(_) if asked_for == "refuse" => Verdict::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code: StatusCode::PaymentRequired.into() }),
            headers: Some(HeaderMutation {
                set_headers: vec![header("x-reason", "because")],
                ..HeaderMutation::default()
            }),
            body: b"not you".to_vec(),
            ..ImmediateResponse::default()
        }),
        Seen::RequestHeaders(_) => Verdict::RequestHeaders(of_headers(request_edits(asked_for), asked_for)),
        Seen::ResponseHeaders(_) => {
            let mut edits = edits(&[("x-processed", "yes")]);
            edits.remove_headers = vec!["content-length".to_owned()];
            if asked_for == "forge" {
                edits.set_headers.push(header("transfer-encoding", FORGED));
            }
            Verdict::ResponseHeaders(of_headers(edits, ""))
        }
        Seen::RequestBody(body) => Verdict::RequestBody(in_capitals(body, asked_for == "full")),
        Seen::ResponseBody(body) => Verdict::ResponseBody(in_capitals(body, asked_for == "full")),
        Seen::RequestTrailers(_) => Verdict::RequestTrailers(TrailersResponse::default()),
        Seen::ResponseTrailers(_) => Verdict::ResponseTrailers(TrailersResponse::default()),
    };
    ProcessingResponse { response: Some(verdict), ..ProcessingResponse::default() }
}

fn request_edits(asked_for: &str) -> HeaderMutation {
    let mut edits = edits(&[("x-user", "alice")]);
    edits.remove_headers = vec!["x-secret".to_owned()];
    match asked_for {
        "capitals" => edits.remove_headers.push("content-length".to_owned()),
        "reroute" => edits.set_headers.push(header(":path", "/other")),
        "forge" => {
            let framing = crds::header::FRAMING.map(|name| header(name, FORGED));
            edits.set_headers.extend(framing);
            edits.set_headers.push(header("host", "evil.test"));
            edits.set_headers.push(header("x-envoy-retry-on", FORGED));
        }
        _ => {}
    }
    edits
}

fn of_headers(edits: HeaderMutation, asked_for: &str) -> HeadersResponse {
    let response = CommonResponse {
        header_mutation: Some(edits),
        clear_route_cache: asked_for == "reroute",
        ..CommonResponse::default()
    };
    HeadersResponse { response: Some(response) }
}

fn in_capitals(HttpBody { body, end_of_stream, .. }: HttpBody, is_full_duplex: bool) -> BodyResponse {
    let body = body.to_ascii_uppercase();
    let mutation = match is_full_duplex {
        true => {
            Mutation::StreamedResponse(StreamedBodyResponse { body, end_of_stream, ..Default::default() })
        }
        false => Mutation::Body(body),
    };
    let mutation = BodyMutation { mutation: Some(mutation) };
    BodyResponse {
        response: Some(CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() }),
    }
}

fn edits(headers: &[(&str, &str)]) -> HeaderMutation {
    let set_headers = headers.iter().map(|(name, value)| header(name, value)).collect();
    HeaderMutation { set_headers, ..HeaderMutation::default() }
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header =
        HeaderValue { key: name.to_owned(), raw_value: value.as_bytes().to_vec(), ..HeaderValue::default() };
    let overwrite = proto::core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd;
    HeaderValueOption {
        header: Some(header),
        append_action: overwrite.into(),
        ..HeaderValueOption::default()
    }
}

fn headers_of(headers: &HttpHeaders) -> BTreeMap<String, String> {
    let list = headers.headers.iter().flat_map(|map| &map.headers);
    list.map(|header| (header.key.clone(), String::from_utf8_lossy(&header.raw_value).into_owned())).collect()
}
