//! Envoy's rate limit protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    is_store_away: Arc<AtomicBool>,
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
        Self { store, metrics, is_store_away: Arc::default() }
    }

    /// The service for tonic's transport.
    pub fn server(self) -> RateLimitServiceServer<Self> {
        RateLimitServiceServer::new(self)
    }

    async fn answer(&self, request: &RateLimitRequest, now: Timestamp) -> Result<RateLimitResponse, Status> {
        if request.domain != DOMAIN {
            return Err(Status::invalid_argument("the domain is not one of Chancery"));
        }
        let found = found(request)?;
        let asked = found.iter().filter_map(|(index, found)| {
            let amount = amount(request, request.descriptors.get(*index)?);
            Some(hit(found, amount, now))
        });
        let (hits, left): (Vec<Hit>, Vec<u64>) = asked.unzip();
        let outcomes = self.count(&found, &hits).await?;
        let unlimited = DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() };
        let mut statuses = vec![unlimited; request.descriptors.len()];
        for ((index, found), (outcome, left)) in found.iter().zip(outcomes.into_iter().zip(left)) {
            let verdict = if outcome.is_over { Verdict::over } else { Verdict::ok };
            self.metrics.count(&found.name, verdict);
            if let Some(status) = statuses.get_mut(*index) {
                tighten(status, status_of(found, outcome, left));
            }
        }
        let is_over = statuses.iter().any(|status| status.code == i32::from(Code::OverLimit));
        let overall_code = if is_over { Code::OverLimit } else { Code::Ok }.into();
        Ok(RateLimitResponse { overall_code, statuses, ..RateLimitResponse::default() })
    }

    async fn count(&self, found: &[(usize, Match)], hits: &[Hit]) -> Result<Vec<Outcome>, Status> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.store.count(hits).await;
        // Told when it begins and when it ends, not for each request.
        let was_away = self.is_store_away.swap(outcomes.is_err(), Ordering::Relaxed);
        match &outcomes {
            Err(error) if !was_away => tracing::warn!(%error, "requests with rate limits are refused"),
            Ok(_) if was_away => tracing::info!("requests with rate limits are counted again"),
            _ => {}
        }
        outcomes.map_err(|StoreError(error)| {
            found.iter().for_each(|(_, found)| self.metrics.count(&found.name, Verdict::failed));
            Status::unavailable(error)
        })
    }
}

/// The limits that a request comes to, each with the place of its descriptor.
fn found(request: &RateLimitRequest) -> Result<Vec<(usize, Match)>, Status> {
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
    matching::leave_out_outweighed(&mut all);
    Ok(all)
}

/// What is counted for a limit, and how many seconds its unit of time still takes.
fn hit(found: &Match, amount: Amount, now: Timestamp) -> (Hit, u64) {
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
    (Hit { key, mode: found.mode, amount, limit: found.limit.hits.into(), lifetime }, left)
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
    DescriptorStatus {
        code: code.into(),
        current_limit: Some(RateLimit {
            name: found.name.clone(),
            requests_per_unit: limit,
            unit: proto_unit(found.limit.unit).into(),
        }),
        limit_remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        duration_until_reset: Some(proto::duration(Duration::from_secs(left))),
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

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
    use envoy_types::pb::google::protobuf::UInt64Value;
    use limit_rule::{Limit, Node};
    use tonic::Code as GrpcCode;

    use super::*;

    /// A question about a user, of whom so much is let through in an hour.
    fn descriptor(user: &str, mode: Mode, limit: u32, hits: Option<u64>) -> RateLimitDescriptor {
        let limit = Some(Limit { hits: limit, unit: Unit::Hour });
        let tree = vec![Node { key: "user".to_owned(), limit, ..Node::default() }];
        let rules = Rules { name: "n/c".to_owned(), mode, tree, ..Rules::default() };
        let entry = |key: &str, value: String| Entry { key: key.to_owned(), value };
        RateLimitDescriptor {
            entries: vec![entry(RULES_KEY, rules.to_text()), entry("user", user.to_owned())],
            hits_addend: hits.map(|value| UInt64Value { value }),
            ..RateLimitDescriptor::default()
        }
    }

    async fn ask(service: &LimitService, descriptors: Vec<RateLimitDescriptor>) -> RateLimitResponse {
        let request = RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 };
        service.answer(&request, "2028-02-29T23:10:00Z".parse().unwrap()).await.unwrap()
    }

    /// Whether it is over, and what is left.
    fn told(response: &RateLimitResponse) -> Vec<(bool, u32)> {
        let is_over = |code| code == i32::from(Code::OverLimit);
        let told: Vec<_> =
            response.statuses.iter().map(|status| (is_over(status.code), status.limit_remaining)).collect();
        assert_eq!(is_over(response.overall_code), told.iter().any(|(is_over, _)| *is_over));
        told
    }

    #[tokio::test]
    async fn each_descriptor_is_told_what_is_left_and_until_when() {
        let service = LimitService::default();
        let both = || vec![descriptor("a", Mode::Count, 3, None), descriptor("b", Mode::Count, 9, Some(2))];
        let first = ask(&service, both()).await;
        assert_eq!(told(&first), [(false, 2), (false, 7)]);
        let status = &first.statuses[0];
        assert_eq!(status.duration_until_reset.as_ref().unwrap().seconds, 50 * 60);
        let limit = status.current_limit.as_ref().unwrap();
        assert_eq!((limit.requests_per_unit, limit.unit, &*limit.name), (3, ProtoUnit::Hour.into(), "n/c"));
        ask(&service, both()).await;
        assert_eq!(told(&ask(&service, both()).await), [(false, 0), (false, 3)]);
        assert_eq!(
            told(&ask(&service, both()).await),
            [(true, 0), (false, 3)],
            "what is refused is not counted"
        );
    }

    #[tokio::test]
    async fn tokens_are_charged_taken_back_and_counted_apart_from_requests() {
        let service = LimitService::default();
        let check = || vec![descriptor("a", Mode::Check, 70, Some(0))];
        ask(&service, vec![descriptor("a", Mode::Count, 70, Some(60))]).await;
        assert_eq!(told(&ask(&service, check()).await), [(false, 70)]);
        ask(&service, vec![descriptor("a", Mode::Charge, 70, Some(90))]).await;
        assert_eq!(told(&ask(&service, check()).await), [(true, 0)]);
        let back =
            RateLimitDescriptor { is_negative_hits: true, ..descriptor("a", Mode::Charge, 70, Some(50)) };
        ask(&service, vec![back]).await;
        assert_eq!(told(&ask(&service, check()).await), [(false, 30)]);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_refused() {
        let service = LimitService::default();
        let ours = descriptor("a", Mode::Count, 3, None);
        let strange = |change: fn(&mut RateLimitDescriptor)| {
            let mut strange = ours.clone();
            change(&mut strange);
            strange
        };
        for (domain, descriptor) in [
            ("other", ours.clone()),
            (DOMAIN, strange(|it| drop(it.entries.remove(0)))),
            (DOMAIN, strange(|it| it.entries.clear())),
            (DOMAIN, strange(|it| it.entries[0].value = "{}".to_owned())),
        ] {
            let request =
                RateLimitRequest { domain: domain.to_owned(), descriptors: vec![descriptor], hits_addend: 1 };
            let refused = service.answer(&request, Timestamp::now()).await.unwrap_err();
            assert_eq!(refused.code(), GrpcCode::InvalidArgument);
        }
    }
}
