//! Takes the gateway's credential out of an error of a provider that repeats what it was sent.

use std::fmt;

/// What stands in its place.
const REDACTED: &[u8] = b"[redacted]";

/// Reads a body in pieces, wherever they are cut.
pub(super) struct Redaction {
    /// What is taken out. None is empty.
    secrets: Vec<Vec<u8>>,
    /// The longest of them, in bytes.
    longest: usize,
    /// The end of what has come, which may be the beginning of one.
    held: Vec<u8>,
}

/// Without what it holds.
impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

impl Redaction {
    /// Takes these out, as they are and as they stand in JSON; `None` where there is nothing to take out.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            all.push(secret.to_vec());
            let text = serde_json::to_vec(&String::from_utf8_lossy(secret)).unwrap_or_default();
            all.extend(text.get(1..text.len().saturating_sub(1)).map(<[u8]>::to_vec));
        }
        all.retain(|secret| !secret.is_empty());
        // One may be the beginning of another.
        all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        let longest = all.first()?.len();
        Some(Self { secrets: all, longest, held: Vec::new() })
    }

    /// Takes in a piece; gives what can go on.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let keep = self.longest - 1;
        self.pass(keep)
    }

    /// The body has ended: what is left of it.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.pass(0)
    }

    /// Passes on everything but the last bytes, of which at most `keep` stay.
    fn pass(&mut self, keep: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while self.held.len() - at > keep {
            let rest = self.held.get(at..).unwrap_or_default();
            match self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                Some(secret) => {
                    out.extend_from_slice(REDACTED);
                    at += secret.len();
                }
                None => {
                    out.extend(rest.first());
                    at += 1;
                }
            }
        }
        self.held.drain(..at);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_a_body_is_cut() {
        let secrets: [&[u8]; 3] = [b"key-1", b"key-12", b"a\"b"];
        let body = br#"{"m":"key-1 key-12 key-1key-12 kkey-1 a\"b key-"}"#;
        let expected = r#"{"m":"[redacted] [redacted] [redacted][redacted] k[redacted] [redacted] key-"}"#;
        for size in 1..=body.len() {
            let mut redaction = Redaction::new(secrets).unwrap();
            let mut out: Vec<u8> = body.chunks(size).flat_map(|piece| redaction.piece(piece)).collect();
            out.extend(redaction.rest());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {size}");
        }
        assert!(Redaction::new([&b""[..]]).is_none());
        assert_eq!(format!("{:?}", Redaction::new(secrets).unwrap()), "Redaction { .. }");
    }
}
