//! The files of the guides, applied as a user does it, in any namespace and with any key.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use acceptance::{World, workspace};

/// A seed and where its objects go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed<'a> {
    /// The folder in `examples`.
    pub(crate) folder: &'a str,
    /// The namespace that its files name.
    pub(crate) written: &'a str,
    /// The namespace that they are applied in.
    pub(crate) namespace: &'a str,
    /// The provider's key.
    pub(crate) key: &'a str,
}

impl<'a> Seed<'a> {
    /// kgateway's.
    pub(crate) fn kgateway(namespace: &'a str, key: &'a str) -> Self {
        Self { folder: "seed-kgateway", written: "kgateway-system", namespace, key }
    }

    /// Gloo's.
    pub(crate) fn gloo(namespace: &'a str, key: &'a str) -> Self {
        Self { folder: "seed-gloo", written: "gloo-system", namespace, key }
    }

    /// Applies the Gateway.
    pub(crate) fn apply_gateway(&self, world: &World) {
        self.apply(world, "0-");
    }

    /// Applies the Secret.
    pub(crate) fn apply_secret(&self, world: &World) {
        self.apply(world, "1-");
    }

    /// Applies the Secret, the destination and the route.
    pub(crate) fn apply_route(&self, world: &World) {
        ["1-", "2-", "3-"].iter().for_each(|number| self.apply(world, number));
    }

    fn apply(&self, world: &World, number: &str) {
        let folder = workspace().join("examples").join(self.folder);
        let files = fs::read_dir(folder).expect("the seed").map(|entry| entry.expect("a file"));
        let file = files.into_iter().find(|file| file.file_name().to_string_lossy().starts_with(number));
        let text = fs::read_to_string(file.expect("the file of this number").path()).expect("YAML");
        let text = text.replace("$GOOGLE_KEY", self.key).replace(self.written, self.namespace);
        world.cluster.apply(&text).unwrap_or_else(|error| panic!("{} {number}: {error}", self.folder));
    }
}

/// Port 8080 of an address.
pub(crate) fn port_8080(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), 8080)
}
