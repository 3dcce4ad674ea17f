//! What a Gateway's listeners do with escaped slashes: an annotation, since Gateway API has no field for it.

use crds::gateway_api::Gateway;
use ir::EscapedSlashes;

use super::listener::Rejection;
use crate::status::Reason;

/// The annotation of a Gateway.
const ANNOTATION: &str = "chancery.dev/escaped-slashes";

/// What the annotation says.
///
/// # Errors
/// It has a value that is not known. The Gateway is rejected, since whoever wrote it wanted something
/// other than the default.
pub(crate) fn of_gateway(gateway: &Gateway) -> Result<EscapedSlashes, Rejection> {
    let annotations = gateway.metadata.annotations.as_ref();
    match annotations.and_then(|annotations| annotations.get(ANNOTATION)).map(String::as_str) {
        None | Some("redirect") => Ok(EscapedSlashes::Redirect),
        Some("reject") => Ok(EscapedSlashes::Reject),
        Some("keep") => Ok(EscapedSlashes::Keep),
        Some(other) => {
            let text = format!("{other:?} is neither \"redirect\", \"reject\" nor \"keep\"");
            Err(Rejection::at(Reason::Invalid, format!("metadata.annotations[{ANNOTATION}]"), text))
        }
    }
}
