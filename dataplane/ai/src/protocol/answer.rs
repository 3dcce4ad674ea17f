//! The canonical answer, whole or as a stream of events.

use super::error::ApiError;
use crate::usage::Billing;

/// Tokens that a request used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, all of them: read from the cache, written to it, or neither.
    pub input: u64,
    /// Tokens of the prompt that were read from the provider's cache.
    pub cache_read: Option<u64>,
    /// Tokens of the prompt that were written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Tokens of the answer, including those of reasoning.
    pub output: u64,
    /// Tokens of the answer that were spent on reasoning.
    pub reasoning: Option<u64>,
    /// What only prices depend on.
    pub billing: Billing,
}

impl Usage {
    /// Tokens of prompt and answer together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Tokens of the prompt that the cache had no part in.
    pub(super) fn uncached_input(&self) -> u64 {
        self.input.saturating_sub(self.cache_read.unwrap_or(0)).saturating_sub(self.cache_write.unwrap_or(0))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    EndTurn,
    MaxTokens,
    StopSequence(Option<String>),
    ToolUse,
    /// The provider's filter or the model's own refusal.
    Filtered,
    Paused,
    /// The context window is exhausted.
    ContextExceeded,
    /// The answer is of no use, such as a malformed tool call.
    Failed(String),
}

impl StopReason {
    /// OpenAI's word for it, or `error`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::EndTurn | Self::StopSequence(_) | Self::Paused => "stop",
            Self::MaxTokens | Self::ContextExceeded => "length",
            Self::ToolUse => "tool_calls",
            Self::Filtered => "content_filter",
            Self::Failed(_) => "error",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
}

#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) index: u32,
    pub(super) parts: Vec<Part>,
    pub(super) stop: StopReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text { text: String, signature: Option<String> },
    Reasoning { text: String, signature: Option<String> },
    RedactedReasoning { data: String },
    ToolCall { id: String, name: String, arguments: String, signature: Option<String> },
    Refusal(String),
    Media { mime: String, data: String },
}

/// What happens in a streamed answer. `choice` counts from 0.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Start {
        id: Option<String>,
        model: Option<String>,
        usage: Option<Usage>,
    },
    Part {
        choice: u32,
        delta: Delta,
    },
    Stop {
        choice: u32,
        reason: StopReason,
    },
    /// What was used so far; later reports replace earlier ones.
    Usage(Usage),
    Error(ApiError),
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delta {
    Text(String),
    /// The signature of the text that went before.
    TextSignature(String),
    Reasoning(String),
    /// The signature of the reasoning that went before, which it ends.
    Signature(String),
    RedactedReasoning(String),
    ToolCall {
        id: String,
        name: String,
        signature: Option<String>,
    },
    /// A fragment of the arguments of the tool call that began last.
    Arguments(String),
    Refusal(String),
    Media {
        mime: String,
        data: String,
    },
    /// The end of a part, where the provider marks it.
    End,
}

impl Answer {
    /// The stream that says the same.
    pub(super) fn into_events(self) -> Vec<Event> {
        let mut events = vec![Event::Start { id: self.id, model: self.model, usage: self.usage }];
        for choice in self.choices {
            for delta in choice.parts.into_iter().flat_map(Part::into_deltas) {
                events.push(Event::Part { choice: choice.index, delta });
            }
            events.push(Event::Stop { choice: choice.index, reason: choice.stop });
        }
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::Done);
        events
    }
}

impl Answer {
    /// For protocols that have signatures of reasoning only: that of a call goes to the reasoning
    /// before it, that of a text to empty reasoning after it.
    pub(super) fn with_signatures_as_reasoning(mut self) -> Self {
        for choice in &mut self.choices {
            let mut parts: Vec<Part> = Vec::with_capacity(choice.parts.len());
            for mut part in std::mem::take(&mut choice.parts) {
                let taken = match &mut part {
                    Part::ToolCall { signature, .. } => {
                        if let Some(signature) = signature.take() {
                            sign_last(&mut parts, signature);
                        }
                        None
                    }
                    Part::Text { signature, .. } => signature.take(),
                    _ => None,
                };
                if !matches!(&part, Part::Text { text, .. } if text.is_empty()) {
                    parts.push(part);
                }
                parts.extend(
                    taken
                        .map(|signature| Part::Reasoning { text: String::new(), signature: Some(signature) }),
                );
            }
            choice.parts = parts;
        }
        self
    }
}

