//! Whether a request carries the key that its provider wants.

use std::collections::BTreeSet;

use crate::recording::RecordedRequest;

/// The judgement on a request's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Valid,
    Missing,
    Invalid,
}

impl Credential {
    /// Looks for exactly one non-empty value of `header`, after `prefix`. `valid` of `None`: any key will do.
    pub(super) fn of(
        request: &RecordedRequest,
        header: &str,
        prefix: &str,
        valid: Option<&BTreeSet<String>>,
    ) -> Self {
        let values = request.header_values(header);
        let keys: Vec<&str> = values.iter().filter_map(|value| value.strip_prefix(prefix)).collect();
        match keys[..] {
            [] | [""] => Self::Missing,
            [key] if valid.is_none_or(|valid| valid.contains(key)) => Self::Valid,
            _ => Self::Invalid,
        }
    }
}
