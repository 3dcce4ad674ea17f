//! Paths of Amazon Bedrock: a method of a model.

use super::{PathInput, path_element, with_query};
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
    // The signature is over the path as it is sent.
    with_query(format!("/model/{}/{method}", path_element(input.model, b"")), input.query)
}
