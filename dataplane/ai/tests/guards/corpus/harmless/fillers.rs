//! What stands in the gaps of templates: numbers, dates, names and signs as they are in prompts.

use crate::corpus::one_of;
use crate::random::Random;

/// A template with something in each gap.
pub(super) fn filled(random: &mut Random, template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("<<") {
        let (gap, behind) = behind.split_once(">>").unwrap_or_else(|| panic!("an open gap: {template}"));
        text.push_str(before);
        text.push_str(&filler(random, gap));
        rest = behind;
    }
    text + rest
}

/// A number from the first to the last.
fn between(random: &mut Random, first: usize, last: usize) -> usize {
    first + random.below(last - first + 1)
}

/// Characters of an alphabet.
fn of(random: &mut Random, alphabet: &str, length: usize) -> String {
    let all: Vec<char> = alphabet.chars().collect();
    (0..length).map(|_| *random.pick(&all)).collect()
}

const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789";

/// So many digits, of which the first is not 0.
fn digits(random: &mut Random, length: usize) -> String {
    of(random, "123456789", 1) + &of(random, "0123456789", length - 1)
}

/// Some items with something between them.
fn listed(
    random: &mut Random,
    count: (usize, usize),
    separator: &str,
    mut item: impl FnMut(&mut Random) -> String,
) -> String {
    let count = between(random, count.0, count.1);
    (0..count).map(|_| item(random)).collect::<Vec<_>>().join(separator)
}

/// Digits in groups of three from the right.
fn thousands(number: usize, separator: &str) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push_str(separator);
        }
        out.push(digit);
    }
    out
}

/// The check digit of an EAN: weights 1 and 3 in turn.
fn ean(random: &mut Random, prefix: &str) -> String {
    let length = 12 - prefix.len();
    let body = format!("{prefix}{}", of(random, "0123456789", length));
    let weighted = body
        .bytes()
        .enumerate()
        .map(|(at, digit)| usize::from(digit - b'0') * if at % 2 == 0 { 1 } else { 3 });
    format!("{body}{}", (10 - weighted.sum::<usize>() % 10) % 10)
}

fn name(random: &mut Random, names: &[&str]) -> String {
    one_of(random, names).to_owned()
}

/// What stands in a gap of this name.
fn filler(random: &mut Random, gap: &str) -> String {
    if let Some((first, last)) = gap.split_once("..") {
        return between(random, first.parse().unwrap(), last.parse().unwrap()).to_string();
    }
    if let Some(length) = gap.strip_prefix("hex") {
        return of(random, HEX, length.parse().unwrap());
    }
    if let Some(length) = gap.strip_prefix("digits") {
        return digits(random, length.parse().unwrap());
    }
    match gap {
        "word" => name(
            random,
            &[
                "river", "invoice", "parser", "garden", "engine", "novel", "budget", "theorem", "recipe",
                "cluster",
            ],
        ),
        "person" => {
            name(random, &["Ada", "Noor", "Jürgen", "Chloé", "Mateus", "Sakura", "Oluwaseun", "Siobhán"])
        }
        "city" => {
            name(random, &["Lisbon", "Nairobi", "Osaka", "Kraków", "Montréal", "São Paulo", "Leeds", "Hanoi"])
        }
        "ident" => name(
            random,
            &["count", "user_id", "totalPrice", "MAX_RETRIES", "http2", "utf8_len", "x1", "sha256sum"],
        ),
        "host" => {
            name(random, &["api.example.com", "localhost", "db-1.internal", "cdn.example.net", "10.0.3.17"])
        }
        "machine" => name(
            random,
            &["10.0.3.17", "192.168.1.20", "build-box", "localhost", "staging", "api.example.com"],
        ),
        "package" => {
            name(random, &["react", "lodash", "@types/node", "typescript", "left-pad", "vite", "@babel/core"])
        }
        "0x" => format!("0x{}", of(random, HEX, 8)),
        "uuid" => [8, 4, 4, 4, 12].map(|length| of(random, HEX, length)).join("-"),
        "mac" => listed(random, (6, 6), ":", |random| of(random, HEX, 2)),
        "color" => format!("#{}", of(random, HEX, 6)),
        "base64" => {
            format!("{}==", of(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 42))
        }
        "code" => of(random, UPPER, 8),
        "money" => format!("${}.{:02}", thousands(between(random, 1, 2_000_000), ","), random.below(100)),
        "euros" => format!("{},{:02} €", thousands(between(random, 1, 2_000_000), "."), random.below(100)),
        "spaced" => {
            thousands(between(random, 1000, 999_999_999), one_of(random, &[" ", "\u{a0}", "\u{202f}"]))
        }
        "big" => thousands(between(random, 1_000, 900_000_000_000), ","),
        "decimal" => format!("{}.{}", random.below(1000), of(random, "0123456789", 3)),
        "float" => format!("{}.{}", random.below(10), of(random, "0123456789", 16)),
        "version" => format!("{}.{}.{}", random.below(30), random.below(40), random.below(20)),
        "prerelease" => format!(
            "{}.{}.0-{}.{}",
            random.below(9),
            random.below(9),
            one_of(random, &["rc", "beta", "alpha"]),
            random.below(9)
        ),
        _ => when(random, gap)
            .or_else(|| numbered(random, gap))
            .or_else(|| data(random, gap))
            .unwrap_or_else(|| panic!("no filler {gap}")),
    }
}

