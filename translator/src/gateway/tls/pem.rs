//! Certificates and keys in PEM.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The certificates in a text, each of which is one. No error repeats anything of the text, which may hold a key as well.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    // Not with the parser's words: some of them quote a line, and a text that has lost its line ends is one line.
    let ders = parsed.map_err(|_| "is not PEM".to_owned())?;
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

/// The certificates of a text as they stand there, without whatever else it holds.
pub(super) fn only_certificates(text: &str) -> String {
    let mut is_inside = false;
    let mut kept = String::new();
    for line in text.lines().map(str::trim) {
        is_inside |= line == "-----BEGIN CERTIFICATE-----";
        if is_inside {
            kept.push_str(line);
            kept.push('\n');
        }
        is_inside &= line != "-----END CERTIFICATE-----";
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_are_kept() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";
        let windows = certificate.replace('\n', "\r\n");
        let text = format!("subject=CN\r\n{certificate}{key}\n{windows}trailing");
        assert_eq!(only_certificates(&text), format!("{certificate}{certificate}"));
    }

    #[test]
    fn what_is_wrong_is_told_without_its_content() {
        let bad = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(bad).unwrap_err(), "certificate 1: is not an X.509 certificate");
        for label in ["CERTIFICATE", "PRIVATE KEY"] {
            let bad = format!("-----BEGIN {label}-----Y2FuYXJ5-----END {label}-----");
            assert_eq!(certificates(&bad).unwrap_err(), "is not PEM");
        }
        let bad = "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----\n";
        let error = private_key(bad).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
        assert!(private_key("-----BEGIN ENCRYPTED PRIVATE KEY-----").unwrap_err().contains("encrypted"));
    }
}
