//! The tables of fates: each line is true, and `docs/ai-translation.md` says what they say.
//! `UPDATE_DOCS=1` rewrites the file.

mod table;

use std::fmt::Write as _;
use std::path::Path;

use ai::protocol::{
    ClientProtocol, LostField, ProviderProtocol, RequestError, RequestOptions, translate_request,
};
use serde_json::Value;

pub(crate) use table::fates;
use table::{Fate, FieldFate};

const INTRODUCTION: &str = "# Translation between AI protocols

A client speaks one of four protocols, a provider one of four others, and the gateway translates. What the provider's
protocol has no place for is never dropped silently:

- **carried** fields stand in the table with the name of the field, or of the type of content, that they become;
- **lost** fields are left out, and reported with their path and the reason; in strict mode the request is refused with
  400 and the name of the first such field;
- **harmless** losses are reported as well, but the answer is the same without them (prompt-cache marks, labels), so strict
  mode lets them pass;
- **refused** fields would change what is asked so much that the request is refused with 400 in any mode.

A `Content` that is known to one protocol only, such as a tool that the provider itself runs, passes to a provider of the
same protocol as it is. Tool schemas, arguments of tool calls and JSON schemas pass as text: key order and numbers survive.

What does not show in the tables:

- **Reasoning.** An effort, a budget of tokens and a level are turned into each other (low, medium, high: 1,024, 8,192, 24,576
  tokens). Newer Claude models get an effort, older ones a budget within the limit of the answer; Gemini 3 gets a level, older
  Gemini models a budget. Anthropic's API takes neither a temperature nor top_k together with reasoning that the gateway asks
  for (they are lost then), nor a forced tool choice (the reasoning is lost then). On Bedrock, models of Anthropic, Amazon Nova
  and OpenAI are told in their own ways; for others reasoning is lost.
- **Signatures of reasoning.** Only the provider that signed reasoning takes it back. A signature that is foreign to the
  client's protocol gets a prefix that names its origin, and a request keeps those of the provider it goes to; the others are
  harmless losses. Gemini's signatures of tool calls reach a client of OpenAI chat as `extra_content.google.thought_signature`
  and the others as reasoning before the call, and return from there.
- **Tool results** with images: OpenAI's chat protocol has text only, so the images follow in a user message; Gemini gets
  them as parts after the response.
- **Ids of tool calls.** Gemini needs none; clients of other protocols get ids made from the request, and Gemini's own clients'
  results are matched to calls by id, else by name and order. Ids with characters that Anthropic and Bedrock refuse are
  replaced on the way there, in calls and results alike.
- **Texts.** Anthropic and Bedrock refuse texts of white space only: they are left out. Texts in a row that a Gemini model said
  are the pieces of one streamed text, and are put together again.
- **Answers.** Carried are texts, refusals, reasoning, tool calls, images (to clients of OpenAI chat and Gemini; others are told
  of them), stop reasons and usage. Not carried are log probabilities, citations, safety ratings, audio, and the steps of tools
  that a provider itself runs.
- **Errors** are told in the client's own protocol with the provider's status; those about credentials lose their message, which
  may hold parts of a key. A stream that ends early ends with an error for the client, never as if it were whole.
- **The limit of the answer** is `max_completion_tokens` for OpenAI's own newer models, else `max_tokens`.

The tables are written by `UPDATE_DOCS=1 cargo test -p ai --test protocol fates`; a test translates a request for each line
and compares. The sample models are Claude Sonnet 4.5, Gemini 2.5 Pro and Claude on Bedrock.
";

fn heading(client: ClientProtocol) -> &'static str {
    match client {
        ClientProtocol::OpenAiChat => "OpenAI chat completions",
        ClientProtocol::OpenAiResponses => "OpenAI Responses",
        ClientProtocol::AnthropicMessages => "Anthropic Messages",
        ClientProtocol::Gemini => "Gemini generateContent",
    }
}

fn model(provider: ProviderProtocol) -> &'static str {
    match provider {
        ProviderProtocol::OpenAiChat => "some-model",
        ProviderProtocol::AnthropicMessages => "claude-sonnet-4-5",
        ProviderProtocol::Gemini => "gemini-2.5-pro",
        ProviderProtocol::BedrockConverse => "anthropic.claude-sonnet-4-5",
    }
}

/// The sample in the smallest request; its fields take the place of those.
pub(crate) fn body(client: ClientProtocol, sample: &str) -> String {
    let minimal: Value = serde_json::from_str(crate::harness::minimal(client)).unwrap();
    let given: Value = serde_json::from_str(&format!("{{{sample}}}")).expect(sample);
    let mut fields: Vec<String> = minimal
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| given.get(name.as_str()).is_none())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    fields.push(sample.to_owned());
    format!("{{{}}}", fields.join(","))
}

