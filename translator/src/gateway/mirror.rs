//! RequestMirror filters → mirrors of the IR.

use crds::gateway_api::part::RequestMirror;
use ir::{Clusters, Mirror, Rewrite};

use super::destinations::{self, RuleTranslator};
use super::filter::Filters;
use crate::gateway::facts::{BackendKey, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

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
            let Clusters::One(cluster) = face.clusters else { return Err(needs_more(field)) };
            if face.is_ai || face.rewrite != Rewrite::default() {
                return Err(needs_more(field));
            }
            if per_million > 0 {
                mirrors.list.push(Mirror { cluster, per_million });
                mirrors.backends.push(face.key);
            }
        }
        Ok(mirrors)
    }
}

/// A copy goes out as the request does: nothing can be changed in it alone.
fn needs_more(field: &str) -> Rejection {
    let field = format!("{field}.backendRef");
    Rejection::at(Reason::UnsupportedValue, field, "an AI provider cannot be mirrored to")
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