fn sign_last(parts: &mut Vec<Part>, new: String) {
    match parts.last_mut() {
        Some(Part::Reasoning { signature: signature @ None, .. }) => *signature = Some(new),
        _ => parts.push(Part::Reasoning { text: String::new(), signature: Some(new) }),
    }
}

impl Part {
    fn into_deltas(self) -> Vec<Delta> {
        let mut deltas = match self {
            Self::Text { text, signature } => {
                let signature = signature.map(Delta::TextSignature);
                std::iter::once(Delta::Text(text)).chain(signature).collect()
            }
            Self::Reasoning { text, signature } => {
                let signature = signature.map(Delta::Signature);
                std::iter::once(Delta::Reasoning(text)).chain(signature).collect()
            }
            Self::RedactedReasoning { data } => vec![Delta::RedactedReasoning(data)],
            Self::ToolCall { id, name, arguments, signature } => {
                vec![Delta::ToolCall { id, name, signature }, Delta::Arguments(arguments)]
            }
            Self::Refusal(text) => vec![Delta::Refusal(text)],
            Self::Media { mime, data } => vec![Delta::Media { mime, data }],
        };
        deltas.push(Delta::End);
        deltas
    }
}

/// Puts a streamed answer together.
#[derive(Debug, Default)]
pub(super) struct Collector {
    answer: Answer,
    open: Vec<u32>,
}

impl Collector {
    /// Takes an event; an error ends the answer.
    pub(super) fn take(&mut self, event: Event) -> Result<(), ApiError> {
        match event {
            Event::Start { id, model, usage } => {
                self.answer.id = id;
                self.answer.model = model;
                self.answer.usage = self.answer.usage.or(usage);
            }
            Event::Part { choice, delta } => self.part(choice, delta),
            Event::Stop { choice, reason } => self.choice(choice).stop = reason,
            Event::Usage(usage) => self.answer.usage = Some(usage),
            Event::Error(error) => return Err(error),
            Event::Done => (),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Answer {
        self.answer
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.answer.choices;
        let at = match choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                choices.push(Choice { index, parts: Vec::new(), stop: StopReason::EndTurn });
                choices.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or pushed just now")]
        &mut choices[at]
    }

    fn part(&mut self, choice: u32, delta: Delta) {
        let was_open = self.open.contains(&choice);
        if matches!(delta, Delta::End) {
            self.open.retain(|open| *open != choice);
            return;
        }
        if !was_open {
            self.open.push(choice);
        }
        let parts = &mut self.choice(choice).parts;
        let last = if was_open { parts.last_mut() } else { None };
        match (delta, last) {
            (Delta::TextSignature(new), Some(Part::Text { signature, .. }))
            | (Delta::Signature(new), Some(Part::Reasoning { signature, .. })) => *signature = Some(new),
            (Delta::Text(more), Some(Part::Text { text, signature: None }))
            | (Delta::Reasoning(more), Some(Part::Reasoning { text, signature: None }))
            | (Delta::Arguments(more), Some(Part::ToolCall { arguments: text, .. }))
            | (Delta::Refusal(more), Some(Part::Refusal(text))) => text.push_str(&more),
            (delta, _) => parts.extend(new_part(delta)),
        }
    }
}

fn new_part(delta: Delta) -> Option<Part> {
    Some(match delta {
        Delta::Text(text) => Part::Text { text, signature: None },
        Delta::TextSignature(signature) => Part::Text { text: String::new(), signature: Some(signature) },
        Delta::Reasoning(text) => Part::Reasoning { text, signature: None },
        Delta::Signature(signature) => Part::Reasoning { text: String::new(), signature: Some(signature) },
        Delta::RedactedReasoning(data) => Part::RedactedReasoning { data },
        Delta::ToolCall { id, name, signature } => {
            Part::ToolCall { id, name, arguments: String::new(), signature }
        }
        Delta::Refusal(text) => Part::Refusal(text),
        Delta::Media { mime, data } => Part::Media { mime, data },
        // Readers never send arguments without a call.
        Delta::Arguments(_) | Delta::End => return None,
    })
}
