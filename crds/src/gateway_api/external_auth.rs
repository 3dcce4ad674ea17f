//! The filter ExternalAuth of HTTPRoutes: a service that is asked whether a request may pass.

use serde::{Serialize, Serializer};
use serde_json::json;

use super::part::BackendRef;
use crate::ai::SpecError;
use crate::ext_auth::{
    AnswerHeaders, Body, DEFAULT_STATUS_ON_ERROR, DEFAULT_TIMEOUT, HttpRules, Protocol, ServiceRules,
    check_path_prefix, read_names,
};
use crate::header;

/// A service that is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAuth {
    /// Where it is.
    pub backend: BackendRef,
    /// Whether `protocol` is `GRPC`, and not `HTTP`.
    pub is_grpc: bool,
    /// `allowedHeaders` of the member `grpc`, if that is there.
    pub grpc: Option<Box<[Box<str>]>>,
    /// The member `http`.
    pub http: Option<HttpAuth>,
    /// `forwardBody.maxSize`, if `forwardBody` is there.
    pub max_body_bytes: Option<i64>,
}

/// How a service is asked by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAuth {
    /// What is put before the path.
    pub path: Option<Box<str>>,
    /// Headers of the client that it gets, beside those that it always gets.
    pub allowed_headers: Box<[Box<str>]>,
    /// Headers of its answer that the backend gets; all, if empty.
    pub allowed_response_headers: Box<[Box<str>]>,
}

impl ExternalAuth {
    /// What it says, but for where the service is; `field` holds it.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn read(&self, field: &str) -> Result<ServiceRules, SpecError> {
        let misplaced = |member: &str, protocol: &str| {
            SpecError::invalid(
                format!("{field}.{member}"),
                format!("has no effect beside the protocol {protocol}"),
            )
        };
        let (protocol, headers, member) = match (self.is_grpc, &self.grpc, &self.http) {
            (true, _, Some(_)) => return Err(misplaced("http", "GRPC")),
            (false, Some(_), _) => return Err(misplaced("grpc", "HTTP")),
            (true, headers, None) => {
                (Protocol::Grpc { authority: None }, headers.as_deref().unwrap_or_default(), "grpc")
            }
            (false, None, http) => {
                let rules = http.as_ref().map(|http| http.read(&format!("{field}.http"))).transpose()?;
                let headers = http.as_ref().map(|http| &*http.allowed_headers).unwrap_or_default();
                (Protocol::Http(rules.unwrap_or_else(all_headers)), headers, "http")
            }
        };
        let max_bytes = self.max_body_bytes.unwrap_or_default();
        let max_bytes = u32::try_from(max_bytes).map_err(|_| {
            SpecError::invalid(
                format!("{field}.forwardBody.maxSize"),
                format!("{max_bytes} is no number of bytes"),
            )
        })?;
        Ok(ServiceRules {
            protocol,
            timeout: DEFAULT_TIMEOUT,
            headers: read_names(headers, &format!("{field}.{member}.allowedHeaders"), header::name_token)?,
            fails_open: false,
            chooses_route: false,
            body: (max_bytes > 0).then_some(Body { max_bytes, is_partial_allowed: false, as_bytes: false }),
            status_on_error: DEFAULT_STATUS_ON_ERROR,
            stat_prefix: None,
            percentage: 100,
        })
    }
}

impl HttpAuth {
    fn read(&self, field: &str) -> Result<HttpRules, SpecError> {
        let Self { path, allowed_headers: _, allowed_response_headers } = self;
        // Gateway API has it with and without slashes; the client's path begins with one.
        let path = path.as_deref().unwrap_or_default().trim_matches('/');
        let path_prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        check_path_prefix(&path_prefix)
            .map_err(|error| SpecError::invalid(format!("{field}.path"), error))?;
        let names = read_names(
            allowed_response_headers,
            &format!("{field}.allowedResponseHeaders"),
            header::editable_name,
        )?;
        let to_backend = if names.is_empty() { AnswerHeaders::All } else { AnswerHeaders::Named(names) };
        Ok(HttpRules { path_prefix, to_backend, ..HttpRules::default() })
    }
}

