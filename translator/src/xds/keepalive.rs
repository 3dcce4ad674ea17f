//! Whether the other end of a quiet connection is still there.

use proto::core::TcpKeepalive;
use proto::u32_value;

/// Seconds without a byte in either direction before the kernel asks. Below the 350 s after which common NAT
/// gateways and load balancers forget a connection, so that a model which thinks for long can still answer.
const IDLE_SECONDS: u32 = 60;
/// Seconds from one question to the next.
const INTERVAL_SECONDS: u32 = 15;
/// Questions without an answer after which the connection is closed: two minutes after the last byte.
const PROBES: u32 = 4;

/// TCP keepalive. Envoy's default is none: a request without an idle timeout whose backend or client is gone
/// without a word (a node that lost its power) would stay for ever.
pub(super) fn tcp_keepalive() -> TcpKeepalive {
    TcpKeepalive {
        keepalive_probes: Some(u32_value(PROBES)),
        keepalive_time: Some(u32_value(IDLE_SECONDS)),
        keepalive_interval: Some(u32_value(INTERVAL_SECONDS)),
    }
}
