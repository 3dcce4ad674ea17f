//! Counts in a Redis or Valkey server, which several services share. A script of the server's counts, so that nothing comes
//! between what it looks at and what it writes.

use std::time::Duration;

use limit_rule::Mode;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use tokio::time::timeout;

use super::{Amount, Hit, Outcome, StoreError};

/// What every key begins with, so that a server can be shared.
const PREFIX: &str = "chancery:limits:";

/// How long an answer may take, with all attempts to connect. Envoy waits for the service a second, and a client for Envoy.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection to the server, which is made anew when it breaks. Clones share it.
#[derive(Clone)]
pub struct Shared {
    connection: ConnectionManager,
    script: Script,
}

impl std::fmt::Debug for Shared {
    /// Without the address, which may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Connects to `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS, as soon as something is counted.
    ///
    /// # Errors
    /// The address is none. The message does not quote it, since it may hold a password.
    pub fn connect(address: &str) -> Result<Self, StoreError> {
        let client = Client::open(address).map_err(|error| StoreError(error.category().to_owned()))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(|error| told(&error))?;
        Ok(Self { connection, script: Script::new(include_str!("count.lua")) })
    }

    pub(super) async fn count(&self, hits: &[Hit]) -> Result<Vec<Outcome>, StoreError> {
        let mut call = self.script.prepare_invoke();
        for hit in hits {
            let mode = match hit.mode {
                Mode::Count => "count",
                Mode::Check => "check",
                Mode::Charge => "charge",
            };
            let (sign, amount) = match hit.amount {
                Amount::Add(amount) => ("+", amount),
                Amount::TakeBack(amount) => ("-", amount),
            };
            let lifetime = u64::try_from(hit.lifetime.as_millis()).unwrap_or(u64::MAX);
            call.key(format!("{PREFIX}{}", hit.key))
                .arg(mode)
                .arg(sign)
                .arg(amount)
                .arg(hit.limit)
                .arg(lifetime);
        }
        let mut connection = self.connection.clone();
        let numbers: Vec<u64> = timeout(PATIENCE, call.invoke_async(&mut connection))
            .await
            .map_err(|_elapsed| {
                StoreError(format!("the store: no answer within {} ms", PATIENCE.as_millis()))
            })?
            .map_err(|error| told(&error))?;
        let outcomes = numbers.chunks_exact(2).filter_map(|pair| match pair {
            [is_over, count] => Some(Outcome { is_over: *is_over != 0, count: *count }),
            _ => None,
        });
        Ok(outcomes.collect())
    }
}

/// What went wrong, without anything of the address.
fn told(error: &redis::RedisError) -> StoreError {
    StoreError(format!("the store: {}", error.category()))
}
