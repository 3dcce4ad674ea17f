//! Groups of digits in a text, and what they may be: numbers of payment cards, Social Security numbers, telephone numbers.
//!
//! A number is found whatever stands between its digits, as long as it is no letter and not more than [`MAX_SEPARATOR`]
//! characters: `4111 1111-1111.1111`, or `4 1 1 1 …`.

mod card;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ops::Range;

use ai_config::GuardBuiltin;

/// So many characters may stand between two digits of one number.
pub(super) const MAX_SEPARATOR: usize = 3;

/// The longest number of a card.
pub(super) const MAX_DIGITS: usize = 19;

/// What stands before a number in a telephone's notation.
pub(super) const PHONE_PREFIXES: [char; 2] = ['+', '('];

/// How far before a number without separators a word may stand that tells what it is, in bytes.
pub(super) const CONTEXT: usize = 48;

/// A group of digits; ranges are of bytes.
#[derive(Clone, Debug)]
struct Group<'t> {
    range: Range<usize>,
    digits: Cow<'t, str>,
    /// What stands between the group before and this one.
    before: &'t str,
}

/// Reads a number that begins with the group at this place of a run: the group that follows, and where the number stands.
type Reader = fn(&str, &[Group<'_>], usize) -> Option<(usize, Range<usize>)>;

/// Groups of which each two neighbours may belong to one number.
type Run<'t> = Vec<Group<'t>>;

/// Longer runs are read in pieces, of which each repeats the last groups of the one before.
const MAX_RUN: usize = 1024;

/// Calls `found` with each number of one of these kinds. Ranges may overlap.
pub(super) fn find(text: &str, kinds: &[GuardBuiltin], mut found: impl FnMut(Range<usize>, GuardBuiltin)) {
    runs(text, |run| {
        let joined = LazyCell::new(|| joined(run));
        for kind in kinds {
            let one: Reader = match kind {
                GuardBuiltin::CreditCard => card::read,
                GuardBuiltin::Ssn => ssn,
                GuardBuiltin::PhoneNumber => phone,
                GuardBuiltin::Email => continue,
            };
            for run in std::iter::once(run).chain(joined.as_deref()) {
                let mut at = 0;
                while at < run.len() {
                    match one(text, run, at) {
                        Some((next, range)) => {
                            found(range, *kind);
                            at = next;
                        }
                        None => at += 1,
                    }
                }
            }
        }
    });
}

/// Calls `take` with each run of groups.
fn runs<'t>(text: &'t str, mut take: impl FnMut(&[Group<'t>])) {
    let bytes = text.as_bytes();
    let mut run = Run::new();
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + start;
        let length = bytes
            .get(start..)
            .map_or(0, |rest| rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len()));
        let range = start..start + length;
        let before = run.last().and_then(|last| text.get(last.range.end..start)).unwrap_or_default();
        if !run.is_empty() && !is_separator(before) {
            take(&run);
            run.clear();
        }
        if run.len() == MAX_RUN {
            take(&run);
            run.drain(..MAX_RUN - MAX_DIGITS - 1);
        }
        let before = if run.is_empty() { "" } else { before };
        run.push(Group { range: range.clone(), digits: text.get(range).unwrap_or_default().into(), before });
        at = start + length;
    }
    if !run.is_empty() {
        take(&run);
    }
}

/// Whether this may stand between two digits of one number.
fn is_separator(text: &str) -> bool {
    text.len() <= MAX_SEPARATOR * 4
        && text.chars().count() <= MAX_SEPARATOR
        && text.chars().all(|character| !character.is_alphanumeric())
}

/// A run of single digits with the groups that their separators show: `1 2 3 - 4 5 - 6 7 8 9` is `123`, `45`, `6789`.
fn joined<'t>(run: &[Group<'t>]) -> Option<Run<'t>> {
    if run.len() < 9 || run.iter().any(|group| group.digits.len() != 1) {
        return None;
    }
    // The most usual separator joins; the others part.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    run.iter().skip(1).for_each(|group| *counts.entry(group.before).or_default() += 1);
    let (usual, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let mut joined = Run::new();
    for group in run {
        match joined.last_mut() {
            Some(last) if group.before == usual => {
                last.digits.to_mut().push_str(&group.digits);
                last.range.end = group.range.end;
            }
            _ => joined.push(group.clone()),
        }
    }
    (joined.len() > 1).then_some(joined)
}

