//! Keys: how any object, kind or namespaced name is identified, compared and printed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::object::Metadata;

/// The identity of one object, whatever its API version.
///
/// The order (group, kind, namespace, name) is the canonical order of everything that is listed.
/// `Display` prints `HTTPRoute default/google`; the alternate form (`{:#}`) adds the group:
/// `HTTPRoute.gateway.networking.k8s.io default/google`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Kind, in its singular CamelCase form.
    pub kind: Cow<'static, str>,
    /// Namespace; `None` for cluster-scoped objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// The key of a namespaced object.
    pub fn namespaced(
        group: impl Into<Cow<'static, str>>,
        kind: impl Into<Cow<'static, str>>,
        namespace: impl AsRef<str>,
        name: impl AsRef<str>,
    ) -> Self {
        let (namespace, name) = (Some(namespace.as_ref().to_owned()), name.as_ref().to_owned());
        Self { group: group.into(), kind: kind.into(), namespace, name }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(
        group: impl Into<Cow<'static, str>>,
        kind: impl Into<Cow<'static, str>>,
        name: impl AsRef<str>,
    ) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: None, name: name.as_ref().to_owned() }
    }

    /// The object's kind with its group.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group.clone(), self.kind.clone())
    }

    /// Namespace and name, or `None` for a cluster-scoped object.
    pub fn namespaced_name(&self) -> Option<NamespacedName> {
        let namespace = self.namespace.clone()?;
        Some(NamespacedName::new(namespace, &self.name))
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if f.alternate() && !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        f.write_str(" ")?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// A kind with its API group, without a version. `Display` prints `HTTPRoute.gateway.networking.k8s.io`,
/// and the bare kind for the core group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, in its singular CamelCase form.
    pub kind: String,
}

impl GroupKind {
    /// Pairs a group (empty for core) with a kind.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// A namespace and a name; the kind is known from the context. Cheap to clone. `Display` prints `default/google`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Pairs a namespace with a name.
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self { namespace: namespace.as_ref().into(), name: name.as_ref().into() }
    }

    /// That of an object; the namespace is empty if it has none.
    pub fn of(metadata: &(impl Metadata + ?Sized)) -> Self {
        Self::new(metadata.namespace().unwrap_or_default(), metadata.name())
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_print_as_a_user_would_name_the_object() {
        let route = ObjectRef::namespaced("gateway.networking.k8s.io", "HTTPRoute", "default", "google");
        let rows = [
            (route.to_string(), "HTTPRoute default/google"),
            (format!("{route:#}"), "HTTPRoute.gateway.networking.k8s.io default/google"),
            (format!("{:#}", ObjectRef::namespaced("", "Secret", "a", "b")), "Secret a/b"),
            (ObjectRef::cluster("", "Namespace", "a").to_string(), "Namespace a"),
            (route.group_kind().to_string(), "HTTPRoute.gateway.networking.k8s.io"),
            (GroupKind::new("", "Service").to_string(), "Service"),
            (NamespacedName::new("a", "b").to_string(), "a/b"),
        ];
        for (printed, expected) in rows {
            assert_eq!(printed, expected);
        }
    }

    #[test]
    fn refs_sort_by_group_kind_namespace_name() {
        let mut refs = [
            ObjectRef::namespaced("b", "A", "a", "a"),
            ObjectRef::namespaced("a", "A", "a", "b"),
            ObjectRef::namespaced("a", "A", "a", "a"),
            ObjectRef::cluster("a", "A", "z"),
        ];
        refs.sort();
        let printed: Vec<_> = refs.iter().map(|r| format!("{r:#}")).collect();
        assert_eq!(printed, ["A.a z", "A.a a/a", "A.a a/b", "A.b a/a"]);
    }
}
