//! What policies look for in requests and answers, and whom they ask, as the AI engine reads it.

use ai_config::{
    ForwardedHeader, Guard, GuardBuiltin, GuardExpression, GuardPatterns, GuardRejection, Moderation,
    RequestGuard, TextMatch, Webhook,
};
use crds::ObjectKey;
use crds::policy::http::{TextPattern, Written};
use crds::policy::{
    self, CustomResponse, ForwardedHeaders, GuardContent, GuardRegex, GuardRegexContent, ModerationContent,
    WebhookContent,
};

use super::merge::Merge;
use crate::gateway::backend::ai::{HTTPS, authority, moderation};
use crate::gateway::facts::{BackendKey, ServerKey, ServerService};
use crate::gateway::server;
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::view::View;
use crate::status::{Detail, Reason, Rejection};

/// The answer to a request that a moderation service flags, if the policy has none of its own: that of kgateway.
const FLAGGED: &str = "Rejected by guardrails moderation";

/// Whether the engine can use all expressions, and all servers can be asked. Tells what was understood although it is not
/// written as it should be.
///
/// # Errors
/// Something cannot be used.
pub(super) fn check(
    view: &impl View,
    key: &ObjectKey,
    content: &GuardContent,
) -> Result<Vec<Detail>, Rejection> {
    for GuardRegexContent { field, regex } in content.request.iter().chain(&content.response) {
        check_expressions(&patterns(regex), |index| format!("{field}.matches[{index}].pattern"))?;
    }
    for webhook in content.request_webhook.iter().chain(&content.response_webhook) {
        check_webhook(view, webhook)?;
    }
    if content.moderation.is_none() {
        return Ok(Vec::new());
    }
    let (_, backend) = server::asked(view, moderation::server(key))?;
    let backend = view.backend(&backend);
    let resolved = backend.as_ref().and_then(|backend| backend.result.as_ref().ok());
    Ok(resolved.map(|backend| backend.warnings.clone()).unwrap_or_default())
}

fn check_expressions(patterns: &GuardPatterns, field: impl Fn(usize) -> String) -> Result<(), Rejection> {
    ai::guard::check(patterns)
        .map_err(|error| Rejection::at(Reason::Invalid, field(error.index), error.message))
}

fn check_webhook(view: &impl View, webhook: &WebhookContent) -> Result<(), Rejection> {
    let WebhookContent { host: Written { field, value: host }, port: _, forward_headers, is_shadow: _ } =
        webhook;
    if !is_allowed_host(host, view.settings()) {
        let text = format!("the host {host} is one that a proxy may not be pointed at");
        return Err(Rejection::at(Reason::UnsupportedAddress, field, text));
    }
    for ForwardedHeaders { name, value } in forward_headers {
        for Written { field, value } in std::iter::once(name).chain(value) {
            if let TextPattern::Regex(pattern) = value {
                // The engine puts it between anchors, which a comment (`(?x) a # b`) would swallow.
                let forms = [pattern.clone(), format!("^(?:{pattern})$")];
                let expressions = forms.map(|pattern| GuardExpression { pattern, name: None });
                let patterns = GuardPatterns { expressions: expressions.into(), ..GuardPatterns::default() };
                check_expressions(&patterns, |_| field.clone())?;
            }
        }
    }
    server::asked(view, server_of(webhook)).map(drop)
}

/// What the policies of a destination come to.
#[derive(Debug, Default)]
pub(super) struct MergedGuard {
    content: GuardContent,
    /// The policy that the moderation is from, whose credential it uses.
    moderated_by: Option<ObjectKey>,
}

