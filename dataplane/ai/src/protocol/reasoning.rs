//! How much a client asks a model to reason.

use super::json::RawJson;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reasoning {
    pub(super) mode: Option<ReasoningMode>,
    pub(super) effort: Option<String>,
    pub(super) budget: Option<u64>,
    /// What Anthropic's clients say, word for word, for providers of Claude.
    pub(super) native: Option<RawJson>,
    /// Whether the client wants to see the reasoning.
    pub(super) visible: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReasoningMode {
    Off,
    On,
    /// The model decides how much.
    Adaptive,
}

impl Reasoning {
    pub(super) fn is_off(&self) -> bool {
        self.mode == Some(ReasoningMode::Off) || self.effort.as_deref() == Some("none")
    }

    /// The budget in tokens that stands for what the client asked.
    pub(super) fn budget_tokens(&self) -> Option<u64> {
        let from_effort = |effort: &String| match effort.as_str() {
            "minimal" | "low" => 1024,
            "medium" => 8192,
            "high" => 24_576,
            _ => 32_768,
        };
        self.budget.or_else(|| self.effort.as_ref().map(from_effort))
    }

    /// The effort that stands for what the client asked; absent if the model is to decide.
    pub(super) fn effort_level(&self) -> Option<&str> {
        let from_budget = |budget: u64| match budget {
            0 => "none",
            1..=2048 => "low",
            2049..=16_384 => "medium",
            _ => "high",
        };
        if self.mode == Some(ReasoningMode::Off) {
            return Some("none");
        }
        self.effort.as_deref().or_else(|| self.budget.map(from_budget))
    }
}
