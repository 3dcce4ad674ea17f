//! What was found out about tokens. Pure: the clock is passed in.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::patience::Patience;
use super::review::{Reviewed, Verdict};
use super::token::TokenDigest;

/// Verdicts kept at a time: more than there are proxies, and little memory.
const MAX_VERDICTS: usize = 16 * 1024;

/// Verdicts by the hash of the token.
#[derive(Default)]
pub(super) struct Verdicts {
    known: BTreeMap<TokenDigest, Known>,
}

struct Known {
    verdict: Verdict,
    reviewed_at: SystemTime,
    /// When the token expires, or a refusal is forgotten.
    believed_until: SystemTime,
}

/// What is known of a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It is genuine.
    Genuine(Reviewed),
    /// It was genuine, long enough ago to ask again.
    Stale(Reviewed),
    /// It was refused a moment ago.
    Rejected,
    /// Nothing.
    Unknown,
}

impl Verdicts {
    pub(super) fn look_up(&self, token: &TokenDigest, now: SystemTime, patience: &Patience) -> Lookup {
        let Some(known) = self.known.get(token).filter(|known| now < known.believed_until) else {
            return Lookup::Unknown;
        };
        // A clock that was set back makes it old.
        let age = now.duration_since(known.reviewed_at).unwrap_or(patience.recheck_interval);
        match &known.verdict {
            Verdict::Rejected => Lookup::Rejected,
            Verdict::Genuine(reviewed) if age < patience.recheck_interval => {
                Lookup::Genuine(reviewed.clone())
            }
            Verdict::Genuine(reviewed) => Lookup::Stale(reviewed.clone()),
        }
    }

    /// Keeps a verdict about a token that says to expire at `expires_at`.
    pub(super) fn insert(
        &mut self,
        token: TokenDigest,
        verdict: Verdict,
        expires_at: SystemTime,
        now: SystemTime,
        patience: &Patience,
    ) {
        let believed_until = match verdict {
            Verdict::Genuine(_) => expires_at,
            Verdict::Rejected => expires_at.min(now + patience.refusal_lifetime),
        };
        if self.known.len() >= MAX_VERDICTS {
            self.make_room(now);
        }
        self.known.insert(token, Known { verdict, reviewed_at: now, believed_until });
    }

    /// Forgets what has expired; if that is not enough, all refusals; and if that is not, everything.
    fn make_room(&mut self, now: SystemTime) {
        self.known.retain(|_, known| now < known.believed_until);
        if self.known.len() >= MAX_VERDICTS {
            self.known.retain(|_, known| known.verdict != Verdict::Rejected);
        }
        if self.known.len() >= MAX_VERDICTS {
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::xds_trust::review::ServiceAccount;
    use crate::xds_trust::token::BearerToken;

    fn reviewed() -> Reviewed {
        let service_account = ServiceAccount { namespace: "a".to_owned(), name: "b".to_owned() };
        Reviewed { service_account, pod: None }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn digest(token: &str) -> TokenDigest {
        BearerToken::new(token).digest()
    }

    #[test]
    fn a_genuine_token_is_fresh_then_stale_then_forgotten() {
        let (mut verdicts, patience) = (Verdicts::default(), Patience::default());
        verdicts.insert(digest("a"), Verdict::Genuine(reviewed()), at(3600), at(0), &patience);
        let rows = [
            (0, Lookup::Genuine(reviewed())),
            (599, Lookup::Genuine(reviewed())),
            (600, Lookup::Stale(reviewed())),
            (3599, Lookup::Stale(reviewed())),
            (3600, Lookup::Unknown),
        ];
        for (seconds, expected) in rows {
            assert_eq!(verdicts.look_up(&digest("a"), at(seconds), &patience), expected, "{seconds} s");
        }
        assert_eq!(verdicts.look_up(&digest("b"), at(0), &patience), Lookup::Unknown);
    }

    #[test]
    fn a_refusal_is_forgotten_soon() {
        let (mut verdicts, patience) = (Verdicts::default(), Patience::default());
        verdicts.insert(digest("a"), Verdict::Rejected, at(3600), at(0), &patience);
        assert_eq!(verdicts.look_up(&digest("a"), at(9), &patience), Lookup::Rejected);
        assert_eq!(verdicts.look_up(&digest("a"), at(10), &patience), Lookup::Unknown);
    }

    #[test]
    fn a_flood_of_refused_tokens_does_not_push_out_genuine_ones() {
        let (mut verdicts, patience) = (Verdicts::default(), Patience::default());
        verdicts.insert(digest("genuine"), Verdict::Genuine(reviewed()), at(3600), at(0), &patience);
        for number in 0..2 * MAX_VERDICTS {
            verdicts.insert(digest(&number.to_string()), Verdict::Rejected, at(3600), at(0), &patience);
            assert!(verdicts.known.len() <= MAX_VERDICTS);
        }
        let genuine = verdicts.look_up(&digest("genuine"), at(0), &patience);
        assert_eq!(genuine, Lookup::Genuine(reviewed()));
    }
}
