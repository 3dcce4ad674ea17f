//! Whoever plays the cloud: gives every Service of type LoadBalancer an address.
//!
//! An address in the Service's status is all it takes; kube-proxy makes it answer.

mod pool;

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, IoContext as _, Result};
use crate::namespaces::Namespaces;
use pool::Pool;

/// How long to wait after the API server was not there.
const RETRY: Duration = Duration::from_millis(300);

/// The running controller.
#[derive(Debug)]
pub(crate) struct LoadBalancers {
    ending: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LoadBalancers {
    /// Starts the controller; it outlives absences of the API server.
    pub(crate) fn start(namespaces: Arc<Namespaces>) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let seen_by_thread = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            let mut controller = Controller { namespaces, pool: Pool::default() };
            while !seen_by_thread.load(Ordering::Relaxed) {
                // The watch ends with the API server, or with the cluster. Every round starts with a list,
                // so that nothing is missed.
                if controller.round().is_err() {
                    thread::sleep(RETRY);
                }
            }
        });
        Self { ending, thread: Mutex::new(Some(thread)) }
    }

    /// Lets the controller end once its kubectl has been killed.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Waits for the controller's end.
    pub(crate) fn join(&self) {
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

struct Controller {
    namespaces: Arc<Namespaces>,
    pool: Pool,
}

impl Controller {
    fn round(&mut self) -> Result<()> {
        let list = self.namespaces.run("kubectl", &["get", "services", "-A", "-o", "json"], &[])?;
        let list: Value = serde_json::from_str(&list)
            .map_err(|error| Error::Unexpected(format!("kubectl's list of Services: {error}")))?;
        self.pool = Pool::default();
        for service in list["items"].as_array().into_iter().flatten() {
            self.pool.adopt(service);
        }
        self.watch()
    }

    /// Acts on every change. The watch starts with every Service that there is.
    fn watch(&mut self) -> Result<()> {
        let mut command = self.namespaces.command("kubectl");
        command.args(["get", "services", "-A", "--watch", "--output-watch-events", "-o", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut kubectl = self.namespaces.spawn(command)?;
        let outcome = self.follow(&mut kubectl);
        // It may have ended by itself.
        let _ = kubectl.kill();
        kubectl.wait().context(|| "wait for kubectl".to_owned())?;
        outcome
    }

    fn follow(&mut self, kubectl: &mut Child) -> Result<()> {
        let Some(events) = kubectl.stdout.take() else { return Ok(()) };
        for event in serde_json::Deserializer::from_reader(events).into_iter::<Value>() {
            let event = event.map_err(|error| Error::Unexpected(format!("kubectl's events: {error}")))?;
            let service = &event["object"];
            if event["type"] == "DELETED" {
                self.pool.release(service);
            } else if let Some(address) = self.pool.assign(service) {
                self.publish(service, &address)?;
            }
        }
        Err(Error::Unexpected("the watch of Services ended".to_owned()))
    }

    fn publish(&self, service: &Value, address: &str) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &service["metadata"];
        // Of a Service of both families, in their order.
        let families = service["spec"]["ipFamilies"].as_array().into_iter().flatten();
        let families =
            families.map(|family| if family == "IPv6" { pool::in_v6(address) } else { address.to_owned() });
        let ingress: Vec<_> = families.map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect();
        let patch = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        let arguments = [
            "patch".to_owned(),
            "service".to_owned(),
            text(&metadata["name"]),
            format!("--namespace={}", text(&metadata["namespace"])),
            "--subresource=status".to_owned(),
            "--type=merge".to_owned(),
            format!("--patch={patch}"),
        ];
        match self.namespaces.run("kubectl", &arguments, &[]) {
            Err(Error::Command { stderr, .. }) if stderr.contains("NotFound") => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
