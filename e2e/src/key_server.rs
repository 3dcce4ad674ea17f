//! A server that tells the public keys by which tokens are verified, as an identity provider does.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};

use crate::server::Server;

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct KeyServer {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    keys: Mutex<String>,
    served: AtomicU64,
}

impl KeyServer {
    /// Answers every request with this JSON Web Key Set.
    ///
    /// # Errors
    /// No port.
    pub async fn start(keys: &str) -> Result<Self> {
        let state = Arc::new(State { keys: Mutex::new(keys.to_owned()), served: AtomicU64::new(0) });
        let served = Arc::clone(&state);
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), None, move |_, _| {
            served.served.fetch_add(1, Ordering::Relaxed);
            let keys = served.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { Response::new(Full::new(Bytes::from(keys)).boxed_unsync()) }
        });
        Ok(Self { server: server.await?, state })
    }

    /// The port that it listens on, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Has it tell other keys.
    pub fn tell(&self, keys: &str) {
        keys.clone_into(&mut self.state.keys.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How often it was asked.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.state.served.load(Ordering::Relaxed)
    }
}
