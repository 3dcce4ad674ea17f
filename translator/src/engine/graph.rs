//! Who reads whom: the memory of the engine.
//!
//! Every key is a node with a small number, so that an edge costs four bytes at each end. A reader is known from the
//! moment it looked, whether there was something to see or not; and edges that an evaluation no longer has are taken
//! out, so that what is gone leaves nothing behind.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::key::Key;
use super::value::Value;

/// The number of a node.
type Id = u32;

/// Nodes at the other ends of edges. Nearly every node has a few, which need no allocation of their own.
type Ids = SmallVec<[Id; 4]>;

#[derive(Debug)]
struct Node {
    key: Arc<Key>,
    value: Option<Value>,
    is_evaluated: bool,
    /// Sorted.
    reads: Ids,
    /// Sorted.
    readers: Ids,
}

/// All nodes, and which of them are to be evaluated.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    ids: HashMap<Arc<Key>, Id>,
    nodes: Vec<Option<Node>>,
    free: Vec<Id>,
    /// By stage.
    dirty: BTreeSet<(u8, Id)>,
    /// Nodes that something has stopped reading, or that have lost their value.
    abandoned: Vec<Id>,
}

impl Graph {
    /// The value of a unit; `None` if there is none.
    pub(crate) fn value(&self, key: &Key) -> Option<&Value> {
        self.node(key)?.value.as_ref()
    }

    /// Whether the unit was ever evaluated.
    pub(crate) fn is_evaluated(&self, key: &Key) -> bool {
        self.node(key).is_some_and(|node| node.is_evaluated)
    }

    /// Every unit with a value.
    pub(crate) fn units(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.nodes.iter().flatten().filter_map(|node| Some((&*node.key, node.value.as_ref()?)))
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Has a unit evaluated, whether it exists or not.
    pub(crate) fn schedule(&mut self, key: Key) {
        debug_assert!(!key.is_input(), "{key:?} is given");
        let stage = key.stage();
        let id = self.intern(key);
        self.dirty.insert((stage, id));
    }

    /// Has every reader of a key evaluated.
    pub(crate) fn schedule_readers(&mut self, key: &Key) {
        let Some(&id) = self.ids.get(key) else { return };
        let Some(Some(node)) = self.nodes.get(id as usize) else { return };
        for &reader in &node.readers {
            if let Some(Some(node)) = self.nodes.get(reader as usize) {
                self.dirty.insert((node.key.stage(), reader));
            }
        }
    }

    /// Has every unit evaluated that has been.
    pub(crate) fn schedule_all(&mut self) {
        let units = self.nodes.iter().enumerate().filter_map(|(id, node)| {
            let node = node.as_ref().filter(|node| node.is_evaluated)?;
            Some((node.key.stage(), Id::try_from(id).ok()?))
        });
        self.dirty.extend(units);
    }

    /// Takes the next unit to evaluate, in the order of work.
    pub(crate) fn next_dirty(&mut self) -> Option<Arc<Key>> {
        while let Some((_, id)) = self.dirty.pop_first() {
            if let Some(Some(node)) = self.nodes.get(id as usize) {
                return Some(node.key.clone());
            }
        }
        None
    }

    /// Notes what a unit came to and what it read. Returns what it was before.
    pub(crate) fn replace(&mut self, key: &Arc<Key>, value: Option<Value>, reads: Vec<Key>) -> Option<Value> {
        let id = self.intern(Key::clone(key));
        debug_assert!(reads.iter().all(|read| read.stage() < key.stage()), "{key:?} reads ahead: {reads:?}");
        let mut reads: Ids = reads.into_iter().map(|read| self.intern(read)).collect();
        reads.sort_unstable();
        reads.dedup();
        self.set_reads(id, reads);
        let Some(Some(node)) = self.nodes.get_mut(id as usize) else { return None };
        node.is_evaluated = true;
        let before = std::mem::replace(&mut node.value, value);
        if node.value.is_none() {
            self.abandoned.push(id);
        }
        before
    }

    /// Notes that a unit could not be evaluated, and what it read: it stays what it was, and comes again when
    /// something changes that it read now or before.
    pub(crate) fn keep(&mut self, key: &Arc<Key>, reads: Vec<Key>) {
        let id = self.intern(Key::clone(key));
        let mut reads: Ids = reads.into_iter().map(|read| self.intern(read)).collect();
        let Some(Some(node)) = self.nodes.get_mut(id as usize) else { return };
        node.is_evaluated = true;
        reads.extend_from_slice(&node.reads);
        reads.sort_unstable();
        reads.dedup();
        self.set_reads(id, reads);
        self.abandoned.push(id);
    }

    /// Takes out the nodes that nobody needs any more: units without value and reader, units that were there on
    /// demand, and inputs that nobody reads. A unit that is possible, although it has no value now, has to stay, since
    /// what it read may change. Returns the units that went with their last values.
    pub(crate) fn collect_garbage(&mut self, is_possible: impl Fn(&Key) -> bool) -> Vec<(Arc<Key>, Value)> {
        let mut gone = Vec::new();
        while let Some(id) = self.abandoned.pop() {
            let Some(Some(node)) = self.nodes.get(id as usize) else { continue };
            let is_needed = !node.readers.is_empty()
                || self.dirty.contains(&(node.key.stage(), id))
                || (!node.key.is_on_demand() && (node.value.is_some() || is_possible(&node.key)));
            if is_needed {
                continue;
            }
            self.set_reads(id, Ids::new());
            let Some(node) = self.nodes.get_mut(id as usize).and_then(Option::take) else { continue };
            self.ids.remove(&node.key);
            self.free.push(id);
            gone.extend(node.value.map(|value| (node.key, value)));
        }
        gone
    }

    fn node(&self, key: &Key) -> Option<&Node> {
        let &id = self.ids.get(key)?;
        self.nodes.get(id as usize)?.as_ref()
    }

    fn intern(&mut self, key: Key) -> Id {
        if let Some(&id) = self.ids.get(&key) {
            return id;
        }
        let key = Arc::new(key);
        let node = Node {
            key: key.clone(),
            value: None,
            is_evaluated: false,
            reads: Ids::new(),
            readers: Ids::new(),
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.nodes.push(None);
                Id::try_from(self.nodes.len() - 1).unwrap_or(Id::MAX)
            }
        };
        if let Some(slot) = self.nodes.get_mut(id as usize) {
            *slot = Some(node);
        }
        self.ids.insert(key, id);
        id
    }

    fn set_reads(&mut self, id: Id, reads: Ids) {
        let Some(Some(node)) = self.nodes.get_mut(id as usize) else { return };
        if node.reads == reads {
            return;
        }
        let before = std::mem::replace(&mut node.reads, reads.clone());
        for &lost in before.iter().filter(|read| reads.binary_search(read).is_err()) {
            let Some(Some(read)) = self.nodes.get_mut(lost as usize) else { continue };
            if let Ok(at) = read.readers.binary_search(&id) {
                read.readers.remove(at);
            }
            if read.readers.is_empty() {
                self.abandoned.push(lost);
            }
        }
        for &new in reads.iter().filter(|read| before.binary_search(read).is_err()) {
            let Some(Some(read)) = self.nodes.get_mut(new as usize) else { continue };
            if let Err(at) = read.readers.binary_search(&id) {
                read.readers.insert(at, id);
            }
        }
    }
}
