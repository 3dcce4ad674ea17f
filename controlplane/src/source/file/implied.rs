//! A Gateway for routes that name none, where the files hold none: a route and a backend are enough for a try.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::gateway_api::part::ParentRef;
use crds::{Object, ObjectRef};
use serde_json::json;

use crate::source::{Finding, Origin, Place, Severity, rule};

/// Its namespace, name and port.
const NAMESPACE: &str = "default";
const NAME: &str = "chancery";
const PORT: u16 = 8080;

/// Attaches the HTTPRoutes without `parentRefs` to a Gateway of its own making, if there is no other; says so, or that
/// they are not served.
pub(super) fn attach(
    objects: &mut BTreeMap<ObjectRef, Object>,
    origins: &BTreeMap<ObjectRef, Origin>,
    is_gateway_implied: bool,
) -> Vec<Finding> {
    let is_implied =
        is_gateway_implied && !objects.values().any(|object| matches!(object, Object::Gateway(_)));
    let mut findings = Vec::new();
    for (key, object) in objects.iter_mut() {
        let Object::HttpRoute(route) = object else { continue };
        if !route.parent_refs.is_empty() {
            continue;
        }
        let (severity, message) = if is_implied {
            Arc::make_mut(route).parent_refs = Box::new([parent_ref()]);
            let message = format!(
                "has no parentRefs, and there is no Gateway: it is served at port {PORT} by the Gateway \
                 {NAMESPACE}/{NAME}, which is implied here and would have to be written in a cluster"
            );
            (Severity::Notice, message)
        } else {
            let message =
                "has no parentRefs, so that no Gateway serves it; name one: parentRefs: [{name: NAME}]";
            (Severity::Warning, message.to_owned())
        };
        let place = origins.get(key).map_or_else(Place::nowhere, |origin| origin.of("spec"));
        findings.push(Finding::new(place, severity, rule::NO_PARENT, message).of(key.clone()));
    }
    if is_implied && !findings.is_empty() {
        let gateway = gateway();
        objects.insert(gateway.object_ref(), gateway);
    }
    findings
}

fn parent_ref() -> ParentRef {
    ParentRef { namespace: Some(NAMESPACE.into()), ..ParentRef::named(NAME) }
}

fn gateway() -> Object {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": {
            "gatewayClassName": "chancery",
            "listeners": [{
                "name": "http",
                "protocol": "HTTP",
                "port": PORT,
                "allowedRoutes": { "namespaces": { "from": "All" } },
            }],
        },
    });
    Object::decode(gateway).expect("a Gateway of our own").object
}
