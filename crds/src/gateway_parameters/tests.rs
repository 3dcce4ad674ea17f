use serde_json::json;

use super::*;

fn kube(value: serde_json::Value) -> KubeParameters {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_gateways_parameters_are_laid_over_its_classs() {
    let class = kube(json!({
        "deployment": {"replicas": 2},
        "service": {"type": "ClusterIP", "extraLabels": {"a": "1", "b": "1"}},
        "envoyContainer": {"env": [{"name": "A", "value": "1"}]},
    }));
    let gateway = kube(json!({
        "service": {"extraLabels": {"b": "2"}},
        "envoyContainer": {"env": [{"name": "B", "value": "2"}]},
    }));
    let expected = kube(json!({
        "deployment": {"replicas": 2},
        "service": {"type": "ClusterIP", "extraLabels": {"a": "1", "b": "2"}},
        "envoyContainer": {"env": [{"name": "B", "value": "2"}]},
    }));
    assert_eq!(gateway.over(&class), expected);
    assert_eq!(class.over(&KubeParameters::default()), class);
    assert_eq!(KubeParameters::default().over(&class), class);
}

#[test]
fn what_cannot_be_done_is_named_and_what_needs_nothing_is_too() {
    let spec = |value| serde_json::from_value::<GatewayParametersSpec>(value).unwrap();
    let of = |spec: GatewayParametersSpec| {
        let parameters = GatewayParameters::new("a", spec);
        let parameters = parameters.parameters();
        (parameters.unsupported(), parameters.without_effect().len())
    };
    let rows = [
        (json!({}), vec![], 0),
        (json!({"selfManaged": {}}), vec!["spec.selfManaged"], 0),
        (json!({"kube": {"istio": {}}}), vec!["spec.kube.istio"], 0),
        (json!({"kube": {"agentgateway": {"enabled": false}}}), vec![], 0),
        (json!({"kube": {"agentgateway": {"enabled": true}}}), vec!["spec.kube.agentgateway"], 0),
        (json!({"kube": {"sdsContainer": {}, "aiExtension": {"enabled": true}}}), vec![], 2),
        (json!({"kube": {"aiExtension": {"enabled": false, "ports": [{"containerPort": 9092}]}}}), vec![], 0),
        (json!({"kube": {"aiExtension": {"ports": [{"containerPort": 9092}], "image": {}}}}), vec![], 2),
        (json!({"kube": {"aiExtension": {"stats": {}, "tracing": {}}}}), vec![], 0),
        (json!({"kube": {"service": {"type": "NodePort", "loadBalancerClass": "a"}}}), vec![], 1),
        (
            json!({"kube": {"service": {"loadBalancerClass": "a", "externalTrafficPolicy": "Local"}}}),
            vec![],
            0,
        ),
        (
            json!({"kube": {"service": {
                "type": "ClusterIP",
                "externalTrafficPolicy": "Local",
                "ports": [{"port": 80, "nodePort": 30080}],
            }}}),
            vec![],
            2,
        ),
        (json!({"kube": {"stats": {"routePrefixRewrite": "/stats/recentlookups"}}}), vec![], 1),
        (json!({"kube": {"stats": {"routePrefixRewrite": "/stats/prometheus?usedonly"}}}), vec![], 0),
    ];
    for (value, unsupported, notes) in rows {
        assert_eq!(of(spec(value.clone())), (unsupported, notes), "{value}");
    }
}
