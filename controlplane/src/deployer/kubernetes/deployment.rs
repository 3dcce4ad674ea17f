//! The Deployment: pods that fit the `restricted` pod security standard, and that end without a request
//! failing.

use crds::gateway_parameters::{
    BootstrapParameters, ContainerParameters, ImageParameters, KubeParameters, LogLevel, PodParameters,
    StatsParameters,
};
use ir::{CONFIG_HASH_ANNOTATION, DRAIN_PORT, METRICS_PORT, ProxyInfra, READINESS_PORT};
use serde_json::{Value, json};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::bootstrap::{BOOTSTRAP_FILE, CONFIG_DIR, Drain, Metrics, RUN_DIR, TOKEN_DIR};
use super::common::{Common, Manifest, Metadata, insert_present};
use super::object::ManifestKind;

/// The name that scripts for kgateway know.
const CONTAINER: &str = "kgateway-proxy";

/// The users of proxies, from the first on: a range that neither nodes' own users nor images' use.
const FIRST_USER: u64 = 1_000_000_000;
const USERS: u64 = 100_000_000;

/// What a proxy's pod asks for by default. It idles at less than a hundredth of a processor and some 60 MiB; more is
/// lent while the node has some. Fifty Gateways fit a node of two processors.
const CPU_REQUEST: &str = "25m";
const MEMORY_REQUEST: &str = "128Mi";

/// How long a token is valid; the kubelet renews it after four fifths.
const TOKEN_SECONDS: i64 = 3600;

/// Seconds that a pod has to end.
const GRACE_SECONDS: i64 = 60;

/// Seconds that a pod goes on after it was told to end: until then, every node has heard of it.
const LEAST_DRAIN_SECONDS: i64 = 5;

/// Seconds of the grace that are left for Envoy's own end.
const END_SECONDS: i64 = 5;

/// The variable that says where temporary files go.
const TEMPORARY_FILES: &str = "TMPDIR";

/// Where Envoy keeps the modules that it has fetched.
const MODULE_DIR: &str = "/var/cache/chancery";

/// Room for many versions of the module, each of some MiB: Envoy removes none while the pod lives.
const MODULE_SPACE: &str = "256Mi";

/// Seconds in which connections of a listener that is gone are closed.
const LISTENER_DRAIN_SECONDS: i64 = 60;

pub(super) fn render(common: &Common<'_>, config_hash: &str) -> Manifest {
    let parameters = common.parameters;
    let deployment = parameters.deployment.clone().unwrap_or_default();
    let strategy = deployment.strategy.as_ref().map_or_else(
        || json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
        |strategy| json!(strategy),
    );
    let mut spec = json!({
        "strategy": strategy,
        "selector": { "matchLabels": common.selector() },
        "template": pod_template(common, config_hash),
    });
    // Absent, it stays with whoever sets it: the default of one, `kubectl scale`, an autoscaler.
    let replicas = deployment.replicas.filter(|_| deployment.omit_replicas != Some(true));
    insert_present(&mut spec, [("replicas", json!(replicas))]);
    common.manifest(ManifestKind::Deployment, Metadata::default(), json!({ "spec": spec }))
}

fn pod_template(common: &Common<'_>, config_hash: &str) -> Value {
    let defaults = PodParameters::default();
    let pod = common.parameters.pod_template.as_ref().unwrap_or(&defaults);
    let mut annotations = common.annotations(pod.extra_annotations.as_ref());
    annotations.insert(CONFIG_HASH_ANNOTATION.to_owned(), config_hash.to_owned());
    if metrics(common.parameters).is_some() {
        let hints = [
            ("scrape", "true".to_owned()),
            ("path", "/metrics".to_owned()),
            ("port", METRICS_PORT.to_string()),
        ];
        for (name, value) in hints {
            annotations.entry(format!("prometheus.io/{name}")).or_insert(value);
        }
    }
    let spread = pod.topology_spread_constraints.as_ref().map_or_else(
        || {
            json!([{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": common.selector() },
            }])
        },
        |constraints| json!(constraints),
    );
    let mut spec = json!({
        "serviceAccountName": common.infra.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": grace_seconds(common.parameters),
        "topologySpreadConstraints": spread,
        "containers": [container(common, pod)],
        "volumes": volumes(common, pod),
    });
    insert_present(
        &mut spec,
        [
            ("securityContext", pod_security_context(common)),
            ("imagePullSecrets", json!(pod.image_pull_secrets)),
            ("nodeSelector", json!(pod.node_selector)),
            ("affinity", json!(pod.affinity)),
            ("tolerations", json!(pod.tolerations)),
            ("priorityClassName", json!(pod.priority_class_name)),
        ],
    );
    json!({
        "metadata": { "labels": common.labels(pod.extra_labels.as_ref()), "annotations": annotations },
        "spec": spec,
    })
}

