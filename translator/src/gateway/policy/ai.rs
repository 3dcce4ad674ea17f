//! What policies ask of the AI engine: several become one, field by field.

use std::collections::BTreeMap;

use ai_config::{FieldDefault, Message, RoutePolicy, Translation, VERSION};
use crds::ObjectKey;
use crds::gateway_api::part::Metadata;
use crds::policy::{AiContent, PromptMessage, RouteType};

use super::Applied;
use crate::gateway::facts::PolicyEffect;
use crate::status::{Reason, Rejection};

/// The annotation of an HTTPRoute that says how protocols are translated.
const TRANSLATION: &str = "chancery.dev/ai-translation";

/// What the requests to an AI backend get.
pub(in crate::gateway) struct Wanted {
    /// As the engine reads it; `None` if nothing is asked of it.
    pub policy: Option<Box<str>>,
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
    let mut winners: BTreeMap<String, ObjectKey> = BTreeMap::new();
    let mut effects = Vec::new();
    for Applied { face, .. } in chain {
        let Ok(content) = &face.content else { continue };
        let mut wins = |field: String| {
            let by = winners.entry(field.clone()).or_insert_with(|| face.key.clone());
            let is_first = *by == face.key;
            if !is_first {
                let effect = PolicyEffect::Overridden { field: format!("ai.{field}").into(), by: by.clone() };
                effects.push((face.key.clone(), effect));
            }
            is_first
        };
        let AiContent { route_type, prepend, append, defaults, model_aliases } = &content.ai;
        if route_type.is_some() && wins("routeType".to_owned()) {
            merged.route_type = *route_type;
        }
        if !prepend.is_empty() && wins("promptEnrichment.prepend".to_owned()) {
            merged.prepend.clone_from(prepend);
        }
        if !append.is_empty() && wins("promptEnrichment.append".to_owned()) {
            merged.append.clone_from(append);
        }
        for default in defaults {
            if wins(format!("defaults[{}]", default.field)) {
                merged.defaults.push(default.clone());
            }
        }
        for (alias, model) in model_aliases {
            if wins(format!("modelAliases[{alias}]")) {
                merged.model_aliases.insert(alias.clone(), model.clone());
            }
        }
    }
    effects.extend(of_winners(&winners));
    Ok(Wanted { policy: encode(merged, translation)?, effects })
}

/// What there is to tell about policies of which a field counts.
fn of_winners(winners: &BTreeMap<String, ObjectKey>) -> Vec<(ObjectKey, PolicyEffect)> {
    let mut keys: Vec<_> = winners.values().collect();
    keys.sort();
    keys.dedup();
    let of_one = |key: &&ObjectKey| {
        let own = ObjectKey::clone(key);
        let others = keys.iter().filter(|other| **other != &own);
        let merged = others.map(|other| PolicyEffect::MergedWith(ObjectKey::clone(other)));
        merged.chain([PolicyEffect::InEffect]).map(|effect| (own.clone(), effect)).collect::<Vec<_>>()
    };
    keys.iter().flat_map(of_one).collect()
}

fn encode(merged: AiContent, translation: Option<Translation>) -> Result<Option<Box<str>>, Rejection> {
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
        translation,
    };
    if policy == (RoutePolicy { version: VERSION, ..RoutePolicy::default() }) {
        return Ok(None);
    }
    let text = serde_json::to_string(&policy)
        .map_err(|error| Rejection::new(Reason::InternalError, error.to_string()))?;
    Ok(Some(text.into()))
}
