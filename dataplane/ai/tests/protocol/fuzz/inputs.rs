//! Inputs: good ones, spoilt in a few places, and random bytes.

pub(super) use crate::random::Random;

const SPLICES: [&[u8]; 22] = [
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"1e999",
    b"true",
    b"\\u0000",
    b"\\ud800",
    b"\xFF",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\n\n",
    b"data: ",
    b"99999999999999999999",
    b"\"type\":\"text\",",
    b"data: [DONE]\n\n",
];

pub(super) fn mutate(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if random.below(200) == 0 {
        grow(random, &mut bytes);
    }
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, random.pick(&SPLICES).iter().copied())),
            3 => drop(bytes.splice(at..at, random.pick(&SPLICES).iter().copied())),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
        }
    }
    bytes
}

/// Repeats a part until the whole has tens of kilobytes: what takes more than linear time shows with these.
fn grow(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(200)).min(bytes.len());
    let times = 60_000 / (end - at).max(1);
    let part = bytes[at..end].repeat(random.below(times + 1));
    drop(bytes.splice(at..at, part));
}

/// Cuts into a few pieces, or into single bytes.
pub(super) fn pieces<'a>(random: &mut Random, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    if random.below(20) == 0 {
        return bytes.chunks(1).collect();
    }
    let mut pieces = Vec::new();
    for _ in 0..random.below(5) {
        let (head, tail) = bytes.split_at(random.below(bytes.len() + 1));
        pieces.push(head);
        bytes = tail;
    }
    pieces.push(bytes);
    pieces
}

pub(super) fn random_bytes(random: &mut Random) -> Vec<u8> {
    (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A value in place of another: what syntax-aware clients get wrong.
pub(super) fn mutate_value(random: &mut Random, value: &mut serde_json::Value) {
    use serde_json::{Value, json};
    let target = match value {
        Value::Object(map) if !map.is_empty() => {
            let at = random.below(map.len());
            map.values_mut().nth(at)
        }
        Value::Array(list) if !list.is_empty() => {
            let at = random.below(list.len());
            list.get_mut(at)
        }
        _ => None,
    };
    match target {
        Some(inner) if random.below(4) > 0 => mutate_value(random, inner),
        Some(inner) => {
            let values = [
                json!(null),
                json!({}),
                json!([]),
                json!("x"),
                json!(7),
                json!(-1.5),
                json!(true),
                json!([{}]),
            ];
            *inner = random.pick(&values).clone();
        }
        None => *value = json!("y"),
    }
}
