//! Envoy's rate limit protocol.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as ProtoUnit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use jiff::Timestamp;
use limit_rule::{DOMAIN, Mode, RULES_KEY, Rules, Unit};
use tonic::{Request, Response, Status};

use crate::matching::{self, Match};
use crate::metrics::{Metrics, Verdict};
use crate::store::{Amount, Hit, Memory, Outcome, Store, StoreError};
use crate::window::Window;

/// How much longer than its unit of time a count is kept: clocks of different machines differ.
const GRACE: Duration = Duration::from_secs(60);

/// Answers Envoy's questions. Clones share their counts.
#[derive(Clone, Debug)]
pub struct LimitService {
    store: Store,
    metrics: Metrics,
}

/// A limit of a request, and the descriptor that it belongs to.
struct Asked {
    descriptor: usize,
    found: Match,
    hit: Hit,
    left: u64,
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
        Self { store, metrics }
    }

    /// The service for tonic's transport.
    pub fn server(self) -> RateLimitServiceServer<Self> {
        RateLimitServiceServer::new(self)
    }

    async fn answer(&self, request: &RateLimitRequest, now: Timestamp) -> Result<RateLimitResponse, Status> {
        if request.domain != DOMAIN {
            return Err(Status::invalid_argument("the domain is not one of Chancery"));
        }
        let asked = asked(request, now)?;
        let hits: Vec<Hit> = asked.iter().map(|asked| asked.hit.clone()).collect();
        let outcomes = self.count(&asked, &hits).await?;
        let unlimited = DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        let mut statuses = vec![unlimited; request.descriptors.len()];
        for (Asked { descriptor, found, left, .. }, outcome) in asked.iter().zip(outcomes) {
            let verdict = if outcome.is_over { Verdict::over } else { Verdict::ok };
            self.metrics.count(&found.name, verdict);
            let status = statuses.get_mut(*descriptor);
            if let Some(status) = status {
                tighten(status, status_of(found, outcome, *left));
            }
        }
        let is_over = statuses.iter().any(|status| status.code == i32::from(Code::OverLimit));
        let overall_code = if is_over { Code::OverLimit } else { Code::Ok }.into();
        Ok(RateLimitResponse { overall_code, statuses, ..RateLimitResponse::default() })
    }

    async fn count(&self, asked: &[Asked], hits: &[Hit]) -> Result<Vec<Outcome>, Status> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.store.count(hits).await;
        outcomes.map_err(|StoreError(error)| {
            asked.iter().for_each(|asked| self.metrics.count(&asked.found.name, Verdict::failed));
            tracing::warn!(%error, "requests cannot be counted");
            Status::unavailable(error)
        })
    }
}

/// The limits that a request comes to.
fn asked(request: &RateLimitRequest, now: Timestamp) -> Result<Vec<Asked>, Status> {
    let mut all = Vec::new();
    for (index, descriptor) in request.descriptors.iter().enumerate() {
        let (rules, entries) = match descriptor.entries.split_first() {
            Some((first, entries)) if first.key == RULES_KEY => (&first.value, entries),
            _ => return Err(Status::invalid_argument("a descriptor does not begin with its limits")),
        };
        let rules = Rules::from_text(rules)
            .map_err(|error| Status::invalid_argument(format!("limits of another version: {error}")))?;
        all.extend(matching::limits(&rules, entries).into_iter().map(|found| (index, found)));
    }
    let mut kept: Vec<Match> = all.iter().map(|(_, found)| found.clone()).collect();
    matching::leave_out_outweighed(&mut kept);
    all.retain(|(_, found)| kept.contains(found));
    let asked = all.into_iter().filter_map(|(index, found)| {
        let amount = amount(request, request.descriptors.get(index)?);
        Some(asked_of(index, found, amount, now))
    });
    Ok(asked.collect())
}

fn asked_of(descriptor: usize, found: Match, amount: Amount, now: Timestamp) -> Asked {
    let window = Window::of(found.limit.unit, now);
    let left = window.left(now);
    // One limit may be of requests, and another one of the same object of tokens.
    let counted = match found.mode {
        Mode::Count => "requests",
        Mode::Check | Mode::Charge => "tokens",
    };
    let (name, unit) = (&found.name, found.limit.unit);
    let key = format!("{name}|{counted}|{unit:?}|{}|{}", window.start, found.counter);
    let lifetime = Duration::from_secs(left) + GRACE;
    let hit = Hit { key, mode: found.mode, amount, limit: found.limit.hits.into(), lifetime };
    Asked { descriptor, found, hit, left }
}

/// How much a descriptor counts: what it says itself, or the request for all of them, where nothing is one.
fn amount(request: &RateLimitRequest, descriptor: &RateLimitDescriptor) -> Amount {
    let own = descriptor.hits_addend.as_ref().map(|addend| addend.value);
    let amount = own.unwrap_or_else(|| request.hits_addend.max(1).into());
    if descriptor.is_negative_hits { Amount::TakeBack(amount) } else { Amount::Add(amount) }
}

fn status_of(found: &Match, outcome: Outcome, left: u64) -> DescriptorStatus {
    let limit = found.limit.hits;
    let remaining = u64::from(limit).saturating_sub(outcome.count);
    let code = if outcome.is_over { Code::OverLimit } else { Code::Ok };
    let left = i64::try_from(left).unwrap_or(i64::MAX);
    DescriptorStatus {
        code: code.into(),
        current_limit: Some(RateLimit {
            name: found.name.clone(),
            requests_per_unit: limit,
            unit: proto_unit(found.limit.unit).into(),
        }),
        limit_remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        duration_until_reset: Some(proto::duration(Duration::from_secs(left.unsigned_abs()))),
        ..DescriptorStatus::default()
    }
}

/// Of several limits of one descriptor, the one that leaves least is told.
fn tighten(status: &mut DescriptorStatus, other: DescriptorStatus) {
    let over = i32::from(Code::OverLimit);
    let tightness = |status: &DescriptorStatus| (status.code != over, status.limit_remaining);
    if status.current_limit.is_none() || tightness(&other) < tightness(status) {
        *status = other;
    }
}

fn proto_unit(unit: Unit) -> ProtoUnit {
    match unit {
        Unit::Second => ProtoUnit::Second,
        Unit::Minute => ProtoUnit::Minute,
        Unit::Hour => ProtoUnit::Hour,
        Unit::Day => ProtoUnit::Day,
        Unit::Week => ProtoUnit::Week,
        Unit::Month => ProtoUnit::Month,
        Unit::Year => ProtoUnit::Year,
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
