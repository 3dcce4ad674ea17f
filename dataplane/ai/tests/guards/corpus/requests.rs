//! Each entity in sentences at places of all protocols, and what only looks like one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ai::exchange::{Policy, Step};
use ai::guard::{Finding, Verdict};
use ai_config::GuardAction;
use serde_json::Value;

use super::SEED;
use super::entities::{Entity, SENTENCES, entities};
use super::near_misses::near_misses;
use super::places::{Place, all as places};
use crate::random::Random;
use crate::world::{begin_with, builtins, guard_of_requests, head, policy};

/// So many cases each entity has.
const CASES: usize = 7;

/// A policy that looks for all built-in kinds and translates nothing.
pub(super) fn untranslated(action: GuardAction) -> Arc<Policy> {
    let mut guard = guard_of_requests(action);
    guard.request.as_mut().unwrap().patterns = builtins();
    policy(guard, false)
}

/// What the guard has come to, and what goes on.
pub(super) fn inspected(policy: &Arc<Policy>, place: &Place, text: &str) -> (Finding, Option<Value>) {
    let mut exchange = begin_with(place.provider, policy.clone(), &head(place.path)).unwrap();
    let body = (place.body)(text).to_string();
    let sent = exchange.request(body.into_bytes()).ok().and_then(Step::into_body);
    let sent = sent.map(|sent| serde_json::from_slice(&sent).unwrap());
    (exchange.findings().request.clone().expect("the guard has looked at it"), sent)
}

/// The names and texts of a body one after the other, without the types of parts that may stand between.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "type" && *name != "text");
            let others: String = members.map(|(name, value)| format!("{name} {}", texts(value))).collect();
            others + &value.get("text").map(texts).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// A text as it stands inside of JSON.
fn in_json(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// Six digits in a row, or a whole name, are too much.
pub(super) fn leaks(text: &str, entity: &Entity) -> bool {
    let window = entity.secret.len().min(6);
    match entity.secret.bytes().all(|byte| byte.is_ascii_digit()) && entity.mask != "<EMAIL_ADDRESS>" {
        true => (0..=entity.secret.len() - window).any(|at| text.contains(&entity.secret[at..at + window])),
        false => text.contains(&entity.text) || (entity.secret.len() > 1 && text.contains(&entity.secret)),
    }
}

#[test]
fn every_entity_is_masked_at_every_place() {
    let mut random = Random::new(SEED);
    let (policy, places, entities) = (untranslated(GuardAction::Mask), places(), entities(&mut random));
    let (mut missed, mut counts) = (Vec::new(), BTreeMap::<_, usize>::new());
    for (index, entity) in entities.iter().enumerate() {
        for case in 0..CASES {
            let place = &places[(index * CASES + case) % places.len()];
            let sentence = *random.pick(&SENTENCES);
            let with = |what: &str| sentence.replacen("{}", &format!("{}{what}", entity.before), 1);
            let (finding, sent) = inspected(&policy, place, &with(&entity.text));
            let (sent, expected) = (texts(&sent.unwrap()), with(entity.mask));
            let is_right = sent.contains(&expected) || sent.contains(&in_json(&expected));
            if finding.verdict != Verdict::Masked || !is_right || leaks(&sent, entity) {
                missed.push(format!(
                    "{} of {}: {:?} became {sent:?}",
                    place.name,
                    place.protocol,
                    with(&entity.text)
                ));
            }
            *counts.entry((place.protocol, entity.mask)).or_default() += 1;
        }
    }
    let cases: usize = counts.values().sum();
    println!(
        "{cases} requests with {} entities at {} places: {} missed",
        entities.len(),
        places.len(),
        missed.len()
    );
    counts.iter().for_each(|((protocol, mask), count)| println!("  {count:4} {mask} in {protocol}"));
    assert!(entities.len() >= 200 && cases >= 2_000, "{} entities, {cases} cases", entities.len());
    let protocols = places.iter().map(|place| place.protocol).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(counts.len(), protocols.len() * 4, "each class stands in each protocol");
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn near_misses_pass() {
    let mut random = Random::new(SEED);
    let (policy, places, near_misses) =
        (untranslated(GuardAction::Reject), places(), near_misses(&mut random));
    let mut found = Vec::new();
    for (index, text) in near_misses.iter().enumerate() {
        let place = &places[index % places.len()];
        let text = random.pick(&SENTENCES).replacen("{}", text, 1);
        if inspected(&policy, place, &text).0.verdict != Verdict::Passed {
            found.push(format!("{} of {}: {text:?}", place.name, place.protocol));
        }
    }
    println!("{} near misses: {} found", near_misses.len(), found.len());
    assert!(near_misses.len() >= 500, "{}", near_misses.len());
    assert!(found.is_empty(), "{}", found.join("\n"));
}
