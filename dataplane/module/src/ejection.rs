//! Which members of pools are ejected at the moment: their providers have said when to come again. The filters of
//! clusters write it, those of listeners read it: one module serves both in a process, and so do its statics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The members that clusters have, by name. Those of clusters that are gone leave with the next one that comes.
static MEMBERS: Mutex<BTreeMap<String, Weak<Member>>> = Mutex::new(BTreeMap::new());

/// Until when any of them is ejected, so that requests look no further while none is.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Times are counted from here, in milliseconds.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A member of a pool. It stays what it is while the configuration of its cluster changes.
#[derive(Debug, Default)]
pub(crate) struct Member {
    until: AtomicU64,
}

impl Member {
    /// The member of this name.
    pub(crate) fn of(name: &str) -> Arc<Self> {
        let mut members = members();
        if let Some(known) = members.get(name).and_then(Weak::upgrade) {
            return known;
        }
        members.retain(|_, member| member.strong_count() > 0);
        let member = Arc::<Self>::default();
        members.insert(name.to_owned(), Arc::downgrade(&member));
        member
    }

    /// Ejects it for this time at least; whether it was not ejected before.
    pub(crate) fn eject(&self, time: Duration) -> bool {
        let now = now();
        let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        LAST.fetch_max(until, Ordering::Relaxed);
        self.until.fetch_max(until, Ordering::Relaxed) <= now
    }
}

/// Whether any member is ejected.
pub(crate) fn is_any_ejected() -> bool {
    is_ahead(&LAST)
}

/// Calls `look` with what tells whether the member of a name is ejected.
pub(crate) fn with_ejected<T>(look: impl FnOnce(&dyn Fn(&str) -> bool) -> T) -> T {
    let members = members();
    look(&|name| members.get(name).and_then(Weak::upgrade).is_some_and(|member| is_ahead(&member.until)))
}

fn members() -> MutexGuard<'static, BTreeMap<String, Weak<Member>>> {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_ahead(time: &AtomicU64) -> bool {
    let time = time.load(Ordering::Relaxed);
    time > 0 && time > now()
}

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}
