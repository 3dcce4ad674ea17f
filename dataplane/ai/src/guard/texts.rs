//! The texts of a body, as a server is asked about them, and the body with others in their place.

use std::borrow::Cow;
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
    let roles = roles(document, side);
    let role = |item: &Item<'_>| {
        let role = item.container.and_then(|container| roles.get(container));
        role.map_or(nobody(side), |role| role).to_owned()
    };
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
        let role = named_at_top(item).map_or_else(|| role(item), str::to_owned);
        let text = Text { role, content: content.into_owned() };
        Some((item.range.clone(), text))
    });
    texts.collect()
}

/// Who says what stands in each container: its own role, or that of what it stands in. A body may have very many, so that each
/// is looked at once.
fn roles<'a>(document: &Document<'a>, side: Side) -> Vec<Cow<'a, str>> {
    let mut own: Vec<Option<Cow<'a, str>>> = vec![None; document.containers.len()];
    for item in document.items.iter().filter(|item| item.kind == Kind::Text) {
        let Some(slot) = item.container.and_then(|container| own.get_mut(container)) else { continue };
        if item.name.is("role") {
            *slot = Some(match document.decoded(item) {
                role if role == "model" => "assistant".into(),
                role if role == "developer" => "system".into(),
                role => role,
            });
        } else if slot.is_none() && item.name.is("type") && document.decoded(item).ends_with("_call_output") {
            *slot = Some("tool".into());
        }
    }
    let mut roles: Vec<Cow<'a, str>> = Vec::with_capacity(own.len());
    // What a container stands in comes before it.
    for (container, own) in document.containers.iter().zip(own) {
        let outer = container.parent.and_then(|parent| roles.get(parent).cloned());
        let at_top = container.parent.filter(|parent| *parent == 0).and_then(|_| role_of(&container.name));
        let role = own.or(at_top.map(Into::into)).or(outer);
        roles.push(role.unwrap_or(nobody(side).into()));
    }
    roles
}

/// Whose text it is where nothing says so.
fn nobody(side: Side) -> &'static str {
    match side {
        Side::Request => "user",
        Side::Response => "assistant",
    }
}

/// The role of a text that is a member of the whole.
fn named_at_top(item: &Item<'_>) -> Option<&'static str> {
    item.container.filter(|container| *container == 0).and_then(|_| role_of(&item.name))
}

/// The role of what a member of the whole holds.
fn role_of(name: &Name<'_>) -> Option<&'static str> {
    match name {
        Name::Member(name) => match &**name {
            "system" | "instructions" | "systemInstruction" | "system_instruction" => Some("system"),
            "tools" | "functions" | "toolConfig" => Some("tool"),
            _ => None,
        },
        Name::Element(_) => None,
    }
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

    /// Each text of a body that a client may send costs the same, however many there are: millions of steps for each would keep
    /// a proxy from its other work.
    #[test]
    fn very_many_texts_are_read_at_once() {
        let body = format!("{{\"input\":[{}\"a\"]}}", "\"a\",".repeat(300_000));
        let texts = Texts::of_json(body.as_bytes(), Side::Request).unwrap();
        assert_eq!(texts.texts.len(), 300_001);
        assert!(texts.texts.iter().all(|text| text.role == "user"));
    }
}
