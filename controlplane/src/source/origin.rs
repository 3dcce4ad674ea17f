//! Which place of which file each object comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crds::{ObjectRef, most_similar};

use super::file::Text;
use super::{DocumentPlace, Place};

/// Where an object stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The file and the document.
    place: Place,
    /// The path of the object in the document: empty, or such as `items[2]` in a list.
    root: Arc<str>,
    text: Arc<Text>,
}

impl Origin {
    /// An object in a document.
    pub(super) fn new(place: Place, root: &str, text: Arc<Text>) -> Self {
        Self { place, root: root.into(), text }
    }

    /// The place of a field, or of the one that would hold it; of the object for an empty path.
    pub fn of(&self, field: &str) -> Place {
        let root = &*self.root;
        let separator = if root.is_empty() || field.is_empty() { "" } else { "." };
        let line = self.text.line(&format!("{root}{separator}{field}"));
        let document = self.place.document.map(|document| {
            let line = line.unwrap_or(document.line);
            DocumentPlace { line, ..document }
        });
        Place { document, ..self.place.clone() }
    }
}

/// The objects of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// Where each stands that is in use.
    pub(super) by_object: BTreeMap<ObjectRef, Origin>,
    /// Those that stand in a file and cannot be read.
    pub(super) broken: BTreeSet<ObjectRef>,
}

impl Origins {
    /// Where an object stands; `None` if it comes from no file.
    pub fn get(&self, object: &ObjectRef) -> Option<&Origin> {
        self.by_object.get(object)
    }

    /// Whether an object stands in a file and cannot be read, of which the reader of the files tells.
    pub fn is_broken(&self, object: &ObjectRef) -> bool {
        self.broken.contains(object)
    }

    /// How many objects there are, whether or not they can be read.
    pub fn len(&self) -> usize {
        self.by_object.keys().chain(&self.broken).collect::<BTreeSet<_>>().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object that was probably meant by one that does not exist: of the same kind and name in another namespace,
    /// of a similar name, or of the same name and another kind.
    pub fn meant_by(&self, missing: &ObjectRef) -> Option<&ObjectRef> {
        let is_same_kind =
            |known: &&ObjectRef| (&known.group, &known.kind) == (&missing.group, &missing.kind);
        let known = || self.by_object.keys().chain(&self.broken);
        let elsewhere = known().filter(is_same_kind).find(|known| known.name == missing.name);
        let in_namespace = || known().filter(|known| known.namespace == missing.namespace);
        let similar = || {
            let names = || in_namespace().filter(is_same_kind);
            let name = most_similar(&missing.name, names().map(|known| known.name.as_str()))?;
            names().find(|known| known.name == name)
        };
        let is_backend = |known: &&ObjectRef| ["Service", "Backend", "Upstream"].contains(&&*known.kind);
        let other_kind = || {
            in_namespace()
                .find(|known| known.name == missing.name && is_backend(known) && is_backend(&missing))
        };
        elsewhere.or_else(similar).or_else(other_kind)
    }
}

/// The origins as they are now, for whoever tells of objects.
#[derive(Clone, Debug, Default)]
pub struct SharedOrigins(Arc<Mutex<Arc<Origins>>>);

impl SharedOrigins {
    /// As they are now.
    pub fn now(&self) -> Arc<Origins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts newer ones in their place.
    pub(super) fn set(&self, origins: Origins) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(origins);
    }
}