/// A signature of the provider's, as the client holds it.
fn signature(client: ClientProtocol, provider: ProviderProtocol) -> &'static str {
    use {ClientProtocol as Client, ProviderProtocol as Provider};
    match (client, provider) {
        (Client::OpenAiChat | Client::OpenAiResponses, Provider::OpenAiChat)
        | (Client::AnthropicMessages, Provider::AnthropicMessages | Provider::BedrockConverse)
        | (Client::Gemini, Provider::Gemini) => "U0lH",
        (_, Provider::OpenAiChat) => "OpenAiSigTagU0lH",
        (_, Provider::Gemini) => "GeminiSigTagU0lH",
        (_, Provider::AnthropicMessages | Provider::BedrockConverse) => "AnthropicSigU0lH",
    }
}

fn translate(
    client: ClientProtocol,
    provider: ProviderProtocol,
    row: &FieldFate,
) -> Result<(String, Vec<LostField>), RequestError> {
    // The reasoning of a sample is signed by the provider asked.
    let body =
        body(client, row.sample).replace("AnthropicSig", "").replace("U0lH", signature(client, provider));
    let options = RequestOptions { model: Some(model(provider)), ..RequestOptions::default() };
    let translated = translate_request(client, provider, body.as_bytes(), &options)?;
    Ok((String::from_utf8(translated.body).unwrap(), translated.lost))
}

/// `messages[2].content` → `messages[].content`
fn general(path: &str) -> String {
    path.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The report that is about the field of this row.
fn report<'a>(row: &FieldFate, lost: &'a [LostField]) -> Option<&'a LostField> {
    let path = row.field.split(' ').next().unwrap();
    let any = row.field == "(any other)";
    let nested = |found: &str| found.starts_with(path) && row.field.contains('(');
    lost.iter().find(|field| {
        let found = general(&field.path);
        any && found == "novel" || path.starts_with(&found) || nested(&found)
    })
}

fn check(client: ClientProtocol, provider: ProviderProtocol, row: &FieldFate, fate: Fate) {
    let what = format!("{} from {client:?} to {provider:?}", row.field);
    let result = translate(client, provider, row);
    let Fate::Refused = fate else {
        let (body, lost) = result.unwrap_or_else(|e| panic!("{what} is refused: {e}"));
        let report = report(row, &lost);
        match fate {
            Fate::Carried(name) => {
                assert_eq!(report, None, "{what} is lost");
                assert!(body.contains(&format!("\"{name}\"")), "{what} does not become {name}: {body}");
                assert!(body.contains(row.witness), "{what}: the value is not in {body}");
            }
            _ => {
                let report = report.unwrap_or_else(|| panic!("{what} is not reported: {lost:?} {body}"));
                assert_eq!(report.harmless, fate == Fate::Harmless, "{what}: {report:?}");
            }
        }
        return;
    };
    let error = result.err().unwrap_or_else(|| panic!("{what} is not refused"));
    let path = general(error.field.as_deref().unwrap_or_default());
    assert!(row.field.starts_with(&path) && !path.is_empty(), "{what}: {error}");
}

#[test]
fn every_line_is_true() {
    for client in ClientProtocol::ALL {
        for row in fates(client) {
            for (provider, fate) in ProviderProtocol::ALL.into_iter().zip(row.fates) {
                check(client, provider, &row, fate);
            }
        }
    }
}

fn cell(client: ClientProtocol, provider: ProviderProtocol, row: &FieldFate, fate: Fate) -> String {
    let reason = || match translate(client, provider, row) {
        Ok((_, lost)) => report(row, &lost).map(|field| field.reason.clone()).unwrap_or_default(),
        Err(error) => error.message,
    };
    match fate {
        Fate::Carried(name) => format!("`{name}`"),
        Fate::Lost => format!("**lost**: {}", reason()),
        Fate::Harmless => format!("harmless: {}", reason()),
        Fate::Refused => format!("**refused**: {}", reason()),
    }
}

fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    for client in ClientProtocol::ALL {
        write!(out, "\n## {}\n", heading(client)).unwrap();
        out.push_str("| field | OpenAI chat | Anthropic | Gemini, Vertex | Bedrock Converse |\n|---|---|---|---|---|\n");
        for row in fates(client) {
            let cells: Vec<String> = ProviderProtocol::ALL
                .into_iter()
                .zip(row.fates)
                .map(|(provider, fate)| cell(client, provider, &row, fate))
                .collect();
            let (path, remark) = match row.field.split_once(' ') {
                Some((path, remark)) if !path.starts_with('(') => (format!("`{path}`"), format!(" {remark}")),
                _ if row.field.starts_with('(') => ("any other field".to_owned(), String::new()),
                _ => (format!("`{}`", row.field), String::new()),
            };
            writeln!(out, "| {path}{remark} | {} |", cells.join(" | ")).unwrap();
        }
    }
    out
}

#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ai-translation.md");
    let wanted = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/ai-translation.md is not current: UPDATE_DOCS=1 rewrites it");
}
