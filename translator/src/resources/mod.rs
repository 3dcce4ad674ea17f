//! The input: every object that the translator reads, by kind and name, with the indexes that its stages look things
//! up in. Looks up, never fetches.

mod index;
mod policies;

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{NamespacedName, Object, ObjectKey, ObjectRef, Typed};

use index::Index;

pub(crate) use index::{Group, as_policy, groups};
pub(crate) use policies::{PolicyAt, has_labels};

/// A set of objects.
///
/// One sorted table holds all kinds, so that the order in which objects arrived never shows and no kind can be
/// forgotten where objects are put in and taken out.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    objects: BTreeMap<ObjectKey, Object>,
    index: Index,
}

impl Resources {
    /// Puts an object in, in place of an earlier version of it, which it returns.
    pub fn apply(&mut self, object: Object) -> Option<Object> {
        self.put(&object.key(), object)
    }

    /// The same for one who has the object's key, whose names are kept instead of copies.
    pub(crate) fn put(&mut self, key: &ObjectKey, object: Object) -> Option<Object> {
        self.index.put(key, &object);
        let before = self.objects.insert(key.clone(), object);
        if let Some(before) = &before {
            let after = self.objects.get(key).map(groups).unwrap_or_default();
            self.index.take(key, groups(before).into_iter().filter(|group| !after.contains(group)));
        }
        before
    }

    /// Takes an object out and returns it; `None` if it was not there.
    pub fn delete(&mut self, object: &ObjectRef) -> Option<Object> {
        self.take(&ObjectKey::find(object)?)
    }

    /// Takes an object out and returns it; `None` if it was not there.
    pub(crate) fn take(&mut self, key: &ObjectKey) -> Option<Object> {
        let before = self.objects.remove(key)?;
        self.index.take(key, groups(&before).into_iter());
        Some(before)
    }

    /// Every object, sorted by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The object of that key.
    pub(crate) fn object(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key)
    }

    /// The object of that type and name.
    pub(crate) fn get<T: Typed>(&self, name: &NamespacedName) -> Option<&Arc<T>> {
        T::of(self.objects.get(&ObjectKey::of::<T>(name.clone()))?)
    }

    /// Every object of that type, sorted by name.
    pub(crate) fn of_type<T: Typed>(&self) -> impl Iterator<Item = &Arc<T>> {
        let first = ObjectKey::of::<T>(NamespacedName::new("", ""));
        self.objects.range(first..).map_while(|(_, object)| T::of(object))
    }

    /// The members of a group, sorted by name.
    pub(crate) fn members<'a, T: Typed>(
        &'a self,
        group: &Group,
    ) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        let keys = self.index.members(group).into_iter().flatten();
        keys.filter_map(|key| T::of(self.objects.get(key)?))
    }
}

impl FromIterator<Object> for Resources {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut resources = Self::default();
        objects.into_iter().for_each(|object| drop(resources.apply(object)));
        resources
    }
}
