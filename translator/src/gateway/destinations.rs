//! Backend references of a rule → destinations of the IR.

use ai_config::Offer;
use crds::gateway_api::{self as api, Rule, part};
use crds::policy::AiContent;
use crds::{Kind, ObjectKey};
use ir::{Destination, DirectResponse, RouteMatch, Target};

use super::backend::{self, BackendRef};
use super::filter::{self, Filters};
use super::policy::{self, Applied, EnginePolicy, Level, RoutePolicies, Variant, Wanted};
use crate::gateway::facts::{
    BackendFace, BackendKey, BackendProtocol, CALL_BROKEN, PolicyEffect, PolicyFace, PolicyFact, RULE_BROKEN,
    RouteKey, TranslatedRoute,
};
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};

/// The largest weight of a backend (Gateway API, `BackendRef.weight`).
const MAX_WEIGHT: u32 = 1_000_000;

/// One rule on its way into the IR.
pub(super) struct RuleTranslator<'a, V> {
    pub(super) view: &'a V,
    pub(super) key: &'a RouteKey,
    /// The place of the rule among those of the route.
    pub(super) index: usize,
    pub(super) field: String,
    /// The policies of the route.
    pub(super) policies: &'a RoutePolicies,
    /// Where it is translated for.
    pub(super) variant: &'a Variant,
}

