//! Constructors for protobuf's well-known types, which Envoy's API uses wherever "unset" differs from zero.

use std::time::Duration as StdDuration;

use crate::wkt;

/// A set `bool`.
pub fn bool_value(value: bool) -> wkt::BoolValue {
    wkt::BoolValue { value }
}

/// A set `u32`.
pub fn u32_value(value: u32) -> wkt::UInt32Value {
    wkt::UInt32Value { value }
}

/// A set `u64`.
pub fn u64_value(value: u64) -> wkt::UInt64Value {
    wkt::UInt64Value { value }
}

/// A set `f64`.
pub fn double_value(value: f64) -> wkt::DoubleValue {
    wkt::DoubleValue { value }
}

/// A set string.
pub fn string_value(value: impl Into<String>) -> wkt::StringValue {
    wkt::StringValue { value: value.into() }
}

/// Set bytes.
pub fn bytes_value(value: impl Into<Vec<u8>>) -> wkt::BytesValue {
    wkt::BytesValue { value: value.into() }
}

/// A duration.
///
/// Saturates at [`MAX_DURATION_SECONDS`], the longest duration that protobuf allows: Envoy rejects a
/// longer one, and no timer tells the two apart.
pub fn duration(value: StdDuration) -> wkt::Duration {
    match i64::try_from(value.as_secs()) {
        Ok(seconds) if seconds < MAX_DURATION_SECONDS => {
            wkt::Duration { seconds, nanos: i32::try_from(value.subsec_nanos()).unwrap_or(0) }
        }
        _ => wkt::Duration { seconds: MAX_DURATION_SECONDS, nanos: 0 },
    }
}

/// The longest `google.protobuf.Duration`, in seconds (about 10 000 years; see duration.proto).
pub const MAX_DURATION_SECONDS: i64 = 315_576_000_000;

/// The empty message, which stands for "chosen, nothing to configure".
pub fn empty() -> wkt::Empty {
    wkt::Empty {}
}

/// A struct, for metadata and for JSON access logs.
pub fn struct_value(fields: serde_json::Map<String, serde_json::Value>) -> wkt::Struct {
    wkt::Struct { fields: fields.into_iter().map(|(key, value)| (key, json_value(value))).collect() }
}

/// A JSON value as protobuf's `Value`, whose numbers are all doubles.
fn json_value(value: serde_json::Value) -> wkt::Value {
    use serde_json::Value as Json;
    use wkt::value::Kind;
    let kind = match value {
        Json::Null => Kind::NullValue(wkt::NullValue::NullValue.into()),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Json::String(value) => Kind::StringValue(value),
        Json::Array(values) => {
            Kind::ListValue(wkt::ListValue { values: values.into_iter().map(json_value).collect() })
        }
        Json::Object(fields) => Kind::StructValue(struct_value(fields)),
    };
    wkt::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_keeps_its_nanoseconds() {
        let expected = wkt::Duration { seconds: 1, nanos: 500_000_000 };
        assert_eq!(duration(StdDuration::from_millis(1500)), expected);
    }

    #[test]
    fn a_duration_beyond_what_protobuf_allows_saturates() {
        let longest = wkt::Duration { seconds: MAX_DURATION_SECONDS, nanos: 0 };
        assert_eq!(duration(StdDuration::MAX), longest);
        assert_eq!(duration(StdDuration::from_millis(MAX_DURATION_SECONDS as u64 * 1000 + 1)), longest);
    }

    #[test]
    fn a_struct_has_the_json_it_was_made_of() {
        let json = serde_json::json!({"a": [1.0, true, null, "x"], "b": {"c": "%REQ(:path)%"}});
        let serde_json::Value::Object(fields) = json.clone() else { unreachable!() };
        assert_eq!(crate::message_to_json(&struct_value(fields)).unwrap(), json);
    }
}
