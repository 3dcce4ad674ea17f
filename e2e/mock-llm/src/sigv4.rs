//! Verifies AWS Signature Version 4, as the service does: by signing once more what arrived.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::request::Parts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The scheme of the `Authorization` header.
pub const SCHEME: &str = "AWS4-HMAC-SHA256";
/// How far the clock of a client may be off.
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// The block size of SHA-256, for HMAC.
const BLOCK: usize = 64;

/// A key pair that may sign.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize)]
pub struct AwsKey {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// What `x-amz-security-token` must carry, for temporary keys.
    #[serde(default)]
    pub session_token: Option<String>,
}

impl fmt::Debug for AwsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no `Authorization` header of this scheme.
    Missing,
    /// The header, or one that it needs, cannot be read; says which.
    Malformed(&'static str),
    /// Nobody knows the key, or its session token is another.
    UnknownKey,
    /// It was signed too long ago, or in the future.
    Expired,
    /// Signed with another secret, or changed on its way. Carries the canonical request as it is seen here.
    Mismatch(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing Authentication Token"),
            Self::Malformed(what) => write!(f, "Authorization header requires a valid {what}"),
            Self::UnknownKey => f.write_str("The security token included in the request is invalid."),
            Self::Expired => f.write_str("Signature expired"),
            Self::Mismatch(canonical) => write!(
                f,
                "The request signature we calculated does not match the signature you provided. \
                 The canonical string should have been: {canonical}"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    key: &'a str,
    /// Date, region, service, `aws4_request`.
    scope: [&'a str; 4],
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Whether a request bears a header of this scheme at all.
#[must_use]
pub fn is_signed(head: &Parts) -> bool {
    header(head, "authorization").is_some_and(|value| value.starts_with(SCHEME))
}

/// Verifies the signature of a request.
///
/// # Errors
/// See [`Refusal`].
pub fn verify(head: &Parts, body: &[u8], keys: &[AwsKey], now: SystemTime) -> Result<(), Refusal> {
    let value = header(head, "authorization").ok_or(Refusal::Missing)?;
    let authorization = parse(value.strip_prefix(SCHEME).ok_or(Refusal::Missing)?)?;
    let key = keys.iter().find(|key| key.access_key_id == authorization.key).ok_or(Refusal::UnknownKey)?;
    if header(head, "x-amz-security-token") != key.session_token.as_deref() {
        return Err(Refusal::UnknownKey);
    }
    let date = header(head, "x-amz-date").ok_or(Refusal::Malformed("X-Amz-Date"))?;
    let at = parse_date(date).ok_or(Refusal::Malformed("X-Amz-Date"))?;
    let off = now.duration_since(at).unwrap_or_else(|future| future.duration());
    if off > TOLERANCE || !date.starts_with(authorization.scope[0]) {
        return Err(Refusal::Expired);
    }
    let canonical = canonical_request(head, body, &authorization.signed_headers)?;
    let [day, region, service, end] = authorization.scope;
    let scope = authorization.scope.join("/");
    let to_sign = format!("{SCHEME}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let secret = format!("AWS4{}", key.secret_access_key);
    let signing_key = [day, region, service, end]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()).to_vec());
    if hex(&hmac(&signing_key, to_sign.as_bytes())) == authorization.signature {
        Ok(())
    } else {
        Err(Refusal::Mismatch(canonical))
    }
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn parse(fields: &str) -> Result<Authorization<'_>, Refusal> {
    let field = |name: &'static str| {
        let fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let mut values = fields.filter(|(key, _)| *key == name).map(|(_, value)| value);
        values.next().ok_or(Refusal::Malformed(name))
    };
    let mut credential = field("Credential")?.rsplitn(5, '/');
    let mut next = || credential.next().ok_or(Refusal::Malformed("Credential"));
    let (end, service, region, day, key) = (next()?, next()?, next()?, next()?, next()?);
    let signed_headers: Vec<&str> = field("SignedHeaders")?.split(';').collect();
    if !signed_headers.contains(&"host") {
        return Err(Refusal::Malformed("SignedHeaders"));
    }
    Ok(Authorization {
        key,
        scope: [day, region, service, end],
        signed_headers,
        signature: field("Signature")?,
    })
}

fn canonical_request(head: &Parts, body: &[u8], signed: &[&str]) -> Result<String, Refusal> {
    // Every service but S3 encodes the path that was sent once more.
    let path = encode(head.uri.path(), true);
    let mut query: Vec<String> =
        head.uri.query().unwrap_or_default().split('&').map(canonical_pair).collect();
    query.sort();
    query.retain(|pair| !pair.is_empty());
    let mut headers = String::new();
    for name in signed {
        let mut values: Vec<String> = head
            .headers
            .get_all(*name)
            .iter()
            .filter_map(|value| Some(trimmed(value.to_str().ok()?)))
            .collect();
        if values.is_empty() && *name == "host" {
            // HTTP/2 has the authority instead.
            values.extend(head.uri.authority().map(ToString::to_string));
        }
        if values.is_empty() {
            return Err(Refusal::Malformed("SignedHeaders"));
        }
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let hash = hex(&Sha256::digest(body));
    let (query, signed) = (query.join("&"), signed.join(";"));
    Ok(format!("{}\n{path}\n{query}\n{headers}\n{signed}\n{hash}", head.method))
}

fn canonical_pair(pair: &str) -> String {
    if pair.is_empty() {
        return String::new();
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    format!("{}={}", encode(&decode(name), false), encode(&decode(value), false))
}

/// One blank for each run of them, none at the ends.
fn trimmed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn encode(text: &str, keeps_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keeps_slash => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Undoes percent-encoding; what is no valid text after that becomes replacement characters.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// HMAC-SHA256 as RFC 2104 defines it.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The time of `20150830T123600Z`.
fn parse_date(date: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<u64>().ok();
    if date.len() != 16 || date.get(8..9) != Some("T") || !date.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Days since 1970, with years that begin in March so that a leap day is the last of its year.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = years / 4 - years / 100 + years / 400;
    let days = (365 * years + leap_days + (153 * months + 2) / 5 + day - 1).checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector `get-vanilla` of AWS' published test suite.
    const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    fn key() -> AwsKey {
        AwsKey {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        }
    }

    fn request(signature: &str) -> Parts {
        let authorization = format!(
            "{SCHEME} Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let request = http::Request::get("/")
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn then() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    #[test]
    fn the_known_vector_is_accepted() {
        assert_eq!(verify(&request(SIGNATURE), b"", &[key()], then()), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let mismatch = verify(&request(SIGNATURE), b"changed", &[key()], then());
        assert!(matches!(mismatch, Err(Refusal::Mismatch(_))), "{mismatch:?}");
        let wrong = verify(&request(&"0".repeat(64)), b"", &[key()], then());
        assert!(matches!(wrong, Err(Refusal::Mismatch(_))), "{wrong:?}");
        assert_eq!(verify(&request(SIGNATURE), b"", &[], then()), Err(Refusal::UnknownKey));
        assert_eq!(verify(&request(SIGNATURE), b"", &[key()], SystemTime::now()), Err(Refusal::Expired));
        let with_token = AwsKey { session_token: Some("t".to_owned()), ..key() };
        assert_eq!(verify(&request(SIGNATURE), b"", &[with_token], then()), Err(Refusal::UnknownKey));
        let (bare, ()) = http::Request::get("/").body(()).unwrap().into_parts();
        assert_eq!(verify(&bare, b"", &[key()], then()), Err(Refusal::Missing));
    }

    #[test]
    fn dates_are_read() {
        let seconds = |date| parse_date(date).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds("19700101T000000Z"), 0);
        assert_eq!(seconds("20240229T235959Z"), 1_709_251_199);
        assert_eq!(seconds("20150830T123600Z"), 1_440_938_160);
        assert_eq!(parse_date("2015-08-30T12:36"), None);
    }

    #[test]
    fn paths_are_encoded_once_more() {
        assert_eq!(encode("/model/a%3A0/converse", true), "/model/a%253A0/converse");
        assert_eq!(decode("a%3A0%zz%"), "a:0%zz%");
    }
}
