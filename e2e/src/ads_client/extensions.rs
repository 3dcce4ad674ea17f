//! Looks into everything that is packed inside a resource, by reflection.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use xds_api::pb::google::protobuf::Any;

use super::Kind;

const ANY: &str = "google.protobuf.Any";
const RDS: &str = "envoy.extensions.filters.network.http_connection_manager.v3.Rds";
const HTTP_FILTER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
const SDS_SECRET_CONFIG: &str = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig";
const TYPED_EXTENSION: &str = "envoy.config.core.v3.TypedExtensionConfig";

/// The messages that `xds-api` can describe, and a few more that lead to secrets.
pub(super) struct Extensions {
    pool: DescriptorPool,
}

/// What a resource refers to.
#[derive(Default)]
pub(super) struct References {
    pub(super) endpoints: BTreeSet<String>,
    routes: BTreeSet<String>,
    secrets: BTreeSet<String>,
    /// Type URLs that could not be looked into.
    pub(super) unknown: BTreeSet<String>,
}

impl References {
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &String> {
        let names = match kind {
            Kind::Endpoint => Some(&self.endpoints),
            Kind::Route => Some(&self.routes),
            Kind::Secret => Some(&self.secrets),
            Kind::Cluster | Kind::Listener => None,
        };
        names.into_iter().flatten()
    }
}

impl Extensions {
    pub(super) fn load() -> Result<Self> {
        let mut pool = DescriptorPool::decode(xds_api::FILE_DESCRIPTOR_SET)?;
        pool.add_file_descriptor_protos(newer_messages())?;
        Ok(Self { pool })
    }

    /// Decodes `resource` and all that is packed in it.
    ///
    /// Fails on content that does not decode as the type it claims to be, if that type is known.
    pub(super) fn inspect(&self, resource: &Any) -> Result<References> {
        let mut references = References::default();
        self.unpack(&resource.type_url, &resource.value, &mut references)?;
        Ok(references)
    }

    fn unpack(&self, type_url: &str, value: &[u8], references: &mut References) -> Result<()> {
        let name = type_url.rsplit('/').next().unwrap_or(type_url);
        let Some(descriptor) = self.pool.get_message_by_name(name) else {
            references.unknown.insert(type_url.to_owned());
            return Ok(());
        };
        let message =
            DynamicMessage::decode(descriptor, value).with_context(|| format!("undecodable {type_url}"))?;
        self.visit(&message, references).with_context(|| format!("in {name}"))
    }

    fn visit(&self, message: &DynamicMessage, references: &mut References) -> Result<()> {
        match message.descriptor().full_name() {
            ANY => {
                let type_url = text(message, "type_url");
                let value = message.get_field_by_name("value");
                let value = value.as_ref().and_then(|value| value.as_bytes()).map_or(&[][..], |bytes| bytes);
                return self.unpack(&type_url, value, references);
            }
            RDS => drop(references.routes.insert(text(message, "route_config_name"))),
            // Without a source, the secret is one of the bootstrap's.
            SDS_SECRET_CONFIG if message.has_field_by_name("sds_config") => {
                references.secrets.insert(text(message, "name"));
            }
            _ => {}
        }
        message.fields().try_for_each(|(_, value)| self.visit_value(value, references))
    }

    fn visit_value(&self, value: &Value, references: &mut References) -> Result<()> {
        match value {
            Value::Message(message) => self.visit(message, references),
            Value::List(values) => values.iter().try_for_each(|value| self.visit_value(value, references)),
            Value::Map(values) => values.values().try_for_each(|value| self.visit_value(value, references)),
            _ => Ok(()),
        }
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

/// A message that `xds-api` does not have, as far as it leads to secrets. Names and numbers are those of
/// Envoy's API; fields that are not listed are skipped as unknown ones are.
struct NewerMessage {
    package: &'static str,
    name: &'static str,
    /// Name, number, type (of another message) and cardinality.
    fields: &'static [(&'static str, i32, &'static str, Label)],
}

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3";
const COMMON_TLS_CONTEXT: &str = "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext";
const COMBINED_VALIDATION: &str =
    "envoy.extensions.transport_sockets.tls.v3.CombinedCertificateValidationContext";

/// In order: each refers only to those before it, and to what `xds-api` has.
const NEWER_MESSAGES: [NewerMessage; 7] = [
    NewerMessage {
        package: "envoy.extensions.http.injected_credentials.generic.v3",
        name: "Generic",
        fields: &[("credential", 1, SDS_SECRET_CONFIG, Label::Optional)],
    },
    NewerMessage {
        package: "envoy.extensions.filters.http.credential_injector.v3",
        name: "CredentialInjector",
        fields: &[("credential", 3, TYPED_EXTENSION, Label::Optional)],
    },
    NewerMessage {
        package: "envoy.extensions.upstreams.http.v3",
        name: "HttpProtocolOptions",
        fields: &[("http_filters", 6, HTTP_FILTER, Label::Repeated)],
    },
    // Inside CommonTlsContext in Envoy's API, which is the same on the wire.
    NewerMessage {
        package: TLS,
        name: "CombinedCertificateValidationContext",
        fields: &[("validation_context_sds_secret_config", 2, SDS_SECRET_CONFIG, Label::Optional)],
    },
    NewerMessage {
        package: TLS,
        name: "CommonTlsContext",
        fields: &[
            ("tls_certificate_sds_secret_configs", 6, SDS_SECRET_CONFIG, Label::Repeated),
            ("validation_context_sds_secret_config", 7, SDS_SECRET_CONFIG, Label::Optional),
            ("combined_validation_context", 8, COMBINED_VALIDATION, Label::Optional),
        ],
    },
    NewerMessage {
        package: TLS,
        name: "UpstreamTlsContext",
        fields: &[("common_tls_context", 1, COMMON_TLS_CONTEXT, Label::Optional)],
    },
    NewerMessage {
        package: TLS,
        name: "DownstreamTlsContext",
        fields: &[
            ("common_tls_context", 1, COMMON_TLS_CONTEXT, Label::Optional),
            ("session_ticket_keys_sds_secret_config", 5, SDS_SECRET_CONFIG, Label::Optional),
        ],
    },
];

/// One file for each of [`NEWER_MESSAGES`], importing the ones before it.
fn newer_messages() -> Vec<FileDescriptorProto> {
    let mut imports: Vec<String> = [
        "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
        "envoy/extensions/transport_sockets/tls/v3/secret.proto",
        "envoy/config/core/v3/extension.proto",
    ]
    .map(str::to_owned)
    .into();
    let describe = |message: &NewerMessage| {
        let file = file(message, imports.clone());
        imports.push(file.name().to_owned());
        file
    };
    NEWER_MESSAGES.iter().map(describe).collect()
}

fn file(message: &NewerMessage, imports: Vec<String>) -> FileDescriptorProto {
    let descriptor = DescriptorProto {
        name: Some(message.name.to_owned()),
        field: message.fields.iter().map(|field| describe_field(*field)).collect(),
        ..DescriptorProto::default()
    };
    FileDescriptorProto {
        name: Some(format!("witness/{}.{}.proto", message.package, message.name)),
        package: Some(message.package.to_owned()),
        dependency: imports,
        message_type: vec![descriptor],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn describe_field((name, number, message, label): (&str, i32, &str, Label)) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(Type::Message.into()),
        type_name: Some(format!(".{message}")),
        ..FieldDescriptorProto::default()
    }
}