impl<V: View> RuleTranslator<'_, V> {
    /// Where the requests of a rule go, to which these policies apply.
    pub(super) fn destinations<M>(
        &self,
        rule: &Rule<M>,
        chain: &[Applied],
        out: &mut TranslatedRoute,
    ) -> Destinations {
        let mut destinations = Destinations::default();
        for (index, backend_ref) in rule.backend_refs.iter().enumerate() {
            let field = format!("{}.backendRefs[{index}]", self.field);
            let weight = weight(backend_ref, &field).unwrap_or_default();
            let filters = filter::read_backend(&backend_ref.filters, &format!("{field}.filters"));
            let filters = filters.and_then(|filters| {
                let chain = self.chain_of(&filters, chain, &field, out)?;
                let mirrors = self.mirrors(&filters, out)?;
                Ok((filters, chain, mirrors))
            });
            let resolved = resolve(self.view, self.key, backend_ref, out);
            // Also where the other is wrong: everything that is wrong is told.
            let (face, filters) = (
                resolved.map_err(|error| out.ref_errors.push(error.under(&field))).ok(),
                filters.map_err(|error| out.broken.push(error)).ok(),
            );
            let made = face.zip(filters).and_then(|(face, (filters, chain, mirrors))| {
                let ai_policy = self.ai_policy(&chain, &face, out);
                let ai_policy = ai_policy.map_err(|error| out.broken.push(error.within(&field))).ok()?;
                destinations.any_ai |= face.is_ai;
                destinations.any_uncounted |= face.is_ai && !face.has_engine;
                destinations.any_without_engine |= !(face.is_ai && face.has_engine);
                destinations.any_streams |= face.streams;
                if weight > 0 {
                    destinations.offers.extend(offers(&face, ai_policy.as_ref()));
                    destinations.backends.push(face.key);
                    destinations.backends.extend(mirrors.backends);
                    destinations.backends.extend(ai_policy.iter().flat_map(|policy| policy.servers.clone()));
                }
                let target = Target::Cluster {
                    clusters: face.clusters,
                    request_headers: filters.request_headers.clone(),
                    response_headers: filters.response_headers.clone(),
                    rewrite: face.rewrite,
                    websocket: face.websocket,
                    mirrors: mirrors.list,
                    ai_policy: ai_policy.map(|policy| policy.text),
                };
                Some((target, filters))
            });
            // This share alone is answered with an error: the others are as they should be.
            let (target, filters) =
                made.unwrap_or((Target::Respond(broken_answer(self.key)), Filters::default()));
            if weight > 0 {
                destinations.list.push((Destination { weight, target }, filters));
            }
        }
        destinations
    }

    /// The policies that filters refer to.
    pub(super) fn of_filters(
        &self,
        filters: &Filters,
        level: Level,
        out: &mut TranslatedRoute,
    ) -> Result<Vec<Applied>, Rejection> {
        let mut found = Vec::new();
        for (field, reference) in &filters.extensions {
            let face =
                policy::of_filter(self.view, &self.key.name.namespace, reference).map_err(|rejection| {
                    let rejection = rejection.within(field);
                    out.ref_errors.push(rejection.clone());
                    rejection
                })?;
            found.push(Applied { level, face });
        }
        Ok(found)
    }

    /// Policies in their order, which are told that they apply.
    pub(super) fn told(&self, chain: Vec<Applied>, out: &mut TranslatedRoute) -> Vec<Applied> {
        let chain = policy::sorted(chain);
        for applied in &chain {
            self.tell(&applied.face.key, PolicyEffect::Applies, out);
        }
        chain
    }

    /// The policies of a destination: those of its own filters, then those of the rule.
    fn chain_of(
        &self,
        filters: &Filters,
        chain: &[Applied],
        field: &str,
        out: &mut TranslatedRoute,
    ) -> Result<Vec<Applied>, Rejection> {
        let own = self.of_filters(filters, Level::BackendRef, out)?;
        let own = self.told(own, out);
        self.unless_blocked(&own, field, out)?;
        if let Some(Applied { face, .. }) = own.iter().find(|applied| applied.face.is_for_rules()) {
            let what = match face.answer {
                Some(_) => "a DirectResponse is",
                None => "members other than ai are",
            };
            let text =
                format!("{}: {what} supported at the rule, not at a backend reference", face.key.to_ref());
            return Err(Rejection::unusable(Reason::UnsupportedValue, face.key.to_ref(), text).within(field));
        }
        Ok(policy::sorted(own.into_iter().chain(chain.iter().cloned()).collect()))
    }

    /// Refuses what cannot be served because of a policy, and tells the others so.
    pub(super) fn unless_blocked(
        &self,
        chain: &[Applied],
        field: &str,
        out: &mut TranslatedRoute,
    ) -> Result<(), Rejection> {
        let Err((by, rejection)) = policy::blocked(chain) else { return Ok(()) };
        for applied in chain.iter().filter(|applied| applied.face.key != *by) {
            self.tell(&applied.face.key, PolicyEffect::BlockedBy(by.clone()), out);
        }
        Err(rejection.within(field))
    }

    /// What the AI engine is asked for the requests to a backend.
    fn ai_policy(
        &self,
        chain: &[Applied],
        backend: &BackendFace,
        out: &mut TranslatedRoute,
    ) -> Result<Option<EnginePolicy>, Rejection> {
        let translation = self.policies.translation.as_ref().ok().copied().flatten();
        if chain.is_empty() && translation.is_none() {
            return Ok(None);
        }
        if !backend.is_ai {
            // A Gateway's policy is not meant for each of its backends.
            let has_ai = |face: &PolicyFace| {
                face.content.as_ref().is_ok_and(|content| content.ai != AiContent::default())
            };
            let meant =
                chain.iter().filter(|applied| applied.level < Level::Listener && has_ai(&applied.face));
            for applied in meant {
                let effect = PolicyEffect::NoAiBackend(describe(&backend.key).into());
                self.tell(&applied.face.key, effect, out);
            }
            return Ok(None);
        }
        let Wanted { policy, effects } = policy::wanted(chain, translation)?;
        if policy.is_some() && !backend.has_engine {
            for (policy, _) in &effects {
                self.tell(policy, PolicyEffect::NoEngine, out);
            }
            let message = "its policies need the AI engine, which the proxies do not have";
            return Err(Rejection::new(Reason::AiEngineUnavailable, message));
        }
        effects.into_iter().for_each(|(policy, effect)| self.tell(&policy, effect, out));
        Ok(policy)
    }

    /// Notes something about a policy at the Gateways at hand, as far as they are ours.
    pub(super) fn tell(&self, policy: &ObjectKey, what: PolicyEffect, out: &mut TranslatedRoute) {
        let gateways = self.variant.gateways.iter().filter(|gateway| self.view.is_ours(gateway));
        let facts = gateways.map(|gateway| PolicyFact {
            policy: policy.clone(),
            gateway: gateway.clone(),
            what: what.clone(),
        });
        out.policies.extend(facts);
    }
}

