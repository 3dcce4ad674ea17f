//! A sorted sequence of named entries of which one version shares with the next what they have in common.
//!
//! The entries lie in segments of at most [`MAX_LEN`]; a change copies the segment that it falls into, and
//! the list of segments. Of 10,000 entries that is a copy of at most 64 references to entries and of some
//! 200 to segments. That two versions hold the same segment is also how to tell quickly where they differ,
//! however many changes lie between them, which is why this is not a tree from a crate.

use std::iter::FlatMap;
use std::slice;
use std::sync::Arc;

/// What a sequence consists of.
pub(crate) trait Entry: Clone {
    /// What it is sorted by; there are no two entries of one name.
    fn key(&self) -> &str;
}

/// A segment longer than this is split.
const MAX_LEN: usize = 64;
/// A segment shorter than this is joined with its neighbour if the result is no longer than [`JOINED_LEN`].
const MIN_LEN: usize = 16;
/// Leaves room, so that the next insertion does not split again.
const JOINED_LEN: usize = 48;

type Segment<T> = Arc<Vec<T>>;

/// See the top of this file. A clone costs a reference count for each segment.
#[derive(Clone, Debug)]
pub(crate) struct Segments<T> {
    /// None is empty.
    segments: Vec<Segment<T>>,
    len: usize,
}

/// All entries of a sequence, by name.
pub(crate) type Iter<'a, T> =
    FlatMap<slice::Iter<'a, Segment<T>>, slice::Iter<'a, T>, fn(&'a Segment<T>) -> slice::Iter<'a, T>>;

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }
}

impl<T: Entry> Segments<T> {
    /// The sequence of `entries`, which come sorted and with unique names.
    pub(crate) fn from_sorted(entries: Vec<T>) -> Self {
        let len = entries.len();
        let segments = entries.chunks(JOINED_LEN).map(|segment| Arc::new(segment.to_vec())).collect();
        Self { segments, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> Iter<'_, T> {
        self.segments.iter().flat_map(|segment| segment.iter())
    }

    /// O(log n).
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let segment = self.segments.get(self.segment_of(name))?;
        segment.get(position(segment, name).ok()?)
    }

    /// Adds an entry; returns the one of its name that it replaces. Costs what the top of this file says.
    pub(crate) fn insert(&mut self, entry: T) -> Option<T> {
        // Beyond the end it belongs to the last segment.
        let at = self.segment_of(entry.key()).min(self.segments.len().saturating_sub(1));
        let Some(segment) = self.segments.get_mut(at) else {
            self.segments.push(Arc::new(vec![entry]));
            self.len += 1;
            return None;
        };
        let segment = Arc::make_mut(segment);
        match position(segment, entry.key()) {
            Ok(position) => segment.get_mut(position).map(|slot| std::mem::replace(slot, entry)),
            Err(position) => {
                segment.insert(position, entry);
                self.len += 1;
                if segment.len() > MAX_LEN {
                    let tail = segment.split_off(MAX_LEN / 2);
                    self.segments.insert(at + 1, Arc::new(tail));
                }
                None
            }
        }
    }

    /// Takes an entry out. Costs what the top of this file says.
    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.segment_of(name);
        let segment = self.segments.get_mut(at)?;
        let position = position(segment, name).ok()?;
        let segment = Arc::make_mut(segment);
        let removed = segment.remove(position);
        self.len -= 1;
        match segment.len() {
            0 => drop(self.segments.remove(at)),
            1..MIN_LEN => self.join(at),
            _ => {}
        }
        Some(removed)
    }

    /// Tells `report` of every name whose entry may differ from that in `older`, with the older and the
    /// present entry. Costs what the segments cost that the two do not share.
    pub(crate) fn differences<'a>(
        &'a self,
        older: &'a Self,
        mut report: impl FnMut(Option<&'a T>, Option<&'a T>),
    ) {
        let (mut new, mut old) = (Cursor::new(self), Cursor::new(older));
        loop {
            if let (Some(whole), Some(same)) = (new.segment(), old.segment())
                && Arc::ptr_eq(whole, same)
            {
                (new.rest, old.rest) = (&[], &[]);
                continue;
            }
            match (new.rest.split_first(), old.rest.split_first()) {
                (None, None) => return,
                (Some((entry, rest)), None) => {
                    report(None, Some(entry));
                    new.rest = rest;
                }
                (None, Some((entry, rest))) => {
                    report(Some(entry), None);
                    old.rest = rest;
                }
                (Some((entry, rest)), Some((before, rest_before))) => {
                    let order = entry.key().cmp(before.key());
                    report(order.is_ge().then_some(before), order.is_le().then_some(entry));
                    if order.is_le() {
                        new.rest = rest;
                    }
                    if order.is_ge() {
                        old.rest = rest_before;
                    }
                }
            }
        }
    }

    /// The segment in which `name` is, if it is in any.
    fn segment_of(&self, name: &str) -> usize {
        self.segments.partition_point(|segment| segment.last().is_some_and(|last| last.key() < name))
    }

    /// Joins a segment that became short with the one after it or before it, if both together are not long.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.segments.get(at).map_or(JOINED_LEN, |segment| segment.len());
        let left = match at {
            at if len(at) + len(at + 1) <= JOINED_LEN => at,
            at if at > 0 && len(at - 1) + len(at) <= JOINED_LEN => at - 1,
            _ => return,
        };
        let right = self.segments.remove(left + 1);
        if let Some(left) = self.segments.get_mut(left) {
            Arc::make_mut(left).extend(right.iter().cloned());
        }
    }
}

