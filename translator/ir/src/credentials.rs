//! What clients show to tell who they are: user names with passwords, and API keys.

use serde::{Deserialize, Serialize};

use crate::{CredentialsName, Redacted};

/// The header in which backends get the name of the user.
pub const USER_HEADER: &str = "x-envoy-basic-auth-user";

/// What a request must show of who sends it. The default is: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The users of which it must be one, with the password.
    pub users: Option<CredentialsName>,
    /// The API keys of which it must have one.
    pub api_keys: Option<CredentialsName>,
}

/// Users, of which the sender of a request must be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UserList {
    /// Of the object that says so.
    pub name: CredentialsName,
    /// Lines `name:{SHA}…` as of htpasswd. No name stands twice. Never empty.
    pub lines: Redacted<String>,
}

/// API keys, of which a request must have one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeyList {
    /// Of the object that says so.
    pub name: CredentialsName,
    /// The keys. None stands twice. Never empty.
    pub keys: Vec<ApiKey>,
    /// Where a key stands: the first place that has one counts. Never empty.
    pub places: Vec<KeyPlace>,
    /// Whether the backend gets the key.
    pub forward: bool,
    /// The header in which the backend gets the name of the client.
    pub client_header: Option<String>,
}

/// The key of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApiKey {
    /// The client's name; never empty.
    pub client: String,
    /// The key; never empty.
    pub key: Redacted<String>,
}

/// Where an API key stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum KeyPlace {
    /// In a header, with `Bearer ` before it or without.
    Header(String),
    /// In a parameter of the query.
    Query(String),
    /// In a cookie.
    Cookie(String),
}