/// Low ports are for everybody within the pod, so that no listener needs a capability. The sysctl is one
/// of those that the `restricted` standard allows. Always there: a new port must restart no pod.
fn pod_security_context(common: &Common<'_>) -> Value {
    let parameters = common.parameters;
    let sysctls = json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]);
    let own = parameters.pod_template.as_ref().and_then(|pod| pod.security_context.as_ref());
    let mut context = match own {
        Some(own) => json!(own),
        None if parameters.omit_default_security_context == Some(true) => return Value::Null,
        None => {
            let mut context = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
            if parameters.floating_user_id != Some(true) {
                let user = json!(user(common));
                // The token is readable for the group.
                for member in ["runAsUser", "runAsGroup", "fsGroup"] {
                    context[member] = user.clone();
                }
            }
            context
        }
    };
    if context.get("sysctls").is_none() {
        context["sysctls"] = sysctls;
    }
    context
}

/// The user of a Gateway's proxies: by its name, so that it stays. An Envoy watches files by four inotify instances, of
/// which Linux gives each user of a node 128: Envoys of one user would crash from about the 32nd on.
fn user(common: &Common<'_>) -> u64 {
    let ProxyInfra { gateway, name, .. } = common.infra;
    FIRST_USER + xxh3_64(format!("user/{}/{name}", gateway.namespace).as_bytes()) % USERS
}

fn container_security_context(parameters: &KubeParameters, container: &ContainerParameters) -> Value {
    match &container.security_context {
        Some(own) => json!(own),
        None if parameters.omit_default_security_context == Some(true) => Value::Null,
        None => json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        }),
    }
}

fn container(common: &Common<'_>, pod: &PodParameters) -> Value {
    let defaults = ContainerParameters::default();
    let parameters = common.parameters.envoy_container.as_ref().unwrap_or(&defaults);
    let (image, pull_policy) = image(&common.settings.image, parameters.image.as_ref());
    let resources = parameters.resources.as_ref().map_or_else(
        || json!({ "requests": { "cpu": CPU_REQUEST, "memory": MEMORY_REQUEST } }),
        |resources| json!(resources),
    );
    let readiness = pod.readiness_probe.as_ref().map_or_else(
        || {
            json!({
                "httpGet": { "path": "/ready", "port": READINESS_PORT },
                "periodSeconds": 2,
                "timeoutSeconds": 2,
                "failureThreshold": 3,
            })
        },
        |probe| json!(probe),
    );
    let mut ports = vec![json!({ "name": "readiness", "containerPort": READINESS_PORT, "protocol": "TCP" })];
    if metrics(common.parameters).is_some() {
        ports.push(json!({ "name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP" }));
    }
    let mounts = [
        ("config", CONFIG_DIR, true),
        ("xds-token", TOKEN_DIR, true),
        ("run", RUN_DIR, false),
        ("modules", MODULE_DIR, false),
    ];
    let mounts = mounts
        .map(|(name, path, read_only)| json!({ "name": name, "mountPath": path, "readOnly": read_only }));
    let extra = parameters.extra_volume_mounts.iter().flatten().map(|mount| json!(mount));
    let mut container = json!({
        "name": CONTAINER,
        "image": image,
        "args": arguments(parameters.bootstrap.as_ref()),
        "resources": resources,
        "readinessProbe": readiness,
        "ports": ports,
        "volumeMounts": mounts.into_iter().chain(extra).collect::<Vec<_>>(),
    });
    let path = drain_path(common);
    let drain = drain(common.parameters, &path);
    insert_present(
        &mut container,
        [
            ("imagePullPolicy", json!(pull_policy)),
            ("securityContext", container_security_context(common.parameters, parameters)),
            ("env", json!(environment(parameters))),
            ("livenessProbe", json!(pod.liveness_probe)),
            (
                "lifecycle",
                drain.map_or(
                    Value::Null,
                    |drain| json!({ "preStop": { "httpGet": { "path": drain.path, "port": DRAIN_PORT } } }),
                ),
            ),
        ],
    );
    container
}

/// Envoy keeps the modules that it fetches in the folder for temporary files, from where it loads them again when its
/// container starts anew. The root file system cannot be written.
fn environment(parameters: &ContainerParameters) -> Vec<Value> {
    let given = parameters.env.iter().flatten().map(|variable| json!(variable));
    let mut all: Vec<Value> = given.collect();
    if !all.iter().any(|variable| variable["name"] == TEMPORARY_FILES) {
        all.push(json!({ "name": TEMPORARY_FILES, "value": MODULE_DIR }));
    }
    all
}