/// The backend that a reference of a route means; the route notes that it names it.
pub(super) fn resolve(
    view: &impl View,
    route: &RouteKey,
    backend_ref: &part::BackendRef,
    out: &mut TranslatedRoute,
) -> Result<BackendFace, Rejection> {
    resolve_as(view, route, backend_ref, BackendProtocol::of_route(route.kind), &mut out.named)
}

/// The same for any kind of Gateway API, where it does not say how the backend is spoken to.
pub(super) fn resolve_as(
    view: &impl View,
    owner: &ObjectKey,
    backend_ref: &part::BackendRef,
    protocol: BackendProtocol,
    named: &mut Vec<BackendKey>,
) -> Result<BackendFace, Rejection> {
    let namespace = &owner.name.namespace;
    let reference = BackendRef {
        group: backend_ref.group.as_deref().unwrap_or_default(),
        kind: backend_ref.kind.as_deref().unwrap_or("Service"),
        namespace: backend_ref.namespace.as_deref().unwrap_or(namespace),
        name: &backend_ref.name,
        port: backend_ref.port,
    };
    let referrer = Party::new(api::GROUP, owner.kind.info().kind, namespace);
    let backend = backend::meant(view, &referrer, &reference, protocol)?;
    let face = view.backend_face(&backend);
    named.push(face.as_ref().map_or(backend, |face| face.key.clone()));
    face
}

/// The weight of a backend.
pub(super) fn weight(backend_ref: &part::BackendRef, field: &str) -> Result<u32, Rejection> {
    let weight = backend_ref.weight.unwrap_or(1);
    u32::try_from(weight).ok().filter(|weight| *weight <= MAX_WEIGHT).ok_or_else(|| {
        let text = format!("is not from 0 to {MAX_WEIGHT}");
        Rejection::at(Reason::UnsupportedValue, format!("{field}.weight"), text)
    })
}

/// What requests of a route are answered with that cannot be carried out.
pub(super) fn broken_answer(route: &RouteKey) -> DirectResponse {
    if route.kind == Kind::GrpcRoute { CALL_BROKEN } else { RULE_BROKEN }
}

/// What requests to a backend may be billed for under a policy.
fn offers(backend: &BackendFace, policy: Option<&EnginePolicy>) -> Vec<Offer> {
    let with_policy = |offer: &Offer| match policy.filter(|_| offer.model.is_none()) {
        None => offer.clone(),
        Some(policy) => Offer {
            aliases: policy.model_aliases.clone(),
            others: policy.default_models.clone(),
            ..offer.clone()
        },
    };
    backend.offers.iter().map(with_policy).collect()
}

/// A backend, for a message.
fn describe(backend: &BackendKey) -> String {
    match backend {
        BackendKey::Service(name, ..) => format!("Service {name}"),
        BackendKey::XBackend(name, _) => format!("XBackend {name}"),
        BackendKey::Object(object) => object.to_ref().to_string(),
        BackendKey::Server(server) => format!("server {}", server.host),
    }
}

/// The destinations of a rule, each with the filters of its reference.
#[derive(Default)]
pub(super) struct Destinations {
    pub list: Vec<(Destination, Filters)>,
    pub backends: Vec<BackendKey>,
    pub any_ai: bool,
    /// Whether one is an AI backend of which nobody counts the tokens.
    pub any_uncounted: bool,
    /// Whether one of them is not seen by the AI engine.
    pub any_without_engine: bool,
    /// What requests may be billed for.
    pub offers: Vec<Offer>,
    /// Whether answers of one of them may be streams without end.
    pub any_streams: bool,
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
