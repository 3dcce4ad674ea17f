//! Certificates and keys in PEM.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The certificates in a text, each of which is one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let ders = parsed.map_err(|error| format!("is not PEM: {error}"))?;
    for (index, der) in ders.iter().enumerate() {
        parse(der).map_err(|error| format!("certificate {}: {error}", index + 1))?;
    }
    Ok(ders)
}

/// A certificate, taken apart.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err("is not an X.509 certificate".to_owned()),
    }
}

/// The private key in a text. No error repeats anything of it.
pub(super) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    if text.contains("ENCRYPTED") {
        return Err("is encrypted, and there is no password for it".to_owned());
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)".to_owned())
}
