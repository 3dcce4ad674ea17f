//! The texts of a body, as a server is asked about them, and the body with others in their place.

use std::collections::BTreeSet;
use std::ops::Range;

use super::body::{BodyFault, Edit, Side, is_file, is_structural, logprobs, refuse_tokens};
use super::document::{Document, Item, Kind, Name, spliced};

/// A text, and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// The role of its message; `system` for instructions, `tool` for what describes tools or comes from them.
    pub role: String,
    pub content: String,
}

/// The texts of a body, with their places.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub texts: Vec<Text>,
    /// Where they stand, with their quotes; a body that is no JSON is one text.
    places: Option<Vec<Range<usize>>>,
    /// What repeats them, and goes when one of them changes.
    repeated: Vec<Edit>,
}

impl Texts {
    /// The texts of a JSON body: all strings but names, ids and files. Empty ones say nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn of_json(body: &[u8], side: Side) -> Result<Self, BodyFault> {
        let document = Document::parse(body)?;
        if side == Side::Request {
            refuse_tokens(&document)?;
        }
        let repeated = if side == Side::Response { logprobs(&document) } else { Vec::new() };
        let found = texts(&document, side, &BTreeSet::new(), &repeated);
        let (places, texts) = found.into_iter().unzip();
        Ok(Self { texts, places: Some(places), repeated })
    }

    /// A body that is one text.
    pub(crate) fn of_text(body: &str) -> Self {
        let text = Text { role: "assistant".to_owned(), content: body.to_owned() };
        Self { texts: vec![text], ..Self::default() }
    }

    /// The body with these texts in place of its own, one for each.
    pub(crate) fn replaced(&self, body: &[u8], new: &[String]) -> Vec<u8> {
        let Some(places) = &self.places else {
            return new.first().map(|text| text.clone().into_bytes()).unwrap_or_default();
        };
        let changed = places.iter().zip(&self.texts).zip(new).filter(|((_, own), new)| own.content != **new);
        let mut edits: Vec<Edit> = changed.map(|((place, _), new)| (place.clone(), quoted(new))).collect();
        if !edits.is_empty() {
            edits.extend(self.repeated.iter().cloned());
        }
        edits.sort_by_key(|(range, _)| range.start);
        spliced(body, &edits)
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}

/// The texts of a document with their places, in order, but for the items with these numbers and what is removed.
pub(super) fn texts(
    document: &Document<'_>,
    side: Side,
    spared: &BTreeSet<usize>,
    removed: &[Edit],
) -> Vec<(Range<usize>, Text)> {
    let is_removed = |item: &Item<'_>| removed.iter().any(|(range, _)| range.contains(&item.range.start));
    let all = document.items.iter().enumerate();
    let texts =
        all.filter(|(index, item)| item.kind == Kind::Text && !spared.contains(index) && !is_removed(item));
    let texts = texts.filter_map(|(_, item)| {
        let content = document.decoded(item);
        if content.trim().is_empty()
            || is_structural(&item.name, &content)
            || is_file(document, item, &content)
        {
            return None;
        }
        let text = Text { role: role(document, item, side), content: content.into_owned() };
        Some((item.range.clone(), text))
    });
    texts.collect()
}

/// Who says a text.
fn role(document: &Document<'_>, item: &Item<'_>, side: Side) -> String {
    let mut at = item.container;
    while let Some(container) = at {
        if let Some(role) = document.string(container, "role") {
            return match &*role {
                "model" => "assistant".to_owned(),
                "developer" => "system".to_owned(),
                _ => role.into_owned(),
            };
        }
        if document.string(container, "type").is_some_and(|kind| kind.ends_with("_call_output")) {
            return "tool".to_owned();
        }
        at = document.containers.get(container).and_then(|container| container.parent);
    }
    let role = match document.path(item).first() {
        Some(Name::Member(name)) => match &**name {
            "system" | "instructions" | "systemInstruction" | "system_instruction" => "system",
            "tools" | "functions" | "toolConfig" => "tool",
            _ if side == Side::Response => "assistant",
            _ => "user",
        },
        _ if side == Side::Response => "assistant",
        _ => "user",
    };
    role.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_protocol_have_the_role_of_who_says_them() {
        let picture = "/9j/4AAQSkZJRgABAQ".repeat(40);
        let rows = [
            (
                format!(
                    r#"{{"model":"gpt-4o","messages":[{{"role":"developer","content":"a"}},{{"role":"user","content":[{{"type":"text","text":"b"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"i","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"i","content":"c"}}],"tools":[{{"type":"function","function":{{"name":"f","description":"d"}}}}]}}"#
                ),
                vec![("system", "a"), ("user", "b"), ("assistant", "f"), ("assistant", "{}"), ("tool", "c"), ("tool", "f"), ("tool", "d")],
            ),
            (
                r#"{"instructions":"a","input":[{"role":"user","content":[{"type":"input_text","text":"b"}]},{"type":"function_call_output","call_id":"i","output":"c"}]}"#.to_owned(),
                vec![("system", "a"), ("user", "b"), ("tool", "c")],
            ),
            (r#"{"input":"a","model":"m"}"#.to_owned(), vec![("user", "a")]),
            (
                r#"{"system":[{"type":"text","text":"a"}],"messages":[{"role":"user","content":"b"}]}"#.to_owned(),
                vec![("system", "a"), ("user", "b")],
            ),
            (
                r#"{"systemInstruction":{"parts":[{"text":"a"}]},"contents":[{"role":"user","parts":[{"text":"b"}]},{"role":"model","parts":[{"text":"c"}]},{"parts":[{"text":"  "}]}]}"#.to_owned(),
                vec![("system", "a"), ("user", "b"), ("assistant", "c")],
            ),
        ];
        for (body, expected) in rows {
            let texts = Texts::of_json(body.as_bytes(), Side::Request).unwrap();
            let found: Vec<_> = texts.texts.iter().map(|text| (&*text.role, &*text.content)).collect();
            assert_eq!(found, expected, "{body}");
            let new: Vec<_> = texts.texts.iter().map(|text| format!("\"{}\"", text.content)).collect();
            let replaced = texts.replaced(body.as_bytes(), &new);
            let again = Texts::of_json(&replaced, Side::Request).unwrap();
            assert_eq!(again.texts.iter().map(|text| text.content.clone()).collect::<Vec<_>>(), new);
            let own: Vec<_> = texts.texts.iter().map(|text| text.content.clone()).collect();
            assert_eq!(
                texts.replaced(body.as_bytes(), &own),
                body.as_bytes(),
                "what stays the same stays as it is"
            );
        }
        assert!(Texts::of_json(br#"{"prompt":[1,2]}"#, Side::Request).is_err());
        assert!(Texts::of_json(b"{", Side::Request).is_err());
    }
}
