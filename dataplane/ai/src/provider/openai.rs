//! Paths of OpenAI, of Mistral and of Anthropic, who lay their APIs out alike.

use super::{PathInput, with_query};
use crate::operation::Operation;

/// The path of an operation; `chat` is the provider's own for chats.
pub(super) fn path(input: &PathInput<'_>, chat: &str) -> String {
    let path = match input.operation {
        // A client that speaks another protocol than the provider is translated, and then the operation is a chat.
        Operation::Unnamed
        | Operation::ChatCompletions
        | Operation::ModelMethod { .. }
        | Operation::BedrockModel { .. } => chat.to_owned(),
        Operation::Messages => "/v1/messages".to_owned(),
        Operation::Responses => "/v1/responses".to_owned(),
        Operation::Other(path) => path.clone(),
    };
    with_query(path, input.query)
}
