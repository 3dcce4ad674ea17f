//! A client for the admin interface of an Envoy, which listens on a Unix socket.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// The admin interface of one Envoy.
#[derive(Clone, Debug)]
pub struct EnvoyAdmin {
    socket: PathBuf,
}

/// What goes on between clients and a proxy at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Open connections.
    pub connections: u64,
    /// Requests without a complete answer.
    pub requests: u64,
}

/// The certificate of a backend that could not be verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unverified {
    /// The cluster.
    pub cluster: String,
    /// Why.
    pub cause: Distrust,
}

/// Why a certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distrust {
    /// No authority that is trusted has signed it, or it is not valid at this time.
    Authority,
    /// It is for other host names.
    Name,
}

impl EnvoyAdmin {
    /// The interface at this socket.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Makes readiness checks fail and begins to tell clients to go elsewhere, while requests are
    /// still answered.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn begin_drain(&self) -> Result<()> {
        self.call(Method::POST, "/healthcheck/fail").await?;
        self.call(Method::POST, "/drain_listeners?graceful").await?;
        Ok(())
    }

    /// What goes on between clients and the proxy.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn activity(&self) -> Result<Activity> {
        let stats = self.call(Method::GET, "/stats?filter=^http\\..*\\.downstream_(cx|rq)_active$").await?;
        Ok(parse_activity(&stats))
    }

    /// Whether the proxy has asked the service that counts for rate limits and budgets since it started.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn has_counted(&self) -> Result<bool> {
        let stats = self.call(Method::GET, "/stats?usedonly&filter=^cluster\\..*\\.ratelimit\\.ok$").await?;
        Ok(!stats.trim().is_empty())
    }

    /// Certificates of backends that could not be verified since the proxy started.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn unverified(&self) -> Result<BTreeSet<Unverified>> {
        let stats = self.call(Method::GET, "/stats?usedonly&filter=\\.ssl\\.fail_verify_").await?;
        Ok(parse_unverified(&stats))
    }

    async fn call(&self, method: Method, path: &str) -> Result<String> {
        let stream =
            UnixStream::connect(&self.socket).await.context("cannot reach Envoy's admin interface")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; its errors are also the sender's.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(http::header::HOST, "envoy");
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        ensure!(status.is_success(), "Envoy's admin interface answers {path} with {status}");
        let body = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Sums lines such as `http.main.downstream_rq_active: 3`, without those of the admin interface.
fn parse_activity(stats: &str) -> Activity {
    let mut activity = Activity::default();
    for line in stats.lines().filter(|line| !line.starts_with("http.admin.")) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let value: u64 = value.trim().parse().unwrap_or(0);
        match name.rsplit('.').next() {
            Some("downstream_cx_active") => activity.connections += value,
            Some("downstream_rq_active") => activity.requests += value,
            _ => {}
        }
    }
    activity
}

/// Reads lines such as `cluster.backend/default/ai.ssl.fail_verify_error: 3`.
fn parse_unverified(stats: &str) -> BTreeSet<Unverified> {
    let found = stats.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("cluster.")?.split_once(": ")?;
        let (cluster, counter) = name.rsplit_once(".ssl.")?;
        let cause = match counter {
            "fail_verify_error" => Distrust::Authority,
            "fail_verify_san" => Distrust::Name,
            _ => return None,
        };
        (value.trim() != "0").then(|| Unverified { cluster: cluster.to_owned(), cause })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_is_summed_over_listeners_without_the_admin_interface() {
        let stats = "http.admin.downstream_cx_active: 1\nhttp.admin.downstream_rq_active: 1\n\
                     http.http/80.downstream_cx_active: 2\nhttp.http/81.downstream_cx_active: 3\n\
                     http.http/81.downstream_rq_active: 4\nhttp.http/81.downstream_rq_total: 9\n";
        assert_eq!(parse_activity(stats), Activity { connections: 5, requests: 4 });
        assert_eq!(parse_activity(""), Activity::default());
    }

    #[test]
    fn clusters_whose_certificates_are_not_trusted_are_found() {
        let stats = "cluster.backend/default/a.ssl.fail_verify_error: 2\n\
                     cluster.backend/default/b.c.ssl.fail_verify_san: 1\n\
                     cluster.backend/default/d.ssl.fail_verify_san: 0\n\
                     listener.127.0.0.1_80.ssl.fail_verify_error: 1\n";
        let unverified = |cluster: &str, cause| Unverified { cluster: cluster.to_owned(), cause };
        let expected = [
            unverified("backend/default/a", Distrust::Authority),
            unverified("backend/default/b.c", Distrust::Name),
        ];
        assert_eq!(parse_unverified(stats), expected.into());
    }
}
