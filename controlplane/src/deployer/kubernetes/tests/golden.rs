//! Manifests as they are applied, and what holds for all of them.
//!
//! `UPDATE_GOLDEN=1` rewrites the files.

use std::collections::BTreeMap;
use std::path::Path;

use crds::gateway_parameters::KubeParameters;
use ir::{
    CONFIG_HASH_ANNOTATION, GatewayName, InfraPort, IpFamilies, PortProtocol, ProxyInfra, RESERVED_LABELS,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{DEFAULT_IMAGE, DeploySettings, Manifest, ManifestKind, render_manifests};
use crate::controller_name::ControllerName;

const CA: &str = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";

fn settings() -> DeploySettings {
    DeploySettings {
        controller: ControllerName::default(),
        xds_host: "chancery.chancery-system.svc".to_owned(),
        xds_port: 18000,
        token_audience: "chancery.dev/xds".to_owned(),
        image: DEFAULT_IMAGE.to_owned(),
        families: IpFamilies::V4,
    }
}

fn infra(ports: &[u16]) -> ProxyInfra {
    let port =
        |&port: &u16| InfraPort { port, protocol: PortProtocol::Tcp, listener: format!("http-{port}") };
    ProxyInfra {
        gateway: GatewayName { namespace: "default".to_owned(), name: "web".to_owned() },
        name: "web".to_owned(),
        uid: Some("c0ffee".to_owned()),
        is_being_deleted: false,
        addresses: Vec::new(),
        wanted_address: None,
        ports: ports.iter().map(port).collect(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn parameters(value: Value) -> KubeParameters {
    serde_json::from_value(value).unwrap()
}

/// Every field that has an effect.
fn full_parameters() -> KubeParameters {
    parameters(json!({
        "deployment": {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}},
        "envoyContainer": {
            "bootstrap": {"logLevel": "warn", "componentLogLevels": {"upstream": "error"}},
            "image": {"registry": "registry.test/mirror", "repository": "envoy", "tag": "v1", "pullPolicy": "Always"},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "resources": {"limits": {"memory": "1Gi"}},
            "env": [{"name": "A", "value": "b"}],
            "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        },
        "podTemplate": {
            "extraLabels": {"pod": "label"},
            "extraAnnotations": {"pod": "annotation"},
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
            "imagePullSecrets": [{"name": "pull"}],
            "nodeSelector": {"disk": "ssd"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            ]}}},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "gracefulShutdown": {"enabled": true, "sleepTimeSeconds": 12},
            "terminationGracePeriodSeconds": 120,
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 19003}, "periodSeconds": 10},
            "livenessProbe": {"tcpSocket": {"port": 19003}},
            "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "high",
            "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        },
        "service": {
            "type": "NodePort",
            "clusterIP": "10.96.0.7",
            "extraLabels": {"service": "label"},
            "extraAnnotations": {"service": "annotation"},
            "ports": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}],
            "externalTrafficPolicy": "Local",
            "ipFamilyPolicy": "PreferDualStack",
        },
        "serviceAccount": {"extraLabels": {"account": "label"}, "extraAnnotations": {"account": "annotation"}},
        "stats": {"enableStatsRoute": true, "routePrefixRewrite": "/quitquitquit"},
    }))
}

fn long_infra() -> ProxyInfra {
    let mut infra = infra(&[80]);
    infra.gateway.name = "a.very".repeat(20);
    infra.name = format!("{}-0123456789abcdef", "a".repeat(46));
    infra.ports[0].listener = "http.example.com".to_owned();
    infra
}

fn labelled_infra() -> ProxyInfra {
    let labels =
        map(&[("team", "a"), ("app.kubernetes.io/name", "thief"), ("app.kubernetes.io/managed-by", "x")]);
    ProxyInfra { labels, annotations: map(&[("example.com/note", "b")]), ..infra(&[80, 8080]) }
}

fn cases() -> Vec<(&'static str, Vec<Manifest>)> {
    let render = |infra: &ProxyInfra, parameters: Option<&KubeParameters>| {
        render_manifests(infra, parameters, &settings(), CA)
    };
    vec![
        ("default", render(&infra(&[80]), None)),
        ("full-parameters", render(&infra(&[80, 8080]), Some(&full_parameters()))),
        ("long-names", render(&long_infra(), None)),
        ("infrastructure", render(&labelled_infra(), None)),
        (
            "wanted-address",
            render(&ProxyInfra { wanted_address: "192.0.2.1".parse().ok(), ..infra(&[80]) }, None),
        ),
    ]
}

