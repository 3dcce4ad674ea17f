//! The one way to a service of the xDS port.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::body::Body as GrpcBody;
use tonic::metadata::MetadataMap;
use tower::Service;
use xds::{Identify, NodeGroup};

use super::authenticator::{Admission, Authenticator, CallLength, ProxyIdentity};

/// Stands in front of a whole service: no call of any method passes without a token, whatever is behind.
/// What is let in carries its [`ProxyIdentity`] as an extension, and ends when the admission does.
#[derive(Clone, Debug)]
pub struct Authenticated<S> {
    authenticator: Authenticator,
    service: S,
    in_use: InUse,
    short_calls: Option<&'static str>,
}

/// Marks a connection, and every call that was let in on it.
#[derive(Clone, Debug, Default)]
pub(super) struct InUse(Arc<()>);

impl InUse {
    /// How many hold it beside the calls: the connection itself, and the service on it.
    const OWN: usize = 2;

    /// Whether no call runs that was let in.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) <= Self::OWN
    }
}

impl<S> Authenticated<S> {
    /// Guards `service`.
    pub fn new(authenticator: Authenticator, service: S) -> Self {
        Self { authenticator, service, in_use: InUse::default(), short_calls: None }
    }

    /// The same, with calls of paths that begin with `prefix` taken for [`CallLength::Short`].
    #[must_use]
    pub fn with_short_calls(self, prefix: &'static str) -> Self {
        Self { short_calls: Some(prefix), ..self }
    }

    /// The same, for the calls of one connection.
    pub(super) fn on_connection(self, in_use: InUse) -> Self {
        Self { in_use, ..self }
    }

    /// Who decides.
    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }
}

impl<S, B> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<GrpcBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<AdmittedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that is ready is called; its clone takes its place.
        let clone = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, clone);
        let (authenticator, in_use) = (self.authenticator.clone(), self.in_use.clone());
        let is_short = self.short_calls.is_some_and(|prefix| request.uri().path().starts_with(prefix));
        let length = if is_short { CallLength::Short } else { CallLength::Stream };
        Box::pin(async move {
            let admission = match authenticator.admit(request.headers(), length).await {
                Ok(admission) => admission,
                Err(status) => return Ok(status.into_http::<GrpcBody>().map(AdmittedBody::refusal)),
            };
            // Not even the service needs the token.
            request.headers_mut().remove(http::header::AUTHORIZATION);
            request.extensions_mut().insert(admission.identity().clone());
            let response = service.call(request).await?;
            Ok(response.map(|body| AdmittedBody::new(body, admission, in_use)))
        })
    }
}

/// The group that [`Authenticated`] found out.
#[derive(Clone, Copy, Debug)]
pub struct AdmittedGroup;

impl Identify for AdmittedGroup {
    fn identify(&self, _: &MetadataMap, extensions: &Extensions) -> Result<NodeGroup, Status> {
        let identity = extensions.get::<ProxyIdentity>();
        identity.map(|identity| identity.group.clone()).ok_or_else(|| Status::unauthenticated("not let in"))
    }
}

/// A response that ends when the admission does.
pub struct AdmittedBody {
    body: GrpcBody,
    /// Completes when the response must end; `None` for a refusal.
    ended: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    is_over: bool,
    _in_use: Option<InUse>,
}

impl AdmittedBody {
    fn new(body: GrpcBody, admission: Admission, in_use: InUse) -> Self {
        Self { body, ended: Some(Box::pin(admission.ended())), is_over: false, _in_use: Some(in_use) }
    }

    fn refusal(body: GrpcBody) -> Self {
        Self { body, ended: None, is_over: false, _in_use: None }
    }
}

impl Body for AdmittedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // First, so that not a byte follows.
        if let Some(ended) = &mut self.ended
            && let Poll::Ready(status) = ended.as_mut().poll(context)
        {
            tracing::debug!(code = ?status.code(), reason = status.message(), "ended an xDS stream");
            self.is_over = true;
            // What is behind learns that nobody listens, and the place is free.
            (self.body, self.ended) = (GrpcBody::empty(), None);
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::default()
    }
}

impl fmt::Debug for AdmittedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmittedBody").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
