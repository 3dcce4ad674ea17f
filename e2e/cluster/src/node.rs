//! The one node: its mounts, its network, and the files that its components read.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{IoContext as _, Result};
use crate::namespaces::Namespaces;
use crate::tools::Tools;

// Literals, so that command lines can be constants. Every cluster has the same addresses: each is in
// a network of its own.
macro_rules! address {
    () => {
        "10.89.0.2"
    };
}
macro_rules! services {
    () => {
        "10.96.0.0/16"
    };
}
pub(crate) use {address, services};

/// The same of IPv6, in a network of both families.
pub(crate) const ADDRESS_V6: &str = "fd00:89::2";
pub(crate) const SERVICES_V6: &str = "fd00:96::/112";

/// Where pods are.
const PODS: &str = "10.244.0.0/16";
const PODS_V6: &str = "fd00:244::/64";

/// What stands for IPv4 alone, or for both families, IPv4 first.
pub(crate) fn both(v4: &str, v6: &str, dual_stack: bool) -> String {
    if dual_stack { format!("{v4},{v6}") } else { v4.to_owned() }
}

/// The cluster's DNS server.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";

/// A folder inside for what components read and write; gone with the cluster.
const CONFIG_FOLDER: &str = "/run/cluster";

/// Folders of the machine in whose place those inside see empty ones, for all that components leave there.
pub(crate) const OWN_FOLDERS: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// Kernel settings that a kubelet wants, and would set for the whole machine. It finds files with
/// these values in their place, and touches nothing.
const KUBELET_KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("kernel/keys/root_maxbytes", "25000000"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
];

/// Who may speak to the API server, with a token: (file, user, groups).
const USERS: [(&str, &str, &str); 5] = [
    ("admin", "admin", "system:masters"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:node", "system:nodes"),
    ("kube-proxy", "system:kube-proxy", ""),
];

/// What a node is set up with.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) tools: &'a Tools,
    /// The cluster's folder outside, visible inside under the same path.
    pub(crate) folder: &'a Path,
    pub(crate) cgroup: &'a str,
    /// The most that the state (images, containers, etcd) may take of memory, as `mount` takes it.
    pub(crate) state_size: &'a str,
    /// Whether there is IPv6, too.
    pub(crate) dual_stack: bool,
}

