//! Generated inputs through every parser, every translation and whole attempts: nothing panics, whatever is written is
//! well formed, and no input takes long.
//!
//! `CHANCERY_AI_FUZZ` sets the number of inputs. An input is made from its number alone: `CHANCERY_AI_FUZZ_FROM` and
//! `CHANCERY_AI_FUZZ=1` repeat the one that a failure names.

mod attempts;
mod inputs;
mod limits;
mod parsers;
mod translations;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use inputs::Random;

/// Without optimisation all of it takes some 20 times as long.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn check(input: u64) {
    let mut random = Random::new(input);
    match input % 3 {
        0 => parsers::check(&mut random),
        1 => translations::check(&mut random),
        _ => attempts::check(&mut random),
    }
}

/// How long an input takes. One that seems slow is run again: the machine may have had something else to do.
fn timed(input: u64) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..4 {
        let begun = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
            println!("input {input} fails");
            resume_unwind(panic);
        }
        shortest = shortest.min(begun.elapsed());
        if shortest < LIMIT / 4 {
            break;
        }
    }
    shortest
}

#[test]
fn no_input_panics_or_takes_long() {
    let (from, count) = (setting("CHANCERY_AI_FUZZ_FROM", 0), setting("CHANCERY_AI_FUZZ", 20_000));
    let begun = Instant::now();
    let slowest = (from..from + count).map(|input| (timed(input), input)).max();
    let (time, input) = slowest.unwrap_or_default();
    println!("{count} inputs in {:?}; the slowest, number {input}, took {time:?}", begun.elapsed());
    assert!(time <= LIMIT, "input {input} takes {time:?}");
}
