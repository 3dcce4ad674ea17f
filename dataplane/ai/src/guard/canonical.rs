//! The forms of a text in which a guard looks for something, so that a text that reads the same to a model is found as
//! well: full-width digits, invisible characters between letters, letters of another script that look alike, escapes of
//! JSON inside of a text, and text that is written in invisible characters alone.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// One form of a text, with the way back to the text.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// The form.
    pub text: Cow<'a, str>,
    /// For each byte of the form, where the character of the original that it comes from begins and ends; `None` if the
    /// form is the original.
    origins: Option<Vec<Range<u32>>>,
    original: usize,
}

impl<'a> View<'a> {
    fn of_original(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), origins: None, original: text.len() }
    }

    /// Where in the original a range of the form comes from.
    pub(super) fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let Some(origins) = &self.origins else { return range.clone() };
        let first = origins.get(range.start).map_or(self.original, |origin| origin.start as usize);
        let last = range.end.checked_sub(1).and_then(|last| origins.get(last));
        first..last.map_or(first, |origin| origin.end as usize)
    }

    /// Where in the original the character begins that a byte of the form comes from.
    pub(super) fn origin_of(&self, at: usize) -> usize {
        match &self.origins {
            None => at,
            Some(origins) => origins.get(at).map_or(self.original, |origin| origin.start as usize),
        }
    }

    /// Whether it is the original, byte for byte.
    pub(super) fn is_original(&self) -> bool {
        self.origins.is_none()
    }
}

/// A form that is being written.
struct Writer {
    text: String,
    origins: Vec<Range<u32>>,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self { text: String::with_capacity(capacity), origins: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, character: char, origin: Range<u32>) {
        self.text.push(character);
        self.origins.extend(std::iter::repeat_n(origin, character.len_utf8()));
    }

    /// The form of an original of this length.
    fn view<'a>(self, original: usize) -> View<'a> {
        View { text: Cow::Owned(self.text), origins: Some(self.origins), original }
    }
}

/// The forms of a text; the first one is what is called canonical, and the text itself follows if it is another.
pub(super) fn views(text: &str) -> Vec<View<'_>> {
    let has_escapes = text.contains('\\');
    if text.is_ascii() && !has_escapes {
        return vec![View::of_original(text)];
    }
    let mut views = Vec::with_capacity(3);
    if text.is_ascii() {
        views.push(View::of_original(text));
    } else {
        views.push(canonical(text, false));
        views.push(View::of_original(text));
        views.extend(hidden(text));
    }
    if has_escapes {
        views.push(canonical(text, true));
    }
    views
}

/// Letters and digits in their plainest form, without what cannot be seen. With `unescape`, the escapes of JSON stand for
/// what they mean: a text may itself be a piece of JSON.
fn canonical<'a>(text: &str, unescape: bool) -> View<'a> {
    let mut writer = Writer::new(text.len());
    let mut at = 0;
    while let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) {
        // An escape at whose end the text breaks off is not read yet.
        if unescape && character == '\\' && is_cut_escape(text.get(at..).unwrap_or_default()) {
            break;
        }
        let (character, length) = match character {
            '\\' if unescape => escape(text, at),
            other => (other, other.len_utf8()),
        };
        let origin = offset(at)..offset(at + length);
        at += length;
        if character.is_ascii() {
            writer.push(character, origin);
        } else if !is_invisible(character) {
            decompose_compatible(character, |part| {
                if !is_combining_mark(part) && !is_invisible(part) {
                    writer.push(plain(part), origin.clone());
                }
            });
        }
    }
    writer.view(at)
}

/// Whether a text is the beginning of an escape.
fn is_cut_escape(text: &str) -> bool {
    match text.strip_prefix("\\u") {
        Some(digits) => digits.len() < 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => text == "\\",
    }
}

/// Offsets fit: no body has 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The character that the escape at this place means, and how many bytes the escape has.
fn escape(text: &str, at: usize) -> (char, usize) {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes().get(at + 1) {
        Some(b'n' | b'r' | b't' | b'b' | b'f') => ('\n', 2),
        Some(b'"') => ('"', 2),
        Some(b'/') => ('/', 2),
        Some(b'\\') => ('\\', 2),
        Some(b'u') => match unit(at) {
            Some(high @ 0xd800..=0xdbff) => match unit(at + 6) {
                Some(low @ 0xdc00..=0xdfff) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(code).unwrap_or('\u{fffd}'), 12)
                }
                _ => ('\u{fffd}', 6),
            },
            Some(code) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
            None => ('\\', 1),
        },
        _ => ('\\', 1),
    }
}

