//! Paths of Azure OpenAI: of a deployment where the operation needs a model, of the resource where it does not.

use super::PathInput;
use crate::operation::Operation;

/// Operations that a deployment serves.
const OF_DEPLOYMENT: [&str; 5] = ["audio", "chat", "completions", "embeddings", "images"];

pub(super) fn path(input: &PathInput<'_>, deployment: &str, api_version: &str) -> String {
    let name = match input.operation {
        Operation::Responses => "responses",
        // `/v1/NAME`.
        Operation::Other(path) => path.trim_start_matches('/').split_once('/').map_or("", |(_, name)| name),
        _ => "chat/completions",
    };
    let is_of_deployment = name.split('/').next().is_some_and(|first| OF_DEPLOYMENT.contains(&first));
    let root =
        if is_of_deployment { format!("/openai/deployments/{deployment}") } else { "/openai".to_owned() };
    // The version is the Backend's.
    let is_other = |param: &&str| param.split('=').next() != Some("api-version");
    let query: String = input
        .query
        .split('&')
        .filter(|param| !param.is_empty())
        .filter(is_other)
        .flat_map(|param| ["&", param])
        .collect();
    format!("{root}/{name}?api-version={api_version}{query}")
}
