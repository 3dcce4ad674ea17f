//! What is wrong with an object, and where.

use std::fmt;

use crds::KindInfo;
use serde_json::Value;

/// Something in an object that an API server refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path of the field, such as `spec.rules[0].filters[1].type`; empty for the object itself.
    pub path: String,
    /// What is wrong with it: the CRD's own words where its rule has a message. Quotes no value that may be a credential.
    pub message: String,
    /// An API server that finds this does not look at the rules any more, which may need what is missing.
    pub(crate) blocks_rules: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Collects violations, and knows how much of a value may be said.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
    /// Whose values may be quoted, unless they may be credentials.
    kind: Option<&'static KindInfo>,
}

impl Report {
    /// `kind`: that of the object; `None` to quote nothing.
    pub(crate) fn new(kind: Option<&'static KindInfo>) -> Self {
        Self { violations: Vec::new(), kind }
    }

    /// A violation after which rules can still be looked at.
    pub(crate) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.push(path, message.into(), false);
    }

    /// A violation that makes rules meaningless: a wrong type, something missing, too long or there twice.
    pub(crate) fn blocking(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.push(path, message.into(), true);
    }

    /// Drops those after the first `found` that are about a value of which one of these is about a member.
    pub(crate) fn drop_consequences(&mut self, found: usize) {
        let rules = self.violations.split_off(found);
        let is_member = |parent: &str, path: &str| {
            let name = path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| !name.contains(['.', '[']))
        };
        let is_cause = |rule: &Violation, other: &Violation| is_member(&rule.path, &other.path);
        let kept =
            rules.into_iter().filter(|rule| !self.violations.iter().any(|other| is_cause(rule, other)));
        let kept: Vec<_> = kept.collect();
        self.violations.extend(kept);
    }

    pub(crate) fn blocks_rules(&self) -> bool {
        self.violations.iter().any(|violation| violation.blocks_rules)
    }

    /// The value with the words after it, or only the words if the value may be a secret.
    pub(crate) fn quote(&self, path: &Path<'_>, value: &Value) -> String {
        let text = value.to_string();
        let is_quoted = |kind| text.len() <= 80 && !crds::may_be_credential(kind, &path.to_string());
        if self.kind.is_some_and(is_quoted) { format!("{text} ") } else { String::new() }
    }

    fn push(&mut self, path: &Path<'_>, message: String, blocks_rules: bool) {
        self.violations.push(Violation { path: path.to_string(), message, blocks_rules });
    }
}

/// The way to a value; costs nothing until it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Path::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
