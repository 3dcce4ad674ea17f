//! Which routes a policy applies to, and which policies a Gateway has, is looked up without a trace in the graph: a route
//! that has no policies costs nothing, and here the routes and ports are found that a change concerns.

use std::collections::BTreeSet;

use crds::gateway_api::ListenerSet;
use crds::{Kind, Object, ObjectKey};

use super::Translator;
use super::key::Key;
use crate::gateway::attach::Parent;
use crate::gateway::facts::{GatewayKey, RouteKey};
use crate::gateway::policy::is_of_listeners;
use crate::resources::as_policy;

impl Translator {
    /// Has what a change of an object means for policies evaluated: the object is a policy that has another target now, or
    /// a Gateway that others select now.
    pub(super) fn schedule_policies(
        &mut self,
        key: &ObjectKey,
        before: Option<&Object>,
        after: Option<&Object>,
    ) {
        let targets = |object: Option<&Object>| object.and_then(as_policy).map(|policy| policy.targets());
        let labels = |object: Option<&Object>| object.and_then(|object| object.metadata().labels().cloned());
        if before.into_iter().chain(after).any(|object| as_policy(object).is_some()) {
            if targets(before) != targets(after) {
                let objects = before.into_iter().chain(after);
                let found: BTreeSet<_> =
                    objects.flat_map(|object| self.resources.targets_of(object)).collect();
                match is_of_listeners(key.kind) {
                    true => self.schedule_listeners(&found),
                    false => self.schedule_targets(found),
                }
            }
        } else if key.kind == Kind::Gateway
            && (before.is_some() != after.is_some() || labels(before) != labels(after))
        {
            let selecting = self.resources.policies_selecting_gateways(&key.name.namespace);
            let selecting: Vec<_> = selecting.cloned().collect();
            if !selecting.is_empty() {
                selecting.into_iter().for_each(|policy| self.graph.schedule(Key::PolicyReport(policy)));
                self.schedule_listeners(&[key.clone()].into());
                self.schedule_targets([key.clone()].into());
            }
        }
    }

    /// Has the listeners of Gateways evaluated, and what there is to tell about all of their policies: one may yield to
    /// another now.
    fn schedule_listeners(&mut self, gateways: &BTreeSet<ObjectKey>) {
        for gateway in gateways.iter().filter(|target| target.kind == Kind::Gateway) {
            let tables = self.tables.keys().filter(|(of, _)| *of == gateway.name);
            let ports: BTreeSet<u16> = tables.map(|(_, table)| table.port).collect();
            ports.into_iter().for_each(|port| self.graph.schedule(Key::Port(gateway.name.clone(), port)));
            let policies = self.resources.policies_at(gateway).into_iter().map(|at| at.policy);
            let policies = policies.filter(|policy| is_of_listeners(policy.kind));
            policies.for_each(|policy| self.graph.schedule(Key::PolicyReport(policy)));
        }
    }

    fn schedule_targets(&mut self, targets: BTreeSet<ObjectKey>) {
        let (gateways, routes): (BTreeSet<_>, BTreeSet<_>) =
            targets.into_iter().partition(|target| target.kind == Kind::Gateway);
        let gateways: BTreeSet<GatewayKey> = gateways.into_iter().map(|gateway| gateway.name).collect();
        let mut routes: BTreeSet<RouteKey> = routes;
        if !gateways.is_empty() {
            routes.extend(self.resources.iter().filter_map(|object| {
                let (route, key) = (object.route()?, object.key());
                let parent = |parent| {
                    Parent::find(parent, &key.name.namespace, |set| self.resources.get::<ListenerSet>(set))
                };
                let mut parents = route.parent_refs.iter().filter_map(parent);
                parents.any(|parent| gateways.contains(&parent.gateway)).then_some(key)
            }));
        }
        routes.into_iter().for_each(|route| self.graph.schedule(Key::Route(route)));
    }
}
