//! HTTPRoute and GRPCRoute → routes of the IR: they differ in their matches alone.

use crds::gateway_api::{Route, Rule};
use crds::{Kind, RouteParts};
use ir::{Forward, Precedence, RouteAction, RouteIr, RouteMatch, RouteName};

use super::counted;
use super::destinations::{Destinations, RuleTranslator, broken_answer, is_error, weight, with_rewrite};
use super::filter::{self, Filters};
use super::http_match::{BadMatch, Checks, Guard, RequestMatch};
use super::mirror::Mirrors;
use super::model_list::ModelLists;
use super::policy::{self, Applied, Level, MergedHttp, RoutePolicies, Variant, own_fields};
use super::retry;
use super::route;
use super::time_limits::{self, Defaults, Limits};
use crate::gateway::facts::{
    Asked, ByPlace, OrderedRoute, Place, PolicyEffect, RouteContent, RouteKey, TranslatedRoute, Varying,
};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};
use crate::xds;

/// Translates every rule.
pub(super) fn translate<M: RequestMatch>(
    view: &impl View,
    key: &RouteKey,
    route: &Route<M>,
) -> TranslatedRoute {
    translate_as(view, key, route, |action| action)
}

/// The same with nothing but errors for answers, for a proxy that refuses the route as it is.
pub(super) fn answering_errors<M: RequestMatch>(
    view: &impl View,
    key: &RouteKey,
    route: &Route<M>,
) -> TranslatedRoute {
    let is_broken = |action: Action| Action { is_broken: action.is_broken, ..Action::broken(key) };
    TranslatedRoute { backends: Vec::new(), ..translate_as(view, key, route, is_broken) }
}

fn translate_as<M: RequestMatch>(
    view: &impl View,
    key: &RouteKey,
    route: &Route<M>,
    what: impl Fn(Action) -> Action,
) -> TranslatedRoute {
    let parts = RouteParts {
        metadata: &route.metadata,
        parent_refs: &route.parent_refs,
        hostnames: &route.hostnames,
    };
    let mut translated = route::begun(parts);
    let default_rule = [Rule::<M>::default()];
    let rules = if route.rules.is_empty() { default_rule.as_slice() } else { &route.rules };
    let policies = RoutePolicies::of(view, key, parts);
    let mut broken_rules = 0;
    let kind = key.kind.info().kind.to_ascii_lowercase();
    let mut models = ModelLists::default();
    for (index, rule) in rules.iter().enumerate() {
        let mut is_broken = true;
        let of_variant = |variant: &Variant| {
            let field = format!("spec.rules[{index}]");
            let translator = RuleTranslator { view, key, index, field, policies: &policies, variant };
            let actions = translator.translate(rule, &mut translated).into_iter();
            let routes = actions.map(|(rule_match, read, action)| {
                let action = what(action);
                is_broken &= action.is_broken;
                let route = RouteIr {
                    name: RouteName::of_match(&kind, &key.name.namespace, &key.name.name, index, rule_match),
                    matches: read.matches,
                    request_headers: action.request_headers,
                    response_headers: action.response_headers,
                    cors: action.cors,
                    policy: action.policy,
                    action: action.action,
                };
                if key.kind == Kind::HttpRoute {
                    models.add(&route);
                }
                ordered(route, (index, rule_match), read.precedence)
            });
            (variant.place.clone(), routes.collect())
        };
        let variants = policies.variants.iter().map(of_variant).collect();
        translated.routes.extend(combined(variants));
        broken_rules += usize::from(is_broken);
    }
    for (index, list) in models.into_lists().into_iter().enumerate() {
        let route = RouteIr {
            name: RouteName::models(&key.name.namespace, &key.name.name, index),
            matches: list.matches,
            request_headers: ir::HeaderModifier::default(),
            response_headers: ir::HeaderModifier::default(),
            cors: None,
            policy: list.policy,
            action: RouteAction::ListModels(list.models),
        };
        translated.routes.push(ordered(route, (rules.len(), index), list.precedence));
    }
    translated.all_broken = broken_rules == rules.len();
    translated.tidy();
    translated
}