fn of(manifests: &[Manifest], kind: ManifestKind) -> &Value {
    &manifests.iter().find(|manifest| manifest.key.kind == kind).unwrap().object
}

#[test]
fn manifests_are_as_their_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/deployer/kubernetes/tests/golden");
    for (name, manifests) in cases() {
        let documents = manifests.iter().map(|manifest| {
            let mut object = manifest.object.clone();
            if name != "default" && manifest.key.kind == ManifestKind::ConfigMap {
                // Shown once; what differs is in the hash.
                object["data"] = Value::Null;
            }
            serde_saphyr::to_string(&object).unwrap()
        });
        let text = documents.collect::<Vec<_>>().join("---\n");
        let file = folder.join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(golden == text, "{name}.yaml is other than what is rendered; UPDATE_GOLDEN=1 rewrites it");
    }
}

#[test]
fn every_field_is_one_that_kubernetes_has() {
    fn round_trip<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(object.clone()).unwrap()).unwrap()
    }
    for (name, manifests) in cases() {
        for Manifest { key, object } in manifests {
            let read = match key.kind {
                ManifestKind::ServiceAccount => round_trip::<ServiceAccount>(&object),
                ManifestKind::ConfigMap => round_trip::<ConfigMap>(&object),
                ManifestKind::Service => round_trip::<Service>(&object),
                ManifestKind::PodDisruptionBudget => round_trip::<PodDisruptionBudget>(&object),
                ManifestKind::Deployment => round_trip::<Deployment>(&object),
            };
            assert_eq!(read, object, "{name} {key}");
        }
    }
}

#[test]
fn the_bootstrap_is_one_of_the_pinned_envoy() {
    for (name, manifests) in cases() {
        let data = &of(&manifests, ManifestKind::ConfigMap)["data"];
        let file = |file: &str| serde_json::from_str::<Value>(data[file].as_str().unwrap()).unwrap();
        proto::from_json("envoy.config.bootstrap.v3.Bootstrap", &file("bootstrap.json")).expect(name);
        for secret in ["xds-trust.json", "xds-token.json"] {
            let mut secret = file(secret)["resources"][0].clone();
            secret.as_object_mut().unwrap().remove("@type");
            proto::from_json("envoy.extensions.transport_sockets.tls.v3.Secret", &secret).expect(name);
        }
        assert_eq!(data["ca.crt"], CA);
    }
}

#[test]
fn in_a_network_with_both_ip_families_everything_has_both() {
    let service = |families, policy: Value| {
        let settings = DeploySettings { families, ..settings() };
        let parameters = parameters(json!({"service": {"ipFamilyPolicy": policy}}));
        let manifests = render_manifests(&infra(&[80]), Some(&parameters), &settings, CA);
        of(&manifests, ManifestKind::Service)["spec"]["ipFamilyPolicy"].clone()
    };
    assert_eq!(service(IpFamilies::V4, Value::Null), Value::Null);
    assert_eq!(service(IpFamilies::V6, Value::Null), Value::Null);
    assert_eq!(service(IpFamilies::Both, Value::Null), "PreferDualStack");
    assert_eq!(service(IpFamilies::Both, json!("SingleStack")), "SingleStack");
    assert_eq!(service(IpFamilies::V4, json!("RequireDualStack")), "RequireDualStack");

    for (families, address, compat) in [
        (IpFamilies::V4, "0.0.0.0", Value::Null),
        (IpFamilies::V6, "::", json!(true)),
        (IpFamilies::Both, "::", json!(true)),
    ] {
        let manifests = render_manifests(&infra(&[80]), None, &DeploySettings { families, ..settings() }, CA);
        let bootstrap = &of(&manifests, ManifestKind::ConfigMap)["data"]["bootstrap.json"];
        let bootstrap: Value = serde_json::from_str(bootstrap.as_str().unwrap()).unwrap();
        let listeners = bootstrap["static_resources"]["listeners"].as_array().unwrap();
        let sockets = listeners.iter().map(|listener| &listener["address"]["socket_address"]);
        let sockets: Vec<_> = sockets.filter(|socket| socket.is_object()).collect();
        assert_eq!(sockets.len(), 2, "metrics and drain");
        for socket in sockets {
            assert_eq!((&socket["address"], &socket["ipv4_compat"]), (&json!(address), &compat));
        }
        proto::from_json("envoy.config.bootstrap.v3.Bootstrap", &bootstrap).expect(address);
    }
}

