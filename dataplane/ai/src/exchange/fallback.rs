//! Cheaper models for requests whose budget is spent: they take the place of the model that the provider would be asked for,
//! whoever has named it.

use std::sync::Arc;

use ai_config::{CheaperModel, ClusterConfig, PathOverride, Provider};

use super::translation::Spoken;
use super::{Exchange, Refusal, RequestHead};
use crate::operation::Operation;
use crate::provider::{Facts, ModelIn};

/// The cheaper models of a request.
#[derive(Clone, Debug)]
pub(super) struct Fallback {
    models: Vec<CheaperModel>,
    /// Whether the provider is asked for one of them.
    is_taken: bool,
}

impl Fallback {
    /// What the service that counts has answered about a request; `None` if it may ask for what it wants.
    ///
    /// # Errors
    /// What it has answered cannot be read, or no cheaper model can stand in for what the request asks.
    pub(super) fn of(
        head: &RequestHead<'_>,
        facts: &Facts,
        cluster: &ClusterConfig,
        operation: &Operation,
        spoken: Spoken,
    ) -> Result<Option<Self>, Refusal> {
        let asks_nothing = !head.is_upgrade && matches!(head.method, "GET" | "HEAD" | "OPTIONS");
        let Some(text) = head.fallback.filter(|_| !asks_nothing) else { return Ok(None) };
        let Ok(models) = serde_json::from_slice(text) else {
            return Err(Refusal::misconfigured(facts.schema, "the models of a spent budget cannot be read"));
        };
        let has_own_path =
            facts.model_in == ModelIn::Path && matches!(cluster.path, Some(PathOverride::Full(_)));
        // Azure takes the model of these from the body, whatever the deployment.
        let is_of_resource = matches!(cluster.provider, Provider::AzureOpenAi { .. })
            && *operation == Operation::Responses
            && spoken == Spoken::Native;
        let is_chat = head.method == "POST" && operation.is_chat() && !head.is_upgrade;
        match is_chat && !has_own_path && !is_of_resource {
            true => Ok(Some(Self { models, is_taken: false })),
            false => Err(Refusal::spent(facts.schema)),
        }
    }

    /// The model in whose place another one would be asked for: itself, if it is a cheaper one.
    fn instead_of(&self, model: &str) -> Option<&str> {
        let fits = |from: &str| match from.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => model == from,
        };
        let is_cheaper = self.models.iter().find(|cheaper| cheaper.to == model);
        let cheaper = is_cheaper.or_else(|| self.models.iter().find(|cheaper| fits(&cheaper.from)));
        cheaper.map(|cheaper| cheaper.to.as_str())
    }

    /// The cluster with a cheaper model in the place of its own, if it has one.
    pub(super) fn applied(
        &mut self,
        cluster: Arc<ClusterConfig>,
        facts: &Facts,
    ) -> Result<Arc<ClusterConfig>, Refusal> {
        let own = match &cluster.provider {
            Provider::AzureOpenAi { deployment, .. } => Some(deployment),
            _ => cluster.model.as_ref(),
        };
        let Some(own) = own else { return Ok(cluster) };
        let to = self.instead_of(own).ok_or_else(|| Refusal::spent(facts.schema))?.to_owned();
        self.is_taken = true;
        let mut changed = ClusterConfig::clone(&cluster);
        match &mut changed.provider {
            Provider::AzureOpenAi { deployment, .. } => *deployment = to,
            _ => changed.model = Some(to),
        }
        Ok(Arc::new(changed))
    }
}

impl Exchange {
    /// Has a cheaper model asked for than the one that the client has named, if its budget is spent.
    pub(super) fn take_cheaper(&mut self, named: &str) {
        let (Some(fallback), Some(model)) = (&mut self.fallback, &self.model) else { return };
        let Some(to) = fallback.instead_of(model).map(str::to_owned) else { return };
        fallback.is_taken = true;
        if to != *model {
            self.alias.get_or_insert_with(|| named.to_owned());
            self.model = Some(to);
        }
    }

    /// Whether the provider is asked for what the client may have.
    pub(super) fn check_cheaper(&self) -> Result<(), Refusal> {
        match &self.fallback {
            Some(fallback) if !fallback.is_taken => Err(Refusal::spent(self.facts.schema)),
            _ => Ok(()),
        }
    }
}
