//! Harmless prompts: what people send that is full of numbers and signs, and has no personal data.

mod fillers;
mod templates;

use std::collections::BTreeMap;

use ai::guard::Verdict;
use ai_config::GuardAction;

use super::SEED;
use super::places::all as places;
use super::requests::{inspected, untranslated};
use crate::random::Random;
use fillers::filled;
use templates::TEMPLATES;

/// So many prompts.
const PROMPTS: usize = 10_000;

/// At most so many of a thousand prompts may be taken for something that they are not.
const MAX_PER_THOUSAND: usize = 5;

/// A prompt, and the numbers of the templates that it is made of: a quarter of the prompts have two.
fn prompt(random: &mut Random, index: usize) -> (String, Vec<usize>) {
    let mut used = vec![index % TEMPLATES.len()];
    used.extend((random.below(4) == 0).then(|| random.below(TEMPLATES.len())));
    let parts: Vec<String> = used.iter().map(|at| filled(random, TEMPLATES[*at].1)).collect();
    (parts.join("\n\n"), used)
}

#[test]
fn harmless_prompts_pass() {
    let mut random = Random::new(SEED);
    let (policy, places) = (untranslated(GuardAction::Reject), places());
    let messages: Vec<_> =
        places.iter().filter(|place| ["message", "part", "input"].contains(&place.name)).collect();
    let mut found = Vec::new();
    let mut topics = BTreeMap::<&str, usize>::new();
    for index in 0..PROMPTS {
        let (text, used) = prompt(&mut random, index);
        let (finding, _) = inspected(&policy, messages[index % messages.len()], &text);
        if finding.verdict != Verdict::Passed {
            used.iter().for_each(|at| *topics.entry(TEMPLATES[*at].0).or_default() += 1);
            found.push((finding.names, text));
        }
    }
    println!(
        "{PROMPTS} harmless prompts of {} templates: {} were taken for something else ({:.2} %)",
        TEMPLATES.len(),
        found.len(),
        found.len() as f64 * 100.0 / PROMPTS as f64
    );
    topics.iter().for_each(|(topic, count)| println!("  {count:3} with {topic}"));
    found.iter().for_each(|(names, text)| println!("  {names:?} in {text:?}"));
    assert!(found.len() * 1000 <= PROMPTS * MAX_PER_THOUSAND, "{} of {PROMPTS}", found.len());
}
