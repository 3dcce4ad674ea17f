//! Envoy's rate limit protocol.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use limit_rule::{BUDGET_KEY, Budget, DOMAIN, FALLBACK_KEY, Mode, RULES_KEY, Rules, SHARED_ANSWER_KEY, Step};
use tonic::{Request, Response, Status};

use crate::budgets::{self, Asked, Spending, UnknownZone};
use crate::matching::{self, Match};
use crate::metrics::{Metrics, Verdict};
use crate::status::{Standing, is_over, tighten};
use crate::store::{
    Amount, Answer, Balance, Change, GRACE, Hit, LEASE, Listed, Memory, Moment, Outcome, Posting, Store,
    StoreError,
};
use crate::window::Window;

/// So many unknown time zones are told in the log.
const ZONES_TOLD: usize = 100;

/// Answers Envoy's questions. Clones share their counts.
#[derive(Clone, Debug)]
pub struct LimitService {
    store: Store,
    metrics: Metrics,
    lease: Duration,
    /// Whether requests of a proxy may share a reservation.
    lets_share: bool,
    is_store_away: Arc<AtomicBool>,
    unknown_zones: Arc<Mutex<BTreeSet<UnknownZone>>>,
}

/// What a request comes to, each with the place of its descriptor.
#[derive(Default)]
struct Found {
    limits: Vec<(usize, Match)>,
    budgets: Vec<(usize, Asked)>,
}

impl Default for LimitService {
    /// Counts in memory.
    fn default() -> Self {
        Self::new(Store::Memory(Memory::default()), Metrics::default())
    }
}

impl LimitService {
    /// Counts in that store.
    pub fn new(store: Store, metrics: Metrics) -> Self {
        let (is_store_away, unknown_zones) = (Arc::default(), Arc::default());
        Self { store, metrics, lease: LEASE, lets_share: true, is_store_away, unknown_zones }
    }

    /// With another time than [`LEASE`] after which a reservation is charged that nobody has settled.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Lets no requests share a reservation, if it counts in memory: where there are other replicas, a reservation of one connection of a proxy may
    /// be settled on another one, which leads to another replica.
    #[must_use]
    pub fn of_a_replica(self) -> Self {
        let lets_share = !matches!(self.store, Store::Memory(_));
        Self { lets_share, ..self }
    }

    /// The service for tonic's transport.
    pub fn server(self) -> RateLimitServiceServer<Self> {
        RateLimitServiceServer::new(self)
    }

    /// How a budget stands now.
    ///
    /// # Errors
    /// The store cannot be reached, or the budget's time zone is none.
    pub async fn spending(&self, budget: &Budget) -> Result<Spending, StoreError> {
        let all = self.spendings(std::slice::from_ref(budget)).await?;
        all.into_iter().next().ok_or_else(|| StoreError("the store: no answer".to_owned()))
    }

    /// How several budgets stand now, in their order, by one question to the store.
    ///
    /// # Errors
    /// The store cannot be reached, or the time zone of one of them is none.
    pub async fn spendings(&self, budgets: &[Budget]) -> Result<Vec<Spending>, StoreError> {
        self.spendings_at(budgets, Timestamp::now()).await
    }

    /// The same at some time.
    ///
    /// # Errors
    /// As [`Self::spendings`].
    pub async fn spendings_at(
        &self,
        budgets: &[Budget],
        now: Timestamp,
    ) -> Result<Vec<Spending>, StoreError> {
        if budgets.is_empty() {
            return Ok(Vec::new());
        }
        let postings = budgets.iter().map(|budget| budgets::posting(budget, Change::Look, now));
        let postings: Vec<Posting> =
            postings.collect::<Result<_, _>>().map_err(|error| StoreError(error.to_string()))?;
        let balances = self.store.count(&[], &postings, self.moment(now)).await?.balances;
        // The sum of those that are listed has the same reservations once more.
        let is_sum = |budget: &Budget| budget.is_listed && budget.spender.is_empty();
        for (budget, balance) in budgets.iter().zip(&balances).filter(|(budget, _)| !is_sum(budget)) {
            self.metrics.count_expired(&budget.name, balance.expired);
        }
        let spending = |(posting, balance): (&Posting, Balance)| Spending::of(balance, posting.window);
        Ok(postings.iter().zip(balances).map(spending).collect())
    }

    /// Who spends from a budget whose spenders are listed, in the unit of time of `now`: how many, and the `most` who have spent most.
    ///
    /// # Errors
    /// The store cannot be reached, or the budget's time zone is none.
    pub async fn spenders_at(
        &self,
        budget: &Budget,
        most: usize,
        now: Timestamp,
    ) -> Result<Listed, StoreError> {
        let posting = budgets::posting(budget, Change::Look, now);
        let posting = posting.map_err(|error| StoreError(error.to_string()))?;
        let list = budgets::list(budget, &posting);
        self.store.listed(&list, budget.limit, most, self.moment(now)).await
    }

    fn moment(&self, now: Timestamp) -> Moment {
        Moment { now, lease: self.lease }
    }

