//! Why something is not accepted.

use super::Reason;

/// A reason with its message, which names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub reason: Reason,
    pub message: String,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The same with the field that holds what is rejected.
    pub(crate) fn within(self, field: &str) -> Self {
        Self { message: format!("{field}: {}", self.message), ..self }
    }
}
