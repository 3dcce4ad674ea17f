//! Classes of characters. Envoy hands RE2 bytes and has each taken for a character (Latin-1), so that a
//! class is a set of bytes.

mod tables;

use tables::{CLASSES, OUTSIDE_LATIN_1};

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Class([u128; 2]);

impl Class {
    pub(crate) fn of(byte: u8) -> Self {
        Self::range(byte, byte)
    }

    pub(crate) fn range(low: u8, high: u8) -> Self {
        let mut class = Self::default();
        for byte in low..=high {
            let [lower, upper] = &mut class.0;
            let half = if byte < 128 { lower } else { upper };
            *half |= 1 << (byte % 128);
        }
        class
    }

    fn from_ranges(ranges: &[(u8, u8)]) -> Self {
        ranges.iter().fold(Self::default(), |class, (low, high)| class.with(Self::range(*low, *high)))
    }

    pub(crate) fn has(self, byte: u8) -> bool {
        let [lower, upper] = self.0;
        let half = if byte < 128 { lower } else { upper };
        half >> (byte % 128) & 1 == 1
    }

    pub(crate) fn with(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }

    pub(crate) fn negated(self) -> Self {
        let [lower, upper] = self.0;
        Self([!lower, !upper])
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |byte| self.has(*byte))
    }

    /// With the other case of each letter.
    pub(crate) fn folded(self) -> Self {
        self.bytes().filter_map(other_case).fold(self, |class, byte| class.with(Self::of(byte)))
    }

    /// The only byte in it.
    pub(crate) fn single(self) -> Option<u8> {
        let mut bytes = self.bytes();
        bytes.next().filter(|_| bytes.next().is_none())
    }

    /// How many instructions it compiles to: one for each range. Where the letters of ASCII stand in both
    /// cases, one instruction does for both.
    pub(crate) fn instructions(self) -> usize {
        let folds = (b'A'..=b'Z').all(|upper| self.has(upper) == self.has(upper.to_ascii_lowercase()));
        let ranges = self.ranges();
        ranges.iter().filter(|(low, high)| !(folds && *low >= b'A' && *high <= b'Z')).count()
    }

    fn ranges(self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.bytes() {
            match ranges.last_mut() {
                Some((_, high)) if u16::from(*high) + 1 == u16::from(byte) => *high = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }
}

/// The same letter in the other case. RE2 folds letters of ASCII alone in Latin-1.
pub(crate) fn other_case(byte: u8) -> Option<u8> {
    byte.is_ascii_alphabetic().then_some(byte ^ 0x20)
}

/// `\d`, `\s`, `\w` and what they leave out.
pub(crate) fn perl_class(letter: char) -> Option<Class> {
    let class = match letter.to_ascii_lowercase() {
        'd' => Class::range(b'0', b'9'),
        's' => Class::from_ranges(&[(b'\t', b'\n'), (0x0c, b'\r'), (b' ', b' ')]),
        'w' => word(),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { class.negated() } else { class })
}

fn word() -> Class {
    Class::from_ranges(&[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')])
}

/// The class that stands as `[:name:]` in brackets.
pub(crate) fn posix_class(name: &str) -> Option<Class> {
    let (digits, upper, lower) = ((b'0', b'9'), (b'A', b'Z'), (b'a', b'z'));
    Some(match name {
        "alnum" => Class::from_ranges(&[digits, upper, lower]),
        "alpha" => Class::from_ranges(&[upper, lower]),
        "ascii" => Class::range(0, 0x7f),
        "blank" => Class::from_ranges(&[(b'\t', b'\t'), (b' ', b' ')]),
        "cntrl" => Class::from_ranges(&[(0, 0x1f), (0x7f, 0x7f)]),
        "digit" => Class::range(b'0', b'9'),
        "graph" => Class::range(b'!', b'~'),
        "lower" => Class::range(b'a', b'z'),
        "print" => Class::range(b' ', b'~'),
        "punct" => Class::from_ranges(&[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')]),
        "space" => Class::from_ranges(&[(b'\t', b'\r'), (b' ', b' ')]),
        "upper" => Class::range(b'A', b'Z'),
        "word" => word(),
        "xdigit" => Class::from_ranges(&[digits, (b'A', b'F'), (b'a', b'f')]),
        _ => return None,
    })
}

/// A general category or script of Unicode, as far as it lies in Latin-1, by the name that RE2 knows.
pub(crate) fn unicode_class(name: &str) -> Option<Class> {
    let known = CLASSES.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, ranges)| Class::from_ranges(ranges))
        .or_else(|| OUTSIDE_LATIN_1.contains(&name).then(Class::default))
}
