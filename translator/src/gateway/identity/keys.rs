//! The keys that tokens are signed with, in the one form that Envoy reads: a JSON Web Key Set (RFC 7517).

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use num_bigint::BigUint;
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SystemRandom;
use serde_json::{Map, Value, json};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};
use x509_parser::public_key::{PublicKey, RSAPublicKey};

/// Members of private keys.
const PRIVATE_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

/// A curve of elliptic curve keys.
struct Curve {
    /// RFC 5480 §2.1.1.1.
    id: &'static str,
    /// RFC 7518 §6.2.1.1.
    name: &'static str,
    /// The algorithm of its signatures (RFC 7518 §3.1).
    signature: &'static str,
    /// The length of a coordinate in bytes.
    length: usize,
    /// How a point is found to lie on it.
    check: PointCheck,
}

/// How a point is found to lie on a curve.
enum PointCheck {
    /// A key is agreed on with it, which fails for any other point.
    Agreement(&'static agreement::Algorithm),
    /// By the equation of P-521.
    P521,
}

/// The constant term of the equation of P-521 (SEC 2 §2.6.1).
const P521_CONSTANT: &[u8] =
    b"51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf\
    073573df883d2c34f1ef451fd46b503f00";

const CURVES: [Curve; 3] = [
    Curve {
        id: "1.2.840.10045.3.1.7",
        name: "P-256",
        signature: "ES256",
        length: 32,
        check: PointCheck::Agreement(&agreement::ECDH_P256),
    },
    Curve {
        id: "1.3.132.0.34",
        name: "P-384",
        signature: "ES384",
        length: 48,
        check: PointCheck::Agreement(&agreement::ECDH_P384),
    },
    Curve { id: "1.3.132.0.35", name: "P-521", signature: "ES512", length: 66, check: PointCheck::P521 },
];

/// The algorithms of signatures by RSA keys (RFC 7518 §3.1).
const RSA_SIGNATURES: [&str; 6] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/// Ed25519 (RFC 8410 §3).
const ED25519: &str = "1.3.101.112";
const ED25519_BYTES: usize = 32;

/// How many bits an RSA key has.
const RSA_BITS: RangeInclusive<usize> = 1024..=16384;

/// Reads a key set, a key (both JSON) or public keys in PEM, and writes them as a key set that Envoy takes: it refuses the
/// whole filter, with all providers of a Gateway, for one key that it cannot read.
///
/// # Errors
/// It is none of that, or holds a key that is a secret. No error repeats anything of it.
pub(super) fn key_set(text: &str) -> Result<String, String> {
    let keys = match text.trim() {
        "" => return Err("is empty".to_owned()),
        text if text.starts_with("-----BEGIN") => keys_of_pem(text)?,
        text => keys_of_json(text)?,
    };
    Ok(json!({ "keys": keys }).to_string())
}

fn keys_of_json(text: &str) -> Result<Vec<Value>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| "is neither JSON nor a public key in PEM".to_owned())?;
    let keys = match value {
        Value::Object(mut members) if members.contains_key("keys") => match members.remove("keys") {
            Some(Value::Array(keys)) => keys,
            _ => return Err("keys is not a list".to_owned()),
        },
        Value::Object(key) => vec![Value::Object(key)],
        _ => return Err("is neither a JSON Web Key Set nor a JSON Web Key".to_owned()),
    };
    let mut usable = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let key = key.as_object().ok_or_else(|| "is not an object".to_owned()).and_then(web_key);
        usable.extend(key.map_err(|error| format!("key {}: {error}", index + 1))?);
    }
    match usable.is_empty() {
        true => Err("holds no RSA, EC or OKP key".to_owned()),
        false => Ok(usable),
    }
}

