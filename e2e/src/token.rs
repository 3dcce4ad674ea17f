//! Tokens (JWT), good ones and others.

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Who issues tokens.
#[derive(Debug)]
pub struct Issuer {
    key: EcdsaKeyPair,
    pem: String,
}

/// How a token claims to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// As it should be: by the private key.
    Es256,
    /// Not at all.
    None,
    /// With the public key, which everybody knows, as if it were a secret.
    Hs256,
    /// By the private key, but with the name of another algorithm.
    NamedRs256,
}

impl Issuer {
    /// With a key of its own.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new() -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der(), &random)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(Self { key, pem: pair.public_key_pem() })
    }

    /// The public key in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key as a JSON Web Key Set.
    #[must_use]
    pub fn key_set(&self) -> String {
        // The point: 4, then both coordinates.
        let point = self.key.public_key().as_ref();
        json!({"keys": [{"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])}]})
            .to_string()
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_by(Algorithm::Es256, claims)
    }

    /// A token with these claims that claims to be signed in this way.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn token_by(&self, algorithm: Algorithm, claims: &Value) -> Result<String> {
        let name = match algorithm {
            Algorithm::Es256 => "ES256",
            Algorithm::None => "none",
            Algorithm::Hs256 => "HS256",
            Algorithm::NamedRs256 => "RS256",
        };
        let header = json!({"alg": name, "typ": "JWT"});
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match algorithm {
            Algorithm::None => Vec::new(),
            Algorithm::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.pem.as_bytes());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Algorithm::Es256 | Algorithm::NamedRs256 => {
                let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
                signature.map_err(|error| anyhow!("{error}")).context("no signature")?.as_ref().to_vec()
            }
        };
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

/// The same token with another payload, and the signature of the old one.
#[must_use]
pub fn with_claims(token: &str, claims: &Value) -> String {
    let mut parts = token.split('.');
    let (header, signature) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    format!("{header}.{}.{signature}", encode(claims.to_string().as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
