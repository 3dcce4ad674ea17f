//! `kube.aiExtension.tracing`: where traces go, in the shapes of both dialects.

use std::time::Duration;

use serde::Deserialize;

use super::AiExtension;
use crate::gateway_api::duration;
use crate::http_url::host_and_port;

/// How long an export may take, unless the parameters say so (OpenTelemetry's default).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The path of traces (OTLP over HTTP).
const TRACES_PATH: &str = "/v1/traces";

/// Where traces go, and which requests are traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Name or IP address of the collector.
    pub host: String,
    /// Port of the collector.
    pub port: u16,
    /// Whether it is spoken to by TLS.
    pub is_tls: bool,
    /// The protocol.
    pub protocol: OtlpProtocol,
    /// How long an export may take.
    pub timeout: Duration,
    /// Whether a request whose client has decided is traced as the client has decided.
    pub follows_client: bool,
    /// How many of a million other requests are traced.
    pub per_million: u32,
}

/// A protocol of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf, at this path.
    Http(String),
}

/// What is written, in either dialect.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    // kgateway.
    endpoint: Option<String>,
    sampler: Option<Sampler>,
    timeout: Option<String>,
    protocol: Option<String>,
    // Gloo.
    grpc: Option<Grpc>,
    insecure: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sampler {
    #[serde(rename = "type")]
    type_: Option<String>,
    arg: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    host: String,
    port: u16,
}

impl AiExtension {
    /// Where traces go; `None` if nothing is said about it.
    ///
    /// # Errors
    /// What is said makes no sense, or is not supported; with the field.
    pub fn traces(&self) -> Result<Option<Tracing>, String> {
        let Some(tracing) = self.tracing.as_ref().filter(|_| self.enabled != Some(false)) else {
            return Ok(None);
        };
        let written: Written =
            serde_json::from_value(tracing.0.clone()).map_err(|error| error.to_string())?;
        match (&written.endpoint, &written.grpc) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("endpoint and grpc exclude each other".to_owned()),
            (Some(endpoint), None) => read(&written, endpoint).map(Some),
            (None, Some(Grpc { host, port })) => {
                let scheme = if written.insecure == Some(true) { "http" } else { "https" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                read(&written, &format!("{scheme}://{host}:{port}")).map(Some)
            }
        }
    }
}

fn read(written: &Written, endpoint: &str) -> Result<Tracing, String> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let is_tls = match scheme {
        "http" => false,
        "https" => true,
        other => return Err(format!("endpoint: {other:?} is neither http nor https")),
    };
    let (place, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let protocol = match written.protocol.as_deref() {
        None | Some("grpc") => OtlpProtocol::Grpc,
        Some("http/protobuf") => {
            let path = path.trim_end_matches('/');
            OtlpProtocol::Http(if path.is_empty() { TRACES_PATH.to_owned() } else { path.to_owned() })
        }
        Some("http/json") => return Err("protocol: http/json is not supported; http/protobuf is".to_owned()),
        Some(other) => return Err(format!("protocol: {other:?} is neither grpc nor http/protobuf")),
    };
    let is_path = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if !is_path || (protocol == OtlpProtocol::Grpc && !matches!(path, "" | "/")) {
        // It is not repeated: it may hold a token.
        return Err("endpoint: a path cannot stand behind the port with gRPC, nor a query at all".to_owned());
    }
    let default_port = if protocol == OtlpProtocol::Grpc { 4317 } else { 4318 };
    let (host, port) = host_and_port(place, default_port)
        // It is not repeated: it may hold a password.
        .ok_or_else(|| "endpoint: it is not a host with a port".to_owned())?;
    let timeout = match written.timeout.as_deref() {
        None => DEFAULT_TIMEOUT,
        Some(text) => {
            let read = duration(text).ok().filter(|timeout| !timeout.is_zero());
            read.ok_or_else(|| format!("timeout: {text:?} is not a duration above zero"))?
        }
    };
    let (follows_client, per_million) = sampler(written.sampler.as_ref())?;
    Ok(Tracing { host, port, is_tls, protocol, timeout, follows_client, per_million })
}

