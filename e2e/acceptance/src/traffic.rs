//! Requests at a fixed rate while something happens, of which none may fail.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use e2e::http::{eventually, get};
use e2e::load::{Load, LoadReport, RunningLoad};

use crate::{DEADLINE, World};

/// Requests per second. Two tests at a time, each with a cluster of its own, leave room for no more on two cores: then the
/// load itself is late, and says nothing of what is tested.
pub const RATE: u32 = 300;

/// A request that is not answered for so long has failed. A cluster on two cores stands still for seconds when many of its
/// pods start at once; what is lost for good is not answered in this time either.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long requests go on after what happens is over: its last effects are seen, too.
const AFTERMATH: Duration = Duration::from_secs(2);

/// A load that is being sent to a Gateway.
#[derive(Debug)]
pub struct Traffic<'a> {
    world: &'a World,
    what: String,
    rate: u32,
    running: RunningLoad,
    started: Instant,
}

impl<'a> Traffic<'a> {
    /// Waits until the Gateway's port 8080 answers 200 for `host`, and starts at [`RATE`]; `what` is what is printed of it.
    ///
    /// # Panics
    /// It does not answer so.
    #[must_use]
    pub fn start(world: &'a World, what: &str, address: &str, host: &'static str) -> Self {
        Self::start_at(RATE, world, what, address, host)
    }

    /// The same at so many requests per second.
    ///
    /// # Panics
    /// It does not answer so.
    #[must_use]
    pub fn start_at(rate: u32, world: &'a World, what: &str, address: &str, host: &'static str) -> Self {
        wait_for_answer(world, address, host);
        let address = gateway_socket(address);
        let running = world.network.run(async move {
            let rate = NonZeroU32::new(rate).expect("some requests");
            Load { address, host: host.to_owned(), path: "/".to_owned(), rate }
                .start_patiently(ANSWER_LIMIT)
                .expect("a load")
        });
        Self { world, what: what.to_owned(), rate, running, started: Instant::now() }
    }

    /// Sends requests while `happening` runs, and a little longer; none may fail.
    ///
    /// # Panics
    /// A request failed, or the load did not run as it should.
    pub fn during<T>(
        world: &World,
        what: &str,
        address: &str,
        host: &'static str,
        happening: impl FnOnce() -> T,
    ) -> T {
        let traffic = Traffic::start(world, what, address, host);
        let result = happening();
        std::thread::sleep(AFTERMATH);
        traffic.finish();
        result
    }

    /// What became of the requests so far.
    #[must_use]
    pub fn progress(&self) -> LoadReport {
        self.running.progress()
    }

    /// Stops, prints what became of all requests, and fails unless each of them was answered with 2xx.
    ///
    /// # Panics
    /// A request failed, or the load did not run as it should.
    #[expect(clippy::must_use_candidate, reason = "the assertions are what most callers want")]
    pub fn finish(self) -> LoadReport {
        let what = self.what.clone();
        let report = self.stop();
        assert_eq!(report.failed(), 0, "{what}: {report}");
        report
    }

    /// Stops, and prints what became of all requests.
    ///
    /// # Panics
    /// The load did not run as it should.
    #[must_use]
    pub fn stop(self) -> LoadReport {
        let Self { world, what, rate, running, started } = self;
        let report = world.network.run(running.stop()).expect("every request has an outcome");
        let seconds = started.elapsed().as_secs_f64();
        println!("{what}: {report}, {seconds:.1} s");
        let due = 0.9 * f64::from(rate) * seconds;
        let finished = u32::try_from(report.finished()).expect("no more requests than seconds allow");
        assert!(f64::from(finished) >= due, "{what}: the load did not run: {finished} of {due:.0}");
        report
    }
}

/// Waits until the Gateway's port 8080 answers 200 for `host`, as often in a row as no single one of its Envoys
/// is likely to answer alone.
///
/// # Panics
/// It does not within the deadline.
pub fn wait_for_answer(world: &World, address: &str, host: &str) {
    let (address, host) = (gateway_socket(address), host.to_owned());
    world.network.run(async move {
        let answers = || async {
            for _ in 0..12 {
                let answer = get(address, &host, "/").await?;
                anyhow::ensure!(answer.status == 200, "{host}: {}", answer.status);
            }
            anyhow::Ok(())
        };
        eventually(DEADLINE, answers).await.expect("answers with 200");
    });
}

/// Where the Gateways of these tests listen.
///
/// # Panics
/// It is no IP address.
#[must_use]
pub fn gateway_socket(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an IP address"), 8080)
}
