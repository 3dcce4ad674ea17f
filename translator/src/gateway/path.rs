//! Paths that users write: those that requests are compared with, and those that are put in their place.
//!
//! Envoy normalises the path of a request before it looks for a route (`normalize_path`,
//! `merge_slashes`, escaped slashes; see `xds/hcm.rs`). A path to compare with is brought into the same
//! form, or it would never match.

/// The longest path that is taken, in bytes (Gateway API, `HTTPPathMatch.value`).
const MAX_BYTES: usize = 1024;

/// Reads the path of an `Exact` or `PathPrefix` match; gives it as Envoy sees it in a request.
///
/// # Errors
/// It is not absolute, or no request can have it after normalisation; the message says why.
pub(crate) fn matched(path: &str) -> Result<String, String> {
    let refuse = |complaint: &str| Err(format!("the path {path:?} {complaint}"));
    if !path.starts_with('/') {
        return refuse("does not begin with /");
    }
    if path.len() > MAX_BYTES {
        return refuse("is longer than 1024 bytes");
    }
    if let Some(complaint) = unspeakable(path) {
        return refuse(complaint);
    }
    if path.contains(['#', '?']) {
        return refuse("contains # or ?, which end the path of a request");
    }
    let path = normal_escapes(path);
    let lower = path.to_ascii_lowercase();
    if path.contains('\\') || lower.contains("%2f") || lower.contains("%5c") {
        return refuse("contains an escaped slash: a request with one is redirected to the path without it");
    }
    if lower.contains("%00") {
        return refuse("contains an escaped NUL, with which every request is refused");
    }
    if path.contains("//") {
        return refuse("contains //, which requests never have: slashes are merged");
    }
    if path.split('/').any(is_dot_segment) {
        return refuse("contains . or .. as an element, which requests never have: they are resolved");
    }
    Ok(path)
}

/// Checks a path, or its beginning, that is written in place of another. A query may stand behind it.
///
/// # Errors
/// It could not stand in a request line.
pub(crate) fn replacement(path: &str) -> Result<(), String> {
    let refuse = |complaint: &str| Err(format!("the path {path:?} {complaint}"));
    if !path.starts_with('/') {
        return refuse("does not begin with /");
    }
    if path.len() > MAX_BYTES {
        return refuse("is longer than 1024 bytes");
    }
    match unspeakable(path) {
        Some(complaint) => refuse(complaint),
        None => Ok(()),
    }
}

/// Checks what is put in place of the parts of a path that an expression with so many groups fits.
///
/// # Errors
/// It could not stand in a request line, or refers to a group that there is not.
pub(crate) fn substitution(text: &str, groups: usize) -> Result<(), String> {
    let refuse = |complaint: String| Err(format!("{text:?} {complaint}"));
    if let Some(complaint) = unspeakable(text) {
        return refuse(complaint.to_owned());
    }
    if text.contains(['#', '?']) {
        return refuse("contains # or ?, which end the path of a request".to_owned());
    }
    let mut rest = text.chars();
    while let Some(character) = rest.by_ref().next() {
        if character != '\\' {
            continue;
        }
        match rest.next().map(|next| (next, next.to_digit(10))) {
            Some(('\\', _)) => {}
            Some((_, Some(group))) if usize::try_from(group).is_ok_and(|group| group <= groups) => {}
            Some((_, Some(group))) => {
                return refuse(format!("refers to the group {group}, of which the expression has {groups}"));
            }
            _ => {
                return refuse(
                    "has a backslash that is followed by neither a digit nor another one".to_owned(),
                );
            }
        }
    }
    Ok(())
}

/// What makes a text one that no request line can hold.
fn unspeakable(text: &str) -> Option<&'static str> {
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        Some("contains a space or a control character; a space is written %20")
    } else if !text.is_ascii() {
        Some(
            "contains a character that is not ASCII; it is written as escapes of its UTF-8 bytes, such as %C3%A4",
        )
    } else {
        None
    }
}

/// What normalisation does to escapes: those of letters, digits and `-._~` are decoded, and characters
/// that a path must not hold are escaped. Other escapes stay as they are, in their case.
fn normal_escapes(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(char) = rest.chars().next() {
        let decoded = escape(rest)
            .map(char::from)
            .filter(|decoded| decoded.is_ascii_alphanumeric() || matches!(decoded, '-' | '.' | '_' | '~'));
        if let Some(decoded) = decoded {
            normal.push(decoded);
            rest = rest.get(3..).unwrap_or_default();
            continue;
        }
        match char {
            '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => {
                normal.push_str(&format!("%{:02X}", u32::from(char)));
            }
            _ => normal.push(char),
        }
        rest = rest.get(char.len_utf8()..).unwrap_or_default();
    }
    normal
}

/// The byte that an escape at the beginning of a text stands for.
fn escape(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// Whether a path element means "here" or "one up". What follows a `;` does not count (seen in 1.40).
fn is_dot_segment(element: &str) -> bool {
    matches!(element.split(';').next(), Some("." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matched_paths_are_brought_into_the_form_that_requests_have() {
        for (written, seen) in [
            ("/", "/"),
            ("/a/b.c", "/a/b.c"),
            ("/a;b=1", "/a;b=1"),
            ("/%41", "/A"),
            ("/a%2Db", "/a-b"),
            ("/%7Euser", "/~user"),
            ("/%7euser", "/~user"),
            ("/a%2e%2e/b", "/a../b"),
            ("/a%3Ab%3a", "/a%3Ab%3a"),
            ("/a{b}|\"c\"", "/a%7Bb%7D%7C%22c%22"),
            ("/%", "/%"),
            ("/%zz%4", "/%zz%4"),
            ("/%25%34%31", "/%2541"),
            ("/.../..a/a../.a", "/.../..a/a../.a"),
        ] {
            assert_eq!(matched(written).as_deref(), Ok(seen), "{written}");
        }
    }

    #[test]
    fn a_path_that_no_request_has_is_refused() {
        for bad in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/..",
            "/%2e%2E/b",
            "/a/.%2e",
            "/..;x/b",
            "/.;",
            "/a?b",
            "/a#b",
            "/%2Fa",
            "/a%5cb",
            "/a\\b",
            "/a b",
            "/a\tb",
            "/ä",
            "/%00",
            "/\u{7f}",
        ] {
            assert!(matched(bad).is_err(), "{bad:?}");
        }
        assert!(matched(&format!("/{}", "a".repeat(1024))).is_err());
    }

    #[test]
    fn a_substitution_refers_to_groups_that_there_are() {
        for (good, groups) in [("/a", 0), (r"/\0", 0), (r"/\2/\1", 2), (r"a\\b", 0), ("%2F", 0)] {
            assert_eq!(substitution(good, groups), Ok(()), "{good}");
        }
        for (bad, groups) in [
            (r"/\1", 0),
            (r"/\3", 2),
            (r"/\g<a>", 1),
            ("/a\\", 0),
            ("/a?b", 0),
            ("#", 0),
            ("a b", 0),
            ("ä", 0),
        ] {
            assert!(substitution(bad, groups).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_replacement_may_hold_what_a_match_may_not() {
        for good in ["/", "/grp%2Fproj", "/a//b", "/a/../b", "/a?b=c", "/a?b=http://c", "/%"] {
            assert_eq!(replacement(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/a b", "/a\r\nb", "/ä", "/\0"] {
            assert!(replacement(bad).is_err(), "{bad:?}");
        }
    }
}
