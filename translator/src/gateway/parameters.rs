//! GatewayParameters: which ones a Gateway has, and whether they can be used.
//!
//! A Gateway's own (by `infrastructure.parametersRef`, or by Gloo's annotation) are laid over those of
//! its class.

use std::collections::BTreeMap;
use std::sync::Arc;

use ai_config::MetricLabel;
use crds::gateway_api::{self, Gateway, GatewayClass};
use crds::gateway_parameters::{
    GLOO_GROUP, GROUP, GatewayParameters, GlooGatewayParameters, KubeParameters, MetadataNamespace,
    ParametersRef, Tracing,
};
use crds::{Kind, NamespacedName, ObjectKey, ObjectRef};

use super::collector;
use crate::gateway::facts::{ClassFace, Parameters};
use crate::gateway::reserved_metadata;
use crate::gateway::view::View;
use crate::status::{Condition, ConditionType, Facts, Reason, Rejection, Report};

/// The annotation by which a Gateway names Gloo's GatewayParameters in its namespace.
const GLOO_ANNOTATION: &str = "gateway.gloo.solo.io/gateway-parameters-name";

const KIND: &str = "GatewayParameters";

/// Where a class names its parameters.
const CLASS_FIELD: &str = "spec.parametersRef";

/// Where the metadata of tokens have what a token says, in the dialects of kgateway and Gloo.
const PAYLOAD_KEYS: [&str; 2] = ["payload", "principal"];

/// Where parameters say where traces go.
const TRACING_FIELD: &str = "kube.aiExtension.tracing";

/// Where parameters say which labels metrics have.
const STATS_FIELD: &str = "kube.aiExtension.stats";

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
    view: &impl View,
    key: &NamespacedName,
    gateway: &Gateway,
    class: &ClassFace,
) -> Result<Parameters, Rejection> {
    let own = gateway_reference(key, gateway);
    if !view.settings().addressing.is_own_network() {
        return Ok(of_local_proxy(view, gateway, class, own));
    }
    let of_class = class.parameters.clone().map_err(|error| {
        let class = ObjectRef::cluster(gateway_api::GROUP, "GatewayClass", &gateway.spec.gateway_class_name);
        let text = format!("{class}: {}", error.message());
        Rejection::unusable(error.reason, class, text).within("spec.gatewayClassName")
    })?;
    let own = own.map(|reference| resolve(view, &reference)).transpose()?;
    let mut found = of_class.into_iter().chain(own);
    let Some(first) = found.next() else { return Ok(Parameters::default()) };
    let merged = found.fold(first, |base, over| {
        let kube = match (base.kube, over.kube) {
            (Some(base), Some(over)) => Some(Arc::new(over.over(&base))),
            (base, over) => over.or(base),
        };
        Parameters { kube, notes: [base.notes, over.notes].concat(), ..Parameters::default() }
    });
    let Parameters { kube, mut notes, .. } = merged;
    let Extension { tracing, metric_labels, notes: faults } = extension(view, kube.as_deref());
    for fault in faults {
        // What each of the two says may be right, and both together not.
        if !notes.contains(&fault) {
            notes.push(fault);
        }
    }
    Ok(Parameters { kube, tracing, metric_labels, notes })
}

/// The parameters of a proxy that is a process of this machine: they have no effect, but for what Envoy itself carries out.
fn of_local_proxy(
    view: &impl View,
    gateway: &Gateway,
    class: &ClassFace,
    own: Option<Reference>,
) -> Parameters {
    let class = class.has_idle_parameters.then_some(CLASS_FIELD);
    let kube = own.as_ref().and_then(|reference| resolve(view, reference).ok()?.kube);
    let Extension { tracing, metric_labels, notes: faults } = extension(view, kube.as_deref());
    let idle = |field: &str, exception: &str| {
        format!("{field} has no effect{exception}: the proxy is a process of this machine")
    };
    let exceptions = [(TRACING_FIELD, tracing.is_some()), (STATS_FIELD, !metric_labels.is_empty())];
    let exceptions: Vec<_> =
        exceptions.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field).collect();
    let exception = match exceptions.is_empty() {
        true => String::new(),
        false => format!(" but for {}", exceptions.join(" and ")),
    };
    let own = own.map(|reference| idle(reference.field, &exception));
    let metadata = wanted_metadata(gateway).map(|field| idle(field, ""));
    let notes = class.map(|field| idle(field, "")).into_iter().chain(own).chain(metadata).chain(faults);
    Parameters { kube: None, tracing, metric_labels, notes: notes.collect() }
}

