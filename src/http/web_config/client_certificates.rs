//! Which certificates of clients are taken: any, those of an authority, or those with certain names.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::names::Policy;

/// Judges the certificates of clients.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    policy: Policy,
    /// Verifies chains; nothing where no authority is known, so that none can be verified.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    /// Taken as they are: a certificate that signs itself is its own authority.
    known: Vec<CertificateDer<'static>>,
    /// One of these names must be in it, if there is a list.
    names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertificates {
    /// From a policy, the authorities, and the names that are taken.
    ///
    /// # Errors
    /// What rustls says of the authorities.
    pub(super) fn new(
        policy: Policy,
        authorities: Vec<CertificateDer<'static>>,
        names: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let chains = if !policy.verifies || roots.is_empty() {
            None
        } else {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            Some(verifier.map_err(|why| why.to_string())?)
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { policy, chains, known: authorities, names, algorithms })
    }

    fn verify(
        &self,
        given: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.policy.verifies {
            return Ok(());
        }
        // Such a certificate is also an authority, and webpki lets none stand for a client.
        if self.known.iter().any(|known| known == given) {
            return own_authority(given, now);
        }
        match &self.chains {
            Some(chains) => chains.verify_client_cert(given, more, now).map(drop),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

/// Whether a certificate that is trusted by itself is of this time and for clients.
fn own_authority(given: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = Certificate::read(given).ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < read.valid.0 {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > read.valid.1 {
        return Err(CertificateError::Expired.into());
    }
    if read.of_client { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        // Who shows none has none of the names.
        self.policy.requires || self.names.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.as_ref().map_or(&[], |chains| chains.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        given: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(given, more, now)?;
        if let Some(allowed) = &self.names {
            let has = Certificate::read(given).ok_or(CertificateError::BadEncoding)?.names;
            if !has.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
