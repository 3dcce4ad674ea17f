//! Classes of characters. Envoy hands RE2 bytes and has each taken for a character (Latin-1), so that a
//! class is a set of bytes.

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

/// Names of Unicode (`UnicodeData.txt`, `Scripts.txt`) with their characters in Latin-1.
const CLASSES: &[(&str, &[(u8, u8)])] = &[
    ("Any", &[(0x00, 0xff)]),
    ("C", &[(0x00, 0x1f), (0x7f, 0x9f), (0xad, 0xad)]),
    ("Cc", &[(0x00, 0x1f), (0x7f, 0x9f)]),
    ("Cf", &[(0xad, 0xad)]),
    (
        "Common",
        &[(0x00, 0x40), (0x5b, 0x60), (0x7b, 0xa9), (0xab, 0xb9), (0xbb, 0xbf), (0xd7, 0xd7), (0xf7, 0xf7)],
    ),
    (
        "L",
        &[
            (0x41, 0x5a),
            (0x61, 0x7a),
            (0xaa, 0xaa),
            (0xb5, 0xb5),
            (0xba, 0xba),
            (0xc0, 0xd6),
            (0xd8, 0xf6),
            (0xf8, 0xff),
        ],
    ),
    (
        "Latin",
        &[(0x41, 0x5a), (0x61, 0x7a), (0xaa, 0xaa), (0xba, 0xba), (0xc0, 0xd6), (0xd8, 0xf6), (0xf8, 0xff)],
    ),
    ("Ll", &[(0x61, 0x7a), (0xb5, 0xb5), (0xdf, 0xf6), (0xf8, 0xff)]),
    ("Lo", &[(0xaa, 0xaa), (0xba, 0xba)]),
    ("Lu", &[(0x41, 0x5a), (0xc0, 0xd6), (0xd8, 0xde)]),
    ("N", &[(0x30, 0x39), (0xb2, 0xb3), (0xb9, 0xb9), (0xbc, 0xbe)]),
    ("Nd", &[(0x30, 0x39)]),
    ("No", &[(0xb2, 0xb3), (0xb9, 0xb9), (0xbc, 0xbe)]),
    (
        "P",
        &[
            (0x21, 0x23),
            (0x25, 0x2a),
            (0x2c, 0x2f),
            (0x3a, 0x3b),
            (0x3f, 0x40),
            (0x5b, 0x5d),
            (0x5f, 0x5f),
            (0x7b, 0x7b),
            (0x7d, 0x7d),
            (0xa1, 0xa1),
            (0xa7, 0xa7),
            (0xab, 0xab),
            (0xb6, 0xb7),
            (0xbb, 0xbb),
            (0xbf, 0xbf),
        ],
    ),
    ("Pc", &[(0x5f, 0x5f)]),
    ("Pd", &[(0x2d, 0x2d)]),
    ("Pe", &[(0x29, 0x29), (0x5d, 0x5d), (0x7d, 0x7d)]),
    ("Pf", &[(0xbb, 0xbb)]),
    ("Pi", &[(0xab, 0xab)]),
    (
        "Po",
        &[
            (0x21, 0x23),
            (0x25, 0x27),
            (0x2a, 0x2a),
            (0x2c, 0x2c),
            (0x2e, 0x2f),
            (0x3a, 0x3b),
            (0x3f, 0x40),
            (0x5c, 0x5c),
            (0xa1, 0xa1),
            (0xa7, 0xa7),
            (0xb6, 0xb7),
            (0xbf, 0xbf),
        ],
    ),
    ("Ps", &[(0x28, 0x28), (0x5b, 0x5b), (0x7b, 0x7b)]),
    (
        "S",
        &[
            (0x24, 0x24),
            (0x2b, 0x2b),
            (0x3c, 0x3e),
            (0x5e, 0x5e),
            (0x60, 0x60),
            (0x7c, 0x7c),
            (0x7e, 0x7e),
            (0xa2, 0xa6),
            (0xa8, 0xa9),
            (0xac, 0xac),
            (0xae, 0xb1),
            (0xb4, 0xb4),
            (0xb8, 0xb8),
            (0xd7, 0xd7),
            (0xf7, 0xf7),
        ],
    ),
    ("Sc", &[(0x24, 0x24), (0xa2, 0xa5)]),
    ("Sk", &[(0x5e, 0x5e), (0x60, 0x60), (0xa8, 0xa8), (0xaf, 0xaf), (0xb4, 0xb4), (0xb8, 0xb8)]),
    (
        "Sm",
        &[
            (0x2b, 0x2b),
            (0x3c, 0x3e),
            (0x7c, 0x7c),
            (0x7e, 0x7e),
            (0xac, 0xac),
            (0xb1, 0xb1),
            (0xd7, 0xd7),
            (0xf7, 0xf7),
        ],
    ),
    ("So", &[(0xa6, 0xa6), (0xa9, 0xa9), (0xae, 0xae), (0xb0, 0xb0)]),
    ("Z", &[(0x20, 0x20), (0xa0, 0xa0)]),
    ("Zs", &[(0x20, 0x20), (0xa0, 0xa0)]),
];

/// Names whose characters all lie beyond Latin-1: an expression may use them and matches nothing with them.
const OUTSIDE_LATIN_1: &[&str] = &[
    "Adlam",
    "Ahom",
    "Anatolian_Hieroglyphs",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Bassa_Vah",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Canadian_Aboriginal",
    "Carian",
    "Caucasian_Albanian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Co",
    "Coptic",
    "Cs",
    "Cuneiform",
    "Cypriot",
    "Cypro_Minoan",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dives_Akuru",
    "Dogra",
    "Duployan",
    "Egyptian_Hieroglyphs",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gunjala_Gondi",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanifi_Rohingya",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Imperial_Aramaic",
    "Inherited",
    "Inscriptional_Pahlavi",
    "Inscriptional_Parthian",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kayah_Li",
    "Kharoshthi",
    "Khitan_Small_Script",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Lepcha",
    "Limbu",
    "Linear_A",
    "Linear_B",
    "Lisu",
    "Lm",
    "Lt",
    "Lycian",
    "Lydian",
    "M",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Masaram_Gondi",
    "Mc",
    "Me",
    "Medefaidrin",
    "Meetei_Mayek",
    "Mende_Kikakui",
    "Meroitic_Cursive",
    "Meroitic_Hieroglyphs",
    "Miao",
    "Mn",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nag_Mundari",
    "Nandinagari",
    "New_Tai_Lue",
    "Newa",
    "Nko",
    "Nl",
    "Nushu",
    "Nyiakeng_Puachue_Hmong",
    "Ogham",
    "Ol_Chiki",
    "Old_Hungarian",
    "Old_Italic",
    "Old_North_Arabian",
    "Old_Permic",
    "Old_Persian",
    "Old_Sogdian",
    "Old_South_Arabian",
    "Old_Turkic",
    "Old_Uyghur",
    "Oriya",
    "Osage",
    "Osmanya",
    "Pahawh_Hmong",
    "Palmyrene",
    "Pau_Cin_Hau",
    "Phags_Pa",
    "Phoenician",
    "Psalter_Pahlavi",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "SignWriting",
    "Sinhala",
    "Sogdian",
    "Sora_Sompeng",
    "Soyombo",
    "Sundanese",
    "Syloti_Nagri",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Tai_Le",
    "Tai_Tham",
    "Tai_Viet",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Toto",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Warang_Citi",
    "Yezidi",
    "Yi",
    "Zanabazar_Square",
    "Zl",
    "Zp",
];
