//! Compressed bodies.

use serde::{Deserialize, Serialize};

/// A form of compression (`content-encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Coding {
    /// `br`.
    Brotli,
    /// `gzip`.
    Gzip,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Zstd];

    /// Its name in headers (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The names of several.
    pub fn names(all: &[Self]) -> String {
        all.iter().map(|coding| coding.name()).collect::<Vec<_>>().join("+")
    }
}

/// How answers are compressed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Compressor {
    /// In which forms; sorted, each once, never none.
    pub codings: Vec<Coding>,
    /// Shorter answers are not, if they tell their length.
    pub least_bytes: u32,
    /// The types of content that are, in lower case and without parameters; the proxy's own list if there are none.
    pub content_types: Vec<String>,
}

impl Compressor {
    /// What a route names it by: what it is.
    pub fn name(&self) -> String {
        let Self { codings, least_bytes, content_types } = self;
        format!("{} {least_bytes} {}", Coding::names(codings), content_types.join(","))
    }
}
