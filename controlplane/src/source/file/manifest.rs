//! What one file holds.

use std::collections::BTreeSet;
use std::path::Path;

use crd_validation::{Verdict, judge};
use crds::{DecodeError, Decoded, KINDS, Object, ObjectRef, documents as objects_of, is_builtin_group};
use serde_json::Value;

use super::document::{Unreadable, documents};
use crate::source::{DocumentPlace, Finding, Place, Severity};

/// The content of a file, with the last good version of what is broken in it.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Of the bytes that it was read from; `None` if they could not be read.
    pub(crate) hash: Option<u128>,
    /// In the order of the file; the same object may stand there twice.
    pub(crate) objects: Vec<(Place, Object)>,
    /// In the order of the file.
    pub(crate) findings: Vec<Finding>,
}

impl Manifest {
    /// Reads the content of a file, given what the file held before.
    pub(crate) fn parse(path: &Path, hash: u128, bytes: Vec<u8>, previous: Option<&Self>) -> Self {
        let Ok(text) = String::from_utf8(bytes) else {
            return Self { hash: Some(hash), ..Self::unreadable(path, "is not UTF-8 text", previous) };
        };
        let mut reader = Reader::new(path, previous);
        for document in documents(&text) {
            match document.content {
                Ok(value) => reader.read(document.place, value),
                Err(Unreadable { place, message }) => {
                    reader.keeps_everything = true;
                    reader.problem(place, message);
                }
            }
        }
        reader.finish(hash)
    }

    /// A file that cannot be read at all keeps all that it gave.
    pub(crate) fn unreadable(path: &Path, message: &str, previous: Option<&Self>) -> Self {
        let finding =
            Finding { place: Place::file(path), severity: Severity::Problem, message: message.to_owned() };
        let objects = previous.map(|previous| previous.objects.clone()).unwrap_or_default();
        Self { hash: None, objects, findings: vec![finding] }
    }

    fn last_good(&self, object: &ObjectRef) -> Option<&(Place, Object)> {
        self.objects.iter().find(|(_, known)| known.object_ref() == *object)
    }
}

/// Collects what the documents of a file hold.
struct Reader<'a> {
    path: &'a Path,
    previous: Option<&'a Manifest>,
    objects: Vec<(Place, Object)>,
    findings: Vec<Finding>,
    /// Objects that stand in the file, good or broken.
    named: BTreeSet<ObjectRef>,
    /// Something in the file cannot be told apart: it may be any object that was there before.
    keeps_everything: bool,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, previous: Option<&'a Manifest>) -> Self {
        Self {
            path,
            previous,
            objects: Vec::new(),
            findings: Vec::new(),
            named: BTreeSet::new(),
            keeps_everything: false,
        }
    }

    fn read(&mut self, place: DocumentPlace, document: Value) {
        for object in objects_of(document) {
            match object {
                Ok(object) => self.judge(place, object),
                Err(error) => self.refused(place, &error),
            }
        }
    }

    /// What an API server would refuse is refused with all that is wrong with it; what it would store, with the
    /// defaults of its schema, is read.
    fn judge(&mut self, place: DocumentPlace, document: Value) {
        let object = match judge(document) {
            Ok(verdict) if verdict.violations.is_empty() => verdict.object,
            Ok(verdict) => return self.violations(place, &verdict),
            // Of a kind that we do not read: decoding says which.
            Err(document) => document,
        };
        match Object::decode(object) {
            Ok(decoded) => self.decoded(place, decoded),
            Err(error) => self.refused(place, &error),
        }
    }

    fn violations(&mut self, place: DocumentPlace, verdict: &Verdict) {
        let (name, suffix) = match &verdict.reference {
            Some(reference) => (reference.to_string(), self.keep(reference)),
            None => {
                self.keeps_everything = true;
                (verdict.kind.kind.to_owned(), "")
            }
        };
        for violation in &verdict.violations {
            self.problem(place, format!("{name}: {violation}{suffix}"));
        }
    }

    /// An unknown field is an error, as it is for `kubectl apply --validate=strict`: a typing error
    /// must not silently take a policy away.
    fn decoded(&mut self, place: DocumentPlace, Decoded { object, unknown_fields }: Decoded) {
        let reference = object.object_ref();
        if unknown_fields.is_empty() {
            self.named.insert(reference);
            self.objects.push((self.place(place), object));
            return;
        }
        let suffix = self.keep(&reference);
        for field in unknown_fields {
            self.problem(place, format!("{reference}: {field}: unknown field{suffix}"));
        }
    }

    fn refused(&mut self, place: DocumentPlace, error: &DecodeError) {
        match error {
            DecodeError::UnknownKind { api_version, kind } => {
                let severity = if is_ours(api_version) { Severity::Problem } else { Severity::Notice };
                let message = match severity {
                    Severity::Problem => error.to_string(),
                    Severity::Notice => {
                        format!("{kind} of {api_version} is left aside: Chancery does not read it")
                    }
                };
                self.finding(place, severity, message);
            }
            DecodeError::Invalid(invalid) => {
                let suffix = match &invalid.object {
                    Some(object) => self.keep(object),
                    None => {
                        self.keeps_everything = true;
                        ""
                    }
                };
                self.problem(place, format!("{error}{suffix}"));
            }
            DecodeError::NotAnObject(_) => {
                self.keeps_everything = true;
                self.problem(place, error.to_string());
            }
        }
    }

    /// Keeps the last good version of a broken object; the words that tell of it.
    fn keep(&mut self, object: &ObjectRef) -> &'static str {
        let is_first = self.named.insert(object.clone());
        match self.previous.and_then(|previous| previous.last_good(object)) {
            Some(last_good) => {
                if is_first {
                    self.objects.push(last_good.clone());
                }
                " (its last good version stays in use)"
            }
            None => "",
        }
    }

    fn finish(mut self, hash: u128) -> Manifest {
        if self.keeps_everything {
            let previous = self.previous.map(|previous| previous.objects.as_slice()).unwrap_or_default();
            let unnamed = previous.iter().filter(|(_, object)| !self.named.contains(&object.object_ref()));
            self.objects.extend(unnamed.cloned());
        }
        Manifest { hash: Some(hash), objects: self.objects, findings: self.findings }
    }

    fn place(&self, document: DocumentPlace) -> Place {
        Place { file: self.path.to_owned(), document: Some(document) }
    }

    fn problem(&mut self, place: DocumentPlace, message: String) {
        self.finding(place, Severity::Problem, message);
    }

    fn finding(&mut self, place: DocumentPlace, severity: Severity, message: String) {
        self.findings.push(Finding { place: self.place(place), severity, message });
    }
}

/// Whether an API group is one of those that we read kinds of (beside Kubernetes' own, of which we
/// read the fewest kinds). A kind of it that we do not know is more likely a mistake than none of our
/// business.
fn is_ours(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    !is_builtin_group(group) && (group == "chancery.dev" || KINDS.iter().any(|kind| kind.group == group))
}
