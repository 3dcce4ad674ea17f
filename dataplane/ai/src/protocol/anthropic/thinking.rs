//! How much Claude is to think: a budget of tokens for older models, an effort for newer ones.

use crate::protocol::ClientProtocol;
use crate::protocol::json::{Json, Map};
use crate::protocol::lost::Lost;
use crate::protocol::model::{BlockKind, Reasoning, Request, Role, ToolChoice};

/// The smallest budget that Anthropic takes.
const MIN_BUDGET: u64 = 1024;

/// What a request says about thinking, as Anthropic takes it.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Thinking {
    /// The field `thinking`.
    pub(in crate::protocol) field: Option<Json>,
    /// `output_config.effort`.
    pub(in crate::protocol) effort: Option<String>,
    /// The limit of the answer, thinking included.
    pub(in crate::protocol) max_tokens: u64,
    /// Whether the model thinks, which forbids some other parameters.
    pub(in crate::protocol) on: bool,
}

/// Whether the model decides itself how much it thinks, guided by an effort.
fn is_adaptive(model: &str) -> bool {
    version(model) >= (4, 6)
}

/// Whether the model takes no sampling parameters: from Claude Opus 4.7 on.
pub(in crate::protocol) fn fixes_sampling(model: &str) -> bool {
    version(model) >= (4, 7)
}

/// The version of a Claude model; zero for others.
fn version(model: &str) -> (u32, u32) {
    let Some((_, name)) = model.rsplit_once("claude-") else { return (0, 0) };
    let mut numbers = name.split(['-', '.', '@', ':']).map(str::parse::<u32>).filter_map(Result::ok);
    let major = numbers.next().unwrap_or(0);
    // A number of eight digits is the date of the model.
    let minor = numbers.next().filter(|minor| *minor < 1000).unwrap_or(0);
    if major < 1000 { (major, minor) } else { (0, 0) }
}

pub(in crate::protocol) fn thinking(
    request: &Request,
    client: ClientProtocol,
    default_max_tokens: u64,
    lost: &mut Lost,
) -> Thinking {
    let given = request.max_tokens.as_ref().map(|max| max.value);
    let max_tokens = given.unwrap_or(default_max_tokens);
    let plain = Thinking { max_tokens, ..Thinking::default() };
    let Some(reasoning) = &request.reasoning else { return plain };
    if client == ClientProtocol::AnthropicMessages {
        return verbatim(&reasoning.value, max_tokens);
    }
    if reasoning.value.is_off() {
        return Thinking { field: Some(Map::tagged("disabled").into()), ..plain };
    }
    if let Some(reason) = obstacle(request) {
        lost.add(&reasoning.path, reason);
        return plain;
    }
    if is_adaptive(&request.model) {
        let effort = reasoning.value.effort_level().map(|level| effort_name(level, &request.model));
        let mut field = Map::tagged("adaptive");
        if fixes_sampling(&request.model) {
            // These models hide their thinking unless told otherwise.
            let visible = reasoning.value.visible != Some(false);
            field.set("display", if visible { "summarized" } else { "omitted" });
        }
        return Thinking { field: Some(field.into()), effort, max_tokens, on: true };
    }
    let Some(wanted) = reasoning.value.budget_tokens() else {
        // Enabled without any measure: a moderate budget.
        return budget(8192, given, default_max_tokens);
    };
    if given.is_some_and(|max| max <= MIN_BUDGET) {
        lost.add(&reasoning.path, "the limit of the answer leaves no room for reasoning");
        return plain;
    }
    budget(wanted, given, default_max_tokens)
}

fn verbatim(reasoning: &Reasoning, max_tokens: u64) -> Thinking {
    // Parameters that thinking forbids are the client's own affair here.
    let field = reasoning.native.clone().map(Json::Raw);
    Thinking { field, effort: reasoning.effort.clone(), max_tokens, on: false }
}

/// A budget within the limit of the answer; without a limit, one that leaves the default for the rest.
fn budget(wanted: u64, given: Option<u64>, default_max_tokens: u64) -> Thinking {
    let wanted = wanted.max(MIN_BUDGET);
    let (budget, max_tokens) = match given {
        Some(max) => (wanted.min((max / 4 * 3).max(MIN_BUDGET)), max),
        None => (wanted, wanted.saturating_add(default_max_tokens)),
    };
    let field = Map::tagged("enabled").with("budget_tokens", budget);
    Thinking { field: Some(field.into()), effort: None, max_tokens, on: true }
}

fn effort_name(level: &str, model: &str) -> String {
    match level {
        "minimal" => "low",
        "xhigh" if !fixes_sampling(model) => "high",
        other => other,
    }
    .to_owned()
}

/// Why Anthropic would refuse thinking in this request.
fn obstacle(request: &Request) -> Option<&'static str> {
    let choice = request.tool_choice.as_ref().map(|choice| &choice.value);
    let forced = matches!(
        choice,
        Some(ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Allowed { required: true, .. })
    );
    if forced {
        return Some("Anthropic takes no forced tool choice together with reasoning");
    }
    let turns = request.turns();
    let ends_with_results = turns
        .last()
        .is_some_and(|turn| turn.blocks.iter().any(|block| matches!(block.kind, BlockKind::ToolResult(_))));
    let last = turns.iter().rev().find(|turn| turn.role == Role::Assistant)?;
    let calls = last.blocks.iter().any(|block| matches!(block.kind, BlockKind::ToolCall(_)));
    let reasons = last.blocks.iter().any(|block| {
        matches!(
            block.kind,
            BlockKind::Reasoning { signature: Some(_), .. } | BlockKind::RedactedReasoning { .. }
        )
    });
    (ends_with_results && calls && !reasons)
        .then_some("Anthropic asks for the signed reasoning before a tool call, which the history lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_models_take_an_effort() {
        for model in [
            "claude-opus-4-6",
            "us.anthropic.claude-sonnet-4-6-v1:0",
            "claude-sonnet-5",
            "claude-opus-4-7@20260101",
        ] {
            assert!(is_adaptive(model), "{model}");
        }
        for model in [
            "claude-sonnet-4-20250514",
            "claude-3-7-sonnet-20250219",
            "claude-opus-4-5",
            "gpt-5",
            "claude-haiku-4-5-20251001",
        ] {
            assert!(!is_adaptive(model), "{model}");
        }
    }
}