/// A route with its place, which is made of the number of the rule and of the match.
fn ordered(route: RouteIr, place: (usize, usize), precedence: Precedence) -> OrderedRoute {
    let path = route.matches.path.clone();
    let content = xds::encode_everywhere(&route).map_or_else(
        || RouteContent::Varying(Box::new(Varying::ByHost(route))),
        |bytes| RouteContent::Everywhere(bytes.into()),
    );
    let (rule, rule_match) = place;
    OrderedRoute { rule, rule_match, precedence, path, content }
}

/// The routes of a rule, from what they are at each place; the last place is everywhere else, if that is a place.
fn combined(mut variants: Vec<(Option<Place>, Vec<OrderedRoute>)>) -> Vec<OrderedRoute> {
    let Some((last, mut routes)) = variants.pop() else { return Vec::new() };
    for (index, route) in routes.iter_mut().enumerate() {
        let at = variants.iter().filter_map(|(place, routes)| {
            let content = routes.get(index)?.content.clone();
            Some((place.clone()?, content))
        });
        let mut at: Vec<_> = at.collect();
        if at.iter().all(|(_, content)| *content == route.content) {
            continue;
        }
        let elsewhere = route.content.clone();
        at.extend(last.clone().map(|place| (place, elsewhere.clone())));
        route.content = RouteContent::Varying(Box::new(Varying::ByPlace(ByPlace { at, elsewhere })));
    }
    routes
}

/// What a route does, with the header edits that go with it.
struct Action {
    request_headers: ir::HeaderModifier,
    response_headers: ir::HeaderModifier,
    cors: Option<ir::Cors>,
    policy: ir::RoutePolicy,
    action: RouteAction,
    /// Whether it stands in for one that cannot be carried out.
    is_broken: bool,
}

impl Action {
    fn broken(route: &RouteKey) -> Self {
        Self {
            request_headers: ir::HeaderModifier::default(),
            response_headers: ir::HeaderModifier::default(),
            cors: None,
            policy: ir::RoutePolicy::default(),
            action: RouteAction::Respond(broken_answer(route)),
            is_broken: true,
        }
    }

    fn broken_by(rejection: Rejection, route: &RouteKey, out: &mut TranslatedRoute) -> Self {
        out.broken.push(rejection);
        Self::broken(route)
    }
}

/// What a rule says that does not depend on the match.
struct Prepared {
    filters: Filters,
    limits: Limits,
    retry: Option<ir::Retry>,
    mirrors: Mirrors,
    /// What its filter has asked.
    asked: Option<Asked>,
    /// What its policies come to.
    http: MergedHttp,
}

/// A match of a rule as far as it can be carried out.
struct ReadMatch {
    matches: RouteMatch,
    precedence: Precedence,
    /// Whether it takes more requests than the match as written, to answer them with an error.
    is_guard: bool,
}