    async fn answer(&self, request: &RateLimitRequest, now: Timestamp) -> Result<RateLimitResponse, Status> {
        if request.domain != DOMAIN {
            return Err(Status::invalid_argument("the domain is not one of Chancery"));
        }
        let found = Found::of(request)?;
        let asked = found.limits.iter().filter_map(|(index, found)| {
            let amount = amount(request, request.descriptors.get(*index)?);
            Some(hit(found, amount, now))
        });
        let (hits, left): (Vec<Hit>, Vec<u64>) = asked.unzip();
        let postings = self.postings(request, &found, now)?;
        let all = found.with_sums(&postings);
        let Answer { outcomes, mut balances } = self.count(&found, &hits, &all, now).await?;
        // Sums refuse nothing.
        balances.truncate(postings.len());
        let unlimited = DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        let mut statuses = vec![unlimited; request.descriptors.len()];
        for ((index, found), (outcome, left)) in found.limits.iter().zip(outcomes.into_iter().zip(left)) {
            let verdict = if outcome.is_over { Verdict::over } else { Verdict::ok };
            self.metrics.count(&found.name, verdict);
            if let Some(status) = statuses.get_mut(*index) {
                tighten(status, standing(found, outcome, left).status());
            }
        }
        let mut fallback = None;
        let is_any_over = balances.iter().any(|balance| balance.is_over);
        let mut spenders = Vec::new();
        for ((index, asked), (posting, balance)) in found.budgets.iter().zip(postings.iter().zip(balances)) {
            self.tell_budget(asked, balance);
            spenders.extend(asked.spender(posting, balance, self.moment(now)));
            if balance.is_over && asked.falls_back() {
                // The first one counts.
                fallback.get_or_insert(&asked.budget.fallback);
            }
            if let Some(status) = statuses.get_mut(*index) {
                *status = standing_of_budget(asked, balance, posting.window.left(now)).status();
            }
        }
        if let Err(StoreError(error)) = self.store.list(&spenders, self.moment(now)).await {
            // They are listed with their next request.
            tracing::debug!(%error, "spenders are not listed");
        }
        let is_over = statuses.iter().any(is_over);
        let overall_code = if is_over { Code::OverLimit } else { Code::Ok }.into();
        let shared = match is_over || is_any_over || !self.lets_share {
            true => None,
            false => self.share(&found, &postings, now).await,
        };
        let text =
            |key: &str, text: String| (key.to_owned(), Value { kind: Some(value::Kind::StringValue(text)) });
        let fallback = fallback.map(|models| text(FALLBACK_KEY, models.clone()));
        let shared = shared.map(|times| text(SHARED_ANSWER_KEY, times.to_string()));
        let fields: HashMap<_, _> = fallback.into_iter().chain(shared).collect();
        let dynamic_metadata = (!fields.is_empty()).then_some(Struct { fields });
        Ok(RateLimitResponse { overall_code, statuses, dynamic_metadata, ..RateLimitResponse::default() })
    }

    /// Reserves as much for a request that other requests can share it, if it asks for that and much more is left: how many times as
    /// much.
    async fn share(&self, found: &Found, postings: &[Posting], now: Timestamp) -> Option<u64> {
        let times = found.budgets.iter().map(|(_, asked)| asked.can_share());
        let times = times.collect::<Option<Vec<u64>>>()?.into_iter().min()?;
        let enlarged = budgets::enlarged(postings, times)?;
        // If the store does not answer, the request has what it has reserved before.
        let answer = self.store.count(&[], &found.with_sums(&enlarged), self.moment(now)).await.ok()?;
        let mut balances = answer.balances.iter().take(enlarged.len());
        (!balances.any(|balance| balance.is_over)).then_some(times)
    }

    /// What is entered for the budgets of a request.
    fn postings(
        &self,
        request: &RateLimitRequest,
        found: &Found,
        now: Timestamp,
    ) -> Result<Vec<Posting>, Status> {
        let postings = found.budgets.iter().map(|(index, asked)| {
            let amount = request.descriptors.get(*index).and_then(|descriptor| given(request, descriptor));
            asked.posting(amount, now)
        });
        postings.collect::<Result<_, UnknownZone>>().map_err(|error| {
            let mut told = self.unknown_zones.lock().unwrap_or_else(PoisonError::into_inner);
            // Told once, not for each request.
            if told.len() < ZONES_TOLD && told.insert(error.clone()) {
                tracing::warn!(%error, "requests with this budget are refused");
            }
            Status::invalid_argument(error.to_string())
        })
    }

    fn tell_budget(&self, asked: &Asked, balance: Balance) {
        let name = &asked.budget.name;
        self.metrics.count_expired(name, balance.expired);
        if asked.step == Step::Settle {
            // The requests that nobody has asked about.
            self.metrics.count_budgets(name, Verdict::ok, asked.shared.unwrap_or_default());
        } else {
            let verdict = if balance.is_over { Verdict::over } else { Verdict::ok };
            self.metrics.count_budgets(name, verdict, 1);
        }
    }

