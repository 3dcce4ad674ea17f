//! Budgets over claims: which of them a request is counted in, and who spends in each.
//!
//! The claims are those of a token that Envoy has verified. Nothing that a client writes by itself gets here.

use std::collections::{BTreeMap, HashMap};

use ai_config::{ClaimBudget, ClaimRule, MOST_CLAIM_BUDGETS, RequiredClaim, SPENDER_MEMBER, Schema};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::exchange::Refusal;

/// The longest value that stands in the name of an account, in bytes. Longer ones are told apart by their hash.
const LONGEST_VALUE: usize = 128;

/// So much of a longer value is left, in bytes.
const BEGINNING: usize = 64;

/// All budgets over claims of a Gateway's routes, by the names that routes have for them.
#[derive(Debug, Default)]
pub struct Claims {
    sets: HashMap<String, Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    claims: Vec<RequiredClaim>,
    each: Option<String>,
    rule: Option<Rule>,
}

#[derive(Debug)]
struct Rule {
    counted: String,
    /// The budget as the service that counts reads it, but for the spender.
    members: Map<String, Value>,
    refuses_unpriced: bool,
}

/// The budgets that a request is counted in for its token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// As text for the service that counts, by what they count.
    pub budgets: BTreeMap<String, Vec<String>>,
    /// Whether no model may be asked for without a known price.
    pub refuses_unpriced: bool,
}

impl Claims {
    /// # Errors
    /// A budget is no JSON object.
    pub fn new(sets: impl IntoIterator<Item = (String, Vec<ClaimBudget>)>) -> Result<Self, String> {
        let known = |(name, budgets): (String, Vec<ClaimBudget>)| {
            let budgets = budgets.into_iter().map(Known::new).collect::<Result<_, _>>()?;
            Ok((name, budgets))
        };
        Ok(Self { sets: sets.into_iter().map(known).collect::<Result<_, String>>()? })
    }

    /// The budgets of a set that a request is counted in. `claims` are those of its token, as JSON text; without a verified token
    /// there are none, and it is counted in none.
    ///
    /// # Errors
    /// A budget that the request is to be counted in cannot be applied.
    pub fn claimed(&self, set: &str, claims: Option<&[u8]>, schema: Schema) -> Result<Claimed, Refusal> {
        let misconfigured = |message: &str| Err(Refusal::misconfigured(schema, message));
        let Some(budgets) = self.sets.get(set) else {
            return misconfigured("the budgets of this route are not known");
        };
        let Some(claims) = claims else { return Ok(Claimed::default()) };
        let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(claims) else {
            return misconfigured("the claims of the token cannot be read");
        };
        let mut claimed = Claimed::default();
        for budget in budgets.iter().filter(|budget| budget.is_about(&claims)) {
            let Some(rule) = &budget.rule else {
                return misconfigured("a budget for this token cannot be applied");
            };
            let of_this_sort = claimed.budgets.entry(rule.counted.clone()).or_default();
            if of_this_sort.len() >= MOST_CLAIM_BUDGETS {
                return misconfigured("there are more budgets for this token than can be applied");
            }
            of_this_sort.push(rule.text(budget.spender(&claims)));
            claimed.refuses_unpriced |= rule.refuses_unpriced;
        }
        Ok(claimed)
    }
}

impl Known {
    fn new(ClaimBudget { name, claims, each, rule }: ClaimBudget) -> Result<Self, String> {
        let rule = rule.map(|ClaimRule { counted, text, refuses_unpriced }| {
            let members = serde_json::from_str(&text).map_err(|_| format!("{name:?} is no budget"))?;
            Ok::<_, String>(Rule { counted, members, refuses_unpriced })
        });
        Ok(Self { claims, each, rule: rule.transpose()? })
    }

    /// Whether requests with these claims are counted in it.
    fn is_about(&self, claims: &Map<String, Value>) -> bool {
        let holds = |wanted: &RequiredClaim| match claim(claims, &wanted.name) {
            Some(Value::Array(list)) => list.iter().any(|value| is_text(value, &wanted.value)),
            Some(value) => is_text(value, &wanted.value),
            None => false,
        };
        self.claims.iter().all(holds)
    }

    /// Who spends, as accounts name it; `None` where all share one. Tokens without the claim share one, so that leaving it out frees
    /// nobody of the limit; so do those in which it is a list or an object.
    fn spender(&self, claims: &Map<String, Value>) -> Option<String> {
        let each = self.each.as_deref()?;
        let value = claim(claims, each).and_then(text);
        Some(value.map_or_else(|| each.to_owned(), |value| format!("{each}={}", shortened(value))))
    }
}

impl Rule {
    fn text(&self, spender: Option<String>) -> String {
        let mut members = self.members.clone();
        members.extend(spender.map(|spender| (SPENDER_MEMBER.to_owned(), Value::String(spender))));
        Value::Object(members).to_string()
    }
}

/// A claim by its name. That of the whole name goes before those in objects.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut names = name.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    })
}

/// A value as a text; `None` if it is none, a list or an object, or empty.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        value => text(value).is_some_and(|text| text == wanted),
    }
}

