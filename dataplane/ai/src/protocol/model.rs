//! The canonical request: what every protocol's request means.
//!
//! Whatever a provider may lack keeps the path it had in the client's body, so that the loss of it
//! can be reported.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::error::RequestError;
use super::json::{Located, RawJson};
pub(super) use super::reasoning::{Reasoning, ReasoningMode};

#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: Option<Located<ToolChoice>>,
    pub(super) parallel_tools: Option<Located<bool>>,
    pub(super) max_tokens: Option<Located<u64>>,
    pub(super) temperature: Option<Located<RawJson>>,
    pub(super) top_p: Option<Located<RawJson>>,
    pub(super) top_k: Option<Located<RawJson>>,
    pub(super) seed: Option<Located<RawJson>>,
    pub(super) presence_penalty: Option<Located<RawJson>>,
    pub(super) frequency_penalty: Option<Located<RawJson>>,
    pub(super) stop: Option<Located<Vec<String>>>,
    pub(super) count: Option<Located<u64>>,
    pub(super) output: Option<Located<OutputFormat>>,
    pub(super) verbosity: Option<Located<String>>,
    pub(super) reasoning: Option<Located<Reasoning>>,
    pub(super) user: Option<Located<String>>,
    pub(super) extras: Vec<Extra>,
    /// Values a Responses answer repeats: name and JSON text.
    pub(super) echo: Vec<(String, RawJson)>,
}

/// A field that only the protocols of one family know.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) value: RawJson,
    pub(super) path: String,
    /// Whether the answer is the same without it.
    pub(super) harmless: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    OpenAi,
    Anthropic,
    Gemini,
    /// Fields of Gemini's `generationConfig`.
    GeminiGeneration,
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Gemini | Self::GeminiGeneration => "Gemini",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    Developer,
    User,
    Assistant,
}

impl Role {
    pub(super) fn is_system(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) blocks: Vec<Block>,
    pub(super) name: Option<Located<String>>,
    pub(super) path: String,
}

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// A prompt-cache mark after this block.
    pub(super) cache: Option<Located<CacheMark>>,
    pub(super) path: String,
}

impl Block {
    pub(super) fn new(path: &str, kind: BlockKind) -> Self {
        Self { kind, cache: None, path: path.to_owned() }
    }

    pub(super) fn text(path: &str, text: impl Into<String>) -> Self {
        Self::new(path, BlockKind::Text { text: text.into(), signature: None })
    }

    /// Whether it is text of white space only, which Anthropic and Bedrock refuse.
    pub(super) fn is_blank_text(&self) -> bool {
        matches!(&self.kind, BlockKind::Text { text, .. } if text.trim().is_empty())
    }

    /// Whether it is text without any character, which some providers refuse.
    pub(super) fn is_empty_text(&self) -> bool {
        matches!(&self.kind, BlockKind::Text { text, signature: None } if text.is_empty())
    }
}

#[derive(Debug, Clone)]
pub(super) enum BlockKind {
    Text {
        text: String,
        signature: Option<String>,
    },
    Media(Media),
    Reasoning {
        text: String,
        signature: Option<String>,
    },
    /// Reasoning that is encrypted as a whole.
    RedactedReasoning {
        data: String,
    },
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    Refusal(String),
    /// Content that only one family of protocols knows, of the type named first.
    Native(Family, String, RawJson),
}

#[derive(Debug, Clone)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text, usually an object; models also produce text that is not JSON.
    pub(super) arguments: String,
    pub(super) signature: Option<String>,
}

impl ToolCall {
    /// The arguments for a provider that takes an object.
    pub(super) fn object(&self, path: &str) -> Result<RawJson, RequestError> {
        let text = if self.arguments.trim_ascii().is_empty() { "{}" } else { &self.arguments };
        RawJson::parse(text).filter(|raw| raw.as_str().starts_with('{')).ok_or_else(|| {
            RequestError::refused(path, "the provider takes arguments of tool calls as a JSON object only")
        })
    }
}

#[derive(Debug, Clone)]
pub(super) struct ToolResult {
    pub(super) id: String,
    pub(super) content: Vec<Block>,
    pub(super) is_error: Option<Located<bool>>,
}

impl ToolResult {
    /// The text of the result; other content is left to the caller.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(block_text).collect();
        texts.join("\n")
    }

    pub(super) fn media(&self) -> impl Iterator<Item = (&Block, &Media)> {
        self.content.iter().filter_map(|block| match &block.kind {
            BlockKind::Media(media) => Some((block, media)),
            _ => None,
        })
    }

    pub(super) fn failed(&self) -> bool {
        self.is_error.as_ref().is_some_and(|field| field.value)
    }
}

