//! A collector on one address: of traces by OTLP (gRPC, and HTTP with protobuf), of logs by OTLP and by Envoy's protocol (gRPC).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio_stream::iter;

use crate::server::{Body, Server};

/// A span, as far as tests look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to, in hexadecimal digits.
    pub trace: String,
    /// The span of the client; empty if there is none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Its own number.
    pub id: String,
    /// `service.name` of what has sent it.
    pub service: String,
    /// `server` for a request of a client, `client` for an attempt at a backend.
    pub kind: &'static str,
    /// Its attributes that are texts.
    pub attributes: BTreeMap<String, String>,
}

/// A record of a log (OTLP), as far as tests look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub body: String,
    /// Its attributes that are texts.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of what it is about.
    pub resource: BTreeMap<String, String>,
}

/// The collector. It ends when dropped.
#[derive(Debug)]
pub struct Collector {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

/// Every message that was sent.
type Seen = Vec<Sent>;

/// A message that was sent.
#[derive(Debug)]
struct Sent {
    path: String,
    /// The host of the request that brought it, and its headers.
    host: String,
    headers: HeaderMap,
    message: Bytes,
}

/// The paths of gRPC and of HTTP to which spans are sent.
const TRACES: [&str; 2] = ["/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/v1/traces"];

/// The path to which records of logs are sent.
const RECORDS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// The path to which Envoy's own protocol sends what it logs.
const ACCESS_LOGS: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

impl Collector {
    /// Starts it on a port of loopback.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start() -> Result<Self> {
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = seen.clone();
        let handler = move |request: Request<Incoming>, _| collect(request, shared.clone());
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), None, handler).await?;
        Ok(Self { server, seen })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        TRACES.iter().flat_map(|path| self.sent_to(path)).flat_map(|message| spans(&message)).collect()
    }

    /// The records of logs so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.sent_to(RECORDS).iter().flat_map(|message| records(message)).collect()
    }

    /// The messages of Envoy's own protocol so far (`envoy.service.accesslog.v3.StreamAccessLogsMessage`).
    #[must_use]
    pub fn access_logs(&self) -> Vec<Bytes> {
        self.sent_to(ACCESS_LOGS)
    }

    /// Whether anything that was sent so far holds this text.
    #[must_use]
    pub fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |message: &Bytes| message.windows(text.len()).any(|window| window == text.as_bytes());
        seen.iter().any(|sent| holds(&sent.message))
    }

    /// The hosts, and the values of a header, of the requests that brought messages of Envoy's own protocol.
    #[must_use]
    pub fn hosts_and_header(&self, name: &str) -> BTreeSet<(String, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let logs = seen.iter().filter(|sent| sent.path == ACCESS_LOGS);
        logs.map(|sent| {
            let value = sent.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            (sent.host.clone(), value.to_owned())
        })
        .collect()
    }

    fn sent_to(&self, path: &str) -> Vec<Bytes> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|sent| sent.path == path).map(|sent| sent.message.clone()).collect()
    }
}

async fn collect(request: Request<Incoming>, seen: Arc<Mutex<Seen>>) -> Response<Body> {
    let is_grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
    let (head, mut body) = request.into_parts();
    let mut rest = BytesMut::new();
    let note = |message: Bytes| {
        let sent = Sent {
            path: head.uri.path().to_owned(),
            host: head.uri.host().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            message,
        };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
    };
    // A stream of logs has no end: what has come is noted at once.
    while let Some(Ok(frame)) = body.frame().await {
        rest.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
        while is_grpc && let Some(message) = message(&mut rest) {
            note(message);
        }
    }
    if !is_grpc {
        note(rest.freeze());
    }
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = match is_grpc {
        true => vec![Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(status))],
        false => Vec::new(),
    };
    let mut response = Response::new(StreamBody::new(iter(frames)).boxed_unsync());
    if is_grpc {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    }
    response
}

/// Takes the first message of gRPC, once it is whole: it has a flag and its length in front.
fn message(rest: &mut BytesMut) -> Option<Bytes> {
    let length = rest.get(1..5)?.try_into().ok().map(u32::from_be_bytes)?;
    let end = 5 + usize::try_from(length).ok()?;
    (rest.len() >= end).then(|| rest.split_to(end).freeze().slice(5..))
}

/// The records of an `ExportLogsServiceRequest`.
fn records(message: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    for resource_logs in fields(message, 1) {
        let resource: Vec<_> = fields(resource_logs, 1).flat_map(|resource| fields(resource, 1)).collect();
        let resource = attributes(&resource);
        let records = fields(resource_logs, 2).flat_map(|scope| fields(scope, 2));
        found.extend(records.map(|record| {
            Record {
                body: fields(record, 5)
                    .next()
                    .and_then(|body| fields(body, 1).next())
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .unwrap_or_default(),
                attributes: attributes(&fields(record, 6).collect::<Vec<_>>()),
                resource: resource.clone(),
            }
        }));
    }
    found
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(message: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for resource_spans in fields(message, 1) {
        let resource: Vec<_> = fields(resource_spans, 1).flat_map(|resource| fields(resource, 1)).collect();
        let service = attributes(&resource).remove("service.name").unwrap_or_default();
        let scopes = fields(resource_spans, 2);
        found.extend(scopes.flat_map(|scope| fields(scope, 2)).map(|span| {
            let hex = |number| -> String {
                let bytes = fields(span, number).next().unwrap_or_default();
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            };
            Span {
                trace: hex(1),
                id: hex(2),
                name: fields(span, 5)
                    .next()
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .unwrap_or_default(),
                parent: hex(4),
                service: service.clone(),
                kind: match number(span, 6) {
                    Some(2) => "server",
                    Some(3) => "client",
                    _ => "",
                },
                attributes: attributes(&fields(span, 9).collect::<Vec<_>>()),
            }
        }));
    }
    found
}

/// The texts among `KeyValue`s.
fn attributes(key_values: &[&[u8]]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let read = key_values.iter().filter_map(|key_value| {
        let key = fields(key_value, 1).next()?;
        let value = fields(key_value, 2).next().and_then(|value| fields(value, 1).next()).unwrap_or_default();
        Some((text(key), text(value)))
    });
    read.collect()
}

/// A value in a message of protobuf.
enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
    /// Of a fixed length.
    Fixed,
}

/// The values of a field of bytes, in a message of protobuf.
fn fields(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    values(message).filter_map(move |(field, value)| match value {
        Value::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    })
}

/// The value of a field that is an enum.
fn number(message: &[u8], wanted: u64) -> Option<u64> {
    values(message).find_map(|(field, value)| match value {
        Value::Number(number) if field == wanted => Some(number),
        _ => None,
    })
}

/// The fields of a message of protobuf with their values. What cannot be read ends the message.
fn values(message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let tag = varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(&mut rest)?;
                Value::Bytes(take(&mut rest, usize::try_from(length).ok()?)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (value, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(value)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