/// By this label the control planes of a cluster tell their proxies apart: each object has it, and each pod.
#[test]
fn what_a_control_plane_of_another_name_makes_says_so() {
    let settings = DeploySettings { controller: "example.com/team-a".parse().unwrap(), ..settings() };
    let label = "/metadata/labels/chancery.dev~1controller";
    let manifests = render_manifests(&infra(&[80]), None, &settings, CA);
    let pods = of(&manifests, ManifestKind::Deployment).pointer("/spec/template").unwrap();
    for object in manifests.iter().map(|manifest| &manifest.object).chain([pods]) {
        assert_eq!(object.pointer(label), Some(&json!("example.com_team-a")), "{object}");
    }
}

#[test]
fn pods_fit_the_restricted_pod_security_standard() {
    let manifests = render_manifests(&infra(&[80]), None, &settings(), CA);
    let pod = &of(&manifests, ManifestKind::Deployment)["spec"]["template"]["spec"];
    let (all, container) = (&pod["securityContext"], &pod["containers"][0]["securityContext"]);
    assert_eq!(
        (&all["runAsNonRoot"], &all["seccompProfile"]["type"]),
        (&json!(true), &json!("RuntimeDefault"))
    );
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    for volume in pod["volumes"].as_array().unwrap() {
        let kind = volume.as_object().unwrap().keys().find(|key| *key != "name").unwrap();
        assert!(["configMap", "projected", "emptyDir"].contains(&kind.as_str()), "{kind}");
    }
    let forbidden = ["hostNetwork", "hostPID", "hostIPC"];
    assert!(forbidden.iter().all(|field| pod.get(field).is_none()));
}

#[test]
fn a_new_port_or_authority_restarts_no_pod_and_a_new_bootstrap_does() {
    let deployment = |ports: &[u16], kube: Option<&KubeParameters>, ca: &str| {
        of(&render_manifests(&infra(ports), kube, &settings(), ca), ManifestKind::Deployment).clone()
    };
    let before = deployment(&[80], None, CA);
    assert_eq!(deployment(&[443, 8080], None, CA), before);
    assert_eq!(deployment(&[80], None, "another"), before);
    let service_only = parameters(json!({"service": {"type": "ClusterIP"}}));
    assert_eq!(deployment(&[80], Some(&service_only), CA), before);
    let no_metrics = parameters(json!({"stats": {"enabled": false}}));
    let hash = "/spec/template/metadata/annotations/chancery.dev~1config-hash";
    let after = deployment(&[80], Some(&no_metrics), CA);
    assert!(after.pointer(hash).is_some() && after.pointer(hash) != before.pointer(hash));
}

#[test]
fn the_number_of_pods_is_left_to_others_unless_it_is_given() {
    let replicas = |value: Value| {
        let manifests = render_manifests(&infra(&[80]), Some(&parameters(value)), &settings(), CA);
        of(&manifests, ManifestKind::Deployment)["spec"].get("replicas").cloned()
    };
    assert_eq!(replicas(json!({})), None);
    assert_eq!(replicas(json!({"deployment": {"replicas": 0}})), Some(json!(0)));
    assert_eq!(replicas(json!({"deployment": {"replicas": 2, "omitReplicas": true}})), None);
}

