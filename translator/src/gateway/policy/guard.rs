//! What policies look for in requests and answers, as the AI engine reads it.

use ai_config::{Guard, GuardBuiltin, GuardExpression, GuardPatterns, GuardRejection, RequestGuard};
use crds::policy::{self, CustomResponse, GuardContent, GuardRegex, GuardRegexContent};

use crate::status::{Reason, Rejection};

/// Whether the engine can use all expressions.
///
/// # Errors
/// It cannot use one.
pub(super) fn check(content: &GuardContent) -> Result<(), Rejection> {
    for GuardRegexContent { field, regex } in content.request.iter().chain(&content.response) {
        ai::guard::check(&patterns(regex)).map_err(|error| {
            let field = format!("{field}.matches[{}].pattern", error.index);
            Rejection::at(Reason::Invalid, field, error.message)
        })?;
    }
    Ok(())
}

/// What the engine is told; `None` if nothing is looked for.
pub(super) fn encode(content: GuardContent) -> Option<Guard> {
    let GuardContent { custom_response, request, response } = content;
    let request = request.map(|request| RequestGuard {
        patterns: patterns(&request.regex),
        action: match request.regex.action {
            Some(policy::GuardAction::Reject) => ai_config::GuardAction::Reject,
            Some(policy::GuardAction::Mask) | None => ai_config::GuardAction::Mask,
        },
        rejection: rejection(custom_response.unwrap_or_default()),
    });
    let response = response.map(|response| patterns(&response.regex));
    (request.is_some() || response.is_some()).then_some(Guard { request, response, ..Guard::default() })
}

fn rejection(response: CustomResponse) -> GuardRejection {
    let default = GuardRejection::default();
    GuardRejection {
        // The schema has bounds far below.
        status: response.status_code.and_then(|status| status.try_into().ok()).unwrap_or(default.status),
        message: response.message.unwrap_or(default.message),
    }
}

fn patterns(regex: &GuardRegex) -> GuardPatterns {
    let expression = |one: &policy::GuardRegexMatch| GuardExpression {
        pattern: one.pattern.clone(),
        name: one.name.clone().filter(|name| !name.is_empty()),
    };
    let builtin = |one: &policy::GuardBuiltin| match one {
        policy::GuardBuiltin::Ssn => GuardBuiltin::Ssn,
        policy::GuardBuiltin::CreditCard => GuardBuiltin::CreditCard,
        policy::GuardBuiltin::PhoneNumber => GuardBuiltin::PhoneNumber,
        policy::GuardBuiltin::Email => GuardBuiltin::Email,
    };
    GuardPatterns {
        expressions: regex.matches.iter().map(expression).collect(),
        builtins: regex.builtins.iter().map(builtin).collect(),
    }
}
