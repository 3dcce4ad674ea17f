//! Makes what stands in the cluster equal to what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use ir::GatewayName;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Error};
use serde_json::Value;
use translator::Proxy;

use super::DeployFailures;
use super::common::{DeploySettings, Manifest};
use super::manifest::render_manifests;
use super::object::{ManifestKind, ObjectKey, Observed, Owner, owner};
use super::owner_check::{self, Fate};
use super::prune::unwanted;
use super::watch::Observation;
use crate::controller_name::ControllerName;

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
    /// Whether the Gateway is being deleted: nothing is written for it any more.
    pub(super) is_being_deleted: bool,
    pub(super) manifests: Vec<Manifest>,
}

impl Wanted {
    /// Takes in what is wanted for a Gateway from now on; `None` is nothing any more.
    pub(super) fn set(
        &mut self,
        gateway: &GatewayName,
        proxy: Option<&Proxy>,
        settings: &DeploySettings,
        ca: &str,
    ) {
        self.gateways.remove(gateway);
        self.unserved.remove(gateway);
        match proxy {
            Some(proxy) if proxy.is_served => {
                let manifests = render_manifests(&proxy.infra, proxy.parameters.as_deref(), settings, ca);
                let ir::ProxyInfra { uid, is_being_deleted, .. } = &proxy.infra;
                let (uid, is_being_deleted) = (uid.clone(), *is_being_deleted);
                let wanted = WantedProxy { uid, is_being_deleted, manifests };
                self.gateways.insert(gateway.clone(), wanted);
            }
            Some(_) => drop(self.unserved.insert(gateway.clone())),
            None => {}
        }
    }
}

/// Knows what was applied and what was seen.
pub(super) struct Reconciler {
    client: Client,
    controller: ControllerName,
    /// What was applied last and not touched by anybody since.
    applied: BTreeMap<ObjectKey, Value>,
    observed: BTreeMap<ObjectKey, Observed>,
    /// What keeps the proxies of a Gateway from being made, as far as is known.
    failures: DeployFailures,
    /// The Gateway at which the last pass was broken off.
    resume_at: Option<GatewayName>,
    /// Gateways that are gone and whose objects the garbage collector is removing.
    left_to_collector: BTreeSet<Owner>,
}

/// What a pass came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everything is as it should be.
    Done,
    /// Something failed, and is to be tried again after a wait.
    Failed,
    /// It was broken off, since what it was to bring about is no longer the newest.
    Outdated,
}

/// Why a Gateway's objects were not all applied.
enum Stop {
    Failed(String),
    Outdated,
}

/// Whether what a pass works towards still holds. Asked before each step but a pass's first: so a pass acts on what
/// is outdated for one object at most, and yet gets somewhere however often the wish changes.
struct Course<'a> {
    holds: &'a (dyn Fn() -> bool + Sync),
    has_begun: bool,
}

impl Course<'_> {
    fn next_step(&mut self) -> Result<(), Stop> {
        match std::mem::replace(&mut self.has_begun, true) && !(self.holds)() {
            true => Err(Stop::Outdated),
            false => Ok(()),
        }
    }
}

impl Reconciler {
    pub(super) fn new(client: Client, controller: ControllerName) -> Self {
        Self {
            client,
            controller,
            applied: BTreeMap::new(),
            observed: BTreeMap::new(),
            failures: DeployFailures::new(),
            resume_at: None,
            left_to_collector: BTreeSet::new(),
        }
    }

    /// Applies everything again the next time.
    pub(super) fn forget_applied(&mut self) {
        self.applied.clear();
    }

    /// What keeps proxies from being made; of a pass that was broken off, also what was known before it.
    pub(super) fn failures(&self) -> &DeployFailures {
        &self.failures
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
            Observation::Gone(key) => self.forget(&key),
            Observation::All(kind, all) => {
                let is_gone = |key: &ObjectKey| key.kind == kind && !all.contains(key);
                self.applied.retain(|key, _| !is_gone(key));
                self.observed.retain(|key, _| !is_gone(key));
            }
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.applied.remove(key);
        self.observed.remove(key);
    }

