//! Entities that are made from a seed, class by class. What an issuer, an authority or a country gives out is said here
//! once more and plainly, so that a fault of the engine does not hide itself.

use std::collections::BTreeSet;

use super::one_of;
use crate::random::Random;

/// Something that must be found wherever it stands.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    /// The words that must stand before it so that it is one; mostly none.
    pub(crate) before: &'static str,
    /// How it is written.
    pub(crate) text: String,
    /// What stands in its place.
    pub(crate) mask: &'static str,
    /// What must not come through, not even in part: its digits, or the part of an address before the `@`.
    pub(crate) secret: String,
}

/// Issuers of cards: the first and the last prefix, and the lengths of their numbers.
const ISSUERS: [(&str, u64, u64, &[usize]); 21] = [
    ("Visa", 4, 4, &[13, 16, 19]),
    ("Mastercard", 51, 55, &[16]),
    ("Mastercard, second series", 2221, 2720, &[16]),
    ("American Express", 34, 34, &[15]),
    ("American Express", 37, 37, &[15]),
    ("Diners Club", 300, 305, &[14, 16, 19]),
    ("Diners Club", 36, 36, &[14, 16, 19]),
    ("Diners Club", 38, 39, &[14, 16, 19]),
    ("JCB", 3528, 3589, &[16, 17, 18, 19]),
    ("Discover", 6011, 6011, &[16, 19]),
    ("Discover", 644, 649, &[16, 19]),
    ("Discover", 65, 65, &[16, 19]),
    ("UnionPay", 62, 62, &[16, 17, 18, 19]),
    ("RuPay", 60, 60, &[16]),
    ("RuPay", 508, 508, &[16]),
    ("Verve", 506_099, 506_198, &[16, 18, 19]),
    ("Maestro", 50, 50, &[13, 14, 15, 16, 17, 18, 19]),
    ("Maestro", 56, 58, &[13, 14, 15, 16, 17, 18, 19]),
    ("Maestro", 6304, 6304, &[13, 14, 15, 16, 17, 18, 19]),
    ("Maestro", 6759, 6763, &[13, 14, 15, 16, 17, 18, 19]),
    ("InstaPayment", 637, 639, &[16]),
];

/// The entities of all classes: over 500, all different.
pub(crate) fn entities(random: &mut Random) -> Vec<Entity> {
    let mut all = Vec::new();
    for (_, first, last, lengths) in ISSUERS {
        for length in lengths {
            for _ in 0..5 {
                let prefix = first + random.below(usize::try_from(last - first + 1).unwrap()) as u64;
                let number = card_number(random_digits(random, *length, &prefix.to_string()));
                all.push(card(random, &number));
            }
        }
    }
    all.extend((0..90).map(|index| ssn(random, index)));
    all.extend((0..120).map(|index| phone(random, index)));
    all.extend((0..110).map(|index| email(random, index)));
    let mut texts = BTreeSet::new();
    all.retain(|entity| texts.insert(entity.text.clone()));
    all
}

/// So many digits that begin with a prefix.
fn random_digits(random: &mut Random, length: usize, prefix: &str) -> String {
    let mut digits = prefix.to_owned();
    while digits.len() < length {
        digits.push(digit(random.below(10)));
    }
    digits
}

fn digit(value: usize) -> char {
    char::from_digit(u32::try_from(value).unwrap(), 10).unwrap()
}

/// The sum of ISO/IEC 7812, written as its text has it: from the right, every second digit is doubled, and the digits of
/// what comes out are added.
fn luhn_sum(number: &str) -> u32 {
    let mut sum = 0;
    let mut is_doubled = false;
    for digit in number.chars().rev() {
        let value = digit.to_digit(10).unwrap() * if is_doubled { 2 } else { 1 };
        sum += if value > 9 { value - 9 } else { value };
        is_doubled = !is_doubled;
    }
    sum
}

/// A number with the last digit that makes it valid.
pub(super) fn card_number(mut digits: String) -> String {
    digits.pop();
    let last = (0..10).find(|last| luhn_sum(&format!("{digits}{last}")).is_multiple_of(10)).unwrap();
    format!("{digits}{last}")
}

/// Digits in groups of these lengths, the last of which takes the rest.
pub(super) fn grouped(digits: &str, lengths: &[usize], separator: &str) -> String {
    let mut groups = Vec::new();
    let mut rest = digits;
    for length in lengths {
        let (group, behind) = rest.split_at((*length).min(rest.len()));
        groups.push(group);
        rest = behind;
    }
    groups.push(rest);
    groups.retain(|group| !group.is_empty());
    groups.join(separator)
}

