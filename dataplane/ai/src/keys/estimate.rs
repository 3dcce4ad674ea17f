//! What a request may come to, which is reserved before a provider is asked: in tokens and in money.

use ai_config::{Offer, Schema};

use crate::exchange::Refusal;
use crate::json::Object;
use crate::operation::Operation;
use crate::prices::{Expected, Prices, Sale, Usd};
use crate::usage::BYTES_PER_TOKEN;

/// How many tokens an answer may come to whose request sets no limit.
const USUAL_ANSWER: u64 = 4096;

/// More than that no request reserves: Envoy takes no larger amount.
const MAX_TOKENS: u64 = 1_000_000_000;

/// A request that may cost more millionths of a dollar than so many is refused: Envoy takes no larger amount.
pub const MAX_MICROS: u64 = 1_000_000_000;

/// Members of a request that limit an answer, of any API, and members that hold such members.
const LIMITS: [&str; 5] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens"];
const NESTED: [&str; 3] = ["generationConfig", "generation_config", "inferenceConfig"];

/// Members that say how many answers there are to be.
const CHOICES: [&str; 3] = ["n", "candidateCount", "candidate_count"];

/// Members that ask for a tier of service.
const TIERS: [&str; 3] = ["service_tier", "serviceTier", "speed"];

/// What is reserved for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Tokens.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micros: u64,
}

/// What may be bought, for how much.
#[derive(Clone, Copy, Debug, Default)]
pub struct Market<'a> {
    /// The providers that the request may reach, with their models.
    pub offers: &'a [Offer],
    /// Their prices; `None`: those of nobody are known.
    pub prices: Option<&'a Prices>,
    /// The time in seconds since 1970.
    pub now: i64,
}

/// How many tokens a request may come to: those of its text, and as many as its answers may have.
pub(super) fn expected(path: &str, length: usize, object: Option<&Object<'_>>) -> Expected {
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
    Expected {
        prompt: length.div_ceil(BYTES_PER_TOKEN),
        longest_prompt: length,
        answer: answer.unwrap_or(usual),
        any_tier: object.is_some_and(|object| TIERS.iter().any(|name| object.get(name).is_some())),
    }
}

/// How many tokens that are, which is what budgets of tokens reserve.
pub(super) fn tokens(expected: &Expected) -> u64 {
    expected.prompt.saturating_add(expected.answer).min(MAX_TOKENS)
}

impl Market<'_> {
    /// The most that a request for a model may cost, in millionths of a dollar: where several providers may be reached, what the
    /// dearest one asks. What has no known price counts nothing.
    ///
    /// # Errors
    /// A model that may be asked for has no known price, though it needs one; or it may cost more than can be reserved.
    pub(super) fn micros(
        &self,
        model: Option<&str>,
        expected: &Expected,
        refuses_unpriced: bool,
        schema: Schema,
    ) -> Result<u64, Refusal> {
        let asks_nothing = (expected.prompt, expected.answer) == (0, 0);
        let mut most = Usd::default();
        for offer in self.offers.iter().filter(|_| !asks_nothing) {
            match self.price(offer, model, expected) {
                Some(price) => most = most.max(price),
                None if refuses_unpriced => {
                    let message =
                        "a budget of this request is in money, and the price of the model is not known";
                    return Err(Refusal::forbidden(schema, "model", message));
                }
                None => {}
            }
        }
        match most.micros_rounded_up() {
            micros @ 0..=MAX_MICROS => Ok(micros),
            _ => {
                let message = "the request may cost more than 1000 US dollars, which no budget can reserve";
                Err(Refusal::forbidden(schema, "", message))
            }
        }
    }

    /// The most that it may cost there; `None` if nobody knows.
    fn price(&self, offer: &Offer, named: Option<&str>, expected: &Expected) -> Option<Usd> {
        let Offer { backend, provider, model, aliases, others } = offer;
        let meant = named.map(|named| aliases.get(named).map_or(named, String::as_str));
        let asked: Vec<&str> = match model {
            Some(model) => vec![model],
            None => meant.into_iter().chain(others.iter().map(String::as_str)).collect(),
        };
        let price = |model: &str| {
            let sale = Sale { backend, provider, answered: None, asked: Some(model), now: self.now };
            self.prices?.most(&sale, expected)
        };
        let prices: Option<Vec<Usd>> = asked.into_iter().map(price).collect();
        prices?.into_iter().max()
    }
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

#[cfg(test)]
mod tests {
    use ai_config::{DatedPrice, ModelPrice, PriceList, Rate, Tier, VirtualKey};

    use super::*;
    use crate::keys::Account;

    fn named(name: &str) -> VirtualKey {
        VirtualKey { name: name.to_owned(), ..VirtualKey::default() }
    }

    fn account(key: VirtualKey) -> Account {
        Account { key: Some(key.into()), ..Account::default() }
    }