    /// Applies what is not as it should be, and deletes what should not be, while `holds` says that `wanted` is the
    /// newest wish. One Gateway that fails never keeps another from being served.
    pub(super) async fn reconcile(&mut self, wanted: &Wanted, holds: &(dyn Fn() -> bool + Sync)) -> Pass {
        self.failures.retain(|gateway, _| wanted.gateways.contains_key(gateway));
        let is_complete = self.apply_wanted(wanted, Course { holds, has_begun: false }).await;
        let pruned = self.prune(wanted, Course { holds, has_begun: false }).await;
        match pruned {
            _ if !is_complete => Pass::Outdated,
            Pass::Done if !self.failures.is_empty() => Pass::Failed,
            pruned => pruned,
        }
    }

    /// Every Gateway once, beginning with the one at which the last pass was broken off: under a storm of changes
    /// each gets its turn. `false` if this pass was broken off, too.
    async fn apply_wanted(&mut self, wanted: &Wanted, mut course: Course<'_>) -> bool {
        let first = self.resume_at.take();
        let is_late = |gateway: &&GatewayName| first.as_ref().is_some_and(|first| *gateway < first);
        let (late, early): (Vec<_>, Vec<_>) = wanted.gateways.keys().partition(is_late);
        for gateway in early.into_iter().chain(late) {
            let Some(proxy) = wanted.gateways.get(gateway) else { continue };
            match self.apply_all(gateway, proxy, &mut course).await {
                Ok(()) => drop(self.failures.remove(gateway)),
                Err(Stop::Failed(failure)) => {
                    tracing::warn!(%gateway, "{failure}");
                    self.failures.insert(gateway.clone(), failure);
                }
                Err(Stop::Outdated) => {
                    self.resume_at = Some(gateway.clone());
                    return false;
                }
            }
        }
        true
    }

    async fn apply_all(
        &mut self,
        gateway: &GatewayName,
        proxy: &WantedProxy,
        course: &mut Course<'_>,
    ) -> Result<(), Stop> {
        if proxy.is_being_deleted {
            return Ok(());
        }
        for manifest in &proxy.manifests {
            if self.applied.get(&manifest.key) == Some(&manifest.object) {
                continue;
            }
            course.next_step()?;
            let Some(answer) = self.apply(gateway, proxy.uid.as_deref(), manifest).await? else {
                tracing::debug!(%gateway, object = %manifest.key, "not made: the Gateway is gone");
                return Ok(());
            };
            // When the watch shows the same, it is our own doing, and no reason to apply it once more.
            self.observed.insert(manifest.key.clone(), Observed::new(&answer));
            self.applied.insert(manifest.key.clone(), manifest.object.clone());
        }
        Ok(())
    }

    /// Applies one object, and gives it as it is then; `None` if it would have to be made for a Gateway that is
    /// gone.
    async fn apply(
        &self,
        gateway: &GatewayName,
        uid: Option<&str>,
        manifest: &Manifest,
    ) -> Result<Option<DynamicObject>, Stop> {
        let key = &manifest.key;
        let failed = |error: Error| Stop::Failed(format!("{key}: {}", explain(&error)));
        let is_of_gateway =
            |seen: &&Observed| seen.owner.as_ref().is_some_and(|owner| owner.gateway == *gateway);
        if let Some(seen) = self.observed.get(key).filter(is_of_gateway) {
            let updated = self.update(gateway, manifest, &seen.uid).await.map_err(failed)?;
            if updated.is_some() {
                return Ok(updated);
            }
        }
        let existing = self.api(key).get_opt(&key.name).await.map_err(failed)?;
        if let Some(existing) = existing {
            // Somebody's own object of this name must not become ours.
            if !belongs_to(&existing, gateway, uid) {
                return Err(Stop::Failed(format!(
                    "{key}: exists and does not belong to this Gateway; rename or delete one of them"
                )));
            }
            let uid = existing.metadata.uid.unwrap_or_default();
            let updated = self.update(gateway, manifest, &uid).await.map_err(failed)?;
            let changing = || Stop::Failed(format!("{key}: is deleted or replaced while it is applied"));
            return updated.map(Some).ok_or_else(changing);
        }
        // The garbage collector may have removed it, before we hear that the Gateway is gone.
        if !owner_check::stands(&self.client, gateway, uid).await.map_err(failed)? {
            return Ok(None);
        }
        self.patch(gateway, key, &manifest.object).await.map(Some).map_err(failed)
    }

