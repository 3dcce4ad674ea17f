//! The places of the module in Envoy: in clusters, where it handles attempts at providers, and twice in listeners, where it
//! handles requests before their route is settled, and asks for keys. Envoy names the place when it makes a configuration.

use std::sync::Arc;

use ai::exchange::Reply;
use ai::model_routing;
use ai_config::{GATEWAY_FILTER, KEYS_FILTER, PROVIDER_FILTER, Schema, VERSION};

use crate::abi::{Answer, Body, Definer, HeaderMap, Next, Scope, Stream};
use crate::{consulting, gateway, keys, provider, settling};

/// What is set aside for a body whose client says how long it is, at most: some say so and send nothing.
const MAX_RESERVED: usize = 1024 * 1024;

/// What Envoy does after a hook of headers or trailers (`FilterHeadersStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum HeadersStatus {
    /// Goes on.
    Continue = 0,
    /// Waits for the body.
    Stop = 1,
}

/// What Envoy does after a hook of a body (`FilterDataStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BodyStatus {
    /// Goes on.
    Continue = 0,
    /// Waits, and keeps nothing.
    Stop = 3,
}

/// A configuration.
#[derive(Debug)]
pub(crate) enum Config {
    /// Of a cluster.
    Provider(Arc<provider::Config>),
    /// Of a listener.
    Gateway(Arc<gateway::Config>),
    /// Of a listener, for the keys of clients.
    Keys(Arc<keys::Config>),
}

impl Config {
    /// Reads the configuration of the filter of this name.
    ///
    /// # Errors
    /// It is not one that this module understands.
    pub(crate) fn new(name: &[u8], settings: &[u8], definer: &mut Definer) -> Result<Self, String> {
        if name == PROVIDER_FILTER.as_bytes() {
            Ok(Self::Provider(Arc::new(provider::Config::new(settings, definer)?)))
        } else if name == GATEWAY_FILTER.as_bytes() {
            Ok(Self::Gateway(Arc::new(gateway::Config::new(settings, definer)?)))
        } else if name == KEYS_FILTER.as_bytes() {
            Ok(Self::Keys(Arc::new(keys::Config::new(settings, definer)?)))
        } else {
            Err("there is no filter of this name".to_owned())
        }
    }

    /// Envoy is about to forget the configuration.
    pub(crate) fn end(&self) {
        match self {
            Self::Provider(config) => config.end(),
            Self::Gateway(config) => config.end(),
            Self::Keys(config) => config.end(),
        }
    }

    /// The configuration was woken on the main thread.
    pub(crate) fn on_wake(&self, scope: Scope) {
        match self {
            Self::Provider(_) => consulting::tell(scope),
            Self::Gateway(_) => {}
            Self::Keys(config) => settling::tell(scope, config.limits_cluster()),
        }
    }

    /// The server that this configuration has called has answered, or, with `None`, has not.
    pub(crate) fn on_answer(&self, scope: Scope, id: u64, answer: Option<Answer<'_>>) {
        match self {
            Self::Provider(_) => consulting::hear(scope, id, answer.map(|answer| answer.reply)),
            Self::Gateway(_) => {}
            Self::Keys(_) => settling::hear(scope, id, answer),
        }
    }
}

/// A filter: the part of a configuration in one stream.
#[derive(Debug)]
pub(crate) enum Filter {
    /// Of an attempt at a provider.
    Provider(Box<provider::Filter>),
    /// Of a request.
    Gateway(gateway::Filter),
    /// Of a request that must show a key.
    Keys(keys::Filter),
}

/// Calls the method of the same name.
macro_rules! either {
    ($self:ident, $filter:ident => $call:expr) => {
        match $self {
            Self::Provider($filter) => $call,
            Self::Gateway($filter) => $call,
            Self::Keys($filter) => $call,
        }
    };
}

impl Filter {
    pub(crate) fn new(config: &Config) -> Self {
        match config {
            Config::Provider(config) => Self::Provider(Box::new(provider::Filter::new(config.clone()))),
            Config::Gateway(config) => Self::Gateway(gateway::Filter::new(config.clone())),
            Config::Keys(config) => Self::Keys(keys::Filter::new(config.clone())),
        }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        either!(self, filter => filter.give_up());
    }