/// The members of a key that matter; `None` if it is of a kind that is not for signatures.
fn web_key(key: &Map<String, Value>) -> Result<Option<Value>, String> {
    let text = |name: &str| match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("{name} is no text")),
    };
    let bytes = |name: &str| {
        let text = text(name)?.ok_or_else(|| format!("has no {name}"))?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| format!("{name} is no base64url"))
    };
    let kind = text("kty")?.ok_or("has no kty")?;
    if kind == "oct" {
        let message = "is a secret, which would stand in the configuration of proxies; use a public key";
        return Err(message.to_owned());
    }
    if let Some(member) = PRIVATE_MEMBERS.iter().find(|member| key.contains_key(**member)) {
        return Err(format!("is a private key (it has {member}); only the public part belongs here"));
    }
    let curve = || text("crv")?.ok_or_else(|| "has no crv".to_owned());
    let (made, signatures): (Value, Vec<&str>) = match kind {
        "RSA" => (rsa(&bytes("n")?, &bytes("e")?)?, RSA_SIGNATURES.to_vec()),
        "EC" => {
            let name = curve()?;
            let curve = CURVES.iter().find(|curve| curve.name == name);
            let curve = curve.ok_or_else(|| "crv is none of P-256, P-384 and P-521".to_owned())?;
            (elliptic(curve, &bytes("x")?, &bytes("y")?)?, vec![curve.signature])
        }
        "OKP" if curve()? == "Ed25519" => (edwards(&bytes("x")?)?, vec!["EdDSA"]),
        _ => return Ok(None),
    };
    let algorithm = text("alg")?;
    if algorithm.is_some_and(|algorithm| !signatures.contains(&algorithm)) {
        return Err(format!("alg is not an algorithm of its kind ({})", signatures.join(", ")));
    }
    let mut made = made;
    for (name, value) in [("alg", algorithm), ("kid", text("kid")?)] {
        if let (Some(value), Some(members)) = (value, made.as_object_mut()) {
            members.insert(name.to_owned(), value.into());
        }
    }
    // Keys for encryption sign nothing.
    Ok((text("use")? != Some("enc")).then_some(made))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Value, String> {
    let number = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let (modulus, exponent) = (number(modulus), number(exponent));
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !RSA_BITS.contains(&bits) || !is_odd(&modulus) {
        return Err(format!(
            "n is not the modulus of a key of {} to {} bits",
            RSA_BITS.start(),
            RSA_BITS.end()
        ));
    }
    if !is_odd(&exponent) || exponent.len() > 4 || exponent == [1] {
        return Err("e is not the exponent of a key".to_owned());
    }
    Ok(json!({"kty": "RSA", "n": encode(&modulus), "e": encode(&exponent)}))
}

fn elliptic(curve: &Curve, x: &[u8], y: &[u8]) -> Result<Value, String> {
    if x.len() != curve.length || y.len() != curve.length {
        return Err(format!("x and y do not have the {} bytes of {}", curve.length, curve.name));
    }
    let is_point = match curve.check {
        PointCheck::Agreement(algorithm) => is_peer(algorithm, x, y)?,
        PointCheck::P521 => is_on_p521(x, y),
    };
    if !is_point {
        return Err(format!("is no point of {}", curve.name));
    }
    // With its algorithm: Envoy takes whatever a token says otherwise.
    Ok(json!({"kty": "EC", "alg": curve.signature, "crv": curve.name, "x": encode(x), "y": encode(y)}))
}

/// Whether a key can be agreed on with a point.
fn is_peer(algorithm: &'static agreement::Algorithm, x: &[u8], y: &[u8]) -> Result<bool, String> {
    let own = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new());
    let own = own.map_err(|_| "cannot be checked: there is no randomness".to_owned())?;
    let peer = UnparsedPublicKey::new(algorithm, [&[4], x, y].concat());
    // It fails with a point that is not on the curve, and nothing else.
    Ok(agreement::agree_ephemeral(own, &peer, |_| ()).is_ok())
}

/// Whether y² = x³ - 3x + b modulo 2⁵²¹ - 1 (SEC 2 §2.6.1).
fn is_on_p521(x: &[u8], y: &[u8]) -> bool {
    let Some(constant) = BigUint::parse_bytes(P521_CONSTANT, 16) else { return false };
    let prime = (BigUint::from(1_u8) << 521_u32) - 1_u8;
    let (x, y) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y));
    // 3x is added to both sides, since these numbers have no sign.
    let is_equal = (&y * &y + &x * 3_u8) % &prime == (&x * &x * &x + constant) % &prime;
    is_equal && x < prime && y < prime
}

fn edwards(x: &[u8]) -> Result<Value, String> {
    match x.len() {
        ED25519_BYTES => Ok(json!({"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": encode(x)})),
        _ => Err(format!("x does not have the {ED25519_BYTES} bytes of Ed25519")),
    }
}

fn keys_of_pem(text: &str) -> Result<Vec<Value>, String> {
    let mut rest = text.trim().as_bytes();
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let (after, pem) = parse_x509_pem(rest).map_err(|_| "is not PEM".to_owned())?;
        keys.push(match pem.label.as_str() {
            "PUBLIC KEY" => public_key(&pem.contents),
            "RSA PUBLIC KEY" => match RSAPublicKey::from_der(&pem.contents) {
                Ok((_, key)) => rsa(key.modulus, key.exponent),
                Err(_) => Err("is no RSA key".to_owned()),
            },
            label => return Err(format!("holds {label:?}, and not a public key")),
        });
        rest = after.trim_ascii_start();
    }
    let keys = keys.into_iter().enumerate();
    keys.map(|(index, key)| key.map_err(|error| format!("key {}: {error}", index + 1))).collect()
}

