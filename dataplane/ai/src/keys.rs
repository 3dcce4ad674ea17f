//! Virtual keys: which key a request shows, what it may ask for, and how much of its budgets it is to reserve.

mod estimate;
pub mod sharing;

use std::collections::HashMap;
use std::sync::Arc;

use ai_config::{
    KeysConfig, RUNNING_KEY, SHARED_KEY, Schema, VirtualKey, digest_input, others_key, settled_key, slot_key,
    spent_key,
};
use sha2::{Digest, Sha256};

use self::sharing::{Question, Settlement};
use crate::exchange::Refusal;
use crate::json::Object;
use crate::metadata::Metadata;
use crate::model_routing::{self, Named};
use crate::operation::Operation;

pub use estimate::{MAX_MICROS, Market, Reservation};

/// How budgets are named that count requests, tokens and money.
const REQUESTS: &str = "requests";
const TOKENS: &str = "tokens";
const MONEY: &str = "money";

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
    pub fn new(config: KeysConfig) -> Result<Self, String> {
        let mut sets = HashMap::new();
        for (name, set) in config.sets {
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

/// Whether a request has to be read before it may go on.
pub fn needs_body(key: &VirtualKey) -> bool {
    key.models.is_some() || counts_tokens(key)
}

/// Whether the tokens of its requests are counted, or what they cost.
fn counts_tokens(key: &VirtualKey) -> bool {
    key.budgets.keys().any(|counted| counted != REQUESTS)
}

/// Whether it is counted what its requests cost.
pub fn counts_money(key: &VirtualKey) -> bool {
    key.budgets.contains_key(MONEY)
}

/// Whether a key may be used for connections that become something else than HTTP: nobody sees what is asked for in them.
///
/// # Errors
/// It may not.
pub fn check_upgrade(key: &VirtualKey, schema: Schema) -> Result<(), Refusal> {
    match needs_body(key) {
        true => Err(Refusal::forbidden(schema, "", "this API key is not for connections that are upgraded")),
        false => Ok(()),
    }
}

/// What a request may come to, if a key may send it. `body` is `None` where nothing is asked of a model.
///
/// # Errors
/// The key may not be used for it.
pub fn admit(
    key: &VirtualKey,
    path: &str,
    body: Option<&[u8]>,
    market: &Market<'_>,
    schema: Schema,
) -> Result<Reservation, Refusal> {
    let Some(body) = body else { return Ok(Reservation::default()) };
    let object = if needs_body(key) { Object::parse(body).ok() } else { None };
    let counts_money = counts_money(key);
    let model = if key.models.is_some() || counts_money {
        match (model_routing::named(path)?, &object) {
            (Named::ByPath(model), _) => Some(model),
            (Named::ByBody, Some(object)) => model_routing::named_in(object, schema)?,
            (Named::ByBody, None) => None,
        }
    } else {
        None
    };
    if let Some(models) = &key.models {
        check_model(models, model.as_deref(), schema)?;
    }
    if !counts_tokens(key) {
        return Ok(Reservation::default());
    }
    let expected = estimate::expected(path, body.len(), object.as_ref());
    let micros = match counts_money && Operation::of(path).asks_model() {
        true => market.micros(model.as_deref(), &expected, key.refuses_unpriced, schema)?,
        false => 0,
    };
    Ok(Reservation { tokens: estimate::tokens(&expected), micros })
}

/// Whether a key for these models may ask for one; `None` is a request that names none.
fn check_model(models: &[String], model: Option<&str>, schema: Schema) -> Result<(), Refusal> {
    let Some(model) = model else {
        let message = "this API key is for some models alone, and the request names none";
        return Err(Refusal::forbidden(schema, "model", message));
    };
    let fits = |allowed: &String| match allowed.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix),
        None => model == allowed,
    };
    match models.iter().any(fits) {
        true => Ok(()),
        false => Err(Refusal::forbidden(schema, "model", "this API key is not for this model")),
    }
}

/// The budgets in which requests with a key are counted: two keys have the same if they have the same budgets.
pub fn account(key: &VirtualKey) -> String {
    key.budgets.values().flatten().map(|budget| [budget.as_str(), "\n"].concat()).collect()
}

/// Whether requests with a key can share a reservation: not where each of them is counted.
pub fn can_share(key: &VirtualKey) -> bool {
    !key.budgets.contains_key(REQUESTS)
}

/// What is noted of a request with a key, for its budgets and for access logs. `name` is that of the request.
pub fn begun(key: &VirtualKey, name: &str, reserved: Reservation, question: Question) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.text("key", &key.name);
    if key.budgets.is_empty() {
        return metadata;
    }
    metadata.text(RUNNING_KEY, name);
    if question == Question::None {
        return metadata;
    }
    metadata.text("request", name);
    if let Question::Shared(times) = question {
        metadata.text(SHARED_KEY, &times.to_string());
    }
    metadata.number(TOKENS, reserved.tokens);
    metadata.number(MONEY, reserved.micros);
    add_budgets(&mut metadata, key);
    metadata
}