/// What `kube.aiExtension` comes to.
#[derive(Default)]
struct Extension {
    tracing: Option<Tracing>,
    metric_labels: Vec<MetricLabel>,
    /// What of it has no effect.
    notes: Vec<String>,
}

fn extension(view: &impl View, kube: Option<&KubeParameters>) -> Extension {
    let mut read = Extension::default();
    let Some(extension) = kube.and_then(|kube| kube.ai_extension.as_ref()) else { return read };
    match collector::tracing(extension, view.settings()) {
        Ok(tracing) => read.tracing = tracing,
        Err(error) => read.notes.push(format!("spec.{TRACING_FIELD} has no effect: {error}")),
    }
    let labels = extension.metric_labels().unwrap_or_else(|error| {
        read.notes.push(format!("spec.{STATS_FIELD} has no effect: {error}"));
        Vec::new()
    });
    for (index, label) in labels.into_iter().enumerate() {
        if label.namespace == MetadataNamespace::Transformation {
            read.notes.push(format!(
                "spec.{STATS_FIELD}.customLabels[{index}]: transformations are not supported yet, so that nothing writes {}: \
                 the label is <unknown>",
                label.namespace.as_str()
            ));
        }
        let crds::gateway_parameters::MetricLabel { name, namespace, path } = label;
        read.metric_labels.push(MetricLabel {
            name,
            namespace: namespace.as_str().to_owned(),
            paths: ways(namespace, path),
        });
    }
    read
}

/// The ways to the value of a label. The dialects keep what a token says under different names, and a Gateway may have policies
/// of both.
fn ways(namespace: MetadataNamespace, path: Vec<String>) -> Vec<Vec<String>> {
    let is_of_token =
        |name: &String| namespace == MetadataNamespace::Tokens && PAYLOAD_KEYS.contains(&name.as_str());
    let Some((_, rest)) = path.split_first().filter(|(first, _)| is_of_token(first)) else {
        return vec![path];
    };
    PAYLOAD_KEYS.iter().map(|key| [&[(*key).to_owned()], rest].concat()).collect()
}

/// Which metadata a Gateway wants on what is made for it.
fn wanted_metadata(gateway: &Gateway) -> impl Iterator<Item = &'static str> {
    let wanted = gateway.spec.infrastructure.as_ref().map(|infrastructure| {
        [
            ("spec.infrastructure.labels", infrastructure.labels.as_ref()),
            ("spec.infrastructure.annotations", infrastructure.annotations.as_ref()),
        ]
    });
    let present = |pairs: Option<&BTreeMap<String, String>>| pairs.is_some_and(|pairs| !pairs.is_empty());
    wanted.into_iter().flatten().filter(move |(_, pairs)| present(*pairs)).map(|(field, _)| field)
}

/// Whether the parameters of a class can be used; `Ok(None)` if it names none.
pub(crate) fn of_class(view: &impl View, class: &GatewayClass) -> Result<Option<Parameters>, Rejection> {
    class_reference(class).map(|reference| resolve(view, &reference)).transpose()
}

/// The parameters that a class names, if they can have an effect.
pub(crate) fn named_by_class(view: &impl View, class: &GatewayClass) -> Option<ObjectKey> {
    named(view, class_reference(class)?)
}

/// The parameters that a Gateway names, if they can have an effect.
pub(crate) fn named_by_gateway(
    view: &impl View,
    key: &NamespacedName,
    gateway: &Gateway,
) -> Option<ObjectKey> {
    named(view, gateway_reference(key, gateway)?)
}