#[test]
fn an_image_is_named_by_the_parts_that_are_given() {
    let image = |value: Value| {
        let kube = parameters(json!({"envoyContainer": {"image": value}}));
        let manifests = render_manifests(&infra(&[80]), Some(&kube), &settings(), CA);
        let deployment = of(&manifests, ManifestKind::Deployment);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    let rows = [
        (json!({}), DEFAULT_IMAGE),
        (json!({"tag": "t"}), "envoyproxy/envoy:t"),
        (json!({"registry": "r.test:5000"}), "r.test:5000/envoyproxy/envoy:distroless-v1.40.0"),
        (json!({"registry": "r.test", "repository": "a/b", "digest": "sha256:0"}), "r.test/a/b@sha256:0"),
    ];
    for (value, expected) in rows {
        assert_eq!(image(value.clone()), expected, "{value}");
    }
}

#[test]
fn no_page_of_the_admin_interface_but_statistics_can_be_reached() {
    let bootstrap = |stats: Value| {
        let kube = parameters(json!({"stats": stats}));
        let manifests = render_manifests(&infra(&[80]), Some(&kube), &settings(), CA);
        of(&manifests, ManifestKind::ConfigMap)["data"]["bootstrap.json"].as_str().unwrap().to_owned()
    };
    for page in ["/quitquitquit", "/config_dump", "/stats/recentlookups/enable", "/stats/../quitquitquit"] {
        let text = bootstrap(json!({
            "routePrefixRewrite": page, "enableStatsRoute": true, "statsRoutePrefixRewrite": page,
        }));
        assert!(!text.contains(page), "{page}");
    }
    assert!(bootstrap(json!({"routePrefixRewrite": "/stats/prometheus"})).contains("\"/stats/prometheus\""));
    assert!(!bootstrap(json!({"enabled": false})).contains("chancery/metrics"));
}

#[test]
fn reserved_metadata_is_what_the_deployer_says_wherever_a_user_wants_another() {
    let thief = "thief";
    let wanted: BTreeMap<String, String> = RESERVED_LABELS
        .into_iter()
        .chain([CONFIG_HASH_ANNOTATION, "deployment.kubernetes.io/revision", "team"])
        .map(|key| (key.to_owned(), thief.to_owned()))
        .collect();
    let extra = json!({"extraLabels": wanted, "extraAnnotations": wanted});
    let by_parameters = parameters(json!({"podTemplate": extra, "service": extra, "serviceAccount": extra}));
    let by_gateway = ProxyInfra { labels: wanted.clone(), annotations: wanted.clone(), ..infra(&[80]) };
    for (infra, parameters) in [(by_gateway, None), (infra(&[80]), Some(&by_parameters))] {
        let mut carrying = 0;
        for Manifest { key, object } in render_manifests(&infra, parameters, &settings(), CA) {
            for metadata in ["/metadata", "/spec/template/metadata"] {
                let Some(metadata) = object.pointer(metadata) else { continue };
                for (field, is_reserved) in [
                    ("labels", ir::is_reserved_label as fn(&str) -> bool),
                    ("annotations", ir::is_reserved_annotation),
                ] {
                    let Some(pairs) = metadata[field].as_object() else { continue };
                    carrying += usize::from(pairs.get("team").is_some_and(|value| value == thief));
                    let stolen = pairs.iter().find(|(key, value)| is_reserved(key) && *value == thief);
                    assert_eq!(stolen, None, "{key:?} {field}");
                }
            }
        }
        assert!(carrying >= 6, "{carrying}");
    }
}

/// What a user could not see in a status if it were missing among the reserved keys.
#[test]
fn all_metadata_that_the_deployer_sets_is_reserved_but_what_a_user_may_change() {
    let other = DeploySettings { controller: "example.com/team-a".parse().unwrap(), ..settings() };
    for Manifest { object, .. } in render_manifests(&infra(&[80]), None, &other, CA) {
        for metadata in ["/metadata", "/spec/template/metadata"] {
            let Some(metadata) = object.pointer(metadata) else { continue };
            let keys =
                |field: &str| metadata[field].as_object().into_iter().flatten().map(|(key, _)| key.clone());
            assert!(keys("labels").all(|key| ir::is_reserved_label(&key)), "{metadata}");
            let is_free = |key: &str| key.starts_with("prometheus.io/");
            assert!(
                keys("annotations").all(|key| is_free(&key) || ir::is_reserved_annotation(&key)),
                "{metadata}"
            );
        }
    }
}

#[test]
fn pods_are_found_by_the_name_of_the_proxy_and_by_that_of_the_gateway() {
    let gloo = ProxyInfra { name: "gloo-proxy-web".to_owned(), ..infra(&[80]) };
    for (infra, proxy) in [(infra(&[80]), "web"), (gloo, "gloo-proxy-web")] {
        let manifests = render_manifests(&infra, None, &settings(), CA);
        let deployment = manifests.iter().find(|made| made.key.kind == ManifestKind::Deployment).unwrap();
        for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            let labels = deployment.object.pointer(labels).unwrap();
            assert_eq!(labels["app.kubernetes.io/name"], proxy);
            assert_eq!(labels["gateway.networking.k8s.io/gateway-name"], "web");
        }
    }
}