/// No two values come to the same text: what is shortened is longer than what need not be.
fn shortened(value: String) -> String {
    if value.len() <= LONGEST_VALUE {
        return value;
    }
    let end = (0..=BEGINNING).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
    let hash = Sha256::digest(value.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{:<BEGINNING$}…{hash}", value.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn budget(name: &str, claims: &[(&str, &str)], each: Option<&str>) -> ClaimBudget {
        let required = |(name, value): &(&str, &str)| RequiredClaim {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        ClaimBudget {
            name: name.to_owned(),
            claims: claims.iter().map(required).collect(),
            each: each.map(str::to_owned),
            rule: Some(ClaimRule {
                counted: "tokens".to_owned(),
                text: json!({"name": name}).to_string(),
                refuses_unpriced: false,
            }),
        }
    }

    fn claimed(budgets: Vec<ClaimBudget>, claims: Option<&Value>) -> Result<Claimed, u16> {
        let all = Claims::new([("s".to_owned(), budgets)]).unwrap();
        let claims = claims.map(Value::to_string);
        let claimed = all.claimed("s", claims.as_ref().map(String::as_bytes), Schema::OpenAi);
        claimed.map_err(|refusal| refusal.status)
    }

    /// The spenders of the budgets that a request with these claims is counted in.
    fn spenders(budgets: Vec<ClaimBudget>, claims: &Value) -> Vec<Value> {
        let claimed = claimed(budgets, Some(claims)).unwrap();
        let texts = claimed.budgets.get("tokens").cloned().unwrap_or_default();
        let spender = |text: &String| serde_json::from_str::<Value>(text).unwrap()[SPENDER_MEMBER].clone();
        texts.iter().map(spender).collect()
    }

    #[test]
    fn a_budget_is_about_the_tokens_that_have_all_of_its_claims() {
        let applies = |wanted: &[(&str, &str)], claims: Value| {
            spenders(vec![budget("b", wanted, None)], &claims).len() == 1
        };
        let search = &[("team", "search")];
        for (wanted, claims, expected) in [
            (search.as_slice(), json!({"team": "search"}), true),
            (search, json!({"team": "Search"}), false),
            (search, json!({"team": "search2"}), false),
            (search, json!({"team": ["ads", "search"]}), true),
            (search, json!({"team": ["ads", ["search"]]}), false),
            (search, json!({"team": {"search": true}}), false),
            (search, json!({"TEAM": "search"}), false),
            (search, json!({}), false),
            (&[], json!({}), true),
            (&[("team", "search"), ("level", "3")], json!({"team": "search", "level": 3}), true),
            (&[("team", "search"), ("level", "3")], json!({"team": "search"}), false),
            (&[("admin", "true")], json!({"admin": true}), true),
            (&[("admin", "true")], json!({"admin": null}), false),
            (&[("org.team", "a")], json!({"org": {"team": "a"}}), true),
            (&[("org.team", "a")], json!({"org.team": "a"}), true),
            // The claim of the whole name goes before.
            (&[("org.team", "a")], json!({"org.team": "b", "org": {"team": "a"}}), false),
            (&[("https://x.example/team", "a")], json!({"https://x.example/team": "a"}), true),
        ] {
            assert_eq!(applies(wanted, claims.clone()), expected, "{wanted:?} {claims}");
        }
    }

    #[test]
    fn each_value_spends_for_itself_and_all_without_one_spend_together() {
        for (claims, expected) in [
            (json!({"sub": "alice"}), json!("sub=alice")),
            (json!({"sub": 7}), json!("sub=7")),
            (json!({"sub": ""}), json!("sub")),
            (json!({"sub": ["alice"]}), json!("sub")),
            (json!({"sub": {}}), json!("sub")),
            (json!({}), json!("sub")),
        ] {
            let found = spenders(vec![budget("b", &[], Some("sub"))], &claims);
            assert_eq!(found, [expected], "{claims}");
        }
        assert_eq!(spenders(vec![budget("b", &[], None)], &json!({"sub": "alice"})), [Value::Null]);
    }

    #[test]
    fn values_of_any_length_have_accounts_of_their_own_with_short_names() {
        let name = |value: &str| {
            let found = spenders(vec![budget("b", &[], Some("sub"))], &json!({"sub": value}));
            found[0].as_str().unwrap().to_owned()
        };
        let (long, other) = ("ä".repeat(20_000), format!("{}b", "ä".repeat(20_000)));
        assert!(name(&long).len() < 256 && name(&long) != name(&other), "{}", name(&long));
        // Nobody can have the short name of somebody else's value.
        let short = name(&long).split_off("sub=".len());
        assert_ne!(name(&short), name(&long));
        assert_eq!(name(&"a".repeat(128)).len(), "sub=".len() + 128);
    }

    #[test]
    fn what_cannot_be_counted_does_not_pass() {
        let broken = ClaimBudget { rule: None, ..budget("b", &[("team", "a")], None) };
        assert_eq!(claimed(vec![broken.clone()], Some(&json!({"team": "a"}))), Err(500));
        assert_eq!(claimed(vec![broken.clone()], Some(&json!({"team": "b"}))), Ok(Claimed::default()));
        assert_eq!(claimed(vec![broken], None), Ok(Claimed::default()));
        let many = |count: usize| (0..count).map(|_| budget("b", &[], None)).collect::<Vec<_>>();
        assert_eq!(claimed(many(9), Some(&json!({}))), Err(500));
        assert_eq!(claimed(many(8), Some(&json!({}))).unwrap().budgets["tokens"].len(), 8);
        let unknown = Claims::default().claimed("s", None, Schema::OpenAi);
        assert_eq!(unknown.unwrap_err().status, 500, "a set that is not there opens nothing");
        let known = Claims::new([("s".to_owned(), Vec::new())]).unwrap();
        assert!(known.claimed("s", Some(b"[]"), Schema::OpenAi).is_err());
    }
}