/// The text that is written in characters that cannot be seen: tags, which repeat ASCII, and variation selectors, which
/// count bytes.
fn hidden<'a>(text: &str) -> Option<View<'a>> {
    let mut writer = Writer::new(0);
    for (at, character) in text.char_indices() {
        let code = match u32::from(character) {
            tag @ 0xe_0020..=0xe_007e => tag - 0xe_0000,
            selector @ 0xfe00..=0xfe0f => selector - 0xfe00,
            selector @ 0xe_0100..=0xe_01ef => selector - 0xe_0100 + 16,
            _ => continue,
        };
        if let Some(meant @ ' '..='~') = char::from_u32(code) {
            writer.push(meant, offset(at)..offset(at + character.len_utf8()));
        }
    }
    (!writer.text.is_empty()).then(|| writer.view(text.len()))
}

/// Whether a character leaves no trace where it stands (`Default_Ignorable_Code_Point` of Unicode, near enough).
fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff9..=0xfffb
        | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff)
}

/// The code points of the digit 0 in scripts that have digits of their own; nine others follow each.
const ZEROS: [u32; 38] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
    0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x1_04a0, 0x1_1066, 0x1_e950,
];

/// The ASCII character that another one is, or looks like.
fn plain(character: char) -> char {
    if character.is_ascii() {
        return character;
    }
    let code = u32::from(character);
    let zero = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1).and_then(|at| ZEROS.get(at));
    if let Some(digit) = zero.map(|zero| code - zero).filter(|digit| *digit < 10) {
        return char::from_digit(digit, 10).unwrap_or(character);
    }
    match character {
        // Cyrillic and Greek letters that look like Latin ones.
        'а' | 'А' | 'α' | 'Α' => 'a',
        'В' | 'в' | 'Β' => 'b',
        'с' | 'С' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'Ε' => 'e',
        'һ' | 'Н' | 'Η' => 'h',
        'і' | 'І' | 'ι' | 'Ι' | 'ı' => 'i',
        'ј' | 'Ј' => 'j',
        'К' | 'к' | 'κ' | 'Κ' => 'k',
        'ӏ' | 'Ӏ' => 'l',
        'М' | 'м' | 'Μ' => 'm',
        'Ν' => 'n',
        'о' | 'О' | 'ο' | 'Ο' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' | 'Ѕ' => 's',
        'Т' | 'т' | 'τ' | 'Τ' => 't',
        'υ' => 'u',
        'ν' => 'v',
        'ѡ' | 'ԝ' => 'w',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'Υ' => 'y',
        'Ζ' => 'z',
        // Dashes and minus signs.
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The canonical form, which is the last but for text that has no escapes.
    fn form(text: &str, unescape: bool) -> String {
        canonical(text, unescape).text.into_owned()
    }

    #[test]
    fn what_reads_the_same_becomes_the_same() {
        for (text, expected) in [
            ("４１１１ ①②", "4111 12"),
            ("4\u{200b}1\u{feff}1\u{2060}1\u{fe0f}", "4111"),
            ("٤١١١ ४१११", "4111 4111"),
            ("сrеdіt", "credit"),
            ("cre\u{301}dit café", "credit cafe"),
            ("ｃｒｅｄｉｔ ⒸⓇ", "credit CR"),
            ("a\u{e0041}\u{e0042}b", "ab"),
            ("1‑2–3−4", "1-2-3-4"),
        ] {
            assert_eq!(form(text, false), expected, "{text:?}");
        }
    }

    #[test]
    fn escapes_of_json_stand_for_what_they_mean() {
        for (text, expected) in [
            (r"\u0034\u0031", "41"),
            (r"4\n1\u00e9", "4\n1e"),
            (r"\ud83d\ude00 \ud83d \\u0034 \", "😀 \u{fffd} \\u0034 "),
            (r"\uff14", "4"),
            (r"4\u12", "4"),
            (r"4\ux", r"4\ux"),
        ] {
            assert_eq!(form(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn ranges_lead_back_to_whole_characters() {
        let text = "x４\u{200b}１y";
        let view = canonical(text, false);
        assert_eq!(view.text, "x41y");
        assert_eq!(text[view.origin(&(1..3))], *"４\u{200b}１");
        assert_eq!((view.origin_of(3), view.origin_of(4)), (text.len() - 1, text.len()));
        assert_eq!(view.origin(&(4..4)), text.len()..text.len());
    }

    #[test]
    fn hidden_text_is_read() {
        let tags: String = "card".chars().map(|c| char::from_u32(0xe_0000 + c as u32).unwrap()).collect();
        let selectors: String =
            "card".bytes().map(|b| char::from_u32(0xe_0100 + u32::from(b) - 16).unwrap()).collect();
        for text in [format!("a{tags}b"), format!("😀{selectors}")] {
            assert_eq!(hidden(&text).unwrap().text, "card");
        }
        assert!(hidden("ab é \u{fe0f}").is_none());
    }

    #[test]
    fn plain_text_is_not_copied() {
        let [view] = &views("plain text")[..] else { panic!("one view") };
        assert!(view.is_original());
    }
}
