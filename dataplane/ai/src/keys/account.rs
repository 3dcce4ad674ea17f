//! What a request may ask for, and what it is counted in: for its key, and for its token.

use std::collections::BTreeSet;
use std::sync::Arc;

use ai_config::{RUNNING_KEY, SETTLED_KEY, SHARED_KEY, Schema, VirtualKey, slot_key, spent_key};

use super::sharing::Question;
use super::{Claimed, Market, Reservation, estimate};
use crate::exchange::Refusal;
use crate::json::Object;
use crate::metadata::Metadata;
use crate::model_routing::{self, Named};
use crate::operation::Operation;

/// How budgets are named that count requests, tokens and money.
const REQUESTS: &str = "requests";
const TOKENS: &str = "tokens";
const MONEY: &str = "money";

/// Who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The key that the request has shown, where it must show one.
    pub key: Option<Arc<VirtualKey>>,
    /// The budgets that it is counted in for its token.
    pub claimed: Claimed,
}

impl Account {
    /// Whether nothing is asked of a request, and it is counted nowhere.
    pub fn is_free(&self) -> bool {
        self.key.is_none() && self.claimed.budgets.is_empty()
    }

    fn models(&self) -> Option<&Vec<String>> {
        self.key.as_ref()?.models.as_ref()
    }

    /// What budgets count, some of it twice.
    fn all_counted(&self) -> impl Iterator<Item = &str> {
        let of_key = self.key.iter().flat_map(|key| key.budgets.keys());
        of_key.chain(self.claimed.budgets.keys()).map(String::as_str)
    }

    /// What budgets count.
    fn counted(&self) -> BTreeSet<&str> {
        self.all_counted().collect()
    }

    /// The budgets that count this: those of the key first.
    fn budgets(&self, counted: &str) -> impl Iterator<Item = &String> {
        let of_key = self.key.as_ref().and_then(|key| key.budgets.get(counted));
        of_key.into_iter().chain(self.claimed.budgets.get(counted)).flatten()
    }

    /// Whether a request has to be read before it may go on.
    pub fn needs_body(&self) -> bool {
        self.models().is_some() || self.counts_tokens()
    }

    /// Whether the tokens of its requests are counted, or what they cost.
    fn counts_tokens(&self) -> bool {
        self.all_counted().any(|counted| counted != REQUESTS)
    }

    /// Whether it is counted what its requests cost.
    pub fn counts_money(&self) -> bool {
        self.all_counted().any(|counted| counted == MONEY)
    }

    fn refuses_unpriced(&self) -> bool {
        self.claimed.refuses_unpriced || self.key.as_ref().is_some_and(|key| key.refuses_unpriced)
    }

    /// Whether it may be used for connections that become something else than HTTP: nobody sees what is asked for in them.
    ///
    /// # Errors
    /// It may not.
    pub fn check_upgrade(&self, schema: Schema) -> Result<(), Refusal> {
        let message = match self.key {
            _ if !self.needs_body() => return Ok(()),
            Some(_) => "this API key is not for connections that are upgraded",
            None => "this token is not for connections that are upgraded",
        };
        Err(Refusal::forbidden(schema, "", message))
    }

    /// What a request may come to, if it may be sent. `body` is `None` where nothing is asked of a model.
    ///
    /// # Errors
    /// It may not.
    pub fn admit(
        &self,
        path: &str,
        body: Option<&[u8]>,
        market: &Market<'_>,
        schema: Schema,
    ) -> Result<Reservation, Refusal> {
        let Some(body) = body else { return Ok(Reservation::default()) };
        let object = if self.needs_body() { Object::parse(body).ok() } else { None };
        let counts_money = self.counts_money();
        let model = if self.models().is_some() || counts_money {
            match (model_routing::named(path)?, &object) {
                (Named::ByPath(model), _) => Some(model),
                (Named::ByBody, Some(object)) => model_routing::named_in(object, schema)?,
                (Named::ByBody, None) => None,
            }
        } else {
            None
        };
        if let Some(models) = self.models() {
            check_model(models, model.as_deref(), schema)?;
        }
        if !self.counts_tokens() {
            return Ok(Reservation::default());
        }
        let expected = estimate::expected(path, body.len(), object.as_ref());
        let micros = match counts_money && Operation::of(path).asks_model() {
            true => market.micros(model.as_deref(), &expected, self.refuses_unpriced(), schema)?,
            false => 0,
        };
        Ok(Reservation { tokens: estimate::tokens(&expected), micros })
    }

