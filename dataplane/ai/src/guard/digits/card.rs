//! Numbers of payment cards.

use std::ops::Range;

use super::{Group, MAX_DIGITS, char_before, is_bounded, is_of_table, is_tight, span};

/// The shortest number of a card.
const MIN_DIGITS: usize = 13;

/// A number of a payment card that begins with this group: the group that follows the shortest one, and where the longest
/// one stands. Its last digits do not come through because the first ones happen to be a number as well.
pub(super) fn read(text: &str, run: &[Group<'_>], at: usize) -> Option<(usize, Range<usize>)> {
    // Nearly all groups begin no number, and a text may have a million of them.
    if !run.get(at)?.digits.starts_with(['2', '3', '4', '5', '6']) {
        return None;
    }
    let mut found: Option<(usize, Range<usize>)> = None;
    let mut number = String::with_capacity(MAX_DIGITS);
    for (index, group) in run.iter().enumerate().skip(at) {
        if number.len() + group.digits.len() > MAX_DIGITS {
            break;
        }
        number.push_str(&group.digits);
        if number.len() >= MIN_DIGITS && is_issued(&number) && luhn(&number) {
            let range = span(run.get(at..=index)?)?;
            if is_shaped(text, run, at..index + 1) && is_bounded(text, &range) {
                let next = found.map_or(index + 1, |(next, _)| next);
                found = Some((next, range));
            }
        }
    }
    found
}

/// Whether groups of a run look like those of the number of a card.
fn is_shaped(text: &str, run: &[Group<'_>], place: Range<usize>) -> bool {
    let Some(groups @ [first, inner @ ..]) = run.get(place.clone()) else { return false };
    let is_fraction = place.start > 0 && first.before == ".";
    if inner.is_empty() {
        return !is_fraction;
    }
    let is_single = groups.iter().all(|group| group.digits.len() == 1);
    let has_points = inner.iter().any(|group| group.before == ".");
    let is_grouped = is_single || (is_tight(groups) && (!has_points || first.digits.len() == 4));
    let is_in_order = is_regular(groups) || is_uniform(text, groups);
    is_grouped && (is_embossed(groups) || (is_in_order && !is_fraction && is_alone(run, place)))
}

/// Whether groups have the lengths and separators that they have on cards: 4-4-4-4 and more, 4-6-4, 4-6-5.
fn is_embossed(groups: &[Group<'_>]) -> bool {
    let is_usual = |group: &Group<'_>| matches!(group.before, " " | "-" | "." | " - ");
    let is_in_fours = groups.first().is_some_and(|first| first.digits.len() == 4) && is_regular(groups);
    let has_lengths = is_in_fours
        || matches!(groups, [a, b, c] if (a.digits.len(), b.digits.len()) == (4, 6) && (4..=5).contains(&c.digits.len()));
    has_lengths && groups.iter().skip(1).all(is_usual)
}

/// Whether all groups have one length; the last one may be shorter.
fn is_regular(groups: &[Group<'_>]) -> bool {
    let Some((last, others)) = groups.split_last() else { return false };
    let length = others.first().unwrap_or(last).digits.len();
    others.iter().all(|group| group.digits.len() == length) && last.digits.len() <= length
}

/// Whether groups of other lengths are parted by one separator everywhere, which is not one of cells or lines, and do not
/// stand right behind a letter (`s6304-000-0000-000`).
fn is_uniform(text: &str, groups: &[Group<'_>]) -> bool {
    let mut inner = groups.iter().skip(1);
    let separator = inner.next().map_or("", |group| group.before);
    let is_behind_word = groups
        .first()
        .and_then(|first| char_before(text, first.range.start))
        .is_some_and(char::is_alphanumeric);
    inner.all(|group| group.before == separator) && !is_of_table(separator) && !is_behind_word
}

/// Whether groups are no piece of a list or table of numbers, nearly all of which are numbers of cards at some place by
/// chance: what parts them from their neighbours is more than white space, and does not stand between them.
fn is_alone(run: &[Group<'_>], place: Range<usize>) -> bool {
    let inner = run.get(place.start + 1..place.end).unwrap_or_default();
    let parts = |neighbour: &Group<'_>| {
        !neighbour.before.chars().all(char::is_whitespace)
            && inner.iter().all(|group| group.before != neighbour.before)
    };
    let first = run.get(place.start).filter(|_| place.start > 0);
    first.is_none_or(parts) && run.get(place.end).is_none_or(parts)
}

/// Whether an issuer of cards gives out numbers of this beginning and length (ISO/IEC 7812).
fn is_issued(digits: &str) -> bool {
    let prefix = |length: usize| digits.get(..length).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    matches!(
        (digits.len(), prefix(1), prefix(2), prefix(3), prefix(4)),
        (13 | 16 | 19, 4, ..)
            | (15, _, 34 | 37, ..)
            | (16, _, 51..=55, ..)
            | (16, _, _, _, 2221..=2720)
            | (14..=19, _, 36 | 38 | 39, ..)
            | (14..=19, _, _, 300..=305, _)
            | (16..=19, _, _, _, 3528..=3589)
            | (13..=19, 6, ..)
            | (13..=19, _, 50 | 56..=58, ..)
    )
}

/// The check digit of ISO/IEC 7812.
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            match index % 2 {
                0 => digit,
                _ => digit * 2 / 10 + digit * 2 % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use ai_config::GuardBuiltin;

    use super::super::tests::found;

    #[test]
    fn cards_are_found_whatever_stands_between_their_digits() {
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "378282246310005",
            "3782 822463 10005",
            "5105105105105100",
            "6011111111111117",
            "30569309025904",
            "2223003122003222",
            "4222222222222",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111\n1111\n1111\n1111",
            "4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
            "4111 - 1111 - 1111 - 1111",
            "41😀11😀11😀11😀11😀11😀11😀11",
        ] {
            for text in
                [format!("my card is {number}, use it"), format!("card{number}"), format!("({number})")]
            {
                assert_eq!(found(&text, GuardBuiltin::CreditCard), [number], "{text}");
            }
        }
    }

    #[test]
    fn other_numbers_are_no_cards() {
        for text in [
            "4111111111111112",
            "41111111111111111111111",
            "1111111111111117",
            "a4111111111111111b2",
            "0.5105105105105100",
            "2024-11-29 18:48:22.123456",
            "1732900000000",
            "9e4111111111111111",
            "4111, 1111, 1111, 1111",
            "10, 20, 30, 40, 50, 60, 70, 80",
            "4111111111111111e5f",
        ] {
            let expected: &[&str] = if text.ends_with("e5f") { &["4111111111111111"] } else { &[] };
            assert_eq!(found(text, GuardBuiltin::CreditCard), expected, "{text}");
        }
    }

    #[test]
    fn the_whole_of_a_number_is_found() {
        // The first 16 digits of each are a number as well.
        for number in ["6490 1710 6673 4842 744", "6304-4513-0841-4908-5", "6 0 1 1 2 7 8 3 5 7 6 7 9 3 7 8"]
        {
            assert_eq!(found(number, GuardBuiltin::CreditCard), [number]);
        }
    }

    #[test]
    fn lists_and_tables_of_numbers_hold_no_cards() {
        let card = "41 11 11 11 11 11 11 11";
        for text in [
            card.to_owned(),
            format!("1. {card}"),
            format!("{card} - 12/27"),
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1".to_owned(),
            "7 4111 1111 1111 1111 123".to_owned(),
            "7\t4111111111111111\t123".to_owned(),
            "6304-000-0000-000".to_owned(),
        ] {
            assert_eq!(found(&text, GuardBuiltin::CreditCard).len(), 1, "{text}");
        }
        for text in [
            format!("17 {card}"),
            format!("{card} 17"),
            format!("17\n{card}\n17"),
            card.replace(' ', "\n") + "\n17",
            "3 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2".to_owned(),
            "| 900 | 4111 | 1111 | 1111 | 1111 |".to_owned(),
            "900\t4111\t1111\t1111\t1111".to_owned(),
            "| 6304 | 000 | 0000 | 000 |".to_owned(),
            "6304\n000\n0000\n000".to_owned(),
            "6304-000-0000/000".to_owned(),
            "s6304-000-0000-000".to_owned(),
            "630400 × 0000000".to_owned(),
            "0.6304000000000 / 0.000".to_owned(),
        ] {
            assert_eq!(found(&text, GuardBuiltin::CreditCard), [""; 0], "{text}");
        }
    }
}
