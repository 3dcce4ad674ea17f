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
    /// This service.
    Asked {
        service: Arc<AuthService>,
        /// The backend that it is.
        backend: BackendKey,
        /// How much of the body it gets.
        body: Option<AuthBody>,
        /// What it is told beside the request.
        context: BTreeMap<String, String>,
    },
}

/// A question with what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub question: AuthQuestion,
    pub service: Arc<AuthService>,
    pub backend: BackendKey,
}

impl FaceQuestion {
    /// What a route asks; `None` if nobody is asked.
    pub(crate) fn asked(&self) -> Option<Asked> {
        let Self::Asked { service, backend, body, context } = self else { return None };
        let question = AuthQuestion {
            service: service.name.clone(),
            context: context.clone(),
            body: *body,
            chooses_route: service.chooses_route,
        };
        Some(Asked { question, service: service.clone(), backend: backend.clone() })
    }
}