impl MergedGuard {
    /// Takes the fields of a policy in which it is the most specific one.
    pub(super) fn take(&mut self, policy: &ObjectKey, guard: &GuardContent, merge: &mut Merge) {
        // What is looked for is one list, together with what becomes of it. So is a webhook, with the headers that it gets.
        let GuardContent {
            custom_response,
            request,
            response,
            request_webhook,
            moderation,
            response_webhook,
        } = guard;
        let to = &mut self.content;
        merge.take(policy, "promptGuard.request.customResponse", custom_response, &mut to.custom_response);
        merge.take(policy, "promptGuard.request.webhook", request_webhook, &mut to.request_webhook);
        merge.take(policy, "promptGuard.request.regex", request, &mut to.request);
        if moderation.is_some() && merge.wins(policy, "promptGuard.request.moderation") {
            to.moderation.clone_from(moderation);
            self.moderated_by = Some(policy.clone());
        }
        merge.take(policy, "promptGuard.response.webhook", response_webhook, &mut to.response_webhook);
        merge.take(policy, "promptGuard.response.regex", response, &mut to.response);
    }

    /// The servers that are asked.
    pub(super) fn servers(&self) -> Vec<BackendKey> {
        let webhooks = self.content.request_webhook.iter().chain(&self.content.response_webhook);
        let servers = webhooks.map(server_of).chain(self.moderated_by.as_ref().map(moderation::server));
        servers.map(|server| BackendKey::Server(server.into())).collect()
    }

    /// What the engine is told; `None` if nothing is looked for.
    pub(super) fn encode(self) -> Option<Guard> {
        let Self { content, moderated_by } = self;
        let GuardContent {
            custom_response,
            request,
            response,
            request_webhook,
            moderation,
            response_webhook,
        } = content;
        let guard = Guard {
            moderation: moderation
                .zip(moderated_by)
                .map(|(content, policy)| judge(&content, &policy, custom_response.as_ref())),
            request: request.map(|request| RequestGuard {
                patterns: patterns(&request.regex),
                action: match request.regex.action {
                    Some(policy::GuardAction::Reject) => ai_config::GuardAction::Reject,
                    Some(policy::GuardAction::Mask) | None => ai_config::GuardAction::Mask,
                },
                rejection: rejection(custom_response.unwrap_or_default()),
            }),
            response: response.map(|response| patterns(&response.regex)),
            request_webhook: request_webhook.as_ref().map(webhook),
            response_webhook: response_webhook.as_ref().map(webhook),
        };
        (guard != Guard::default()).then_some(guard)
    }
}

fn server_of(webhook: &WebhookContent) -> ServerKey {
    let port = webhook.port.get();
    let service = ServerService::Webhook;
    ServerKey { host: webhook.host.value.clone(), port, is_tls: port == HTTPS, service }
}

fn webhook(content: &WebhookContent) -> Webhook {
    let server = server_of(content);
    let header = |ForwardedHeaders { name, value }: &ForwardedHeaders| ForwardedHeader {
        name: match text_match(&name.value) {
            // The engine compares names in lower case; whoever wrote the expression need not know.
            TextMatch::Regex(pattern) => TextMatch::Regex(format!("(?i){pattern}")),
            other => other,
        },
        value: value.as_ref().map(|value| text_match(&value.value)),
    };
    Webhook {
        cluster: server::name(&server).to_string(),
        authority: authority(&server.host, server.port),
        forward_headers: content.forward_headers.iter().map(header).collect(),
        is_shadow: content.is_shadow,
    }
}

fn text_match(pattern: &TextPattern) -> TextMatch {
    match pattern.clone() {
        TextPattern::Exact(text) => TextMatch::Exact(text),
        TextPattern::Prefix(text) => TextMatch::Prefix(text),
        TextPattern::Suffix(text) => TextMatch::Suffix(text),
        TextPattern::Contains(text) => TextMatch::Contains(text),
        TextPattern::Regex(text) => TextMatch::Regex(text),
    }
}

fn judge(
    content: &ModerationContent,
    policy: &ObjectKey,
    custom_response: Option<&CustomResponse>,
) -> Moderation {
    let server = moderation::server(policy);
    Moderation {
        cluster: server::name(&server).to_string(),
        authority: authority(&server.host, server.port),
        path: moderation::PATH.to_owned(),
        model: content.model.clone(),
        is_shadow: content.is_shadow,
        rejection: custom_response.map_or_else(
            || GuardRejection { message: FLAGGED.to_owned(), ..GuardRejection::default() },
            |response| rejection(response.clone()),
        ),
    }
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
        is_shadow: regex.mode == Some(policy::GuardMode::Shadow),
    }
}
