//! Holds a table of decisions about unset fields against what is emitted. Also used by `controlplane`, for the
//! bootstraps.
//!
//! A table is a Markdown file. Rows count under three headings, and no other part of the file does:
//!
//! ```text
//! ## Defaults that act | ## Never set    fields that no emitted message sets
//! ## Sometimes set                       fields that some emitted messages of the type set, and some do not
//!
//! | message | fields | when absent | why that is wanted |
//! | `core.v3.Address` | `pipe`, `other` | what Envoy does | why |
//! | `core.v3.HttpProtocolOptions` in `Cluster.typed_extension_protocol_options` | ...
//! ```
//!
//! A message is named by as much of the end of its full name as makes it unique among those emitted. With `in`, a
//! row is about those messages only that are reached by the given field, or that are in the resource of the given
//! name; other rows about the same field are then about the rest.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proto::Presence;

/// Everything emitted: the name of a resource and each message in it.
pub(crate) type Emitted = Vec<(String, Presence)>;

/// Adds the messages of a resource.
pub(crate) fn add(emitted: &mut Emitted, resource: &str, type_url: &str, bytes: &[u8]) {
    let found = proto::presence(type_url, bytes).expect("messages of the pinned Envoy");
    emitted.extend(found.into_iter().map(|presence| (resource.to_owned(), presence)));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occurrence {
    Never,
    Sometimes,
    Always,
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    /// Rows to add, by what they are about, with the heading that they belong under.
    pub(crate) missing: BTreeMap<(Occurrence, String), Vec<String>>,
    /// Rows to take out or to move, and why.
    pub(crate) superfluous: BTreeSet<String>,
}

impl Mistakes {
    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.superfluous.is_empty()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((occurrence, message), fields) in &self.missing {
            let heading = match occurrence {
                Occurrence::Never => "Never set` or `## Defaults that act",
                _ => "Sometimes set",
            };
            writeln!(f, "missing under `## {heading}`:\n| `{message}` | `{}` |  |  |", fields.join("`, `"))?;
        }
        self.superfluous.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// One field of one row.
struct Row {
    line: usize,
    occurrence: Occurrence,
    message: String,
    within: Option<String>,
    field: String,
}

/// Compares a table with what is emitted.
pub(crate) fn check(table: &str, emitted: &Emitted) -> Mistakes {
    let mut mistakes = Mistakes { missing: BTreeMap::new(), superfluous: BTreeSet::new() };
    let mut messages: BTreeMap<&str, Vec<(&str, &Presence)>> = BTreeMap::new();
    for (resource, presence) in emitted {
        messages.entry(&presence.message).or_default().push((resource, presence));
    }
    let mut rows: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in read(table, &mut mistakes.superfluous) {
        match resolve(&row.message, messages.keys().copied()) {
            Ok(message) => rows.entry((message, row.field.clone())).or_default().push(row),
            Err(error) => drop(mistakes.superfluous.insert(format!("line {}: {error}", row.line))),
        }
    }
    for (message, instances) in &messages {
        for field in instances[0].1.fields.iter().map(|field| &field.name) {
            let rows = rows.remove(&((*message).to_owned(), field.clone())).unwrap_or_default();
            check_field(message, field, instances, &rows, &mut mistakes);
        }
    }
    for ((message, field), rows) in rows {
        let line = rows[0].line;
        mistakes.superfluous.insert(format!("line {line}: {message} has no field `{field}`"));
    }
    mistakes
}

/// The messages, as the table names them, and fields under `## Never set`: what their absence means holds wherever
/// the message stands.
pub(crate) fn neutral(table: &str) -> Vec<(String, String)> {
    let start = table.find("\n## Never set").expect("a heading");
    let rows = read(&table[start..], &mut BTreeSet::new()).into_iter();
    let rows = rows.filter(|row| row.occurrence == Occurrence::Never && row.within.is_none());
    rows.map(|row| (row.message, row.field)).collect()
}

impl Mistakes {
    /// Without the missing rows that another table has among those that are [`neutral`].
    pub(crate) fn without(mut self, neutral: &[(String, String)]) -> Self {
        for ((_, message), fields) in &mut self.missing {
            fields.retain(|field| {
                !neutral.iter().any(|(end, other)| other == field && ends_with(message, end))
            });
        }
        self.missing.retain(|_, fields| !fields.is_empty());
        self
    }
}

/// Compares the rows about one field with the messages that could have it.
fn check_field(
    message: &str,
    field: &str,
    instances: &[(&str, &Presence)],
    rows: &[Row],
    mistakes: &mut Mistakes,
) {
    let mut about: BTreeMap<Option<&str>, Vec<&Presence>> = BTreeMap::new();
    for (resource, presence) in instances {
        let places = rows.iter().filter_map(|row| row.within.as_deref());
        let places: BTreeSet<_> = places.filter(|place| is_within(place, resource, presence)).collect();
        if places.len() > 1 {
            mistakes.superfluous.insert(format!("`{field}` of {message}: {places:?} are not apart"));
        }
        about.entry(places.first().copied()).or_default().push(presence);
    }
    let mut seen = BTreeSet::new();
    for Row { line, occurrence, within, .. } in rows {
        let mut complain = |text: &str| {
            mistakes.superfluous.insert(format!("line {line}: `{field}` of {message} {text}"));
        };
        if !seen.insert(within.as_deref()) {
            complain("has an earlier row");
        }
        match about.get(&within.as_deref()).map(|instances| decide(field, instances)) {
            None => complain("is about no message that is emitted"),
            Some(None) => complain("needs no row: deprecated, or another alternative is always set"),
            Some(Some(Occurrence::Always)) => complain("is always set"),
            Some(Some(actual)) if actual != *occurrence => {
                complain(&format!("stands under the wrong heading: it is {actual:?} set"));
            }
            Some(Some(_)) => {}
        }
    }
    if let Some(rest) = about.get(&None)
        && let Some(occurrence @ (Occurrence::Never | Occurrence::Sometimes)) = decide(field, rest)
        && !seen.contains(&None)
    {
        mistakes.missing.entry((occurrence, message.to_owned())).or_default().push(field.to_owned());
    }
}

/// How often a field is set; `None` if its absence needs no decision.
fn decide(field: &str, instances: &[&Presence]) -> Option<Occurrence> {
    let all = |presence: &Presence| presence.fields.iter().find(|other| other.name == field).cloned();
    let fields: Vec<_> = instances.iter().filter_map(|presence| all(presence)).collect();
    match fields.iter().filter(|field| field.set).count() {
        count if count == fields.len() => return Some(Occurrence::Always),
        // `no_case_emits_a_deprecated_field` decides about these.
        _ if fields.first()?.deprecated => return None,
        _ => {}
    }
    let chosen = |presence: &&Presence, oneof: &str| {
        presence.fields.iter().any(|other| other.set && other.oneof.as_deref() == Some(oneof))
    };
    if let Some(oneof) = &fields.first()?.oneof
        && instances.iter().all(|presence| chosen(presence, oneof))
    {
        return None;
    }
    Some(if fields.iter().any(|field| field.set) { Occurrence::Sometimes } else { Occurrence::Never })
}

fn is_within(place: &str, resource: &str, presence: &Presence) -> bool {
    resource == place || presence.path.iter().any(|step| ends_with(step, place))
}

/// Whether `name` is `end`, or ends in it after a dot.
fn ends_with(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The full name of which `end` is the end.
fn resolve<'a>(end: &str, messages: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let found: Vec<_> = messages.filter(|message| ends_with(message, end)).collect();
    match found.as_slice() {
        [] => Err(format!("no message `{end}` is emitted")),
        [one] => Ok((*one).to_owned()),
        several => Err(format!("`{end}` could be {}", several.join(" or "))),
    }
}

/// The rows of a table, one for each field.
fn read(table: &str, mistakes: &mut BTreeSet<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut occurrence = None;
    for (line, text) in (1..).zip(table.lines()) {
        if let Some(heading) = text.strip_prefix("## ") {
            occurrence = match heading {
                "Defaults that act" | "Never set" => Some(Occurrence::Never),
                "Sometimes set" => Some(Occurrence::Sometimes),
                _ => None,
            };
        }
        let Some(occurrence) = occurrence else { continue };
        if !text.starts_with("| `") {
            continue;
        }
        let cells: Vec<&str> = text.trim_matches('|').split(" | ").map(str::trim).collect();
        let [subject, fields, absent, why] = cells[..] else {
            mistakes.insert(format!("line {line}: not four cells"));
            continue;
        };
        if absent.is_empty() || why.is_empty() {
            mistakes.insert(format!("line {line}: says not what absence means, or not why it is wanted"));
        }
        let subject = quoted(subject);
        rows.extend(quoted(fields).into_iter().map(|field| Row {
            line,
            occurrence,
            message: subject.first().cloned().unwrap_or_default(),
            within: subject.get(1).cloned(),
            field,
        }));
    }
    rows
}

/// The parts of a cell between back quotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
