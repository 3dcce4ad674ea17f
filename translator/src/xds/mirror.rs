//! Copies of requests for another cluster.

use ir::{Mirror, MirrorHost};
use proto::route::route_action::RequestMirrorPolicy;

use super::matcher::{FRACTION_DENOMINATOR, runtime_fraction};

/// The copy is the request as it goes upstream, with all edits of the route.
pub(super) fn policy(ir: &Mirror, host: &MirrorHost) -> RequestMirrorPolicy {
    RequestMirrorPolicy {
        cluster: ir.cluster.to_string(),
        runtime_fraction: Some(ir.per_million)
            .filter(|part| *part < FRACTION_DENOMINATOR)
            .map(runtime_fraction),
        // Otherwise Envoy sends `Host: NAME-shadow`, which a backend does not know.
        disable_shadow_host_suffix_append: *host != MirrorHost::Suffixed,
        host_rewrite_literal: match host {
            MirrorHost::Same | MirrorHost::Suffixed => String::new(),
            MirrorHost::Literal(host) => host.clone(),
        },
        ..RequestMirrorPolicy::default()
    }
}
