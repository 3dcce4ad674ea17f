//! Filters of which a route chooses one of several.
//!
//! Much of what some of Envoy's filters need can be said by the filter's own configuration alone, so that a route cannot carry
//! it, and each of what routes ask for needs a filter of its own. They are the branches of one filter of each Gateway
//! (`envoy.filters.http.composite`), which stands in every listener, comes apart from it (ECDS) and is disabled but for the
//! routes that ask for a branch. A branch is chosen by its name. That is a text in the request's filter state, which one
//! filter before all of these writes as the route has it; no client has a part in it.
//!
//! A name that the filter does not know is answered with 500: a route never passes unasked because its table came before the
//! filter, or because a proxy has refused the filter.

use std::collections::HashMap;

use proto::composite::{Composite, ExecuteFilterAction, FilterChainConfiguration};
use proto::core::TypedExtensionConfig;
use proto::http_rbac::Rbac;
use proto::network_inputs::FilterStateInput;
use proto::pack;
use proto::set_filter_state::Config as SetFilterState;
use proto::wkt::Any;
use proto::xds_core::TypedExtensionConfig as MatchExtension;
use proto::xds_matcher::Matcher;
use proto::xds_matcher::matcher::matcher_tree::{MatchMap, TreeType};
use proto::xds_matcher::matcher::on_match::OnMatch as OnMatchKind;
use proto::xds_matcher::matcher::{MatcherTree, MatcherType, OnMatch};

use super::discovered::answer_500;
use super::filter_state::written;
use super::header::literal_format;

/// The name of the filter that notes what the route has chosen.
pub(super) const CHOICES: &str = "chancery.choices";

/// The value for a request that passes. It is the name of no branch.
const NOTHING: &str = "nothing";

/// A filter with branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its name.
    pub name: &'static str,
    /// The key of the filter state with the name of the branch.
    pub key: &'static str,
}

/// What the filter does that notes choices: for a route that says nothing, or with what a route has chosen. It writes
/// something for each filter with branches, since a request may pass them all.
pub(super) fn choices(all: &[Chosen], chosen: &[(Chosen, &str)]) -> Any {
    let values = all.iter().map(|filter| {
        let branch = chosen.iter().find(|(of, _)| of == filter).map_or(NOTHING, |(_, branch)| branch);
        written(filter.key.to_owned(), literal_format(branch))
    });
    pack(&SetFilterState { on_request_headers: values.collect(), ..SetFilterState::default() })
}

/// The filter that listeners name, with its branches: each has a name, and the name and configuration of a filter of Envoy's.
pub(super) fn extension(
    filter: Chosen,
    branches: impl Iterator<Item = (String, &'static str, Any)>,
) -> TypedExtensionConfig {
    of_branches(filter, branches.map(|(name, kind, config)| (name, execute(kind, config))))
}

/// The same with branches that are there already.
pub(super) fn of_branches(
    filter: Chosen,
    branches: impl Iterator<Item = (String, OnMatch)>,
) -> TypedExtensionConfig {
    let nothing = (NOTHING.to_owned(), execute("envoy.filters.http.rbac", pack(&Rbac::default())));
    chosen_by(filter.key, filter.name, branches.chain([nothing]))
}

/// A filter of that name that does what the branch does which is named by the request's filter state under that key, and
/// answers 500 if there is no such branch.
pub(super) fn chosen_by(
    key: &str,
    name: &str,
    branches: impl IntoIterator<Item = (String, OnMatch)>,
) -> TypedExtensionConfig {
    let map: HashMap<_, _> = branches.into_iter().collect();
    let has_branches = !map.is_empty();
    let tree = MatcherTree {
        input: Some(MatchExtension {
            name: "branch".to_owned(),
            typed_config: Some(pack(&FilterStateInput {
                key: key.to_owned(),
                ..FilterStateInput::default()
            })),
        }),
        tree_type: Some(TreeType::ExactMatchMap(MatchMap { map })),
    };
    let matcher = Matcher {
        // Envoy takes no tree without branches.
        matcher_type: has_branches.then_some(MatcherType::MatcherTree(tree)),
        on_no_match: Some(Box::new(execute("envoy.filters.http.fault", pack(&answer_500())))),
    };
    let config = Composite { matcher: Some(matcher), ..Composite::default() };
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack(&config)) }
}

/// Writes a text into the filter state of the request.
pub(super) fn note_under(key: &str, text: &str) -> Any {
    let value = written(key.to_owned(), literal_format(text));
    pack(&SetFilterState { on_request_headers: vec![value], ..SetFilterState::default() })
}

/// A branch that does what filters do, one after the other. None of them may wait before it lets a request go on: Envoy would leave out
/// those behind it.
pub(super) fn execute_all(mut filters: Vec<TypedExtensionConfig>) -> OnMatch {
    match filters.pop() {
        Some(only) if filters.is_empty() => {
            action(ExecuteFilterAction { typed_config: Some(only), ..ExecuteFilterAction::default() })
        }
        last => {
            filters.extend(last);
            let chain = FilterChainConfiguration { typed_config: filters };
            action(ExecuteFilterAction { filter_chain: Some(chain), ..ExecuteFilterAction::default() })
        }
    }
}

/// A branch that does what a filter does.
pub(super) fn execute(name: &str, config: Any) -> OnMatch {
    let filter = TypedExtensionConfig { name: name.to_owned(), typed_config: Some(config) };
    action(ExecuteFilterAction { typed_config: Some(filter), ..ExecuteFilterAction::default() })
}

fn action(action: ExecuteFilterAction) -> OnMatch {
    let action = MatchExtension { name: "filter".to_owned(), typed_config: Some(pack(&action)) };
    OnMatch { on_match: Some(OnMatchKind::Action(action)), ..OnMatch::default() }
}
