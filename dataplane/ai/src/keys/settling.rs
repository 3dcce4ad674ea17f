//! How the service that counts is told what requests have spent of a reservation that they shared: a call of Envoy's rate limit
//! protocol (`envoy.service.ratelimit.v3`), which the module makes itself.
//!
//! What is not answered is told again. The service knows for some seconds what was settled, so that telling it twice charges
//! nothing twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use limit_rule::{BUDGET_KEY, Counted, DOMAIN, REQUEST_KEY, SHARED_KEY, STEP_KEY, Step};

use super::sharing::Settlement;
use crate::metadata::push_varint;

/// The method that is called.
pub const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How long it takes until something is told again.
const PAUSE: Duration = Duration::from_secs(1);

/// So often something is told. What nobody has heard then is charged as it was reserved, at the end of the lease.
const MOST_CALLS: u32 = 60;

/// What is to be settled. `Call` names a call that has no answer yet.
#[derive(Debug)]
pub struct Settling<Call> {
    waiting: Vec<Telling>,
    called: HashMap<Call, Telling>,
}

/// What the service is to be told.
#[derive(Debug)]
pub struct Telling {
    settlement: Settlement,
    at: Instant,
    calls: u32,
}

impl<Call> Default for Settling<Call> {
    fn default() -> Self {
        Self { waiting: Vec::new(), called: HashMap::new() }
    }
}

impl<Call: Eq + Hash> Settling<Call> {
    /// This is to be told.
    pub fn add(&mut self, settlements: Vec<Settlement>, now: Instant) {
        let telling = |settlement| Telling { settlement, at: now, calls: 0 };
        self.waiting.extend(settlements.into_iter().map(telling));
    }

    /// When something is to be told next.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|telling| telling.at).min()
    }

    /// What is to be told now. Each must be given to [`called`](Self::called) or [`failed`](Self::failed).
    pub fn take(&mut self, now: Instant) -> Vec<Telling> {
        self.waiting.extract_if(.., |telling| telling.at <= now).collect()
    }

    /// The service is being told.
    pub fn called(&mut self, call: Call, telling: Telling) {
        self.called.insert(call, telling);
    }

    /// A call has an answer, or will have none. `is_settled`: whether the service has done what it was told.
    pub fn answered(&mut self, call: &Call, is_settled: bool, now: Instant) {
        if let Some(telling) = self.called.remove(call)
            && !is_settled
        {
            self.failed(telling, now);
        }
    }

    /// The service could not be told.
    pub fn failed(&mut self, telling: Telling, now: Instant) {
        let Telling { settlement, calls, .. } = telling;
        if calls < MOST_CALLS {
            self.waiting.push(Telling { settlement, at: now + PAUSE, calls: calls + 1 });
        }
    }

    /// No call that fits will be answered: what it told is told again.
    pub fn forget(&mut self, fits: impl Fn(&Call) -> bool, now: Instant) {
        let lost = self.called.extract_if(|call, _| fits(call));
        self.waiting.extend(lost.map(|(_, telling)| Telling { at: now, ..telling }));
    }
}

impl Telling {
    /// The message of the call: a `RateLimitRequest`, behind what gRPC writes before each message.
    pub fn message(&self) -> Vec<u8> {
        let Settlement { account, name, spent, others } = &self.settlement;
        let mut request = Vec::with_capacity(512);
        field(&mut request, 1, DOMAIN.as_bytes());
        for (counted, budget) in account.lines().filter_map(|line| line.split_once(' ')) {
            let amount = if counted == Counted::Money.name() { spent.micros } else { spent.tokens };
            let others = (*others > 0).then(|| others.to_string());
            let entries = [(BUDGET_KEY, budget), (STEP_KEY, Step::Settle.name()), (REQUEST_KEY, name)];
            let entries = entries.into_iter().chain(others.as_deref().map(|others| (SHARED_KEY, others)));
            field(&mut request, 2, &descriptor(entries, amount));
        }
        let length = u32::try_from(request.len()).unwrap_or_default();
        [&[0], length.to_be_bytes().as_slice(), &request].concat()
    }
}

/// Whether an answer says that the service has done what it was told. gRPC tells errors in `grpc-status`, of answers without a
/// message in the header.
pub fn is_settled(status: u16, grpc_status: Option<&[u8]>, body_length: usize) -> bool {
    status == 200 && grpc_status.is_none_or(|status| status == b"0") && body_length > 0
}

