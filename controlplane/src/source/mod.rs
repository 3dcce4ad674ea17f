//! Where objects come from: a folder of YAML, or a cluster. Both end in the same [`Change`]s.

pub mod file;
pub mod kubernetes;
mod origin;
pub mod rule;

use std::fmt;
use std::path::PathBuf;

use crds::ObjectRef;
pub use origin::{Origin, Origins, SharedOrigins};
use tokio::sync::mpsc;
pub use translator::Change;

/// A place that objects come from.
pub trait Source {
    /// Starts to watch. The first [`Update`] holds every object that there is; nothing is translated
    /// before it has come. The source ends when the receiver is dropped.
    ///
    /// # Errors
    /// The place cannot be read or watched at all.
    fn start(self) -> anyhow::Result<mpsc::Receiver<Update>>;
}

/// Changes that belong together: they are translated as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// What changed since the last update.
    pub changes: Vec<Change>,
    /// What a person should know about the input as it is now, in the order of the input; replaces
    /// what was said before. `None`: that is as it was.
    pub findings: Option<Vec<Finding>>,
}

impl Update {
    /// The findings; none if they are as they were.
    pub fn said(&self) -> &[Finding] {
        self.findings.as_deref().unwrap_or_default()
    }
}

/// Something in the input that a person should know, in one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it is.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// Which rule is broken: a name that stays the same, for programs.
    pub rule: &'static str,
    /// The object that it is about, if there is one that the place does not name already.
    pub object: Option<ObjectRef>,
    /// The path of the field; empty for the whole.
    pub field: String,
    /// What it is, and what to do. Never holds a value that may be secret.
    pub message: String,
}

impl Finding {
    /// Something about a place as a whole.
    pub fn new(place: Place, severity: Severity, rule: &'static str, message: impl Into<String>) -> Self {
        Self { place, severity, rule, object: None, field: String::new(), message: message.into() }
    }

    /// The same about an object.
    #[must_use]
    pub fn of(self, object: ObjectRef) -> Self {
        Self { object: Some(object), ..self }
    }

    /// The same about a field.
    #[must_use]
    pub fn at(self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self }
    }
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The input is wrong, and a part of it has no effect.
    Problem,
    /// The input has an effect, but probably not the one that was meant.
    Warning,
    /// Nothing is wrong: something was left aside that is none of our business.
    Notice,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user named it or found below the folder that the user named. In a cluster, what
    /// stands for one: an object or a watch.
    pub file: PathBuf,
    /// The document within the file and the line; `None` for the file as a whole.
    pub document: Option<DocumentPlace>,
}

/// A place within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentPlace {
    /// Counted from 1; documents without content are not counted.
    pub number: usize,
    /// Counted from 1 from the start of the file.
    pub line: usize,
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), document: None }
    }

    /// No file: of what comes from none.
    pub fn nowhere() -> Self {
        Self::file("")
    }

    /// An object of a cluster.
    pub fn object(object: &ObjectRef) -> Self {
        Self::file(object.to_string())
    }

    /// The watch of a kind of a cluster.
    pub fn watch(kind: &str) -> Self {
        Self::file(format!("the watch of {kind} objects"))
    }
}

impl fmt::Display for Place {
    /// `routes.yaml:12: document 3`, of which terminals make a link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.document {
            Some(DocumentPlace { number, line }) => write!(f, ":{line}: document {number}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, severity, object, field, message, .. } = self;
        if *place != Place::nowhere() {
            write!(f, "{place}: ")?;
        }
        if *severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        if let Some(object) = object {
            write!(f, "{object}: ")?;
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}
