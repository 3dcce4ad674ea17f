//! Users and API keys, as policies name them: read from the policy or from Secrets, and checked, since Envoy would refuse the
//! list of all policies for one entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::core::Secret;
use crds::identity::credentials::{self as spec, ApiKeys, KeySecrets, Users};
use crds::policy::http::Setting;
use crds::{NamespacedName, ObjectKey, ObjectRef};
use ir::{ApiKey, CredentialsName, KeyList, KeyPlace, Redacted, UserList};

use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::resources::has_labels;
use crate::status::{Reason, Rejection};

/// What stands before the digest of a password.
const SHA: &str = "{SHA}";

/// The length of a digest of SHA-1 in base64, without the sign at its end that fills it up.
const SHA_DIGITS: usize = 27;

/// The users that a policy names.
///
/// # Errors
/// There are none, or one of them cannot be read. Nobody may pass then.
pub(super) fn users(
    view: &impl View,
    policy: &ObjectKey,
    users: &Setting<Users>,
) -> Result<Setting<Arc<UserList>>, Rejection> {
    let Setting::On(users) = users else { return Ok(Setting::Off) };
    let lines = match users {
        Users::Lines { field, lines } => {
            // A number is that of the entry, from zero, as fields are named.
            let lines = lines.iter().enumerate().map(|(index, line)| (format!("[{index}]"), line.expose()));
            user_lines(lines, |place, text| Rejection::at(Reason::Invalid, format!("{field}{place}"), text))?
        }
        Users::Secret { field, namespace, name, key } => {
            let read = || {
                let (name, secret) = find(view, policy, namespace.as_deref(), name)?;
                let object = secret_ref(&name);
                let unusable = |text: String| {
                    let text = format!("Secret {name}: {text}");
                    Rejection::unusable(Reason::Invalid, object.clone(), text)
                };
                let file = secret.data.as_ref().and_then(|data| data.get(key));
                let file = file.ok_or_else(|| unusable(format!("has no key {key:?}")))?;
                let file =
                    std::str::from_utf8(&file.0).map_err(|_| unusable(format!("{key:?} is no text")))?;
                let lines = file.lines().enumerate();
                let lines = lines.map(|(index, line)| (format!("line {} of {key:?}: ", index + 1), line));
                user_lines(lines, |place, text| match place.is_empty() {
                    true => unusable(format!("{key:?} {text}")),
                    false => unusable(format!("{place}{text}")),
                })
            };
            read().map_err(|error: Rejection| error.within(field))?
        }
    };
    let name = name_of(policy);
    Ok(Setting::On(Arc::new(UserList { name, lines: Redacted::new(lines) })))
}

/// Lines of htpasswd, each with its place, as Envoy reads them. No message says what stands in a line.
fn user_lines<'a>(
    lines: impl Iterator<Item = (String, &'a str)>,
    refuse: impl Fn(&str, String) -> Rejection,
) -> Result<String, Rejection> {
    let mut users: BTreeMap<&str, (String, &str)> = BTreeMap::new();
    for (place, line) in lines {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, password) = user_of(line).map_err(|text| refuse(&place, text.to_owned()))?;
        match users.get(user) {
            Some((_, other)) if *other == password => {}
            Some((first, _)) => {
                let first = first.trim_end_matches(": ");
                return Err(refuse(
                    &place,
                    format!("names the same user as {first} does, with another password"),
                ));
            }
            None => drop(users.insert(user, (place, password))),
        }
    }
    if users.is_empty() {
        return Err(refuse("", "names no user".to_owned()));
    }
    let lines = users.iter().map(|(user, (_, password))| format!("{user}:{password}\n"));
    Ok(lines.collect())
}

/// The name and the password of a line.
fn user_of(line: &str) -> Result<(&str, &str), &'static str> {
    let (user, password) = line.split_once(':').ok_or("has no colon behind the name of the user")?;
    if user.is_empty() {
        return Err("has no name of a user");
    }
    // The name goes to the backend in a header.
    if user.chars().any(char::is_control) {
        return Err("has a control character in the name of the user");
    }
    let digest = password.strip_prefix(SHA).ok_or(
        "has a password that is not of the form {SHA}, which is the only one that the proxy knows (htpasswd -s)",
    )?;
    let digits = digest.strip_suffix('=').unwrap_or_default();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    match digits.len() == SHA_DIGITS && digits.bytes().all(is_base64) {
        true => Ok((user, password)),
        false => Err("has a password whose digest is not one of SHA-1 in base64"),
    }
}

