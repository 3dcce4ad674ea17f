//! Spreads the beginnings of streams over time: after a restart, every proxy comes at once, and each wants its token
//! reviewed and everything sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic::Status;

/// After a pause, as many streams as belong to so long a time begin without a wait.
const BURST: Duration = Duration::from_secs(1);

/// Lets so many streams begin per second, and the others wait for their turn.
#[derive(Debug)]
pub(super) struct StreamRate {
    interval: Duration,
    longest_wait: Duration,
    /// When the next one may begin; if that is longer ago than [`BURST`], it counts as [`BURST`] ago.
    next: Mutex<Instant>,
}

impl StreamRate {
    /// `per_second` streams; none waits longer than `longest_wait`.
    pub(super) fn new(per_second: u32, longest_wait: Duration) -> Self {
        let now = Instant::now();
        let next = Mutex::new(now.checked_sub(BURST).unwrap_or(now));
        Self { interval: Duration::from_secs(1) / per_second.max(1), longest_wait, next }
    }

    /// Returns when one more stream may begin.
    ///
    /// # Errors
    /// `Unavailable` at once if it would have to wait too long: the proxy tries again by itself, later and later.
    pub(super) async fn turn(&self) -> Result<(), Status> {
        let turn = self.take(Instant::now());
        let turn =
            turn.ok_or_else(|| Status::unavailable("too many new streams at this time; please try again"))?;
        sleep_until(turn).await;
        Ok(())
    }

    /// The moment of the next free turn, which is taken then; `None` if it is too far away.
    fn take(&self, now: Instant) -> Option<Instant> {
        // Whole after every statement.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.checked_sub(BURST).map_or(*next, |oldest| oldest.max(*next));
        if turn.saturating_duration_since(now) > self.longest_wait {
            return None;
        }
        *next = turn + self.interval;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_of_streams_begins_at_once_and_the_others_one_after_the_other() {
        tokio::time::advance(Duration::from_secs(10)).await;
        let rate = StreamRate::new(100, Duration::from_secs(2));
        let started = Instant::now();
        for _ in 0..100 {
            rate.turn().await.unwrap();
        }
        assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
        for _ in 0..150 {
            rate.turn().await.unwrap();
        }
        let elapsed = started.elapsed().as_millis();
        assert!((1450..1550).contains(&elapsed), "{elapsed}");
        // After a time without any, no more than a second's worth is made up for.
        tokio::time::advance(Duration::from_secs(60)).await;
        let turns: Vec<_> = (0..200).map_while(|_| rate.take(Instant::now())).collect();
        let late = turns.iter().filter(|turn| **turn > Instant::now()).count();
        assert!((95..=100).contains(&late), "{late}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told_at_once_and_takes_no_turn() {
        let rate = StreamRate::new(10, Duration::from_secs(1));
        let now = Instant::now();
        let turns = (0..100).filter_map(|_| rate.take(now)).count();
        assert!((10..=22).contains(&turns), "{turns}");
        let refusal = rate.turn().await.unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::Unavailable);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(rate.turn().await.is_ok());
    }
}
