//! RequestMirror filters, and what policies say of copies → mirrors of the IR.

use crds::ObjectKey;
use crds::gateway_api::part::RequestMirror;
use crds::policy::http::{MirrorContent, MirrorHostContent, Written};
use ir::{ClusterName, Clusters, Mirror, MirrorHost, Rewrite};

use super::destinations::{self, RuleTranslator};
use super::extension;
use super::filter::Filters;
use super::policy;
use crate::gateway::facts::{BackendFace, BackendKey, BackendProtocol, PolicyMirror, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{Detail, Reason, Rejection};

/// The denominator of [`Mirror::per_million`].
const MILLION: i64 = 1_000_000;

/// Where copies of requests go, and the backends that are needed for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirrors {
    pub list: Vec<Mirror>,
    pub backends: Vec<BackendKey>,
}

impl<V: View> RuleTranslator<'_, V> {
    /// The mirrors among filters. One whose reference does not resolve is left out, and the status says so: requests go
    /// on as without it (Gateway API, `HTTPRequestMirrorFilter.backendRef`).
    pub(super) fn mirrors(&self, filters: &Filters, out: &mut TranslatedRoute) -> Result<Mirrors, Rejection> {
        let mut mirrors = Mirrors::default();
        for (field, spec) in &filters.mirrors {
            let per_million = per_million(spec).map_err(|error| error.under(field))?;
            let face = match destinations::resolve(self.view, self.key, &spec.backend, out) {
                Ok(face) => face,
                Err(error) => {
                    out.ref_errors.push(error.under(&format!("{field}.backendRef")));
                    continue;
                }
            };
            let (cluster, backend) =
                cluster_of(face).map_err(|error| error.under(&format!("{field}.backendRef")))?;
            if per_million > 0 {
                mirrors.list.push(Mirror { cluster, per_million });
                mirrors.backends.push(backend);
            }
        }
        Ok(mirrors)
    }
}

/// Where copies go that a policy asks for. What cannot be used is left out, as for filters, and added to `faults`.
pub(super) fn of_policy(
    view: &impl View,
    owner: &ObjectKey,
    Written { value: MirrorContent { backend, per_million }, .. }: &Written<MirrorContent>,
    faults: &mut Vec<Detail>,
) -> Option<PolicyMirror> {
    let found = extension::backend_of(view, owner, backend, BackendProtocol::Http).and_then(cluster_of);
    match found {
        Ok((cluster, backend)) => {
            let mirror = Mirror { cluster, per_million: *per_million };
            (*per_million > 0).then_some(PolicyMirror { mirror, backend })
        }
        Err(error) => {
            faults.push(error.under(&backend.field).detail);
            None
        }
    }
}

/// The `Host` of copies that a policy asks for.
///
/// # Errors
/// It is none.
pub(super) fn host(Written { field, value }: &Written<MirrorHostContent>) -> Result<MirrorHost, Rejection> {
    Ok(match value {
        MirrorHostContent::Same => MirrorHost::Same,
        MirrorHostContent::Suffixed => MirrorHost::Suffixed,
        MirrorHostContent::Literal(host) => {
            let host = Written { field: field.clone(), value: host.clone() };
            MirrorHost::Literal(policy::read_host(&host)?)
        }
    })
}

/// The cluster that copies go to. A copy goes out as the request does: nothing can be changed in it alone.
///
/// # Errors
/// It would need that; without the field.
fn cluster_of(face: BackendFace) -> Result<(ClusterName, BackendKey), Rejection> {
    match face.clusters {
        Clusters::One(cluster) if !face.is_ai && face.rewrite == Rewrite::default() => {
            Ok((cluster, face.key))
        }
        _ => Err(Rejection::at(Reason::UnsupportedValue, "", "an AI provider cannot be mirrored to")),
    }
}

/// How many requests of a million are copied.
fn per_million(spec: &RequestMirror) -> Result<u32, Rejection> {
    let refuse = |member: &str, message: &str| Err(Rejection::at(Reason::UnsupportedValue, member, message));
    let (member, numerator, denominator) = match (spec.percent, spec.fraction) {
        (None, None) => return Ok(MILLION as u32),
        (Some(_), Some(_)) => return refuse("percent", "has no place beside a fraction"),
        (Some(percent), None) => ("percent", percent, 100),
        (None, Some((numerator, denominator))) => ("fraction", numerator, denominator.unwrap_or(100)),
    };
    let (numerator, denominator) = (i64::from(numerator), i64::from(denominator));
    if denominator < 1 || !(0..=denominator).contains(&numerator) {
        return refuse(member, "is not a part of the requests");
    }
    Ok(((numerator * MILLION + denominator / 2) / denominator) as u32)
}

#[cfg(test)]
mod tests {
    use crds::gateway_api::part::BackendRef;

    use super::*;

    #[test]
    fn parts_are_rounded_to_the_nearest_millionth() {
        for (percent, fraction, expected) in [
            (None, None, Some(1_000_000)),
            (Some(0), None, Some(0)),
            (Some(20), None, Some(200_000)),
            (Some(100), None, Some(1_000_000)),
            (None, Some((1, None)), Some(10_000)),
            (None, Some((1, Some(3))), Some(333_333)),
            (None, Some((2, Some(3))), Some(666_667)),
            (None, Some((1, Some(i32::MAX))), Some(0)),
            (Some(101), None, None),
            (Some(-1), None, None),
            (None, Some((2, Some(1))), None),
            (None, Some((0, Some(0))), None),
            (Some(1), Some((1, None)), None),
        ] {
            let backend = BackendRef {
                group: None,
                kind: None,
                namespace: None,
                name: "web".into(),
                port: Some(80),
                weight: None,
                filters: Box::default(),
            };
            let spec = RequestMirror { backend, percent, fraction };
            assert_eq!(per_million(&spec).ok(), expected, "{percent:?} {fraction:?}");
        }
    }
}
