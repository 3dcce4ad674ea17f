//! How what is asked of the API server ends.

use kube::core::Status;

/// Why a list or a watch ended.
#[derive(Debug)]
pub(super) enum End {
    /// The API server ended the watch in good order, or the connection broke: go on where it was.
    Ended,
    /// The place to go on at is too old: list again.
    Gone,
    /// The API server does not stream lists.
    NoStreamedLists,
    /// The API server does not know the kind in this version.
    NotFound,
    /// The API server does not allow the request, and why.
    Forbidden(String),
    /// The API server does not take the request, and why.
    Refused(String),
    /// Anything else.
    Failed(String),
    /// Nobody listens any more.
    Closed,
}

impl End {
    /// What an error of the API server means.
    pub(super) fn of_status(code: u16, status: &Status) -> Self {
        match code {
            404 => Self::NotFound,
            410 => Self::Gone,
            403 => Self::Forbidden(format!("forbidden: {}", status.message)),
            400 | 422 => Self::Refused(format!("invalid: {}", status.message)),
            code => Self::Failed(format!("{code} {}: {}", status.reason, status.message)),
        }
    }

    /// There is no answer.
    pub(super) fn silent() -> Self {
        Self::Failed("the API server does not answer".to_owned())
    }

    /// The answer is not what was asked for. It is not quoted: it may hold a Secret.
    pub(super) fn unreadable() -> Self {
        Self::Failed("the API server's answer cannot be read".to_owned())
    }
}

impl From<&kube::Error> for End {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, status),
            kube::Error::SerdeError(_) => Self::unreadable(),
            error => Self::Failed(innermost(error)),
        }
    }
}

/// What an error comes from, such as "connection refused"; the layers above say nothing.
fn innermost(error: &kube::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
