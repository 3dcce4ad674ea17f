//! GatewayParameters: which ones a Gateway has, and whether they can be used.
//!
//! A Gateway's own (by `infrastructure.parametersRef`, or by Gloo's annotation) are laid over those of
//! its class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_api::{Gateway, GatewayClass};
use crds::gateway_parameters::{GLOO_GROUP, GROUP, KubeParameters, ParametersRef};
use crds::{NamespacedName, ObjectRef};

use super::context::Context;
use super::listener::Rejection;
use crate::status::{Condition, ConditionType, Facts, Reason, Report};

/// The annotation by which a Gateway names Gloo's GatewayParameters in its namespace.
const GLOO_ANNOTATION: &str = "gateway.gloo.solo.io/gateway-parameters-name";

const KIND: &str = "GatewayParameters";

/// What a Gateway's parameters come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// `None` if there are none, or if they have no effect here.
    pub kube: Option<Arc<KubeParameters>>,
    /// What has no effect, for the status.
    pub notes: Vec<String>,
}

/// A reference to parameters, with the field that holds it.
struct Reference {
    field: &'static str,
    group: String,
    kind: String,
    /// `None` where the reference should have one.
    namespace: Option<String>,
    name: String,
}

/// The parameters of a Gateway, its class's included.
pub(crate) fn of_gateway(
    context: &Context<'_>,
    key: &NamespacedName,
    gateway: &Gateway,
) -> Result<Parameters, Rejection> {
    let class_name = &gateway.spec.gateway_class_name;
    let class = context.resources.gateway_classes.get(class_name).and_then(|class| class_reference(class));
    let own = gateway_reference(key, gateway);
    if !context.settings.addressing.is_own_network() {
        let fields = class.iter().chain(&own).map(|reference| {
            format!("{} has no effect: the proxy is a process of this machine", reference.field)
        });
        return Ok(Parameters { kube: None, notes: fields.collect() });
    }
    let of_class = class.map(|reference| resolve(context, &reference)).transpose();
    let of_class = of_class.map_err(|error| Rejection {
        message: format!("GatewayClass {class_name}: {}", error.message),
        ..error
    })?;
    let own = own.map(|reference| resolve(context, &reference)).transpose()?;
    let mut found = of_class.into_iter().chain(own);
    let Some(first) = found.next() else { return Ok(Parameters::default()) };
    let merged = found.fold(first, |base, over| {
        let kube = match (base.kube, over.kube) {
            (Some(base), Some(over)) => Some(Arc::new(over.over(&base))),
            (base, over) => over.or(base),
        };
        Parameters { kube, notes: [base.notes, over.notes].concat() }
    });
    Ok(merged)
}

/// Whether the parameters of a class can be used; `Ok(None)` if it names none.
pub(crate) fn of_class(context: &Context<'_>, class: &GatewayClass) -> Result<Option<Parameters>, Rejection> {
    class_reference(class).map(|reference| resolve(context, &reference)).transpose()
}

/// The status of all parameters that a class or Gateway of ours names.
pub(crate) fn report_parameters(context: &Context<'_>, classes: &BTreeSet<String>) -> Vec<Report> {
    if !context.settings.addressing.is_own_network() {
        return Vec::new();
    }
    let resources = context.resources;
    let of_classes = classes.iter().filter_map(|name| class_reference(resources.gateway_classes.get(name)?));
    let ours =
        resources.gateways.iter().filter(|(_, gateway)| classes.contains(&gateway.spec.gateway_class_name));
    let of_gateways = ours.filter_map(|(key, gateway)| gateway_reference(key, gateway));
    let named: BTreeMap<_, _> = of_classes
        .chain(of_gateways)
        .filter_map(|reference| {
            let namespace = reference.namespace?;
            Some(((reference.group, NamespacedName::new(namespace, reference.name)), ()))
        })
        .collect();
    named.into_keys().filter_map(|(group, key)| report(context, &group, &key)).collect()
}