/// The digits of a text as those that begin with another zero, which all scripts have in a row.
fn in_script(text: &str, zero: char) -> String {
    let of = |digit: char| digit.to_digit(10).and_then(|value| char::from_u32(u32::from(zero) + value));
    text.chars().map(|character| of(character).unwrap_or(character)).collect()
}

/// Zeros of: full-width, Arabic, Persian, Devanagari, Bengali, Thai, Khmer, bold and monospaced mathematical digits.
const ZEROS: [char; 9] = ['０', '٠', '۰', '०', '০', '๐', '០', '𝟎', '𝟶'];

/// A number as it is, or with what cannot be seen, in another script, or with other dashes.
fn disguised(random: &mut Random, text: String) -> String {
    match random.below(12) {
        0 => in_script(&text, '０'),
        1 => in_script(&text, *random.pick(&ZEROS)),
        2 => {
            let invisible = one_of(random, &["\u{200b}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}"]);
            let at = text.char_indices().nth(1 + random.below(text.chars().count() - 1)).unwrap().0;
            format!("{}{invisible}{}", &text[..at], &text[at..])
        }
        3 => text.replace('-', one_of(random, &["\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}", "\u{2212}"])),
        _ => text,
    }
}

fn card(random: &mut Random, number: &str) -> Entity {
    let fours = |separator: &str| grouped(number, &[4, 4, 4, 4], separator);
    // As it is embossed: cards of 14 and 15 digits have groups of their own.
    let embossed = |separator: &str| match number.len() {
        14 | 15 => grouped(number, &[4, 6], separator),
        _ => fours(separator),
    };
    let text = match random.below(16) {
        0..=3 => number.to_owned(),
        4..=6 => embossed(" "),
        7 | 8 => embossed("-"),
        9 => fours(one_of(random, &["\u{a0}", "\u{202f}", "\u{2009}", "  "])),
        10 => fours("."),
        11 => fours(one_of(random, &["\n", " - ", "/", "_", "\t"])),
        12 => grouped(number, &[1; 18], one_of(random, &[" ", "-", "."])),
        13 => grouped(number, &[2; 9], one_of(random, &[" ", "😀", "·"])),
        14 => grouped(number, &[6, 6], one_of(random, &[" ", "-"])),
        _ => fours(one_of(random, &["*", "|", "·", "→"])),
    };
    Entity { before: "", text: disguised(random, text), mask: "<CREDIT_CARD>", secret: number.to_owned() }
}

fn ssn(random: &mut Random, index: usize) -> Entity {
    // Areas go from 001 to 899, but for 666; no part is all zeros.
    let areas = [1 + random.below(665), 667 + random.below(233)];
    let parts = [*random.pick(&areas), 1 + random.below(99), 1 + random.below(9999)];
    let number = format!("{:03}{:02}{:04}", parts[0], parts[1], parts[2]);
    let with = |separator: &str| grouped(&number, &[3, 2], separator);
    let (before, text) = match index % 9 {
        0..=2 => ("", with("-")),
        3 => ("", with(" ")),
        4 => ("", with(".")),
        5 => ("", with(one_of(random, &["/", "_", "\n", "\u{a0}", " - "]))),
        6 => ("", grouped(&with("-"), &[1; 10], " ")),
        7 => ("SSN: ", number.clone()),
        _ => (
            one_of(random, &["my social security number is ", "(ssn) ", "Social-Security no. "]),
            number.clone(),
        ),
    };
    Entity { before, text: disguised(random, text), mask: "<US_SSN>", secret: number }
}

/// Numbers of countries as people write them there and abroad; `N` is a digit from 2 to 9, `x` any.
const PHONES: [(&str, &str); 44] = [
    ("", "(Nxx) Nxx-xxxx"),
    ("", "(Nxx)Nxx-xxxx"),
    ("", "Nxx-Nxx-xxxx"),
    ("", "Nxx.Nxx.xxxx"),
    ("", "Nxx Nxx xxxx"),
    ("", "1-Nxx-Nxx-xxxx"),
    ("", "1 (Nxx) Nxx-xxxx"),
    ("", "+1 Nxx Nxx xxxx"),
    ("", "+1-Nxx-Nxx-xxxx"),
    ("", "+1 (Nxx) Nxx-xxxx"),
    ("", "+1NxxNxxxxxx"),
    ("call me at ", "NxxNxxxxxx"),
    ("phone: ", "NxxNxxxxxx"),
    ("my mobile is ", "NxxNxxxxxx"),
    ("", "+44 20 Nxxx xxxx"),
    ("", "+44 7xxx xxxxxx"),
    ("", "+447xxxxxxxxx"),
    ("", "+44 (0)20 Nxxx xxxx"),
    ("", "020 Nxxx xxxx"),
    ("", "07xxx xxxxxx"),
    ("", "0161 Nxx xxxx"),
    ("", "+49 30 Nxxxxxx"),
    ("", "+49 (0)30 Nxxxxxx"),
    ("", "+49-171-Nxxxxxx"),
    ("", "0049 89 Nxxxxxx"),
    ("", "030 Nxxxxxx"),
    ("", "0171-Nxxxxxx"),
    ("", "0171/Nxxxxxx"),
    ("", "+33 1 Nx xx xx xx"),
    ("", "06 Nx xx xx xx"),
    ("", "06.Nx.xx.xx.xx"),
    ("", "+34 6xx xxx xxx"),
    ("", "+39 06 Nxxx xxxx"),
    ("", "+31 6 xxxxxxxx"),
    ("", "+41 44 Nxx xx xx"),
    ("", "+48 Nxx xxx xxx"),
    ("", "+7 Nxx xxx-xx-xx"),
    ("", "+91 9xxxx xxxxx"),
    ("", "+86 138 xxxx xxxx"),
    ("", "+81 3-Nxxx-xxxx"),
    ("", "+82 10-Nxxx-xxxx"),
    ("", "+55 11 9xxxx-xxxx"),
    ("", "+61 2 Nxxx xxxx"),
    ("", "+971 50 Nxx xxxx"),
];

