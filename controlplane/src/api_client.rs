//! The client of the API server, which never waits for ever.
//!
//! A connection can fall silent without an end: the machine behind it is gone, a load balancer has forgotten it.
//! What was asked on it would then never be answered, and whoever asked would stand still.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use crate::api_pace::Paced;

/// The API server is away when it takes no connection for so long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The API server does not answer when the head of its answer has not come after so long. It gives up on a
/// request itself after a minute, and on most much earlier.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection on which nothing comes for so long is dead: the API server ends a watch earlier than that.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);

/// Makes the client. Must be called within a tokio runtime.
///
/// # Errors
/// The configuration is not usable, such as a certificate that cannot be read.
pub(crate) fn connect(mut config: Config) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENCE_TIMEOUT);
    Ok(ClientBuilder::try_from(config)?.with_layer(&Punctual).with_layer(&Paced).build())
}

/// Fails what is not answered in time.
#[derive(Clone, Copy, Debug)]
struct Punctual;

impl<S> Layer<S> for Punctual {
    type Service = PunctualService<S>;

    fn layer(&self, service: S) -> Self::Service {
        PunctualService(service)
    }
}

#[derive(Clone, Debug)]
struct PunctualService<S>(S);

impl<S, B> Service<Request<Body>> for PunctualService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            match timeout(ANSWER_TIMEOUT, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err("the API server does not answer".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{Patch, PatchParams};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_api_server_that_takes_a_request_and_never_answers_is_an_error_in_time() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        // Taken, and kept open.
        let held = tokio::spawn(async move { listener.accept().await });
        let client = connect(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let config_maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let body = Patch::Merge(json!({}));
        let request =
            tokio::spawn(
                async move { config_maps.patch("x", &PatchParams::default(), &body).await.unwrap_err() },
            );
        let _connection = held.await.unwrap().unwrap();
        // Nothing on the wire is waited for any more; the rest is time.
        tokio::time::pause();
        let error = timeout(ANSWER_TIMEOUT * 2, request).await.expect("in time").unwrap();
        let error: &dyn std::error::Error = &error;
        let said = std::iter::successors(Some(error), |error| error.source()).last().unwrap().to_string();
        assert_eq!(said, "the API server does not answer");
    }
}
