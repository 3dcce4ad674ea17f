//! Answers that are neither JSON nor a stream by what their head says. Some hosts label a stream as plain text, or not at
//! all; it is known by how it begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::answer::NO_TEXT;
use super::body::{self, Side};
use super::frames::Framing;
use super::patterns::{Entity, Patterns, Scope, masked as mask_text};
use super::stream::StreamGuard;
use crate::framing::raw_sse;

/// What is found in an answer as a whole; the new answer if it is another.
///
/// # Errors
/// It must not pass, for this reason.
pub(super) fn masked(
    answer: &[u8],
    patterns: &Arc<Patterns>,
) -> Result<(Option<Vec<u8>>, BTreeSet<Entity>), &'static str> {
    let mut found = BTreeSet::new();
    let new = match (body::masked(answer, patterns, Side::Response), framing_of(answer)) {
        (Ok((new, own)), None) => {
            found = own;
            new
        }
        // JSON that may be a stream as well: what stands in one element was found already, and an array of something else
        // than objects is no stream.
        (Ok((new, own)), Some(framing)) => {
            found = own;
            streamed(new.as_deref().unwrap_or(answer), patterns, framing, &mut found).ok().or(new)
        }
        (Err(_), Some(framing)) => {
            let new = streamed(answer, patterns, framing, &mut found)?;
            Some(beside_data(&new, patterns, &mut found)?)
        }
        (Err(_), None) => text(answer, patterns, &mut found)?,
    };
    Ok((new, found))
}

/// How an answer that looks like a stream is cut into events.
pub(super) fn framing_of(answer: &[u8]) -> Option<Framing> {
    let text = answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer).trim_ascii_start();
    match text.split_first()? {
        (b'[', rest) if rest.trim_ascii_start().starts_with(b"{") => Some(Framing::Array),
        (b'{', _) => is_sequence(text).then_some(Framing::Array),
        _ => is_events(text).then_some(Framing::Sse),
    }
}

/// Whether behind an object another one begins, as in JSON by lines.
fn is_sequence(text: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next().is_some_and(|first| first.is_ok())
        && text.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start().starts_with(b"{")
}

/// Whether a text begins like Server-Sent Events and has data: all of it, or JSON among other lines. YAML with a member
/// `data` is something else.
fn is_events(text: &[u8]) -> bool {
    let lines = || raw_sse::lines(text).map(|(line, _)| line);
    let mut data = lines().filter_map(|line| line.strip_prefix(b"data:")).peekable();
    lines().next().is_some_and(raw_sse::is_known)
        && data.peek().is_some()
        && (lines().all(raw_sse::is_known) || data.any(|data| data.trim_ascii_start().starts_with(b"{")))
}

/// A stream, as it is when all of it has come.
fn streamed(
    answer: &[u8],
    patterns: &Arc<Patterns>,
    framing: Framing,
    found: &mut BTreeSet<Entity>,
) -> Result<Vec<u8>, &'static str> {
    let mut guard = StreamGuard::new(patterns.clone(), framing);
    let mut out = Vec::with_capacity(answer.len());
    guard.push(answer, &mut out).and_then(|()| guard.finish(&mut out)).map_err(|fault| fault.0)?;
    found.extend(guard.found());
    Ok(out)
}

/// Server-Sent Events in which the lines that are not data are masked: clients that read the answer as text see them.
fn beside_data(
    events: &[u8],
    patterns: &Patterns,
    found: &mut BTreeSet<Entity>,
) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(events.len());
    for (line, line_end) in raw_sse::lines(events) {
        let new = if line.starts_with(b"data:") { None } else { text(line, patterns, found)? };
        out.extend_from_slice(new.as_deref().unwrap_or(line));
        out.extend_from_slice(line_end);
    }
    Ok(out)
}

/// A text that is nothing but text.
fn text(
    text: &[u8],
    patterns: &Patterns,
    found: &mut BTreeSet<Entity>,
) -> Result<Option<Vec<u8>>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| NO_TEXT)?;
    let places = patterns.find(text, Scope::All);
    found.extend(places.iter().map(|place| place.entity));
    Ok((!places.is_empty()).then(|| mask_text(text, &places).into_bytes()))
}

#[cfg(test)]
mod tests {
    use ai_config::{GuardExpression, GuardPatterns};

    use super::*;

    /// A text of nothing but comments is a text, in which a match may go over lines.
    #[test]
    fn what_has_no_data_is_no_stream() {
        let expression = GuardExpression { pattern: "first\n: second".to_owned(), name: None };
        let patterns = GuardPatterns { expressions: vec![expression], ..GuardPatterns::default() };
        let patterns = Arc::new(Patterns::new(&patterns).unwrap());
        for (answer, expected) in [
            (": first\n: second\n", Some(": <CUSTOM>\n")),
            (": first\n: second\ndata: {}\n\n", Some(": first\n: second\ndata: {}\n\n")),
            (": third\n", None),
        ] {
            let (new, _) = masked(answer.as_bytes(), &patterns).unwrap();
            assert_eq!(new.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{answer}");
        }
    }
}
