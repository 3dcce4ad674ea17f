//! What a user types: curl.

use cluster::{Cluster, Error};
use serde_json::Value;

use crate::DEADLINE;

/// The body of the guides' request.
pub const QUESTION: &str = r#"{"contents": [{"parts": [{"text": "Explain how AI works in a few words"}]}]}"#;

/// An answer to curl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 for none.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The request of the guides, with a credential of the client's that must not be passed on.
///
/// # Errors
/// No answer.
pub fn ask_gemini(cluster: &Cluster, address: &str) -> Result<Answer, Error> {
    let url = format!("http://{address}:8080/gemini");
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        "5",
        "--write-out",
        "\n%{http_code}",
        "--header",
        "content-type: application/json",
        "--header",
        "authorization: Bearer client-secret",
        "--data",
        QUESTION,
        &url,
    ];
    let output = cluster.exec_inside("curl", &arguments)?;
    let (body, status) = output.trim_end().rsplit_once('\n').unwrap_or(("", output.trim_end()));
    Ok(Answer { status: status.parse().unwrap_or_default(), body: body.to_owned() })
}

/// Asks until the answer has this status; gives the body.
///
/// # Panics
/// It does not within the deadline.
pub fn ask_gemini_until(cluster: &Cluster, address: &str, wanted: u16) -> String {
    let answer = || match ask_gemini(cluster, address)? {
        Answer { status, body } if status == wanted => Ok(body),
        Answer { status, body } => Err(Error::Unexpected(format!("{status}: {body}"))),
    };
    cluster.wait_until(&format!("an answer with {wanted}"), DEADLINE, answer).expect("the answer")
}

/// Fails unless `body` is an answer in the provider's own format.
///
/// # Panics
/// It is not.
pub fn assert_native_gemini(body: &str) {
    let json: Value = serde_json::from_str(body).expect("JSON");
    assert!(json["candidates"][0]["content"]["parts"][0]["text"].is_string(), "{json}");
    assert_eq!(json["candidates"][0]["finishReason"], "STOP");
    assert!(json["usageMetadata"]["totalTokenCount"].is_number(), "{json}");
}
