//! What a guard looks for in one text.

use std::fmt;
use std::ops::Range;

use ai_config::{GuardBuiltin, GuardExpression, GuardPatterns};
use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;

use super::canonical::{View, views};
use super::{digits, email};

/// The largest program of an expression, in bytes.
const MAX_PROGRAM: usize = 1024 * 1024;

/// So many bytes of a text that goes on are held back for an expression whose matches may be longer, or have no longest
/// one. A match that is longer may be missed where it is split over the events of a stream.
pub const MAX_HOLD: usize = 512;

/// Longer texts are looked at in blocks.
const MAX_BLOCK: usize = 1024 * 1024;

/// So much of a block is looked at again with the next one.
const BLOCK_OVERLAP: usize = 64 * 1024;

/// Text before what is looked at, which may tell what it is.
pub(super) const CONTEXT: usize = 96;

/// What something that was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entity {
    Builtin(GuardBuiltin),
    /// A match of the expression with this number.
    Expression(usize),
}

impl Entity {
    /// What stands in its place.
    pub(super) fn mask(self) -> &'static str {
        match self {
            Self::Builtin(GuardBuiltin::CreditCard) => "<CREDIT_CARD>",
            Self::Builtin(GuardBuiltin::Email) => "<EMAIL_ADDRESS>",
            Self::Builtin(GuardBuiltin::PhoneNumber) => "<PHONE_NUMBER>",
            Self::Builtin(GuardBuiltin::Ssn) => "<US_SSN>",
            Self::Expression(_) => "<CUSTOM>",
        }
    }
}

/// A place in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub range: Range<usize>,
    pub entity: Entity,
}

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Its number in the list.
    pub index: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expression {}: {}", self.index, self.message)
    }
}

impl std::error::Error for PatternError {}

/// How much of a text is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything is looked for.
    All,
    /// Only built-in kinds: the text is no language, and an expression may match in it by chance.
    Builtins,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    builtins: Vec<GuardBuiltin>,
    expressions: Vec<Regex>,
    names: Vec<String>,
    /// How much of a text that goes on is held back for the expressions, in bytes of a form of the text.
    hold: usize,
}

impl Patterns {
    /// Compiles expressions.
    ///
    /// # Errors
    /// One is no expression, or too large.
    pub(super) fn new(patterns: &GuardPatterns) -> Result<Self, PatternError> {
        let mut compiled = Self { builtins: patterns.builtins.clone(), ..Self::default() };
        compiled.builtins.sort_unstable();
        compiled.builtins.dedup();
        for (index, GuardExpression { pattern, name }) in patterns.expressions.iter().enumerate() {
            let (regex, hold) = compile(pattern).map_err(|message| PatternError { index, message })?;
            compiled.expressions.push(regex);
            compiled.names.push(name.clone().unwrap_or_else(|| "CUSTOM".to_owned()));
            compiled.hold = compiled.hold.max(hold);
        }
        Ok(compiled)
    }

    /// The name of something that was found, for access logs.
    pub(super) fn name(&self, entity: Entity) -> &str {
        match entity {
            Entity::Builtin(_) => entity.mask().trim_matches(['<', '>']),
            Entity::Expression(index) => self.names.get(index).map_or("CUSTOM", String::as_str),
        }
    }

    /// All that is found, in order; nothing overlaps.
    pub(super) fn find(&self, text: &str, scope: Scope) -> Vec<Match> {
        if text.len() <= MAX_BLOCK {
            return self.find_in(&views(text), scope);
        }
        // The forms of a text take several times its memory.
        let mut all = Vec::new();
        let mut start = 0;
        loop {
            let end = boundary(text, start + MAX_BLOCK);
            let found = self.find_in(&views(text.get(start..end).unwrap_or_default()), scope);
            all.extend(found.into_iter().map(|Match { range, entity }| Match {
                range: range.start + start..range.end + start,
                entity,
            }));
            if end == text.len() {
                return without_overlaps(all);
            }
            start = boundary(text, end - BLOCK_OVERLAP);
        }
    }

