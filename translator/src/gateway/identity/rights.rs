//! What clients may do.

use crds::identity::gloo::PAYLOAD_KEY;
use crds::identity::{ClaimMatch, Principal, RightsRules, Rule};
use ir::{ClaimRule, ClaimValue, Rights, RightsRule, Sender};

use crate::gateway::{cel, validate};
use crate::status::{Reason, Rejection};

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
        // What clients send is all that there is yet: no header holds a credential of the gateway.
        cel::parse(text, |_| Ok(())).map_err(|error| Rejection::at(Reason::Invalid, field, error))
    });
    Ok(RightsRule {
        path_prefix: path_prefix.clone(),
        methods: methods.clone(),
        senders: principals.iter().map(sender).collect::<Result<_, _>>()?,
        condition: condition.transpose()?,
    })
}

fn sender(principal: &Principal) -> Result<Sender, Rejection> {
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
        // Only Gloo's rights name claims; kgateway's are expressions.
        let path = [PAYLOAD_KEY.to_owned()].into_iter().chain(path.iter().cloned()).collect();
        Ok(ClaimRule { path, value })
    });
    Ok(Sender { provider: principal.provider.clone(), claims: claims.collect::<Result<_, _>>()? })
}
