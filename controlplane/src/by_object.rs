//! Values that are each about one object.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crds::ObjectRef;
use translator::status::Report;

/// What says itself which object it is about.
pub(crate) trait About {
    /// The object.
    fn object(&self) -> &ObjectRef;
}

impl About for Arc<Report> {
    fn object(&self) -> &ObjectRef {
        &self.object
    }
}

/// At most one value for each object, in the order of objects. What a map would be, without a second copy of each
/// object's name, which may be larger than the value.
#[derive(Clone, Debug)]
pub(crate) struct ByObject<T>(BTreeSet<Entry<T>>);

#[derive(Clone, Debug)]
struct Entry<T>(T);

impl<T: About> ByObject<T> {
    /// Puts a value in, in place of the one of its object, which it returns.
    pub(crate) fn insert(&mut self, value: T) -> Option<T> {
        self.0.replace(Entry(value)).map(|Entry(before)| before)
    }

    /// Takes the value of an object out.
    pub(crate) fn remove(&mut self, object: &ObjectRef) -> Option<T> {
        self.0.take(object).map(|Entry(value)| value)
    }

    /// The value of an object.
    pub(crate) fn get(&self, object: &ObjectRef) -> Option<&T> {
        self.0.get(object).map(|Entry(value)| value)
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|Entry(value)| value)
    }
}

impl<T> Default for ByObject<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: About> Borrow<ObjectRef> for Entry<T> {
    fn borrow(&self) -> &ObjectRef {
        self.0.object()
    }
}

impl<T: About> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.object() == other.0.object()
    }
}

impl<T: About> Eq for Entry<T> {}

impl<T: About> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: About> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.object().cmp(other.0.object())
    }
}

#[cfg(test)]
mod tests {
    use translator::status::Facts;

    use super::*;

    #[test]
    fn each_object_has_one_value_the_newest() {
        let object = |name: &str| ObjectRef::namespaced("", "Service", "default", name);
        let report = |name: &str, generation| {
            Arc::new(Report { object: object(name), generation, facts: Facts::Conditions(Vec::new()) })
        };
        let generation = |report: Option<Arc<Report>>| report.map(|report| report.generation);
        let mut reports = ByObject::default();
        assert_eq!(generation(reports.insert(report("b", 1))), None);
        assert_eq!(generation(reports.insert(report("a", 2))), None);
        assert_eq!(generation(reports.insert(report("b", 3))), Some(1));
        assert_eq!(reports.values().map(|report| report.generation).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(generation(reports.get(&object("b")).cloned()), Some(3));
        assert_eq!(generation(reports.remove(&object("b"))), Some(3));
        assert!(reports.get(&object("b")).is_none() && reports.remove(&object("b")).is_none());
    }
}