fn report(context: &Context<'_>, group: &str, key: &NamespacedName) -> Option<Report> {
    let (found, generation) = lookup(context, group, key)?;
    let condition = match usable(found) {
        Ok(parameters) if parameters.notes.is_empty() => {
            Condition::good(ConditionType::Accepted, Reason::Accepted, "used by a Gateway of Chancery")
        }
        Ok(parameters) => {
            Condition::good(ConditionType::Accepted, Reason::Accepted, parameters.notes.join("; "))
        }
        Err(message) => Condition::bad(ConditionType::Accepted, Reason::UnsupportedValue, message),
    };
    Some(Report {
        object: ObjectRef::namespaced(group, KIND, &key.namespace, &key.name),
        generation,
        facts: Facts::Conditions(vec![condition]),
    })
}

fn gateway_reference(key: &NamespacedName, gateway: &Gateway) -> Option<Reference> {
    let namespace = Some(key.namespace.clone());
    let infrastructure = gateway.spec.infrastructure.as_ref();
    if let Some(reference) = infrastructure.and_then(|infrastructure| infrastructure.parameters_ref.as_ref())
    {
        return Some(Reference {
            field: "spec.infrastructure.parametersRef",
            group: reference.group.clone(),
            kind: reference.kind.clone(),
            namespace,
            name: reference.name.clone(),
        });
    }
    let name = gateway.metadata.annotations.as_ref()?.get(GLOO_ANNOTATION)?.clone();
    let field = "metadata.annotations[gateway.gloo.solo.io/gateway-parameters-name]";
    Some(Reference { field, group: GLOO_GROUP.to_owned(), kind: KIND.to_owned(), namespace, name })
}

fn class_reference(class: &GatewayClass) -> Option<Reference> {
    let reference = class.spec.parameters_ref.as_ref()?;
    Some(Reference {
        field: "spec.parametersRef",
        group: reference.group.clone(),
        kind: reference.kind.clone(),
        namespace: reference.namespace.clone(),
        name: reference.name.clone(),
    })
}

fn resolve(context: &Context<'_>, reference: &Reference) -> Result<Parameters, Rejection> {
    let Reference { field, group, kind, namespace, name } = reference;
    let invalid = |message: String| Rejection::new(Reason::InvalidParameters, format!("{field}: {message}"));
    if kind != KIND || !([GROUP, GLOO_GROUP].contains(&group.as_str())) {
        return Err(invalid(format!("{kind}.{group} is not a kind of parameters; {KIND}.{GROUP} is")));
    }
    let namespace = namespace.as_ref().ok_or_else(|| invalid("namespace is required".to_owned()))?;
    let key = NamespacedName::new(namespace, name);
    let found = lookup(context, group, &key);
    let (found, _) = found.ok_or_else(|| invalid(format!("{KIND} {key} does not exist")))?;
    usable(found).map_err(|message| invalid(format!("{KIND} {key}: {message}")))
}

fn lookup<'a>(context: &Context<'a>, group: &str, key: &NamespacedName) -> Option<(ParametersRef<'a>, i64)> {
    let resources = context.resources;
    if group == GLOO_GROUP {
        let found = resources.gloo_gateway_parameters.get(key)?;
        Some((found.parameters(), found.metadata.generation.unwrap_or_default()))
    } else {
        let found = resources.gateway_parameters.get(key)?;
        Some((found.parameters(), found.metadata.generation.unwrap_or_default()))
    }
}

/// The parameters, or what is not supported yet. To leave such a field aside would run proxies otherwise
/// than their owner believes.
fn usable(parameters: ParametersRef<'_>) -> Result<Parameters, String> {
    let unsupported = parameters.unsupported();
    if !unsupported.is_empty() {
        return Err(format!("{}: not supported yet", unsupported.join(", ")));
    }
    let notes = parameters.without_effect().into_iter().map(str::to_owned).collect();
    Ok(Parameters { kube: parameters.kube.cloned().map(Arc::new), notes })
}
