//! Requests that are counted in budgets, from the filter of keys, where they begin and end, to that of a cluster, which knows what
//! they come to. Both find them here, by a name in the dynamic metadata of their stream; so that what each event of an answer
//! comes to costs Envoy nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use ai::keys::sharing::{Member, Question, Sharing};
use ai::keys::{Account, Reservation};
use ai_config::{LIMIT_ANSWER_NAMESPACE, RUNNING_KEY, SHARED_KEY, SPENDING_NAMESPACE};

use crate::abi::{MetadataSource, Stream};
use crate::settling::Clock;

/// What runs in this proxy.
static RUNNING: LazyLock<Mutex<Running>> = LazyLock::new(Mutex::default);

/// All requests that are counted in budgets, and what they share.
#[derive(Debug, Default)]
pub(crate) struct Running {
    by_name: HashMap<Arc<str>, Arc<Spending>>,
    pub(crate) sharing: Sharing,
    pub(crate) clock: Clock,
}

/// A request that is counted in budgets.
#[derive(Debug)]
pub(crate) struct Spending {
    account: Arc<Account>,
    reserved: Reservation,
    question: Question,
    member: Mutex<Option<Member>>,
    tokens: AtomicU64,
    micros: AtomicU64,
}

impl Spending {
    /// A request of this account begins that may come to so much. What the service that counts is to be asked is written into the
    /// metadata of the stream.
    pub(crate) fn begin(stream: &mut Stream, account: Arc<Account>, reserved: Reservation) -> Arc<Self> {
        let name: Arc<str> = request_name().into();
        let shared_by = account.can_share().then(|| account.shared_by());
        let mut all = running();
        let shared_by = shared_by.filter(|_| all.can_settle());
        let (member, question) = all.sharing.begin(shared_by.as_deref(), &name, reserved, Instant::now());
        drop(all);
        stream.set_metadata(SPENDING_NAMESPACE, &account.begun(&name, reserved, question));
        let spending = Arc::new(Self {
            account,
            reserved,
            question,
            member: Mutex::new(Some(member)),
            tokens: AtomicU64::new(0),
            micros: AtomicU64::new(0),
        });
        running().by_name.insert(name, Arc::clone(&spending));
        spending
    }

    /// The request of a stream, if it is counted in budgets.
    pub(crate) fn of(stream: &Stream) -> Option<Arc<Self>> {
        let name = stream.metadata(MetadataSource::Dynamic, SPENDING_NAMESPACE, RUNNING_KEY)?;
        let spending = running().by_name.get(std::str::from_utf8(name).ok()?).cloned()?;
        spending.hear(stream);
        Some(spending)
    }

    /// Looks at what the service has answered. At a further attempt that changes nothing.
    fn hear(&self, stream: &Stream) {
        if !matches!(self.question, Question::Shared(_)) {
            return;
        }
        let times = stream.metadata(MetadataSource::Dynamic, LIMIT_ANSWER_NAMESPACE, SHARED_KEY);
        let times = times.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        if let (Some(times), Some(member)) = (times, &mut *held(&self.member)) {
            running().sharing.granted(member, times, Instant::now());
        }
    }

    /// Whether it is counted what the request costs.
    pub(crate) fn counts_money(&self) -> bool {
        self.account.counts_money()
    }

    /// What the request may cost, in millionths of a US dollar.
    pub(crate) fn reserved_micros(&self) -> u64 {
        self.reserved.micros
    }

    /// What the request comes to if it ends now.
    pub(crate) fn spend(&self, spent: Reservation) {
        self.tokens.store(spent.tokens, Ordering::Relaxed);
        self.micros.store(spent.micros, Ordering::Relaxed);
    }

    /// The request has ended. If it settles what it had reserved for itself, that is written into the metadata of the stream; of a
    /// stream that is gone, the service is told nothing, and what was reserved waits for the end of its lease.
    pub(crate) fn end(&self, stream: Option<&mut Stream>) {
        let Some(member) = held(&self.member).take() else { return };
        let spent = Reservation {
            tokens: self.tokens.load(Ordering::Relaxed),
            micros: self.micros.load(Ordering::Relaxed),
        };
        let (mut running, now) = (running(), Instant::now());
        let request = running.by_name.remove_entry(member.name());
        let ended = running.sharing.end(member, spent, now);
        if ended.is_idle {
            running.wait(now);
        }
        drop(running);
        if let (Some(stream), Some((name, _)), true) = (stream, request, ended.settles) {
            stream.set_metadata(SPENDING_NAMESPACE, &self.account.ended(&name, spent));
        }
    }
}

/// What runs in this proxy. Nothing that Envoy calls back may be done while one has it.
pub(crate) fn running() -> MutexGuard<'static, Running> {
    held(&RUNNING)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other request of any proxy has.
fn request_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let random = || RandomState::new().hash_one(SystemTime::now());
        format!("{:016x}{:016x}", random(), random())
    });
    format!("{}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}