impl<V: View> RuleTranslator<'_, V> {
    /// The matches of the rule, each with what is done. A match that is not understood answers 500 for the
    /// requests that it may have meant; if not even its path is known, it is dropped, since nobody knows
    /// which requests it meant. A rule whose filters cannot be carried out answers 500, since without them
    /// it would do what nobody asked for.
    fn translate<M: RequestMatch>(
        &self,
        rule: &Rule<M>,
        out: &mut TranslatedRoute,
    ) -> Vec<(usize, ReadMatch, Action)> {
        let matches = self.matches(rule, out);
        let (chain, prepared) = self.prepare(rule, out);
        let destinations = self.destinations(rule, &chain, out);
        if let Ok(Prepared { http, .. }) = &prepared
            && destinations.any_ai
        {
            for (field, policy) in &http.not_for_ai {
                self.tell(policy, PolicyEffect::NotForAi(field), out);
            }
        }
        // The same for all matches; told where a match needs it.
        let policy = prepared.as_ref().map_or(Ok(ir::RoutePolicy::default()), |prepared| {
            let engine = &self.view.settings().ai_engine;
            let claims = self.claims(&prepared.http.policy.access, &destinations, out);
            counted::counted(&prepared.http.policy, &destinations, claims.as_deref(), engine)
                .map_err(|error| error.within(&self.field))
        });
        let mut actions = Vec::new();
        for (index, read) in matches {
            let action = match &prepared {
                _ if read.is_guard => Action::broken(self.key),
                Ok(prepared) => self
                    .action(prepared, &destinations, &read.matches, &policy)
                    .unwrap_or_else(|rejection| Action::broken_by(rejection, self.key, out)),
                Err(rejection) => Action::broken_by(rejection.clone(), self.key, out),
            };
            actions.push((index, read, action));
        }
        out.broken.dedup();
        if actions.iter().any(|(.., action)| matches!(action.action, RouteAction::Forward(_))) {
            // Else the proxy gets neither the addresses nor the credentials of backends, which it does not use.
            out.backends.extend(destinations.backends);
            out.backends.extend(prepared.into_iter().flat_map(|prepared| prepared.mirrors.backends));
        }
        actions
    }

    fn matches<M: RequestMatch>(&self, rule: &Rule<M>, out: &mut TranslatedRoute) -> Vec<(usize, ReadMatch)> {
        if rule.matches.is_empty() {
            let every = M::every();
            return vec![(0, ReadMatch { precedence: every.precedence(), matches: every, is_guard: false })];
        }
        let settings = self.view.settings();
        let checks = Checks { are_on: !settings.test_hooks.unchecked_values, ai_engine: &settings.ai_engine };
        let read = rule.matches.iter().enumerate().filter_map(|(index, spec)| {
            match spec.read(&format!("{}.matches[{index}]", self.field), checks) {
                Ok(matches) => {
                    let precedence = spec.precedence(&matches);
                    Some((index, ReadMatch { matches, precedence, is_guard: false }))
                }
                Err(BadMatch { reason, details, guard }) => {
                    out.broken.extend(details.into_iter().map(|detail| Rejection { reason, detail }));
                    guard.map(|guard| {
                        let Guard { matches, precedence } = *guard;
                        (index, ReadMatch { matches, precedence, is_guard: true })
                    })
                }
            }
        });
        read.collect()
    }

    /// What does not depend on the match, and the policies of the rule as far as they are known.
    fn prepare<M>(
        &self,
        rule: &Rule<M>,
        out: &mut TranslatedRoute,
    ) -> (Vec<Applied>, Result<Prepared, Rejection>) {
        let mut chain: Vec<_> = self.policies.of_rule(self.variant, rule.name.as_deref()).collect();
        let prepared = self.read_rule(rule).and_then(|mut prepared| {
            chain.extend(self.of_filters(&prepared.filters, Level::RuleFilter, out)?);
            self.check_answer(rule, &prepared.filters, &chain)?;
            prepared.mirrors = self.mirrors(&prepared.filters, out)?;
            prepared.asked = self.question(&prepared.filters, out)?;
            Ok(prepared)
        });
        let chain = self.told(chain, out);
        let prepared = prepared.and_then(|prepared| {
            self.unless_blocked(&chain, &self.field, out)?;
            self.policies.translation.as_ref().map_err(Rejection::clone)?;
            let http = self.merge_policies(rule, &prepared, &chain, out);
            Ok(Prepared { http, ..prepared })
        });
        (chain, prepared)
    }

    /// What the policies of the rule come to, which are told so.
    fn merge_policies<M>(
        &self,
        rule: &Rule<M>,
        Prepared { filters, asked, .. }: &Prepared,
        chain: &[Applied],
        out: &mut TranslatedRoute,
    ) -> MergedHttp {
        let own = [
            (
                own_fields::REQUEST_TIMEOUT,
                rule.timeouts.as_ref().is_some_and(|timeouts| timeouts.request.is_some()),
            ),
            (own_fields::RETRY, rule.retry.is_some()),
            (own_fields::CORS, filters.cors.is_some()),
            (own_fields::EXT_AUTH, asked.is_some()),
            (own_fields::PATH, filters.rewrites_path()),
        ];
        let own: Vec<_> = own.into_iter().filter(|(_, is_said)| *is_said).map(|(field, _)| field).collect();
        let mut http = policy::merged(chain, &own, self.key, self.index, self.variant.place.as_ref());
        if let Some(asked) = asked {
            http.ask(asked.clone());
        }
        for (policy, effect) in std::mem::take(&mut http.effects) {
            self.tell(&policy, effect, out);
        }
        out.parts.append(&mut http.parts);
        // What policies and filters name is named by the route, as its backends are: pods are looked for, and statuses tell.
        out.named.extend(http.backends.iter().cloned());
        out.backends.append(&mut http.backends);
        http
    }

    /// What the rule says by itself.
    fn read_rule<M>(&self, rule: &Rule<M>) -> Result<Prepared, Rejection> {
        let field = &self.field;
        if rule.has_session_persistence {
            let field = format!("{field}.sessionPersistence");
            return Err(Rejection::at(Reason::UnsupportedValue, field, "is not supported"));
        }
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            weight(backend, &format!("{field}.backendRefs[{index}]"))?;
        }
        let filters = filter::read(&rule.filters, &format!("{field}.filters"))?;
        if filters.is_redirect() && !rule.backend_refs.is_empty() {
            let text = "a RequestRedirect and backendRefs exclude each other";
            return Err(Rejection::at(Reason::IncompatibleFilters, field, text));
        }
        let limits = time_limits::read(rule.timeouts.as_deref(), &format!("{field}.timeouts"))?;
        let retry = retry::read(rule.retry.as_deref(), &format!("{field}.retry"))?;
        let (mirrors, http) = (Mirrors::default(), MergedHttp::default());
        Ok(Prepared { filters, limits, retry, mirrors, asked: None, http })
    }

    fn action(
        &self,
        prepared: &Prepared,
        destinations: &Destinations,
        matched: &RouteMatch,
        policy: &Result<ir::RoutePolicy, Rejection>,
    ) -> Result<Action, Rejection> {
        let Prepared { filters, limits, retry, mirrors, asked: _, http } = prepared;
        let at_rule = |rejection: Rejection| rejection.within(&self.field);
        let action = if let Some(answer) = &http.answer {
            RouteAction::Respond(answer.clone())
        } else if let Some(redirect) = filters.redirect(&matched.path) {
            RouteAction::Redirect(redirect.map_err(at_rule)?)
        } else if destinations
            .list
            .iter()
            .all(|(destination, _)| destination.weight == 0 || is_error(destination))
        {
            RouteAction::Respond(broken_answer(self.key))
        } else {
            let mut list = Vec::with_capacity(destinations.list.len());
            for (destination, filters) in &destinations.list {
                list.push(with_rewrite(destination, filters, matched).map_err(at_rule)?);
            }
            if retry.is_some() && destinations.any_ai {
                let text = "is not supported for AI providers; a pool has priority groups";
                let field = format!("{}.retry", self.field);
                return Err(Rejection::at(Reason::UnsupportedValue, field, text));
            }
            let defaults = match (destinations.any_ai, self.key.kind) {
                (true, _) => Defaults::Ai,
                (false, Kind::GrpcRoute) => Defaults::Streams,
                (false, _) if destinations.any_streams => Defaults::Streams,
                (false, _) => Defaults::Requests,
            };
            let retry_by_policy = http.retry.as_ref().filter(|_| !destinations.any_ai);
            let per_try_timeout = retry_by_policy.and_then(|retry| retry.per_try_timeout);
            let limits = limits.or(http.request_timeout, per_try_timeout, http.idle_timeout);
            let timeouts = limits.timeouts(defaults, self.view.settings().stream_idle_timeout);
            let mut rewrite = filters.rewrite(&matched.path).map_err(at_rule)?;
            // A Host that a rule's header modifier sets is among these.
            rewrite.host = rewrite.host.or_else(|| http.host.clone());
            rewrite.path = rewrite.path.or_else(|| http.path.as_ref().map(|path| path.at(&matched.path)));
            RouteAction::Forward(Forward {
                destinations: list,
                rewrite,
                timeouts,
                retry: retry.clone().or_else(|| retry_by_policy.and_then(retry::of_policy)),
                mirrors: mirrors.list.iter().chain(&http.mirror).cloned().collect(),
                to_ai: destinations.any_ai,
                // The credential of a provider would go on to where the redirect leads.
                follows: http.follows.clone().filter(|_| !destinations.any_ai).map(Box::new),
                mirror_host: http.mirror_host.clone(),
                websocket: http.websocket,
            })
        };
        Ok(Action {
            request_headers: http.request_headers.followed_by(&filters.request_headers),
            response_headers: http.response_headers.followed_by(&filters.response_headers),
            cors: filters.cors.clone().or_else(|| http.cors.clone()),
            policy: policy.clone()?,
            action,
            is_broken: false,
        })
    }
}