    async fn count(
        &self,
        found: &Found,
        hits: &[Hit],
        postings: &[Posting],
        now: Timestamp,
    ) -> Result<Answer, Status> {
        if hits.is_empty() && postings.is_empty() {
            return Ok(Answer::default());
        }
        let answer = self.store.count(hits, postings, self.moment(now)).await;
        // Told when it begins and when it ends, not for each request.
        let was_away = self.is_store_away.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(error) if !was_away => {
                tracing::warn!(%error, "requests with rate limits and budgets are refused");
            }
            Ok(_) if was_away => tracing::info!("requests with rate limits and budgets are counted again"),
            _ => {}
        }
        answer.map_err(|StoreError(error)| {
            found.limits.iter().for_each(|(_, found)| self.metrics.count(&found.name, Verdict::failed));
            for (_, asked) in &found.budgets {
                self.metrics.count_budgets(&asked.budget.name, Verdict::failed, 1);
            }
            Status::unavailable(error)
        })
    }
}

impl Found {
    fn of(request: &RateLimitRequest) -> Result<Self, Status> {
        let mut all = Self::default();
        for (index, descriptor) in request.descriptors.iter().enumerate() {
            match descriptor.entries.split_first() {
                Some((first, entries)) if first.key == RULES_KEY => {
                    let rules = Rules::from_text(&first.value).map_err(|error| {
                        Status::invalid_argument(format!("limits of another version: {error}"))
                    })?;
                    let found = matching::limits(&rules, entries);
                    all.limits.extend(found.into_iter().map(|found| (index, found)));
                }
                Some((first, _)) if first.key == BUDGET_KEY => {
                    if descriptor.is_negative_hits {
                        return Err(Status::invalid_argument("hits of a budget cannot be negative"));
                    }
                    let asked = Asked::of(&descriptor.entries).map_err(Status::invalid_argument)?;
                    all.budgets.push((index, asked));
                }
                _ => {
                    return Err(Status::invalid_argument(
                        "a descriptor does not begin with its limits or its budget",
                    ));
                }
            }
        }
        matching::leave_out_outweighed(&mut all.limits);
        Ok(all)
    }

    /// What is entered for its budgets, and behind that the same for sums over their spenders.
    fn with_sums(&self, postings: &[Posting]) -> Vec<Posting> {
        let sums = self.budgets.iter().zip(postings).filter_map(|((_, asked), posting)| asked.sum(posting));
        postings.iter().cloned().chain(sums).collect()
    }
}

/// What is counted for a limit, and how many seconds its unit of time still takes.
fn hit(found: &Match, amount: Amount, now: Timestamp) -> (Hit, u64) {
    let window = Window::of(found.limit.unit, now, &TimeZone::UTC);
    let left = window.left(now);
    // One limit may be of requests, and another one of the same object of tokens.
    let counted = match found.mode {
        Mode::Count => "requests",
        Mode::Check | Mode::Charge => "tokens",
    };
    let (name, unit) = (&found.name, found.limit.unit);
    let key = format!("{name}|{counted}|{unit:?}|{}|{}", window.start, found.counter);
    let lifetime = Duration::from_secs(left) + GRACE;
    (Hit { key, mode: found.mode, amount, limit: found.limit.hits.into(), lifetime }, left)
}

/// How much a descriptor says that it is: it says so itself, or the request for all of them, where nothing is written as 0.
fn given(request: &RateLimitRequest, descriptor: &RateLimitDescriptor) -> Option<u64> {
    let of_all = || (request.hits_addend > 0).then(|| request.hits_addend.into());
    descriptor.hits_addend.as_ref().map(|addend| addend.value).or_else(of_all)
}

/// How much a descriptor counts: one if it does not say.
fn amount(request: &RateLimitRequest, descriptor: &RateLimitDescriptor) -> Amount {
    let amount = given(request, descriptor).unwrap_or(1);
    if descriptor.is_negative_hits { Amount::TakeBack(amount) } else { Amount::Add(amount) }
}

fn standing(found: &Match, outcome: Outcome, seconds_left: u64) -> Standing<'_> {
    let limit = found.limit.hits.into();
    Standing {
        name: &found.name,
        limit,
        unit: found.limit.unit,
        is_refused: outcome.is_over,
        remaining: u64::saturating_sub(limit, outcome.count),
        seconds_left,
    }
}

fn standing_of_budget(asked: &Asked, balance: Balance, seconds_left: u64) -> Standing<'_> {
    let budget = &asked.budget;
    Standing {
        name: &budget.name,
        limit: budget.limit,
        unit: budget.per,
        is_refused: balance.is_over && !budget.is_audit && !asked.falls_back(),
        remaining: budget.limit.saturating_sub(balance.spent).saturating_sub(balance.reserved),
        seconds_left,
    }
}

#[tonic::async_trait]
impl RateLimitService for LimitService {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        self.answer(request.get_ref(), Timestamp::now()).await.map(Response::new)
    }
}

#[cfg(test)]
mod tests;
