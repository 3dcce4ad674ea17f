//! Bearer tokens.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Longer ones are refused unread. Tokens of service accounts have about 1 KiB.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// What a proxy shows to prove who it is. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// A token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token of a request, if there is exactly one `authorization` header and it carries one.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim();
        let is_fine =
            scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN_LEN;
        is_fine.then(|| Self::new(token))
    }

    /// The token itself, for the API server alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands for it where it must not be kept.
    pub(super) fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(&self.0).into())
    }

    /// What the token says of itself. Believed only once a review has said that it is genuine; before that
    /// it serves to refuse without asking.
    pub(super) fn claims(&self) -> Option<Claims> {
        let mut parts = self.0.split('.');
        let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let audiences = match payload.get("aud")? {
            Value::String(audience) => vec![audience.clone()],
            Value::Array(audiences) => {
                audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => return None,
        };
        let expires_at =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(payload.get("exp")?.as_u64()?))?;
        Some(Claims { audiences, expires_at })
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TokenDigest([u8; 32]);

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) audiences: Vec<String>,
    pub(super) expires_at: SystemTime,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let values =
            values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        values.collect()
    }

    #[test]
    fn a_token_is_read_from_exactly_one_bearer_header() {
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN_LEN + 1));
        let rows: [(&[&str], Option<&str>); 8] = [
            (&[], None),
            (&["Bearer a.b.c"], Some("a.b.c")),
            (&["bearer  a.b.c "], Some("a.b.c")),
            (&["Basic a.b.c"], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Bearer a.b.c", "Bearer a.b.c"], None),
            (&[&long], None),
        ];
        for (values, expected) in rows {
            assert_eq!(
                BearerToken::from_headers(&headers(values)),
                expected.map(BearerToken::new),
                "{values:?}"
            );
        }
    }

    #[test]
    fn claims_are_read_or_refused_as_a_whole() {
        let token = |payload: &str| BearerToken::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)));
        let claims = |audiences: &[&str]| Claims {
            audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
            expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
        };
        let rows = [
            (r#"{"aud":"a","exp":7}"#, Some(claims(&["a"]))),
            (r#"{"aud":["a","b"],"exp":7}"#, Some(claims(&["a", "b"]))),
            (r#"{"aud":["a"]}"#, None),
            (r#"{"exp":7}"#, None),
            (r#"{"aud":["a"],"exp":-7}"#, None),
            (r#"{"aud":["a"],"exp":18446744073709551615}"#, None),
            ("7", None),
            ("x", None),
        ];
        for (payload, expected) in rows {
            assert_eq!(token(payload).claims(), expected, "{payload}");
        }
        for token in ["", "a", "a.b", "e30.e30", "e30.!.e30", "e30.e30.e30.e30"] {
            assert_eq!(BearerToken::new(token).claims(), None, "{token}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        assert_eq!(format!("{:?}", BearerToken::new("canary")), "BearerToken(…)");
    }
}