    fn find_in(&self, views: &[View<'_>], scope: Scope) -> Vec<Match> {
        let mut all = Vec::new();
        for (index, view) in views.iter().enumerate() {
            let mut note = |range: Range<usize>, entity| {
                let range = view.origin(&range);
                if !range.is_empty() {
                    all.push(Match { range, entity });
                }
            };
            // The first form is the plainest: numbers and addresses stand in it, if they stand in the original.
            if index == 0 || !view.is_original() {
                digits::find(&view.text, &self.builtins, |range, kind| note(range, Entity::Builtin(kind)));
                if self.builtins.contains(&GuardBuiltin::Email) {
                    email::find(&view.text, |range| note(range, Entity::Builtin(GuardBuiltin::Email)));
                }
            }
            if scope == Scope::All {
                for (index, expression) in self.expressions.iter().enumerate() {
                    let found = expression.find_iter(&view.text);
                    found.for_each(|found| note(found.range(), Entity::Expression(index)));
                }
            }
        }
        without_overlaps(all)
    }

    /// All that is found in a text that goes on, and from which byte on more of the text may change that.
    pub(super) fn find_settled(&self, text: &str) -> (Vec<Match>, usize) {
        let views = views(text);
        let found = self.find_in(&views, Scope::All);
        let open = views.iter().map(|view| view.origin_of(self.open_from(&view.text))).min();
        let mut open = open.unwrap_or(text.len());
        for place in found.iter().rev() {
            if place.range.start < open && place.range.end > open {
                open = place.range.start;
            }
        }
        (found, open)
    }

    /// From which byte on a text may be the beginning of something that ends behind it.
    fn open_from(&self, text: &str) -> usize {
        let mut open = boundary(text, text.len().saturating_sub(self.hold));
        if self.builtins.iter().any(|kind| *kind != GuardBuiltin::Email) {
            open = open.min(open_number(text));
        }
        if self.builtins.contains(&GuardBuiltin::Email) {
            open = open.min(open_email(text));
        }
        open
    }
}

/// Where the number begins at whose end the text breaks off.
fn open_number(text: &str) -> usize {
    let mut open = text.len();
    let (mut digits, mut separators) = (0, 0);
    for (at, character) in text.char_indices().rev() {
        if character.is_ascii_digit() {
            digits += 1;
            separators = 0;
            if digits > digits::MAX_DIGITS {
                break;
            }
            open = at;
        } else if character.is_alphanumeric() || separators == digits::MAX_SEPARATOR {
            break;
        } else {
            separators += 1;
            // What stands before the first digit may belong to it.
            if digits::PHONE_PREFIXES.contains(&character) {
                open = at;
            }
        }
    }
    // A letter behind a number tells that it is none.
    let is_letter = text.chars().next_back().is_some_and(|last| last.is_alphabetic());
    if is_letter { text.len() } else { open }
}

/// Where the address begins at whose end the text breaks off.
fn open_email(text: &str) -> usize {
    let tail = text.char_indices().rev().take_while(|(_, character)| email::is_of_email(*character));
    let start = tail.last().map_or(text.len(), |(at, _)| at);
    start.max(boundary(text, text.len().saturating_sub(email::MAX_BYTES)))
}

/// The last place between two characters that is not behind this one.
pub(super) fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn compile(pattern: &str) -> Result<(Regex, usize), String> {
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(true)
        .multi_line(true)
        .dot_matches_new_line(true)
        .size_limit(MAX_PROGRAM)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("is too large: compiled, it has more than {limit} bytes")
            }
            // The message shows the expression over several lines, with the place marked.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim();
                format!("is not an expression that can be used: {}", last.trim_start_matches("error: "))
            }
        })?;
    let longest = ParserBuilder::new()
        .case_insensitive(true)
        .multi_line(true)
        .dot_matches_new_line(true)
        .build()
        .parse(pattern)
        .ok()
        .and_then(|parsed| parsed.properties().maximum_len());
    if longest == Some(0) {
        return Err("matches no text but the empty one".to_owned());
    }
    // What stands behind a match may have to do with it: `\b`, `$`.
    let hold = longest.map_or(MAX_HOLD, |longest| (longest + 4).min(MAX_HOLD));
    Ok((regex, hold))
}

