//! Asks the API server itself what became of a Gateway, before something is done that only a Gateway as it is
//! now can justify: the translation may be behind, and the garbage collector faster.

use crds::gateway_api;
use ir::GatewayName;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Error};

use super::object::Owner;

/// What became of a Gateway that owns objects and that nobody wants proxies for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is gone or going: the garbage collector removes what it owned.
    Gone,
    /// Its class is not ours, so that nobody but us removes what we made.
    Foreign,
    /// It is there and ours; whoever does not want it has not heard of it.
    Ours,
}

/// Whether a Gateway is there, with this identity, and not being deleted. Never from a cache.
pub(super) async fn stands(client: &Client, gateway: &GatewayName, uid: Option<&str>) -> Result<bool, Error> {
    Ok(find(client, gateway, uid).await?.is_some())
}

/// What became of the owner of an object, for the control plane `controller`. Never from a cache.
pub(super) async fn fate(client: &Client, owner: &Owner, controller: &str) -> Result<Fate, Error> {
    let Some(gateway) = find(client, &owner.gateway, Some(&owner.uid)).await? else { return Ok(Fate::Gone) };
    let class = gateway.data.pointer("/spec/gatewayClassName").and_then(|class| class.as_str());
    let classes: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("GatewayClass", "gatewayclasses"));
    let class = classes.get_opt(class.unwrap_or_default()).await?;
    let name = class.as_ref().and_then(|class| class.data.pointer("/spec/controllerName"));
    let is_ours = name.and_then(|name| name.as_str()) == Some(controller);
    Ok(if is_ours { Fate::Ours } else { Fate::Foreign })
}

async fn find(
    client: &Client,
    gateway: &GatewayName,
    uid: Option<&str>,
) -> Result<Option<DynamicObject>, Error> {
    let resource = resource("Gateway", "gateways");
    let gateways: Api<DynamicObject> = Api::namespaced_with(client.clone(), &gateway.namespace, &resource);
    let found = gateways.get_opt(&gateway.name).await?;
    Ok(found.filter(|found| {
        let metadata = &found.metadata;
        metadata.deletion_timestamp.is_none() && uid.is_none_or(|uid| metadata.uid.as_deref() == Some(uid))
    }))
}

/// In the version that owner references name.
fn resource(kind: &str, plural: &str) -> ApiResource {
    let (group, version) = (gateway_api::GROUP, "v1");
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