impl Setup<'_> {
    /// Does all of it. The components can be started then.
    pub(crate) fn run(&self) -> Result<()> {
        self.mounts()?;
        self.network()?;
        self.files()
    }

    fn mounts(&self) -> Result<()> {
        let state = format!("size={},mode=755", self.state_size);
        self.execute("mount", &["--make-rshared", "/"])?;
        for folder in OWN_FOLDERS {
            self.execute("mount", &["-t", "tmpfs", "-o", &state, "tmpfs", folder])?;
        }
        self.execute(
            "mkdir",
            &["-p", "/run/lock", "/run/netns", "/run/cluster/cni", "/run/cluster/sys", "/var/lib/kubelet"],
        )?;
        self.replace("/etc/resolv.conf", &format!("nameserver {DNS_ADDRESS}\n"))?;
        self.replace("/etc/hosts", concat!("127.0.0.1 localhost\n", address!(), " node\n"))?;
        for (setting, value) in KUBELET_KERNEL_SETTINGS {
            self.replace(&format!("/proc/sys/{setting}"), &format!("{value}\n"))?;
        }
        Ok(())
    }

    /// Puts another file in the place of `path`, for those inside only.
    fn replace(&self, path: &str, text: &str) -> Result<()> {
        let ours = format!("{CONFIG_FOLDER}/sys/{}", path.replace('/', "_"));
        self.write(&ours, text)?;
        self.execute("mount", &["--bind", &ours, path])
    }

    fn network(&self) -> Result<()> {
        // A bridge without ports is a network device that every kernel has. The default route makes the
        // addresses of Services reachable, until the rules of kube-proxy lead them elsewhere.
        let commands = concat!(
            "link set lo up\n",
            "link add node0 type bridge\n",
            "addr add ",
            address!(),
            "/24 dev node0\n",
            "link set node0 up\n",
            "route add default via 10.89.0.1 dev node0 onlink\n"
        );
        self.namespaces.run("ip", &["-batch", "-"], commands.as_bytes())?;
        if self.dual_stack {
            let commands = format!(
                "addr add {ADDRESS_V6}/64 dev node0 nodad\nroute add default via fd00:89::1 dev node0 onlink\n"
            );
            self.namespaces.run("ip", &["-batch", "-"], commands.as_bytes())?;
            self.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
        }
        self.write("/proc/sys/net/ipv4/ip_forward", "1")
    }

    fn files(&self) -> Result<()> {
        let mut tokens = String::new();
        for (file, user, groups) in USERS {
            let token = random_token()?;
            tokens.push_str(&format!("{token},{user},{user},\"{groups}\"\n"));
            let kubeconfig = kubeconfig(&token).to_string();
            self.write(&format!("{CONFIG_FOLDER}/{file}.kubeconfig"), &kubeconfig)?;
            if file == "admin" {
                let path = self.folder.join("kubeconfig");
                fs::write(&path, kubeconfig).context(|| format!("write {}", path.display()))?;
            }
        }
        self.write("/run/cluster/tokens.csv", &tokens)?;
        let key = [
            "ecparam",
            "-genkey",
            "-noout",
            "-name",
            "prime256v1",
            "-out",
            "/run/cluster/service-account.key",
        ];
        self.execute("openssl", &key)?;
        self.write("/run/cluster/cni/10-pods.conflist", &pod_network(self.dual_stack).to_string())?;
        self.write("/run/cluster/containerd.toml", &containerd_config(self.tools.cni()))?;
        self.write("/run/cluster/kubelet.json", &self.kubelet_config().to_string())?;
        self.write("/run/cluster/kube-proxy.json", &kube_proxy_config(self.dual_stack).to_string())?;
        self.write("/run/cluster/audit-policy.json", &audit_policy().to_string())
    }

    fn kubelet_config(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": false,
            "failSwapOn": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.cgroup),
            "enforceNodeAllocatable": [],
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            // The API server brings no client certificate; nobody else is in this network but pods under test.
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "clusterDomain": "cluster.local",
            "clusterDNS": [DNS_ADDRESS],
            "resolvConf": "",
            // Containers' logs outlive the cluster when they are kept.
            "podLogsDir": self.folder.join("logs/pods"),
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            // The machine's disk is nobody's business here.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "0%"},
            "syncFrequency": "10s",
            "maxPods": 400,
            "serializeImagePulls": false,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
        })
    }

    fn execute(&self, program: &str, arguments: &[&str]) -> Result<()> {
        self.namespaces.run(program, arguments, &[]).map(drop)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        self.namespaces
            .run("dd", &["status=none".to_owned(), format!("of={path}")], text.as_bytes())
            .map(drop)
    }
}

/// A kubeconfig is JSON, which is YAML.
fn kubeconfig(token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": {
            "server": concat!("https://", address!(), ":6443"),
            "certificate-authority": "/run/cluster/certificates/apiserver.crt",
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "cluster",
    })
}

/// Every pod is at the end of a cable of its own and all traffic is routed, so that answers of a pod to
/// another one on the same node come back through kube-proxy's rules. On a shared bridge they would only
/// where the kernel has br_netfilter.
fn pod_network(dual_stack: bool) -> Value {
    let families = [(PODS, "0.0.0.0/0"), (PODS_V6, "::/0")];
    let families = &families[..if dual_stack { 2 } else { 1 }];
    let ranges: Vec<_> = families.iter().map(|(pods, _)| json!([{"subnet": pods}])).collect();
    let routes: Vec<_> = families.iter().map(|(_, all)| json!({"dst": all})).collect();
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": "/var/lib/cni/addresses",
                "ranges": ranges,
                "routes": routes,
            },
        }],
    })
}

fn containerd_config(cni: &Path) -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{}"
    conf_dir = "/run/cluster/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        crate::images::PAUSE,
        cni.display()
    )
}

fn kube_proxy_config(dual_stack: bool) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "50ms"},
        "clientConnection": {"kubeconfig": "/run/cluster/kube-proxy.kubeconfig"},
        "clusterCIDR": both(PODS, PODS_V6, dual_stack),
        "hostnameOverride": "node",
        // Zero leaves the machine's limits alone.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}

/// Who wrote what, without bodies.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "None", "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io", "resources": ["events"]},
            ]},
            {"level": "Metadata"},
        ],
    })
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context(|| "read random bytes".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
