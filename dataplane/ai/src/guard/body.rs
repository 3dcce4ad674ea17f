//! What is found in a JSON text, and the text with masks in place of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, general_purpose};

use super::document::{Document, Item, JsonFault, Kind, Name, is_data, spliced};
use super::patterns::{Entity, Match, Patterns, Scope, masked as mask_text};
use super::texts::quoted;

/// So deep texts are read that are themselves JSON, or base64 of text: the arguments of a call of a tool, a file.
const MAX_NESTING: usize = 3;

/// Members that say how a message is built. Their values are names and ids, in which a user's expression is not looked
/// for: one for `user` would match every role. In JSON inside of a string they are a user's own.
const STRUCTURAL: [&str; 35] = [
    "call_id",
    "detail",
    "encoding_format",
    "event",
    "finishReason",
    "finish_reason",
    "format",
    "id",
    "item_id",
    "media_type",
    "mimeType",
    "mime_type",
    "model",
    "modelVersion",
    "model_version",
    "object",
    "phase",
    "previous_response_id",
    "responseId",
    "response_id",
    "role",
    "service_tier",
    "status",
    "stopReason",
    "stop_reason",
    "system_fingerprint",
    "toolUseId",
    "tool_call_id",
    "tool_use_id",
    "type",
    "voice",
    "reasoning_effort",
    "effort",
    "language",
    "trafficType",
];

/// A longer value is no name.
const MAX_STRUCTURAL: usize = 256;

/// Numbers that are settings of the protocol, however long.
const SETTINGS: [&str; 7] =
    ["seed", "created", "created_at", "completed_at", "expires_at", "expires_after", "createdAt"];

/// Members that hold pictures, sound, files and signatures in base64.
const BASE64: [&str; 13] = [
    "b64_json",
    "bytes",
    "data",
    "encrypted_content",
    "fileData",
    "file_data",
    "image_url",
    "partial_image_b64",
    "redactedContent",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "url",
];

/// Shorter texts are read as they are.
const MIN_BASE64: usize = 24;

/// A text of so many bytes is also read as it is: it may be a token or a key that happens to be base64. A longer one is a
/// picture or a file, in which an expression may match by chance.
const MAX_TOKEN: usize = 256;

/// How many digits a Social Security number or a number of a telephone has that stands without separators.
const NAMED_DIGITS: RangeInclusive<usize> = 9..=10;

/// Members of an answer that repeat its text token by token, where nothing can be found. They become `null`.
const LOGPROBS: [&str; 2] = ["logprobs", "logprobsResult"];

/// Base64 with or without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Why a body cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodyFault {
    /// The member that is at fault; empty if it is the whole.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A place in a JSON text, and what stands there instead.
pub(super) type Edit = (Range<usize>, Vec<u8>);

impl From<JsonFault> for BodyFault {
    fn from(fault: JsonFault) -> Self {
        Self { field: "", message: fault.to_string() }
    }
}

/// What is found in a body; the new body if it is another.
pub(super) fn masked(
    body: &[u8],
    patterns: &Patterns,
    side: Side,
) -> Result<(Option<Vec<u8>>, BTreeSet<Entity>), BodyFault> {
    let document = Document::parse(body)?;
    if side == Side::Request {
        refuse_tokens(&document)?;
    }
    let mut masker = Masker { patterns, side, found: BTreeSet::new() };
    let edits = masker.edits(&document, &BTreeSet::new());
    let new = (!edits.is_empty()).then(|| spliced(body, &edits));
    Ok((new, masker.found))
}

/// A prompt may be given as numbers of tokens, which only the provider can read.
pub(super) fn refuse_tokens(document: &Document<'_>) -> Result<(), BodyFault> {
    for (index, container) in document.containers.iter().enumerate() {
        let field = ["input", "prompt", "tokens"].into_iter().find(|field| container.name.is(field));
        let Some(field) = field.filter(|_| container.parent == Some(0)) else { continue };
        let mut nested = document.containers.iter().filter(|nested| nested.parent == Some(index));
        if container.has_numbers || nested.any(|nested| nested.has_numbers) {
            let message = "holds tokens as numbers, which the prompt guard of this route cannot read";
            return Err(BodyFault { field, message: message.to_owned() });
        }
    }
    Ok(())
}

