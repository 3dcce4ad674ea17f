//! Virtual keys: which key a request shows, what it may ask for, and how much of its budgets it is to reserve. And budgets over
//! claims of tokens.

mod account;
mod claims;
mod estimate;
pub mod settling;
pub mod sharing;

use std::collections::HashMap;
use std::sync::Arc;

use ai_config::{KeySet, Schema, VirtualKey, digest_input};
use sha2::{Digest, Sha256};

use crate::exchange::Refusal;

pub use account::Account;
pub use claims::{Claimed, Claims};
pub use estimate::{MAX_MICROS, Market, Reservation};

/// The headers in which the SDKs of providers send keys, in the order in which they are looked at.
pub const HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// The scheme of `authorization` (RFC 6750), without the blank behind it. Case does not count.
const BEARER: &[u8] = b"bearer";

/// All keys that a Gateway's routes ask for.
#[derive(Debug, Default)]
pub struct Keys {
    sets: HashMap<String, Set>,
}

#[derive(Debug)]
struct Set {
    salt: String,
    keys: HashMap<[u8; 32], Arc<VirtualKey>>,
}

/// A key that a request has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The key.
    pub key: Arc<VirtualKey>,
    /// The header that it stood in. The backend is not to see it.
    pub header: &'static str,
}

impl Keys {
    /// # Errors
    /// A key is not named by the hexadecimal digits of a SHA-256.
    pub fn new(named: impl IntoIterator<Item = (String, KeySet)>) -> Result<Self, String> {
        let mut sets = HashMap::new();
        for (name, set) in named {
            let keys = set.keys.into_iter().map(|(digits, key)| {
                let hash = from_hex(&digits).ok_or_else(|| format!("{:?} is no SHA-256", key.name))?;
                Ok((hash, Arc::new(key)))
            });
            let keys = keys.collect::<Result<_, String>>()?;
            sets.insert(name, Set { salt: set.salt, keys });
        }
        Ok(Self { sets })
    }

    /// The key of a set that a request shows. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// It shows none, or one that opens nothing.
    pub fn shown<'a>(
        &self,
        set: &str,
        header: impl Fn(&str) -> Option<&'a [u8]>,
        now: i64,
        schema: Schema,
    ) -> Result<Shown, Refusal> {
        let Some(set) = self.sets.get(set) else {
            return Err(Refusal::misconfigured(schema, "the keys of this route are not known"));
        };
        let mut is_any_there = false;
        let shown = HEADERS.into_iter().find_map(|name| {
            let credential = credential(name, header(name)?)?;
            is_any_there = true;
            let hash: [u8; 32] = Sha256::digest(digest_input(&set.salt, credential)).into();
            Some(Shown { key: set.keys.get(&hash)?.clone(), header: name })
        });
        let Some(shown) = shown else {
            let message = if is_any_there { "the API key is not valid" } else { "an API key is missing" };
            return Err(Refusal::unauthenticated(schema, message));
        };
        if shown.key.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::unauthenticated(schema, "the API key has expired"));
        }
        if let Some(why) = &shown.key.blocked {
            return Err(Refusal::misconfigured(schema, why));
        }
        Ok(shown)
    }
}

/// The credential in a header.
fn credential<'a>(name: &str, value: &'a [u8]) -> Option<&'a [u8]> {
    let credential = if name == "authorization" {
        let (scheme, rest) = value.split_at_checked(BEARER.len())?;
        let rest = rest.strip_prefix(b" ")?;
        scheme.eq_ignore_ascii_case(BEARER).then_some(rest)?
    } else {
        value
    };
    let credential = credential.trim_ascii();
    (!credential.is_empty()).then_some(credential)
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "salt";
    const NOW: i64 = 1_000;

    fn keys(named: &[(&str, VirtualKey)]) -> Keys {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let named = named.iter().map(|(credential, key)| {
            (hex(&Sha256::digest(digest_input(SALT, credential.as_bytes()))), key.clone())
        });
        let set = KeySet { salt: SALT.to_owned(), keys: named.collect() };
        Keys::new([("s".to_owned(), set)]).unwrap()
    }

    fn named(name: &str) -> VirtualKey {
        VirtualKey { name: name.to_owned(), ..VirtualKey::default() }
    }

    /// The key that headers show and the header of it, or the status of the refusal.
    fn shown(keys: &Keys, headers: &[(&str, &str)]) -> Result<(String, &'static str), u16> {
        let header = |name: &str| {
            let found = headers.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let shown = keys.shown("s", header, NOW, Schema::OpenAi).map_err(|refusal| refusal.status)?;
        Ok((shown.key.name.clone(), shown.header))
    }

    #[test]
    fn a_key_is_found_in_every_header_of_the_sdks_and_in_no_other_form() {
        let keys = keys(&[("sk-one", named("n/one")), ("sk-two", named("n/two"))]);
        let one = |header| Ok(("n/one".to_owned(), header));
        for (headers, expected) in [
            (vec![("authorization", "Bearer sk-one")], one("authorization")),
            (vec![("authorization", "bEARER  sk-one ")], one("authorization")),
            (vec![("x-api-key", "sk-one")], one("x-api-key")),
            (vec![("api-key", "sk-one")], one("api-key")),
            (vec![("x-goog-api-key", "sk-one")], one("x-goog-api-key")),
            // A token of somebody else's beside it.
            (vec![("authorization", "Bearer a.b.c"), ("x-api-key", "sk-one")], one("x-api-key")),
            (
                vec![("authorization", "Bearer sk-two"), ("x-api-key", "sk-one")],
                Ok(("n/two".to_owned(), "authorization")),
            ),
            (vec![], Err(401)),
            (vec![("authorization", "sk-one")], Err(401)),
            (vec![("authorization", "Basic sk-one")], Err(401)),
            (vec![("authorization", "Bearersk-one")], Err(401)),
            (vec![("authorization", "Bearer ")], Err(401)),
            (vec![("x-api-key", "Bearer sk-one")], Err(401)),
            (vec![("x-api-key", "")], Err(401)),
            (vec![("x-api-key", "SK-ONE")], Err(401)),
            (vec![("x-api-key", "sk-one,sk-one")], Err(401)),
            (vec![("x-api-key", "sk-onee")], Err(401)),
            (vec![("x-api-key", "sk-on")], Err(401)),
            (vec![("x-other", "sk-one")], Err(401)),
        ] {
            assert_eq!(shown(&keys, &headers), expected, "{headers:?}");
        }
        let other = keys.shown("other", |_| Some(b"sk-one"), NOW, Schema::OpenAi);
        assert_eq!(other.unwrap_err().status, 500, "a set that is not there opens nothing");
    }

    #[test]
    fn a_key_opens_nothing_after_its_time_or_without_its_budgets() {
        let at = |expires| VirtualKey { expires: Some(expires), ..named("n/k") };
        let blocked = VirtualKey { blocked: Some("a budget is broken".to_owned()), ..named("n/k") };
        let keys = keys(&[("a", at(NOW)), ("b", at(NOW + 1)), ("c", blocked)]);
        assert_eq!(shown(&keys, &[("x-api-key", "a")]), Err(401));
        assert_eq!(shown(&keys, &[("x-api-key", "b")]), Ok(("n/k".to_owned(), "x-api-key")));
        assert_eq!(shown(&keys, &[("x-api-key", "c")]), Err(500));
    }
}
