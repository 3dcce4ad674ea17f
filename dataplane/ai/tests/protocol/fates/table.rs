//! The tables of fates, read from the text files beside this one: a line for each field.
//!
//! Columns stand apart by ` | `: the path of the field, with a remark behind a space where one field has several fates;
//! the members of a request that hold it; a text of them that is found in what the provider gets if the field is carried
//! (`-` where there is none to look for); and a fate for each of [`ProviderProtocol::ALL`]: `LOST`, `HARMLESS`,
//! `REFUSED`, or the name of the field, or of the type of content, that it becomes.

use ai::protocol::{ClientProtocol, ProviderProtocol};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It reaches the provider as this field (or as content of this type).
    Carried(&'static str),
    /// It is left out and reported; strict mode refuses the request.
    Lost,
    /// It is left out and reported; the answer is the same without it.
    Harmless,
    /// The request is refused in any mode.
    Refused,
}

/// A field of a client's protocol and its fates.
#[derive(Debug, Clone)]
pub(crate) struct FieldFate {
    pub(crate) field: &'static str,
    pub(crate) sample: &'static str,
    pub(crate) witness: &'static str,
    pub(crate) fates: [Fate; ProviderProtocol::ALL.len()],
}

/// The fields of a client's protocol.
pub(crate) fn fates(client: ClientProtocol) -> Vec<FieldFate> {
    let text = match client {
        ClientProtocol::OpenAiChat => include_str!("openai_chat.txt"),
        ClientProtocol::OpenAiResponses => include_str!("openai_responses.txt"),
        ClientProtocol::AnthropicMessages => include_str!("anthropic.txt"),
        ClientProtocol::Gemini => include_str!("gemini.txt"),
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &'static str) -> FieldFate {
    let columns: Vec<&str> = line.split(" | ").collect();
    let [field, sample, witness, fates @ ..] = &columns[..] else { panic!("too few columns: {line}") };
    let fates: Vec<Fate> = fates.iter().map(|name| fate(name)).collect();
    FieldFate {
        field,
        sample,
        witness: if *witness == "-" { "" } else { witness },
        fates: fates.try_into().unwrap_or_else(|_| panic!("not one fate for each provider: {line}")),
    }
}

fn fate(name: &'static str) -> Fate {
    match name {
        "LOST" => Fate::Lost,
        "HARMLESS" => Fate::Harmless,
        "REFUSED" => Fate::Refused,
        name => Fate::Carried(name),
    }
}
