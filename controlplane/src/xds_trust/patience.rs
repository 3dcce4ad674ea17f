//! The times and limits of trust.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// How long something is believed, and how much of it there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The age at which a stream, and a connection, ends (± 20 %), so that replicas share the proxies anew.
    pub max_age: Duration,
    /// How old a review may be before it is repeated. While the API server is away, an older one is
    /// believed until the token expires.
    pub recheck_interval: Duration,
    /// How long a refused token is refused without asking.
    pub refusal_lifetime: Duration,
    /// A connection without a call that was let in is closed after so long, or half of it.
    pub idle_timeout: Duration,
    /// Streams of one pod at a time.
    pub max_streams_per_peer: usize,
    /// Streams that may begin in a second: so many with tokens that are known, and so many with others.
    pub new_streams_per_second: u32,
    /// How long a stream may wait for its turn to begin.
    pub longest_turn_wait: Duration,
}

impl Default for Patience {
    /// 30 min, 10 min, 10 s, 1 min, 4, 200, 10 s.
    fn default() -> Self {
        Self {
            max_age: Duration::from_mins(30),
            recheck_interval: Duration::from_mins(10),
            refusal_lifetime: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            max_streams_per_peer: 4,
            new_streams_per_second: 200,
            longest_turn_wait: Duration::from_secs(10),
        }
    }
}

impl Patience {
    /// [`Self::max_age`], ± 20 % at random, so that not all end at once.
    pub(super) fn jittered_age(&self) -> Duration {
        // The standard library's random keys are random enough to spread load.
        let random = RandomState::new().build_hasher().finish();
        self.max_age.mul_f64(0.8 + 0.4 * (random as f64 / u64::MAX as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_by_a_fifth_to_either_side() {
        let patience = Patience { max_age: Duration::from_secs(100), ..Patience::default() };
        let ages: Vec<Duration> = (0..1000).map(|_| patience.jittered_age()).collect();
        assert!(ages.iter().all(|age| (80..=120).contains(&age.as_secs())));
        assert!(ages.iter().any(|age| age.as_secs() < 90) && ages.iter().any(|age| age.as_secs() > 110));
    }
}
