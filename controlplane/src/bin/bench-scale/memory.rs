//! What a replica keeps of memory after a long life, beside one that has just started with the same objects.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use crds::{Object, ObjectRef};
use serde_json::Value;
use translator::Change;

use crate::edit::Bench;
use crate::resident_kib;
use crate::world::{self, Shape};

/// Threads that decode objects, as the watches of a cluster do: what they allocate is freed on another one.
const DECODERS: usize = 4;

/// How often all routes are edited, listed again, deleted and made again, and are four times as many for a while.
const ROUNDS: usize = 3;

/// Changes that come in one update.
const BATCH: usize = 50;

/// After which an allocator has given back what it gives back.
const REST: Duration = Duration::from_secs(12);

const SHAPE: Shape = Shape::OneHostEach;

/// Prints the memory of this process: with all objects, after a long life, and without any object.
pub(crate) fn measure(size: usize) -> Result<()> {
    let empty = at_rest()?;
    let mut bench = Bench::new(SHAPE, 0);
    apply(&mut bench, world::objects(SHAPE, size).collect());
    let fresh = at_rest()?;
    for round in 1..=ROUNDS {
        live(&mut bench, size, round);
    }
    let aged = at_rest()?;
    delete(&mut bench, world::objects(SHAPE, size).collect());
    let emptied = at_rest()?;
    println!(
        "{size:>7} routes: {:.0} MiB fresh, {:.0} MiB after a long life ({:.2} times); without objects {:.0} MiB before, \
         {:.0} MiB after",
        fresh / 1024.0,
        aged / 1024.0,
        aged / fresh,
        empty / 1024.0,
        emptied / 1024.0
    );
    Ok(())
}

/// One round of what happens in a cluster.
fn live(bench: &mut Bench, size: usize, round: usize) {
    for first in (0..size).step_by(BATCH) {
        let numbers = first..size.min(first + BATCH);
        apply(bench, numbers.map(|number| world::route(SHAPE, number, round)).collect());
    }
    // Listed again: decoded, and the same.
    apply(bench, world::objects(SHAPE, size).collect());
    apply(bench, world::objects(SHAPE, size * 4).collect());
    delete(bench, world::objects(SHAPE, size * 4).collect());
    apply(bench, world::objects(SHAPE, size).collect());
}

/// Decodes documents on other threads, as text, and applies them as one update.
fn apply(bench: &mut Bench, documents: Vec<Value>) {
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    let share = texts.len().div_ceil(DECODERS).max(1);
    let changes: Vec<Change> = thread::scope(|scope| {
        let decoders: Vec<_> = texts
            .chunks(share)
            .map(|texts| {
                scope.spawn(move || texts.iter().filter_map(|text| decode(text)).collect::<Vec<_>>())
            })
            .collect();
        decoders.into_iter().flat_map(|decoder| decoder.join().unwrap_or_default()).collect()
    });
    bench.update(changes);
}

fn delete(bench: &mut Bench, documents: Vec<Value>) {
    let objects = documents.into_iter().filter_map(|document| Object::decode(document).ok());
    let references: Vec<ObjectRef> = objects.map(|decoded| decoded.object.object_ref()).collect();
    bench.update(references.into_iter().map(Change::Delete).collect());
}

fn decode(text: &str) -> Option<Change> {
    let document = serde_json::from_str(text).ok()?;
    Object::decode(document).ok().map(|decoded| Change::Apply(decoded.object))
}

/// The resident memory in KiB, once the allocator has come to rest.
fn at_rest() -> Result<f64> {
    thread::sleep(REST);
    resident_kib()
}