    /// The budgets in which its requests are counted, each in a line, behind what it counts: two accounts that have the same share what
    /// is reserved. The text of a budget has no line breaks.
    pub fn shared_by(&self) -> String {
        let all = self.counted().into_iter().flat_map(|counted| {
            self.budgets(counted).flat_map(move |budget| [counted, " ", budget.as_str(), "\n"])
        });
        all.collect()
    }

    /// Whether requests can share what is reserved: not where each of them is counted.
    pub fn can_share(&self) -> bool {
        self.all_counted().all(|counted| counted != REQUESTS)
    }

    /// Whether its requests are counted in budgets.
    pub fn is_counted(&self) -> bool {
        self.all_counted().next().is_some()
    }

    /// What is noted of a request, for its budgets and for access logs. `name` is that of the request.
    pub fn begun(&self, name: &str, reserved: Reservation, question: Question) -> Metadata {
        let mut metadata = Metadata::new();
        if let Some(key) = &self.key {
            metadata.text("key", &key.name);
        }
        if !self.is_counted() {
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
        if self.counts_money() {
            metadata.number(MONEY, reserved.micros);
        }
        self.add_budgets(&mut metadata);
        metadata
    }

    /// What is noted of a request that has ended and settles what it had reserved for itself, under its name.
    pub fn ended(&self, name: &str, spent: Reservation) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.text(SETTLED_KEY, name);
        metadata.number(&spent_key(TOKENS), spent.tokens);
        if self.counts_money() {
            metadata.number(&spent_key(MONEY), spent.micros);
        }
        metadata
    }

