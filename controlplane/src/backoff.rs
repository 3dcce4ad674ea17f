//! Waits between attempts: growing, and never the same for two that failed together.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Waits that double from attempt to attempt, up to a limit, with jitter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Before the second attempt.
    pub(crate) first: Duration,
    /// The longest.
    pub(crate) limit: Duration,
}

impl Waits {
    /// How long to wait after one more failure than so many.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        jitter(self.first.saturating_mul(factor).min(self.limit))
    }
}

/// Counts the attempts of one who waits between them.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    waits: Waits,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, limit: Duration) -> Self {
        Self { waits: Waits { first, limit }, attempts: 0 }
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.waits.after(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        wait
    }

    /// Failures since the last success.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Between three quarters of `wait` and all of it.
pub(crate) fn jitter(wait: Duration) -> Duration {
    // The standard library's source of randomness: good enough to keep replicas apart.
    let random = RandomState::new().build_hasher().finish();
    let part = u32::try_from(random % 256).unwrap_or_default();
    wait.mul_f64(0.75 + 0.25 * f64::from(part) / 256.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for (at_least, at_most) in [(0.75, 1.0), (1.5, 2.0), (3.0, 4.0), (3.75, 5.0), (3.75, 5.0)] {
            let wait = backoff.next().as_secs_f64();
            assert!((at_least..=at_most).contains(&wait), "{wait}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for _ in 0..100 {
            assert!(backoff.next() <= Duration::from_secs(5));
        }
    }
}
