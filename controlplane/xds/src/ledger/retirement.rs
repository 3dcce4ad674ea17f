//! How far the removal of each resource is that the snapshot no longer has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far the removal of a resource is: **make before break** wants it gone from the client only after
/// nothing there refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Listeners or routes that may refer to it have not been replaced yet.
    Referenced,
    /// They were, by responses up to this serial, which await their acknowledgement.
    AwaitingAck(u64),
    /// Unused since then; requests in progress may still finish.
    Draining(Instant),
    /// The same and longer than it takes, but something in the snapshot still needs it.
    Needed(Instant),
    /// It is to be sent now, and nothing stops it.
    Due,
}

/// The resources of one type that are to leave the client, by stage.
///
/// What is done to a whole stage costs as much as there is in it. Each resource passes each stage once,
/// unless it is put back because references came up, so that an answer or a snapshot costs nothing for those
/// that merely wait.
#[derive(Debug, Default)]
pub(crate) struct Retirements {
    stages: BTreeMap<Arc<str>, Stage>,
    /// The reverse of `stages`; no set is empty.
    names: BTreeMap<Stage, BTreeSet<Arc<str>>>,
}

impl Retirements {
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.stages.contains_key(name)
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stages.keys()
    }

    /// Begins the removal of a resource, unless it has begun.
    pub(crate) fn begin(&mut self, name: &Arc<str>) {
        if !self.contains(name) {
            self.put(name.clone(), Stage::Referenced);
        }
    }

    /// Ends the removal of a resource: it is gone, or it stays. Returns whether there was one.
    pub(crate) fn end(&mut self, name: &str) -> bool {
        let Some(stage) = self.stages.remove(name) else { return false };
        if let Some(names) = self.names.get_mut(&stage) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&stage);
            }
        }
        true
    }

    /// Whether something is to be sent now.
    pub(crate) fn has_due(&self) -> bool {
        self.names.contains_key(&Stage::Due)
    }

    /// Takes what is to be sent now, by name.
    pub(crate) fn take_due(&mut self) -> Vec<Arc<str>> {
        let due: Vec<Arc<str>> = self.names.remove(&Stage::Due).into_iter().flatten().collect();
        for name in &due {
            self.stages.remove(name);
        }
        due
    }

    /// What was replaced at the client, as far as `serial` says, awaits that response's acknowledgement.
    pub(crate) fn await_ack(&mut self, serial: u64) {
        self.move_stage(Stage::Referenced, Stage::AwaitingAck(serial));
    }

    /// Begins the drain of what waited for responses before `oldest_unsettled`, or for any if all are settled.
    pub(crate) fn drain(&mut self, oldest_unsettled: Option<u64>, now: Instant) {
        self.move_awaiting(oldest_unsettled.unwrap_or(u64::MAX), Stage::Draining(now));
    }

    /// Puts back what awaits an acknowledgement.
    pub(crate) fn revoke(&mut self) {
        self.move_awaiting(u64::MAX, Stage::Referenced);
    }

    /// Puts back everything that is not to be sent now.
    pub(crate) fn postpone(&mut self) {
        while let Some(stage) = self.next_after(Stage::Referenced).filter(|stage| *stage < Stage::Due) {
            self.move_stage(stage, Stage::Referenced);
        }
    }

    /// Has everything sent now that is not referred to by anything.
    pub(crate) fn list_unreferenced(&mut self) {
        self.move_stage(Stage::Referenced, Stage::Due);
    }

    /// Has sent now what has drained for `delay`, but for what `is_needed`.
    pub(crate) fn list_drained(
        &mut self,
        delay: Duration,
        now: Instant,
        mut is_needed: impl FnMut(&str) -> bool,
    ) {
        while let Some(stage @ Stage::Draining(since)) = self.next_after(Stage::AwaitingAck(u64::MAX))
            && since + delay <= now
        {
            for name in self.names.remove(&stage).into_iter().flatten() {
                let next = if is_needed(&name) { Stage::Needed(since) } else { Stage::Due };
                self.put(name, next);
            }
        }
    }

    /// Looks again, at the next [`list_drained`](Self::list_drained), at what was needed so far.
    pub(crate) fn recheck_needs(&mut self) {
        let last = |this: &Self| this.names.keys().rev().find(|stage| **stage < Stage::Due).copied();
        while let Some(stage @ Stage::Needed(since)) = last(self) {
            self.move_stage(stage, Stage::Draining(since));
        }
    }

    /// When the next drain ends after `last`.
    pub(crate) fn drained_at(&self, delay: Duration, last: Option<Instant>) -> Option<Instant> {
        let mut ends = self.names.keys().filter_map(|stage| match stage {
            Stage::Draining(since) => Some(*since + delay),
            Stage::Referenced | Stage::AwaitingAck(_) | Stage::Needed(_) | Stage::Due => None,
        });
        ends.find(|at| last.is_none_or(|last| last < *at))
    }

    /// Moves what awaits the acknowledgement of a response before `serial`.
    fn move_awaiting(&mut self, serial: u64, to: Stage) {
        while let Some((stage, _)) =
            self.names.range(Stage::AwaitingAck(0)..Stage::AwaitingAck(serial)).next()
        {
            let stage = *stage;
            self.move_stage(stage, to);
        }
    }

    fn move_stage(&mut self, from: Stage, to: Stage) {
        for name in self.names.remove(&from).into_iter().flatten() {
            self.put(name, to);
        }
    }

    fn put(&mut self, name: Arc<str>, stage: Stage) {
        self.stages.insert(name.clone(), stage);
        self.names.entry(stage).or_default().insert(name);
    }

    /// The first stage after `stage` in which something is.
    fn next_after(&self, stage: Stage) -> Option<Stage> {
        let after = (std::ops::Bound::Excluded(stage), std::ops::Bound::Unbounded);
        self.names.range(after).next().map(|(stage, _)| *stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(2);

    fn with(names: &[&str]) -> Retirements {
        let mut retirements = Retirements::default();
        names.iter().for_each(|name| retirements.begin(&(*name).into()));
        retirements
    }

    fn due(retirements: &mut Retirements) -> Vec<String> {
        retirements.take_due().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_removal_is_due_when_its_references_are_gone_and_it_has_drained() {
        let (mut all, now) = (with(&["a", "b"]), Instant::now());
        all.drain(None, now);
        assert_eq!(all.drained_at(DELAY, None), None, "they are still referred to");
        all.await_ack(7);
        all.begin(&"c".into());
        all.drain(Some(7), now);
        assert_eq!(all.drained_at(DELAY, None), None, "response 7 has no answer");
        all.drain(Some(8), now);
        assert_eq!(all.drained_at(DELAY, None), Some(now + DELAY));
        assert_eq!(all.drained_at(DELAY, Some(now + DELAY)), None);
        all.list_drained(DELAY, now + DELAY / 2, |_| false);
        assert!(!all.has_due());
        all.list_drained(DELAY, now + DELAY, |name| name == "b");
        assert_eq!(due(&mut all), ["a"]);
        assert_eq!(all.names().map(|name| &**name).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn what_is_needed_is_looked_at_again_when_needs_change() {
        let (mut all, now) = (with(&["a", "b"]), Instant::now());
        all.await_ack(1);
        all.drain(None, now);
        all.list_drained(DELAY, now + DELAY, |_| true);
        all.list_drained(DELAY, now + DELAY, |_| unreachable!("it costs nothing until then"));
        assert_eq!(all.drained_at(DELAY, None), None);
        all.recheck_needs();
        all.list_drained(DELAY, now + DELAY, |name| name == "a");
        assert_eq!(due(&mut all), ["b"]);
    }

    #[test]
    fn what_is_due_is_not_put_back_but_ends_when_it_stays() {
        let (mut all, now) = (with(&["a", "b"]), Instant::now());
        all.list_unreferenced();
        all.begin(&"c".into());
        all.await_ack(1);
        all.revoke();
        all.drain(None, now);
        all.list_drained(Duration::ZERO, now, |_| false);
        assert!(all.end("b") && !all.end("b"));
        all.postpone();
        assert_eq!(due(&mut all), ["a"]);
        all.await_ack(1);
        all.drain(None, now);
        all.postpone();
        all.drain(None, now);
        all.list_drained(Duration::ZERO, now, |_| false);
        assert_eq!(due(&mut all), [""; 0]);
        assert!(all.end("c") && all.is_empty());
    }
}