/// Whether separators are such as stand inside of one number, and not between the items of a list.
fn is_tight(groups: &[Group<'_>]) -> bool {
    let is_of_list = |character: char| ",;:()[]{}=<>\"'×÷".contains(character);
    groups.iter().skip(1).all(|group| !group.before.contains(is_of_list))
}

/// Whether a separator parts the cells of a table or the lines of a text.
fn is_of_table(separator: &str) -> bool {
    separator.contains(['\n', '\t', '|'])
}

fn char_before(text: &str, at: usize) -> Option<char> {
    text.get(..at).and_then(|text| text.chars().next_back())
}

fn char_behind(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|text| text.chars().next())
}

/// Whether a number that begins here is a word of its own, or stands right behind a word without digits, and ends where it
/// ends.
fn is_bounded(text: &str, range: &Range<usize>) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    if is_word(char_behind(text, range.end)) {
        return !is_word(char_before(text, range.start))
            && char_behind(text, range.end).is_some_and(|behind| !behind.is_numeric());
    }
    let before = text.get(..range.start).unwrap_or_default();
    let word = before.chars().rev().take(CONTEXT / 4).take_while(|character| character.is_alphanumeric());
    word.into_iter().all(|character| !character.is_numeric())
}

fn span(groups: &[Group<'_>]) -> Option<Range<usize>> {
    Some(groups.first()?.range.start..groups.last()?.range.end)
}

fn digits(groups: &[Group<'_>]) -> String {
    groups.iter().map(|group| &*group.digits).collect()
}

/// Whether the groups have these lengths, with separators of one number between them, and are not a piece of a longer
/// list with the same separators.
fn has_shape(run: &[Group<'_>], at: usize, lengths: &[usize]) -> bool {
    let Some(groups) = run.get(at..at + lengths.len()) else { return false };
    let is_own = |neighbour: Option<&Group<'_>>, group: Option<&Group<'_>>| match (neighbour, group) {
        (Some(neighbour), Some(group)) => neighbour.before != group.before,
        _ => true,
    };
    let first = run.get(at).filter(|_| at > 0);
    let mut separators = groups.iter().skip(1).map(|group| group.before);
    let usual = separators.next().unwrap_or_default();
    // Over cells and lines, nothing else is in the table or the list.
    let is_in_order = run.len() == lengths.len() && separators.all(|separator| separator == usual);
    let is_table = groups.iter().skip(1).any(|group| is_of_table(group.before));
    groups.iter().zip(lengths).all(|(group, length)| group.digits.len() == *length)
        && is_tight(groups)
        && (is_in_order || !is_table)
        && is_own(first, groups.get(1))
        && is_own(run.get(at + lengths.len()), groups.last())
}

fn is_valid_ssn(digits: &str) -> bool {
    let part = |range: Range<usize>| digits.get(range).unwrap_or_default();
    !matches!(part(0..3), "000" | "666")
        && !digits.starts_with('9')
        && part(3..5) != "00"
        && part(5..9) != "0000"
}

/// Whether one of these words stands shortly before. They are in lower case and ASCII; those of `beginnings` begin a word,
/// also one of a name such as `homeCell`.
fn has_word_before(text: &str, at: usize, anywhere: &[&str], beginnings: &[&str]) -> bool {
    let mut from = at.saturating_sub(CONTEXT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text.get(from..at).unwrap_or_default();
    let lower = before.to_ascii_lowercase();
    let begins = |place: usize| {
        let first = char_behind(before, place);
        let last = char_before(before, place);
        let is_camel = first.is_some_and(char::is_uppercase) && last.is_some_and(char::is_lowercase);
        is_camel || !last.is_some_and(char::is_alphabetic)
    };
    anywhere.iter().any(|word| lower.contains(word))
        || beginnings.iter().any(|word| {
            lower.match_indices(word).any(|(place, _)| {
                // Nobody gives a number to `tell` something.
                begins(place)
                    && !(*word == "tel" && lower.get(place..).is_some_and(|rest| rest.starts_with("tell")))
            })
        })
}

fn ssn(text: &str, run: &[Group<'_>], at: usize) -> Option<(usize, Range<usize>)> {
    let groups = match run.get(at)?.digits.len() {
        // Without separators, only where a word says what it is: most numbers of nine digits are something else.
        9 if has_word_before(
            text,
            run.get(at)?.range.start,
            &["ssn", "social security", "social-security"],
            &[],
        ) =>
        {
            run.get(at..=at)?
        }
        3 if has_shape(run, at, &[3, 2, 4]) => run.get(at..at + 3)?,
        _ => return None,
    };
    let range = span(groups)?;
    (is_valid_ssn(&digits(groups)) && is_bounded(text, &range)).then_some((at + groups.len(), range))
}

/// What stands before the number of a telephone: `phone` also inside of a word (`smartphone`), the others as they begin.
const PHONE_WORDS: [&str; 2] = ["phone", "whatsapp"];
const PHONE_BEGINNINGS: [&str; 9] =
    ["tel", "call", "mobil", "cell", "fax", "dial", "sms", "text me", "reach"];

fn phone(text: &str, run: &[Group<'_>], at: usize) -> Option<(usize, Range<usize>)> {
    let count = international(text, run, at)
        .or_else(|| north_american(text, run, at))
        .or_else(|| national(run, at))?;
    let mut range = span(run.get(at..at + count)?)?;
    if !is_bounded(text, &range) {
        return None;
    }
    while let Some(prefix) = char_before(text, range.start).filter(|before| PHONE_PREFIXES.contains(before)) {
        range.start -= prefix.len_utf8();
    }
    Some((at + count, range))
}

/// Whether what stands before a group can stand inside of a telephone number.
fn is_of_phone(group: &Group<'_>) -> bool {
    group.before.chars().all(|character| " -./()\u{a0}\n".contains(character))
}

/// `+49 30 1234567`, `0049 30 1234567`: how many groups it has.
fn international(text: &str, run: &[Group<'_>], at: usize) -> Option<usize> {
    let first = run.get(at)?;
    // No country has a code that begins with 0; an offset from UTC does (`+0100`).
    let has_plus = char_before(text, first.range.start) == Some('+') && !first.digits.starts_with('0');
    // Not behind other digits: `0.0049`, `s41586-002-7336-2`.
    let is_joined = at > 0 && matches!(first.before, "." | "-" | "/" | "_");
    let has_zeros = first.digits.starts_with("00")
        && first.digits.as_bytes().get(2).is_some_and(|third| *third != b'0')
        && !is_joined;
    if !has_plus && !has_zeros {
        return None;
    }
    let longest = if has_plus { 15 } else { 17 };
    let mut length = 0;
    let mut count = 0;
    for (index, group) in run.iter().skip(at).enumerate() {
        if index > 0 && !is_of_phone(group) {
            break;
        }
        length += group.digits.len();
        if length > longest {
            break;
        }
        if length >= 8 {
            count = index + 1;
        }
    }
    (count > usize::from(has_zeros)).then_some(count)
}

/// `(212) 555-0123`, `1-212-555-0123`.
fn north_american(text: &str, run: &[Group<'_>], at: usize) -> Option<usize> {
    let first = run.get(at)?;
    let is_of_phone =
        |count: usize| run.get(at + 1..at + count).is_some_and(|rest| rest.iter().all(is_of_phone));
    let has = |lengths: &[usize]| {
        let has_lengths = run.get(at..at + lengths.len()).is_some_and(|groups| {
            groups.iter().zip(lengths).all(|(group, length)| group.digits.len() == *length)
        });
        let next = run.get(at + lengths.len());
        let last = run.get(at + lengths.len() - 1);
        has_lengths
            && is_of_phone(lengths.len())
            && next.zip(last).is_none_or(|(next, last)| next.before != last.before)
    };
    let is_alone = at == 0 || first.before != run.get(at + 1).map_or("", |next| next.before);
    if first.digits == "1" && has(&[1, 3, 3, 4]) {
        return Some(4);
    }
    if is_alone && has(&[3, 3, 4]) {
        return Some(3);
    }
    let is_plain = first.digits.len() == 10
        && first.digits.starts_with(|digit: char| digit > '1')
        && first.digits.get(3..4).is_some_and(|digit| digit > "1");
    (is_plain && has_word_before(text, first.range.start, &PHONE_WORDS, &PHONE_BEGINNINGS)).then_some(1)
}

/// `030 1234567`, `01 23 45 67 89`: a number of a country whose trunk prefix is 0.
fn national(run: &[Group<'_>], at: usize) -> Option<usize> {
    let first = run.get(at)?;
    if at > 0 || !first.digits.starts_with('0') || first.digits.starts_with("00") || first.digits.len() < 2 {
        return None;
    }
    let rest = run.get(1..)?;
    let is_uniform = rest
        .iter()
        .all(|group| is_of_phone(group) && rest.first().is_some_and(|first| first.before == group.before));
    let length: usize = run.iter().map(|group| group.digits.len()).sum();
    let pairs = run.len() == 5 && run.iter().all(|group| group.digits.len() == 2);
    let is_long = rest.iter().all(|group| group.digits.len() >= 3) && (1..=3).contains(&rest.len());
    // With an area of one digit behind the 0, numbers have eleven digits at most.
    let longest = if first.digits.len() == 2 { 11 } else { 12 };
    (is_uniform && (9..=longest).contains(&length) && (pairs || is_long)).then_some(run.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn found(text: &str, kind: GuardBuiltin) -> Vec<String> {
        let mut all = Vec::new();
        find(text, &[kind], |range, _| all.push(text[range].to_owned()));
        all.dedup();
        all
    }

    #[test]
    fn social_security_numbers_have_their_shape_or_a_word_before_them() {
        for (text, number) in [
            ("it is 536-90-4399.", "536-90-4399"),
            ("536 90 4399", "536 90 4399"),
            ("123-45-6789", "123-45-6789"),
            ("536\n90\n4399", "536\n90\n4399"),
            ("SSN: 536904399", "536904399"),
            ("my Social Security number is 536904399 ok", "536904399"),
            ("5 3 6 - 9 0 - 4 3 9 9", "5 3 6 - 9 0 - 4 3 9 9"),
        ] {
            assert_eq!(found(text, GuardBuiltin::Ssn), [number], "{text}");
        }
        for text in [
            "536904399",
            "000-12-3456",
            "666-12-3456",
            "912-12-3456",
            "536-00-4399",
            "536-90-0000",
            "1-536-90-4399-1",
            "1 2 3 4 5 6 7 8 9",
            "536, 90, 4399",
            "12345-6789",
            "536-904399",
            "17\t20\t1000\n536\t90\t4399\n18\t20\t1000",
            "ZR 536/90.\n\n4399 words",
        ] {
            assert_eq!(found(text, GuardBuiltin::Ssn), [""; 0], "{text}");
        }
    }

    #[test]
    fn telephone_numbers_are_found() {
        for (text, number) in [
            ("call +49 30 1234567 now", "+49 30 1234567"),
            ("+1 (212) 555-0123.", "+1 (212) 555-0123"),
            ("(212) 555-0123", "(212) 555-0123"),
            ("212-555-0123", "212-555-0123"),
            ("1-800-555-0199", "1-800-555-0199"),
            ("212.555.0123", "212.555.0123"),
            ("my phone is 2125550123", "2125550123"),
            ("homeCell 2125550123", "2125550123"),
            ("Tel.: 2125550123", "2125550123"),
            ("smartphone 2125550123", "2125550123"),
            ("Telefon 2125550123", "2125550123"),
            ("06-12345678", "06-12345678"),
            ("0049 30 1234567", "0049 30 1234567"),
            ("01 23 45 67 89", "01 23 45 67 89"),
            ("020 7946 0958", "020 7946 0958"),
            ("+442079460958", "+442079460958"),
        ] {
            assert_eq!(found(text, GuardBuiltin::PhoneNumber), [number], "{text}");
        }
        for text in [
            "2125550123",
            "1732900000",
            "2024-11-29 18:48:22",
            "01-02-2024 09:30",
            "192.168.100.200",
            "1+1=2",
            "10 + 2024 people",
            "100-200-3000-4000",
            "3.14159265358979",
            "09-11-2001 10",
            "12:30:05 +0100\n2024-11-29",
            "0.0049 30.1234567",
            "s41586-002-7336-2",
            "04-20924-99269",
            "drei Stellen, 2206323532",
            "tell me where order 4500523456 is",
            "HOTEL 2125550123",
        ] {
            assert_eq!(found(text, GuardBuiltin::PhoneNumber), [""; 0], "{text}");
        }
    }
}
