//! Cross-origin resource sharing (the Fetch standard, "CORS protocol"): what browsers may do in pages of other origins.

use serde::{Deserialize, Serialize};

/// What browsers are told. The gateway answers their preflight requests itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Whose pages are meant.
    pub origins: Origins,
    /// Whether cookies and credentials may be sent along.
    pub credentials: bool,
    /// Methods beside those that need no permission.
    pub methods: NameList,
    /// Headers of requests beside those that need no permission.
    pub headers: NameList,
    /// Headers of responses that scripts may read beside those that need no permission.
    pub expose: NameList,
    /// How long a browser may keep the answer to a preflight request, in seconds.
    pub max_age: u32,
}

/// Origins: scheme, host and port of pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origins {
    /// Every one.
    Any,
    /// Those that one of these RE2 expressions fits as a whole. None is larger than Envoy takes.
    Matching(Vec<String>),
}

/// Names, or all there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameList {
    /// All.
    Any,
    /// These; may be none.
    These(Vec<String>),
}
