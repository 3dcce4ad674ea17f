//! Services of gRPC that proxies send what they observe to, as kgateway's policies name them (`CommonGrpcService`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::kgateway::ExtensionBackendReference as BackendReference;

/// A struct with the members of [`GrpcService`] and these. They are written out in each: of a struct that is put into another
/// one by `#[serde(flatten)]`, serde does not say which fields it does not have.
macro_rules! with_grpc_service {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$about_member:meta])* pub $member:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The backend.
            pub backend_ref: BackendReference,
            /// The authority that it is asked under; NAME.NAMESPACE of the backend, if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 253))]
            pub authority: Option<String>,
            /// The longest message in bytes that is taken from it; any, if absent or 0.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "crate::schema::unsigned")]
            pub max_receive_message_length: Option<u32>,
            /// Whether it is asked without Envoy's own headers; not, if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub skip_envoy_headers: Option<bool>,
            /// How long a request may take.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 32))]
            pub timeout: Option<String>,
            /// Headers of requests to it. They are no place for credentials: whoever reads this object reads them.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 64))]
            pub initial_metadata: Vec<HeaderValue>,
            /// When a stream that ended is begun again.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub retry_policy: Option<RetryPolicy>,
            $(
                $(#[$about_member])*
                pub $member: $type,
            )*
        }
    };
    // What of such a struct with these more members is the service.
    (in $name:ident { $($member:ident)+ }) => {
        impl $name {
            /// The service.
            pub fn service(&self) -> GrpcService {
                let Self { backend_ref, authority, max_receive_message_length, skip_envoy_headers, timeout, initial_metadata, retry_policy, $($member: _,)+ } = self.clone();
                GrpcService { backend_ref, authority, max_receive_message_length, skip_envoy_headers, timeout, initial_metadata, retry_policy }
            }
        }
    };
}

pub(crate) use with_grpc_service;

with_grpc_service! {
    /// A service that proxies send something to by gRPC.
    pub struct GrpcService {}
}

/// A header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderValue {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// Its value; empty if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
}

/// When something is tried again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// The time between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_back_off: Option<BackOff>,
    /// How often at most; once, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::unsigned")]
    pub num_retries: Option<u32>,
}

/// The time between attempts, which grows at random.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackOff {
    /// The shortest.
    #[schemars(length(max = 32))]
    pub base_interval: String,
    /// The longest; ten times the shortest, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_interval: Option<String>,
}
