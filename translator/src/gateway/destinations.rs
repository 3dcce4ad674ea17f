//! Backend references of a rule → destinations of the IR.

use crds::NamespacedName;
use crds::gateway_api::{self as api, HttpRule as Rule};
use ir::{Destination, RouteMatch, Target};

use super::backend::{self, BackendRef};
use super::filter::{self, Filters};
use crate::gateway::facts::{BackendFace, BackendKey, RULE_BROKEN, TranslatedRoute};
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::Rejection;

/// One rule on its way into the IR.
pub(super) struct RuleTranslator<'a, V> {
    pub(super) view: &'a V,
    pub(super) key: &'a NamespacedName,
    pub(super) field: String,
}

impl<V: View> RuleTranslator<'_, V> {
    /// Where the requests of a rule go.
    pub(super) fn destinations(&self, rule: &Rule, out: &mut TranslatedRoute) -> Destinations {
        let mut destinations = Destinations::default();
        for (index, backend_ref) in rule.backend_refs.iter().enumerate() {
            let field = format!("{}.backendRefs[{index}]", self.field);
            let weight = u32::try_from(backend_ref.weight.unwrap_or(1)).unwrap_or_default();
            let filters = filter::read_backend(&backend_ref.filters, &format!("{field}.filters"));
            let reference = BackendRef {
                group: backend_ref.group.as_deref().unwrap_or_default(),
                kind: backend_ref.kind.as_deref().unwrap_or("Service"),
                namespace: backend_ref.namespace.as_deref().unwrap_or(&self.key.namespace),
                name: &backend_ref.name,
                port: backend_ref.port,
            };
            let referrer = Party::new(api::GROUP, "HTTPRoute", &self.key.namespace);
            let resolved = self.resolve(&referrer, &reference, out);
            let (target, filters) = match (resolved, filters) {
                (Ok(face), Ok(filters)) => {
                    let BackendFace { key: backend, clusters, rewrite, is_ai, has_engine: _ } = face;
                    destinations.any_ai |= is_ai;
                    let target = Target::Cluster {
                        clusters,
                        request_headers: filters.request_headers.clone(),
                        response_headers: filters.response_headers.clone(),
                        rewrite,
                    };
                    if weight > 0 {
                        destinations.backends.push(backend);
                    }
                    (target, filters)
                }
                // This share alone is answered with an error: the others are as they should be.
                (resolved, filters) => {
                    out.ref_errors.extend(resolved.err().map(|error| error.within(&field)));
                    out.broken.extend(filters.err());
                    (Target::Respond(RULE_BROKEN), Filters::default())
                }
            };
            if weight > 0 {
                destinations.list.push((Destination { weight, target }, filters));
            }
        }
        destinations
    }

    fn resolve(
        &self,
        referrer: &Party,
        reference: &BackendRef<'_>,
        out: &mut TranslatedRoute,
    ) -> Result<BackendFace, Rejection> {
        let backend = backend::meant(self.view, referrer, reference)?;
        let face = self.view.backend_face(&backend);
        out.named.push(face.as_ref().map_or(backend, |face| face.key.clone()));
        face
    }
}

/// The destinations of a rule, each with the filters of its reference.
#[derive(Default)]
pub(super) struct Destinations {
    pub list: Vec<(Destination, Filters)>,
    pub backends: Vec<BackendKey>,
    pub any_ai: bool,
}

/// Whether requests are answered with an error there.
pub(super) fn is_error(destination: &Destination) -> bool {
    matches!(destination.target, Target::Respond(_))
}

/// The destination with its reference's URLRewrite; what the backend itself needs wins.
pub(super) fn with_rewrite(
    destination: &Destination,
    filters: &Filters,
    matched: &RouteMatch,
) -> Result<Destination, Rejection> {
    let mut destination = destination.clone();
    if let Target::Cluster { rewrite, .. } = &mut destination.target {
        let own = filters.rewrite(&matched.path)?;
        rewrite.host = rewrite.host.take().or(own.host);
        rewrite.path = rewrite.path.take().or(own.path);
    }
    Ok(destination)
}
