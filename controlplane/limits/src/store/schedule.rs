//! What is to be looked at again, and when.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Things with a time each, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    times: HashMap<T, i64>,
    order: BTreeSet<(i64, T)>,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { times: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<T: Clone + Eq + Hash + Ord> Schedule<T> {
    /// Sets the time of a thing, whatever it was.
    pub(super) fn set(&mut self, thing: T, time: i64) {
        if let Some(before) = self.times.insert(thing.clone(), time) {
            self.order.remove(&(before, thing.clone()));
        }
        self.order.insert((time, thing));
    }

    /// Sets the time of a thing, unless it has a later one.
    pub(super) fn extend(&mut self, thing: T, time: i64) {
        if self.time(&thing).is_none_or(|before| before < time) {
            self.set(thing, time);
        }
    }

    /// The time of a thing.
    pub(super) fn time(&self, thing: &T) -> Option<i64> {
        self.times.get(thing).copied()
    }

    /// Takes out the first one, if its time has come.
    pub(super) fn take_due(&mut self, now: i64) -> Option<T> {
        let (time, _) = self.order.first()?;
        if *time > now {
            return None;
        }
        let (_, thing) = self.order.pop_first()?;
        self.times.remove(&thing);
        Some(thing)
    }

    /// The time of the last one.
    pub(super) fn last(&self) -> Option<i64> {
        self.order.last().map(|(time, _)| *time)
    }
}
