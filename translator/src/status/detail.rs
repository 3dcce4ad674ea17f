//! One thing that is wrong with an object, and where.

use std::fmt;

use crds::ObjectRef;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detail {
    /// The path of the field, such as `spec.rules[0].filters[1].type`; of a listener, from the listener on. Empty
    /// where it is the object or the listener as a whole.
    pub field: String,
    /// What is wrong, without the field.
    pub text: String,
    /// The other object that it comes from, if there is one.
    pub cause: Option<Box<Cause>>,
}

/// Another object that something comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It does not exist.
    Missing(ObjectRef),
    /// It cannot be used, which is told of it as well.
    Unusable(ObjectRef),
}

impl Detail {
    /// Something about the object as a whole.
    pub fn new(text: impl Into<String>) -> Self {
        Self::at(String::new(), text)
    }

    /// Something about a field.
    pub fn at(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self { field: field.into(), text: text.into(), cause: None }
    }

    /// An object does not exist.
    pub(crate) fn missing(object: ObjectRef) -> Self {
        let text = format!("{object} does not exist");
        Self { cause: Some(Box::new(Cause::Missing(object))), ..Self::new(text) }
    }

    /// An object cannot be used, of which that is told as well.
    pub(crate) fn unusable(object: ObjectRef, text: impl Into<String>) -> Self {
        Self { cause: Some(Box::new(Cause::Unusable(object))), ..Self::new(text) }
    }

    /// The same with the field that holds the one that is named.
    #[must_use]
    pub(crate) fn under(self, field: &str) -> Self {
        let member = if self.field.is_empty() { String::new() } else { format!(".{}", self.field) };
        Self { field: format!("{field}{member}"), ..self }
    }

    /// The same as a fault of the field that leads to it; what was its field becomes a part of the text.
    #[must_use]
    pub(crate) fn within(self, field: &str) -> Self {
        Self { field: field.to_owned(), text: self.to_string(), cause: self.cause }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.text)
    }
}

/// Several things in one line, as they stand in a condition's message.
pub(crate) fn joined<'a>(details: impl IntoIterator<Item = &'a Detail>) -> String {
    details.into_iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
