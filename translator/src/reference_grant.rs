//! May this reference cross namespaces: the one place where that is decided, for every kind.

use std::collections::BTreeSet;

use crate::Resources;

/// Every permission that the ReferenceGrants give.
pub(crate) struct ReferenceGrants {
    permits: BTreeSet<Permit>,
}

/// One `from` paired with one `to` of a ReferenceGrant.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Permit {
    from: Party,
    to: Party,
    /// One object only; `None` for all of the kind in the namespace.
    name: Option<String>,
}

/// A side of a reference: which kind in which namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party {
    pub group: String,
    pub kind: String,
    pub namespace: String,
}

impl ReferenceGrants {
    /// Reads every grant. A grant speaks for the namespace that it stands in and no other.
    pub(crate) fn new(resources: &Resources) -> Self {
        let permits = resources.reference_grants.iter().flat_map(|(key, grant)| {
            let namespace = key.namespace.clone();
            let spec = &grant.spec;
            spec.from.iter().flat_map(move |from| {
                let namespace = namespace.clone();
                spec.to.iter().map(move |to| Permit {
                    from: Party::new(&from.group, &from.kind, &from.namespace),
                    to: Party::new(&to.group, &to.kind, &namespace),
                    name: to.name.clone().filter(|name| !name.is_empty()),
                })
            })
        });
        Self { permits: permits.collect() }
    }

    /// Whether `from` may refer to `to` of that name. Within one namespace always.
    pub(crate) fn permits(&self, from: &Party, to: &Party, name: &str) -> bool {
        let permit = |name: Option<String>| Permit { from: from.clone(), to: to.clone(), name };
        from.namespace == to.namespace
            || self.permits.contains(&permit(None))
            || self.permits.contains(&permit(Some(name.to_owned())))
    }
}

impl Party {
    pub(crate) fn new(group: &str, kind: &str, namespace: &str) -> Self {
        Self { group: group.to_owned(), kind: kind.to_owned(), namespace: namespace.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use crds::{NamespacedName, gateway_api::ReferenceGrant};
    use serde_json::json;

    use super::*;

    fn grants(to_name: Option<&str>) -> ReferenceGrants {
        let spec = serde_json::from_value(json!({
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "routes"}],
            "to": [{"group": "", "kind": "Service", "name": to_name}],
        }))
        .unwrap();
        let grant = ReferenceGrant::new("g", spec);
        let key = NamespacedName { namespace: "backends".to_owned(), name: "g".to_owned() };
        let mut resources = Resources::default();
        resources.reference_grants.insert(key, grant.into());
        ReferenceGrants::new(&resources)
    }

    fn route(namespace: &str) -> Party {
        Party::new("gateway.networking.k8s.io", "HTTPRoute", namespace)
    }

    fn service(namespace: &str) -> Party {
        Party::new("", "Service", namespace)
    }

    #[test]
    fn a_grant_permits_exactly_what_it_names() {
        let all = grants(None);
        let one = grants(Some("web"));
        for (says, expected, permitted) in [
            ("whole kind", true, all.permits(&route("routes"), &service("backends"), "web")),
            ("named object", true, one.permits(&route("routes"), &service("backends"), "web")),
            ("another object", false, one.permits(&route("routes"), &service("backends"), "db")),
            ("another source namespace", false, all.permits(&route("other"), &service("backends"), "web")),
            ("another target namespace", false, all.permits(&route("routes"), &service("other"), "web")),
            (
                "another source kind",
                false,
                all.permits(
                    &Party::new("gateway.networking.k8s.io", "GRPCRoute", "routes"),
                    &service("backends"),
                    "web",
                ),
            ),
            (
                "another source group",
                false,
                all.permits(&Party::new("", "HTTPRoute", "routes"), &service("backends"), "web"),
            ),
            (
                "another target kind",
                false,
                all.permits(&route("routes"), &Party::new("", "Secret", "backends"), "web"),
            ),
            ("same namespace needs none", true, all.permits(&route("backends"), &service("backends"), "db")),
        ] {
            assert_eq!(permitted, expected, "{says}");
        }
    }
}
