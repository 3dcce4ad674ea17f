//! TLS of a Gateway: which certificates its listeners show, what their clients must show, what it shows to its backends,
//! and what stands against it.

mod authorities;
mod certificate;
mod clients;
mod overlap;
mod pem;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_api::{self, Gateway};
use crds::{NamespacedName, ObjectRef};
use ir::{ClientValidation, SecretIr, SecretName, SecretValue, Trust};

pub(crate) use authorities::{Authorities, AuthoritiesRef, authorities};
pub(crate) use certificate::certificate;
pub(crate) use clients::{ClientRequirement, insecure_mode};

use super::listener::{Listener, ListenerProtocol};
use super::listener_set;
use crate::gateway::facts::{GatewayKey, GatewaySecrets};
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};
use crate::xds;

/// What a listener's TLS needs, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListenerTls {
    /// The Secrets whose certificates it shows. Those that cannot be used are not among them.
    pub certificates: Vec<NamespacedName>,
    /// References that do not resolve.
    pub ref_errors: Vec<Rejection>,
    /// Why it is not accepted.
    pub rejected: Option<Rejection>,
    /// What clients must show; `None` if nothing.
    pub clients: Option<ClientRequirement>,
    /// What it has in common with other listeners of its port.
    pub overlap: Option<Rejection>,
}

impl ListenerTls {
    /// What clients must show.
    pub(crate) fn client_validation(&self, port: u16) -> Option<ClientValidation> {
        let accept_invalid = self.clients.as_ref()?.accept_invalid;
        Some(ClientValidation { trust: SecretName::client_trust(port), accept_invalid })
    }
}

/// The options of a listener that we do not know. None is known yet.
pub(super) fn refused_options(spec: &gateway_api::Listener) -> Option<Rejection> {
    let options = spec.tls.as_ref().and_then(|tls| tls.options.as_ref());
    let names: Vec<_> = options.into_iter().flatten().map(|(name, _)| format!("{name:?}")).collect();
    (!names.is_empty()).then(|| {
        let text = format!("{} is not supported", names.join(", "));
        Rejection::at(Reason::UnsupportedValue, "tls.options", text)
    })
}

/// Looks up what the listeners of a Gateway refer to.
pub(crate) fn resolve(view: &impl View, key: &GatewayKey, gateway: &Gateway, listeners: &mut [Listener]) {
    let of_gateway = referrer(key);
    for listener in listeners.iter_mut() {
        if listener.protocol.is_some_and(ListenerProtocol::ends_tls) {
            let of_set = listener.set.as_ref();
            let of_set = of_set.map(|set| Party::new(gateway_api::GROUP, listener_set::KIND, &set.namespace));
            find_certificates(view, of_set.as_ref().unwrap_or(&of_gateway), listener);
        }
        clients::require(view, &of_gateway, gateway, listener);
    }
    overlap::note(view, listeners);
}

fn referrer(gateway: &GatewayKey) -> Party {
    Party::new(gateway_api::GROUP, "Gateway", &gateway.namespace)
}

/// The certificate that a Gateway shows to its backends; `None` if it names none.
pub(crate) fn client_certificate(
    view: &impl View,
    key: &GatewayKey,
    gateway: &Gateway,
) -> Option<Result<NamespacedName, Rejection>> {
    let reference = gateway.spec.tls.as_ref()?.backend.as_ref()?.client_certificate_ref.as_ref()?;
    let reference = SecretRef {
        group: reference.group.as_deref(),
        kind: reference.kind.as_deref(),
        namespace: reference.namespace.as_deref(),
        name: &reference.name,
    };
    let secret = reference.resolve(view, &referrer(key), Reason::InvalidClientCertificateRef);
    Some(secret.map_err(|error| error.within("spec.tls.backend.clientCertificateRef")))
}