/// Takes out of an answer what repeats its text token by token.
pub(super) fn logprobs(document: &Document<'_>) -> Vec<Edit> {
    let is_logprobs = |name: &Name<'_>| LOGPROBS.iter().any(|logprobs| name.is(logprobs));
    let named = document.containers.iter().filter(|container| is_logprobs(&container.name));
    named.map(|container| (container.range.clone(), b"null".to_vec())).collect()
}

/// Whether a text is a name or an id of the protocol.
pub(super) fn is_structural(name: &Name<'_>, text: &str) -> bool {
    STRUCTURAL.iter().any(|structural| name.is(structural))
        && text.len() <= MAX_STRUCTURAL
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/@+-".contains(&byte))
}

/// Whether a text is a picture, sound, a file or a signature.
pub(super) fn is_file(document: &Document<'_>, item: &Item<'_>, text: &str) -> bool {
    text.len() > MAX_TOKEN
        && BASE64.iter().any(|name| item.name.is(name))
        && !is_of_plain_text(document, item)
        && base64(text).is_some()
}

/// Masks what is found, and remembers what it was.
pub(super) struct Masker<'p> {
    pub patterns: &'p Patterns,
    pub side: Side,
    pub found: BTreeSet<Entity>,
}

impl Masker<'_> {
    /// What becomes of a document, in order. The items with these numbers are left alone.
    pub(super) fn edits(&mut self, document: &Document<'_>, spared: &BTreeSet<usize>) -> Vec<Edit> {
        self.edits_at(document, spared, 0)
    }

    fn edits_at(&mut self, document: &Document<'_>, spared: &BTreeSet<usize>, depth: usize) -> Vec<Edit> {
        let mut edits = match self.side {
            Side::Request => Vec::new(),
            Side::Response => logprobs(document),
        };
        let is_removed = |edits: &[Edit], item: &Item<'_>| {
            edits.iter().any(|(range, _)| range.start <= item.range.start && item.range.end <= range.end)
        };
        let removed = edits.len();
        let mut parts = self.parts(document, spared);
        for (index, item) in document.items.iter().enumerate() {
            if spared.contains(&index) || is_removed(edits.get(..removed).unwrap_or_default(), item) {
                continue;
            }
            let crossing = parts.remove(&index).unwrap_or_default();
            if let Some(new) = self.item(document, item, crossing, depth) {
                edits.push((item.range.clone(), new));
            }
        }
        edits.sort_by_key(|(range, _)| range.start);
        edits
    }

    /// The new JSON of an item, if something was found in it. `crossing` is what was found in it together with its
    /// neighbours.
    fn item(
        &mut self,
        document: &Document<'_>,
        item: &Item<'_>,
        crossing: Vec<Cut>,
        depth: usize,
    ) -> Option<Vec<u8>> {
        let new = match item.kind {
            Kind::Literal => None,
            Kind::Number => {
                let number = std::str::from_utf8(document.source(item)).ok()?;
                let is_setting = depth == 0 && SETTINGS.iter().any(|setting| item.name.is(setting));
                if is_setting || !is_data(number) {
                    return None;
                }
                self.named_number(item, number).or_else(|| self.text(number, Scope::All, MAX_NESTING))
            }
            Kind::MemberName => self.text(&document.decoded(item), Scope::Builtins, MAX_NESTING),
            Kind::Text if !crossing.is_empty() => {
                let text = document.decoded(item);
                let own = self.patterns.find(&text, Scope::All);
                self.note(&own);
                let cuts = own.into_iter().map(|Match { range, entity }| Cut { range, mask: entity.mask() });
                Some(cut(&text, crossing.into_iter().chain(cuts).collect()))
            }
            Kind::Text => self.value(document, item, depth),
        };
        new.map(|new| quoted(&new))
    }

    /// The new text of a string, if something was found in it.
    fn value(&mut self, document: &Document<'_>, item: &Item<'_>, depth: usize) -> Option<String> {
        let text = document.decoded(item);
        if let Some(new) = self.named_number(item, &text) {
            return Some(new);
        }
        if BASE64.iter().any(|name| item.name.is(name))
            && !is_of_plain_text(document, item)
            && let Some((prefix, decoded)) = base64(&text)
        {
            let decoded = match String::from_utf8(decoded) {
                Ok(decoded) => Some(decoded),
                Err(error) if is_file_of_text(prefix, document, item) => {
                    Some(String::from_utf8_lossy(error.as_bytes()).into_owned())
                }
                Err(_) => None,
            };
            if let Some(new) = decoded.and_then(|decoded| self.text(&decoded, Scope::All, depth + 1)) {
                return Some(format!("{prefix}{}", STANDARD.encode(new)));
            }
            if text.len() > MAX_TOKEN {
                return None;
            }
        }
        let scope = if depth == 0 && is_structural(&item.name, &text) { Scope::Builtins } else { Scope::All };
        self.text(&text, scope, depth)
    }

    /// The new text of digits that are found only where a word says what they are, if the name of their member does.
    fn named_number(&mut self, item: &Item<'_>, digits: &str) -> Option<String> {
        let Name::Member(name) = &item.name else { return None };
        if !NAMED_DIGITS.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let start = name.len() + 1;
        let mut found = self.patterns.find(&format!("{name} {digits}"), Scope::Builtins);
        found.retain(|place| place.range.end > start);
        for Match { range, .. } in &mut found {
            *range = range.start.saturating_sub(start)..range.end - start;
        }
        self.note(&found);
        (!found.is_empty()).then(|| mask_text(digits, &found))
    }

    /// The new text, if something was found in it.
    pub(super) fn text(&mut self, text: &str, scope: Scope, depth: usize) -> Option<String> {
        if depth < MAX_NESTING
            && text.trim_start().starts_with(['{', '['])
            && let Ok(document) = Document::parse(text.as_bytes())
        {
            let edits = self.edits_at(&document, &BTreeSet::new(), depth + 1);
            return (!edits.is_empty())
                .then(|| String::from_utf8(spliced(text.as_bytes(), &edits)).unwrap_or_default());
        }
        let found = self.patterns.find(text, scope);
        self.note(&found);
        (!found.is_empty()).then(|| mask_text(text, &found))
    }

    fn note(&mut self, found: &[Match]) {
        self.found.extend(found.iter().map(|place| place.entity));
    }

    /// What is found in the texts of the parts of one message, read as one text, and only there: by the numbers of the
    /// items.
    fn parts(&mut self, document: &Document<'_>, spared: &BTreeSet<usize>) -> BTreeMap<usize, Vec<Cut>> {
        let mut messages: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, item) in document.items.iter().enumerate() {
            let part = item.container.and_then(|part| document.containers.get(part));
            let is_text = item.kind == Kind::Text && item.name.is("text") && !spared.contains(&index);
            if let Some(part) = part.filter(|part| is_text && matches!(part.name, Name::Element(_)))
                && let Some(list) = part.parent
            {
                messages.entry(list).or_default().push(index);
            }
        }
        let mut cuts: BTreeMap<usize, Vec<Cut>> = BTreeMap::new();
        for items in messages.values().filter(|items| items.len() > 1) {
            let texts: Vec<Cow<'_, str>> = items
                .iter()
                .map(|index| {
                    document.items.get(*index).map(|item| document.decoded(item)).unwrap_or_default()
                })
                .collect();
            let mut ends = Vec::with_capacity(texts.len());
            ends.extend(texts.iter().scan(0, |end, text| {
                *end += text.len();
                Some(*end)
            }));
            let places = self.patterns.find(&texts.concat(), Scope::All);
            if places.is_empty() {
                continue;
            }
            let found: Vec<_> = texts.iter().map(|text| self.patterns.find(text, Scope::All)).collect();
            for place in places {
                self.cut_parts(&place, items, &found, &ends, &mut cuts);
            }
        }
        cuts
    }

    /// Divides a place among the parts that it goes over, which end at these places of the whole text. `found` is what is
    /// found in each part by itself.
    fn cut_parts(
        &mut self,
        place: &Match,
        items: &[usize],
        found: &[Vec<Match>],
        ends: &[usize],
        cuts: &mut BTreeMap<usize, Vec<Cut>>,
    ) {
        let first = ends.partition_point(|end| *end <= place.range.start);
        let mut start = first.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
        let mut own = Vec::new();
        for (index, end) in items.iter().zip(ends.iter().copied()).skip(first) {
            if start >= place.range.end {
                break;
            }
            let range = place.range.start.max(start)..place.range.end.min(end);
            if range.start < range.end {
                let mask = if own.is_empty() { place.entity.mask() } else { "" };
                own.push((*index, Cut { range: range.start - start..range.end - start, mask }));
            }
            start = end;
        }
        // What stands in one part is found there, unless a word of the part before says what it is.
        let is_found = |cut: &Cut| {
            let found = found.get(first).map_or(&[][..], Vec::as_slice);
            let behind = found.partition_point(|found| found.range.start <= cut.range.start);
            let last = behind.checked_sub(1).and_then(|last| found.get(last));
            last.is_some_and(|last| cut.range.end <= last.range.end)
        };
        if own.len() > 1 || own.iter().any(|(_, cut)| !is_found(cut)) {
            self.found.insert(place.entity);
            for (index, cut) in own {
                cuts.entry(index).or_default().push(cut);
            }
        }
    }
}

