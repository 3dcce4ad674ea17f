//! What replicas of the control plane say to each other and nobody else may read or make up.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

/// What the key is for, so that it is good for nothing else.
const SALT: &[u8] = b"chancery.dev";
const PURPOSE: &[u8] = b"between replicas";

/// A key that all replicas have: derived (HKDF-SHA-256) from the key of the authority, which they all read. Messages are
/// sealed by AES-256-GCM with a random nonce, of which there are few.
#[derive(Clone)]
pub struct ReplicaKey(Arc<LessSafeKey>);

impl ReplicaKey {
    /// The key that goes with a private key of the authority.
    pub(super) fn derive(authority_key: &[u8]) -> Self {
        let derived = Salt::new(HKDF_SHA256, SALT).extract(authority_key);
        let info = [PURPOSE];
        let output =
            derived.expand(&info, &AES_256_GCM).expect("a key of AES-256 is shorter than HKDF's limit");
        Self(Arc::new(LessSafeKey::new(UnboundKey::from(output))))
    }

    /// Seals a message about `subject`; `None` if there is no randomness to be had.
    pub fn seal(&self, subject: &str, message: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = message.to_vec();
        let nonce_bytes = nonce;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(nonce, Aad::from(subject), &mut sealed).ok()?;
        Some([&nonce_bytes, sealed.as_slice()].concat())
    }

    /// Opens what was sealed with the same key about the same subject.
    pub fn open(&self, subject: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let message = self.0.open_in_place(nonce, Aad::from(subject), &mut sealed).ok()?;
        Some(message.to_vec())
    }

    /// For who has no authority.
    #[cfg(test)]
    pub(crate) fn for_tests(key: &str) -> Self {
        Self::derive(key.as_bytes())
    }
}

impl fmt::Debug for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_with_the_same_key_about_the_same_subject_and_not_else() {
        let key = ReplicaKey::derive(b"authority");
        let sealed = key.seal("a", b"canary").unwrap();
        assert_eq!(
            ReplicaKey::derive(b"authority").open("a", &sealed).as_deref(),
            Some(b"canary".as_slice())
        );
        assert_eq!(key.open("b", &sealed), None);
        assert_eq!(ReplicaKey::derive(b"another").open("a", &sealed), None);
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_ne!(key.seal("a", b"canary").unwrap(), sealed);
        for index in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[index] ^= 1;
            assert_eq!(key.open("a", &forged), None, "{index}");
            assert_eq!(key.open("a", &sealed[..index]), None, "{index}");
        }
    }
}
