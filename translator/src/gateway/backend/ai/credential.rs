//! Credentials of providers, read from Secrets.

use crds::ai::{AWS_SECRET_KEYS, AwsCredential, SECRET_KEY};
use crds::core::Secret;
use crds::{NamespacedName, ObjectKey, ObjectRef, SensitiveString};

use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Detail, Reason, Rejection};

/// Another key under which documents of the dialects have put the credential.
const LENIENT_SECRET_KEY: &str = "api-key";

/// A token.
pub(super) fn read(
    view: &impl View,
    object: &ObjectKey,
    secret: &NamespacedName,
    warnings: &mut Vec<Detail>,
) -> Result<SensitiveString, Rejection> {
    let found = find(view, object, secret)?;
    let value = text(found, secret, SECRET_KEY)?;
    let value = match value {
        Some(value) => value,
        None => {
            let lenient = text(found, secret, LENIENT_SECRET_KEY)?;
            let value = lenient.ok_or_else(|| {
                invalid(
                    secret,
                    &format!("has no key {SECRET_KEY:?}, under which the provider's key is expected"),
                )
            })?;
            let text = format!("Secret {secret}: the key {LENIENT_SECRET_KEY:?} should be {SECRET_KEY:?}");
            warnings.push(Detail::new(text));
            value
        }
    };
    crds::ai::credential(value).ok_or_else(|| {
        invalid(secret, "the credential is empty (was a shell variable unset?) or holds a control character")
    })
}

/// An AWS credential.
pub(super) fn read_aws(
    view: &impl View,
    object: &ObjectKey,
    secret: &NamespacedName,
) -> Result<AwsCredential, Rejection> {
    let [access_key, secret_key, session_token] = AWS_SECRET_KEYS;
    let required = |key: &str| entry(view, object, secret, key);
    let session_token = text(find(view, object, secret)?, secret, session_token)?;
    AwsCredential::new(required(access_key)?, required(secret_key)?, session_token)
        .map_err(|message| invalid(secret, message))
}

/// An entry of a Secret that an object names.
///
/// # Errors
/// It may not be read, or is not there, or is no text.
pub(in crate::gateway) fn entry<'a>(
    view: &'a impl View,
    object: &ObjectKey,
    secret: &NamespacedName,
    key: &str,
) -> Result<&'a str, Rejection> {
    let found = find(view, object, secret)?;
    text(found, secret, key)?.ok_or_else(|| invalid(secret, &format!("has no key {key:?}")))
}

fn find<'a>(
    view: &'a impl View,
    object: &ObjectKey,
    secret: &NamespacedName,
) -> Result<&'a Secret, Rejection> {
    let info = object.kind.info();
    let referrer = Party::new(info.group, info.kind, &object.name.namespace);
    if !view.permits(&referrer, &Party::new("", "Secret", &secret.namespace), &secret.name) {
        let message = format!(
            "Secret {secret} is in another namespace, and no ReferenceGrant there permits {}",
            info.kind
        );
        return Err(Rejection::new(Reason::RefNotPermitted, message));
    }
    let found = view.object::<Secret>(secret);
    found.map(|secret| &**secret).ok_or_else(|| {
        let object = ObjectRef::namespaced("", "Secret", &secret.namespace, &secret.name);
        Rejection::missing(Reason::SecretNotFound, object)
    })
}

fn text<'a>(found: &'a Secret, secret: &NamespacedName, key: &str) -> Result<Option<&'a str>, Rejection> {
    let Some(value) = found.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
    let text = std::str::from_utf8(&value.0).map_err(|_| invalid(secret, "the credential is not text"))?;
    Ok(Some(text))
}

pub(in crate::gateway) fn invalid(secret: &NamespacedName, what: &str) -> Rejection {
    Rejection::new(Reason::SecretInvalid, format!("Secret {secret}: {what}"))
}
