//! Strings that nobody expects, put where strings stand.

use crds::Object;
use proptest::prelude::*;
use serde_json::Value;

use super::{World, distinct, text};

/// A string that a parser, a format or an expression might stumble over.
pub(crate) fn nasty_text() -> impl Strategy<Value = String> {
    let known = text(&[
        "",
        " ",
        "/",
        "//",
        "/..",
        "*",
        "*.",
        ".",
        "..",
        "%",
        "%REQ(x)%",
        "\\1",
        "\\",
        "\u{0}",
        "a\r\nb: c",
        "é.com",
        "\u{202e}",
        "[",
        "(",
        "(?i)a",
        "a{1000}",
        ":path",
        "host",
        "::1",
        "[::1]:80",
        "0s",
        "99999999999h",
        "true",
        "-1",
        "\"]=os.exit()",
        "{{x}}",
    ]);
    prop_oneof![6 => known, 2 => "\\PC{0,12}", 1 => (1..3_usize).prop_map(|size| "a.".repeat(size * 2000))]
}

/// The world with some of its strings replaced, wherever the result is still well-typed.
pub(crate) fn spoil(world: &[Value], changes: &[(u16, String)]) -> World {
    let mut world = world.to_vec();
    for (position, text) in changes {
        let count: usize = world.iter().map(count_strings).sum();
        let mut position = usize::from(*position) % count.max(1);
        for document in &mut world {
            let here = count_strings(document);
            if position < here {
                let mut spoilt = document.clone();
                replace_string(&mut spoilt, &mut position, text);
                if Object::decode(spoilt.clone()).is_ok() {
                    *document = spoilt;
                }
                break;
            }
            position -= here;
        }
    }
    distinct(world)
}

fn count_strings(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(list) => list.iter().map(count_strings).sum(),
        Value::Object(map) => map.values().map(count_strings).sum(),
        _ => 0,
    }
}

/// Replaces the string at a position; true when done.
fn replace_string(value: &mut Value, position: &mut usize, text: &str) -> bool {
    match value {
        Value::String(string) if *position == 0 => {
            text.clone_into(string);
            true
        }
        Value::String(_) => {
            *position -= 1;
            false
        }
        Value::Array(list) => list.iter_mut().any(|value| replace_string(value, position, text)),
        Value::Object(map) => map.values_mut().any(|value| replace_string(value, position, text)),
        _ => false,
    }
}
