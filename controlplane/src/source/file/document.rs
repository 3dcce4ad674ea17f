//! From the text of a file to its documents, each on its own: a broken one leaves the others standing.

use std::sync::Arc;

use serde_json::Value;

use super::text::Text;
use crate::source::DocumentPlace;

/// A document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it begins.
    pub(crate) place: DocumentPlace,
    /// Its content, or where and why it cannot be read.
    pub(crate) content: Result<Value, Unreadable>,
    /// Its text, for the lines of its fields.
    pub(crate) text: Arc<Text>,
}

/// Why the text of a document is not YAML.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Where the parser gave up.
    pub(crate) place: DocumentPlace,
    /// What it said; quotes no value.
    pub(crate) message: String,
}

/// The documents of a text, without those that have no content.
pub(crate) fn documents(text: &str) -> Vec<Document> {
    let with_content = split(text).into_iter().filter(|part| part.has_content());
    with_content.enumerate().map(|(index, part)| part.parse(index + 1)).collect()
}

/// The text of one document.
struct Part<'a> {
    /// The line of the file, from 1, that it begins with.
    first_line: usize,
    text: &'a str,
}

/// Splits at `---` and after `...` at the start of a line.
///
/// YAML forbids both there within any scalar (1.2.2, `c-forbidden`), so no parser is needed to find
/// them, and an error in one document cannot hide the next.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = vec![Part { first_line: 1, text: "" }];
    let mut start = 0;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") {
            start = offset;
            parts.push(Part { first_line: index + 1, text: "" });
        }
        offset += line.len();
        if is_marker(line, "...") {
            start = offset;
            parts.push(Part { first_line: index + 2, text: "" });
        } else if let Some(part) = parts.last_mut() {
            part.text = &text[start..offset];
        }
    }
    parts
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

impl Part<'_> {
    /// Whether there is more than comments, directives, markers and a byte order mark.
    fn has_content(&self) -> bool {
        self.text.lines().any(|line| {
            let line = line.trim_start_matches('\u{feff}');
            let content = if is_marker(line, "---") { &line[3..] } else { line }.trim_start();
            !(content.is_empty() || content.starts_with('#') || line.starts_with('%'))
        })
    }

    fn parse(&self, number: usize) -> Document {
        let place = DocumentPlace { number, line: self.first_content_line() };
        let content = serde_saphyr::from_str_with_options::<Value>(self.text, options()).map_err(|error| {
            let line = error.location().map_or(place.line, |at| self.line(at.line()));
            Unreadable { place: DocumentPlace { number, line }, message: message(&error) }
        });
        Document { place, content, text: Arc::new(Text::new(self.text, self.first_line)) }
    }

    /// The line of the file for a line of this text.
    fn line(&self, line: u64) -> usize {
        self.first_line + usize::try_from(line).unwrap_or(1).saturating_sub(1)
    }

    fn first_content_line(&self) -> usize {
        let markers = self.text.lines().take_while(|line| {
            let line = line.trim_end();
            line.is_empty() || line == "---" || line.starts_with(['#', '%'])
        });
        self.first_line + markers.count()
    }
}

/// Errors without the piece of the text that they are about: it may hold a key. YAML 1.2's booleans
/// only: a name such as `y` is a name.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false, strict_booleans: true }
}

/// What is wrong, without the place (which is said in the terms of the file) and without values.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` stands twice in one mapping")
        }
        Error::MultipleDocuments { .. } => "more text after the end of the document".to_owned(),
        Error::NonFiniteFloat { .. } => "a number that JSON does not have".to_owned(),
        other => {
            let text = other.to_string();
            let text = text.lines().next().unwrap_or_default();
            // The parser ends its message with the place as it sees it.
            let text = text.split(" at line ").next().unwrap_or(text);
            format!("not valid YAML: {}", text.trim_end_matches([':', ',', ' ']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, line, and whether it could be read.
    type Row = (usize, usize, bool);

    fn lines(text: &str) -> Vec<Row> {
        documents(text).iter().map(|d| (d.place.number, d.place.line, d.content.is_ok())).collect()
    }

    #[test]
    fn documents_are_counted_with_the_line_where_their_content_begins() {
        let rows: &[(&str, &str, &[Row])] = &[
            ("one", "a: 1\n", &[(1, 1, true)]),
            ("two", "a: 1\n---\nb: 2\n", &[(1, 1, true), (2, 3, true)]),
            ("leading marker and comment", "# x\n---\n# y\na: 1\n", &[(1, 4, true)]),
            ("content on the marker's line", "--- {a: 1}\n", &[(1, 1, true)]),
            ("windows line ends", "a: 1\r\n---\r\nb: 2\r\n", &[(1, 1, true), (2, 3, true)]),
            ("empty documents", "---\n---\n\n---\na: 1\n---\n", &[(1, 5, true)]),
            ("directive", "%YAML 1.2\n---\na: 1\n", &[(1, 3, true)]),
            ("end marker", "a: 1\n...\nb: 2\n", &[(1, 1, true), (2, 3, true)]),
            ("marker inside a block scalar is text", "a: |\n  ---\n  x\nb: 2\n", &[(1, 1, true)]),
            ("longer dashes are text", "----: 1\n", &[(1, 1, true)]),
            ("nothing", "\n# only a comment\n", &[]),
            ("JSON with tabs", "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}\n", &[(1, 1, true)]),
            ("byte order mark", "\u{feff}a: 1\n", &[(1, 1, true)]),
        ];
        for (says, text, expected) in rows {
            assert_eq!(&lines(text), expected, "{says}");
        }
    }

    #[test]
    fn a_broken_document_leaves_the_others_and_names_its_line() {
        let parsed = documents("a: 1\n---\nb: 2\nc: [\n---\nd: 4\n");
        assert!(parsed[0].content.is_ok() && parsed[2].content.is_ok());
        let error = parsed[1].content.as_ref().unwrap_err();
        assert_eq!(error.place.number, 2);
        assert!((4..=5).contains(&error.place.line), "{error:?}");
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        let parsed = documents("a: 1\nb: 2\na: 3\n");
        let error = parsed[0].content.as_ref().unwrap_err();
        assert_eq!(error.message, "the key `a` stands twice in one mapping");
        assert_eq!(error.place.line, 3);
    }

    #[test]
    fn words_that_older_yaml_reads_as_booleans_are_text() {
        let parsed = documents("name: y\nother: no\ntruth: true\n");
        let value = parsed[0].content.as_ref().unwrap();
        assert_eq!(*value, serde_json::json!({"name": "y", "other": "no", "truth": true}));
    }

    #[test]
    fn errors_do_not_quote_the_text() {
        for text in [
            "a: sk-canary: b\n",
            "a: \"sk-canary\n",
            "a: 'sk-canary' x\n",
            "stringData:\n  k: sk-canary\n k: sk-canary\n",
            "a: *sk-canary\n",
            "a: [sk-canary}\n",
            "a: @sk-canary\n",
            "a: !!int sk-canary\n",
            "a: !!binary sk-canary\n",
            "a:\n\tb: sk-canary\n",
        ] {
            for document in documents(text) {
                let Err(error) = document.content else { continue };
                assert!(!error.message.contains("canary"), "{text:?}: {}", error.message);
            }
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(documents(&text)[0].content.is_err());
    }
}
