//! Certificates: made, read, signed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::plan::{BACKDATE, Validity};

/// An authority is valid for a year.
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(365 * 24);
/// A server's certificate is valid for a day, and replaced after half of it.
const LEAF_LIFETIME: Duration = Duration::from_hours(24);

/// Why a certificate or key cannot be used. Names no content.
#[derive(Debug)]
pub(super) struct BadCertificate(String);

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificate {}

fn bad(what: &str) -> impl FnOnce(rcgen::Error) -> BadCertificate + '_ {
    move |error| BadCertificate(format!("{what}: {error}"))
}

/// An authority's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AuthorityCertificate {
    pem: String,
    validity: Validity,
}

impl AuthorityCertificate {
    /// Reads a single certificate.
    pub(super) fn parse(pem: &str) -> Result<Self, BadCertificate> {
        // Exactly one line end, whatever an editor left.
        let pem = format!("{}\n", pem.trim());
        let der = der(&pem)?;
        let certificate = parse_x509(&der)?;
        if !certificate.is_ca() {
            return Err(BadCertificate("not the certificate of an authority".to_owned()));
        }
        let validity = certificate.validity();
        let validity = Validity {
            not_before: at(validity.not_before.timestamp()),
            not_after: at(validity.not_after.timestamp()),
        };
        Ok(Self { pem, validity })
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }
}

fn der(pem: &str) -> Result<CertificateDer<'static>, BadCertificate> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| BadCertificate("not a PEM certificate".to_owned()))
}

fn parse_x509<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, BadCertificate> {
    let parsed = X509Certificate::from_der(der);
    parsed
        .map(|(_, certificate)| certificate)
        .map_err(|_| BadCertificate("not an X.509 certificate".to_owned()))
}

fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// An authority that can sign.
pub(super) struct Authority {
    certificate: AuthorityCertificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, with a P-256 key of its own.
    pub(super) fn generate(now: SystemTime) -> Result<Self, BadCertificate> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Chancery xDS authority");
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + AUTHORITY_LIFETIME).into();
        let key = KeyPair::generate().map_err(bad("cannot make a key"))?;
        let certificate = params.self_signed(&key).map_err(bad("cannot make an authority"))?;
        let certificate = AuthorityCertificate::parse(&certificate.pem())?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Reads a certificate and its key.
    pub(super) fn parse(certificate_pem: &str, key_pem: &str) -> Result<Self, BadCertificate> {
        let certificate = AuthorityCertificate::parse(certificate_pem)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| BadCertificate("not a private key".to_owned()))?;
        let issuer =
            Issuer::from_ca_cert_pem(certificate_pem, key).map_err(bad("not usable as an authority"))?;
        Self { certificate, issuer }.checked()
    }

    pub(super) fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// The private key, PEM. For the Secret alone.
    pub(super) fn expose_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The private key, DER. For what is derived from it alone.
    pub(super) fn expose_key_der(&self) -> Vec<u8> {
        self.issuer.key().serialize_der()
    }

    /// A server's certificate for `names`, with a key that never leaves this process.
    pub(super) fn issue(&self, names: &[String], now: SystemTime) -> Result<Leaf, BadCertificate> {
        let key = KeyPair::generate().map_err(bad("cannot make a key"))?;
        let mut params = CertificateParams::new(names).map_err(bad("not a name for a certificate"))?;
        let not_after = (now + LEAF_LIFETIME).min(self.certificate.validity.not_after);
        params.not_before = (now - BACKDATE).max(self.certificate.validity.not_before).into();
        params.not_after = not_after.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(bad("cannot sign"))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = CertifiedKey::from_der(vec![certificate.der().clone()], key, &default_provider())
            .map_err(|error| BadCertificate(format!("the TLS library refuses the certificate: {error}")))?;
        let renew_at = now + not_after.duration_since(now).unwrap_or_default() / 2;
        Ok(Leaf { key: Arc::new(key), renew_at })
    }

    /// Refuses a key that does not belong to the certificate: proxies would refuse all that it signs.
    fn checked(self) -> Result<Self, BadCertificate> {
        let der = der(&self.certificate.pem)?;
        let certificate = parse_x509(&der)?;
        match certificate.public_key().raw == self.issuer.key().subject_public_key_info() {
            true => Ok(self),
            false => Err(BadCertificate("the key does not belong to the certificate".to_owned())),
        }
    }
}

/// A server's certificate and key.
pub(super) struct Leaf {
    pub(super) key: Arc<CertifiedKey>,
    /// When to have the next one.
    pub(super) renew_at: SystemTime,
}
