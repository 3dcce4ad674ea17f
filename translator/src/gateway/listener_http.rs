//! How listeners speak HTTP with clients, by policies of listeners.

use crds::gateway_api;
use crds::listener_http::{ListenerHttp, ServerHeaderTransformation};
use ir::{ClientHttp, ServerHeader};

use super::{path, validate};
use crate::status::{Reason, Rejection};

/// The largest headers that Envoy takes, in KiB (`max_request_headers_kb`).
const MAX_HEADERS_KB: u32 = 8192;

/// Reads what a policy says below `spec`.
///
/// # Errors
/// Something in it makes no sense, or Envoy would refuse it.
pub(super) fn read(spec: &ListenerHttp) -> Result<ClientHttp, Rejection> {
    let ListenerHttp {
        use_remote_address,
        xff_num_trusted_hops,
        server_header,
        idle_timeout,
        health_path,
        preserve_case,
        accept_http10,
        http10_host,
        max_headers_kb,
        upgrades,
    } = spec;
    let idle_timeout = idle_timeout.as_deref().map(gateway_api::duration).transpose();
    let health_path = health_path.as_deref().map(path::matched).transpose();
    let host = |text: &str| validate::exact_hostname(text).map(|_| text.to_owned());
    let http10_host = http10_host.as_deref().map(host).transpose();
    Ok(ClientHttp {
        use_remote_address: *use_remote_address,
        trusted_hops: *xff_num_trusted_hops,
        server_header: server_header.map(|written| match written {
            ServerHeaderTransformation::Overwrite => ServerHeader::Overwritten,
            ServerHeaderTransformation::AppendIfAbsent => ServerHeader::IfAbsent,
            ServerHeaderTransformation::PassThrough => ServerHeader::OfBackend,
        }),
        idle_timeout: idle_timeout.map_err(|error| invalid("spec.idleTimeout", &error))?,
        health_path: health_path.map_err(|error| invalid("spec.healthCheck.path", &error))?,
        keeps_case: *preserve_case,
        http10: *accept_http10,
        http10_host: http10_host.map_err(|error| invalid("spec.defaultHostForHttp10", &error))?,
        max_headers_kb: max_headers_kb.map(headers_kb).transpose()?,
        websockets: upgrades.as_deref().map(websockets).transpose()?,
    })
}

fn headers_kb(written: i32) -> Result<u32, Rejection> {
    let read = u32::try_from(written).ok().filter(|kb| (1..=MAX_HEADERS_KB).contains(kb));
    read.ok_or_else(|| invalid("spec.maxRequestHeadersKb", "must be from 1 to 8192"))
}

/// Whether WebSockets are among these.
fn websockets(upgrades: &[String]) -> Result<bool, Rejection> {
    let other = upgrades.iter().position(|name| !name.eq_ignore_ascii_case("websocket"));
    match other {
        Some(index) => {
            let field = format!("spec.upgradeConfig.enabledUpgrades[{index}]");
            Err(Rejection::at(Reason::UnsupportedValue, field, "is not supported yet; only websocket is"))
        }
        None => Ok(!upgrades.is_empty()),
    }
}

fn invalid(field: &str, text: &str) -> Rejection {
    Rejection::at(Reason::Invalid, field, text)
}