/// Dates and times.
fn when(random: &mut Random, gap: &str) -> Option<String> {
    let (year, month, day) = (between(random, 1950, 2030), between(random, 1, 12), between(random, 1, 28));
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    Some(match gap {
        "year" => year.to_string(),
        "iso" => format!("{year}-{month:02}-{day:02}"),
        "us_date" => format!("{month}/{day}/{year}"),
        "dots" => format!("{day:02}.{month:02}.{year}"),
        "slashes" => format!("{day:02}/{month:02}/{year}"),
        "compact" => format!("{year}{month:02}{day:02}"),
        "compact_time" => format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}"),
        "time" => format!("{hour:02}:{minute:02}"),
        "seconds" => format!("{hour:02}:{minute:02}:{second:02}"),
        "instant" => format!(
            "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
            random.below(1_000_000)
        ),
        "offset" => {
            format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0{}00", random.below(10))
        }
        "log_time" => {
            format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{:03}", random.below(1000))
        }
        "unix" => (1_500_000_000 + random.below(400_000_000)).to_string(),
        "unix_ms" => (1_500_000_000_000 + random.below(400_000_000_000)).to_string(),
        "unix_ns" => (1_500_000_000_000_000_000 + random.below(400_000_000_000_000_000)).to_string(),
        _ => return None,
    })
}

/// Numbers of things, as their kind is written.
fn numbered(random: &mut Random, gap: &str) -> Option<String> {
    Some(match gap {
        "isbn" => {
            let number = ean(random, "979");
            format!(
                "{}-{}-{}-{}-{}",
                &number[..3],
                &number[3..4],
                &number[4..8],
                &number[8..12],
                &number[12..]
            )
        }
        "isbn_plain" => ean(random, "978"),
        // Prefixes of countries as they are on goods in shops: mostly Germany, the USA, France, China, Japan.
        "ean" => {
            let prefix = name(
                random,
                &[
                    "400", "401", "426", "00", "03", "07", "300", "366", "690", "695", "490", "871", "80",
                    "750", "880",
                ],
            );
            ean(random, &prefix)
        }
        "amazon" => format!("{}-{}-{}", digits(random, 3), digits(random, 7), digits(random, 7)),
        "ebay" => format!("{:02}-{}-{}", between(random, 1, 27), digits(random, 5), digits(random, 5)),
        "ups" => format!("1Z{}{}", of(random, UPPER, 6), digits(random, 10)),
        "fedex" => format!("{} {} {}", digits(random, 4), digits(random, 4), digits(random, 4)),
        "usps" => format!("94{}", of(random, "0123456789", 20)),
        "snowflake" => digits(random, 18),
        "tweet" => format!("1{}", of(random, "0123456789", 18)),
        "doi" => format!(
            "10.{}/s{}-{:03}-{}-{}",
            digits(random, 4),
            digits(random, 5),
            random.below(30),
            digits(random, 4),
            random.below(10)
        ),
        "arxiv" => {
            format!("{:02}{:02}.{:05}", between(random, 10, 26), between(random, 1, 12), random.below(20_000))
        }
        "orcid" => format!("0000-000{}-{}-{}", random.below(4), digits(random, 4), digits(random, 4)),
        "imei" => format!("35{}", of(random, "0123456789", 13)),
        "aws" => digits(random, 12),
        "lat" => format!("{}.{}", random.below(90), of(random, "0123456789", 7)),
        "lon" => {
            format!("{}{}.{}", one_of(random, &["", "-"]), random.below(180), of(random, "0123456789", 7))
        }
        "ip" => listed(random, (4, 4), ".", |random| random.below(256).to_string()),
        "ip6" => listed(random, (8, 8), ":", |random| of(random, HEX, 4)),
        _ => return None,
    })
}

/// Columns, rows and lists of numbers.
fn data(random: &mut Random, gap: &str) -> Option<String> {
    let small = |random: &mut Random| random.below(100).to_string();
    Some(match gap {
        "commas" => listed(random, (5, 40), ", ", small),
        "tight_commas" => listed(random, (5, 40), ",", small),
        "spaces" => listed(random, (5, 40), " ", small),
        "column" => listed(random, (5, 40), "\n", small),
        "hundreds" => listed(random, (3, 30), " ", |random| between(random, 100, 999).to_string()),
        "bits" => of(random, "01", 32),
        "ratings" => listed(random, (10, 40), " ", |random| between(random, 1, 5).to_string()),
        "tsv" => listed(random, (3, 12), "\n", |random| {
            listed(random, (3, 6), "\t", |random| random.below(5000).to_string())
        }),
        "csv" => listed(random, (3, 12), "\n", |random| {
            listed(random, (3, 6), ";", |random| random.below(5000).to_string())
        }),
        "matrix" => listed(random, (2, 6), "\n", |random| listed(random, (3, 6), " ", small)),
        "markdown" => listed(random, (2, 8), "\n", |random| {
            format!("| {} |", listed(random, (4, 4), " | ", |random| random.below(2000).to_string()))
        }),
        "decimals" => {
            listed(random, (5, 20), "\n", |random| format!("{}.{:02}", random.below(100), random.below(100)))
        }
        "decimal_row" => listed(random, (5, 20), " ", |random| {
            format!("{}.{}", random.below(10), of(random, "0123456789", 4))
        }),
        "dates" => listed(random, (3, 12), "\n", |random| when(random, "iso").unwrap()),
        "order_list" => listed(random, (3, 10), "\n", |random| digits(random, 8)),
        _ => return None,
    })
}
