//! What one file holds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crd_validation::{Verdict, Violation, judge};
use crds::{
    DecodeError, Decoded, KINDS, Object, ObjectRef, documents as objects_of, is_builtin_group, meant_by,
};
use serde_json::Value;

use super::document::{Unreadable, documents};
use super::text::Text;
use crate::source::{DocumentPlace, Finding, Origin, Place, Severity, rule};

/// The content of a file, with the last good version of what is broken in it.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Of the bytes that it was read from; `None` if they could not be read.
    pub(crate) hash: Option<u128>,
    /// In the order of the file; the same object may stand there twice.
    pub(crate) objects: Vec<(Origin, Object)>,
    /// Objects that stand in the file and cannot be read.
    pub(crate) broken: BTreeSet<ObjectRef>,
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
        let documents = documents(&text);
        if documents.is_empty() {
            let message = "the file holds no object";
            let finding = Finding::new(Place::file(path), Severity::Warning, rule::NOTHING_TO_READ, message);
            reader.findings.push(finding);
        }
        for document in documents {
            match document.content {
                Ok(value) => reader.read(document.place, &document.text, value),
                Err(Unreadable { place, message }) => {
                    reader.keeps_everything = true;
                    let problem =
                        Finding::new(reader.place(place), Severity::Problem, rule::INVALID_YAML, message);
                    reader.findings.push(problem);
                }
            }
        }
        reader.finish(hash)
    }

    /// A file that cannot be read at all keeps all that it gave.
    pub(crate) fn unreadable(path: &Path, message: &str, previous: Option<&Self>) -> Self {
        let finding = Finding::new(Place::file(path), Severity::Problem, rule::UNREADABLE, message);
        let objects = previous.map(|previous| previous.objects.clone()).unwrap_or_default();
        Self { hash: None, objects, broken: BTreeSet::new(), findings: vec![finding] }
    }

    fn last_good(&self, object: &ObjectRef) -> Option<&(Origin, Object)> {
        self.objects.iter().find(|(_, known)| known.object_ref() == *object)
    }
}

/// Collects what the documents of a file hold.
struct Reader<'a> {
    path: &'a Path,
    previous: Option<&'a Manifest>,
    objects: Vec<(Origin, Object)>,
    broken: BTreeSet<ObjectRef>,
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
            broken: BTreeSet::new(),
            findings: Vec::new(),
            named: BTreeSet::new(),
            keeps_everything: false,
        }
    }

    fn read(&mut self, place: DocumentPlace, text: &Arc<Text>, document: Value) {
        for (root, object) in objects_of(document) {
            let origin = Origin::new(self.place(place), &root, text.clone());
            match object {
                Ok(object) => self.judge(origin, object),
                Err(error) => self.refused(&origin, error),
            }
        }
    }

    /// What an API server would refuse is refused with all that is wrong with it; what it would store, with the
    /// defaults of its schema, is read.
    fn judge(&mut self, origin: Origin, document: Value) {
        let object = match judge(document) {
            Ok(verdict) if verdict.violations.is_empty() => verdict.object,
            Ok(verdict) => return self.violations(&origin, verdict),
            // Of a kind that we do not read: decoding says which.
            Err(document) => document,
        };
        match Object::decode(object) {
            Ok(decoded) => self.decoded(origin, decoded),
            Err(error) => self.refused(&origin, error),
        }
    }

    fn violations(&mut self, origin: &Origin, verdict: Verdict) {
        let suffix = self.keep_or_all(verdict.reference.as_ref());
        for Violation { path, message, .. } in verdict.violations {
            let message = match &verdict.reference {
                Some(_) => format!("{message}{suffix}"),
                None => format!("{message} in this {}", verdict.kind.kind),
            };
            self.problem(origin, rule::INVALID_FIELD, verdict.reference.as_ref(), path, message);
        }
    }

    /// An unknown field is an error, as it is for `kubectl apply --validate=strict`: a typing error
    /// must not silently take a policy away.
    fn decoded(&mut self, origin: Origin, Decoded { object, unknown_fields }: Decoded) {
        let reference = object.object_ref();
        if unknown_fields.is_empty() {
            self.named.insert(reference);
            self.objects.push((origin, object));
            return;
        }
        let suffix = self.keep(&reference);
        for field in unknown_fields {
            let message = format!("unknown field{suffix}");
            self.problem(&origin, rule::INVALID_FIELD, Some(&reference), field, message);
        }
    }

    fn refused(&mut self, origin: &Origin, error: DecodeError) {
        match error {
            DecodeError::UnknownKind { ref api_version, ref kind } => {
                if is_ours(api_version) || meant_by(api_version, kind).is_some() {
                    let is_kind_wrong = meant_by(api_version, kind).is_none_or(|meant| meant.kind != kind);
                    let field = if is_kind_wrong { "kind" } else { "apiVersion" };
                    return self.problem(
                        origin,
                        rule::UNKNOWN_KIND,
                        None,
                        field.to_owned(),
                        error.to_string(),
                    );
                }
                let message = format!("{kind} of {api_version} is left aside: Chancery does not read it");
                let place = origin.of("");
                self.findings.push(Finding::new(place, Severity::Notice, rule::UNKNOWN_KIND, message));
            }
            DecodeError::Invalid(invalid) => {
                let suffix = self.keep_or_all(invalid.object.as_ref());
                let message = format!("{}{suffix}", invalid.message);
                self.problem(origin, rule::INVALID_FIELD, invalid.object.as_ref(), invalid.path, message);
            }
            DecodeError::NotAnObject(message) => {
                self.keeps_everything = true;
                self.problem(origin, rule::NOT_AN_OBJECT, None, String::new(), message.to_owned());
            }
        }
    }

    /// Keeps the last good version of a broken object, or all of the file if it cannot be told which object it is.
    fn keep_or_all(&mut self, object: Option<&ObjectRef>) -> &'static str {
        self.keeps_everything |= object.is_none();
        object.map_or("", |object| self.keep(object))
    }

    /// Keeps the last good version of a broken object; the words that tell of it.
    fn keep(&mut self, object: &ObjectRef) -> &'static str {
        let is_first = self.named.insert(object.clone());
        self.broken.insert(object.clone());
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
        let Self { objects, broken, findings, .. } = self;
        Manifest { hash: Some(hash), objects, broken, findings }
    }

    fn place(&self, document: DocumentPlace) -> Place {
        Place { file: self.path.to_owned(), document: Some(document) }
    }

    fn problem(
        &mut self,
        origin: &Origin,
        rule: &'static str,
        object: Option<&ObjectRef>,
        field: String,
        message: String,
    ) {
        let problem = Finding::new(origin.of(&field), Severity::Problem, rule, message).at(field);
        self.findings.push(Finding { object: object.cloned(), ..problem });
    }
}

/// Whether an API group is one of those that we read kinds of (beside Kubernetes' own, of which we
/// read the fewest kinds). A kind of it that we do not know is more likely a mistake than none of our
/// business.
fn is_ours(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    !is_builtin_group(group) && (group == "chancery.dev" || KINDS.iter().any(|kind| kind.group == group))
}
