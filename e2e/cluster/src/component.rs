//! The parts of Kubernetes that run as processes of the cluster, and their command lines.

use std::fmt;
use std::str::FromStr;

use crate::node;

/// A part of Kubernetes that runs as a process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// Deployments, endpoint slices, service accounts, garbage collection.
    ControllerManager,
    /// Assigns pods to the node.
    Scheduler,
    /// Runs containers. They outlive it when it is stopped.
    Containerd,
    /// Runs pods. They outlive it when it is stopped.
    Kubelet,
    /// Makes Services' addresses answer. Its rules outlive it when it is stopped.
    KubeProxy,
}

impl Component {
    /// All of them, in the order in which they are started.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Containerd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeProxy,
    ];

    /// The name of its program and of its log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }

    /// Its command line, without the program, in a network of IPv4, or of both families.
    pub(crate) fn arguments(self, dual_stack: bool) -> Vec<String> {
        let arguments: &[&str] = match self {
            Self::Etcd => &["--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn"],
            Self::ApiServer => return api_server_arguments(dual_stack),
            Self::ControllerManager => &[
                "--kubeconfig=/run/cluster/kube-controller-manager.kubeconfig",
                "--use-service-account-credentials",
                "--service-account-private-key-file=/run/cluster/service-account.key",
                "--root-ca-file=/run/cluster/certificates/apiserver.crt",
                "--leader-elect=false",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
            Self::Scheduler => {
                &["--kubeconfig=/run/cluster/kube-scheduler.kubeconfig", "--leader-elect=false"]
            }
            Self::Containerd => &["--config=/run/cluster/containerd.toml"],
            Self::Kubelet => &[
                "--config=/run/cluster/kubelet.json",
                "--kubeconfig=/run/cluster/kubelet.kubeconfig",
                "--root-dir=/var/lib/kubelet",
                "--hostname-override=node",
                NODE_IP,
            ],
            Self::KubeProxy => &["--config=/run/cluster/kube-proxy.json"],
        };
        let with_v6 = |argument: &&str| match *argument {
            NODE_IP if dual_stack => format!("{NODE_IP},{}", node::ADDRESS_V6),
            argument => argument.to_owned(),
        };
        arguments.iter().map(with_v6).collect()
    }
}

/// The address of the node, for its kubelet.
const NODE_IP: &str = concat!("--node-ip=", node::address!());

fn api_server_arguments(dual_stack: bool) -> Vec<String> {
    let arguments = [
        "--etcd-servers=http://127.0.0.1:2379",
        concat!("--advertise-address=", node::address!()),
        concat!("--bind-address=", node::address!()),
        "--secure-port=6443",
        // It writes a certificate here when there is none.
        "--cert-dir=/run/cluster/certificates",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        // A private key serves for verification, too.
        "--service-account-key-file=/run/cluster/service-account.key",
        "--service-account-signing-key-file=/run/cluster/service-account.key",
        "--token-auth-file=/run/cluster/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--audit-policy-file=/run/cluster/audit-policy.json",
    ];
    let services = format!(
        "--service-cluster-ip-range={}",
        node::both(node::services!(), node::SERVICES_V6, dual_stack)
    );
    arguments.map(str::to_owned).into_iter().chain([services]).collect()
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Component {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|component| component.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no component is called {name}; there are: {names}")
        })
    }
}
