//! Who clients are and what they may do: what several policies come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::ObjectKey;
use crds::identity::{Stage, Stages};
use crds::policy::http::Setting;
use ir::{Access, FilterPart, KeyList, KeySet, TokenDemand, TokenSet, USER_HEADER, UserList};

use super::Applied;
use super::merge::Merge;
use crate::gateway::facts::{BackendKey, FaceIdentity, FaceKeys, FaceRights, FaceTokens};
use crate::gateway::identity::name_at;

/// The stages, each with the name of its field in messages.
const STAGES: [(Stage, &str); 2] = [
    (Stage::Before, "tokens before external authorisation"),
    (Stage::After, "tokens after external authorisation"),
];

/// What the policies of a rule come to.
#[derive(Debug, Default)]
pub(super) struct MergedIdentity {
    pub access: Access,
    /// The tokens that `access` names.
    pub tokens: Option<Arc<TokenSet>>,
    /// The virtual keys that `access` names.
    pub keys: Option<Arc<KeySet>>,
    /// Where proxies ask for the keys.
    pub backends: Vec<BackendKey>,
    /// The users and API keys that `access` names.
    pub lists: Vec<FilterPart>,
    /// Headers in which backends would get who the client is, had not another policy precedence: none gets what a client
    /// writes there.
    pub foreign_headers: BTreeSet<String>,
}

/// What policies come to, the most specific first.
pub(super) fn merged(chain: &[Applied], merge: &mut Merge) -> MergedIdentity {
    let mut out = MergedIdentity::default();
    for Applied { face, .. } in chain {
        let FaceIdentity { tokens, rights, keys, users, api_keys } = &face.identity;
        if let Some(keys) = keys
            && merge.wins(&face.key, "virtualKeys")
            && let FaceKeys::Required(demand, set) = keys
        {
            out.access.keys = Some(demand.clone());
            out.keys = Some(set.clone());
        }
        out.add_lists(&face.key, users.as_ref(), api_keys.as_ref(), merge);
        if let Some(rights) = rights
            && merge.wins(&face.key, "rbac")
            && let FaceRights::Rules(rights) = rights
        {
            out.access.rights = Some(rights.clone());
        }
        match tokens {
            None => {}
            Some(FaceTokens::Disabled(stages)) => {
                let won = take_stages(merge, &face.key, *stages);
                if !won.is_empty() {
                    out.access.tokens.get_or_insert(TokenDemand::Nothing);
                }
            }
            // Who asks for tokens says all about them, also that there are none at another stage.
            Some(FaceTokens::Required { set, providers, stages, backends }) => {
                let wanted = take_stages(merge, &face.key, Stages::ALL).common(*stages);
                if let Some(name) = name_at(set, *stages, wanted) {
                    let (providers, payload_key) = (providers.clone(), set.payload_key.clone());
                    out.access.tokens = Some(TokenDemand::Set { name, providers, payload_key });
                    out.tokens = Some(set.clone());
                    out.backends.clone_from(backends);
                }
            }
        }
    }
    out.settle_headers();
    out
}

impl MergedIdentity {
    fn add_lists(
        &mut self,
        policy: &ObjectKey,
        users: Option<&Setting<Arc<UserList>>>,
        keys: Option<&Setting<Arc<KeyList>>>,
        merge: &mut Merge,
    ) {
        if let Some(users) = users {
            self.foreign_headers.insert(USER_HEADER.to_owned());
            if merge.wins(policy, "basicAuth")
                && let Setting::On(list) = users
            {
                self.access.credentials.users = Some(list.name.clone());
                self.lists.push(FilterPart::Users(list.clone()));
            }
        }
        if let Some(keys) = keys {
            let wins = merge.wins(policy, "apiKeyAuth");
            if let Setting::On(list) = keys {
                self.foreign_headers.extend(list.client_header.clone());
                if wins {
                    self.access.credentials.api_keys = Some(list.name.clone());
                    self.lists.push(FilterPart::ApiKeys(list.clone()));
                }
            }
        }
    }

    /// Leaves the headers that a filter writes.
    fn settle_headers(&mut self) {
        for list in &self.lists {
            let own = match list {
                FilterPart::Users(_) => Some(USER_HEADER),
                FilterPart::ApiKeys(list) => list.client_header.as_deref(),
                FilterPart::Bucket(..)
                | FilterPart::Tokens(_)
                | FilterPart::Auth(_)
                | FilterPart::Keys(_)
                | FilterPart::Claims(_)
                | FilterPart::LimitService(_)
                | FilterPart::Processor(_)
                | FilterPart::Compressor(_) => None,
            };
            if let Some(own) = own {
                self.foreign_headers.remove(own);
            }
        }
    }
}

/// Those of some stages for which a policy is the most specific one.
fn take_stages(merge: &mut Merge, policy: &ObjectKey, stages: Stages) -> Stages {
    let each = STAGES.into_iter().map(|(stage, field)| (stages.common(Stages::only(stage)), field));
    let won = each.filter(|(stage, field)| !stage.is_empty() && merge.wins(policy, field));
    won.fold(Stages::default(), |won, (stage, _)| won.or(stage))
}
