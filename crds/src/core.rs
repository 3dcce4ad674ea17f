//! The built-in Kubernetes types that the translator reads.

pub use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{ConfigMap, Namespace, Service, ServicePort, ServiceSpec},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::{
        apis::meta::v1::{Condition, LabelSelector, LabelSelectorRequirement, ObjectMeta, Time},
        util::intstr::IntOrString,
    },
};

pub use crate::sensitive::Secret;

/// Where in a ConfigMap certificate authorities are, PEM (Gateway API, `caCertificateRefs`).
pub const AUTHORITIES_KEY: &str = "ca.crt";
