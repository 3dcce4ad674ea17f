//! What policies ask of the AI engine: several become one, field by field.

use std::collections::BTreeMap;

use ai_config::{FieldDefault, Message, RoutePolicy, Translation, VERSION};
use crds::ObjectKey;
use crds::gateway_api::part::Metadata;
use crds::policy::{AiContent, PromptMessage, RouteType};

use super::Applied;
use super::guard::MergedGuard;
use super::merge::Merge;
use crate::gateway::facts::{BackendKey, PolicyEffect};
use crate::status::{Reason, Rejection};

/// The annotation of an HTTPRoute that says how protocols are translated.
const TRANSLATION: &str = "chancery.dev/ai-translation";

/// What the engine is asked.
pub(in crate::gateway) struct EnginePolicy {
    /// As it reads it.
    pub text: Box<str>,
    /// The servers that it asks in turn.
    pub servers: Vec<BackendKey>,
    /// The provider's names of models, by those that clients know them by.
    pub model_aliases: BTreeMap<String, String>,
    /// Other models that it may be asked to put into a request.
    pub default_models: Vec<String>,
}

/// What the requests to an AI backend get.
pub(in crate::gateway) struct Wanted {
    /// `None` if nothing is asked of the engine.
    pub policy: Option<EnginePolicy>,
    /// What there is to tell about each policy.
    pub effects: Vec<(ObjectKey, PolicyEffect)>,
}

/// Reads the route's annotation: words with commas between them.
///
/// # Errors
/// A word is not known. Nothing of the route is served then: whoever wrote it wanted something other than the default.
pub(in crate::gateway) fn translation(metadata: &Metadata) -> Result<Option<Translation>, Rejection> {
    let annotations = metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(TRANSLATION)) else {
        return Ok(None);
    };
    let mut translation = Translation { strict: false, always: false };
    for word in text.split(',').map(str::trim) {
        match word {
            "strict" => translation.strict = true,
            "always" => translation.always = true,
            other => {
                let field = format!("metadata.annotations[{TRANSLATION}]");
                let text = format!("{other:?} is neither \"strict\" nor \"always\"");
                return Err(Rejection::at(Reason::UnsupportedValue, field, text));
            }
        }
    }
    Ok(Some(translation))
}

/// What policies come to, the most specific first: each field is that of the first that has it.
///
/// # Errors
/// A fault of ours.
pub(in crate::gateway) fn wanted(
    chain: &[Applied],
    translation: Option<Translation>,
) -> Result<Wanted, Rejection> {
    let mut merged = AiContent::default();
    let mut merged_guard = MergedGuard::default();
    let mut merge = Merge::of("ai.");
    for Applied { face, .. } in chain {
        let Ok(content) = &face.content else { continue };
        let policy = &face.key;
        let AiContent { route_type, prepend, append, defaults, model_aliases, cost_header, guard } =
            &content.ai;
        merge.take(policy, "routeType", route_type, &mut merged.route_type);
        if !prepend.is_empty() && merge.wins(policy, "promptEnrichment.prepend") {
            merged.prepend.clone_from(prepend);
        }
        if !append.is_empty() && merge.wins(policy, "promptEnrichment.append") {
            merged.append.clone_from(append);
        }
        for default in defaults {
            if merge.wins(policy, &format!("defaults[{}]", default.field)) {
                merged.defaults.push(default.clone());
            }
        }
        for (alias, model) in model_aliases {
            if merge.wins(policy, &format!("modelAliases[{alias}]")) {
                merged.model_aliases.insert(alias.clone(), model.clone());
            }
        }
        merge.take(policy, "costHeader", cost_header, &mut merged.cost_header);
        merged_guard.take(policy, guard, &mut merge);
    }
    Ok(Wanted { policy: encode(merged, merged_guard, translation)?, effects: merge.effects() })
}

fn encode(
    merged: AiContent,
    guard: MergedGuard,
    translation: Option<Translation>,
) -> Result<Option<EnginePolicy>, Rejection> {
    let servers = guard.servers();
    let messages = |list: Vec<PromptMessage>| -> Vec<Message> {
        list.into_iter().map(|PromptMessage { role, content }| Message { role, content }).collect()
    };
    let defaults = merged.defaults.into_iter();
    let policy = RoutePolicy {
        version: VERSION,
        streaming: merged.route_type == Some(RouteType::ChatStreaming),
        prepend: messages(merged.prepend),
        append: messages(merged.append),
        defaults: defaults
            .map(|default| FieldDefault {
                field: default.field,
                value: default.value,
                replace: default.replace,
            })
            .collect(),
        model_aliases: merged.model_aliases,
        cost_header: merged.cost_header == Some(true),
        translation,
        guard: guard.encode(),
    };
    if policy == (RoutePolicy { version: VERSION, ..RoutePolicy::default() }) {
        return Ok(None);
    }
    let text = serde_json::to_string(&policy)
        .map_err(|error| Rejection::new(Reason::InternalError, error.to_string()))?;
    let models = policy.defaults.iter().filter(|default| default.field == "model");
    let default_models = models.filter_map(|default| serde_json::from_str(&default.value).ok()).collect();
    Ok(Some(EnginePolicy { text: text.into(), servers, model_aliases: policy.model_aliases, default_models }))
}
