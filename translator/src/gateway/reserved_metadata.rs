//! Labels and annotations that users want on what is made for a Gateway, and that the deployer or Kubernetes sets
//! itself. They have no effect, which is told: a user may have a selector that waits for them.

use std::collections::BTreeMap;

use crds::gateway_api::Gateway;
use crds::gateway_parameters::KubeParameters;
use ir::{is_reserved_annotation, is_reserved_label};

use crate::status::Detail;

type Pairs = Option<BTreeMap<String, String>>;

/// Those of a Gateway's `infrastructure`.
pub(crate) fn of_gateway(gateway: &Gateway) -> Vec<Detail> {
    let Some(infrastructure) = &gateway.spec.infrastructure else { return Vec::new() };
    let (labels, annotations) = (&infrastructure.labels, &infrastructure.annotations);
    told("spec.infrastructure", ["labels", "annotations"], labels, annotations)
}

/// Those of parameters, each with its field from `spec` on.
pub(crate) fn of_parameters(parameters: &KubeParameters) -> Vec<Detail> {
    let KubeParameters { pod_template, service, service_account, .. } = parameters;
    let parts = [
        pod_template.as_ref().map(|pod| ("podTemplate", &pod.extra_labels, &pod.extra_annotations)),
        service.as_ref().map(|service| ("service", &service.extra_labels, &service.extra_annotations)),
        service_account
            .as_ref()
            .map(|account| ("serviceAccount", &account.extra_labels, &account.extra_annotations)),
    ];
    let of_part = |(part, labels, annotations)| {
        told(&format!("spec.kube.{part}"), ["extraLabels", "extraAnnotations"], labels, annotations)
    };
    parts.into_iter().flatten().flat_map(of_part).collect()
}

fn told(
    parent: &str,
    [labels, annotations]: [&str; 2],
    of_labels: &Pairs,
    of_annotations: &Pairs,
) -> Vec<Detail> {
    let detail = |field: &str, what: &str, key: &str| {
        Detail::at(
            format!("{parent}.{field}[{key}]"),
            format!("has no effect, since Chancery or Kubernetes sets this {what} itself: use another key"),
        )
    };
    let reserved_labels = of_labels.iter().flat_map(BTreeMap::keys).filter(|key| is_reserved_label(key));
    let reserved_annotations =
        of_annotations.iter().flat_map(BTreeMap::keys).filter(|key| is_reserved_annotation(key));
    let labels = reserved_labels.map(|key| detail(labels, "label", key));
    labels.chain(reserved_annotations.map(|key| detail(annotations, "annotation", key))).collect()
}

#[cfg(test)]
mod tests {
    use ir::{CONFIG_HASH_ANNOTATION, RESERVED_LABELS};
    use serde_json::{Value, json};

    use super::*;

    const NEIGHBOURS: [&str; 6] = [
        "team",
        "app.kubernetes.io/version",
        "app.kubernetes.io/part-of",
        "gateway.networking.k8s.io/gateway-class-name",
        "deployment.kubernetes.io",
        "chancery.dev/team",
    ];
    const RESERVED_ANNOTATIONS: [&str; 2] = [CONFIG_HASH_ANNOTATION, "deployment.kubernetes.io/revision"];

    /// Every reserved key, what is nearly one, and whether it is reserved among labels and among annotations.
    fn rows() -> Vec<(String, bool, bool)> {
        let reserved = RESERVED_LABELS.into_iter().chain(RESERVED_ANNOTATIONS).chain(NEIGHBOURS);
        let near = reserved.flat_map(|key| {
            let other_case = key.to_uppercase();
            [key.to_owned(), format!("{key}x"), format!("x{key}"), other_case]
        });
        let judged = near.map(|key| {
            let of_annotations =
                key == CONFIG_HASH_ANNOTATION || key.starts_with("deployment.kubernetes.io/");
            let of_labels = RESERVED_LABELS.contains(&key.as_str());
            (key, of_labels, of_annotations)
        });
        judged.collect()
    }

    fn fields(told: &[Detail]) -> Vec<&str> {
        told.iter().map(|detail| detail.field.as_str()).collect()
    }

    #[test]
    fn each_reserved_key_of_a_gateway_is_told_with_its_field_and_no_other() {
        for (key, of_labels, of_annotations) in rows() {
            let pairs = json!({ key.as_str(): "x", "plain": "y" });
            let gateway = |field: &str| -> Gateway {
                serde_json::from_value(json!({
                    "metadata": {"name": "g"},
                    "spec": {"gatewayClassName": "c", "listeners": [], "infrastructure": {field: pairs}},
                }))
                .unwrap()
            };
            for (field, is_reserved) in [("labels", of_labels), ("annotations", of_annotations)] {
                let expected = is_reserved.then(|| format!("spec.infrastructure.{field}[{key}]"));
                let expected: Vec<&str> = expected.as_deref().into_iter().collect();
                assert_eq!(fields(&of_gateway(&gateway(field))), expected);
            }
        }
    }

    #[test]
    fn each_reserved_key_of_parameters_is_told_with_its_field_and_no_other() {
        for (key, of_labels, of_annotations) in rows() {
            for part in ["podTemplate", "service", "serviceAccount"] {
                for (field, is_reserved) in [("extraLabels", of_labels), ("extraAnnotations", of_annotations)]
                {
                    let value: Value = json!({ part: { field: { key.as_str(): "x", "plain": "y" } } });
                    let told = of_parameters(&serde_json::from_value(value).unwrap());
                    let expected = is_reserved.then(|| format!("spec.kube.{part}.{field}[{key}]"));
                    let expected: Vec<&str> = expected.as_deref().into_iter().collect();
                    assert_eq!(fields(&told), expected);
                }
            }
        }
    }
}
