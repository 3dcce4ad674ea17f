//! Why something is not accepted.

use crds::ObjectRef;

use super::{Detail, Reason};

/// A reason, with what is wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub reason: Reason,
    pub detail: Detail,
}

impl Rejection {
    /// Something about the object as a whole.
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, detail: Detail::new(text) }
    }

    /// Something about a field.
    pub(crate) fn at(reason: Reason, field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { reason, detail: Detail::at(field, text) }
    }

    /// An object that is referred to does not exist.
    pub(crate) fn missing(reason: Reason, object: ObjectRef) -> Self {
        Self { reason, detail: Detail::missing(object) }
    }

    /// An object that is referred to cannot be used, of which that is told as well.
    pub(crate) fn unusable(reason: Reason, object: ObjectRef, text: impl Into<String>) -> Self {
        Self { reason, detail: Detail::unusable(object, text) }
    }

    /// The same with the field that holds the one that is named.
    pub(crate) fn under(self, field: &str) -> Self {
        Self { detail: self.detail.under(field), ..self }
    }

    /// The same with the field that holds what is rejected.
    pub(crate) fn within(self, field: &str) -> Self {
        Self { detail: self.detail.within(field), ..self }
    }

    /// All that is wrong, in one line.
    pub(crate) fn message(&self) -> String {
        self.detail.to_string()
    }
}