fn position<T: Entry>(segment: &[T], name: &str) -> Result<usize, usize> {
    segment.binary_search_by(|entry| entry.key().cmp(name))
}

/// A place in a sequence.
struct Cursor<'a, T> {
    segments: slice::Iter<'a, Segment<T>>,
    current: Option<&'a Segment<T>>,
    /// What is left of `current`.
    rest: &'a [T],
}

impl<'a, T> Cursor<'a, T> {
    fn new(sequence: &'a Segments<T>) -> Self {
        Self { segments: sequence.segments.iter(), current: None, rest: &[] }
    }

    /// Goes on to the next segment if the present one is at its end. Returns the present one if it is
    /// still whole.
    fn segment(&mut self) -> Option<&'a Segment<T>> {
        if self.rest.is_empty() {
            self.current = self.segments.next();
            self.rest = self.current.map_or(&[], |segment| segment.as_slice());
        }
        self.current.filter(|segment| segment.len() == self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Entry for (String, u32) {
        fn key(&self) -> &str {
            &self.0
        }
    }

    type Sequence = Segments<(String, u32)>;

    fn name(i: u32) -> String {
        format!("{i:04}")
    }

    fn numbered(count: u32) -> Sequence {
        Sequence::from_sorted((0..count).map(|i| (name(i), i)).collect())
    }

    /// What `differences` tells, without pairs that are equal.
    fn differences(new: &Sequence, old: &Sequence) -> BTreeMap<String, (Option<u32>, Option<u32>)> {
        let mut told = BTreeMap::new();
        new.differences(old, |old, new| {
            let name = new.or(old).unwrap().0.clone();
            let twice = told.insert(name, (old.map(|entry| entry.1), new.map(|entry| entry.1)));
            assert!(twice.is_none());
        });
        told.retain(|_, (old, new)| old != new);
        told
    }

    #[test]
    fn a_change_shares_all_segments_but_one() {
        let old = numbered(10_000);
        let mut new = old.clone();
        new.insert((name(5000), 1));
        let shared = |segment: &Segment<_>| old.segments.iter().any(|other| Arc::ptr_eq(other, segment));
        assert_eq!(new.segments.iter().filter(|segment| !shared(segment)).count(), 1);
        let mut looked_at = 0;
        new.differences(&old, |_, _| looked_at += 1);
        assert!(looked_at <= MAX_LEN, "{looked_at}");
        assert_eq!(differences(&new, &old), [(name(5000), (Some(5000), Some(1)))].into());
    }

    #[test]
    fn a_segment_that_went_or_came_is_not_looked_at_with_its_neighbours() {
        let old = numbered(10_000);
        let mut new = old.clone();
        (0..200).for_each(|i| drop(new.remove(&name(i + 3000))));
        let mut looked_at = 0;
        new.differences(&old, |_, _| looked_at += 1);
        assert!(looked_at <= 200 + 2 * MAX_LEN, "{looked_at}");
        assert_eq!(differences(&new, &old).len(), 200);
        assert_eq!(differences(&old, &new).len(), 200);
    }

    #[test]
    fn what_shrinks_does_not_fall_into_pieces() {
        let mut sequence = numbered(10_000);
        (0..10_000).filter(|i| i % 20 != 0).for_each(|i| drop(sequence.remove(&name(i))));
        assert_eq!(sequence.len(), 500);
        assert!(sequence.segments.len() <= 500 / MIN_LEN + 1, "{}", sequence.segments.len());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            first in prop::collection::vec((0..300u32, 0..3u32), 0..400),
            second in prop::collection::vec((0..300u32, 0..3u32), 0..400),
        ) {
            let mut sequence = Sequence::default();
            let mut map = BTreeMap::new();
            let mut versions = Vec::new();
            for changes in [first, second] {
                for (i, value) in changes {
                    let (was, expected) = match value {
                        0 => (sequence.remove(&name(i)), map.remove(&name(i))),
                        value => (sequence.insert((name(i), value)), map.insert(name(i), value)),
                    };
                    prop_assert_eq!(was.map(|entry| entry.1), expected);
                    prop_assert_eq!(sequence.get(&name(i)).map(|entry| entry.1), map.get(&name(i)).copied());
                    prop_assert!(sequence.segments.iter().all(|s| (1..=MAX_LEN).contains(&s.len())));
                }
                let all: Vec<_> = map.clone().into_iter().collect();
                prop_assert_eq!(sequence.len(), all.len());
                prop_assert_eq!(sequence.iter().cloned().collect::<Vec<_>>(), all);
                versions.push((sequence.clone(), map.clone()));
            }
            let [(old, old_map), (new, new_map)] = &*versions else { unreachable!() };
            let names = old_map.keys().chain(new_map.keys());
            let pairs = names.map(|name| (name.clone(), (old_map.get(name).copied(), new_map.get(name).copied())));
            let expected: BTreeMap<_, _> = pairs.filter(|(_, (old, new))| old != new).collect();
            prop_assert_eq!(differences(new, old), expected);
        }
    }
}
