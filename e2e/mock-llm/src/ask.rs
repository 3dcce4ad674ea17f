//! What a request asks for, whichever protocol carried it.

use serde_json::Value;

/// A request for a completion, without the dress of a protocol.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// The model's name as it was sent, in the body or in the path.
    pub model: String,
    /// The texts of the system prompt.
    pub system: Vec<String>,
    /// The conversation, oldest first.
    pub turns: Vec<Turn>,
    /// The functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must, may or must not call one.
    pub choice: Choice,
    /// The form of the answer.
    pub format: Format,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// Whether the model is to think first.
    pub thinking: bool,
}

/// What one side said.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Whose turn it is.
    pub role: Role,
    /// What it consists of.
    pub parts: Vec<Part>,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user, or a tool that answers.
    User,
    /// The model.
    Model,
}

/// One part of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// An image: its type, and its size in bytes (0 when it was given by its URL).
    Image {
        /// The media type, such as `image/png`.
        media_type: String,
        /// How many bytes it has, decoded.
        bytes: usize,
    },
    /// A tool call of an earlier answer.
    Call {
        /// Its id; empty where the protocol has none.
        id: String,
        /// The function.
        name: String,
        /// The arguments, an object.
        arguments: Value,
    },
    /// What a tool answered.
    Result {
        /// The id of the call, or the function's name where the protocol has no ids.
        id: String,
        /// What it said; JSON in its shortest form when it was no text.
        text: String,
    },
    /// What the model thought before, sent back to it.
    Thinking(String),
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

/// Whether a tool is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// As the model likes.
    #[default]
    Auto,
    /// None at all.
    None,
    /// Any, but one.
    Required,
    /// This one.
    Named(String),
}

/// The form of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Text as it comes.
    #[default]
    Text,
    /// Some JSON object.
    Json,
    /// JSON that satisfies this schema.
    Schema(Value),
}

impl Ask {
    /// All text of the newest user turn that has text, joined by blanks.
    #[must_use]
    pub fn last_user_text(&self) -> String {
        let texts = |turn: &Turn| {
            let texts = turn.parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                _ => None,
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        let users = self.turns.iter().rev().filter(|turn| turn.role == Role::User);
        users.map(texts).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// What tools answered since the model last spoke.
    #[must_use]
    pub fn fresh_results(&self) -> Vec<&str> {
        let fresh = self.turns.iter().rev().take_while(|turn| turn.role == Role::User).collect::<Vec<_>>();
        let parts = fresh.iter().rev().flat_map(|turn| &turn.parts);
        let results = parts.filter_map(|part| match part {
            Part::Result { text, .. } => Some(text.as_str()),
            _ => None,
        });
        results.collect()
    }

    /// The images of the whole request: type and size.
    #[must_use]
    pub fn images(&self) -> Vec<(&str, usize)> {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        let images = parts.filter_map(|part| match part {
            Part::Image { media_type, bytes } => Some((media_type.as_str(), *bytes)),
            _ => None,
        });
        images.collect()
    }

    /// How many tool calls the conversation has.
    #[must_use]
    pub fn calls_before(&self) -> usize {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.filter(|part| matches!(part, Part::Call { .. })).count()
    }

    /// Checks what all providers insist on: every tool call is answered in the turn after it, and every
    /// result answers a call of the turn before.
    ///
    /// # Errors
    /// Says which id has no partner.
    pub fn check_results(&self) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        let mut role = Role::User;
        for turn in &self.turns {
            let goes_back = role == Role::User && turn.role == Role::Model;
            if let Some(id) = open.first().filter(|_| goes_back) {
                return Err(format!("tool call {id} was not followed by its result"));
            }
            role = turn.role;
            for part in &turn.parts {
                match part {
                    Part::Call { id, name, .. } => open.push(if id.is_empty() { name } else { id }),
                    Part::Result { id, .. } => match open.iter().position(|one| one == id) {
                        Some(at) => drop(open.remove(at)),
                        None => return Err(format!("tool result {id} answers no call of the turn before")),
                    },
                    Part::Image { .. } | Part::Text(_) | Part::Thinking(_) => {}
                }
            }
        }
        match open.first().filter(|_| role == Role::User) {
            Some(id) => Err(format!("tool call {id} was not followed by its result")),
            None => Ok(()),
        }
    }
}
