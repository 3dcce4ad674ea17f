//! What most events of a stream do not say, seen without reading them.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Whether an event says nothing about the usage that is not null: most events of a stream whose client asks for the
/// usage, since OpenAI writes `"usage":null` into them.
pub(super) fn is_without_usage(event: &[u8]) -> bool {
    static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"usage"));
    USAGE.find_iter(event).all(|at| {
        let behind = event.get(at + b"usage".len()..).unwrap_or_default();
        let is_name = at > 0 && event.get(at - 1) == Some(&b'"');
        is_name && (behind.starts_with(b"\":null") || behind.starts_with(b"\": null"))
    })
}

/// Whether an event does not say why a choice has ended: most events of a stream, in which OpenAI writes
/// `"finish_reason":null`.
pub(super) fn is_without_finish(event: &[u8]) -> bool {
    // `finish_reason`, `finishReason`, `stop_reason`, `stopReason`.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"eason\""));
    NAME.find_iter(event).all(|at| {
        let behind = event.get(at + b"eason\"".len()..).unwrap_or_default();
        behind.starts_with(b":null") || behind.starts_with(b": null")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_that_is_null_says_nothing() {
        for (event, is_without) in [
            (r#"data: {"choices":[],"usage":null}"#, true),
            (r#"data: {"usage": null,"x":{"usage":null}}"#, true),
            (r#"data: {"choices":[]}"#, true),
            (r#"data: {"usage":null,"usage":{"total_tokens":1}}"#, false),
            (r#"data: {"usageMetadata":{}}"#, false),
            (r#"data: {"text":"\"usage\":null"}"#, false),
            (r#"data: {"text":"usage"}"#, false),
            ("usage", false),
        ] {
            assert_eq!(is_without_usage(event.as_bytes()), is_without, "{event}");
        }
    }
}
