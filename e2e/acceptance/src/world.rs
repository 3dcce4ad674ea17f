//! A cluster with Chancery in it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use cluster::{Cluster, Error, FailureGuard, GatewayApi, Options, Tools, images};
use serde_json::Value;

use crate::network::Network;
use crate::provider::{GEMINI, Provider, SERVICE};
use crate::{DEADLINE, restricted_namespace, workspace};

/// The namespace of the control plane.
pub const SYSTEM: &str = "chancery-system";

/// The name of the Helm release, and so of the control plane's Deployment and Service.
pub const RELEASE: &str = "chancery";

/// Names another image than that of `make image`.
const IMAGE_VARIABLE: &str = "CHANCERY_IMAGE";

/// What a world is made of beside the cluster, Gateway API and the stand-in for Gemini.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether Chancery is installed by Helm.
    pub install: bool,
    /// The chart's values beside those that every test needs, as `--set` takes them.
    pub values: Vec<String>,
    /// Whether the cluster's network has both IP families.
    pub dual_stack: bool,
    /// Which definitions of Gateway API, or none of it.
    pub gateway_api: Option<GatewayApi>,
}

impl Default for Setup {
    fn default() -> Self {
        // The channel that has every kind that is read.
        Self {
            install: true,
            values: Vec::new(),
            dual_stack: false,
            gateway_api: Some(GatewayApi::Experimental),
        }
    }
}

/// A cluster with Chancery in it, and the stand-in for Gemini on its node.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// Clients inside.
    pub network: Network,
    provider: Provider,
    folder: tempfile::TempDir,
}

impl World {
    /// The world that all tests of this process share, and a guard that keeps its logs if the test fails.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn shared() -> (&'static Self, FailureGuard<'static>) {
        static WORLD: OnceLock<World> = OnceLock::new();
        let world = WORLD.get_or_init(|| Self::start(&Setup::default()));
        (world, world.cluster.keep_logs_on_panic())
    }

    /// A new world, in which everything is ready.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn start(setup: &Setup) -> Self {
        let tools = Tools::locate().expect("the machine has what it takes");
        let mut images =
            vec![images::envoy(&tools).expect("Envoy"), images::echo(&tools).expect("the echo server")];
        if setup.install {
            images.push(image());
        }
        let dns_aliases = vec![(GEMINI.to_owned(), SERVICE.to_owned())];
        let started = Instant::now();
        let cluster = Cluster::start(&Options {
            images,
            dns_aliases,
            dual_stack: setup.dual_stack,
            ..Options::default()
        });
        let cluster = cluster.expect("the cluster starts");
        let network = Network::of(&cluster);
        let folder = tempfile::TempDir::new().expect("a folder");
        let provider = {
            let _guard = cluster.keep_logs_on_panic();
            if let Some(definitions) = &setup.gateway_api {
                cluster.install_gateway_api(definitions).expect("Gateway API");
            }
            Provider::start(&cluster, folder.path())
        };
        let world = Self { cluster, network, provider, folder };
        if setup.install {
            world.prepare_system();
            world.helm("install", &setup.values);
        }
        println!("world ready: {:.1} s", started.elapsed().as_secs_f64());
        world
    }

    /// What an installation needs in a world that was started without one: the image, and the namespace of the
    /// control plane.
    ///
    /// # Panics
    /// The cluster refuses it.
    pub fn prepare(&self) {
        self.cluster.load_image(&image()).expect("the image");
        self.prepare_system();
    }

    /// The namespace of the control plane, with the authority of the stand-in's certificate.
    fn prepare_system(&self) {
        self.cluster.apply(&restricted_namespace(SYSTEM)).expect("the namespace");
        let authority = format!("--from-file=ca.crt={}", self.folder.path().join("ca.pem").display());
        self.cluster
            .kubectl(&["create", "configmap", "provider-ca", "-n", SYSTEM, &authority])
            .expect("the certificate authority");
    }

    /// `helm install` or `helm upgrade` of the chart with these values besides the usual ones; waits until it
    /// is ready.
    ///
    /// # Panics
    /// Helm refuses, or it does not get ready.
    pub fn helm(&self, action: &str, values: &[String]) {
        let chart = workspace().join("helm");
        let chart = chart.to_str().expect("a path in UTF-8");
        let usual = [
            "image.repository=chancery",
            "image.tag=dev",
            "gatewayClasses.kgateway=true",
            "gatewayClasses.gloo-gateway=true",
            "upstreamCa.configMap=provider-ca",
        ];
        let mut arguments =
            vec![action, RELEASE, chart, "--namespace", SYSTEM, "--wait", "--timeout", "120s"];
        let more = values.iter().map(String::as_str);
        usual.into_iter().chain(more).for_each(|value| arguments.extend(["--set", value]));
        self.cluster.helm(&arguments).unwrap_or_else(|error| panic!("helm {action}: {error}"));
    }

    /// What reached the stand-in for Gemini, in order.
    #[must_use]
    pub fn provider_requests(&self) -> Vec<Value> {
        self.provider.requests()
    }

    /// The file of the authority that signed the stand-in's certificate.
    #[must_use]
    pub fn provider_authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Waits until a Gateway is programmed, and gives its address.
    ///
    /// # Panics
    /// It does not get ready, or its address is not of the load balancer.
    #[must_use]
    pub fn programmed(&self, gateway: &str, namespace: &str) -> String {
        let object = format!("gateway/{gateway}");
        let timeout = format!("--timeout={}s", DEADLINE.as_secs());
        let programmed = ["wait", "--for=condition=Programmed", &object, "-n", namespace, &timeout];
        self.cluster.kubectl(&programmed).expect("the Gateway is programmed");
        let address = self.field(&["gateway", gateway, "-n", namespace], ".status.addresses[0].value");
        assert!(address.starts_with("10.90."), "an address of the load balancer, not {address:?}");
        address
    }

    /// A field of an object, as `kubectl get -o jsonpath` prints it.
    ///
    /// # Panics
    /// There is no such object.
    #[must_use]
    pub fn field(&self, object: &[&str], path: &str) -> String {
        let path = format!("jsonpath={{{path}}}");
        let arguments: Vec<_> = ["get"].iter().chain(object).copied().chain(["-o", &path]).collect();
        self.cluster.kubectl(&arguments).expect("the object")
    }

    /// Status and reason of a condition, in one string; `path` leads to the list of conditions.
    ///
    /// # Panics
    /// There is no such object.
    #[must_use]
    pub fn condition(&self, object: &[&str], path: &str, kind: &str) -> String {
        let chosen = format!("{path}[?(@.type==\"{kind}\")]");
        self.field(object, &format!("{chosen}.status}} {{{chosen}.reason"))
    }

    /// Waits until a condition has this status and reason.
    ///
    /// # Panics
    /// It does not within the deadline.
    pub fn wait_for_condition(&self, object: &[&str], path: &str, kind: &str, wanted: &str) {
        let condition = || match self.condition(object, path, kind) {
            found if found == wanted => Ok(()),
            found => Err(Error::Unexpected(found)),
        };
        let what = format!("{kind} of {object:?}");
        self.cluster.wait_until(&what, DEADLINE, condition).expect("the condition");
    }
}

/// The tarball of `make image`, or that which the variable names.
fn image() -> PathBuf {
    let made = || workspace().join("dist/chancery-image.tar");
    let image = env::var_os(IMAGE_VARIABLE).map_or_else(made, PathBuf::from);
    assert!(Path::new(&image).is_file(), "{} is missing: run `make image`", image.display());
    image
}
