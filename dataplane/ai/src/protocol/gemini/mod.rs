//! Gemini's generateContent, of the Gemini API and of Vertex.

pub(super) mod part_reader;
pub(super) mod part_writer;
pub(super) mod request_reader;
pub(super) mod request_writer;
pub(super) mod response_reader;
pub(super) mod response_writer;

/// Marks a signature that stands for encrypted reasoning of another provider. It consists of
/// characters of base64 because clients decode signatures.
pub(super) const REDACTED: &str = "redacted";
