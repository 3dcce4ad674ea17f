//! Paths of Amazon Bedrock: a method of a model.

use super::{PathInput, with_query};
use crate::operation::Operation;

pub(super) fn path(input: &PathInput<'_>) -> String {
    let method = match input.operation {
        Operation::BedrockModel { method, .. } => match method.as_str() {
            "converse" if input.streaming => "converse-stream",
            method => method,
        },
        _ if input.streaming => "converse-stream",
        _ => "converse",
    };
    with_query(format!("/model/{}/{method}", escaped(input.model)), input.query)
}

/// The model as one path element: the signature is over the path as it is sent, and names of models hold `:` and `/`.
fn escaped(model: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        // What a client's path has escaped already.
        b'%' if model.contains("%3A") || model.contains("%2F") => "%".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    model.bytes().map(escape).collect()
}
