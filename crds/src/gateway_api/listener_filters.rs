//! Filters of listeners (`listeners[].filters`, experimental since Gateway API 1.7), which the generated types do not have yet.
//! A listener that has some must not be served as if it had none, so that it is noted which ones have.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::object::Object;

/// The annotation that names the listeners, with commas between them. Who writes it by hand has these listeners refused.
const ANNOTATION: &str = "chancery.dev/listeners-with-filters";

/// The annotations of an object's metadata.
type Annotations = Option<BTreeMap<String, String>>;

/// Notes the listeners of a Gateway or ListenerSet whose filters stand among the fields that its type does not have, and
/// takes these out of them: the status says more about them.
pub(crate) fn note(object: &mut Object, unknown_fields: &mut Vec<String>) {
    let indexes = unknown_fields.iter().filter_map(|field| index(field));
    let names = |listener: &dyn Fn(usize) -> Option<String>| indexes.filter_map(listener).collect();
    match object {
        Object::Gateway(gateway) => {
            let names = names(&|index| Some(gateway.spec.listeners.get(index)?.name.clone()));
            add(&mut Arc::make_mut(gateway).metadata.annotations, names);
        }
        Object::ListenerSet(set) => {
            let names = names(&|index| Some(set.spec.listeners.get(index)?.name.clone()));
            add(&mut Arc::make_mut(set).metadata.annotations, names);
        }
        _ => return,
    }
    unknown_fields.retain(|field| index(field).is_none());
}

/// The listener whose filters a field is.
fn index(field: &str) -> Option<usize> {
    field.strip_prefix("spec.listeners[")?.strip_suffix("].filters")?.parse().ok()
}

fn add(annotations: &mut Annotations, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    let noted = annotations.get_or_insert_default().entry(ANNOTATION.to_owned()).or_default();
    for name in names {
        if !noted.is_empty() {
            noted.push(',');
        }
        noted.push_str(&name);
    }
}

/// Whether a listener of an object with these annotations has filters.
pub fn has(annotations: &Annotations, listener: &str) -> bool {
    let noted = annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    noted.is_some_and(|noted| noted.split(',').any(|name| name == listener))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listeners_with_filters_are_noted() {
        let listeners = json!([
            {"name": "a", "port": 80, "protocol": "HTTP"},
            {"name": "b", "port": 81, "protocol": "HTTP", "filters": {"requests": [{"type": "ExternalAuth"}]}},
            {"name": "c", "port": 82, "protocol": "HTTP", "filters": {}},
        ]);
        let filtered = |annotations: &Annotations| ["a", "b", "c", ""].map(|name| has(annotations, name));
        let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "g"}, "spec": {"gatewayClassName": "c", "listeners": listeners}});
        let Object::Gateway(gateway) = Object::decode(gateway).unwrap().object else { panic!("a Gateway") };
        assert_eq!(filtered(&gateway.metadata.annotations), [false, true, true, false]);
        let set = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "ListenerSet",
            "metadata": {"name": "s", "annotations": {"a": "b"}}, "spec": {"parentRef": {"name": "g"}, "listeners": listeners}});
        let set = Object::decode(set).unwrap().object;
        // What one replica hands on to another has it, too.
        let mut document = set.to_document().unwrap();
        document["apiVersion"] = json!("gateway.networking.k8s.io/v1");
        document["kind"] = json!("ListenerSet");
        for object in [set, Object::decode(document).unwrap().object] {
            let Object::ListenerSet(set) = object else { panic!("a ListenerSet") };
            assert_eq!(filtered(&set.metadata.annotations), [false, true, true, false]);
        }
    }
}
