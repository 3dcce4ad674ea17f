//! What must be found, and what must not: a list that was written by hand, and thousands of cases that are made from a
//! seed. `cargo test -p ai --test guards corpus -- --nocapture` shows how many there are, and what has come of them.

mod entities;
mod harmless;
mod near_misses;
mod places;
mod requests;
mod streams;

use crate::random::Random;

/// One of some texts.
fn one_of<'a>(random: &mut Random, texts: &[&'a str]) -> &'a str {
    texts[random.below(texts.len())]
}

/// What all generated cases are made of.
const SEED: u64 = 0x7_4ca5_e500;

/// Texts that are found, with what stands in their place.
pub(crate) const ENTITIES: [(&str, &str); 54] = [
    ("4111111111111111", "<CREDIT_CARD>"),
    ("4111 1111 1111 1111", "<CREDIT_CARD>"),
    ("4111-1111-1111-1111", "<CREDIT_CARD>"),
    ("5105105105105100", "<CREDIT_CARD>"),
    ("5105 1051 0510 5100", "<CREDIT_CARD>"),
    ("5555-5555-5555-4444", "<CREDIT_CARD>"),
    ("378282246310005", "<CREDIT_CARD>"),
    ("3782 822463 10005", "<CREDIT_CARD>"),
    ("6011 1111 1111 1117", "<CREDIT_CARD>"),
    ("3530111333300000", "<CREDIT_CARD>"),
    ("30569309025904", "<CREDIT_CARD>"),
    ("6304000000000000", "<CREDIT_CARD>"),
    ("4222222222222", "<CREDIT_CARD>"),
    ("2223003122003222", "<CREDIT_CARD>"),
    ("4111.1111.1111.1111", "<CREDIT_CARD>"),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "<CREDIT_CARD>"),
    ("４１１１１１１１１１１１１１１１", "<CREDIT_CARD>"),
    ("4111\u{200b}1111\u{200b}1111\u{200b}1111", "<CREDIT_CARD>"),
    ("٤١١١ ١١١١ ١١١١ ١١١١", "<CREDIT_CARD>"),
    ("4111\n1111\n1111\n1111", "<CREDIT_CARD>"),
    ("536-90-4399", "<US_SSN>"),
    ("536 90 4399", "<US_SSN>"),
    ("123-45-6789", "<US_SSN>"),
    ("219-09-9999", "<US_SSN>"),
    ("５３６-９０-４３９９", "<US_SSN>"),
    ("536‑90‑4399", "<US_SSN>"),
    ("536.90.4399", "<US_SSN>"),
    ("5 3 6 - 9 0 - 4 3 9 9", "<US_SSN>"),
    ("(212) 555-0123", "<PHONE_NUMBER>"),
    ("212-555-0123", "<PHONE_NUMBER>"),
    ("212.555.0123", "<PHONE_NUMBER>"),
    ("1-800-555-0199", "<PHONE_NUMBER>"),
    ("+1 212 555 0123", "<PHONE_NUMBER>"),
    ("+1 (212) 555-0123", "<PHONE_NUMBER>"),
    ("+49 30 1234567", "<PHONE_NUMBER>"),
    ("+442079460958", "<PHONE_NUMBER>"),
    ("0049 30 1234567", "<PHONE_NUMBER>"),
    ("020 7946 0958", "<PHONE_NUMBER>"),
    ("01 23 45 67 89", "<PHONE_NUMBER>"),
    ("＋４９ ３０ １２３４５６７", "<PHONE_NUMBER>"),
    ("jane@example.com", "<EMAIL_ADDRESS>"),
    ("jane.doe+tag@mail.example.co.uk", "<EMAIL_ADDRESS>"),
    ("JANE_DOE@EXAMPLE.ORG", "<EMAIL_ADDRESS>"),
    ("o'neil@example.ie", "<EMAIL_ADDRESS>"),
    ("x@y.de", "<EMAIL_ADDRESS>"),
    ("user%dept@sub.sub.example.museum", "<EMAIL_ADDRESS>"),
    ("bücher@exämple.de", "<EMAIL_ADDRESS>"),
    ("jane\u{200b}@\u{200b}example.com", "<EMAIL_ADDRESS>"),
    ("project falcon", "<CUSTOM>"),
    ("Project   FALCON", "<CUSTOM>"),
    ("рrојесt fаlсоn", "<CUSTOM>"),
    ("key-0123456789abcdef", "<CUSTOM>"),
    ("KEY-FFFFFFFFFFFFFFFF", "<CUSTOM>"),
    ("key-00\u{ad}00000000000000", "<CUSTOM>"),
];

/// The expressions of the policy.
pub(crate) const EXPRESSIONS: [&str; 2] = [r"project\s+falcon", r"\bkey-[0-9a-f]{16}\b"];

/// Texts in which nothing is found.
pub(crate) const HARMLESS: [&str; 36] = [
    "Hello, how are you today?",
    "The meeting is on 2024-11-29 at 10:30, in room 12-34.",
    "2024-11-29T18:48:22.123456Z",
    "Version 1.2.3.4567 of the library, commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "550e8400-e29b-41d4-a716-446655440000",
    "192.168.1.1 and 10.0.0.254:8080",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "pi is 3.14159265358979323846, e is 2.718281828459045",
    "0.5105105105105100",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
    "1 2 3 4 5 6 7 8 9",
    "ISBN 978-3-16-148410-0",
    "order 4111111111111112 has been shipped",
    "unix time 1732900000, in milliseconds 1732900000123",
    "the sum of 1234567 and 7654321 is 8888888",
    "call f(x) with x = 1e10 and y = 1.5e-3",
    "$1,234,567.89 or 1.234.567,89 €",
    "page 536, line 90, word 4399",
    "ZIP 12345-6789",
    "000-12-3456 and 666-12-3456 are no such numbers",
    "a@b, @channel, user@localhost, 50% @ 3.5",
    "git@github:owner/name",
    "let x = &y; #[derive(Debug)] fn f<'a>(s: &'a str) {}",
    "SELECT * FROM t WHERE id IN (10, 20, 30, 40, 50, 60)",
    "the project of a falcon",
    "key-0123456789abcde",
    "monkey-0123456789abcdef",
    "|  10 |  20 |  30 |\n|  40 |  50 |  60 |",
    "12:34:56 elapsed, 98.6 °F, 100 km/h, 5' 11\"",
    "Chapter 4\n\n1111 words\n\n1111 lines\n\n1111 pages",
    "RGB 255 128 064, hex #ff8040",
    "score 3-2, 10-7, 21-19",
    "latitude 52.5200066, longitude 13.404954",
    "emoji 👩‍👩‍👧‍👦 and 🇩🇪 and ✌🏽",
    "数字は 12 と 34 です",
];
