//! JSON that keeps what it does not understand: values are read one level at a time and stay the
//! text they arrived in, so key order and numbers survive.

mod read;
mod schema;
mod write;

pub(super) use read::{Field, Fields, Located, RawJson, is_json_object};
pub(super) use schema::{is_proto_schema, proto_to_json_schema};
pub(super) use write::{Json, Map};