/// A `RateLimitDescriptor`: its entries are field 1, `hits_addend` is field 3, an `UInt64Value`.
fn descriptor<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>, amount: u64) -> Vec<u8> {
    let mut descriptor = Vec::new();
    for (key, value) in entries {
        let mut entry = Vec::new();
        field(&mut entry, 1, key.as_bytes());
        field(&mut entry, 2, value.as_bytes());
        field(&mut descriptor, 1, &entry);
    }
    let mut value = vec![1 << 3];
    push_varint(&mut value, amount);
    field(&mut descriptor, 3, &value);
    descriptor
}

/// Writes a field that is a text or a message.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    message.push(number << 3 | 2);
    push_varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::super::Reservation;
    use super::*;

    fn settlement(account: &str, others: u64) -> Settlement {
        let spent = Reservation { tokens: 300, micros: 7 };
        Settlement { account: account.into(), name: "id".into(), spent, others }
    }

    #[test]
    fn what_is_told_is_a_message_of_the_protocol() {
        let telling = |others| Telling {
            settlement: settlement("tokens {a}\nmoney {b}\n", others),
            at: Instant::now(),
            calls: 0,
        };
        let entry = |key: &str, value: &str| {
            let text =
                |number: u8, text: &str| [&[number << 3 | 2, text.len() as u8], text.as_bytes()].concat();
            let both = [text(1, key), text(2, value)].concat();
            [&[0x0a, both.len() as u8], both.as_slice()].concat()
        };
        let descriptor = |budget: &str, others: &[u8], amount: &[u8]| {
            let entries = [
                entry("chancery.budget", budget),
                entry("chancery.step", "settle"),
                entry("chancery.request", "id"),
            ];
            let all = [entries.concat(), others.to_vec(), amount.to_vec()].concat();
            [&[0x12, all.len() as u8], all.as_slice()].concat()
        };
        for (count, others) in [(0, Vec::new()), (4, entry("chancery.shared", "4"))] {
            let tokens = descriptor("{a}", &others, b"\x1a\x03\x08\xac\x02");
            let money = descriptor("{b}", &others, b"\x1a\x02\x08\x07");
            let request = [b"\x0a\x08chancery".as_slice(), &tokens, &money].concat();
            let head = [0, 0, 0, (request.len() >> 8) as u8, request.len() as u8];
            assert_eq!(telling(count).message(), [head.as_slice(), &request].concat());
        }
    }

    #[test]
    fn what_was_not_heard_is_told_again() {
        let (mut settling, now) = (Settling::<u64>::default(), Instant::now());
        settling.add(vec![settlement("a", 0)], now);
        let mut at = now;
        let mut tell = |settling: &mut Settling<u64>, call: u64| {
            assert!(settling.take(at - Duration::from_millis(1)).is_empty());
            let telling = settling.take(at).pop().expect("it is due");
            assert_eq!(settling.next(), None);
            settling.called(call, telling);
            settling.answered(&call, false, at);
            at += PAUSE;
            assert_eq!(settling.next(), (call < u64::from(MOST_CALLS)).then_some(at));
        };
        (0..=u64::from(MOST_CALLS)).for_each(|call| tell(&mut settling, call));
    }

    #[test]
    fn what_was_told_by_somebody_who_is_gone_is_told_by_another_one() {
        let (mut settling, now) = (Settling::<u64>::default(), Instant::now());
        settling.add(vec![settlement("a", 0), settlement("b", 0)], now);
        for (call, telling) in settling.take(now).into_iter().enumerate() {
            settling.called(call as u64, telling);
        }
        settling.forget(|call| *call == 1, now);
        assert_eq!(settling.next(), Some(now));
        settling.answered(&0, true, now);
        settling.answered(&1, true, now);
        assert_eq!(settling.take(now).pop().map(|telling| telling.settlement), Some(settlement("b", 0)));
        assert_eq!(settling.next(), None);
    }

    #[test]
    fn an_answer_has_a_message_and_no_error() {
        assert!(is_settled(200, None, 5) && is_settled(200, Some(b"0"), 5));
        for (status, grpc_status, length) in
            [(503, None, 5), (200, Some(b"14".as_slice()), 5), (200, Some(b"14"), 0), (200, None, 0)]
        {
            assert!(!is_settled(status, grpc_status, length), "{status} {grpc_status:?} {length}");
        }
    }
}
