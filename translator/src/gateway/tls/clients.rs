//! What the clients of HTTPS listeners must show (`spec.tls.frontend` of a Gateway).

use crds::gateway_api::Gateway;
use crds::gateway_api::gateways::{
    GatewayTlsFrontend, GatewayTlsFrontendDefaultValidationMode as DefaultMode,
    GatewayTlsFrontendPerPortTlsValidationMode as PerPortMode,
};

use super::authorities::{Authorities, AuthoritiesRef};
use crate::gateway::listener::{Listener, ListenerProtocol};
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Condition, ConditionType, Reason};

/// What clients must show at a port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientRequirement {
    /// Who may have signed their certificates.
    pub authorities: Authorities,
    /// Whether they are let in whatever they show.
    pub accept_invalid: bool,
}

/// References to authorities, whichever of the two generated types they are of.
macro_rules! references {
    ($validation:expr) => {
        $validation
            .ca_certificate_refs
            .iter()
            .map(|reference| AuthoritiesRef {
                group: &reference.group,
                kind: &reference.kind,
                namespace: reference.namespace.as_deref(),
                name: &reference.name,
            })
            .collect::<Vec<_>>()
    };
}

/// Notes with an HTTPS listener what its clients must show: what is said for its port, or else for all.
pub(super) fn require(view: &impl View, referrer: &Party, gateway: &Gateway, listener: &mut Listener) {
    if listener.protocol != Some(ListenerProtocol::Https) {
        return;
    }
    let Some(frontend) = frontend(gateway) else { return };
    let mut per_port = frontend.per_port.iter().flatten().enumerate();
    let written = match per_port.find(|(_, entry)| entry.port == listener.spec.port) {
        Some((index, entry)) => entry.tls.validation.as_ref().map(|validation| {
            let accept_invalid = validation.mode == Some(PerPortMode::AllowInsecureFallback);
            (format!("perPort[{index}].tls"), references!(validation), accept_invalid)
        }),
        None => frontend.default.validation.as_ref().map(|validation| {
            let accept_invalid = validation.mode == Some(DefaultMode::AllowInsecureFallback);
            ("default".to_owned(), references!(validation), accept_invalid)
        }),
    };
    let Some((place, references, accept_invalid)) = written else { return };
    let field = format!("the Gateway's spec.tls.frontend.{place}.validation.caCertificateRefs");
    let invalid_kind = Reason::InvalidCACertificateKind;
    let authorities = Authorities::resolve(view, referrer, &field, references.into_iter(), invalid_kind);
    let requirement = ClientRequirement { authorities, accept_invalid };
    listener.tls.ref_errors.extend(requirement.authorities.errors.iter().cloned());
    listener.tls.rejected = requirement.authorities.rejection();
    listener.tls.clients = Some(requirement);
}

/// Tells that clients with invalid certificates are let in, if that is so.
pub(crate) fn insecure_mode(gateway: &Gateway) -> Option<Condition> {
    let frontend = frontend(gateway)?;
    let default = frontend.default.validation.as_ref().and_then(|validation| validation.mode.as_ref());
    let mut per_port = frontend.per_port.iter().flatten().filter_map(|entry| entry.tls.validation.as_ref());
    let is_insecure = default == Some(&DefaultMode::AllowInsecureFallback)
        || per_port.any(|validation| validation.mode == Some(PerPortMode::AllowInsecureFallback));
    is_insecure.then(|| {
        let message =
            "spec.tls.frontend: with AllowInsecureFallback, clients are let in without a valid certificate";
        let kind = ConditionType::InsecureFrontendValidationMode;
        Condition::bad(kind, Reason::ConfigurationChanged, message)
    })
}

fn frontend(gateway: &Gateway) -> Option<&GatewayTlsFrontend> {
    gateway.spec.tls.as_ref()?.frontend.as_ref()
}
