//! Ids of tool calls, which providers restrict in different ways.

use std::borrow::Cow;

/// The most that Bedrock takes.
const MAX_LENGTH: usize = 64;

/// The id for a provider that takes letters, digits, `_` and `-` only; hosts of OpenAI's protocol also
/// make ids of other characters. The same id gives the same result, so calls and results still match.
pub(super) fn safe(id: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.len() <= MAX_LENGTH && id.chars().all(allowed) {
        return Cow::Borrowed(id);
    }
    let kept: String = id.chars().take(40).map(|c| if allowed(c) { c } else { '_' }).collect();
    Cow::Owned(format!("{kept}_{:016x}", fnv1a(id.as_bytes())))
}

/// FNV-1a: ids need to differ, not to be secret.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_safe_and_stay_apart() {
        assert_eq!(safe("call_7-a"), "call_7-a");
        let kimi = safe("functions.get_weather:0");
        assert!(kimi.starts_with("functions_get_weather_0_"));
        assert_ne!(kimi, safe("functions.get_weather.0"));
        assert!(safe(&"x".repeat(500)).len() <= MAX_LENGTH);
        assert!(!safe("").is_empty());
    }
}