/// A place in a text, and what stands there instead.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub range: Range<usize>,
    pub mask: &'static str,
}

/// A text with cuts, which may overlap.
pub(super) fn cut(text: &str, mut cuts: Vec<Cut>) -> String {
    cuts.sort_by_key(|cut| cut.range.start);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for Cut { range, mask } in cuts {
        if range.start >= from {
            out.push_str(text.get(from..range.start).unwrap_or_default());
            out.push_str(mask);
        }
        from = from.max(range.end);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// What a text of base64 holds, with what stands before it in a `data:` URL; `None` if it is no base64.
fn base64(text: &str) -> Option<(&str, Vec<u8>)> {
    let start = match text.strip_prefix("data:") {
        Some(rest) => text.len() - rest.len() + rest.find(";base64,")? + ";base64,".len(),
        None => 0,
    };
    let (prefix, data) = text.split_at_checked(start)?;
    if data.len() < MIN_BASE64 {
        return None;
    }
    let data: Cow<'_, str> = match data.contains(['\n', '\r']) {
        true => Cow::Owned(data.replace(['\n', '\r'], "")),
        false => Cow::Borrowed(data),
    };
    let engines: [&general_purpose::GeneralPurpose; 2] = [&PLAIN, &URL_SAFE];
    engines
        .into_iter()
        .find_map(|engine| engine.decode(data.as_bytes()).ok())
        .map(|decoded| (prefix, decoded))
}

/// Whether a value stands in a source whose type says that it is text as it is.
fn is_of_plain_text(document: &Document<'_>, item: &Item<'_>) -> bool {
    let kind = item.container.and_then(|container| document.string(container, "type"));
    item.name.is("data") && kind.as_deref() == Some("text")
}

/// Whether base64 is said to hold text, by what stands before it in a `data:` URL or by its neighbours.
fn is_file_of_text(prefix: &str, document: &Document<'_>, item: &Item<'_>) -> bool {
    let is_text = |container, name| {
        document.string(container, name).is_some_and(|media_type| media_type.starts_with("text/"))
    };
    prefix.starts_with("data:text/")
        || item.container.is_some_and(|container| {
            ["media_type", "mimeType", "mime_type"].into_iter().any(|name| is_text(container, name))
        })
}

#[cfg(test)]
mod tests {
    use ai_config::{GuardBuiltin, GuardExpression, GuardPatterns};
    use serde_json::{Value, json};

    use super::*;

    fn patterns() -> Patterns {
        let expression = |pattern: &str| GuardExpression { pattern: pattern.to_owned(), name: None };
        Patterns::new(&GuardPatterns {
            expressions: vec![
                expression("secret word"),
                expression("user"),
                expression("(ghp_|sk-|aGVs)[A-Za-z0-9]{21,}"),
            ],
            builtins: vec![
                GuardBuiltin::CreditCard,
                GuardBuiltin::Email,
                GuardBuiltin::PhoneNumber,
                GuardBuiltin::Ssn,
            ],
            ..GuardPatterns::default()
        })
        .unwrap()
    }

    fn masked_text(body: &str, side: Side) -> Option<String> {
        masked(body.as_bytes(), &patterns(), side).unwrap().0.map(|new| String::from_utf8(new).unwrap())
    }

    const CARD: &str = "4111 1111 1111 1111";

    #[test]
    fn every_string_is_masked_and_all_else_stays() {
        let request = |card: &str| {
            format!(
                r#"{{ "model":"gpt-4o", "messages":[{{"role":"user","content":"a {card}"}},{{"role":"user", "content":[{{"type":"text","text":"{card}"}},{{"type":"x","y":{{"z":["{card}"]}}}}]}}],
"tools":[{{"type":"function","function":{{"name":"f","description":"{card}"}}}}], "temperature":0.50,"seed":4111111111111111,
"instructions":"{card}","suffix":"{card}","metadata":{{"k":"{card}"}},"never_heard_of":"{card}" }}"#
            )
        };
        assert_eq!(masked_text(&request(CARD), Side::Request).unwrap(), request("<CREDIT_CARD>"));
        assert_eq!(masked_text(&request("nothing"), Side::Request), None);
    }

    #[test]
    fn json_and_base64_inside_of_strings_are_read() {
        let arguments =
            |value: &str| json!({"arguments": format!("{{\"q\": {value}, \"n\": 1}}")}).to_string();
        for (before, after) in [
            ("\"4111 1111 1111 1111\"", "\"<CREDIT_CARD>\""),
            ("\"\\u0034111 1111 1111 1111\"", "\"<CREDIT_CARD>\""),
            ("4111111111111111", "\"<CREDIT_CARD>\""),
        ] {
            assert_eq!(masked_text(&arguments(before), Side::Request).unwrap(), arguments(after), "{before}");
        }
        let file = |text: &str| {
            json!({"file_data": format!("data:text/plain;base64,{}", STANDARD.encode(text))}).to_string()
        };
        let text = format!("my card is {CARD}, thank you");
        assert_eq!(
            masked_text(&file(&text), Side::Request).unwrap(),
            file("my card is <CREDIT_CARD>, thank you")
        );
        // A picture in which a word stands by chance.
        let picture = format!("{}user{}", "/9j/4AAQSkZJRgABAQ".repeat(12), "AA".repeat(22));
        assert!(base64(&picture).is_some() && picture.len() > MAX_TOKEN);
        assert_eq!(masked_text(&json!({"data": picture}).to_string(), Side::Request), None);
        assert!(masked_text(&json!({"type": "text", "data": picture}).to_string(), Side::Request).is_some());
    }

    /// What decodes as base64 need not be meant as such.
    #[test]
    fn tokens_that_happen_to_be_base64_are_masked() {
        let github = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
        let openai = format!("sk-{}", "Zz9Y8".repeat(9));
        let readable = STANDARD.encode("hello, this is a plain text");
        for token in [github.as_str(), openai.as_str(), readable.as_str()] {
            for name in ["data", "url", "bytes", "signature"] {
                let body = json!({name: token}).to_string();
                assert_eq!(
                    masked_text(&body, Side::Request).unwrap(),
                    json!({name: "<CUSTOM>"}).to_string(),
                    "{body}"
                );
            }
        }
        let is_text = |token: &str| String::from_utf8(base64(token).unwrap().1).is_ok();
        assert_eq!([&github, &openai, &readable].map(|token| is_text(token)), [false, false, true]);
    }

    /// A file that is said to be text is read as well as can be.
    #[test]
    fn files_of_text_in_other_encodings_are_read() {
        let latin = |text: &[u8]| STANDARD.encode([b"caf\xe9, ".as_slice(), text, b"; "].concat().repeat(20));
        let card = latin(CARD.as_bytes());
        for file in [
            json!({"file_data": format!("data:text/plain;base64,{card}")}),
            json!({"source": {"type": "base64", "media_type": "text/csv", "data": card}}),
            json!({"inlineData": {"mimeType": "text/plain", "data": card}}),
        ] {
            let new: Value =
                serde_json::from_str(&masked_text(&file.to_string(), Side::Request).unwrap()).unwrap();
            let data =
                new.pointer("/file_data").or(new.pointer("/source/data")).or(new.pointer("/inlineData/data"));
            let (_, decoded) = base64(data.unwrap().as_str().unwrap()).unwrap();
            let expected = "caf\u{fffd}, <CREDIT_CARD>; ".repeat(20);
            assert_eq!(String::from_utf8(decoded).unwrap(), expected, "{file}");
        }
        let picture = json!({"inlineData": {"mimeType": "image/png", "data": card}}).to_string();
        assert_eq!(masked_text(&picture, Side::Request), None);
    }

    #[test]
    fn what_is_split_over_the_parts_of_a_message_is_masked() {
        let parts = |texts: [&str; 3]| {
            let parts = texts.map(|text| json!({"type": "text", "text": text}));
            json!({"messages": [{"role": "user", "content": parts}]}).to_string()
        };
        for (before, after) in [
            (["card 4111 1111", " 1111 1", "111 ok"], ["card <CREDIT_CARD>", "", " ok"]),
            (["my secret", " word", " user"], ["my <CUSTOM>", "", " <CUSTOM>"]),
        ] {
            assert_eq!(masked_text(&parts(before), Side::Request).unwrap(), parts(after));
        }
        let separate = json!({"input": ["4111 1111", " 1111 1111"]}).to_string();
        assert_eq!(masked_text(&separate, Side::Request), None);
    }

    #[test]
    fn names_and_settings_are_left_alone() {
        for body in [
            json!({"role": "user", "model": "user-1", "type": "user"}),
            json!({"created": 4111111111111111_u64, "max_tokens": 12345678}),
            json!({"user": 1}),
        ] {
            assert_eq!(masked_text(&body.to_string(), Side::Request), None, "{body}");
        }
        for body in
            [json!({"role": "the user"}), json!({"name": "user"}), json!({"id": CARD}), json!({CARD: 1})]
        {
            assert!(masked_text(&body.to_string(), Side::Request).is_some(), "{body}");
        }
    }

    /// JSON inside of a string is a user's own, and so are its members.
    #[test]
    fn names_and_settings_inside_of_strings_are_looked_at() {
        let arguments = |value: Value| json!({"arguments": value.to_string()}).to_string();
        for (before, after) in [
            (json!({"status": "user"}), json!({"status": "<CUSTOM>"})),
            (json!({"a": [{"id": "user-1"}]}), json!({"a": [{"id": "<CUSTOM>-1"}]})),
            (json!({"seed": 4111111111111111_u64}), json!({"seed": "<CREDIT_CARD>"})),
        ] {
            assert_eq!(
                masked_text(&arguments(before.clone()), Side::Request).unwrap(),
                arguments(after),
                "{before}"
            );
            assert_eq!(masked_text(&before.to_string(), Side::Request), None, "{before}");
        }
    }

    /// The name of a member is the word that says what a number is.
    #[test]
    fn numbers_are_known_by_the_names_of_their_members() {
        for (name, digits, mask) in [
            ("ssn", 536904399_u64, "<US_SSN>"),
            ("customer_SSN", 536904399, "<US_SSN>"),
            ("phone", 2125550123, "<PHONE_NUMBER>"),
            ("mobile_number_1", 2125550123, "<PHONE_NUMBER>"),
        ] {
            for body in [json!({name: digits}), json!({name: digits.to_string()})] {
                let expected = json!({name: mask}).to_string();
                assert_eq!(masked_text(&body.to_string(), Side::Request).unwrap(), expected, "{body}");
                let nested = |arguments: String| json!({"arguments": arguments}).to_string();
                assert_eq!(
                    masked_text(&nested(body.to_string()), Side::Request).unwrap(),
                    nested(expected),
                    "{body}"
                );
            }
        }
        for body in [
            json!({"order": 536904399_u64, "total": "2125550123"}),
            json!({"ssn": 53690439_u64, "phone": ["2125550123"]}),
            json!({"cancelled_at": 1732900000_u64, "ssn": "36904399x"}),
        ] {
            assert_eq!(masked_text(&body.to_string(), Side::Request), None, "{body}");
        }
    }

    #[test]
    fn tokens_instead_of_text_are_refused() {
        for body in [json!({"input": [1, 2]}), json!({"prompt": [[1, 2], [3]]})] {
            let fault = masked(body.to_string().as_bytes(), &patterns(), Side::Request).unwrap_err();
            assert!(["input", "prompt"].contains(&fault.field), "{fault:?}");
        }
        let answer = json!({"data": [{"embedding": [0.1, -0.2]}]}).to_string();
        assert_eq!(masked_text(&answer, Side::Response), None);
    }

    #[test]
    fn tokens_with_their_probabilities_are_taken_out_of_answers() {
        let answer =
            json!({"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{"token": "4111"}]}}]});
        let new: Value =
            serde_json::from_str(&masked_text(&answer.to_string(), Side::Response).unwrap()).unwrap();
        assert_eq!(new["choices"][0]["logprobs"], Value::Null);
        assert_eq!(masked_text(&json!({"logprobs": true}).to_string(), Side::Response), None);
    }
}
