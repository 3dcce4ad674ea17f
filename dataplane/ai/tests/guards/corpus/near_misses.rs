//! Texts that look like an entity, and are none.

use super::entities::{card_number, grouped};
use super::one_of;
use crate::random::Random;

/// So many of each kind.
const EACH: usize = 70;

/// What must pass although it is nearly an entity.
pub(super) fn near_misses(random: &mut Random) -> Vec<String> {
    let kinds: [fn(&mut Random) -> String; 8] = [
        wrong_check_digit,
        no_issuer,
        inside_of_a_word,
        impossible_ssn,
        bare_ssn,
        bare_phone,
        no_phone,
        no_address,
    ];
    (0..EACH).flat_map(|_| kinds).map(|kind| kind(random)).collect()
}

fn digits(random: &mut Random, first: &str, length: usize) -> String {
    let rest = (first.len()..length).map(|_| char::from(b'0' + u8::try_from(random.below(10)).unwrap()));
    first.chars().chain(rest).collect()
}

/// A card's number with another last digit.
fn wrong_check_digit(random: &mut Random) -> String {
    let prefix = one_of(random, &["4", "51", "55", "2500", "6011", "62", "3530"]);
    let mut number = card_number(digits(random, prefix, 16));
    let last = number.pop().unwrap().to_digit(10).unwrap();
    number.push_str(&((last + 1 + u32::try_from(random.below(9)).unwrap()) % 10).to_string());
    match random.below(3) {
        0 => grouped(&number, &[4, 4, 4], " "),
        1 => grouped(&number, &[4, 4, 4], "-"),
        _ => number,
    }
}

/// A right check digit, but no issuer has such numbers.
fn no_issuer(random: &mut Random) -> String {
    let (prefix, length) = *random.pick(&[
        ("1", 16),
        ("7", 16),
        ("90", 16),
        ("4", 14),
        ("4", 17),
        ("51", 15),
        ("34", 16),
        ("2100", 16),
    ]);
    card_number(digits(random, prefix, length))
}

/// A card's number as a piece of something longer.
fn inside_of_a_word(random: &mut Random) -> String {
    let number = card_number(digits(random, "4", 16));
    let (before, behind) =
        *random.pick(&[("a", "b2"), ("0x", "ff"), ("id7f", "c"), ("1.", ""), ("0.00", "")]);
    format!("{before}{number}{behind}")
}

/// Three, two and four digits that are no Social Security number: areas 000, 666 and from 900 on, and parts of zeros.
fn impossible_ssn(random: &mut Random) -> String {
    let (area, group, serial) = (100 + random.below(500), 1 + random.below(99), 1 + random.below(9999));
    match random.below(5) {
        0 => format!("000-{group:02}-{serial:04}"),
        1 => format!("666-{group:02}-{serial:04}"),
        2 => format!("9{:02}-{group:02}-{serial:04}", area % 100),
        3 => format!("{area}-00-{serial:04}"),
        _ => format!("{area}-{group:02}-0000"),
    }
}

/// Nine digits of which nothing says what they are.
fn bare_ssn(random: &mut Random) -> String {
    let area = 100 + random.below(500);
    digits(random, &area.to_string(), 9)
}

/// Ten digits of which nothing says what they are.
fn bare_phone(random: &mut Random) -> String {
    digits(random, "212", 10)
}

/// Numbers with the signs of a telephone's.
fn no_phone(random: &mut Random) -> String {
    // No card's number begins with 7 or 8.
    let (a, b, c) = (700 + random.below(200), 100 + random.below(900), 1000 + random.below(9000));
    match random.below(6) {
        0 => format!("+{a}{b}"),
        1 => format!("{a}, {b}, {c}"),
        2 => format!("{a}-{b}-{c}-{b}"),
        3 => format!("({a}) {b}"),
        4 => format!("{a}-{c}"),
        _ => format!("{a}:{b}:{c}"),
    }
}

/// What has an `@` and is no address.
fn no_address(random: &mut Random) -> String {
    let number = 1 + random.below(99);
    match random.below(7) {
        0 => format!("user{number}@localhost"),
        1 => format!("@user{number}.name"),
        2 => format!("package@{number}.4.2"),
        3 => format!("package@{number}.0.0-beta.{number}"),
        4 => format!("icon@{number}x.png"),
        5 => format!("user{number}@.example"),
        _ => format!("user{number} @ example.com"),
    }
}
