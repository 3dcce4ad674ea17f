//! Schema pieces that the derive cannot infer.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::sensitive::Opaque;

impl JsonSchema for Opaque {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Opaque".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Kept as it is.",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true
        })
    }
}

/// A TCP port. (The derive would write the format `uint16`, which an API server warns about.)
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 })
}

/// A number of 32 bits that is not negative. (The derive would write the format `uint32`, which an API server warns about.)
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX })
}

/// A part of a hundred. (The derive would write the format `double`.)
pub(crate) fn percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0, "maximum": 100 })
}

/// A value of any type. A structural schema cannot say "string or object"; the canonical form of
/// [`crate::ai`] checks what it finds.
pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A value that has a name or a number, as a CRD made from protobuf takes it.
pub(crate) fn name_or_number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// An unsigned number of 32 bits. (The derive would write the format `uint32`, which an API server warns about.)
pub(crate) fn unsigned(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX })
}

/// A map whose values are of any type.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