fn all_headers() -> HttpRules {
    HttpRules { to_backend: AnswerHeaders::All, ..HttpRules::default() }
}

impl Serialize for ExternalAuth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { backend, is_grpc, grpc, http, max_body_bytes } = self;
        json!({
            "protocol": if *is_grpc { "GRPC" } else { "HTTP" },
            "backendRef": backend,
            "grpc": grpc.as_ref().map(|headers| json!({"allowedHeaders": headers})),
            "http": http,
            "forwardBody": max_body_bytes.map(|bytes| json!({"maxSize": bytes})),
        })
        .serialize(serializer)
    }
}

/// The generated filter → [`ExternalAuth`].
macro_rules! external_auth {
    ($auth:ident $backend:ident $body:ident $grpc:ident $http:ident $protocol:ident) => {
        $crate::gateway_api::part::backend_ref!($backend without weight);

        impl From<$auth> for ExternalAuth {
            fn from($auth { backend_ref, forward_body, grpc, http, protocol }: $auth) -> Self {
                Self {
                    backend: backend_ref.into(),
                    is_grpc: match protocol {
                        $protocol::Grpc => true,
                        $protocol::Http => false,
                    },
                    grpc: grpc.map(|$grpc { allowed_headers }| list(allowed_headers)),
                    http: http.map(|$http { allowed_headers, allowed_response_headers, path }| HttpAuth {
                        path: text(path),
                        allowed_headers: list(allowed_headers),
                        allowed_response_headers: list(allowed_response_headers),
                    }),
                    max_body_bytes: forward_body.map(|$body { max_size }| max_size.unwrap_or_default()),
                }
            }
        }
    };
}

pub(super) use external_auth;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gateway_api::HttpRoute;
    use crate::gateway_api::part::{FilterMember, FilterType};

    /// What is wrong with a filter; `None` if nothing is.
    fn fault(filter: &Value) -> Option<String> {
        let mut filter = filter.clone();
        filter["backendRef"] = json!({"name": "auth", "port": 80});
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"},
            "spec": {"rules": [{"filters": [{"type": "ExternalAuth", "externalAuth": filter}]}]},
        });
        let route: HttpRoute = serde_json::from_value(route).unwrap();
        let read = &route.rules[0].filters[0];
        assert_eq!(read.kind, FilterType::ExternalAuth);
        let [FilterMember::ExternalAuth(auth)] = &*read.members else { panic!("{:?}", read.members) };
        // What was kept is what was written.
        let kept = serde_json::to_value(auth).unwrap();
        for (name, written) in filter.as_object().unwrap() {
            for (member, value) in written.as_object().into_iter().flatten() {
                assert_eq!(&kept[name][member], value, "{name}.{member} in {kept}");
            }
        }
        auth.read("f").err().map(|error| error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        for (filter, field) in [
            (json!({"protocol": "GRPC", "grpc": {"allowedHeaders": ["Cookie"]}}), None),
            (
                json!({"protocol": "GRPC", "grpc": {"allowedHeaders": ["a b"]}}),
                Some("f.grpc.allowedHeaders[0]"),
            ),
            (json!({"protocol": "GRPC", "http": {}}), Some("f.http")),
            (json!({"protocol": "HTTP", "grpc": {}}), Some("f.grpc")),
            (json!({"protocol": "HTTP", "http": {"path": "check/", "allowedHeaders": ["x"]}}), None),
            (json!({"protocol": "HTTP", "http": {"path": "/a/../b"}}), Some("f.http.path")),
            (
                json!({"protocol": "HTTP", "http": {"allowedResponseHeaders": ["x", "Content-Length"]}}),
                Some("f.http.allowedResponseHeaders[1]"),
            ),
            (json!({"protocol": "HTTP", "forwardBody": {"maxSize": 0}}), None),
            (json!({"protocol": "HTTP", "forwardBody": {"maxSize": -1}}), Some("f.forwardBody.maxSize")),
        ] {
            let found = fault(&filter);
            match field {
                None => assert_eq!(found, None, "{filter}"),
                Some(field) => {
                    let is_named =
                        found.as_deref().is_some_and(|found| found.starts_with(&format!("{field}: ")));
                    assert!(is_named, "{filter}: {found:?}");
                }
            }
        }
    }
}
