//! Who spends, where nobody knows beforehand who does: what stands here is for people, and nothing is refused by it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Moment;
use super::schedule::Schedule;

/// So many spenders of a budget are listed in each unit of time: those who have spent most.
pub(super) const MOST_LISTED: usize = 10_000;

/// A spender in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The name of the list: of a budget and a unit of time.
    pub list: String,
    /// The spender, as accounts name it.
    pub name: String,
    /// What is spent by now.
    pub spent: u64,
    /// Until when the list is of use, in milliseconds since 1970.
    pub until: i64,
}

/// What stands in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// How many spenders there are.
    pub count: usize,
    /// How many of them have spent the limit.
    pub exhausted: usize,
    /// Those who have spent most, the first first.
    pub most: Vec<String>,
}

/// Lists in this process, each until it is of no use any more.
#[derive(Debug, Default)]
pub(super) struct Lists {
    by_name: HashMap<Arc<str>, List>,
    ends: Schedule<Arc<str>>,
}

#[derive(Debug, Default)]
struct List {
    spent: HashMap<Arc<str>, u64>,
    /// The same by what is spent.
    order: BTreeSet<(u64, Arc<str>)>,
}

impl Lists {
    /// Lists spenders.
    pub(super) fn list(&mut self, spenders: &[Spender], moment: Moment) {
        while let Some(name) = self.ends.take_due(moment.millis()) {
            self.by_name.remove(&name);
        }
        for spender in spenders {
            let name: Arc<str> = spender.list.as_str().into();
            self.by_name.entry(name.clone()).or_default().put(&spender.name, spender.spent);
            self.ends.extend(name, spender.until);
        }
    }

    /// What stands in a list.
    pub(super) fn listed(&self, list: &str, limit: u64, most: usize, moment: Moment) -> Listed {
        let is_over = self.ends.time(&list.into()).is_none_or(|end| end <= moment.millis());
        let Some(list) = self.by_name.get(list).filter(|_| !is_over) else { return Listed::default() };
        let highest = list.order.iter().rev();
        Listed {
            count: list.order.len(),
            exhausted: list.order.range((limit, Arc::from(""))..).count(),
            most: highest.take(most).map(|(_, name)| name.to_string()).collect(),
        }
    }

    /// How many spenders are listed.
    pub(super) fn len(&self) -> usize {
        self.by_name.values().map(|list| list.order.len()).sum()
    }
}

impl List {
    fn put(&mut self, name: &str, spent: u64) {
        let name: Arc<str> = name.into();
        if let Some(before) = self.spent.insert(name.clone(), spent) {
            self.order.remove(&(before, name.clone()));
        }
        self.order.insert((spent, name));
        if self.order.len() > MOST_LISTED
            && let Some((_, name)) = self.order.pop_first()
        {
            self.spent.remove(&name);
        }
    }
}
