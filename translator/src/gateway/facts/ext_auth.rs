//! Who is asked whether a request may pass, as a policy says it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::{AuthBody, AuthQuestion, AuthService};

use super::key::BackendKey;

/// What a policy says about who is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FaceQuestion {
    /// Nobody.
    Disabled,
    /// A service.
    Asked(Asked),
}

/// A question with what it needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub question: AuthQuestion,
    pub service: Arc<AuthService>,
    /// The backend that the service is.
    pub backend: BackendKey,
}

impl Asked {
    /// A question to a service, which gets so much of the body, and is told this beside the request.
    pub(crate) fn new(
        service: AuthService,
        backend: BackendKey,
        body: Option<AuthBody>,
        context: BTreeMap<String, String>,
    ) -> Self {
        let question = AuthQuestion {
            service: service.name.clone(),
            context,
            body,
            chooses_route: service.chooses_route,
        };
        Self { question, service: service.into(), backend }
    }
}
