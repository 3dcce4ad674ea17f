//! Nothing is dropped silently: an unknown field in any object of a request is reported, refused, or
//! found in what the provider gets.

use ai::protocol::{ClientProtocol, ProviderProtocol, RequestOptions, translate_request};
use serde_json::Value;

use crate::conversations::conversation;
use crate::fates::{body, fates};

/// Objects of the user's own, which are handed on as a whole.
const OPAQUE: [&str; 9] = [
    "parameters",
    "parametersJsonSchema",
    "input_schema",
    "schema",
    "responseSchema",
    "responseJsonSchema",
    "args",
    "response",
    "metadata",
];

/// The JSON pointers of all objects that are read.
fn objects(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(pointer.to_owned());
            for (name, inner) in map {
                // `input` is a list of items or the arguments of a tool call.
                let arguments = name == "input" && inner.is_object();
                if !OPAQUE.contains(&name.as_str()) && !arguments {
                    objects(inner, &format!("{pointer}/{name}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                objects(inner, &format!("{pointer}/{index}"), found);
            }
        }
        _ => (),
    }
}

#[test]
fn unknown_fields_are_never_dropped_silently() {
    let mut silent = Vec::new();
    for client in ClientProtocol::ALL {
        let samples = fates(client).into_iter().map(|row| body(client, row.sample));
        for sample in samples.chain([conversation(client).to_owned()]) {
            let value: Value = serde_json::from_str(&sample).unwrap();
            let mut pointers = Vec::new();
            objects(&value, "", &mut pointers);
            for pointer in pointers {
                let mut changed = value.clone();
                let object = changed.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap();
                object.insert("novel_x".into(), 1.into());
                for provider in ProviderProtocol::ALL {
                    let options = RequestOptions { model: Some("m"), ..RequestOptions::default() };
                    let result =
                        translate_request(client, provider, changed.to_string().as_bytes(), &options);
                    let told = match result {
                        Err(_) => true,
                        Ok(translated) => {
                            let carried = String::from_utf8(translated.body).unwrap().contains("novel_x");
                            // A field that is lost as a whole says so for all that is in it.
                            let around = translated.lost.iter().any(|field| {
                                let path =
                                    format!("/{}", field.path.replace(['.', '['], "/").replace(']', ""));
                                // Content of a type that is not carried is named by its own field.
                                let whole = ["/video_url", "/executableCode"]
                                    .iter()
                                    .find_map(|kind| path.strip_suffix(kind));
                                field.path.ends_with("novel_x") || pointer.starts_with(whole.unwrap_or(&path))
                            });
                            carried || around
                        }
                    };
                    if !told {
                        silent.push(format!("{client:?} to {provider:?}: {pointer}/novel_x of {sample}"));
                    }
                }
            }
        }
    }
    assert!(silent.is_empty(), "{} drops:\n{}", silent.len(), silent.join("\n"));
}