fn named(view: &impl View, reference: Reference) -> Option<ObjectKey> {
    let Reference { group, kind, namespace, name, .. } = reference;
    let is_known = kind == KIND && [GROUP, GLOO_GROUP].contains(&group.as_str());
    let namespace = namespace.filter(|_| is_known && view.settings().addressing.is_own_network())?;
    Some(object_key(&group, NamespacedName::new(namespace, name)))
}

/// The status of parameters that a class or Gateway of ours names; `None` if none does.
pub(crate) fn report(view: &impl View, key: &ObjectKey) -> Option<Report> {
    if !view.are_parameters_named(key) {
        return None;
    }
    let (found, generation) = lookup(view, key)?;
    let condition = match usable(view, found) {
        Ok(Parameters { kube, notes, .. }) => {
            let reserved = kube.map(|kube| reserved_metadata::of_parameters(&kube)).unwrap_or_default();
            let message = match notes.is_empty() {
                true => "used by a Gateway of Chancery".to_owned(),
                false => notes.join("; "),
            };
            Condition::good(ConditionType::Accepted, Reason::Accepted, message).with_notes(&reserved)
        }
        Err(message) => Condition::bad(ConditionType::Accepted, Reason::UnsupportedValue, message),
    };
    Some(Report { object: key.to_ref(), generation, facts: Facts::Conditions(vec![condition]) })
}

fn gateway_reference(key: &NamespacedName, gateway: &Gateway) -> Option<Reference> {
    let namespace = Some(key.namespace.to_string());
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
        field: CLASS_FIELD,
        group: reference.group.clone(),
        kind: reference.kind.clone(),
        namespace: reference.namespace.clone(),
        name: reference.name.clone(),
    })
}

fn resolve(view: &impl View, reference: &Reference) -> Result<Parameters, Rejection> {
    let Reference { field, group, kind, namespace, name } = reference;
    let invalid = |text: String| Rejection::at(Reason::InvalidParameters, *field, text);
    if kind != KIND || !([GROUP, GLOO_GROUP].contains(&group.as_str())) {
        return Err(invalid(format!("{kind}.{group} is not a kind of parameters; {KIND}.{GROUP} is")));
    }
    let namespace = namespace.as_ref().ok_or_else(|| invalid("namespace is required".to_owned()))?;
    let key = NamespacedName::new(namespace, name);
    let found = lookup(view, &object_key(group, key.clone()));
    let (found, _) = found.ok_or_else(|| {
        Rejection::missing(Reason::InvalidParameters, object_key(group, key.clone()).to_ref()).within(field)
    })?;
    usable(view, found).map_err(|message| invalid(format!("{KIND} {key}: {message}")))
}

fn object_key(group: &str, name: NamespacedName) -> ObjectKey {
    let is_gloo = group == GLOO_GROUP;
    ObjectKey { kind: if is_gloo { Kind::GlooGatewayParameters } else { Kind::GatewayParameters }, name }
}

fn lookup<'a>(view: &'a impl View, key: &ObjectKey) -> Option<(ParametersRef<'a>, i64)> {
    if key.kind == Kind::GlooGatewayParameters {
        let found = view.object::<GlooGatewayParameters>(&key.name)?;
        Some((found.parameters(), found.metadata.generation.unwrap_or_default()))
    } else {
        let found = view.object::<GatewayParameters>(&key.name)?;
        Some((found.parameters(), found.metadata.generation.unwrap_or_default()))
    }
}

/// The parameters, or what is not supported yet. To leave such a field aside would run proxies otherwise
/// than their owner believes.
fn usable(view: &impl View, parameters: ParametersRef<'_>) -> Result<Parameters, String> {
    let unsupported = parameters.unsupported();
    if !unsupported.is_empty() {
        return Err(format!("{}: not supported yet", unsupported.join(", ")));
    }
    let notes = parameters.without_effect().into_iter().map(str::to_owned);
    let notes = notes.chain(extension(view, parameters.kube).notes).collect();
    Ok(Parameters { kube: parameters.kube.cloned().map(Arc::new), notes, ..Parameters::default() })
}