pub(super) fn block_text(block: &Block) -> Option<&str> {
    match &block.kind {
        BlockKind::Text { text, .. }
        | BlockKind::Refusal(text)
        | BlockKind::Media(Media { source: Source::Text(text), .. }) => Some(text),
        _ => None,
    }
}

#[derive(Debug, Clone)]
pub(super) struct Media {
    pub(super) kind: MediaKind,
    /// The media type; a URL or file may come without.
    pub(super) mime: Option<String>,
    pub(super) source: Source,
    pub(super) title: Option<String>,
    /// OpenAI's resolution of an image.
    pub(super) detail: Option<Located<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaKind {
    Image,
    Audio,
    Video,
    Document,
}

impl MediaKind {
    pub(super) fn of_mime(mime: &str) -> Self {
        match mime.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    Base64(String),
    Url(String),
    /// A file stored at one provider.
    File(Family, String),
    Text(String),
}

impl Media {
    /// The text of a document that is text, whichever way it is given.
    pub(super) fn plain_text(&self) -> Option<String> {
        match &self.source {
            Source::Text(text) => Some(text.clone()),
            Source::Base64(data) if self.mime.as_deref().is_some_and(|mime| mime.starts_with("text/")) => {
                String::from_utf8(BASE64.decode(data).ok()?).ok()
            }
            _ => None,
        }
    }
}

impl Source {
    /// Reads a URL, which may hold the data itself.
    pub(super) fn from_url(url: &str) -> (Option<String>, Self) {
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match data {
            Some((mime, data)) => {
                let mime = mime.split(';').next().filter(|mime| !mime.is_empty());
                (mime.map(str::to_owned), Self::Base64(data.to_owned()))
            }
            None => (None, Self::Url(url.to_owned())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheMark {
    pub(super) ttl: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) kind: ToolKind,
    pub(super) cache: Option<Located<CacheMark>>,
    pub(super) path: String,
}

#[derive(Debug, Clone)]
pub(super) enum ToolKind {
    Function(Function),
    /// A tool that the provider itself runs: only its own family knows it.
    Hosted(Family, RawJson),
}

#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) parameters: Option<RawJson>,
    pub(super) strict: Option<Located<bool>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Required,
    Tool(String),
    /// Some of the tools; `required` if one of them must be called.
    Allowed {
        names: Vec<String>,
        required: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) enum OutputFormat {
    Text,
    JsonObject,
    Schema { name: Option<String>, description: Option<String>, schema: RawJson, strict: Option<bool> },
}

/// Consecutive blocks of one side: what providers call a turn.
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) blocks: Vec<&'a Block>,
}

impl Request {
    /// The conversation without system messages, consecutive messages of one side merged.
    pub(super) fn turns(&self) -> Vec<Turn<'_>> {
        let mut turns: Vec<Turn<'_>> = Vec::new();
        for message in self.messages.iter().filter(|message| !message.role.is_system()) {
            match turns.last_mut() {
                Some(turn) if turn.role == message.role => turn.blocks.extend(&message.blocks),
                _ => turns.push(Turn { role: message.role, blocks: message.blocks.iter().collect() }),
            }
        }
        turns
    }

    pub(super) fn system_blocks(&self) -> impl Iterator<Item = &Block> {
        self.messages.iter().filter(|message| message.role.is_system()).flat_map(|message| &message.blocks)
    }

    /// System messages that stand after the beginning, which other protocols have no place for.
    pub(super) fn late_system_messages(&self) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .skip_while(|message| message.role.is_system())
            .filter(|message| message.role.is_system())
    }

    /// The names of the tools that were called, by the ids of the calls.
    pub(super) fn tool_names(&self) -> HashMap<&str, &str> {
        let blocks = self.messages.iter().flat_map(|message| &message.blocks);
        let calls = blocks.filter_map(|block| match &block.kind {
            BlockKind::ToolCall(call) => Some((call.id.as_str(), call.name.as_str())),
            _ => None,
        });
        calls.collect()
    }

    /// The tools to offer to a provider that has no list of allowed ones.
    pub(super) fn offered_tools(&self) -> impl Iterator<Item = &Tool> {
        let allowed = match self.tool_choice.as_ref().map(|choice| &choice.value) {
            Some(ToolChoice::Allowed { names, .. }) => Some(names),
            _ => None,
        };
        self.tools.iter().filter(move |tool| match (&tool.kind, allowed) {
            (ToolKind::Function(function), Some(names)) => names.contains(&function.name),
            _ => true,
        })
    }

    pub(super) fn has_tool_blocks(&self) -> bool {
        let mut blocks = self.messages.iter().flat_map(|message| &message.blocks);
        blocks.any(|block| matches!(block.kind, BlockKind::ToolCall(_) | BlockKind::ToolResult(_)))
    }
}
