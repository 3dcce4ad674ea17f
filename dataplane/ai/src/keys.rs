//! Virtual keys: which key a request shows, what it may ask for, and how much of its budgets it is to reserve.

use std::collections::HashMap;
use std::sync::Arc;

use ai_config::{KeysConfig, Schema, VirtualKey, digest_input, slot_key};
use sha2::{Digest, Sha256};

use crate::exchange::Refusal;
use crate::json::Object;
use crate::metadata::Metadata;
use crate::model_routing::{self, Named};
use crate::operation::Operation;
use crate::usage::BYTES_PER_TOKEN;

/// The headers in which the SDKs of providers send keys, in the order in which they are looked at.
pub const HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// The scheme of `authorization` (RFC 6750), without the blank behind it. Case does not count.
const BEARER: &[u8] = b"bearer";

/// How many tokens an answer may come to whose request sets no limit.
const USUAL_ANSWER: u64 = 4096;

/// More than that no request reserves: Envoy takes no larger amount.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Members of a request that limit an answer, of any API, and members that hold such members.
const LIMITS: [&str; 5] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens"];
const NESTED: [&str; 3] = ["generationConfig", "generation_config", "inferenceConfig"];

/// Members that say how many answers there are to be.
const CHOICES: [&str; 3] = ["n", "candidateCount", "candidate_count"];

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
    key.budgets.keys().any(|counted| counted != "requests")
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

/// How many tokens a request may come to, if a key may send it. `body` is `None` where nothing is asked of a model.
///
/// # Errors
/// The key may not be used for it.
pub fn admit(key: &VirtualKey, path: &str, body: Option<&[u8]>, schema: Schema) -> Result<u64, Refusal> {
    let Some(body) = body else { return Ok(0) };
    let object = if needs_body(key) { Object::parse(body).ok() } else { None };
    if let Some(models) = &key.models {
        let model = match (model_routing::named(path)?, &object) {
            (Named::ByPath(model), _) => Some(model),
            (Named::ByBody, Some(object)) => model_routing::named_in(object, schema)?,
            (Named::ByBody, None) => None,
        };
        check_model(models, model.as_deref(), schema)?;
    }
    Ok(if counts_tokens(key) { estimate(path, body.len(), object.as_ref()) } else { 0 })
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

/// How many tokens a request may come to: those of its text, and as many as its answers may have.
fn estimate(path: &str, length: usize, object: Option<&Object<'_>>) -> u64 {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    let answer = object.and_then(|object| {
        let nested = NESTED.iter().filter_map(|name| Object::parse(object.get(name)?).ok());
        let most = |object: &Object<'_>, names: &[&str]| largest(object, names);
        let all: Vec<_> = nested.collect();
        let limit = all.iter().chain([object]).filter_map(|object| most(object, &LIMITS)).max();
        let choices = all.iter().chain([object]).filter_map(|object| most(object, &CHOICES)).max();
        (limit.is_some() || choices.is_some())
            .then(|| limit.unwrap_or(USUAL_ANSWER).saturating_mul(choices.unwrap_or(1)))
    });
    let usual = if Operation::of(path).writes_text() { USUAL_ANSWER } else { 0 };
    length.div_ceil(BYTES_PER_TOKEN).saturating_add(answer.unwrap_or(usual)).min(MAX_TOKENS)
}

/// The largest number of members with these names, each of which may stand there more than once.
fn largest(object: &Object<'_>, names: &[&str]) -> Option<u64> {
    let values = names.iter().flat_map(|name| object.all(name));
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a conversion that saturates, of a number of tokens"
    )]
    // Of nothing or less no provider knows what it means.
    values.filter_map(number).map(|number| number.ceil() as u64).filter(|number| *number > 0).max()
}

/// What is noted of a request with a key, for its budgets and for access logs. `request` names the request.
pub fn spending(key: &VirtualKey, request: &str, tokens: u64) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.text("key", &key.name);
    if key.budgets.is_empty() {
        return metadata;
    }
    metadata.text("request", request);
    metadata.number("tokens", tokens);
    for (counted, budgets) in &key.budgets {
        for (number, budget) in budgets.iter().enumerate() {
            metadata.text(&slot_key(counted, number), budget);
        }
    }
    metadata
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
            admit(key, "/v1/chat/completions", Some(body.as_bytes()), Schema::OpenAi).is_ok()
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
    fn a_request_reserves_what_its_text_and_its_answers_may_come_to() {
        let counted = VirtualKey { budgets: [("tokens".to_owned(), Vec::new())].into(), ..named("n/k") };
        let estimate = |path: &str, body: &[u8]| admit(&counted, path, Some(body), Schema::OpenAi).unwrap();
        let of = |path: &str, body: &str| {
            estimate(path, body.as_bytes()) - u64::try_from(body.len()).unwrap().div_ceil(BYTES_PER_TOKEN)
        };
        let chat = "/v1/chat/completions";
        for (path, body, answer) in [
            (chat, r#"{"messages":[]}"#, USUAL_ANSWER),
            (chat, r#"{"max_tokens":7}"#, 7),
            (chat, r#"{"max_tokens":7,"max_completion_tokens":9,"n":3}"#, 27),
            (chat, r#"{"n":2}"#, 2 * USUAL_ANSWER),
            (chat, r#"{"max_tokens":7,"max_tokens":70}"#, 70),
            (chat, r#"{"max_tokens":"7"}"#, USUAL_ANSWER),
            (chat, r#"{"max_tokens":null}"#, USUAL_ANSWER),
            (chat, r#"{"max_tokens":-5}"#, USUAL_ANSWER),
            (chat, r#"{"max_tokens":0,"n":0}"#, USUAL_ANSWER),
            (chat, r#"{"max_tokens":7.2e1}"#, 72),
            (chat, "not JSON", USUAL_ANSWER),
            ("/v1/responses", r#"{"max_output_tokens":11}"#, 11),
            ("/v1/messages", r#"{"max_tokens":12}"#, 12),
            (
                "/v1beta/models/m:generateContent",
                r#"{"generationConfig":{"maxOutputTokens":13,"candidateCount":2}}"#,
                26,
            ),
            ("/model/m/converse", r#"{"inferenceConfig":{"maxTokens":14}}"#, 14),
            ("/v1/completions", r#"{"prompt":"x"}"#, USUAL_ANSWER),
            ("/v1/embeddings", r#"{"input":"x"}"#, 0),
            ("/v1/audio/transcriptions", "--x", 0),
            ("/anything", r#"{"messages":[]}"#, USUAL_ANSWER),
        ] {
            assert_eq!(of(path, body), answer, "{path} {body}");
        }
        assert_eq!(estimate(chat, br#"{"max_tokens":1e300,"n":9}"#), MAX_TOKENS);
    }

    #[test]
    fn what_is_noted_has_a_place_for_each_budget() {
        let budgets = [("tokens".to_owned(), vec!["{a}".to_owned(), "{b}".to_owned()])];
        let key = VirtualKey { budgets: budgets.into(), ..named("n/k") };
        let text = String::from_utf8_lossy(spending(&key, "id", 7).as_bytes()).into_owned();
        for part in ["key", "n/k", "request", "id", "tokens.0", "{a}", "tokens.1", "{b}"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
