//! May this reference cross namespaces: the one place where that is decided, for every kind.

use crds::gateway_api::ReferenceGrant;

/// A side of a reference: which kind in which namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party {
    pub group: String,
    pub kind: String,
    pub namespace: String,
}

/// Whether a grant that stands in the namespace of `to` lets `from` refer to `to` of that name. A grant speaks for
/// the namespace that it stands in and no other.
pub(crate) fn permits(grant: &ReferenceGrant, from: &Party, to: &Party, name: &str) -> bool {
    let is_source = grant.spec.from.iter().any(|permitted| {
        permitted.group == from.group && permitted.kind == from.kind && permitted.namespace == from.namespace
    });
    is_source
        && grant.spec.to.iter().any(|permitted| {
            let is_named = |permitted: &String| permitted.is_empty() || permitted == name;
            permitted.group == to.group
                && permitted.kind == to.kind
                && permitted.name.as_ref().is_none_or(is_named)
        })
}

impl Party {
    pub(crate) fn new(group: &str, kind: &str, namespace: &str) -> Self {
        Self { group: group.to_owned(), kind: kind.to_owned(), namespace: namespace.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant(to_name: Option<&str>) -> ReferenceGrant {
        let spec = serde_json::from_value(json!({
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "routes"}],
            "to": [{"group": "", "kind": "Service", "name": to_name}],
        }))
        .unwrap();
        ReferenceGrant::new("g", spec)
    }

    #[test]
    fn a_grant_permits_exactly_what_it_names() {
        const GROUP: &str = "gateway.networking.k8s.io";
        let (all, one) = (grant(None), grant(Some("web")));
        let service = Party::new("", "Service", "backends");
        for (says, expected, grant, from, to, name) in [
            ("whole kind", true, &all, Party::new(GROUP, "HTTPRoute", "routes"), &service, "web"),
            ("named object", true, &one, Party::new(GROUP, "HTTPRoute", "routes"), &service, "web"),
            ("another object", false, &one, Party::new(GROUP, "HTTPRoute", "routes"), &service, "db"),
            (
                "another source namespace",
                false,
                &all,
                Party::new(GROUP, "HTTPRoute", "other"),
                &service,
                "web",
            ),
            ("another source kind", false, &all, Party::new(GROUP, "GRPCRoute", "routes"), &service, "web"),
            ("another source group", false, &all, Party::new("", "HTTPRoute", "routes"), &service, "web"),
            (
                "another target kind",
                false,
                &all,
                Party::new(GROUP, "HTTPRoute", "routes"),
                &Party::new("", "Secret", "backends"),
                "web",
            ),
        ] {
            assert_eq!(permits(grant, &from, to, name), expected, "{says}");
        }
    }
}
