//! Tokens of the real API server, and some that only look so.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use acceptance::{DEADLINE, World};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cluster::{Cluster, Error};
use serde_json::{Value, json};

/// What proxies' tokens are made for.
pub(crate) const AUDIENCE: &str = "chancery.dev/xds";

/// The key that the API server signs tokens with, in the cluster.
const SIGNING_KEY: &str = "/run/cluster/service-account.key";

/// A token of a service account, for ten minutes, which is the least that the API server gives.
pub(crate) fn issue(cluster: &Cluster, account: &str, namespace: &str, audience: &str) -> String {
    create(cluster, &[account, "-n", namespace, "--audience", audience])
}

/// A token whose bound Secret has been deleted. Nobody has seen it before: what the API server once found good,
/// it believes for some seconds more.
pub(crate) fn orphaned(cluster: &Cluster, account: &str, namespace: &str) -> String {
    let secret = ["secret", "bound-object", "-n", namespace];
    cluster.kubectl(&["create", "secret", "generic", "bound-object", "-n", namespace]).expect("a Secret");
    let bound = ["--bound-object-kind", "Secret", "--bound-object-name", "bound-object"];
    let arguments = [[account, "-n", namespace, "--audience", AUDIENCE].as_slice(), &bound].concat();
    let token = create(cluster, &arguments);
    cluster.kubectl(&[["delete"].as_slice(), &secret].concat()).expect("it is deleted");
    let is_refused = || match is_authenticated(cluster, &token) {
        false => Ok(()),
        true => Err(Error::Unexpected("the API server still takes the token".to_owned())),
    };
    cluster.wait_until("the API server knows of the deletion", DEADLINE, is_refused).expect("refused");
    token
}

fn create(cluster: &Cluster, arguments: &[&str]) -> String {
    let command = [["create", "token", "--duration=10m"].as_slice(), arguments].concat();
    cluster.kubectl(&command).expect("a token").trim().to_owned()
}

/// What the API server itself says of a token.
pub(crate) fn is_authenticated(cluster: &Cluster, token: &str) -> bool {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    });
    let mut command = cluster.inside("kubectl");
    command.args(["create", "-o", "jsonpath={.status.authenticated}", "-f", "-"]);
    feed(&mut command, review.to_string().as_bytes()) == b"true"
}

/// The same token with another signature.
pub(crate) fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').expect("a token");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

/// The same token as the API server would have made it to expire at another time: with its own key, but without
/// its least duration.
pub(crate) fn expiring_at(world: &World, token: &str, at: SystemTime) -> String {
    let mut parts = token.split('.');
    let (header, payload) = (parts.next().expect("a header"), parts.next().expect("a payload"));
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON");
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    claims["exp"] = seconds.into();
    // Not before and issued at, well before.
    let earlier = seconds - Duration::from_mins(10).as_secs();
    (claims["nbf"], claims["iat"]) = (earlier.into(), earlier.into());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut command = world.cluster.inside("openssl");
    command.args(["dgst", "-sha256", "-sign", SIGNING_KEY]);
    let signature = feed(&mut command, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(plain_signature(&signature)))
}

/// An ECDSA signature as tokens have it (both numbers, 32 bytes each), from how openssl gives it (DER).
fn plain_signature(der: &[u8]) -> Vec<u8> {
    // SEQUENCE, its length; then twice INTEGER, its length, its bytes with or without zeros before.
    let (mut rest, mut plain) = (&der[2..], Vec::new());
    for _ in 0..2 {
        let (number, others) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        plain.extend(std::iter::repeat_n(0, 32 - number.len()));
        plain.extend(number);
        rest = others;
    }
    plain
}

/// Runs a command with this input; gives its output.
fn feed(command: &mut std::process::Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("its input").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command:?}");
    output.stdout
}