    /// Applies to the very object of this uid; `None` if it is not there any more. Without the uid, the API server
    /// would make what was deleted meanwhile.
    async fn update(
        &self,
        gateway: &GatewayName,
        manifest: &Manifest,
        uid: &str,
    ) -> Result<Option<DynamicObject>, Error> {
        let mut object = manifest.object.clone();
        object["metadata"]["uid"] = uid.into();
        match self.patch(gateway, &manifest.key, &object).await {
            Ok(answer) => Ok(Some(answer)),
            // Forced, an apply conflicts with nobody's fields.
            Err(Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn patch(
        &self,
        gateway: &GatewayName,
        key: &ObjectKey,
        object: &Value,
    ) -> Result<DynamicObject, Error> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = self.api(key).patch(&key.name, &params, &Patch::Apply(object)).await?;
        tracing::info!(object = %key, %gateway, "applied");
        Ok(answer)
    }

    /// Deletes what nobody wants any more and nobody else removes. At least one Gateway's objects are looked at in
    /// each pass.
    async fn prune(&mut self, wanted: &Wanted, mut course: Course<'_>) -> Pass {
        let keys = wanted.gateways.values().flat_map(|proxy| &proxy.manifests).map(|manifest| &manifest.key);
        let unwanted = unwanted(&self.observed, &keys.collect(), &wanted.unserved);
        self.left_to_collector.retain(|owner| unwanted.contains_key(owner));
        let mut pass = Pass::Done;
        for (owner, objects) in unwanted {
            if self.left_to_collector.contains(&owner) {
                continue;
            }
            if course.next_step().is_err() {
                return Pass::Outdated;
            }
            let fate = match wanted.gateways.get(&owner.gateway) {
                // It stays, and needs other objects now; nobody but us removes these.
                Some(proxy) if proxy.uid.as_ref() == Some(&owner.uid) => Ok(Fate::Foreign),
                _ => owner_check::fate(&self.client, &owner, &self.controller).await,
            };
            match fate {
                Ok(Fate::Foreign) => {
                    if !self.delete_all(objects).await {
                        pass = Pass::Failed;
                    }
                }
                // Not asked about again while objects of it are seen.
                Ok(Fate::Gone) => drop(self.left_to_collector.insert(owner)),
                // The translation is behind: what serves stays.
                Ok(Fate::Ours) => tracing::debug!(gateway = %owner.gateway, "kept: the Gateway is there"),
                Err(error) => {
                    tracing::warn!(gateway = %owner.gateway, %error, "cannot ask whether the Gateway is gone");
                    pass = Pass::Failed;
                }
            }
        }
        pass
    }

    /// `false` if not all could be deleted.
    async fn delete_all(&mut self, objects: Vec<(ObjectKey, String)>) -> bool {
        let mut is_done = true;
        for (key, uid) in objects {
            match self.delete(&key, uid).await {
                Ok(()) => self.forget(&key),
                Err(error) => {
                    tracing::warn!(object = %key, %error, "cannot delete");
                    is_done = false;
                }
            }
        }
        is_done
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
    owner(object).is_some_and(|owner| owner.gateway == *gateway && uid.is_none_or(|uid| uid == owner.uid))
}

fn explain(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}
