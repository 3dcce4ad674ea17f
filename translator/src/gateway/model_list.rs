//! The lists of models that HTTPRoutes tell: clients ask `…/v1/models` for them.
//!
//! The models of an HTTPRoute are those that matches of its rules name exactly, if the rule is carried out. The paths of the
//! lists come from the paths of those rules: a rule for `/x`, for `/x/v1` or for `/x/v1/chat/completions` has its list at
//! `/x/v1/models`, and one for `/x` also at `/x/v1beta/models`, in Google's form.

use std::collections::{BTreeMap, BTreeSet};

use ai_config::MODEL_HEADER;
use ir::{PathMatch, Precedence, RouteAction, RouteIr, RouteMatch, RoutePolicy, StringMatch};

/// Ends of paths behind the place where a client's base URL ends: what clients ask models.
const OPERATIONS: [&str; 6] =
    ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses", "/v1"];

/// Where clients of OpenAI and Anthropic ask for lists, behind that place.
const OPENAI_LIST: &str = "/v1/models";

/// Where clients ask for lists; the second is Google's.
const LISTS: [&str; 2] = [OPENAI_LIST, "/v1beta/models"];

/// A list of models.
#[derive(Debug)]
pub(super) struct ModelList {
    /// The requests for it.
    pub matches: RouteMatch,
    /// That of the prefix of a rule which covers the path, and not of the exact path: a rule of the user's for the same path
    /// or for a longer prefix comes first.
    pub precedence: Precedence,
    pub models: Vec<String>,
    /// What filters do with the requests for it: what they do with those of the first rule that has something.
    pub policy: RoutePolicy,
}

/// The lists of an HTTPRoute, by the path at which the base URLs of clients end.
#[derive(Debug, Default)]
pub(super) struct ModelLists(BTreeMap<String, Found>);

/// The rules whose clients have one base URL.
#[derive(Debug, Default)]
struct Found {
    models: BTreeSet<String>,
    /// The prefixes that they match.
    prefixes: BTreeSet<String>,
    policy: RoutePolicy,
}

impl ModelLists {
    /// Takes note of a route of the HTTPRoute.
    pub(super) fn add(&mut self, route: &RouteIr) {
        let (Some(StringMatch::Exact(model)), RouteAction::Forward(_)) =
            (route.matches.header(MODEL_HEADER), &route.action)
        else {
            return;
        };
        let Some(base) = base(&route.matches.path) else { return };
        let found = self.0.entry(base).or_default();
        found.models.insert(model.clone());
        if found.policy == RoutePolicy::default() {
            found.policy.clone_from(&route.policy);
        }
        if let PathMatch::Prefix(prefix) = &route.matches.path {
            found.prefixes.insert(prefix.clone());
        }
    }

    /// The lists, in order.
    pub(super) fn into_lists(self) -> Vec<ModelList> {
        self.0
            .iter()
            .flat_map(|(base, found)| LISTS.iter().filter_map(|list| found.list(base, list)))
            .collect()
    }
}

impl Found {
    /// The list behind a base URL; `None` if the rules do not speak for that path.
    fn list(&self, base: &str, list: &str) -> Option<ModelList> {
        let path = format!("{base}{list}");
        let covers = |prefix: &&String| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let prefix = match self.prefixes.iter().filter(covers).max_by_key(|prefix| prefix.len()) {
            Some(prefix) => prefix.clone(),
            None if list == OPENAI_LIST => format!("{base}/"),
            None => return None,
        };
        let get = |path| RouteMatch { path, method: Some("GET".to_owned()), ..RouteMatch::default() };
        Some(ModelList {
            matches: get(PathMatch::Exact(path)),
            precedence: get(PathMatch::Prefix(prefix)).precedence(),
            models: self.models.iter().cloned().collect(),
            policy: self.policy.clone(),
        })
    }
}

/// Where the base URLs of clients of this path end; `None` if the path does not say it.
fn base(path: &PathMatch) -> Option<String> {
    let known =
        |path: &str| OPERATIONS.iter().find_map(|operation| path.strip_suffix(operation)).map(str::to_owned);
    match path {
        PathMatch::Prefix(path) => Some(known(path).unwrap_or_else(|| path.trim_end_matches('/').to_owned())),
        PathMatch::Exact(path) => known(path),
        PathMatch::Regex(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stand_where_the_clients_of_a_rule_look() {
        let prefix = |path: &str| base(&PathMatch::Prefix(path.to_owned()));
        for (path, expected) in [
            ("/", ""),
            ("/v1", ""),
            ("/v1/chat/completions", ""),
            ("/openai", "/openai"),
            ("/openai/v1", "/openai"),
            ("/a/v1/messages", "/a"),
        ] {
            assert_eq!(prefix(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(base(&PathMatch::Exact("/v1/responses".to_owned())).as_deref(), Some(""));
        assert_eq!(base(&PathMatch::Exact("/chat".to_owned())), None);
        assert_eq!(base(&PathMatch::Regex("/v1/.*".to_owned())), None);
    }
}
