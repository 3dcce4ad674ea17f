//! Where the counts of rate limits are held: from the command line to the service that counts.

use anyhow::{Result, anyhow};
use limits::{LimitService, Memory, Metrics, Shared, Store};
use prometheus_client::registry::Registry;

use crate::args::LimitArgs;

impl LimitArgs {
    /// The service, with its metrics registered.
    ///
    /// # Errors
    /// The address of the store is none. It is not quoted, since it may hold a password.
    pub(crate) fn service(&self, registry: &mut Registry) -> Result<LimitService> {
        let metrics = Metrics::default();
        metrics.register(registry);
        let store = match &self.limit_store {
            None => Store::Memory(Memory::default()),
            Some(address) => {
                let shared = Shared::connect(address).map_err(|error| {
                    anyhow!("--limit-store: not an address like redis://HOST:6379 ({error})")
                })?;
                Store::Shared(shared)
            }
        };
        Ok(LimitService::new(store, metrics).with_lease(self.reservation_lease))
    }
}
