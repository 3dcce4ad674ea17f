//! One rule of a CRD.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::{Context, Program, Value as Cel};
use serde::Deserialize;

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
    pub(crate) fn check(&self, views: &[Cel], path: &Path<'_>, report: &mut Report) {
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
