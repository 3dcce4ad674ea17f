//! Certificate authorities, from ConfigMaps.

use std::sync::Arc;

use crds::core::{AUTHORITIES_KEY, ConfigMap};
use crds::{NamespacedName, ObjectRef};

use super::pem;
use crate::gateway::facts::AuthoritiesValue;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};

/// The authorities in a ConfigMap; `None` if there is no such ConfigMap.
pub(crate) fn authorities(view: &impl View, key: &NamespacedName) -> Option<AuthoritiesValue> {
    let map = view.object::<ConfigMap>(key)?;
    let text = map.data.as_ref().and_then(|data| data.get(AUTHORITIES_KEY)).map_or("", String::as_str);
    let read = || {
        if text.is_empty() {
            return Err("is empty or absent".to_owned());
        }
        match pem::certificates(text)?.as_slice() {
            [] => Err("holds no certificate".to_owned()),
            _ => Ok(Arc::from(pem::only_certificates(text))),
        }
    };
    Some(AuthoritiesValue(read().map_err(|error| format!("{AUTHORITIES_KEY}: {error}"))))
}

/// A reference to certificate authorities.
pub(crate) struct AuthoritiesRef<'a> {
    pub group: &'a str,
    pub kind: &'a str,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

/// What references to certificate authorities come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Authorities {
    /// The ConfigMaps that can be used.
    pub maps: Vec<NamespacedName>,
    /// What is wrong with the others.
    pub errors: Vec<Rejection>,
}

impl Authorities {
    /// Resolves references, which stand in that field. One of a kind that is not known has `invalid_kind` as reason.
    pub(crate) fn resolve<'a>(
        view: &impl View,
        referrer: &Party,
        field: &str,
        references: impl Iterator<Item = AuthoritiesRef<'a>>,
        invalid_kind: Reason,
    ) -> Self {
        let mut found = Self::default();
        for (index, reference) in references.enumerate() {
            match reference.resolve(view, referrer, invalid_kind) {
                Ok(map) if found.maps.contains(&map) => {}
                Ok(map) => found.maps.push(map),
                Err(error) => found.errors.push(error.within(&format!("{field}[{index}]"))),
            }
        }
        found
    }

    /// Why nobody can be trusted; `None` if somebody can.
    pub(crate) fn rejection(&self) -> Option<Rejection> {
        let messages: Vec<_> = self.errors.iter().map(Rejection::message).collect();
        let message = match messages.as_slice() {
            [] => "no certificate authorities are named".to_owned(),
            messages => messages.join("; "),
        };
        self.maps.is_empty().then(|| Rejection::new(Reason::NoValidCACertificate, message))
    }

    /// The certificates, PEM.
    pub(crate) fn pem(&self, view: &impl View) -> String {
        let values = self.maps.iter().filter_map(|map| view.authorities(map));
        values.filter_map(|value| value.0.as_ref().ok().map(|pem| pem.to_string())).collect()
    }
}

impl AuthoritiesRef<'_> {
    fn resolve(
        &self,
        view: &impl View,
        referrer: &Party,
        invalid_kind: Reason,
    ) -> Result<NamespacedName, Rejection> {
        let Self { group, kind, namespace, name } = *self;
        if (group, kind) != ("", "ConfigMap") {
            let message =
                format!("is of kind {kind:?} in group {group:?}; certificate authorities are in a ConfigMap");
            return Err(Rejection::new(invalid_kind, message));
        }
        let map = super::permitted(view, referrer, "ConfigMap", namespace, name)?;
        let invalid = |message: &str| {
            Rejection::new(Reason::InvalidCACertificateRef, format!("ConfigMap {map}: {message}"))
        };
        match view.authorities(&map).as_deref() {
            Some(AuthoritiesValue(Ok(_))) => Ok(map),
            Some(AuthoritiesValue(Err(message))) => Err(invalid(message)),
            None => {
                let object = ObjectRef::namespaced("", "ConfigMap", &map.namespace, &map.name);
                Err(Rejection::missing(Reason::InvalidCACertificateRef, object))
            }
        }
    }
}
