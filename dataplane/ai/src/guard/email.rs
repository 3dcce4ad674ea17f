//! Addresses of e-mail in a text.

use std::ops::Range;

use super::patterns::boundary;

/// An address has at most 254 bytes (RFC 5321, with RFC 3696's errata).
pub(super) const MAX_BYTES: usize = 254;

/// The longest part before the `@` (RFC 5321).
const MAX_LOCAL: usize = 64;

/// Whether a character stands in addresses, outside of quotes.
pub(super) fn is_of_email(character: char) -> bool {
    character.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(character)
}

/// Calls `found` with each address.
pub(super) fn find(text: &str, mut found: impl FnMut(Range<usize>)) {
    let mut from = 0;
    for at in memchr::memchr_iter(b'@', text.as_bytes()) {
        let (before, behind) =
            (text.get(from..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        let local = local(before);
        // No further, or a text of many `@` would be read again for each.
        let domain = domain(behind.get(..boundary(behind, MAX_BYTES)).unwrap_or_default());
        if local > 0 && domain > 0 {
            let end = at + 1 + domain;
            if !is_of_code(text, at - local..at, end) {
                found(at - local..end);
            }
            from = end;
        }
    }
}

/// Whether what has the form of an address is one of Git's (`git@github.com:owner/name`) or a receiver of Kotlin's
/// (`this@MainActivity.finish()`).
fn is_of_code(text: &str, local: Range<usize>, end: usize) -> bool {
    let behind = |at: usize| text.get(at..).and_then(|rest| rest.chars().next());
    match text.get(local.clone()) {
        Some("git") => matches!(behind(end), Some(':' | '/')),
        Some("this" | "super") => {
            behind(local.end + 1).is_some_and(char::is_uppercase) && behind(end) == Some('(')
        }
        _ => false,
    }
}

/// How many bytes at the end of a text are the part before the `@`.
fn local(text: &str) -> usize {
    let is_of_local = |character: &char| *character != '@' && is_of_email(*character);
    let taken = text.chars().rev().take(MAX_LOCAL).take_while(is_of_local);
    let length: usize = taken.map(char::len_utf8).sum();
    let local = text.get(text.len() - length..).unwrap_or_default();
    // What is not part of a word is rarely part of the address.
    local.trim_start_matches(|character: char| !character.is_alphanumeric()).len()
}

/// How many bytes at the beginning of a text are a domain of at least two labels.
fn domain(text: &str) -> usize {
    let (mut end, mut at, mut is_first) = (0, 0, true);
    for label in text.split_inclusive('.') {
        let name = label.strip_suffix('.').unwrap_or(label);
        let taken = name
            .find(|character: char| !(character.is_alphanumeric() || character == '-'))
            .unwrap_or(name.len());
        let label_text = name.get(..taken).unwrap_or_default().trim_end_matches('-');
        if label_text.is_empty() || label_text.len() > 63 {
            break;
        }
        let is_top = is_top_level(label_text);
        if !std::mem::take(&mut is_first) && is_top {
            end = at + label_text.len();
        }
        if taken < name.len() || name.len() == label.len() {
            break;
        }
        at += label.len();
    }
    end
}

/// Whether a label may be the last one of a domain: only letters, or the coded form of letters of other scripts. Versions
/// of packages (`react@18.0.0-rc`) and pictures for screens of high resolution (`icon@2x.png`) are none.
fn is_top_level(label: &str) -> bool {
    let has =
        |prefix: &str| label.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let is_picture =
        ["png", "jpg", "jpeg", "gif", "svg", "webp"].iter().any(|end| label.eq_ignore_ascii_case(end));
    let is_of_letters = label.chars().count() > 1 && label.chars().all(char::is_alphabetic);
    (is_of_letters && !is_picture) || has("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found() {
        for (text, expected) in [
            ("write to a.b+c@example.co.uk.", &["a.b+c@example.co.uk"][..]),
            ("<x@y.de>,mailto:o'neil@sub.example.com?subject=x", &["x@y.de", "o'neil@sub.example.com"]),
            ("bücher@exämple.de!", &["bücher@exämple.de"]),
            ("a@b.com@c.org", &["a@b.com"]),
            ("A@B.COM-", &["A@B.COM"]),
            ("a@b a@b.c @b.com a@.com a@-.com a@1.2 user@ host.com", &[]),
            ("a@b..com a@localhost", &[]),
            ("react@18.0.0-rc.1 python@3.12-slim x@1.0.0-beta icon@2x.png icon@3x.JPG", &[]),
            ("git@github.com:owner/name ssh://git@github.com/x this@MainActivity.finish()", &[]),
            ("git@example.com this@example.com", &["git@example.com", "this@example.com"]),
            ("a@b.рф a@b.xn--p1ai a@b.भारत.", &["a@b.рф", "a@b.xn--p1ai", "a@b.भारत"]),
        ] {
            let mut all = Vec::new();
            find(text, |range| all.push(&text[range]));
            assert_eq!(all, expected, "{text}");
        }
        let long = format!("{}@example.com", "x".repeat(100));
        let mut all = Vec::new();
        find(&long, |range| all.push(range));
        assert_eq!((all.len(), all[0].clone()), (1, 36..112));
    }
}
