//! Paths of Gemini and Vertex AI: a method of a model.

use super::{PathInput, path_element, with_query};
use crate::operation::Operation;

/// The path of an operation; `method` replaces those for chats.
pub(super) fn path(input: &PathInput<'_>, root: &str, method: Option<&str>) -> String {
    let named = match input.operation {
        Operation::Other(path) => return other(path, root, input.query),
        Operation::ModelMethod { method, .. } => Some(method.as_str()),
        _ => None,
    };
    let is_chat = input.operation.is_chat();
    let method = match (named, method) {
        (_, Some(method)) if is_chat => method,
        // A route for streams makes streams of all chats.
        (Some("generateContent") | None, _) if input.streaming => "streamGenerateContent",
        (Some(named), _) => named,
        (None, _) => "generateContent",
    };
    // `@` stands before the version of a model of Vertex AI.
    let path = format!("{root}/models/{}:{method}", path_element(input.model, b"@"));
    // Without it a stream is a JSON array in pieces. A client that named the method itself knows which it wants.
    let is_ours = method == "streamGenerateContent" && named != Some("streamGenerateContent");
    let has_alt = input.query.split('&').any(|param| param.starts_with("alt="));
    match (is_ours && !has_alt, input.query) {
        (false, query) => with_query(path, query),
        (true, "") => format!("{path}?alt=sse"),
        (true, query) => format!("{path}?alt=sse&{query}"),
    }
}

/// Lists of models, files and such: `/VERSION/NAME`, with the Backend's version.
fn other(path: &str, root: &str, query: &str) -> String {
    let name = path.trim_start_matches('/').split_once('/').map_or("", |(_, name)| name);
    with_query(format!("{root}/{name}"), query)
}