/// What is noted of a request that has ended: what is to be settled. `question` is what the service was asked when it began.
pub fn ended(key: &VirtualKey, settled: &[Settlement], question: Question) -> Metadata {
    let mut metadata = Metadata::new();
    for (number, Settlement { name, spent, others }) in settled.iter().enumerate() {
        metadata.text(&settled_key(number), name);
        metadata.number(&spent_key(number, TOKENS), spent.tokens);
        metadata.number(&spent_key(number, MONEY), spent.micros);
        if *others > 0 {
            metadata.text(&others_key(number), &others.to_string());
        }
    }
    if !settled.is_empty() && question == Question::None {
        add_budgets(&mut metadata, key);
    }
    metadata
}

fn add_budgets(metadata: &mut Metadata, key: &VirtualKey) {
    for (counted, budgets) in &key.budgets {
        for (number, budget) in budgets.iter().enumerate() {
            metadata.text(&slot_key(counted, number), budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use ai_config::KeySet;
    use serde_json::json;

    use super::*;

    const SALT: &str = "salt";
    const NOW: i64 = 1_000;

    fn keys(named: &[(&str, VirtualKey)]) -> Keys {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let named = named.iter().map(|(credential, key)| {
            (hex(&Sha256::digest(digest_input(SALT, credential.as_bytes()))), key.clone())
        });
        let set = KeySet { salt: SALT.to_owned(), keys: named.collect() };
        Keys::new(KeysConfig { sets: [("s".to_owned(), set)].into(), ..KeysConfig::default() }).unwrap()
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

    #[test]
    fn a_key_for_some_models_is_for_no_other_ones() {
        let models = ["gpt-4o", "claude-*"].map(str::to_owned).to_vec();
        let some = VirtualKey { models: Some(models), ..named("n/k") };
        let none = VirtualKey { models: Some(Vec::new()), ..named("n/k") };
        let is_allowed = |key: &VirtualKey, model: Option<&str>| {
            let body = model.map_or_else(|| json!({}), |model| json!({"model": model})).to_string();
            admit(key, "/v1/chat/completions", Some(body.as_bytes()), &Market::default(), Schema::OpenAi)
                .is_ok()
        };
        for (model, expected) in [
            (Some("gpt-4o"), true),
            (Some("claude-"), true),
            (Some("claude-opus"), true),
            (Some("gpt-4o-mini"), false),
            (Some("GPT-4o"), false),
            (Some("my-claude-opus"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_allowed(&some, model), expected, "{model:?}");
            assert!(is_allowed(&named("n/k"), model) && !is_allowed(&none, model), "{model:?}");
        }
        assert!(
            check_upgrade(&some, Schema::OpenAi).is_err()
                && check_upgrade(&named("k"), Schema::OpenAi).is_ok()
        );
    }

    #[test]
    fn what_is_noted_has_a_place_for_each_budget() {
        let budgets = [("tokens".to_owned(), vec!["{a}".to_owned(), "{b}".to_owned()])];
        let key = VirtualKey { budgets: budgets.into(), ..named("n/k") };
        let noted = |question| {
            let reservation = Reservation { tokens: 7, micros: 1234 };
            String::from_utf8_lossy(begun(&key, "id", reservation, question).as_bytes()).into_owned()
        };
        let parts =
            ["key", "n/k", "running", "id", "request", "tokens.0", "{a}", "tokens.1", "{b}", "shared"];
        let there = |noted: &str| parts.map(|part| noted.contains(part));
        assert_eq!(there(&noted(Question::Shared(32))), [true; 10]);
        assert_eq!(there(&noted(Question::Own))[..9], [true; 9]);
        assert!(!noted(Question::Own).contains("shared"));
        assert_eq!(there(&noted(Question::None))[..5], [true, true, true, true, false]);
        assert!(!noted(Question::None).contains("{a}"), "nothing is asked");
    }

    #[test]
    fn keys_share_that_have_the_same_budgets() {
        let of = |budgets: &[(&str, &[&str])]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let budgets = budgets.iter().map(|(counted, budgets)| ((*counted).to_owned(), texts(budgets)));
            VirtualKey { budgets: budgets.collect(), ..named("n/k") }
        };
        let one = of(&[("tokens", &["a", "b"])]);
        assert_eq!(account(&one), account(&VirtualKey { name: "n/other".to_owned(), ..one.clone() }));
        for other in [of(&[("tokens", &["a"])]), of(&[("tokens", &["ab"])]), of(&[("tokens", &["b", "a"])])] {
            assert_ne!(account(&one), account(&other));
        }
        assert!(can_share(&one) && !can_share(&of(&[("tokens", &["a"]), ("requests", &["c"])])));
    }
}
