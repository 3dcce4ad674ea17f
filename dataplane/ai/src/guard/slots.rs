//! Where the events of a stream hold text that goes on in later events, in the protocols of all clients and in Bedrock's.

use super::document::{Document, Item, Kind, Name};

/// What an event adds to, and what ends with it. A text is known by a key: its choice or block, and what it is in there.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Items that are pieces of a text, with the key of the text.
    pub slots: Vec<(usize, String)>,
    /// Keys with one of these beginnings go no further.
    pub closed: Vec<String>,
}

/// Members of a delta that are no text.
const NO_TEXT: [&str; 12] = [
    "data",
    "encrypted_content",
    "format",
    "id",
    "name",
    "object",
    "role",
    "signature",
    "stop_reason",
    "stop_sequence",
    "thoughtSignature",
    "type",
];

impl Plan {
    /// What there is to say about an event.
    pub(super) fn of(document: &Document<'_>) -> Self {
        let mut plan = Self::default();
        let kind = document.string(0, "type").unwrap_or_default();
        for (index, item) in document.items.iter().enumerate() {
            if item.kind != Kind::Text {
                continue;
            }
            let place = Place::of(document, item);
            if let Some(key) = place.key(&kind) {
                plan.slots.push((index, key));
            }
        }
        // What goes on with a text does not end it, whatever else it says.
        if plan.slots.is_empty() {
            plan.closed.extend(closed_by(document, &kind));
        }
        plan
    }
}

/// What an event of this type, as a whole, ends. A reason why a choice has ended ends nothing: some hosts of OpenAI's API
/// and Gemini's models give one in every event.
fn closed_by(document: &Document<'_>, kind: &str) -> Option<String> {
    let index = |name: &str| document.number(0, name);
    let prefix =
        |letter: &str, index: Option<&str>| index.map_or(String::new(), |index| format!("{letter}{index}/"));
    let top = |name: &str| document.containers.iter().any(|one| one.parent == Some(0) && one.name.is(name));
    match kind {
        "content_block_stop" => return Some(prefix("b", index("index"))),
        "message_delta"
        | "message_stop"
        | "error"
        | "response.completed"
        | "response.failed"
        | "response.incomplete" => return Some(String::new()),
        _ if kind.ends_with(".done") => return Some(prefix("r", index("output_index"))),
        _ => {}
    }
    // Converse.
    if let Some(block) = index("contentBlockIndex").filter(|_| !top("delta") && !top("start")) {
        return Some(prefix("b", Some(block)));
    }
    (document.member(0, "stopReason").is_some() || top("error")).then(String::new)
}

/// Where an item stands.
struct Place<'d, 'a> {
    document: &'d Document<'a>,
    path: Vec<Name<'a>>,
    /// The containers that hold each name of the path.
    chain: Vec<usize>,
}

impl<'d, 'a> Place<'d, 'a> {
    fn of(document: &'d Document<'a>, item: &Item<'a>) -> Self {
        let mut chain = Vec::new();
        let mut at = item.container;
        while let Some(container) = at {
            chain.push(container);
            at = document.containers.get(container).and_then(|container| container.parent);
        }
        chain.reverse();
        Self { document, path: document.path(item), chain }
    }

    fn member(&self, at: usize) -> &str {
        match self.path.get(at) {
            Some(Name::Member(name)) => name,
            _ => "",
        }
    }

    /// The number of the element at this place of the path: what it says itself, else where it stands.
    fn index(&self, at: usize) -> String {
        let own = self.chain.get(at + 1).and_then(|container| self.document.number(*container, "index"));
        match (own, self.path.get(at)) {
            (Some(own), _) => own.to_owned(),
            (None, Some(Name::Element(index))) => index.to_string(),
            _ => "0".to_owned(),
        }
    }

    /// The names from this place of the path on.
    fn rest(&self, from: usize) -> String {
        let names = self.path.iter().enumerate().skip(from).map(|(at, name)| match name {
            Name::Member(name) => name.to_string(),
            Name::Element(_) => self.index(at),
        });
        names.collect::<Vec<_>>().join("/")
    }

