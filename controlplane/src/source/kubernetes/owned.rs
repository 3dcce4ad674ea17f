//! What of an object's status is ours, by the API server's own record: `metadata.managedFields`
//! (Kubernetes, "Server-Side Apply", section "Field management"). A condition that another controller has written
//! since is that controller's.

use serde_json::Value;

/// What of a status we have written last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedStatus {
    /// The types of the conditions of the object as a whole.
    pub conditions: Box<[Box<str>]>,
    /// Which lists are among it that belong to one controller as a whole: listeners and addresses of a Gateway, features
    /// of a class.
    pub lists: Box<[&'static str]>,
}

/// The lists of a status that belong to one controller as a whole.
const LISTS: [&str; 3] = ["addresses", "listeners", "supportedFeatures"];

impl OwnedStatus {
    /// Reads the record of what `manager` has written.
    pub(crate) fn read(object: &Value, manager: &str) -> Self {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let is_ours = |entry: &&Value| entry["manager"] == manager && entry["subresource"] == "status";
        let statuses: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter(is_ours)
            .filter_map(|entry| entry.pointer("/fieldsV1/f:status"))
            .collect();
        let keys = statuses.iter().filter_map(|status| status["f:conditions"].as_object()).flatten();
        let mut conditions: Vec<Box<str>> = keys.filter_map(|(key, _)| condition_type(key)).collect();
        conditions.sort();
        conditions.dedup();
        let has = |list: &&str| statuses.iter().any(|status| status.get(format!("f:{list}")).is_some());
        Self { conditions: conditions.into(), lists: LISTS.into_iter().filter(has).collect() }
    }

    /// Whether nothing is ours.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.lists.is_empty()
    }
}

/// `k:{"type":"Accepted"}` names an element of a list by its key.
fn condition_type(key: &str) -> Option<Box<str>> {
    let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    Some(key.get("type")?.as_str()?.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_have_written_is_not_ours() {
        let fields = |names: &[&str]| {
            let keys =
                names.iter().map(|name| (format!("k:{{\"type\":\"{name}\"}}"), json!({"f:status": {}})));
            json!({"f:status": {"f:conditions": keys.collect::<serde_json::Map<_, _>>(), "f:listeners": {}}})
        };
        let entry = |manager: &str, subresource: &str, fields: Value| json!({"manager": manager, "subresource": subresource, "operation": "Update", "fieldsV1": fields});
        let object = json!({"metadata": {"managedFields": [
            entry("us", "status", fields(&["Programmed", "Accepted"])),
            entry("us", "", fields(&["ResolvedRefs"])),
            entry("them", "status", fields(&["Valid"])),
            entry("us", "status", json!({"f:metadata": {}})),
        ]}});
        let owned = OwnedStatus::read(&object, "us");
        assert_eq!(owned.conditions, ["Accepted", "Programmed"].map(Box::from).into());
        assert_eq!(*owned.lists, ["listeners"]);
        for object in [
            json!({}),
            json!({"metadata": {"managedFields": [{}, 1, {"manager": "us", "subresource": "status"}]}}),
        ] {
            assert!(OwnedStatus::read(&object, "us").is_empty(), "{object}");
        }
    }
}
