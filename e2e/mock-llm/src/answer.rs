//! What the mock answers, before a protocol dresses it. The same request gets the same answer, always.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, Choice, Format};
use crate::words::{TOKENS_OF_CALL, count_words, input_tokens, pieces};

/// The word in the user's text that makes the model call the first tool.
pub const CALLS_TOOL: &str = "weather";
/// The word that makes it call the tool twice at once.
pub const CALLS_TWICE: &str = "parallel";
/// The word that makes half of the input tokens cached ones.
pub const IS_CACHED: &str = "cached";
/// The word that has it answered in another tier of service: flex, or Anthropic's priority.
pub const IS_OTHER_TIER: &str = "tier";

/// The values of text arguments, call by call.
const PLACES: [&str; 2] = ["Paris", "London"];
/// Schemas may refer to themselves; deeper than this they get `null`.
const DEEPEST: usize = 8;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the model thought, when it was asked to.
    pub thinking: Option<String>,
    /// What it says; empty when it only calls tools.
    pub text: String,
    /// The tools that it calls.
    pub calls: Vec<Call>,
    /// Why it ended.
    pub finish: Finish,
    /// The tokens.
    pub usage: Usage,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which call of the conversation it is, for its id.
    pub number: usize,
    /// The function.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Value,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// All is said.
    Stop,
    /// A stop text was reached: this one.
    StopText(String),
    /// There may be no more tokens.
    Length,
    /// It waits for tools.
    Calls,
}

/// The tokens of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// Input tokens that came from a cache.
    pub cached: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Output tokens of thoughts.
    pub reasoning: u64,
    /// Whether it was answered in another tier of service than the usual one.
    pub is_other_tier: bool,
}

/// What the mock answers to `ask`.
#[must_use]
pub fn answer(ask: &Ask) -> Answer {
    let said = ask.last_user_text();
    let results = ask.fresh_results();
    let calls = if results.is_empty() { calls(ask, &said) } else { Vec::new() };
    let full = if calls.is_empty() { text(ask, &said, &results) } else { String::new() };
    let (text, cut) = shorten(ask, full);
    let finish = if calls.is_empty() { cut } else { Finish::Calls };
    let thinking = ask.thinking.then(|| format!("Thinking about: {said}"));

    let input = input_tokens(ask);
    let reasoning = thinking.as_deref().map_or(0, count_words);
    let output = reasoning + count_words(&text) + calls.len() as u64 * TOKENS_OF_CALL;
    let cached = if said.contains(IS_CACHED) { input / 2 } else { 0 };
    let is_other_tier = said.contains(IS_OTHER_TIER);
    let usage = Usage { input, cached, output, reasoning, is_other_tier };
    Answer { thinking, text, calls, finish, usage }
}

fn calls(ask: &Ask, said: &str) -> Vec<Call> {
    let tool = match &ask.choice {
        Choice::None => None,
        Choice::Auto => ask.tools.first().filter(|_| said.to_lowercase().contains(CALLS_TOOL)),
        Choice::Required => ask.tools.first(),
        Choice::Named(name) => ask.tools.iter().find(|tool| tool.name == *name),
    };
    let count = if said.contains(CALLS_TWICE) { 2 } else { 1 };
    let call = |(at, place): (usize, &&str)| {
        let tool = tool?;
        let arguments = match fill(&tool.schema, &tool.schema, place, 0) {
            Value::Object(arguments) => Value::Object(arguments),
            _ => json!({}),
        };
        Some(Call { number: ask.calls_before() + at, name: tool.name.clone(), arguments })
    };
    PLACES.iter().take(count).enumerate().filter_map(call).collect()
}

fn text(ask: &Ask, said: &str, results: &[&str]) -> String {
    let mut text = String::new();
    if !ask.system.is_empty() {
        text.push_str(&format!("System says: {}. ", ask.system.join(" ")));
    }
    if results.is_empty() {
        text.push_str(&format!("You said: {said}"));
    } else {
        text.push_str(&format!("The tool said: {}", results.join("; ")));
    }
    let images = ask.images();
    if !images.is_empty() {
        let plural = if images.len() == 1 { "" } else { "s" };
        text.push_str(&format!(" (saw {} image{plural}", images.len()));
        for (media_type, bytes) in images {
            text.push_str(&format!(", {media_type}, {bytes} bytes"));
        }
        text.push(')');
    }
    match &ask.format {
        Format::Text => text,
        Format::Json => json!({ "answer": text }).to_string(),
        Format::Schema(schema) => fill(schema, schema, &text, 0).to_string(),
    }
}

/// Ends `text` at the first stop text, and then after as many words as are allowed.
fn shorten(ask: &Ask, text: String) -> (String, Finish) {
    let stops = ask.stop.iter().filter(|stop| !stop.is_empty());
    let reached = stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min();
    let (text, finish) = match reached {
        Some((at, stop)) => {
            (text.get(..at).unwrap_or_default().to_owned(), Finish::StopText(stop.to_owned()))
        }
        None => (text, Finish::Stop),
    };
    match ask.max_tokens {
        Some(most) if count_words(&text) > most => {
            let kept = pieces(&text).into_iter().take(usize::try_from(most).unwrap_or(usize::MAX));
            (kept.collect(), Finish::Length)
        }
        _ => (text, finish),
    }
}

/// A value that satisfies `schema`, with `text` wherever it wants text.
fn fill(root: &Value, schema: &Value, text: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let pointed = schema.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.strip_prefix('#')?));
    if let Some(target) = pointed {
        return fill(root, target, text, depth + 1);
    }
    let alternatives = ["anyOf", "oneOf", "any_of"].iter().find_map(|key| schema.get(key)?.get(0));
    if let Some(first) = alternatives {
        return fill(root, first, text, depth + 1);
    }
    if let Some(value) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return value.clone();
    }
    // Gemini's own schemas have types in capitals; JSON schema may have a list of types.
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => {
            let items = schema.get("items").map(|items| fill(root, items, text, depth + 1));
            Value::Array(items.into_iter().collect())
        }
        Some("string") => json!(text),
        Some("null") => Value::Null,
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let filled =
                |(name, schema): (&String, &Value)| (name.clone(), fill(root, schema, text, depth + 1));
            Value::Object(
                properties.map(|all| all.iter().map(filled).collect::<Map<_, _>>()).unwrap_or_default(),
            )
        }
    }
}