    /// The key of the text of which it is a piece; `kind` is the type of the event.
    fn key(&self, kind: &str) -> Option<String> {
        let last = self.member(self.path.len().saturating_sub(1));
        if NO_TEXT.contains(&last) {
            return None;
        }
        match (self.member(0), self.path.len()) {
            ("choices", 4..) if self.member(2) == "delta" => {
                Some(format!("c{}/{}", self.index(1), self.rest(3)))
            }
            // OpenAI's completions.
            ("choices", 3) if last == "text" => Some(format!("c{}/text", self.index(1))),
            // Ollama's own API, in its chats and completions.
            ("message", 2) if matches!(last, "content" | "thinking") => Some(format!("o/{last}")),
            ("response" | "thinking", 1) => Some(format!("o/{last}")),
            // OpenAI's Responses. Sound comes in base64.
            ("delta", 1) if kind.ends_with("audio.delta") => None,
            ("delta", 1) => {
                let number = |name: &str| self.document.number(0, name).unwrap_or("0");
                let part = [number("content_index"), number("summary_index")].join(".");
                Some(format!("r{}/{part}/{kind}", number("output_index")))
            }
            ("delta", 2..) => Some(format!("b{}/{}", self.block(), self.rest(1))),
            ("content_block", 2) if matches!(last, "text" | "thinking") => {
                Some(format!("b{}/{last}", self.block()))
            }
            ("candidates", 6) if self.member(3) == "parts" && last == "text" => {
                let part = self.chain.last().copied().unwrap_or_default();
                let is_thought = self
                    .document
                    .member(part, "thought")
                    .is_some_and(|item| self.document.source(item) == b"true");
                let what = if is_thought { "thought" } else { "text" };
                Some(format!("g{}/{what}", self.index(1)))
            }
            _ => None,
        }
    }

    /// The block of Anthropic's or Converse's events.
    fn block(&self) -> &str {
        let number = |name: &str| self.document.number(0, name);
        number("index").or_else(|| number("contentBlockIndex")).unwrap_or("0")
    }
}

/// Whether a text is itself JSON, by its key: the arguments of a call.
pub(super) fn is_json(key: &str) -> bool {
    ["arguments", "partial_json", "toolUse/input"].iter().any(|name| key.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_texts_are_told_apart_from_whole_ones() {
        let rows: [(&str, &[&str], &[&str]); 21] = [
            (
                r#"{"choices":[{"index":1,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]}"#,
                &["c1/content"],
                &[],
            ),
            (
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"i","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}"#,
                &["c0/tool_calls/2/function/arguments"],
                &[],
            ),
            (r#"{"choices":[{"text":"x","index":0}],"object":"text_completion"}"#, &["c0/text"], &[]),
            (
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}"#,
                &["b3/text"],
                &[],
            ),
            (
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"x"}}"#,
                &["b3/partial_json"],
                &[],
            ),
            (
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"signature_delta","signature":"x"}}"#,
                &[],
                &[],
            ),
            (
                r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}"#,
                &["b3/text"],
                &[],
            ),
            (r#"{"type":"content_block_stop","index":3}"#, &[], &["b3/"]),
            (r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#, &[], &[""]),
            (
                r#"{"type":"response.output_text.delta","output_index":1,"content_index":2,"item_id":"i","delta":"x"}"#,
                &["r1/2.0/response.output_text.delta"],
                &[],
            ),
            (
                r#"{"type":"response.output_text.done","output_index":1,"content_index":2,"text":"x"}"#,
                &[],
                &["r1/"],
            ),
            (
                r#"{"type":"response.completed","response":{"output":[{"content":[{"text":"x"}]}]}}"#,
                &[],
                &[""],
            ),
            (
                r#"{"candidates":[{"content":{"parts":[{"text":"x","thought":true},{"text":"y"}]},"finishReason":"STOP"}]}"#,
                &["g0/thought", "g0/text"],
                &[],
            ),
            (r#"{"contentBlockIndex":4,"delta":{"text":"x"},"p":"abc"}"#, &["b4/text"], &[]),
            (r#"{"contentBlockIndex":4,"start":{"toolUse":{"name":"f","toolUseId":"i"}}}"#, &[], &[]),
            (r#"{"contentBlockIndex":4,"p":"abc"}"#, &[], &["b4/"]),
            (r#"{"stopReason":"end_turn"}"#, &[], &[""]),
            (r#"{"contentBlockIndex":4,"delta":{"text":"x"},"stopReason":""}"#, &["b4/text"], &[]),
            (r#"{"choices":[{"delta":{"content":"x"}}],"error":{}}"#, &["c0/content"], &[]),
            (r#"{"message":{"role":"assistant","content":"x"},"done":false}"#, &["o/content"], &[]),
            (r#"{"response":"x","done":true,"done_reason":"stop"}"#, &["o/response"], &[]),
        ];
        for (event, slots, closed) in rows {
            let document = Document::parse(event.as_bytes()).unwrap();
            let plan = Plan::of(&document);
            let keys: Vec<_> = plan.slots.iter().map(|(_, key)| key.as_str()).collect();
            assert_eq!(keys, slots, "{event}");
            assert_eq!(plan.closed, closed, "{event}");
        }
    }
}
