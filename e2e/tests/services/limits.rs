//! A service that counts, by Envoy's protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use proto::ratelimit_common::RateLimitDescriptor;
use proto::ratelimit_service::rate_limit_response::rate_limit::Unit;
use proto::ratelimit_service::rate_limit_response::{Code, DescriptorStatus, RateLimit};
use proto::ratelimit_service::rate_limit_service_server::{RateLimitService, RateLimitServiceServer};
use proto::ratelimit_service::{RateLimitRequest, RateLimitResponse};
use proto::wkt::Duration;
use tonic::{Request, Response, Status};

use super::grpc::GrpcServer;

/// How many requests of each descriptor pass.
pub(crate) const LIMIT: u32 = 2;

/// The value of an entry for which the service fails.
pub(crate) const FAIL: &str = "fail";

/// A running service, which lets [`LIMIT`] requests of each descriptor pass.
pub(crate) struct Limits {
    server: GrpcServer,
    counter: Counter,
}

#[derive(Clone, Default)]
struct Counter {
    asked: Arc<Mutex<Vec<String>>>,
    counts: Arc<Mutex<HashMap<String, u32>>>,
}

impl Limits {
    pub(crate) async fn start() -> Result<Self> {
        let counter = Counter::default();
        let server = GrpcServer::start(RateLimitServiceServer::new(counter.clone())).await?;
        Ok(Self { server, counter })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Takes out what it was asked: each question as `DOMAIN: KEY=VALUE,… | KEY=VALUE,…`.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.counter.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tonic::async_trait]
impl RateLimitService for Counter {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let RateLimitRequest { domain, descriptors, .. } = request.into_inner();
        let texts: Vec<_> = descriptors.iter().map(text).collect();
        let asked = format!("{domain}: {}", texts.join(" | "));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        if texts.iter().any(|text| text.ends_with(&format!("={FAIL}"))) {
            return Err(Status::internal("the service is broken"));
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = texts.iter().map(|text| {
            let count = counts.entry(format!("{domain}: {text}")).or_default();
            *count += 1;
            let is_over = *count > LIMIT;
            DescriptorStatus {
                code: if is_over { Code::OverLimit } else { Code::Ok }.into(),
                current_limit: Some(RateLimit {
                    requests_per_unit: LIMIT,
                    unit: Unit::Minute.into(),
                    ..RateLimit::default()
                }),
                limit_remaining: LIMIT.saturating_sub(*count),
                duration_until_reset: Some(Duration { seconds: 7, nanos: 0 }),
                ..DescriptorStatus::default()
            }
        });
        let statuses: Vec<_> = statuses.collect();
        let is_over = statuses.iter().any(|status| status.code == i32::from(Code::OverLimit));
        let overall = if is_over { Code::OverLimit } else { Code::Ok };
        Ok(Response::new(RateLimitResponse {
            overall_code: overall.into(),
            statuses,
            ..RateLimitResponse::default()
        }))
    }
}

fn text(descriptor: &RateLimitDescriptor) -> String {
    let entries = descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value));
    entries.collect::<Vec<_>>().join(",")
}
