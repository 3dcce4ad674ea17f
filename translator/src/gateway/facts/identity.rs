//! Who clients are and what they may do, as a policy says it.

use std::sync::Arc;

use crds::identity::Stages;
use crds::policy::http::Setting;
use ir::{ClientKey, KeyDemand, KeyList, KeySet, Rights, TokenSet, UserList};

use super::key::BackendKey;
use crate::status::Rejection;

/// What a policy says about who clients are and what they may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FaceIdentity {
    pub tokens: Option<FaceTokens>,
    pub rights: Option<FaceRights>,
    pub keys: Option<FaceKeys>,
    pub users: Option<Setting<Arc<UserList>>>,
    pub api_keys: Option<Setting<Arc<KeyList>>>,
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

/// What a policy says about the virtual keys that clients must show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FaceKeys {
    /// None.
    Disabled,
    /// One of these.
    Required(KeyDemand, Arc<KeySet>),
}

/// A virtual key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyFace {
    /// The hashes of the keys that are taken, with the time until which each is, in seconds since 1970.
    pub hashes: Vec<(String, Option<i64>)>,
    /// What is known of it.
    pub key: ClientKey,
    /// Everything that is wrong with it.
    pub faults: Vec<Rejection>,
}
