use std::collections::HashSet;

/// A field of a request that the provider's protocol does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostField {
    /// Where it stands in the client's body, such as `messages[2].content[0].video_url`.
    pub path: String,
    /// Why it is not carried.
    pub reason: String,
    /// Whether the answer is the same without it: prompt-cache marks and labels. Strict mode lets it
    /// pass.
    pub harmless: bool,
}

/// Collects what gets lost, in the order of discovery.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) fields: Vec<LostField>,
    /// The first report of a field counts.
    paths: HashSet<String>,
}

impl Lost {
    pub(super) fn add(&mut self, path: &str, reason: impl Into<String>) {
        self.push(path, reason.into(), false);
    }

    pub(super) fn add_harmless(&mut self, path: &str, reason: impl Into<String>) {
        self.push(path, reason.into(), true);
    }

    fn push(&mut self, path: &str, reason: String, harmless: bool) {
        if self.paths.insert(path.to_owned()) {
            self.fields.push(LostField { path: path.to_owned(), reason, harmless });
        }
    }
}