    #[test]
    fn a_request_reserves_what_its_text_and_its_answers_may_come_to() {
        let counted = VirtualKey { budgets: [("tokens".to_owned(), Vec::new())].into(), ..named("n/k") };
        let counted = account(counted);
        let estimate = |path: &str, body: &[u8]| {
            counted.admit(path, Some(body), &Market::default(), Schema::OpenAi).unwrap().tokens
        };
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

    /// A token of a prompt costs as many millionths of a dollar as the model has in its name, one of an answer ten times as much.
    fn prices() -> Prices {
        let rate = |tier, micros: u64| Rate {
            tier,
            input: micros * 1_000_000,
            output: Some(micros * 10_000_000),
            ..Rate::default()
        };
        let model = |micros: u64| {
            let rates = vec![rate(None, micros), rate(Some(Tier::Priority), 2 * micros)];
            ModelPrice { model: format!("m{micros}"), prices: vec![DatedPrice { from: None, rates }] }
        };
        let embedding = Rate { input: 1_000_000, ..Rate::default() };
        let embedding = DatedPrice { from: None, rates: vec![embedding] };
        let models = [1, 2, 5].map(model).into_iter();
        let models = models.chain([ModelPrice { model: "embedding".to_owned(), prices: vec![embedding] }]);
        let list = PriceList {
            name: "n/l".to_owned(),
            provider: None,
            backends: Vec::new(),
            models: models.collect(),
        };
        Prices::new([("n".to_owned(), vec![list])].into())
    }

    fn offer(model: Option<&str>) -> Offer {
        Offer {
            backend: "n/b".to_owned(),
            provider: "openai".to_owned(),
            model: model.map(str::to_owned),
            ..Offer::default()
        }
    }

    /// The text of each request comes to so many tokens.
    const TEXT: u64 = 25;

    /// What a request reserves, with a limit of ten tokens for its answer; `None` if it is refused.
    fn reserved(offers: &[Offer], path: &str, body: &str, refuses_unpriced: bool) -> Option<u64> {
        let budgets = [("money".to_owned(), Vec::new())].into();
        let key = VirtualKey { budgets, refuses_unpriced, ..named("n/k") };
        let prices = prices();
        let market = Market { offers, prices: Some(&prices), now: 1 };
        let body = format!("{body:100}");
        assert_eq!(body.len(), 100, "{body}");
        let admitted = account(key).admit(path, Some(body.as_bytes()), &market, Schema::OpenAi);
        let refused = admitted.as_ref().err().map(|refusal| refusal.status);
        assert!(refused.is_none_or(|status| status == 403), "{refused:?}");
        admitted.ok().map(|reservation| reservation.micros)
    }

    #[test]
    fn a_request_reserves_what_the_dearest_of_its_models_may_cost() {
        let alias = Offer { aliases: [("fast".to_owned(), "m2".to_owned())].into(), ..offer(None) };
        let forced = Offer { others: vec!["m5".to_owned()], ..offer(None) };
        let at = |micros: u64| Some(micros * (TEXT + 10 * 10));
        let chat = "/v1/chat/completions";
        for (offers, model, expected) in [
            (vec![], "m1", Some(0)),
            (vec![offer(None)], "m1", at(1)),
            (vec![offer(Some("m2"))], "m1", at(2)),
            (vec![offer(None), offer(Some("m5")), offer(Some("m2"))], "m1", at(5)),
            (vec![alias.clone()], "fast", at(2)),
            (vec![alias], "m5", at(5)),
            (vec![forced], "m1", at(5)),
            (vec![offer(None)], "unknown", None),
            (vec![offer(None), offer(Some("unknown"))], "m1", None),
            (vec![offer(Some("embedding"))], "m1", None),
        ] {
            let body = format!(r#"{{"model":"{model}","max_tokens":10}}"#);
            assert_eq!(reserved(&offers, chat, &body, true), expected, "{model} {offers:?}");
            // Where that is allowed, what has no price counts nothing.
            let allowed = if offers.len() == 2 { at(1) } else { expected.or(Some(0)) };
            assert_eq!(reserved(&offers, chat, &body, false), allowed, "{model} {offers:?}");
        }
        let one = [offer(None)];
        for (path, body, expected) in [
            (chat, r#"{"max_tokens":10}"#, None),
            (chat, r#"{"model":"m1","max_tokens":10,"service_tier":"priority"}"#, at(2)),
            ("/v1beta/models/m2:generateContent", r#"{"generationConfig":{"maxOutputTokens":10}}"#, at(2)),
            ("/v1/embeddings", r#"{"model":"embedding"}"#, Some(TEXT)),
            ("/v1/files", "{}", Some(0)),
            ("/v1/audio/transcriptions", "--x", None),
            (chat, r#"{"model":"m1","max_tokens":99999997}"#, Some(TEXT + 999_999_970)),
            (chat, r#"{"model":"m1","max_tokens":99999998}"#, None),
        ] {
            assert_eq!(reserved(&one, path, body, true), expected, "{path} {body}");
        }
        assert_eq!(reserved(&[offer(Some("m5"))], chat, r#"{"max_tokens":10}"#, true), at(5));
    }
}