    fn add_budgets(&self, metadata: &mut Metadata) {
        for counted in self.counted() {
            for (number, budget) in self.budgets(counted).enumerate() {
                metadata.text(&slot_key(counted, number), budget);
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_key(key: VirtualKey) -> Account {
        Account { key: Some(Arc::new(VirtualKey { name: "n/k".to_owned(), ..key })), ..Account::default() }
    }

    #[test]
    fn a_key_for_some_models_is_for_no_other_ones() {
        let models = ["gpt-4o", "claude-*"].map(str::to_owned).to_vec();
        let any = of_key(VirtualKey::default());
        let some = of_key(VirtualKey { models: Some(models), ..VirtualKey::default() });
        let none = of_key(VirtualKey { models: Some(Vec::new()), ..VirtualKey::default() });
        let is_allowed = |account: &Account, model: Option<&str>| {
            let body = model.map_or_else(|| json!({}), |model| json!({"model": model})).to_string();
            let path = "/v1/chat/completions";
            account.admit(path, Some(body.as_bytes()), &Market::default(), Schema::OpenAi).is_ok()
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
            assert!(is_allowed(&any, model) && !is_allowed(&none, model), "{model:?}");
        }
        assert!(some.check_upgrade(Schema::OpenAi).is_err() && any.check_upgrade(Schema::OpenAi).is_ok());
    }

    fn noted(account: &Account) -> String {
        asked(account, Question::Own)
    }

    fn asked(account: &Account, question: Question) -> String {
        let reserved = Reservation { tokens: 7, micros: 1234 };
        String::from_utf8_lossy(account.begun("id", reserved, question).as_bytes()).into_owned()
    }

    #[test]
    fn what_is_noted_has_a_place_for_each_budget() {
        let budgets = [("tokens".to_owned(), vec!["{a}".to_owned(), "{b}".to_owned()])];
        let key = of_key(VirtualKey { budgets: budgets.into(), ..VirtualKey::default() });
        for part in ["key", "n/k", "running", "request", "id", "tokens.0", "{a}", "tokens.1", "{b}"] {
            assert!(noted(&key).contains(part), "{part}");
        }
        assert!(!noted(&key).contains("shared") && asked(&key, Question::Shared(32)).contains("shared"));
        let shares = asked(&key, Question::None);
        assert!(
            shares.contains("running") && !shares.contains("request") && !shares.contains("{a}"),
            "{shares}"
        );
        assert!(!noted(&key).contains(MONEY));
        let budgets = [(MONEY.to_owned(), Vec::new())];
        let of_money = of_key(VirtualKey { budgets: budgets.into(), ..VirtualKey::default() });
        assert!(noted(&of_money).contains(MONEY));
    }

    #[test]
    fn what_is_settled_is_noted_with_what_was_spent() {
        let budgets = |counted: &str| [(counted.to_owned(), vec!["{a}".to_owned()])].into();
        let text = |counted: &str| {
            let key = of_key(VirtualKey { budgets: budgets(counted), ..VirtualKey::default() });
            let ended = key.ended("id", Reservation { tokens: 9, micros: 1 });
            String::from_utf8_lossy(ended.as_bytes()).into_owned()
        };
        for part in ["settled", "id", "spent.tokens", "spent.money"] {
            assert!(text(MONEY).contains(part), "{part}");
            assert_eq!(text(TOKENS).contains(part), part != "spent.money", "{part}");
        }
    }

    #[test]
    fn accounts_share_that_have_the_same_budgets() {
        let of = |budgets: &[(&str, &[&str])]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let budgets = budgets.iter().map(|(counted, budgets)| ((*counted).to_owned(), texts(budgets)));
            of_key(VirtualKey { budgets: budgets.collect(), ..VirtualKey::default() })
        };
        let one = of(&[("tokens", &["a", "b"])]);
        for other in [of(&[("tokens", &["a"])]), of(&[("tokens", &["ab"])]), of(&[("tokens", &["b", "a"])])] {
            assert_ne!(one.shared_by(), other.shared_by());
        }
        let mut of_token = of(&[("tokens", &["a"])]);
        of_token.claimed.budgets = [("tokens".to_owned(), vec!["b".to_owned()])].into();
        assert_eq!(one.shared_by(), of_token.shared_by());
        assert_eq!(one.shared_by(), "tokens a\ntokens b\n");
        assert!(one.can_share() && !of(&[("tokens", &["a"]), ("requests", &["c"])]).can_share());
    }

    #[test]
    fn budgets_of_a_token_have_their_places_behind_those_of_the_key() {
        let of = |counted: &str, texts: &[&str]| {
            (counted.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect())
        };
        let mut account =
            of_key(VirtualKey { budgets: [of("tokens", &["{a}"])].into(), ..VirtualKey::default() });
        account.claimed.budgets = [of("tokens", &["{b}"]), of("requests", &["{c}"])].into();
        let text = noted(&account);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
        assert!(place("requests.0") < place("{c}") && place("{c}") < place("tokens.0"));
        assert!(place("tokens.0") < place("{a}") && place("{a}") < place("tokens.1"));
        assert!(place("tokens.1") < place("{b}"));
        let of_token = Account { key: None, ..account.clone() };
        assert!(!noted(&of_token).contains("key") && noted(&of_token).contains("{b}"));
        assert!(!of_token.is_free() && of_token.needs_body() && Account::default().is_free());
        assert!(of_token.check_upgrade(Schema::OpenAi).is_err());
        account.claimed = Claimed { budgets: [of("requests", &["{c}"])].into(), ..Claimed::default() };
        assert!(!Account { key: None, ..account }.needs_body());
    }
}