/// The API keys that a policy names.
///
/// # Errors
/// There are none, or one of them cannot be used. Nobody may pass then.
pub(super) fn api_keys(
    view: &impl View,
    policy: &ObjectKey,
    keys: &Setting<ApiKeys>,
) -> Result<Setting<Arc<KeyList>>, Rejection> {
    let Setting::On(ApiKeys { secrets, places, forward, client_header }) = keys else {
        return Ok(Setting::Off);
    };
    let (field, found) = match secrets {
        KeySecrets::Named { field, namespace, name } => {
            let found = find(view, policy, namespace.as_deref(), name);
            (field, vec![found.map_err(|error| error.within(field))?])
        }
        KeySecrets::Labelled { field, labels } => {
            let namespace = &policy.name.namespace;
            let all = view.objects_in::<Secret>(namespace);
            let found = all.filter(|secret| has_labels(secret.metadata.labels.as_ref(), labels));
            let named = found.map(|secret| (NamespacedName::of(&secret.metadata), &**secret));
            (field, named.collect())
        }
    };
    let keys = client_keys(&found).map_err(|error| error.within(field))?;
    let places = places.iter().map(|place| match place {
        spec::KeyPlace::Header(name) => KeyPlace::Header(name.clone()),
        spec::KeyPlace::Query(name) => KeyPlace::Query(name.clone()),
        spec::KeyPlace::Cookie(name) => KeyPlace::Cookie(name.clone()),
    });
    Ok(Setting::On(Arc::new(KeyList {
        name: name_of(policy),
        keys,
        places: places.collect(),
        forward: *forward,
        client_header: client_header.clone(),
    })))
}

/// The keys in Secrets. No message says what a key is.
fn client_keys(secrets: &[(NamespacedName, &Secret)]) -> Result<Vec<ApiKey>, Rejection> {
    let mut clients: BTreeMap<&str, (&NamespacedName, &str)> = BTreeMap::new();
    for (name, secret) in secrets {
        for (client, key) in secret.data.iter().flatten() {
            let unusable = |text: String| {
                let text = format!("Secret {name}: the key of {client:?} {text}");
                Rejection::unusable(Reason::Invalid, secret_ref(name), text)
            };
            let key = std::str::from_utf8(&key.0).map_err(|_| unusable("is no text".to_owned()))?;
            // Shells leave newlines, which no request can show.
            let key = key.trim();
            if key.is_empty() {
                return Err(unusable("is empty".to_owned()));
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                return Err(unusable("holds a character that no header may carry as it is".to_owned()));
            }
            match clients.get(key) {
                // A copy of a Secret.
                Some((_, other)) if other == client => {}
                Some((in_secret, other)) => {
                    let text = format!(
                        "is also that of {other:?} in Secret {in_secret}, so that nobody knows whose it is"
                    );
                    return Err(unusable(text));
                }
                None => drop(clients.insert(key, (name, client))),
            }
        }
    }
    if clients.is_empty() {
        let text = match secrets {
            [] => "no Secret has these labels".to_owned(),
            [(name, _)] => format!("Secret {name} holds no key"),
            _ => "no Secret with these labels holds a key".to_owned(),
        };
        return Err(Rejection::new(Reason::Invalid, text));
    }
    let keys = clients
        .into_iter()
        .map(|(key, (_, client))| ApiKey { client: client.to_owned(), key: Redacted::new(key.to_owned()) });
    Ok(keys.collect())
}

/// A Secret that a policy names.
fn find<'a>(
    view: &'a impl View,
    policy: &ObjectKey,
    namespace: Option<&str>,
    name: &str,
) -> Result<(NamespacedName, &'a Secret), Rejection> {
    let own = &policy.name.namespace;
    let name = NamespacedName::new(namespace.unwrap_or(own), name);
    let info = policy.kind.info();
    let (from, to) = (Party::new(info.group, info.kind, own), Party::new("", "Secret", &name.namespace));
    view.permitted(&from, &to, &name.name)?;
    match view.object::<Secret>(&name) {
        Some(secret) => Ok((name, secret)),
        None => Err(Rejection::missing(Reason::Invalid, secret_ref(&name))),
    }
}

fn secret_ref(name: &NamespacedName) -> ObjectRef {
    ObjectRef::namespaced("", "Secret", &name.namespace, &name.name)
}

fn name_of(policy: &ObjectKey) -> CredentialsName {
    let kind = policy.kind.info().kind.to_ascii_lowercase();
    CredentialsName::of_object(&kind, &policy.name.namespace, &policy.name.name)
}
