use std::cell::Cell;

use k8s_openapi::jiff::ToSpan as _;
use limit_rule::{Budget, Counted, Unit};
use limits::store::{Change, Moment, Posting, Spender};
use limits::{Memory, Metrics, Store, Window};
use tokio::time::sleep;

use super::*;

thread_local! {
    /// In seconds since 1970.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

const START: &str = "2028-02-01T00:00:00Z";
const END: &str = "2028-03-01T00:00:00Z";

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn budget(name: &str) -> Budget {
    Budget {
        name: format!("default/{name}"),
        counted: Counted::Tokens,
        limit: 100,
        per: Unit::Month,
        time_zone: String::new(),
        spender: String::new(),
        is_audit: false,
        is_listed: false,
        fallback: String::new(),
    }
}

fn accounts(budget: &Budget, spenders: Option<usize>) -> Arc<BudgetAccounts> {
    let spenders = spenders.map_or(BudgetSpenders::Together, |count| {
        BudgetSpenders::Keys((0..count).map(|number| format!("default/k{number:03}")).collect())
    });
    Arc::new(BudgetAccounts { budget: budget.clone(), spenders })
}

fn object(name: &str) -> ObjectRef {
    ObjectRef::namespaced("chancery.dev", "Budget", "default", name)
}

/// Something that looks, with what it follows and tells.
struct Watched {
    memory: Memory,
    accounts: watch::Sender<Arc<Accounts>>,
    leadership: watch::Sender<Leadership>,
    told: watch::Receiver<Arc<Spends>>,
}

impl Watched {
    fn start(leadership: Leadership) -> Self {
        NOW.set(seconds("2028-02-29T23:30:00Z"));
        let memory = Memory::default();
        let limits = LimitService::new(Store::Memory(memory.clone()), Metrics::default());
        let (accounts, followed) = watch::channel(Arc::default());
        let (leadership, led) = watch::channel(leadership);
        let (told_sender, told) = watch::channel(Arc::default());
        let spending = Spending { clock, ..Spending::new(limits, followed, Some(led), told_sender) };
        tokio::spawn(spending.run());
        Self { memory, accounts, leadership, told }
    }

    fn has(&self, name: &str, of: &Arc<BudgetAccounts>) {
        self.accounts.send_modify(|all| drop(Arc::make_mut(all).insert(object(name), of.clone())));
    }

    /// So much more is spent or, by a request that goes on, reserved.
    async fn enter(&self, budget: &Budget, spender: &str, change: Change) {
        let account = format!("{}|tokens|Month|UTC|{spender}", budget.name);
        let window = Window { start: seconds(START), end: seconds(END) };
        let postings = [Posting { account, window, limit: u64::MAX, change }];
        Store::Memory(self.memory.clone()).count(&[], &postings, Moment::of(clock())).await.unwrap();
    }

    async fn spend(&self, budget: &Budget, spender: &str, amount: u64) {
        self.enter(budget, spender, Change::Spend { amount, is_audit: true }).await;
    }

    /// What is told, after what has come in was looked at.
    async fn now(&mut self, name: &str) -> Option<Arc<Spend>> {
        sleep(Duration::from_millis(1)).await;
        self.told.borrow_and_update().get(&object(name)).cloned()
    }
}

fn leader() -> Leadership {
    Leadership::Leader { until: Instant::now() + Duration::from_secs(100_000) }
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_is_told_at_once_and_then_from_time_to_time_and_only_if_it_is_another() {
    let mut watched = Watched::start(leader());
    let budget = budget("b");
    watched.spend(&budget, "", 30).await;
    let reserve = Change::Reserve { request: "r".to_owned(), amount: 20, is_audit: false };
    watched.enter(&budget, "", reserve).await;
    watched.has("b", &accounts(&budget, None));
    let first = watched.now("b").await.unwrap();
    assert_eq!((first.spent, first.reserved, first.is_exhausted()), (30, 20, false));
    assert_eq!((first.start.0.to_string(), first.end.0.to_string()), (START.to_owned(), END.to_owned()));
    sleep(PERIOD).await;
    assert!(!watched.told.has_changed().unwrap(), "nothing is another");
    watched.spend(&budget, "", 70).await;
    sleep(PERIOD / 2).await;
    assert!(!watched.told.has_changed().unwrap(), "it is not looked at so often");
    sleep(PERIOD).await;
    let second = watched.now("b").await.unwrap();
    assert_eq!((second.spent, second.is_exhausted()), (100, true));
    // Another month: nothing of it is spent, and what goes on is still reserved.
    NOW.set(seconds(END) + 60);
    sleep(PERIOD).await;
    let next = watched.now("b").await.unwrap();
    assert_eq!((next.spent, next.reserved, next.is_exhausted()), (0, 20, false));
    assert_eq!(next.start.0.to_string(), END);
    // Nobody settles what is reserved: it is charged to the month in which it began.
    NOW.set(clock().checked_add(2.hours()).unwrap().as_second());
    sleep(PERIOD).await;
    let last = watched.now("b").await.unwrap();
    assert_eq!((last.spent, last.reserved), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_many_spenders_those_are_told_who_have_spent_most() {
    let mut watched = Watched::start(leader());
    let budget = budget("each");
    let all = accounts(&budget, Some(250));
    for (number, of) in all.budgets().enumerate() {
        let amount = if number % 50 == 7 { 100 + u64::try_from(number).unwrap() } else { 1 };
        watched.spend(&budget, &of.spender, amount).await;
    }
    watched.has("each", &all);
    let told = watched.now("each").await.unwrap();
    assert_eq!((told.spent, told.exhausted, told.is_exhausted()), (245 + 5 * 107 + 500, 5, true));
    let most: Vec<_> = told.most.iter().map(|of| (of.spender.as_str(), of.spent)).collect();
    assert_eq!(most.len(), MOST_SPENDERS);
    assert_eq!(most[..3], [("default/k207", 307), ("default/k157", 257), ("default/k107", 207)]);
    assert_eq!(most[5], ("default/k000", 1));
    watched.has("none", &accounts(&self::budget("none"), Some(0)));
    sleep(PERIOD).await;
    let none = watched.now("none").await.unwrap();
    assert_eq!((none.end.0.to_string(), none.most.len(), none.is_exhausted()), (END.to_owned(), 0, false));
}

/// Nobody knows beforehand which values of a claim there are: the store lists them.
#[tokio::test(start_paused = true)]
async fn of_a_claim_the_values_are_told_that_have_spent_most() {
    let mut watched = Watched::start(leader());
    let budget = budget("each");
    let spenders = BudgetSpenders::Claim("sub".to_owned());
    let all = Arc::new(BudgetAccounts { budget: budget.clone(), spenders });
    let list = format!("{}|tokens|Month|UTC|{}", budget.name, seconds(START));
    let store = Store::Memory(watched.memory.clone());
    for number in 0..30_u64 {
        let name = format!("sub=u{number:02}");
        watched.spend(&budget, &name, 71 + number).await;
        watched.spend(&budget, "", 71 + number).await;
        let until = seconds(END) * 1_000;
        let spender = Spender { list: list.clone(), name, spent: 71 + number, until };
        store.list(&[spender], Moment::of(clock())).await.unwrap();
    }
    watched.has("each", &all);
    let told = watched.now("each").await.unwrap();
    assert_eq!((told.spent, told.count, told.exhausted), (30 * 71 + 435, 30, 1));
    assert_eq!(told.most.len(), MOST_SPENDERS);
    assert_eq!((told.most[0].spender.as_str(), told.most[0].spent), ("sub=u29", 100));
}

#[tokio::test(start_paused = true)]
async fn the_leader_alone_looks_and_another_budget_in_the_place_of_one_is_looked_at_soon() {
    let mut watched = Watched::start(Leadership::Follower);
    let mut budget = budget("b");
    watched.has("b", &accounts(&budget, None));
    sleep(3 * PERIOD).await;
    assert_eq!(watched.now("b").await, None);
    watched.leadership.send_replace(leader());
    assert!(watched.now("b").await.is_some());
    // Edits one after the other: each shows soon, and not all of them are looked at.
    let mut looks = 0;
    for limit in 0..30 {
        budget.limit = limit;
        watched.has("b", &accounts(&budget, None));
        sleep(Duration::from_millis(200)).await;
        looks += u32::from(watched.told.has_changed().unwrap());
        watched.told.mark_unchanged();
    }
    assert!((1..=4).contains(&looks), "{looks}");
    sleep(PAUSE).await;
    assert_eq!(watched.now("b").await.unwrap().accounts.budget.limit, 29);
    // What is gone is not told any more.
    watched.accounts.send_replace(Arc::default());
    watched.has("c", &accounts(&self::budget("c"), None));
    sleep(PERIOD).await;
    assert_eq!(watched.now("b").await, None);
    assert!(watched.now("c").await.is_some());
}

#[test]
fn the_more_there_is_to_look_at_the_less_often_it_is() {
    let many = |budgets: usize, spenders: usize| {
        let of = accounts(&budget("b"), Some(spenders));
        period(&(0..budgets).map(|number| (object(&number.to_string()), of.clone())).collect())
    };
    assert_eq!(many(1, 1), PERIOD);
    assert_eq!(many(1_000, 1), Duration::from_secs(100), "at most ten writes a second");
    assert_eq!(many(2, 50_000), Duration::from_secs(100));
}
