//! Which fields of a message are set, and of every message inside it.

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};

use crate::deprecated::is_deprecated_field;
use crate::descriptors::{self, DescribeError};

/// One message somewhere in a resource, the resource itself included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its full name, for example `envoy.config.core.v3.SocketAddress`.
    pub message: String,
    /// The fields by which it is reached, the outermost first; each with the full name of its message, for
    /// example `envoy.config.core.v3.Address.socket_address`. An `Any` is no step.
    pub path: Vec<String>,
    /// Every field that it could have, in the order of the `.proto` file.
    pub fields: Vec<FieldPresence>,
}

/// One field of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPresence {
    /// As the `.proto` file names it.
    pub name: String,
    /// Whether a value is there. A number, string, enum or flag without presence counts as absent when it is
    /// zero, since on the wire that is the same.
    pub set: bool,
    /// Whether Envoy calls the field deprecated.
    pub deprecated: bool,
    /// The name of its `oneof`, if it is an alternative of one.
    pub oneof: Option<String>,
}

/// Every message in a resource, the outermost first, with what is set in it. A nested `Any` is searched as the
/// message that it holds; protobuf's own types (durations, wrappers, structs) are values, not messages.
///
/// # Errors
/// When the pinned Envoy does not know the type, or that of an `Any` inside; when bytes do not decode.
pub fn presence(type_url: &str, bytes: &[u8]) -> Result<Vec<Presence>, DescribeError> {
    let mut found = Vec::new();
    visit_message(&descriptors::decode(type_url, bytes)?, &[], &mut found)?;
    Ok(found)
}

fn visit_message(
    message: &DynamicMessage,
    path: &[String],
    found: &mut Vec<Presence>,
) -> Result<(), DescribeError> {
    if let Some(inner) = descriptors::decode_any(message) {
        return visit_message(&inner?, path, found);
    }
    let descriptor = message.descriptor();
    if descriptor.package_name() == "google.protobuf" {
        return Ok(());
    }
    found.push(Presence {
        message: descriptor.full_name().to_owned(),
        path: path.to_vec(),
        fields: descriptor.fields().map(|field| field_presence(message, &field)).collect(),
    });
    for (field, value) in message.fields() {
        let step = std::iter::once(field.full_name().to_owned());
        let path: Vec<String> = path.iter().cloned().chain(step).collect();
        visit_value(value, &path, found)?;
    }
    Ok(())
}

fn visit_value(value: &Value, path: &[String], found: &mut Vec<Presence>) -> Result<(), DescribeError> {
    match value {
        Value::Message(message) => visit_message(message, path, found),
        Value::List(values) => values.iter().try_for_each(|value| visit_value(value, path, found)),
        Value::Map(entries) => entries.values().try_for_each(|value| visit_value(value, path, found)),
        _ => Ok(()),
    }
}

fn field_presence(message: &DynamicMessage, field: &FieldDescriptor) -> FieldPresence {
    FieldPresence {
        name: field.name().to_owned(),
        set: message.has_field(field),
        deprecated: is_deprecated_field(field),
        // An `optional` field is the only alternative of a oneof that the compiler makes for it.
        oneof: field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| oneof.name().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core, hcm, pack, router, u32_value};
    use prost::Message as _;

    fn set(found: &Presence) -> Vec<&str> {
        found.fields.iter().filter(|field| field.set).map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn messages_are_found_in_fields_lists_and_anys_with_the_way_to_them() {
        let router = router::Router { suppress_envoy_headers: true, ..Default::default() };
        let filter = hcm::HttpFilter {
            name: "router".to_owned(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack(&router))),
            ..Default::default()
        };
        let manager = hcm::HttpConnectionManager {
            http_filters: vec![filter],
            max_request_headers_kb: Some(u32_value(1)),
            ..Default::default()
        };
        let package = "envoy.extensions.filters.network.http_connection_manager.v3";
        let found = presence(&format!("{package}.HttpConnectionManager"), &manager.encode_to_vec()).unwrap();
        let [manager, filter, router] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(set(manager), ["http_filters", "max_request_headers_kb"]);
        assert_eq!(set(filter), ["name", "typed_config"]);
        assert_eq!(filter.path, [format!("{package}.HttpConnectionManager.http_filters")]);
        assert_eq!(router.message, "envoy.extensions.filters.http.router.v3.Router");
        assert_eq!(router.path[1], format!("{package}.HttpFilter.typed_config"));
        assert_eq!(set(router), ["suppress_envoy_headers"]);
        let discovery = filter.fields.iter().find(|field| field.name == "config_discovery").unwrap();
        assert_eq!(discovery.oneof.as_deref(), Some("config_type"));
    }

    #[test]
    fn a_zero_without_presence_is_absent_and_one_in_a_wrapper_is_set() {
        let address = core::SocketAddress::default();
        let found = presence("envoy.config.core.v3.SocketAddress", &address.encode_to_vec()).unwrap();
        assert!(set(&found[0]).is_empty());
        let range = core::CidrRange { prefix_len: Some(u32_value(0)), ..Default::default() };
        let found = presence("envoy.config.core.v3.CidrRange", &range.encode_to_vec()).unwrap();
        assert_eq!(set(&found[0]), ["prefix_len"]);
    }

    #[test]
    fn what_envoy_deprecates_is_told() {
        let found = presence("envoy.config.route.v3.RouteAction", &[]).unwrap();
        let field = |name: &str| found[0].fields.iter().find(|field| field.name == name).unwrap();
        assert!(field("max_grpc_timeout").deprecated && !field("timeout").deprecated);
    }
}
