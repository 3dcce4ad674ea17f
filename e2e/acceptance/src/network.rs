//! Clients in this process that speak from inside of a cluster's network.

use std::future::Future;
use std::thread;

use cluster::Cluster;
use tokio::runtime::{Builder, Runtime};

/// A runtime whose tasks use the cluster's network. What does not run as one of its tasks does not.
#[derive(Debug)]
pub struct Network {
    runtime: Runtime,
}

impl Network {
    /// Enters the network of `cluster`.
    ///
    /// # Panics
    /// The operating system refuses.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        // A thread is in the network of the thread that started it: the runtime's workers are born inside.
        let start = || {
            cluster.enter_network().expect("root may enter a network");
            Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
        };
        let runtime = thread::scope(|scope| scope.spawn(start).join().expect("the thread ends"));
        Self { runtime }
    }

    /// Runs `work` to its end.
    ///
    /// # Panics
    /// `work` panics.
    pub fn run<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.runtime.block_on(self.runtime.spawn(work)) {
            Ok(output) => output,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Starts `work` and lets it go on.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(work)
    }
}
