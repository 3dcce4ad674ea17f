//! DirectResponses, by which a rule answers requests itself.

use crds::gateway_api::Rule;
use crds::{Kind, ObjectKey};

use super::destinations::RuleTranslator;
use super::filter::Filters;
use super::policy::Applied;
use super::view::View;
use crate::status::{Reason, Rejection};

impl<V: View> RuleTranslator<'_, V> {
    /// Refuses a DirectResponse beside what would have no effect with it, so that nobody takes it for done.
    pub(super) fn check_answer<M>(
        &self,
        rule: &Rule<M>,
        filters: &Filters,
        chain: &[Applied],
    ) -> Result<(), Rejection> {
        let keys = chain.iter().map(|applied| &applied.face.key);
        let mut answers: Vec<&ObjectKey> = keys.filter(|key| key.kind == Kind::DirectResponse).collect();
        answers.sort();
        answers.dedup();
        let Some(answer) = answers.first() else { return Ok(()) };
        let field = &self.field;
        let refuse = |reason, field: String, text: String| {
            Err(Rejection::unusable(reason, answer.to_ref(), text).within(&field))
        };
        let excluded = |what: &str| format!("a DirectResponse and {what} exclude each other");
        if self.key.kind != Kind::HttpRoute {
            let text = "a DirectResponse is supported in HTTPRoutes alone".to_owned();
            return refuse(Reason::UnsupportedValue, format!("{field}.filters"), text);
        }
        if answers.len() > 1 {
            let text = "two DirectResponses exclude each other".to_owned();
            return refuse(Reason::IncompatibleFilters, format!("{field}.filters"), text);
        }
        if !rule.backend_refs.is_empty() {
            return refuse(Reason::IncompatibleFilters, field.clone(), excluded("backendRefs"));
        }
        match filters.needs_backend() {
            Some(filter) => refuse(
                Reason::IncompatibleFilters,
                format!("{field}.filters"),
                excluded(&format!("a {filter}")),
            ),
            None => Ok(()),
        }
    }
}
