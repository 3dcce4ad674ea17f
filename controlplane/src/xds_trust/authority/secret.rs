//! The authority as a Secret holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::Authorities;
use super::certificate::{Authority, AuthorityCertificate, BadCertificate};

const SIGNING_CERTIFICATE: &str = "signing.crt";
const SIGNING_KEY: &str = "signing.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const RETIRED_CERTIFICATE: &str = "retired.crt";
/// What proxies trust. For people and tools; it is never read back.
const BUNDLE: &str = "ca.crt";

impl Authorities {
    /// Reads a Secret; `None` if there is nothing in it yet.
    pub(super) fn from_secret(secret: &Secret) -> Result<Option<Self>, BadCertificate> {
        let text = |key: &str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(key));
            bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())
        };
        let pair = |certificate: &str, key: &str| match (text(certificate), text(key)) {
            (Some(certificate), Some(key)) => {
                Authority::parse(&certificate, &key).map(|authority| Some(Arc::new(authority)))
            }
            _ => Ok(None),
        };
        let Some(signing) = pair(SIGNING_CERTIFICATE, SIGNING_KEY)? else {
            return Ok(None);
        };
        let retired = text(RETIRED_CERTIFICATE).map(|pem| AuthorityCertificate::parse(&pem)).transpose()?;
        Ok(Some(Self { signing, next: pair(NEXT_CERTIFICATE, NEXT_KEY)?, retired }))
    }

    /// The Secret's data.
    pub(super) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, text: String| data.insert(key.to_owned(), ByteString(text.into_bytes()));
        put(SIGNING_CERTIFICATE, self.signing.certificate().pem().to_owned());
        put(SIGNING_KEY, self.signing.expose_key_pem());
        if let Some(next) = &self.next {
            put(NEXT_CERTIFICATE, next.certificate().pem().to_owned());
            put(NEXT_KEY, next.expose_key_pem());
        }
        if let Some(retired) = &self.retired {
            put(RETIRED_CERTIFICATE, retired.pem().to_owned());
        }
        put(BUNDLE, self.bundle().pem().to_owned());
        data
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn authority() -> Authority {
        Authority::generate(SystemTime::now()).unwrap()
    }

    fn secret(authorities: &Authorities) -> Secret {
        Secret { data: Some(authorities.to_data()), ..Secret::default() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let retired = Some(authority().certificate().clone());
        let authorities =
            Authorities { signing: Arc::new(authority()), next: Some(Arc::new(authority())), retired };
        let read = Authorities::from_secret(&secret(&authorities)).unwrap().unwrap();
        assert_eq!(read.to_data(), authorities.to_data());
        assert_eq!(read.bundle().pem().matches("BEGIN CERTIFICATE").count(), 3);
    }

    #[test]
    fn an_empty_secret_holds_nothing() {
        assert!(Authorities::from_secret(&Secret::default()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_shows_no_key() {
        let mut broken = Authorities::begin(authority()).to_data();
        let key = authority().expose_key_pem();
        broken.insert(SIGNING_KEY.to_owned(), ByteString(key.clone().into_bytes()));
        let error =
            Authorities::from_secret(&Secret { data: Some(broken), ..Secret::default() }).unwrap_err();
        assert_eq!(error.to_string(), "the key does not belong to the certificate");

        for (field, text) in [(SIGNING_KEY, "x"), (SIGNING_CERTIFICATE, key.as_str())] {
            let mut broken = Authorities::begin(authority()).to_data();
            broken.insert(field.to_owned(), ByteString(text.as_bytes().to_vec()));
            let secret = Secret { data: Some(broken), ..Secret::default() };
            let error = Authorities::from_secret(&secret).unwrap_err();
            assert!(!error.to_string().contains("BEGIN"), "{error}");
        }
    }

    #[test]
    fn debug_output_holds_no_key() {
        assert!(!format!("{:?}", Authorities::begin(authority())).contains("BEGIN"));
    }
}
