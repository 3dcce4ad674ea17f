//! Makes what stands in the cluster equal to what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use ir::GatewayName;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Error};
use serde_json::Value;
use translator::Translation;

use super::DeployFailures;
use super::manifest::{DeploySettings, Manifest, render_manifests};
use super::object::{ManifestKind, ObjectKey, Observed, owner};
use super::prune::unwanted;
use super::watch::Observation;

/// Under this name the API server knows which fields are ours.
const FIELD_MANAGER: &str = "chancery.dev";

/// What there shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) gateways: BTreeMap<GatewayName, WantedProxy>,
    /// Gateways of which nothing is touched.
    pub(super) unserved: BTreeSet<GatewayName>,
}

/// What there shall be for one Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WantedProxy {
    /// The identity of the Gateway.
    pub(super) uid: Option<String>,
    pub(super) manifests: Vec<Manifest>,
}

impl Wanted {
    pub(super) fn new(translation: &Translation, settings: &DeploySettings, ca: &str) -> Self {
        let gateways = translation.gateways.iter().map(|(name, output)| {
            let manifests = render_manifests(&output.infra, output.parameters.as_deref(), settings, ca);
            (name.clone(), WantedProxy { uid: output.infra.uid.clone(), manifests })
        });
        Self { gateways: gateways.collect(), unserved: translation.unserved.clone() }
    }
}

/// Knows what was applied and what was seen.
pub(super) struct Reconciler {
    client: Client,
    /// What was applied last and not touched by anybody since.
    applied: BTreeMap<ObjectKey, Value>,
    observed: BTreeMap<ObjectKey, Observed>,
}

impl Reconciler {
    pub(super) fn new(client: Client) -> Self {
        Self { client, applied: BTreeMap::new(), observed: BTreeMap::new() }
    }

    /// Applies everything again the next time.
    pub(super) fn forget_applied(&mut self) {
        self.applied.clear();
    }

    /// Takes in what was seen. What differs from before is applied again: to apply what is there already
    /// changes nothing and so ends here.
    pub(super) fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Present(key, observed) => {
                if self.observed.get(&key) != Some(&observed) {
                    self.applied.remove(&key);
                    self.observed.insert(key, observed);
                }
            }
            Observation::Gone(key) => {
                self.applied.remove(&key);
                self.observed.remove(&key);
            }
            Observation::All(kind, all) => {
                let is_gone = |key: &ObjectKey| key.kind == kind && !all.contains(key);
                self.applied.retain(|key, _| !is_gone(key));
                self.observed.retain(|key, _| !is_gone(key));
            }
        }
    }

    /// Applies what is not as it should be, and deletes what should not be; says what failed. One Gateway
    /// that fails never keeps another from being served.
    pub(super) async fn reconcile(&mut self, wanted: &Wanted) -> DeployFailures {
        let mut failures = DeployFailures::new();
        for (gateway, proxy) in &wanted.gateways {
            if let Err(failure) = self.apply_all(gateway, proxy).await {
                tracing::warn!(%gateway, "{failure}");
                failures.insert(gateway.clone(), failure);
            }
        }
        let keys = wanted.gateways.values().flat_map(|proxy| &proxy.manifests).map(|manifest| &manifest.key);
        for (key, uid) in unwanted(&self.observed, &keys.collect(), &wanted.unserved) {
            match self.delete(&key, uid).await {
                Ok(()) => drop(self.observed.remove(&key)),
                Err(error) => tracing::warn!(object = %key, %error, "cannot delete"),
            }
        }
        failures
    }

    async fn apply_all(&mut self, gateway: &GatewayName, proxy: &WantedProxy) -> Result<(), String> {
        for manifest in &proxy.manifests {
            if self.applied.get(&manifest.key) == Some(&manifest.object) {
                continue;
            }
            let answer = self.apply(gateway, proxy.uid.as_deref(), manifest).await?;
            // When the watch shows the same, it is our own doing, and no reason to apply it once more.
            self.observed.insert(manifest.key.clone(), Observed::new(&answer));
            self.applied.insert(manifest.key.clone(), manifest.object.clone());
        }
        Ok(())
    }

    async fn apply(
        &self,
        gateway: &GatewayName,
        uid: Option<&str>,
        manifest: &Manifest,
    ) -> Result<DynamicObject, String> {
        let Manifest { key, object } = manifest;
        let failed = |error: Error| format!("{key}: {}", explain(&error));
        let api = self.api(key);
        let is_known = self.observed.get(key).is_some_and(|seen| seen.gateway.as_ref() == Some(gateway));
        // Somebody's own object of this name must not become ours.
        if !is_known {
            let existing = api.get_opt(&key.name).await.map_err(failed)?;
            if existing.is_some_and(|existing| !belongs_to(&existing, gateway, uid)) {
                return Err(format!(
                    "{key}: exists and does not belong to this Gateway; rename or delete one of them"
                ));
            }
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = api.patch(&key.name, &params, &Patch::Apply(object)).await.map_err(failed)?;
        tracing::info!(object = %key, %gateway, "applied");
        Ok(answer)
    }

    /// Deletes the object that was seen, not another that came under its name.
    async fn delete(&self, key: &ObjectKey, uid: String) -> Result<(), Error> {
        let preconditions = Preconditions { uid: Some(uid), ..Preconditions::default() };
        let params = DeleteParams::background().preconditions(preconditions);
        match self.api(key).delete(&key.name, &params).await {
            Ok(_) => tracing::info!(object = %key, "deleted, since nothing needs it any more"),
            // Gone already, or another one.
            Err(Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &ManifestKind::api_resource(key.kind))
    }
}

fn belongs_to(object: &DynamicObject, gateway: &GatewayName, uid: Option<&str>) -> bool {
    owner(object)
        .is_some_and(|(owner, owner_uid)| owner == *gateway && uid.is_none_or(|uid| uid == owner_uid))
}

fn explain(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}