fn public_key(der: &[u8]) -> Result<Value, String> {
    let unknown = || "is neither RSA, nor EC (P-256, P-384, P-521), nor Ed25519".to_owned();
    let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(|_| unknown())?;
    if info.algorithm.algorithm.to_id_string() == ED25519 {
        return edwards(&info.subject_public_key.data);
    }
    match info.parsed().map_err(|_| unknown())? {
        PublicKey::RSA(key) => rsa(key.modulus, key.exponent),
        PublicKey::EC(point) => {
            let id = info.algorithm.parameters.as_ref().and_then(|id| id.as_oid().ok());
            let id = id.map(|id| id.to_id_string()).unwrap_or_default();
            let curve = CURVES.iter().find(|curve| curve.id == id).ok_or_else(unknown)?;
            // The point is not compressed: 4, then both coordinates (SEC 1 §2.3.3).
            let coordinates = point.data().strip_prefix(&[4]).ok_or_else(unknown)?;
            let (x, y) = coordinates.split_at_checked(curve.length).ok_or_else(unknown)?;
            elliptic(curve, x, y)
        }
        _ => Err(unknown()),
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApT3ZkM851DZ4u05jfkBV
rw/BE1PJZuI4Sw/z9ko5SH62BeUKFktvWd2atNshy7UI+jv2IdBYrBksmzvGNm29
BML7x+2uenKD9/j+BCjPrU9tbiCXD2+mJYFIqZ9Aq1gZ7+ayXt+qwlwhfr7QWA6h
UIdZ9cS/+lKovKY9rKncJt9LnZgQcEFKQ9ewtoPzhBjHx9EWLCy92W3Tt/yobrTw
N/q03R9xvq52MQ3EmsPXambOYFqYpFCqWPGRCZOk/n1Y2hvLYN4IsY1glA9wOZd/
77q/iOHX3K9zuV4zEe5pkKwZjaT6XUlHBs1WOW75Uc98fIIQNPL6eUViNiZWKixC
kwIDAQAB
-----END PUBLIC KEY-----
";
    const RSA_1: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEApT3ZkM851DZ4u05jfkBVrw/BE1PJZuI4Sw/z9ko5SH62BeUKFktv
Wd2atNshy7UI+jv2IdBYrBksmzvGNm29BML7x+2uenKD9/j+BCjPrU9tbiCXD2+m
JYFIqZ9Aq1gZ7+ayXt+qwlwhfr7QWA6hUIdZ9cS/+lKovKY9rKncJt9LnZgQcEFK
Q9ewtoPzhBjHx9EWLCy92W3Tt/yobrTwN/q03R9xvq52MQ3EmsPXambOYFqYpFCq
WPGRCZOk/n1Y2hvLYN4IsY1glA9wOZd/77q/iOHX3K9zuV4zEe5pkKwZjaT6XUlH
Bs1WOW75Uc98fIIQNPL6eUViNiZWKixCkwIDAQAB
-----END RSA PUBLIC KEY-----
";
    const EC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----
";
    const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAyp7QJZZpo7HwG3rQtUxltM0pXUpI
zRIRC4ZAY99VLglXJxM3iG4Pz3w8i9B42Hxz14EY1sL+IKpOAizfKPIkucgAEP0p
ZRMrSdh+LuM70gtdF9kCV+sIZ9ZbDMJLuzv4iLjBFl24FxRYz43WN5Jj1xtAf41g
1/0aloBwwkmlGOmctPE=
-----END PUBLIC KEY-----
";
    const ED: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

    fn keys(text: &str) -> Vec<Value> {
        let set: Value = serde_json::from_str(&key_set(text).unwrap()).unwrap();
        set["keys"].as_array().unwrap().clone()
    }

    #[test]
    fn public_keys_in_pem_become_web_keys() {
        let [rsa, ec, ed] = [RSA, EC, ED].map(|pem| keys(pem).remove(0));
        assert_eq!((&rsa["kty"], &rsa["e"]), (&json!("RSA"), &json!("AQAB")));
        assert_eq!(rsa["n"].as_str().unwrap().len(), 342, "256 bytes, without a zero before them");
        assert_eq!(keys(RSA_1), [rsa], "PKCS #1");
        assert_eq!(
            ec,
            json!({"kty": "EC", "alg": "ES256", "crv": "P-256", "x": "EVs_o5-uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf84",
                "y": "kGe5DgSIycKp8w9aJmoHhB1sB3QTugfnRWm5nU_TzsY"}),
            "the example of https://jwt.io"
        );
        assert_eq!(
            ed,
            json!({"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"}),
            "RFC 8410 §10.1"
        );
        assert_eq!(keys(&format!("\n{RSA}\n{EC}")).len(), 2);
    }

    #[test]
    fn a_key_of_p521_is_taken_if_it_is_a_point_of_the_curve() {
        let key = keys(P521).remove(0);
        assert_eq!((&key["crv"], &key["alg"]), (&json!("P-521"), &json!("ES512")));
        let mut swapped = key.clone();
        (swapped["x"], swapped["y"]) = (key["y"].clone(), key["x"].clone());
        let mut zero = key.clone();
        (zero["x"], zero["y"]) = (encode(&[0; 66]).into(), encode(&[0; 66]).into());
        // The same point, but with the prime added to a coordinate.
        let x = BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap());
        let mut larger = key.clone();
        larger["x"] = encode(&(x + (BigUint::from(1_u8) << 521_u32) - 1_u8).to_bytes_be()).into();
        for bad in [swapped, zero, larger] {
            assert_eq!(key_set(&bad.to_string()).unwrap_err(), "key 1: is no point of P-521", "{bad}");
        }
    }

    #[test]
    fn a_key_and_a_set_become_a_set_without_what_does_not_matter() {
        let mut key = keys(RSA).remove(0);
        let bare = key.clone();
        key["x5t"] = json!("a");
        key["use"] = json!("sig");
        assert_eq!(keys(&key.to_string()), std::slice::from_ref(&bare));
        let mut named = bare.clone();
        (named["kid"], named["alg"]) = (json!("a"), json!("RS256"));
        let mut other = key.clone();
        other["use"] = json!("enc");
        let set =
            json!({"keys": [named, {"kty": "other"}, other, {"kty": "OKP", "crv": "X25519", "x": "AQ"}]});
        assert_eq!(keys(&set.to_string()), [named]);
    }

    #[test]
    fn secrets_and_what_is_no_key_are_refused_without_a_word_of_them() {
        let ec = keys(EC).remove(0);
        let (mut off, mut other) = (ec.clone(), ec.clone());
        off["y"] = ec["x"].clone();
        other["alg"] = json!("ES384");
        let (off_the_curve, of_another_algorithm) = (off.to_string(), other.to_string());
        let private = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        for (text, expected) in [
            ("", "is empty"),
            ("canary", "is neither JSON nor a public key in PEM"),
            ("[]", "is neither a JSON Web Key Set nor a JSON Web Key"),
            (r#"{"keys": {}}"#, "keys is not a list"),
            (r#"{"keys": []}"#, "holds no RSA, EC or OKP key"),
            (r#"{"keys": [1]}"#, "key 1: is not an object"),
            (r#"{"kty": "RSA", "n": "AQ"}"#, "key 1: has no e"),
            (r#"{"kty": "RSA", "n": "AQ", "e": "AQAB"}"#, "key 1: n is not the modulus"),
            (r#"{"kty": "RSA", "n": "A!", "e": "AQAB"}"#, "key 1: n is no base64url"),
            (r#"{"kty": 1}"#, "key 1: kty is no text"),
            (
                r#"{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}"#,
                "key 1: x and y do not have the 32 bytes",
            ),
            (&off_the_curve, "key 1: is no point of P-256"),
            (&of_another_algorithm, "key 1: alg is not an algorithm of its kind (ES256)"),
            (r#"{"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"}"#, "key 1: crv is none of"),
            (r#"{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}"#, "key 1: x does not have"),
            (r#"{"kty": "oct", "k": "canary"}"#, "key 1: is a secret"),
            (r#"{"kty": "RSA", "n": "AQ", "e": "AQ", "d": "canary"}"#, "key 1: is a private key"),
            (private, "holds \"PRIVATE KEY\", and not a public key"),
            ("-----BEGIN PUBLIC KEY-----\ncanary", "is not PEM"),
            ("-----BEGIN PUBLIC KEY-----\nYWJj\n-----END PUBLIC KEY-----\n", "key 1: is neither RSA"),
        ] {
            let error = key_set(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
