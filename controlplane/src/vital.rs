//! Tasks without which the program must not go on as if all were well.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which vital tasks have failed. A clone is the same.
#[derive(Clone, Debug)]
pub struct Vitals {
    failed: watch::Sender<Vec<&'static str>>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self { failed: watch::Sender::new(Vec::new()) }
    }
}

impl Vitals {
    /// Starts a task that must not panic. That it ends is its own business.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let (vitals, task) = (self.clone(), tokio::spawn(task));
        tokio::spawn(async move {
            match task.await {
                Ok(result) => Some(result),
                Err(error) => {
                    if error.is_panic() {
                        vitals.fail(name);
                    }
                    None
                }
            }
        })
    }

    /// Notes that a task has failed for good.
    pub fn fail(&self, name: &'static str) {
        tracing::error!(task = name, "has failed for good");
        self.failed.send_modify(|failed| failed.push(name));
    }

    /// The tasks that have failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.failed.borrow().clone()
    }

    /// Waits until a task has failed; gives its name.
    pub async fn failure(&self) -> &'static str {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(|failed| !failed.is_empty()).await {
            Ok(failed) => failed.first().copied().unwrap_or_default(),
            // The sender is in `self`.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_noted_and_an_end_is_not() {
        let vitals = Vitals::default();
        assert_eq!(vitals.spawn("ends", async { 1 }).await.unwrap(), Some(1));
        assert_eq!(vitals.failed(), [""; 0]);
        vitals.spawn("panics", async { panic!("on purpose") });
        assert_eq!(vitals.failure().await, "panics");
        assert_eq!(vitals.failed(), ["panics"]);
    }
}
