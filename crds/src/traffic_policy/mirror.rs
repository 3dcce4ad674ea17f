//! The copies that routes send elsewhere (kgateway's `requestMirror`): which `Host` they have.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::policy::http::{MirrorHostContent, Written};

/// The `Host` of the copies that `RequestMirror` filters of routes send elsewhere.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.disableShadowHostSuffixAppend) || has(self.hostRewriteLiteral)")
        .message("disableShadowHostSuffixAppend or hostRewriteLiteral must be set")
)]
pub struct RequestMirrorPolicy {
    /// Whether copies have the `Host` of the request, which they have if this is absent; `false` puts `-shadow` behind the name in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_shadow_host_suffix_append: Option<bool>,
    /// The `Host` of copies. Nothing is put behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host_rewrite_literal: Option<String>,
}

impl RequestMirrorPolicy {
    /// What it says; `field` holds it.
    pub(super) fn content(&self, field: &str) -> Result<Written<MirrorHostContent>, SpecError> {
        let value = match (&self.host_rewrite_literal, self.disable_shadow_host_suffix_append) {
            (Some(host), _) => MirrorHostContent::Literal(host.clone()),
            (None, Some(true)) => MirrorHostContent::Same,
            (None, Some(false)) => MirrorHostContent::Suffixed,
            (None, None) => {
                let message = "disableShadowHostSuffixAppend or hostRewriteLiteral must be set";
                return Err(SpecError::invalid(field, message));
            }
        };
        Ok(Written { field: format!("{field}.hostRewriteLiteral"), value })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_of_its_own_goes_before_the_suffix() {
        for (spec, expected) in [
            (json!({"disableShadowHostSuffixAppend": true}), Ok(MirrorHostContent::Same)),
            (json!({"disableShadowHostSuffixAppend": false}), Ok(MirrorHostContent::Suffixed)),
            (
                json!({"disableShadowHostSuffixAppend": false, "hostRewriteLiteral": "a.test"}),
                Ok(MirrorHostContent::Literal("a.test".to_owned())),
            ),
            (json!({}), Err("f".to_owned())),
        ] {
            let read: RequestMirrorPolicy = serde_json::from_value(spec.clone()).unwrap();
            let content = read.content("f").map(|written| written.value).map_err(|error| error.path);
            assert_eq!(content, expected, "{spec}");
        }
    }
}
