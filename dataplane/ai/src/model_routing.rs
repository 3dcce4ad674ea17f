//! Routes that are chosen by the model of a request: which model it names, and which models a gateway has.

use ai_config::Schema;
use serde_json::{Value, json};

use crate::exchange::Refusal;
use crate::json::Object;
use crate::operation::Operation;

/// A longer name is no model's. It becomes a header, and all headers of a request have 32 KiB together.
const MAX_MODEL: usize = 1024;

/// Where the model of a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// In the path.
    ByPath(String),
    /// In the body, if anywhere.
    ByBody,
}

/// Where the model of a request with this path stands.
///
/// # Errors
/// What stands there cannot be the name of a model.
pub fn named(path: &str) -> Result<Named, Refusal> {
    match Operation::of(path) {
        Operation::ModelMethod { model, .. } | Operation::BedrockModel { model, .. } => {
            Ok(Named::ByPath(checked(decoded(&model), schema(path, false))?))
        }
        _ => Ok(Named::ByBody),
    }
}

/// The model that a body names; `None` if it names none: it is no JSON object, or its `model` is no string.
///
/// # Errors
/// It names two, so that a provider might take another one than the route was chosen by, or one that cannot be a name.
pub fn named_by(body: &[u8], schema: Schema) -> Result<Option<String>, Refusal> {
    Object::parse(body).map_or(Ok(None), |object| named_in(&object, schema))
}

/// The same of a body that was parsed.
///
/// # Errors
/// As [`named_by`].
pub fn named_in(object: &Object<'_>, schema: Schema) -> Result<Option<String>, Refusal> {
    let count = object.fields().iter().filter(|field| field.name == "model").count();
    if count > 1 {
        return Err(Refusal::bad_request(schema, "model", "the member \"model\" stands in the body twice"));
    }
    object.string("model").map(|model| checked(model, schema)).transpose()
}

/// The schema in which a client with this path reads errors, as far as the request's head tells.
pub fn schema(path: &str, has_anthropic_version: bool) -> Schema {
    match Operation::of(path) {
        Operation::Messages => Schema::Anthropic,
        Operation::ModelMethod { .. } => Schema::Gemini,
        Operation::BedrockModel { .. } => Schema::Bedrock,
        _ if has_anthropic_version => Schema::Anthropic,
        _ => Schema::OpenAi,
    }
}

/// A name that may become the value of a header.
fn checked(model: String, schema: Schema) -> Result<String, Refusal> {
    let is_name = !model.chars().any(char::is_control) && model.len() <= MAX_MODEL;
    if is_name { Ok(model) } else { Err(Refusal::bad_request(schema, "model", "is not the name of a model")) }
}

/// A part of a path without its escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits
                .bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then(|| u8::from_str_radix(digits, 16).ok())?
        });
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A list of models as the client of a path asks for it. OpenAI's and Anthropic's clients ask under the same path, and
/// each reads its own members of one answer; Google's ask under another one.
pub fn list(models: &[String], path: &str) -> Vec<u8> {
    let path = path.split('?').next().unwrap_or_default();
    let list = if path.ends_with("/v1beta/models") { gemini_list(models) } else { common_list(models) };
    list.to_string().into_bytes()
}

fn gemini_list(models: &[String]) -> Value {
    let entry = |model: &String| {
        json!({
            "name": format!("models/{model}"),
            "displayName": model,
            "supportedGenerationMethods": ["generateContent"],
        })
    };
    json!({ "models": models.iter().map(entry).collect::<Vec<_>>() })
}

fn common_list(models: &[String]) -> Value {
    // Neither says when a model was made: both APIs want some time.
    let entry = |model: &String| {
        json!({
            "id": model, "object": "model", "created": 0, "owned_by": "gateway",
            "type": "model", "display_name": model, "created_at": "1970-01-01T00:00:00Z",
        })
    };
    json!({
        "object": "list",
        "data": models.iter().map(entry).collect::<Vec<_>>(),
        "has_more": false, "first_id": models.first(), "last_id": models.last(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_model() {
        for (path, expected) in [
            ("/v1beta/models/gemini-2:generateContent", Some("gemini-2")),
            ("/g/v1beta/models/gemini%2d2:streamGenerateContent?alt=sse", Some("gemini-2")),
            ("/model/us.anthropic.claude%3A0/converse", Some("us.anthropic.claude:0")),
            ("/model/100%/converse", Some("100%")),
            ("/model/%zz%+1/converse", Some("%zz%+1")),
            ("/v1/chat/completions", None),
            ("/v1/models", None),
            ("/", None),
        ] {
            let expected = expected.map_or(Named::ByBody, |model| Named::ByPath(model.to_owned()));
            assert_eq!(named(path), Ok(expected), "{path}");
        }
        assert_eq!(named("/model/a%0d%0ab/converse").unwrap_err().status, 400);
    }

    #[test]
    fn a_body_may_name_the_model() {
        let model = |body: &str| named_by(body.as_bytes(), Schema::OpenAi);
        for (body, expected) in [
            (r#"{"messages": [{"model": "no"}], "model": "gpt-4"}"#, Some("gpt-4")),
            (r#"{"mod\u0065l": "gpt-4"}"#, Some("gpt-4")),
            (r#"{"model": "mod\u00e8le/1"}"#, Some("mod\u{e8}le/1")),
            (r#"{"model": 4}"#, None),
            (r#"{"model": null}"#, None),
            (r#"{"model": "gpt-4""#, None),
            (r#"["gpt-4"]"#, None),
            ("", None),
            ("--boundary", None),
        ] {
            assert_eq!(model(body), Ok(expected.map(str::to_owned)), "{body}");
        }
        for body in [
            r#"{"model": "a", "model": "b"}"#,
            r#"{"model": "a\r\nx: y"}"#,
            &format!("{{\"model\": \"{}\"}}", "m".repeat(1025)),
        ] {
            assert_eq!(model(body).unwrap_err().status, 400, "{body}");
        }
    }

    #[test]
    fn errors_have_the_form_of_the_clients_protocol() {
        assert_eq!(schema("/v1/messages", false), Schema::Anthropic);
        assert_eq!(schema("/claude", true), Schema::Anthropic);
        assert_eq!(schema("/v1beta/models/m:generateContent", false), Schema::Gemini);
        assert_eq!(schema("/model/m/converse", false), Schema::Bedrock);
        assert_eq!(schema("/v1/chat/completions", false), Schema::OpenAi);
    }

    #[test]
    fn each_client_finds_its_list_of_models() {
        let models = ["a".to_owned(), "b".to_owned()];
        let at = |path: &str| serde_json::from_slice::<Value>(&list(&models, path)).unwrap();
        let common = at("/x/v1/models?limit=2");
        assert_eq!((&common["object"], &common["data"][1]["id"]), (&json!("list"), &json!("b")));
        assert_eq!((&common["data"][0]["type"], &common["has_more"]), (&json!("model"), &json!(false)));
        assert_eq!(at("/v1beta/models")["models"][0]["name"], "models/a");
        assert_eq!(
            serde_json::from_slice::<Value>(&list(&[], "/v1/models")).unwrap()["first_id"],
            Value::Null
        );
    }
}