/// Of places that overlap, one that covers all of them.
fn without_overlaps(mut all: Vec<Match>) -> Vec<Match> {
    all.sort_by_key(|place| (place.range.start, std::cmp::Reverse(place.range.end), place.entity));
    let mut kept: Vec<Match> = Vec::with_capacity(all.len());
    for place in all {
        match kept.last_mut() {
            Some(last) if place.range.start < last.range.end => {
                last.range.end = last.range.end.max(place.range.end);
            }
            _ => kept.push(place),
        }
    }
    kept
}

/// A text with a mask in each of these places.
pub(super) fn masked(text: &str, places: &[Match]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for Match { range, entity } in places {
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(entity.mask());
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(expressions: &[&str], builtins: &[GuardBuiltin]) -> Patterns {
        let expressions = expressions
            .iter()
            .map(|pattern| GuardExpression { pattern: (*pattern).to_owned(), name: None })
            .collect();
        Patterns::new(&GuardPatterns { expressions, builtins: builtins.to_vec(), ..GuardPatterns::default() })
            .unwrap()
    }

    const ALL: [GuardBuiltin; 4] =
        [GuardBuiltin::CreditCard, GuardBuiltin::Email, GuardBuiltin::PhoneNumber, GuardBuiltin::Ssn];

    fn mask(patterns: &Patterns, text: &str) -> String {
        masked(text, &patterns.find(text, Scope::All))
    }

    #[test]
    fn what_is_found_is_masked() {
        let patterns = patterns(&["secret\\s+word", "кредит"], &ALL);
        for (text, expected) in [
            ("pay 4111 1111 1111 1111 now", "pay <CREDIT_CARD> now"),
            ("pay ４１１１ １１１１ １１１１ １１１１ now", "pay <CREDIT_CARD> now"),
            ("4\u{200b}1\u{200b}11 1111 1111 1111", "<CREDIT_CARD>"),
            (
                r"{\u0022card\u0022:\u00224111111111111111\u0022}",
                r"{\u0022card\u0022:\u0022<CREDIT_CARD>\u0022}",
            ),
            ("write to a.b+c@example.co.uk.", "write to <EMAIL_ADDRESS>."),
            ("bücher@exämple.de!", "<EMAIL_ADDRESS>!"),
            ("ssn 536-90-4399 tel +1 212 555 0123", "ssn <US_SSN> tel <PHONE_NUMBER>"),
            ("the SECRET\nWORD", "the <CUSTOM>"),
            ("the ѕесrеt word", "the <CUSTOM>"),
            ("Кредит", "<CUSTOM>"),
            (
                "nothing here, 2024-11-29 at 10:30, v1.2.3, a@b, 1/2",
                "nothing here, 2024-11-29 at 10:30, v1.2.3, a@b, 1/2",
            ),
        ] {
            assert_eq!(mask(&patterns, text), expected, "{text:?}");
        }
    }

    #[test]
    fn text_in_invisible_characters_is_found() {
        let tags: String =
            "secret word".chars().map(|c| char::from_u32(0xe_0000 + c as u32).unwrap()).collect();
        assert_eq!(mask(&patterns(&["secret word"], &[]), &format!("hello {tags}!")), "hello <CUSTOM>!");
    }

    /// Whatever comes next, what is settled stays as it is.
    #[test]
    fn more_text_changes_nothing_before_the_open_end() {
        let patterns = patterns(&["secret word", "ab+c"], &ALL);
        let text = "a secret word, card 4111 1111 1111 1111x, a.b@example.com; ssn: 536904399 (212) 555-0123 \
                    abbbbbc 4１11\u{200b}1111 11111111 end";
        let whole = patterns.find(text, Scope::All);
        assert_eq!(whole.len(), 7, "{whole:?}");
        for (at, _) in text.char_indices() {
            let (found, open) = patterns.find_settled(&text[..at]);
            let settled = |places: &[Match]| -> Vec<Match> {
                places.iter().filter(|place| place.range.start < open).cloned().collect()
            };
            assert_eq!(settled(&found), settled(&whole), "{:?} open from {open}", &text[..at]);
        }
    }

    /// The same of texts that are made of what numbers and addresses are made of.
    #[test]
    fn more_text_changes_nothing_in_texts_at_random() {
        const PIECES: [&str; 24] = [
            "4111 1111 ",
            "1111",
            "41",
            "4",
            "1",
            "63",
            "536",
            "90",
            "4399",
            "0049",
            "212",
            "555",
            " ",
            " ",
            "-",
            "-",
            ".",
            "\n",
            "\t",
            ", ",
            " | ",
            "x ",
            "+",
            "git@a.bc:",
        ];
        let patterns = patterns(&[], &ALL);
        let mut state = 7_u64;
        let mut found_at_all = 0;
        for _ in 0..300 {
            let mut text = String::new();
            for _ in 0..24 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += PIECES[usize::try_from(state >> 33).unwrap() % PIECES.len()];
            }
            let whole = patterns.find(&text, Scope::All);
            found_at_all += whole.len();
            for at in 0..text.len() {
                let (found, open) = patterns.find_settled(&text[..at]);
                let settled = |places: &[Match]| -> Vec<Match> {
                    places.iter().filter(|place| place.range.start < open).cloned().collect()
                };
                assert_eq!(settled(&found), settled(&whole), "{text:?}: {:?} open from {open}", &text[..at]);
            }
        }
        assert!(found_at_all > 100, "{found_at_all}");
    }

    /// What a sender could make up to keep a guard busy takes no longer than other texts of that size.
    #[test]
    fn large_texts_are_read_in_linear_time() {
        let patterns = patterns(&["secret word"], &ALL);
        let time = |piece: &str| {
            let text = piece.repeat(MAX_BLOCK / piece.len());
            let began = std::time::Instant::now();
            assert_eq!(patterns.find(&text, Scope::All), [], "{piece}");
            began.elapsed()
        };
        let usual = time("the quick brown fox ");
        for piece in ["1 ", "4 ", "a@", "+(", "ａ", "\\u00"] {
            let time = time(piece);
            // A quadratic reader takes more than a thousand times as long.
            assert!(time < usual * 200, "{piece}: {time:?}, usually {usual:?}");
        }
        // At each edge of a block.
        let text = format!("{}4111 1111 1111 1111 é secret word", "x ".repeat(MAX_BLOCK / 2 - 8));
        assert_eq!(patterns.find(&text, Scope::All).len(), 2);
    }

    #[test]
    fn prose_is_hardly_held() {
        let patterns = patterns(&[], &ALL);
        for (text, held) in
            [("Hello there, how are you", 3), ("Hello. ", 0), ("In 2024, ", 6), ("x", 1), ("", 0)]
        {
            assert_eq!(text.len() - patterns.find_settled(text).1, held, "{text:?}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_used_says_why() {
        let long = "a{1000}{1000}";
        for (pattern, word) in [
            ("(?=a)b", "look-around"),
            ("(a", "unclosed group"),
            ("\\1", "backreferences"),
            ("", "the empty one"),
            ("^", "the empty one"),
            (long, "too large"),
        ] {
            let expressions = vec![
                GuardExpression { pattern: "fine".to_owned(), name: None },
                GuardExpression { pattern: pattern.to_owned(), name: None },
            ];
            let error =
                Patterns::new(&GuardPatterns { expressions, ..GuardPatterns::default() }).unwrap_err();
            assert_eq!(error.index, 1);
            assert!(error.message.contains(word), "{error}");
        }
    }
}
