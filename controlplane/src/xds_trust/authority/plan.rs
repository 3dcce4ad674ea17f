//! What the leader has to do about the authority, decided from times alone.

use std::time::{Duration, SystemTime};

/// Certificates are valid from a little earlier, for proxies whose clocks are behind.
pub(super) const BACKDATE: Duration = Duration::from_hours(1);
/// A successor is published when the signing authority has less than this left.
const RENEW_BEFORE: Duration = Duration::from_hours(90 * 24);
/// A successor signs once it has been published for so long: far more than the kubelet and Envoy need to
/// bring it into every proxy, and than two of the longest streams.
const OVERLAP: Duration = Duration::from_hours(24);
/// … and once this process has published it for so long: nobody published it while no leader was running.
const SEEN: Duration = Duration::from_hours(1);

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// The validities of what the Secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) signing: Validity,
    pub(super) next: Option<Next>,
    pub(super) retired: Option<Validity>,
}

/// A published successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) validity: Validity,
    /// Since when this process knows, and so publishes, it.
    pub(super) seen_at: SystemTime,
}

/// A single change of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, until then at the latest.
    Wait(SystemTime),
    /// Make the first authority, or one in place of what cannot be used.
    Begin,
    /// Make and publish a successor.
    Announce,
    /// Let the successor sign, and retire the one before.
    Promote,
    /// Stop trusting what has expired.
    Forget,
}

/// The next change. `None` is a Secret that holds nothing of use.
pub(super) fn plan(now: SystemTime, stored: Option<&Stored>) -> Action {
    let Some(Stored { signing, next, retired }) = stored else {
        return Action::Begin;
    };
    let next = next.filter(|next| now < next.validity.not_after);
    let expired = now >= signing.not_after;
    match (next, expired) {
        (None, true) => return Action::Begin,
        // Too late for an overlap. It was published at least.
        (Some(_), true) => return Action::Promote,
        (Some(next), false) if now >= promotion(&next) => return Action::Promote,
        (None, false) if now >= signing.not_after - RENEW_BEFORE => return Action::Announce,
        (Some(_) | None, false) => {}
    }
    if retired.is_some_and(|retired| now >= retired.not_after) {
        return Action::Forget;
    }
    let change = next.map_or(signing.not_after - RENEW_BEFORE, |next| promotion(&next));
    let forget = retired.map(|retired| retired.not_after);
    Action::Wait(forget.map_or(change, |forget| forget.min(change)))
}

fn promotion(next: &Next) -> SystemTime {
    (next.validity.not_before + BACKDATE + OVERLAP).max(next.seen_at + SEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 86_400.0;

    /// `days` after an arbitrary moment far from the epoch.
    fn day(days: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64((20_000.0 + days) * DAY)
    }

    /// Of an authority made on that day.
    fn made(at: f64) -> Validity {
        Validity { not_before: day(at) - BACKDATE, not_after: day(at + 365.0) }
    }

    fn next(at: f64, seen: f64) -> Option<Next> {
        Some(Next { validity: made(at), seen_at: day(seen) })
    }

    #[test]
    fn each_state_leads_to_one_change() {
        let stored = |signing, next, retired| Some(Stored { signing, next, retired });
        let hour = 1.0 / 24.0;
        let rows = [
            ("an empty Secret", 0.0, None, Action::Begin),
            ("a new authority", 0.0, stored(made(0.0), None, None), Action::Wait(day(275.0))),
            ("just before the time", 274.9, stored(made(0.0), None, None), Action::Wait(day(275.0))),
            ("at the time", 275.0, stored(made(0.0), None, None), Action::Announce),
            ("published", 275.1, stored(made(0.0), next(275.0, 275.0), None), Action::Wait(day(276.0))),
            ("published long enough", 276.0, stored(made(0.0), next(275.0, 275.0), None), Action::Promote),
            (
                "published, but just seen by this process",
                300.0,
                stored(made(0.0), next(275.0, 300.0), None),
                Action::Wait(day(300.0 + hour)),
            ),
            (
                "expired before the overlap",
                365.0,
                stored(made(0.0), next(364.9, 364.9), None),
                Action::Promote,
            ),
            (
                "expired, and so is the successor",
                900.0,
                stored(made(0.0), next(275.0, 275.0), None),
                Action::Begin,
            ),
            ("expired without a successor", 365.0, stored(made(0.0), None, None), Action::Begin),
            (
                "promoted, the one before is still valid",
                276.0,
                stored(made(275.0), None, Some(made(0.0))),
                Action::Wait(day(365.0)),
            ),
            ("the one before has expired", 365.0, stored(made(275.0), None, Some(made(0.0))), Action::Forget),
            (
                "the successor has expired, by a restored backup",
                300.0,
                stored(made(100.0), next(-100.0, 0.0), None),
                Action::Wait(day(375.0)),
            ),
        ];
        for (name, now, stored, expected) in rows {
            let action = plan(day(now), stored.as_ref());
            match (action, expected) {
                (Action::Wait(action), Action::Wait(expected)) => {
                    let difference = action.max(expected).duration_since(action.min(expected)).unwrap();
                    assert!(difference < Duration::from_millis(10), "{name}: {difference:?}");
                }
                _ => assert_eq!(action, expected, "{name}"),
            }
        }
    }

    #[test]
    fn a_proxy_is_never_shown_an_authority_that_it_was_not_told_of() {
        // A leader that looks every hour, over three years; proxies learn the bundle within the hour.
        let mut stored = Stored { signing: made(0.0), next: None, retired: None };
        let mut known = vec![made(0.0)];
        for hour in 0..3 * 365 * 24 {
            let now = day(f64::from(hour) / 24.0);
            assert!(known.contains(&stored.signing), "hour {hour}: signed by an unknown authority");
            assert!(now < stored.signing.not_after, "hour {hour}: signed by an expired authority");
            known = [Some(stored.signing), stored.next.map(|next| next.validity), stored.retired]
                .into_iter()
                .flatten()
                .collect();
            match plan(now, Some(&stored)) {
                Action::Wait(_) => {}
                Action::Begin => panic!("hour {hour}: a new beginning"),
                Action::Announce => stored.next = next(f64::from(hour) / 24.0, f64::from(hour) / 24.0),
                Action::Promote => {
                    let successor = stored.next.take().unwrap().validity;
                    stored.retired = Some(std::mem::replace(&mut stored.signing, successor));
                }
                Action::Forget => stored.retired = None,
            }
        }
    }
}
