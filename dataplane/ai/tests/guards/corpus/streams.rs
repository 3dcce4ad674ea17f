//! Each entity in streams, split at each character and, as bytes, anywhere.

use ai::protocol::ProviderProtocol;
use ai_config::Guard;

use super::SEED;
use super::entities::{SENTENCES, entities};
use super::requests::leaks;
use crate::random::Random;
use crate::responses::streamed_with;
use crate::world::{builtins, pairs, policy};

/// So many entities are split at each of their characters; the others come character by character only.
const SPLIT: usize = 240;

#[test]
fn no_entity_comes_through_wherever_its_stream_is_split() {
    let mut random = Random::new(SEED);
    // Without expressions, nothing but the built-in kinds themselves holds text back.
    let policy = policy(Guard { response: Some(builtins()), ..Guard::default() }, true);
    let entities = entities(&mut random);
    let mut pairs = pairs().cycle();
    let (mut splits, mut leaked) = (0, Vec::new());
    for (index, entity) in entities.iter().enumerate() {
        let sentence = *random.pick(&SENTENCES);
        let with = |what: &str| sentence.replacen("{}", &format!("{}{what}", entity.before), 1);
        let (answer, expected) = (with(&entity.text), with(entity.mask));
        let mut check = |pieces: &[&str], chunk: usize| {
            let (client, provider): (_, ProviderProtocol) = pairs.next().unwrap();
            let (found, events) = streamed_with(policy.clone(), client, provider, pieces, chunk);
            splits += 1;
            if found != expected || leaks(&events, entity) {
                leaked
                    .push(format!("{pieces:?} in chunks of {chunk}, {client:?} at {provider:?}: {found:?}"));
            }
        };
        // As models send it: in small pieces; and each byte by itself, so that no boundary is left out.
        let characters: Vec<&str> = answer.split_inclusive(|_: char| true).collect();
        check(&characters, 1);
        let threes: Vec<String> = characters.chunks(3).map(<[_]>::concat).collect();
        check(&threes.iter().map(String::as_str).collect::<Vec<_>>(), 64);
        // Evenly over the list, so that each class has its share.
        if index * SPLIT / entities.len() == (index + 1) * SPLIT / entities.len() {
            continue;
        }
        let start = answer.find(&entity.text).unwrap();
        let ends = start..=start + entity.text.len();
        for (at, _) in answer.char_indices().filter(|(at, _)| *at > 0 && ends.contains(at)) {
            let (first, second) = answer.split_at(at);
            check(&[first, second], 1 + at % 97);
        }
    }
    println!(
        "{} entities in {splits} streams, {SPLIT} of them split at each character: {} leaked",
        entities.len(),
        leaked.len()
    );
    assert!(splits >= 200 * 10, "{splits}");
    assert!(leaked.is_empty(), "{} leaked:\n{}", leaked.len(), leaked.join("\n"));
}