/// The image and its pull policy. A tag or digest alone keeps the name of the default image.
fn image(default: &str, parameters: Option<&ImageParameters>) -> (String, Option<Value>) {
    let Some(ImageParameters { registry, repository, tag, digest, pull_policy }) = parameters else {
        return (default.to_owned(), None);
    };
    let (name, default_tag) = split_tag(default);
    // The first part of a name is a registry if it looks like a host; so has it Docker, too.
    let (default_registry, default_repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
        _ => (None, name),
    };
    let registry = registry.as_deref().or(default_registry).filter(|registry| !registry.is_empty());
    let repository = repository.as_deref().unwrap_or(default_repository);
    let name = registry.map_or_else(|| repository.to_owned(), |registry| format!("{registry}/{repository}"));
    let image = match (digest, tag.as_deref().or(default_tag)) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, Some(tag)) => format!("{name}:{tag}"),
        (None, None) => name,
    };
    (image, pull_policy.map(|policy| json!(policy)))
}

fn split_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

fn arguments(bootstrap: Option<&BootstrapParameters>) -> Vec<String> {
    let level = bootstrap.and_then(|bootstrap| bootstrap.log_level).unwrap_or(LogLevel::Info);
    let mut arguments: Vec<String> = vec!["-c".to_owned(), format!("{CONFIG_DIR}/{BOOTSTRAP_FILE}")];
    arguments.extend(["--disable-hot-restart", "--log-level", log_level(level)].map(str::to_owned));
    arguments.extend(["--drain-strategy", "immediate", "--drain-time-s"].map(str::to_owned));
    arguments.push(LISTENER_DRAIN_SECONDS.to_string());
    let components = bootstrap.and_then(|bootstrap| bootstrap.component_log_levels.as_ref());
    let components = components.into_iter().flatten();
    let components: Vec<_> =
        components.map(|(component, level)| format!("{component}:{}", log_level(*level))).collect();
    if !components.is_empty() {
        arguments.extend(["--component-log-level".to_owned(), components.join(",")]);
    }
    arguments
}

fn log_level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warning",
        LogLevel::Error => "error",
        LogLevel::Critical => "critical",
        LogLevel::Off => "off",
    }
}

fn volumes(common: &Common<'_>, pod: &PodParameters) -> Value {
    let token = json!({
        "audience": common.settings.token_audience,
        "expirationSeconds": TOKEN_SECONDS,
        "path": "token",
    });
    let ours = [
        json!({ "name": "config", "configMap": { "name": common.infra.name } }),
        json!({ "name": "xds-token", "projected": { "sources": [{ "serviceAccountToken": token }] } }),
        json!({ "name": "run", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }),
        json!({ "name": "modules", "emptyDir": { "sizeLimit": MODULE_SPACE } }),
    ];
    ours.into_iter().chain(pod.extra_volumes.iter().flatten().map(|volume| json!(volume))).collect()
}

fn grace_seconds(parameters: &KubeParameters) -> i64 {
    let pod = parameters.pod_template.as_ref();
    pod.and_then(|pod| pod.termination_grace_period_seconds).unwrap_or(GRACE_SECONDS)
}

/// The path by which the kubelet starts draining: only who may read the Gateway's pods can know it, so
/// that nobody else on the network can take a proxy out of service.
pub(super) fn drain_path(common: &Common<'_>) -> String {
    let uid = common.infra.uid.as_deref().unwrap_or_default();
    format!("/drain/{:032x}", xxh3_128(format!("drain/{uid}").as_bytes()))
}

/// How a proxy drains; `None` if it ends at once.
pub(super) fn drain<'a>(parameters: &KubeParameters, path: &'a str) -> Option<Drain<'a>> {
    let shutdown = parameters.pod_template.as_ref().and_then(|pod| pod.graceful_shutdown).unwrap_or_default();
    let most = grace_seconds(parameters) - END_SECONDS;
    let least = shutdown.sleep_time_seconds.unwrap_or(LEAST_DRAIN_SECONDS).min(most);
    (shutdown.enabled != Some(false) && most > 0).then_some(Drain { path, least, most })
}

/// Which metrics can be read; `None` for none.
pub(super) fn metrics(parameters: &KubeParameters) -> Option<Metrics<'_>> {
    let Some(stats) = &parameters.stats else {
        return Some(Metrics { metrics: DEFAULT_METRICS, stats: None });
    };
    (stats.enabled != Some(false)).then(|| Metrics {
        metrics: stats
            .route_prefix_rewrite
            .as_deref()
            .filter(|page| StatsParameters::is_page(page))
            .unwrap_or(DEFAULT_METRICS),
        stats: (stats.enable_stats_route == Some(true)).then(|| {
            stats
                .stats_route_prefix_rewrite
                .as_deref()
                .filter(|page| StatsParameters::is_page(page))
                .unwrap_or("/stats")
        }),
    })
}

const DEFAULT_METRICS: &str = "/stats/prometheus?usedonly";
