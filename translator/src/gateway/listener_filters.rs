//! Filters of listeners (`listeners[].filters`, Gateway API 1.7): services that are asked about every request before a route is
//! chosen.

use std::collections::BTreeSet;

use crds::ext_auth::ServiceRules;
use crds::gateway_api::gateway::ListenerFilter;
use crds::gateway_api::part::ExternalAuth;
use crds::gateway_api::{self as api};
use crds::{Kind, NamespacedName, ObjectKey};
use ir::ListenerQuestion;

use super::ext_auth::{self, Service};
use super::listener::Listener;
use super::policy::rejection;
use crate::gateway::facts::BackendKey;
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// The most filters of a listener (Gateway API, `ListenerFilters.requests`).
const MOST: usize = 16;

/// The one type that is carried out.
const EXTERNAL_AUTH: &str = "ExternalAuth";

/// What the filters of a listener come to.
#[derive(Default)]
pub(super) struct Asked {
    /// What is asked, in order; `None` where nobody can be, so that nothing passes.
    pub questions: Vec<Option<ListenerQuestion>>,
    /// The backends that are asked.
    pub backends: BTreeSet<BackendKey>,
    /// The backends that are named.
    pub named: Vec<BackendKey>,
    /// Why somebody cannot be asked.
    pub ref_errors: Vec<Rejection>,
}

/// What stands against the filters of a listener, seen alone. A listener with such filters is not served: requests would pass
/// that nobody has been asked about.
pub(super) fn refused(spec: &api::Listener) -> Option<Rejection> {
    let filters = spec.filters.as_ref()?;
    if !matches!(spec.protocol.as_str(), "HTTP" | "HTTPS") {
        let text = format!("a {} listener has none", spec.protocol);
        return Some(Rejection::at(Reason::InvalidListenerFilter, "filters", text));
    }
    if filters.requests.len() > MOST {
        let text = format!("there are more than {MOST}");
        return Some(Rejection::at(Reason::InvalidListenerFilter, "filters.requests", text));
    }
    fields(spec).find_map(|(field, filter)| read(filter, &field).err())
}

/// Whom the filters of a listener have asked. The object that the listener stands in refers to them.
pub(super) fn asked(view: &impl View, gateway: &NamespacedName, listener: &Listener) -> Asked {
    let owner = match &listener.set {
        None => ObjectKey { kind: Kind::Gateway, name: gateway.clone() },
        Some(set) => ObjectKey { kind: Kind::ListenerSet, name: set.clone() },
    };
    let mut asked = Asked::default();
    if listener.rejected.is_some() {
        return asked;
    }
    for (field, filter) in fields(&listener.spec) {
        let question = read(filter, &field).and_then(|(spec, rules)| {
            let field = format!("{field}.externalAuth");
            ext_auth::of_filter(view, &owner, &field, spec, &rules, &mut asked.named)
        });
        asked.questions.push(match question {
            Ok(Service { service, backend, body }) => {
                asked.backends.insert(backend);
                Some(ListenerQuestion { service, body: body.map(ext_auth::read_body) })
            }
            Err(error) => {
                let reason = match error.reason {
                    Reason::RefNotPermitted => Reason::RefNotPermitted,
                    _ => Reason::InvalidListenerFilterRef,
                };
                asked.ref_errors.push(Rejection { reason, ..error });
                None
            }
        });
    }
    asked
}

/// The filters with their fields.
fn fields(spec: &api::Listener) -> impl Iterator<Item = (String, &ListenerFilter)> {
    let filters = spec.filters.iter().flat_map(|filters| &filters.requests).enumerate();
    filters.map(|(index, filter)| (format!("filters.requests[{index}]"), filter))
}

/// Whom a filter has asked, and how.
fn read<'a>(filter: &'a ListenerFilter, field: &str) -> Result<(&'a ExternalAuth, ServiceRules), Rejection> {
    let ListenerFilter { r#type, external_auth, extension_ref } = filter;
    let invalid = |member: &str, text: String| {
        Rejection::at(Reason::InvalidListenerFilter, format!("{field}.{member}"), text)
    };
    if r#type != EXTERNAL_AUTH {
        let text = format!("{type:?} is not supported; {EXTERNAL_AUTH} is", r#type = r#type);
        return Err(Rejection::at(Reason::UnsupportedValue, format!("{field}.type"), text));
    }
    if extension_ref.is_some() {
        return Err(invalid("extensionRef", format!("has no place in a filter of type {EXTERNAL_AUTH}")));
    }
    let Some(spec) = external_auth else {
        return Err(invalid("externalAuth", "is required".to_owned()));
    };
    let rules = spec.read(&format!("{field}.externalAuth")).map_err(|error| {
        let error = rejection(error);
        Rejection { reason: Reason::InvalidListenerFilter, ..error }
    })?;
    // A route is chosen by what the service says.
    Ok((spec, ServiceRules { chooses_route: true, ..rules }))
}