/// Whether clients decide, and the share of other requests (OpenTelemetry, `OTEL_TRACES_SAMPLER`). Names are read whether
/// their words are joined by an underscore or by capital letters.
fn sampler(sampler: Option<&Sampler>) -> Result<(bool, u32), String> {
    const ALL: u32 = 1_000_000;
    let Some(Sampler { type_: Some(name), arg }) = sampler else { return Ok((true, ALL)) };
    let plain = name.to_ascii_lowercase().replace('_', "");
    let (follows_client, plain) = match plain.strip_prefix("parentbased") {
        Some(plain) => (true, plain),
        None => (false, &*plain),
    };
    let ratio = || -> Result<u32, String> {
        let text = arg.as_deref().unwrap_or("1");
        let ratio: Option<f64> = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        let ratio = ratio.ok_or_else(|| format!("sampler.arg: {text:?} is not a number from 0 to 1"))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
        Ok((ratio * f64::from(ALL)).round() as u32)
    };
    match plain {
        "alwayson" => Ok((follows_client, ALL)),
        "alwaysoff" => Ok((follows_client, 0)),
        "traceidratio" => Ok((follows_client, ratio()?)),
        _ => Err(format!(
            "sampler.type: {name:?} is none of alwaysOn, alwaysOff, traceidratio, parentbased_always_on, \
             parentbased_always_off, parentbased_traceidratio"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn traces(tracing: serde_json::Value) -> Result<Option<Tracing>, String> {
        let extension: AiExtension = serde_json::from_value(json!({"tracing": tracing})).unwrap();
        extension.traces()
    }

    #[test]
    fn both_dialects_say_the_same() {
        let usual = Tracing {
            host: "otel.ai.svc".to_owned(),
            port: 4317,
            is_tls: false,
            protocol: OtlpProtocol::Grpc,
            timeout: Duration::from_secs(10),
            follows_client: true,
            per_million: 1_000_000,
        };
        let http =
            Tracing { port: 4318, protocol: OtlpProtocol::Http("/v1/traces".to_owned()), ..usual.clone() };
        let rows = [
            (json!({"endpoint": "http://otel.ai.svc:4317"}), usual.clone()),
            (json!({"endpoint": "otel.ai.svc"}), usual.clone()),
            (json!({"grpc": {"host": "otel.ai.svc", "port": 4317}, "insecure": true}), usual.clone()),
            (
                json!({"grpc": {"host": "otel.ai.svc", "port": 4317}}),
                Tracing { is_tls: true, ..usual.clone() },
            ),
            (json!({"endpoint": "http://otel.ai.svc", "protocol": "http/protobuf"}), http.clone()),
            (
                json!({"endpoint": "https://otel.ai.svc:1/x/", "protocol": "http/protobuf", "timeout": "1m500ms"}),
                Tracing {
                    port: 1,
                    is_tls: true,
                    protocol: OtlpProtocol::Http("/x".to_owned()),
                    timeout: Duration::from_millis(60_500),
                    ..usual.clone()
                },
            ),
            (
                json!({"endpoint": "http://[::1]:5"}),
                Tracing { host: "::1".to_owned(), port: 5, ..usual.clone() },
            ),
            (
                json!({"endpoint": "otel.ai.svc", "sampler": {"type": "traceidratio", "arg": "0.25"}}),
                Tracing { follows_client: false, per_million: 250_000, ..usual.clone() },
            ),
            (
                json!({"endpoint": "otel.ai.svc", "sampler": {"type": "parentbased_always_off"}}),
                Tracing { per_million: 0, ..usual.clone() },
            ),
            (
                json!({"endpoint": "otel.ai.svc", "sampler": {"type": "alwaysOn"}}),
                Tracing { follows_client: false, ..usual },
            ),
        ];
        for (written, expected) in rows {
            assert_eq!(traces(written.clone()), Ok(Some(expected)), "{written}");
        }
        assert_eq!(traces(json!({})), Ok(None));
    }

    #[test]
    fn what_makes_no_sense_names_its_field() {
        let with = |member: &str, value: serde_json::Value| {
            let mut tracing = json!({"endpoint": "http://a:1"});
            tracing[member] = value;
            tracing
        };
        for (written, words) in [
            (json!({"endpoint": "ftp://a"}), "endpoint"),
            (json!({"endpoint": "http://"}), "endpoint"),
            (json!({"endpoint": "http://a:0"}), "endpoint"),
            (json!({"endpoint": "http://a:1/path"}), "endpoint"),
            (json!({"endpoint": "http://user@a:1"}), "endpoint"),
            (with("protocol", json!("http/json")), "protocol"),
            (with("timeout", json!("0s")), "timeout"),
            (with("timeout", json!("5")), "timeout"),
            (with("sampler", json!({"type": "some"})), "sampler.type"),
            (with("sampler", json!({"type": "traceidratio", "arg": "2"})), "sampler.arg"),
            (with("grpc", json!({"host": "a", "port": 1})), "exclude each other"),
            (json!({"endpoint2": "a"}), "endpoint2"),
        ] {
            let error = traces(written.clone()).unwrap_err();
            assert!(error.contains(words), "{written}: {error}");
        }
    }
}
