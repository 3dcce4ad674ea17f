//! Which providers the AI routes lead to, in short, for a person.

use crds::ai::{AiPool, Target, canonical_backend, canonical_upstream};
use crds::{Object, ObjectRef};

use super::Translator;
use super::key::Key;
use super::value::Value;
use crate::gateway::backend::ai::provider_name;
use crate::gateway::facts::BackendKey;

/// An AI backend that a route leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct AiRoute {
    /// The route.
    pub route: ObjectRef,
    /// The Backend or Upstream.
    pub backend: ObjectRef,
    /// Its providers in groups, in the order of their use.
    pub groups: Vec<Vec<AiProvider>>,
    /// Whether the AI engine handles its requests.
    pub has_engine: bool,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AiProvider {
    /// Its name, as metrics have it.
    pub name: &'static str,
    /// The model that requests get; `None` is the one that they name.
    pub model: Option<String>,
}

impl Translator {
    /// The AI backends of each route that is served. Looks at every route: for one machine and a person.
    pub fn ai_routes(&self) -> Vec<AiRoute> {
        let mut rows = Vec::new();
        for (key, value) in self.graph.units() {
            let (Key::Served(_), Value::Served(version), Some(route)) = (key, value, key.object()) else {
                continue;
            };
            // A backend stands there for each Gateway.
            let backends: std::collections::BTreeSet<_> =
                version.uses().into_iter().map(|(_, backend)| backend).collect();
            let rows_of_route = backends.iter().filter_map(|backend| self.ai_backend(backend));
            let row = |(backend, groups, has_engine)| AiRoute {
                route: route.to_ref(),
                backend,
                groups,
                has_engine,
            };
            rows.extend(rows_of_route.map(row));
        }
        rows.sort_by(|left, right| (&left.route, &left.backend).cmp(&(&right.route, &right.backend)));
        rows
    }

    fn ai_backend(&self, key: &BackendKey) -> Option<(ObjectRef, Vec<Vec<AiProvider>>, bool)> {
        let BackendKey::Object(object) = key else { return None };
        let Some(Value::Backend(unit)) = self.graph.value(&Key::Backend(key.clone())) else { return None };
        let resolved = unit.result.as_ref().ok().filter(|resolved| resolved.is_ai)?;
        let canonical = match self.resources.object(object)? {
            Object::Backend(backend) => canonical_backend(backend),
            Object::Upstream(upstream) => canonical_upstream(upstream),
            _ => return None,
        };
        let Ok(Target::Ai(pool)) = canonical.map(|canonical| canonical.target) else { return None };
        Some((object.to_ref(), providers(&pool), resolved.has_engine))
    }
}

fn providers(pool: &AiPool) -> Vec<Vec<AiProvider>> {
    let group = |group: &crds::ai::AiGroup| {
        let provider = |destination: &crds::ai::AiDestination| AiProvider {
            name: provider_name(destination),
            model: destination.provider.model().map(str::to_owned),
        };
        group.destinations.iter().map(provider).collect()
    };
    pool.groups.iter().map(group).collect()
}