fn phone(random: &mut Random, index: usize) -> Entity {
    let (before, form) = PHONES[index % PHONES.len()];
    let text: String = form
        .chars()
        .map(|character| match character {
            'N' => digit(2 + random.below(8)),
            'x' => digit(random.below(10)),
            other => other,
        })
        .collect();
    let secret = text.chars().filter(char::is_ascii_digit).collect();
    Entity { before, text: disguised(random, text), mask: "<PHONE_NUMBER>", secret }
}

const LOCALS: [&str; 16] = [
    "jane",
    "jane.doe",
    "JaneDoe",
    "j.r.r.tolkien",
    "maria_garcia",
    "o'neil",
    "anne-marie",
    "jdoe+newsletter",
    "x",
    "sales",
    "li.wei",
    "müller",
    "иванов",
    "user%dept",
    "1234567890",
    "佐藤",
];

const DOMAINS: [&str; 14] = [
    "example.com",
    "example.org",
    "mail.example.co.uk",
    "EXAMPLE.NET",
    "exämple.de",
    "a.b.c.example.museum",
    "gmail.com",
    "example.xn--p1ai",
    "пример.рф",
    "my-company.io",
    "sub.123.example.fr",
    "uni-heidelberg.de",
    "example.भारत",
    "x.ai",
];

fn email(random: &mut Random, index: usize) -> Entity {
    let name = *random.pick(&LOCALS);
    let local = match random.below(3) {
        0 => (*name).to_owned(),
        1 => format!("{name}{}", 10 + random.below(990)),
        _ => {
            format!("{name}.{}", one_of(random, &["smith", "schmidt", "tanaka", "silva", "novak", "okafor"]))
        }
    };
    let domain = DOMAINS[index % DOMAINS.len()];
    let at = match random.below(12) {
        0 => "\u{200b}@\u{200b}",
        1 => "＠",
        _ => "@",
    };
    Entity { before: "", text: format!("{local}{at}{domain}"), mask: "<EMAIL_ADDRESS>", secret: local }
}

/// Sentences with a place for something, of which nothing else is found.
pub(super) const SENTENCES: [&str; 30] = [
    "Well, {}, as I said.",
    "{}",
    "It is {}.",
    "Please update the account to {} before Friday.",
    "Is {} still the right one?",
    "My name is Jane and you need {}; thank you!",
    "- first\n- {}\n- last",
    "> {}\n\nWhat does he mean by that?",
    "```\nvalue = {}\n```",
    "| name | value |\n|---|---|\n| Jane | {} |",
    "<p>Contact: <b>{}</b></p>",
    "<customer><id>{}</id></customer>",
    "{\"customer\": \"{}\", \"note\": null}",
    "name: Jane\nvalue: {}\nactive: true",
    "Jane;{};Berlin",
    "Jane\t{}\tBerlin",
    "let id = \"{}\";",
    "INSERT INTO customers VALUES ('Jane', '{} ');",
    "Summarise: the customer wrote from Oslo, gave {} and hung up.",
    "Bitte prüfen Sie {} noch einmal, danke.",
    "Meine Angaben: {} – stimmt das so?",
    "Voici mes coordonnées : {} , merci d'avance.",
    "Mi número es {} ¿lo puede comprobar?",
    "Меня можно найти: {} , спасибо.",
    "私の番号は {} です。",
    "我的号码是 {} ，谢谢。",
    "رقمي هو {} شكرا",
    "मेरा नंबर {} है।",
    "😀 {} 😀",
    "[{}](https://example.com/profile)",
];
