//! The rules of a CRD (`x-kubernetes-validations`), written in CEL.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde::Deserialize;
use serde_json::Value;

use crate::schema::{Kind, Schema};
use crate::violation::{Path, Report};

/// A rule, compiled when an object first needs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Rule {
    pub(crate) text: String,
    message: Option<String>,
    compiled: Arc<Compiled>,
}

/// A rule as a CRD writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rule: String,
    message: Option<String>,
}

#[derive(Default)]
struct Compiled(OnceLock<Result<Program, String>>);

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compiled")
    }
}

impl From<Written> for Rule {
    fn from(Written { rule, message }: Written) -> Self {
        // The same rule stands at many places of a CRD and in both of its versions.
        static KNOWN: OnceLock<Mutex<HashMap<String, Arc<Compiled>>>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = Arc::clone(known.entry(rule.clone()).or_default());
        Self { text: rule, message, compiled }
    }
}

impl Rule {
    /// Whether the rule compares with what was there before: an API server does not look at it when an
    /// object is created, and neither do we, who know no earlier object.
    pub(crate) fn is_about_change(&self) -> bool {
        self.text.contains("oldSelf")
    }

    /// The rule's program, or why there is none.
    pub(crate) fn program(&self) -> Result<&Program, &str> {
        let compile = || Program::compile(&self.text).map_err(|error| error.to_string());
        self.compiled.0.get_or_init(compile).as_ref().map_err(String::as_str)
    }

    /// The rule must hold in all views of the value.
    fn check(&self, views: &[Cel], path: &Path<'_>, report: &mut Report) {
        let Ok(program) = self.program() else {
            return report.add(path, format!("this rule cannot be evaluated: {}", self.text));
        };
        let holds = |view: &Cel| {
            let mut scope = functions().new_inner_scope();
            scope.add_variable_from_value("self", view.clone());
            // To an API server a rule that fails to evaluate is a rule that is broken.
            matches!(program.execute(&scope), Ok(Cel::Bool(true)))
        };
        if !views.iter().all(holds) {
            let rule = || format!("must satisfy the rule {}", self.text);
            report.add(path, self.message.clone().unwrap_or_else(rule));
        }
    }
}

/// CEL's own functions and Kubernetes'.
fn functions() -> &'static Context<'static> {
    static FUNCTIONS: OnceLock<Context<'static>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| Context::default().with_all())
}

/// Holds a value and what is in it to the rules of its schema.
pub(crate) fn check(value: &Value, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    if value.is_null() {
        return;
    }
    let mut rules = schema.rules.iter().filter(|rule| !rule.is_about_change()).peekable();
    if rules.peek().is_some() {
        let mut views = vec![to_cel(value, Some(schema), Fraction::NotANumber)];
        if has_fraction(value, schema) {
            views.push(to_cel(value, Some(schema), Fraction::Absent));
        }
        rules.for_each(|rule| rule.check(&views, path, report));
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = schema.member(name) {
                    check(member, schema, &Path::Member(path, name), report);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                check(item, schema, &Path::Item(path, index), report);
            }
        }
        _ => {}
    }
}

/// What stands for an integer that is written as a floating point number (`80.0`).
///
/// An API server takes it for an integer, but its rules fail as soon as they look at it. Here no such value
/// can be made, so a rule must hold both where the number equals nothing and where it is absent: then its
/// outcome does not depend on the number.
#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    NotANumber,
    Absent,
}

fn is_fraction(value: &Value, schema: &Schema) -> bool {
    schema.kind == Some(Kind::Integer) && value.is_f64()
}

fn has_fraction(value: &Value, schema: &Schema) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| schema.member(name).is_some_and(|schema| has_fraction(member, schema))),
        Value::Array(items) => {
            schema.items.as_deref().is_some_and(|schema| items.iter().any(|item| has_fraction(item, schema)))
        }
        _ => is_fraction(value, schema),
    }
}

/// A value as a rule sees it.
fn to_cel(value: &Value, schema: Option<&Schema>, fraction: Fraction) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(_) if schema.is_some_and(|schema| is_fraction(value, schema)) => Cel::Float(f64::NAN),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cel::Int(number),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            Cel::List(Arc::new(items.iter().map(|item| to_cel(item, schema, fraction)).collect()))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                // The keys of a map are data and stay as they are.
                let is_field = schema.is_some_and(|schema| schema.properties.contains_key(name));
                let key = if is_field { escape(name) } else { name.clone() };
                let schema = schema.and_then(|schema| schema.member(name));
                let is_absent =
                    fraction == Fraction::Absent && schema.is_some_and(|schema| is_fraction(value, schema));
                (!is_absent).then(|| (Key::String(Arc::new(key)), to_cel(value, schema, fraction)))
            };
            Cel::Map(Map { map: Arc::new(members.iter().filter_map(member).collect()) })
        }
    }
}

/// The name of a field in a rule, where CEL could not say it as it is.
/// <https://kubernetes.io/docs/reference/using-api/cel/#escaping>
fn escape(name: &str) -> String {
    const WORDS: &[&str] = &[
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    if WORDS.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    let name = name.replace("__", "__underscores__").replace('.', "__dot__");
    name.replace('-', "__dash__").replace('/', "__slash__")
}
