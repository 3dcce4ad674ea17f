//! What is told of a descriptor.

use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as ProtoUnit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use limit_rule::Unit;

/// A limit, and how it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    /// The object that it comes from.
    pub name: &'a str,
    pub limit: u64,
    pub unit: Unit,
    /// Whether the request is refused for it.
    pub is_refused: bool,
    /// How much is left.
    pub remaining: u64,
    /// For how many seconds the unit of time still goes on.
    pub seconds_left: u64,
}

impl Standing<'_> {
    pub(crate) fn status(self) -> DescriptorStatus {
        let code = if self.is_refused { Code::OverLimit } else { Code::Ok };
        let most = |number| u32::try_from(number).unwrap_or(u32::MAX);
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                name: self.name.to_owned(),
                requests_per_unit: most(self.limit),
                unit: proto_unit(self.unit).into(),
            }),
            limit_remaining: most(self.remaining),
            duration_until_reset: Some(proto::duration(Duration::from_secs(self.seconds_left))),
            ..DescriptorStatus::default()
        }
    }
}

/// Of several limits of one descriptor, the one that leaves least is told.
pub(crate) fn tighten(status: &mut DescriptorStatus, other: DescriptorStatus) {
    let tightness = |status: &DescriptorStatus| (!is_over(status), status.limit_remaining);
    if status.current_limit.is_none() || tightness(&other) < tightness(status) {
        *status = other;
    }
}

pub(crate) fn is_over(status: &DescriptorStatus) -> bool {
    status.code == i32::from(Code::OverLimit)
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
