//! What of a client's words about a rejection may be passed on.

use crate::resource_type::ResourceType;

/// With this begins a message in Protobuf's text form, which Envoy puts before what it has to say about it.
const QUOTE: &str = "goo.gle/debug";

/// And so it ends.
const QUOTE_END: &str = "\n: ";

/// More is of no use to a person.
const MAX_LEN: usize = 2_000;

/// The client's words without the messages that they quote, which may be long. Of secrets nothing at all, whose values
/// might be quoted.
pub(crate) fn words(kind: ResourceType, message: &str) -> String {
    if kind == ResourceType::Secret {
        return "what the client says is not told, since it may quote the secret".to_owned();
    }
    let mut rest = message;
    let mut told = String::new();
    while let Some((before, quoted)) = rest.split_once(QUOTE) {
        told.push_str(before);
        rest = quoted.split_once(QUOTE_END).map_or("", |(_, after)| after);
    }
    told.push_str(rest);
    let told = told.trim();
    match told.char_indices().nth(MAX_LEN) {
        Some((end, _)) => format!("{}…", told.get(..end).unwrap_or(told)),
        None if told.is_empty() => "the client does not say why".to_owned(),
        None => told.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_messages_are_left_out_and_secrets_are_not_spoken_of() {
        let quote = |number: u8| {
            format!("goo.gle/debugstr  \nname: \"a\\n: b\"\nx {{\n  y: {number}\n}}\n: no: {number}")
        };
        for (message, expected) in [
            (quote(1), "no: 1".to_owned()),
            (
                format!("Error adding c1: {}\nc2: {}\n", quote(1), quote(2)),
                "Error adding c1: no: 1\nc2: no: 2".to_owned(),
            ),
            ("plain".to_owned(), "plain".to_owned()),
            ("goo.gle/debugonly \nname: \"no end".to_owned(), "the client does not say why".to_owned()),
            ("ü".repeat(3_000), format!("{}…", "ü".repeat(MAX_LEN))),
        ] {
            assert_eq!(words(ResourceType::Cluster, &message), expected);
        }
        let secret = words(ResourceType::Secret, "inline_string: \"sk-canary\"");
        assert!(!secret.contains("canary"), "{secret}");
    }
}
