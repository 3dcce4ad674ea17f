//! A seam between two parts of the program that loses nothing and grows no queue: the newest value of every key.
//!
//! What is put in together is taken out together, or later, but never in parts.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A mailbox: where values are put in, and where they are taken out.
pub fn mailbox<K, V>() -> (Sender<K, V>, Receiver<K, V>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::default()), news: Notify::new() });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// Puts values in.
#[derive(Debug)]
pub struct Sender<K, V> {
    shared: Arc<Shared<K, V>>,
}

/// Takes values out.
#[derive(Debug)]
pub struct Receiver<K, V> {
    shared: Arc<Shared<K, V>>,
}

#[derive(Debug)]
struct Shared<K, V> {
    state: Mutex<State<K, V>>,
    news: Notify,
}

#[derive(Debug)]
struct State<K, V> {
    values: BTreeMap<K, V>,
    /// Whether something was put in that was not taken out yet, be it nothing.
    has_news: bool,
    is_closed: bool,
}

impl<K, V> Default for State<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), has_news: false, is_closed: false }
    }
}

impl<K, V> Shared<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        // Whole after every statement below, so that a panic elsewhere cannot have torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord, V> Sender<K, V> {
    /// Puts values in, in place of earlier ones of the same keys. Nothing at all is news, too: the receiver may wait
    /// for the first.
    pub fn put(&self, values: impl IntoIterator<Item = (K, V)>) {
        let mut state = self.shared.lock();
        state.values.extend(values);
        state.has_news = true;
        drop(state);
        self.shared.news.notify_one();
    }
}

impl<K, V> Drop for Sender<K, V> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.news.notify_one();
    }
}

impl<K, V> Receiver<K, V> {
    /// Waits for news and takes all of them; `None` when there are no more to come.
    ///
    /// Cancel safe.
    pub async fn take(&mut self) -> Option<BTreeMap<K, V>> {
        match self.changed().await {
            true => self.try_take(),
            false => None,
        }
    }

    /// Waits for news and leaves them there; `false` when there are no more to come.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> bool {
        loop {
            let news = self.shared.news.notified();
            let (has_news, is_closed) = {
                let state = self.shared.lock();
                (state.has_news, state.is_closed)
            };
            if has_news || is_closed {
                return has_news;
            }
            news.await;
        }
    }

    /// Takes what is there; `None` if there is no news.
    pub fn try_take(&mut self) -> Option<BTreeMap<K, V>> {
        let mut state = self.shared.lock();
        mem::take(&mut state.has_news).then(|| mem::take(&mut state.values))
    }

    /// Whether there is something to take.
    pub fn has_news(&self) -> bool {
        self.shared.lock().has_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_of_every_key_comes_out_all_at_once() {
        let (sender, mut receiver) = mailbox();
        sender.put([(1, "a"), (2, "b")]);
        sender.put([(1, "c")]);
        assert!(receiver.has_news());
        assert_eq!(receiver.take().await, Some([(1, "c"), (2, "b")].into()));
        assert_eq!(receiver.try_take(), None);
    }

    #[tokio::test]
    async fn nothing_is_news_too_and_the_end_is_told_after_the_last_news() {
        let (sender, mut receiver) = mailbox::<u8, u8>();
        sender.put([]);
        assert_eq!(receiver.take().await, Some(BTreeMap::new()));
        let waiting = tokio::spawn(async move { (receiver.take().await, receiver.take().await) });
        sender.put([(1, 1)]);
        drop(sender);
        assert_eq!(waiting.await.unwrap(), (Some([(1, 1)].into()), None));
    }
}
