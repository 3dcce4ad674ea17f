//! Names of HTTP headers that an object wants to edit.

/// Headers that delimit messages or belong to one connection (RFC 9110 §7.6.1, RFC 9112 §6,
/// RFC 9113 §3.2.1). The proxy writes them itself, for each connection; whoever could edit them could
/// end a message early, so that the rest of a body becomes a request of its own. In lower case.
pub const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the name of a header that is set, added, removed, or filled with a credential; gives it in
/// lower case, in which Envoy compares names.
///
/// # Errors
/// It is not a token (RFC 9110 §5.1), longer than 256 bytes (Gateway API, `HTTPHeaderName`), or a
/// header that must not be edited. A name with `_` for `-` counts as the same name, since some servers
/// read both alike.
pub fn editable_name(name: &str) -> Result<String, String> {
    let name = name_token(name)?;
    let hyphenated = name.replace('_', "-");
    if FRAMING.contains(&hyphenated.as_str()) {
        return Err(format!(
            "the header {name:?} frames messages or belongs to one connection, so it cannot be edited"
        ));
    }
    Ok(name)
}

/// Reads the name of a header; gives it in lower case.
///
/// # Errors
/// It is not a token (RFC 9110 §5.1), or longer than 256 bytes (Gateway API, `HTTPHeaderName`).
pub fn name_token(name: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 256 || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is not a header name"));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(name_token("X-Custom").as_deref(), Ok("x-custom"));
        assert_eq!(editable_name("X-Custom").as_deref(), Ok("x-custom"));
        for bad in ["", "a b", ":path", "a:", "ä", "a\n", &"a".repeat(257)] {
            assert!(name_token(bad).is_err() && editable_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn framing_headers_cannot_be_edited_however_they_are_spelled() {
        for name in FRAMING {
            let capital = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
            let capital = capital.collect::<Vec<_>>().join("-");
            for spelling in [name.to_owned(), name.to_uppercase(), capital, name.replace('-', "_")] {
                let error = editable_name(&spelling).unwrap_err();
                assert!(error.contains("cannot be edited"), "{spelling}: {error}");
            }
            for neighbour in [format!("x-{name}"), format!("{name}-x"), format!("{name}1")] {
                assert!(editable_name(&neighbour).is_ok(), "{neighbour}");
            }
        }
    }
}
