//! The filter that makes faults for tests (`envoy.filters.http.fault`).

use ir::{Abort, Fault, Injected};
use proto::fault::{FaultAbort, HttpFault, fault_abort};
use proto::fault_common::fault_delay::FaultDelaySecifier;
use proto::fault_common::fault_rate_limit::{FixedLimit, LimitType};
use proto::fault_common::{FaultDelay, FaultRateLimit};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;
use proto::wkt::Any;
use proto::{duration, pack, u32_value};

/// The name of the filter.
pub(super) const NAME: &str = "chancery.fault";

/// The filter, which makes none for a route that says nothing.
pub(super) fn no_faults() -> Any {
    pack(&HttpFault { disable_downstream_cluster_stats: true, ..HttpFault::default() })
}

/// What a route asks for.
pub(super) fn faults(ir: &Fault) -> Any {
    let Fault { delay, abort, kbits_per_second, max_active } = ir;
    let delay = delay.map(|Injected { what, percentage }| FaultDelay {
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(what))),
        percentage: Some(percent(percentage)),
    });
    let abort = abort.map(|Injected { what, percentage }| FaultAbort {
        error_type: Some(match what {
            Abort::Http(status) => fault_abort::ErrorType::HttpStatus(status.into()),
            Abort::Grpc(status) => fault_abort::ErrorType::GrpcStatus(status),
        }),
        percentage: Some(percent(percentage)),
        ..FaultAbort::default()
    });
    let limit = kbits_per_second.map(|Injected { what, percentage }| FaultRateLimit {
        limit_type: Some(LimitType::FixedLimit(FixedLimit { limit_kbps: kibibytes(what) })),
        percentage: Some(percent(percentage)),
    });
    pack(&HttpFault {
        delay,
        abort,
        response_rate_limit: limit,
        max_active_faults: max_active.map(u32_value),
        // What is counted by the name of a client has no end: clients say their names themselves.
        disable_downstream_cluster_stats: true,
        ..HttpFault::default()
    })
}

fn percent(numerator: u32) -> FractionalPercent {
    FractionalPercent { numerator, denominator: DenominatorType::Hundred.into() }
}

/// Thousands of bits in units of 1024 bytes, in which Envoy has it; at least one.
fn kibibytes(kbits: u64) -> u64 {
    (kbits / 8 * 1000 / 1024).max(1)
}
