//! Who clients are and what they may do, as a policy says it.

use std::sync::Arc;

use crds::identity::Stages;
use ir::{Rights, TokenSet};

use super::key::BackendKey;

/// What a policy says about who clients are and what they may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FaceIdentity {
    pub tokens: Option<FaceTokens>,
    pub rights: Option<FaceRights>,
}

/// What a policy says about the tokens that clients must show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FaceTokens {
    /// None at these stages.
    Disabled(Stages),
    /// These.
    Required {
        set: Arc<TokenSet>,
        /// The names of its providers, each once.
        providers: Arc<[String]>,
        /// The stages that it has.
        stages: Stages,
        /// Where proxies ask for keys.
        backends: Vec<BackendKey>,
    },
}

/// What a policy says about what clients may do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FaceRights {
    /// Everything.
    Disabled,
    /// What these rules say.
    Rules(Arc<Rights>),
}
