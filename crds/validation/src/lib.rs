//! The verdict of an API server on an object that is created, without an API server.
//!
//! The measure is what a server says that has Gateway API's CRDs 1.6.3 of the experimental channel (1.7.0 of Gateways,
//! ListenerSets and XBackends, which 1.6 has in another form or without all their members) and our own: schemas, defaults, list types, rules in CEL, metadata. Kinds that are built into Kubernetes are held
//! to their metadata and to little else. Pure: no IO, no clock.

mod builtin;
mod check;
mod complete;
mod kinds;
mod metadata;
mod rule;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod violation;

use crds::{KindInfo, ObjectRef};
use serde_json::Value;

use violation::{Path, Report};

pub use violation::Violation;

/// The version of Gateway API whose CRDs (of the experimental channel) objects are held to.
pub const GATEWAY_API_VERSION: &str = "v1.6.3";

/// An object as a server would store it, and what a server would refuse it for.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The kind that the object claims.
    pub kind: &'static KindInfo,
    /// The object's key, if it has a name.
    pub reference: Option<ObjectRef>,
    /// The object with the defaults of its schema, without nulls that stand for absent values, and without the
    /// status, which a server takes only from controllers. Of use only if nothing is violated.
    pub object: Value,
    /// All that is wrong with it. As a server does, rules are looked at only when nothing else is in their way. What a
    /// rule says of a value of which a member is wrong by itself is left out, since it most likely follows from that.
    pub violations: Vec<Violation>,
}

/// Judges a document; `Err` gives back one that is not of a kind and version in [`crds::KINDS`].
///
/// # Errors
/// See above: such a document is not ours to judge.
pub fn judge(mut document: Value) -> Result<Verdict, Value> {
    let Some((kind, version, reference)) = crds::claimed(&document) else { return Err(document) };
    let known = kinds::find(kind, version);
    let mut report = Report::new(Some(kind));
    metadata::check_and_complete(kind, &mut document, &mut report);
    match known.and_then(kinds::Known::schema) {
        Some(schema) => against_schema(&mut document, schema, &mut report),
        None => builtin::check(kind, &document, &mut report),
    }
    let mut violations = report.violations;
    violations.sort();
    violations.dedup();
    Ok(Verdict { kind, reference, object: document, violations })
}

/// The members that every object has; a server looks at them whether or not the schema names them.
const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];

fn against_schema(document: &mut Value, schema: &schema::Schema, report: &mut Report) {
    let take = |members: &mut serde_json::Map<String, Value>| HEAD.map(|name| members.remove(name));
    let Some(head) = document.as_object_mut().map(take) else { return };
    complete::unknown_fields(document, Some(schema), &Path::Root, report);
    complete::drop_nulls(document, schema);
    complete::put_defaults(document, schema);
    if let Some(members) = document.as_object_mut() {
        members.remove("status");
        let head = HEAD.iter().zip(head).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        members.extend(head);
    }
    // Rules see numbers as they are written, everything else takes `80.0` for `80`.
    let as_written = document.clone();
    complete::whole_numbers(document, schema);
    check::check(document, schema, &Path::Root, report);
    if !report.blocks_rules() {
        let found = report.violations.len();
        rules::check(&as_written, schema, &Path::Root, report);
        report.drop_consequences(found);
    }
}
