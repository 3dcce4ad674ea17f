//! From Kubernetes objects to the intermediate representation: validity, attachment, references.
//!
//! The passes, in order: which classes are ours; which listeners are valid; which addresses they
//! get; which routes attach where; what the routes mean; what each Gateway serves.

mod address;
mod attach;
mod backend;
mod class;
mod context;
mod escaped_slashes;
mod exposure;
mod filter;
mod header_modifier;
mod http_match;
mod http_route;
mod infra;
mod listener;
mod output;
mod parameters;
mod path;
mod service;
mod target_address;
mod validate;
mod virtual_host;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crds::gateway_api::httproutes::HttpRouteParentRefs;
use crds::gateway_api::{self, HttpRoute};
use crds::{NamespacedName, ObjectRef};
use ir::GatewayName;
use serde_json::json;

use crate::status::{Condition, ConditionType, Facts, ParentFacts, Reason, Report};
use crate::{Resources, Settings};
use attach::RouteKey;
use context::Context;
use http_route::TranslatedRoute;
use listener::Rejection;
use output::GatewayPass;

pub(crate) use output::Served;

/// What the objects mean: what each Gateway serves and needs, and what to tell about every object.
pub(crate) struct Meaning {
    pub gateways: BTreeMap<GatewayName, Served>,
    pub unserved: BTreeSet<GatewayName>,
    pub reports: Vec<Report>,
}

/// Reads every object.
pub(crate) fn read(resources: &Resources, settings: &Settings) -> Meaning {
    let context = Context::new(resources, settings);
    let mut passes = output::gateway_passes(&context);
    let mut reports = class::report_classes(&context);
    reports.extend(parameters::report_parameters(&context, &class::our_classes(&context)));
    reports.extend(class::report_classless_gateways(&context));
    for (key, route) in &resources.http_routes {
        reports.extend(attach_route(&context, &mut passes, key, route));
    }
    let (mut gateways, mut unserved) = (BTreeMap::new(), BTreeSet::new());
    for pass in passes.into_values() {
        reports.push(pass.report());
        match pass.output() {
            Some(served) => drop(gateways.insert(served.ir.name.clone(), served)),
            None => drop(unserved.insert(pass.name())),
        }
    }
    reports.extend(backend::report_backends(&context));
    reports.sort_by(|left, right| left.object.cmp(&right.object));
    Meaning { gateways, unserved, reports }
}

/// Attaches a route to the listeners that it names, and tells how that went. `None` if no parent
/// is ours.
fn attach_route<'a>(
    context: &Context<'a>,
    passes: &mut BTreeMap<NamespacedName, GatewayPass<'a>>,
    key: &'a NamespacedName,
    route: &'a HttpRoute,
) -> Option<Report> {
    let (hostnames, hostname_errors) = http_route::hostnames(route);
    // A route whose hostnames are all invalid must not become a route for every host.
    let nowhere = hostnames.is_empty() && !hostname_errors.is_empty();
    let mut translated: Option<Rc<TranslatedRoute>> = None;
    let mut parents = Vec::new();
    for parent in route.spec.parent_refs.iter().flatten() {
        let gateway = attach::parent_gateway(parent, &key.namespace);
        let pass = gateway.as_ref().and_then(|gateway| passes.get_mut(gateway));
        let (Some(gateway), Some(pass)) = (&gateway, pass) else {
            parents.extend(class::nobodys_parent(context, parent, gateway.as_ref()).map(|condition| {
                ParentFacts { parent_ref: parent_json(parent), conditions: vec![condition] }
            }));
            continue;
        };
        let route_key = RouteKey { kind: "HTTPRoute", namespace: &key.namespace, hostnames: &hostnames };
        let translated =
            translated.get_or_insert_with(|| Rc::new(http_route::translate(context, key, route)));
        let attached = if nowhere {
            Err(Rejection::new(Reason::UnsupportedValue, hostname_errors.join("; ")))
        } else {
            attach::attach(context, gateway, &pass.listeners, parent, &route_key)
        };
        let mut conditions = match attached {
            Ok(attachments) => {
                for attachment in attachments {
                    pass.attach(attachment, key, route, translated);
                }
                translated.conditions()
            }
            Err(Rejection { reason, message }) => {
                vec![Condition::bad(ConditionType::Accepted, reason, message), translated.resolved_refs()]
            }
        };
        if !nowhere && !hostname_errors.is_empty() {
            add_dropped_hostnames(&mut conditions, &hostname_errors);
        }
        parents.push(ParentFacts { parent_ref: parent_json(parent), conditions });
    }
    (!parents.is_empty()).then(|| Report {
        object: ObjectRef::namespaced(gateway_api::GROUP, "HTTPRoute", &key.namespace, &key.name),
        generation: route.metadata.generation.unwrap_or_default(),
        facts: Facts::Route(parents),
    })
}

/// Tells of hostnames that are left out, beside the rules that are.
fn add_dropped_hostnames(conditions: &mut Vec<Condition>, errors: &[String]) {
    let message = format!("Dropped hostname(s): {}", errors.join("; "));
    let told = conditions.iter_mut().find(|condition| condition.kind == ConditionType::PartiallyInvalid);
    match told {
        Some(condition) => condition.message = format!("{}; {message}", condition.message),
        None => conditions.push(Condition::bad(
            ConditionType::PartiallyInvalid,
            Reason::UnsupportedValue,
            message,
        )),
    }
}

/// A parentRef as its route writes it.
fn parent_json(parent: &HttpRouteParentRefs) -> serde_json::Value {
    serde_json::to_value(parent).unwrap_or_else(|_| json!({"name": parent.name}))
}
