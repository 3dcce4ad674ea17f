//! TLS of a Gateway's listeners: which certificates they show, and what stands against it.

mod certificate;
mod overlap;
mod pem;

use std::collections::BTreeSet;

use crds::NamespacedName;
use crds::gateway_api::{self, gateways::GatewayListeners};
use ir::ClientValidation;

pub(crate) use certificate::certificate;

use super::listener::{Listener, ListenerProtocol};
use crate::gateway::facts::{GatewayKey, GatewaySecrets};
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};

/// What a listener's TLS needs, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListenerTls {
    /// The Secrets whose certificates it shows. Those that cannot be used are not among them.
    pub certificates: Vec<NamespacedName>,
    /// References that do not resolve.
    pub ref_errors: Vec<Rejection>,
    /// Why it is not accepted.
    pub rejected: Option<Rejection>,
    /// What it has in common with other listeners of its port.
    pub overlap: Option<Rejection>,
}

impl ListenerTls {
    /// What clients must show.
    pub(crate) fn client_validation(&self, _port: u16) -> Option<ClientValidation> {
        None
    }
}

/// The options of a listener that we do not know. None is known yet.
pub(super) fn refused_options(spec: &GatewayListeners) -> Option<Rejection> {
    let options = spec.tls.as_ref().and_then(|tls| tls.options.as_ref());
    let names: Vec<_> = options.into_iter().flatten().map(|(name, _)| format!("{name:?}")).collect();
    (!names.is_empty()).then(|| {
        let message = format!("tls.options: {} is not supported", names.join(", "));
        Rejection::new(Reason::UnsupportedValue, message)
    })
}

/// Looks up what the listeners of a Gateway refer to.
pub(crate) fn resolve(view: &impl View, gateway: &GatewayKey, listeners: &mut [Listener]) {
    let referrer = Party::new(gateway_api::GROUP, "Gateway", &gateway.namespace);
    for listener in listeners.iter_mut() {
        if listener.protocol.is_some_and(ListenerProtocol::ends_tls) {
            find_certificates(view, &referrer, listener);
        }
    }
    overlap::note(view, listeners);
}

fn find_certificates(view: &impl View, referrer: &Party, listener: &mut Listener) {
    let tls = listener.spec.tls.as_ref();
    let references = tls.and_then(|tls| tls.certificate_refs.as_deref()).unwrap_or_default();
    if references.is_empty() {
        let message = "tls.certificateRefs: is empty, and a listener that ends TLS needs a certificate";
        listener.tls.ref_errors.push(Rejection::new(Reason::InvalidCertificateRef, message));
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
struct SecretRef<'a> {
    group: Option<&'a str>,
    kind: Option<&'a str>,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl SecretRef<'_> {
    /// The Secret, whose certificate can be used.
    ///
    /// # Errors
    /// Whoever refers may not, with that reason; or there is no such certificate, with `invalid` as reason.
    fn resolve(
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
        let namespace = self.namespace.unwrap_or(&referrer.namespace);
        let secret = NamespacedName::new(namespace, self.name);
        // Before looking: whoever may not refer to a Secret shall not learn whether it exists.
        if !view.permits(referrer, &Party::new("", "Secret", namespace), self.name) {
            let message = format!(
                "Secret {secret} is in another namespace, and no ReferenceGrant there permits {} from {}",
                referrer.kind, referrer.namespace
            );
            return Err(Rejection::new(Reason::RefNotPermitted, message));
        }
        match &view.certificate(&secret).as_deref() {
            Some(certificate) => match &certificate.result {
                Ok(_) => Ok(secret),
                Err(message) => Err(Rejection::new(invalid, format!("Secret {secret}: {message}"))),
            },
            None => Err(Rejection::new(invalid, format!("Secret {secret} does not exist"))),
        }
    }
}

/// What is sent to the proxies of a Gateway by SDS for its listeners.
pub(crate) fn secrets(view: &impl View, key: &GatewayKey) -> Option<GatewaySecrets> {
    let placed = view.placement(key)?;
    let names: BTreeSet<_> = placed.served().flat_map(|listener| &listener.tls.certificates).collect();
    let encoded = names.into_iter().filter_map(|secret| {
        let certificate = view.certificate(secret)?;
        certificate.encoded.clone()
    });
    Some(GatewaySecrets { secrets: encoded.collect() })
}