    pub(crate) fn on_request_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        either!(self, filter => filter.on_request_headers(stream, end))
    }

    pub(crate) fn on_request_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        either!(self, filter => filter.on_request_body(stream, end))
    }

    pub(crate) fn on_request_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        either!(self, filter => filter.on_request_trailers(stream))
    }

    pub(crate) fn on_response_headers(&mut self, stream: &mut Stream, end: bool) -> HeadersStatus {
        match self {
            Self::Provider(filter) => filter.on_response_headers(stream, end),
            Self::Gateway(_) | Self::Keys(_) => HeadersStatus::Continue,
        }
    }

    pub(crate) fn on_response_body(&mut self, stream: &mut Stream, end: bool) -> BodyStatus {
        match self {
            Self::Provider(filter) => filter.on_response_body(stream, end),
            Self::Gateway(_) | Self::Keys(_) => BodyStatus::Continue,
        }
    }

    pub(crate) fn on_response_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        match self {
            Self::Provider(filter) => filter.on_response_trailers(stream),
            Self::Gateway(_) | Self::Keys(_) => HeadersStatus::Continue,
        }
    }

    /// The server that this filter has asked has answered, or, with `None`, has not.
    pub(crate) fn on_reply(&mut self, stream: &mut Stream, reply: Option<Reply<'_>>) -> Next {
        match self {
            Self::Provider(filter) => filter.on_reply(stream, reply),
            Self::Gateway(_) | Self::Keys(_) => Next::Wait,
        }
    }

    pub(crate) fn on_destroy(&mut self) {
        match self {
            Self::Provider(filter) => filter.on_destroy(),
            Self::Gateway(_) => {}
            Self::Keys(filter) => filter.on_end(None),
        }
    }

    pub(crate) fn on_stream_complete(&mut self, stream: &mut Stream) {
        match self {
            Self::Provider(filter) => filter.on_stream_complete(stream),
            Self::Gateway(_) => {}
            Self::Keys(filter) => filter.on_end(Some(stream)),
        }
    }
}

/// Whether a configuration is of the version that this module reads.
///
/// # Errors
/// It is not.
pub(crate) fn check_version(version: u32) -> Result<(), String> {
    match version {
        VERSION => Ok(()),
        _ => Err(format!("it has version {version}, and this module reads version {VERSION}")),
    }
}

/// A header of the request; empty if it is not there or is no text.
pub(crate) fn text<'a>(stream: &'a Stream, name: &str) -> &'a str {
    stream
        .header(HeaderMap::Request, name)
        .and_then(|value| std::str::from_utf8(value).ok())
        .unwrap_or_default()
}

/// The schema in which the client reads errors, as far as the request's head tells.
pub(crate) fn schema(stream: &Stream) -> Schema {
    let has_version = stream.header(HeaderMap::Request, "anthropic-version").is_some();
    model_routing::schema(text(stream, ":path"), has_version)
}

/// Whether the request's body is in an encoding under which it cannot be read.
pub(crate) fn is_encoded(stream: &Stream) -> bool {
    let encoding = text(stream, "content-encoding");
    !encoding.is_empty() && encoding != "identity"
}

/// Room for the body of a request: as much as the client says that it has.
pub(crate) fn room_for_body(stream: &Stream) -> Vec<u8> {
    let text = stream.header(HeaderMap::Request, "content-length").map(std::str::from_utf8);
    let length: usize = text.and_then(|text| text.ok()?.parse().ok()).unwrap_or_default();
    Vec::with_capacity(length.min(MAX_RESERVED))
}

/// What a body that is held back has come to with its latest piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldBody {
    /// It is not at its end.
    Part,
    /// It is.
    Whole,
    /// It is longer than is read.
    TooLarge,
}

/// Holds back the piece of the request's body that has just come; Envoy keeps nothing of it until the body is whole.
pub(crate) fn hold_body(body: &mut Vec<u8>, stream: &mut Stream, limit: u32, end: bool) -> HeldBody {
    stream.body(Body::Request, |piece| body.extend_from_slice(piece));
    if body.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        return HeldBody::TooLarge;
    }
    if end {
        return HeldBody::Whole;
    }
    stream.replace_body(Body::Request, b"");
    HeldBody::Part
}