fn find_certificates(view: &impl View, referrer: &Party, listener: &mut Listener) {
    let tls = listener.spec.tls.as_ref();
    let references = tls.and_then(|tls| tls.certificate_refs.as_deref()).unwrap_or_default();
    if references.is_empty() {
        let text = "is empty, and a listener that ends TLS needs a certificate";
        let rejection = Rejection::at(Reason::InvalidCertificateRef, "tls.certificateRefs", text);
        listener.tls.ref_errors.push(rejection);
    }
    for (index, reference) in references.iter().enumerate() {
        let reference = SecretRef {
            group: reference.group.as_deref(),
            kind: reference.kind.as_deref(),
            namespace: reference.namespace.as_deref(),
            name: &reference.name,
        };
        match reference.resolve(view, referrer, Reason::InvalidCertificateRef) {
            // The same one twice is one.
            Ok(secret) if listener.tls.certificates.contains(&secret) => {}
            Ok(secret) => listener.tls.certificates.push(secret),
            Err(error) => {
                let field = format!("tls.certificateRefs[{index}]");
                listener.tls.ref_errors.push(error.within(&field));
            }
        }
    }
}

/// A reference to a Secret with a certificate.
pub(crate) struct SecretRef<'a> {
    pub group: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

impl SecretRef<'_> {
    /// The Secret, whose certificate can be used.
    ///
    /// # Errors
    /// Whoever refers may not, with that reason; or there is no such certificate, with `invalid` as reason.
    pub(crate) fn resolve(
        &self,
        view: &impl View,
        referrer: &Party,
        invalid: Reason,
    ) -> Result<NamespacedName, Rejection> {
        let (group, kind) = (self.group.unwrap_or_default(), self.kind.unwrap_or("Secret"));
        if (group, kind) != ("", "Secret") {
            let message = format!("is of kind {kind:?} in group {group:?}; a certificate is in a Secret");
            return Err(Rejection::new(invalid, message));
        }
        let secret = permitted(view, referrer, "Secret", self.namespace, self.name)?;
        match &view.certificate(&secret).as_deref() {
            Some(certificate) => match &certificate.result {
                Ok(_) => Ok(secret),
                Err(message) => Err(Rejection::new(invalid, format!("Secret {secret}: {message}"))),
            },
            None => {
                let object = ObjectRef::namespaced("", "Secret", &secret.namespace, &secret.name);
                Err(Rejection::missing(invalid, object))
            }
        }
    }
}

/// An object of a core kind that somebody may refer to.
///
/// # Errors
/// It is in another namespace and not granted. Nothing is looked up before: whoever may not refer to an object shall not
/// learn whether it exists.
fn permitted(
    view: &impl View,
    referrer: &Party,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<NamespacedName, Rejection> {
    let object = NamespacedName::new(namespace.unwrap_or(&referrer.namespace), name);
    view.permitted(referrer, &Party::new("", kind, &object.namespace), name)?;
    Ok(object)
}

/// What is sent to the proxies of a Gateway by SDS for its listeners, and what they show to backends.
pub(crate) fn secrets(view: &impl View, key: &GatewayKey) -> Option<GatewaySecrets> {
    let (face, placed) = (view.gateway(key)?, view.placement(key)?);
    let hooks = &view.settings().test_hooks;
    let names: BTreeSet<_> = placed.served().flat_map(|listener| &listener.tls.certificates).collect();
    let certificates = names.into_iter().filter_map(|secret| view.certificate(secret)?.encoded.clone());
    let trusted: BTreeMap<_, _> = placed
        .served()
        .filter_map(|listener| Some((listener.port?, listener.tls.clients.as_ref()?)))
        .collect();
    let trusted = trusted.into_iter().map(|(port, clients)| SecretIr {
        name: SecretName::client_trust(port),
        value: SecretValue::Trust(Trust::Pem(clients.authorities.pem(view))),
    });
    let shown = match &face.client_certificate {
        Some(Ok(secret)) if placed.is_served() => view.certificate(secret),
        _ => None,
    };
    let shown = shown.and_then(|value| Some(value.result.as_ref().ok()?.certificate.clone()));
    let has_client_certificate = shown.is_some();
    let shown = shown.map(|certificate| SecretIr {
        name: SecretName::client_certificate(),
        value: SecretValue::Certificate(certificate),
    });
    let own = trusted.chain(shown).map(|secret| Arc::new(xds::encode_secret(&secret, hooks)));
    Some(GatewaySecrets { secrets: certificates.chain(own).collect(), has_client_certificate })
}
