//! What clients may do.

use crds::identity::{ClaimMatch, Principal, RightsRules, Rule};
use ir::{ClaimRule, ClaimValue, Rights, RightsRule, issued_by_key};

use crate::gateway::{cel, validate};
use crate::status::{Reason, Rejection};

/// The key under which Gloo has the claims of a token. Only Gloo's rights name claims; kgateway's are expressions.
const PAYLOAD_KEY: &str = "principal";

/// Reads rules.
///
/// # Errors
/// An expression that Envoy would not take, with its field: Envoy would refuse the whole route table for it.
pub(super) fn read(rules: &RightsRules) -> Result<Rights, Rejection> {
    let read = rules.rules.iter().map(|(name, rule)| Ok((name.clone(), read_rule(rule)?)));
    Ok(Rights { denies: rules.denies, rules: read.collect::<Result<_, _>>()? })
}

fn read_rule(rule: &Rule) -> Result<RightsRule, Rejection> {
    let Rule { path_prefix, methods, principals, condition } = rule;
    let condition = condition.as_ref().map(|(field, text)| {
        let refuse = |error: String| Rejection::at(Reason::Invalid, field, error);
        // The parser knows the place of an error.
        let tree = cel::tree(text).map_err(refuse)?;
        // What clients send is all that there is yet: no header holds a credential of the gateway.
        cel::check(text, |_| Ok(())).map_err(refuse)?;
        Ok(tree)
    });
    Ok(RightsRule {
        path_prefix: path_prefix.clone(),
        methods: methods.clone(),
        senders: principals.iter().map(sender).collect::<Result<_, _>>()?,
        condition: condition.transpose()?,
    })
}

fn sender(principal: &Principal) -> Result<Vec<ClaimRule>, Rejection> {
    let claims = principal.claims.iter().map(|(path, wanted)| {
        let value = match wanted {
            ClaimMatch::Text(text) => ClaimValue::Text(text.clone()),
            ClaimMatch::Bool(value) => ClaimValue::Bool(*value),
            ClaimMatch::ListContains(text) => ClaimValue::ListContains(text.clone()),
            ClaimMatch::Regex { field, expression } => {
                validate::regex(expression).map_err(|error| Rejection::at(Reason::Invalid, field, error))?;
                ClaimValue::Regex(expression.clone())
            }
        };
        let path = [PAYLOAD_KEY.to_owned()].into_iter().chain(path.iter().cloned()).collect();
        Ok(ClaimRule { path, value })
    });
    let issued = principal.provider.iter().map(|provider| {
        // The header of a token always names its algorithm (RFC 7515 §4.1.1).
        let path = vec![issued_by_key(provider), "alg".to_owned()];
        Ok(ClaimRule { path, value: ClaimValue::Regex(".+".to_owned()) })
    });
    claims.chain(issued).collect()
}
