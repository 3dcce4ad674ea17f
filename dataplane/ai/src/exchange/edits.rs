//! What becomes of a request's body: members that are set, and nothing else touched.

use ai_config::{Provider, Schema};
use serde_json::{Map, Value, json};

use super::{Exchange, Refusal, enrich};
use crate::json::{Edit, Object};
use crate::operation::Operation;

/// From this version on Azure OpenAI takes `stream_options`.
const AZURE_STREAM_OPTIONS_SINCE: &str = "2024-09";

impl Exchange {
    /// The members that the body gets.
    pub(super) fn edits(&mut self, object: &Object<'_>) -> Result<Vec<Edit>, Refusal> {
        let mut edits = self.defaults(object);
        if let Some(model) = self.model_of_body() {
            edits.push(Edit::new("model", json!(model).to_string()));
        }
        if self.sets_stream() {
            edits.push(Edit::new("stream", "true"));
        }
        // A default may have decided it.
        if let Some(stream) = edits.iter().rev().find(|edit| edit.name == "stream") {
            self.streaming = stream.value == b"true";
        }
        if self.has_messages() {
            let field = self.messages_field();
            edits.extend(
                enrich::messages(field, object, &self.policy.prepend, &self.policy.append)
                    .map_err(|(name, message)| Refusal::bad_request(self.facts.schema, name, message))?,
            );
        }
        edits.extend(self.ask_for_usage(object));
        Ok(edits)
    }

    /// A default fills what is absent; one that replaces counts whatever is there.
    fn defaults(&self, object: &Object<'_>) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        for default in self.policy.defaults.iter().chain(&self.cluster.defaults) {
            let is_there =
                object.get(&default.field).is_some() || edits.iter().any(|edit| edit.name == default.field);
            if default.replace || !is_there {
                edits.push(Edit::new(default.field.clone(), default.value.clone()));
            }
        }
        edits
    }

    /// How the conversation stands in the body.
    fn messages_field(&self) -> enrich::Layout {
        match (self.facts.schema, &self.operation) {
            (Schema::OpenAi, Operation::Responses) => enrich::Layout::Responses,
            (Schema::OpenAi, _) => enrich::Layout::OpenAi,
            (Schema::Anthropic, _) => enrich::Layout::Anthropic,
            (Schema::Gemini, _) => enrich::Layout::Gemini,
            (Schema::Bedrock, _) => enrich::Layout::Bedrock,
        }
    }

    /// OpenAI tells the usage of a stream only to those who ask for it.
    fn ask_for_usage(&mut self, object: &Object<'_>) -> Option<Edit> {
        let takes_options = match &self.cluster.provider {
            Provider::OpenAi => true,
            Provider::AzureOpenAi { api_version, .. } => {
                !api_version.starts_with("20") || api_version.as_str() >= AZURE_STREAM_OPTIONS_SINCE
            }
            _ => false,
        };
        let is_chat_completion = matches!(self.operation, Operation::Unnamed | Operation::ChatCompletions);
        // OpenAI's legacy form of a stream of text is asked in the same way, but is passed on as it is.
        if !takes_options || !is_chat_completion || !self.streaming {
            return None;
        }
        let options = object.get("stream_options").unwrap_or(b"null");
        let mut options: Map<String, Value> = match serde_json::from_slice(options).ok()? {
            Value::Object(options) => options,
            Value::Null => Map::new(),
            // The provider says what is wrong with it.
            _ => return None,
        };
        if options.get("include_usage") == Some(&Value::Bool(true)) {
            return None;
        }
        options.insert("include_usage".to_owned(), Value::Bool(true));
        self.hides_usage = true;
        Some(Edit::new("stream_options", Value::Object(options).to_string()))
    }
}
