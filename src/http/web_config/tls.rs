//! TLS as the file says it, for rustls; and what of it is wrong, with its place.

use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;
use super::client_certificates::ClientCertificates;
use super::names::{CURVES, OF_HTTP2, POLICIES, Policy, SUITES, VERSIONS};
use super::settings::Tls;
use crate::document::{Check, Path, list, suggest};
use crate::sys::file;

/// Bytes of a file with a certificate or a key.
const LONGEST: u64 = 1 << 20;
/// Bytes of a file with authorities: a whole machine's has a few hundred thousand.
const LONGEST_LIST: u64 = 4 << 20;

/// Reads what a file says of TLS.
pub(super) struct Reader<'c, 'd> {
    pub(super) tls: &'c Tls,
    pub(super) http2: bool,
    /// Relative paths start from here.
    pub(super) folder: &'c File,
    pub(super) check: &'c mut Check<'d>,
    pub(super) notes: &'c mut Vec<String>,
    /// What was read, so that it is seen when it changes.
    pub(super) seen: &'c mut Vec<u8>,
}

/// TLS that is ready to be served.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) server: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970.
    pub(super) ends: Option<i64>,
    /// Whether every client shows a certificate that was verified.
    pub(super) verifies: bool,
}

impl Tls {
    /// Whether TLS is on: one of these keys is there.
    pub(super) fn is_on(&self) -> bool {
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let file = |file: &Option<PathBuf>| file.as_ref().is_some_and(|file| !file.as_os_str().is_empty());
        text(&self.cert)
            || self.key.as_ref().is_some_and(|key| !key.is_empty())
            || text(&self.client_ca)
            || text(&self.client_auth_type)
            || file(&self.cert_file)
            || file(&self.key_file)
            || file(&self.client_ca_file)
    }
}

fn at(key: &str) -> Path {
    Path::from("tls_server_config").key(key)
}

impl Reader<'_, '_> {
    /// Everything that is wrong is reported; then there is nothing.
    pub(super) fn read(mut self) -> Option<Ready> {
        let before = self.check.problems.len();
        let chain = self.certificates();
        let key = self.key();
        let policy = self.policy();
        let authorities = self.authorities(policy);
        let versions = self.versions();
        let provider = self.provider(&versions);
        if self.check.problems.len() > before {
            return None;
        }
        let (chain, key, authorities) = (chain?, key?, authorities?);
        let ends = chain.first().and_then(|one| Certificate::read(one)).map(|read| read.valid.1);
        let provider = Arc::new(provider);
        let verifies = policy.requires && policy.verifies;
        match self.build(chain, key, policy, authorities, &versions, &provider) {
            Ok(server) => Some(Ready { server: Arc::new(server), ends, verifies }),
            Err((path, why)) => {
                self.check.wrong(&path, why);
                None
            }
        }
    }

    fn build(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        policy: Policy,
        authorities: Vec<CertificateDer<'static>>,
        versions: &[&'static rustls::SupportedProtocolVersion],
        provider: &Arc<CryptoProvider>,
    ) -> Result<ServerConfig, (Path, String)> {
        let begun = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|why| (at("min_version"), format!("TLS cannot be spoken like this: {why}")))?;
        let names = self.tls.client_allowed_sans.clone();
        let begun = if policy.asks {
            let clients = ClientCertificates::new(policy, authorities, names, provider)
                .map_err(|why| (at("client_ca_file"), format!("it cannot verify certificates: {why}")))?;
            begun.with_client_cert_verifier(Arc::new(clients))
        } else {
            if names.is_some() {
                self.notes.push("tls_server_config.client_allowed_sans has no effect: client_auth_type asks for no certificate".to_owned());
            }
            begun.with_no_client_auth()
        };
        let mut server = begun.with_single_cert(chain, key).map_err(|why| {
            (Path::from("tls_server_config"), format!("the certificate and the key cannot be used: {why}"))
        })?;
        server.ignore_client_order = self.tls.prefer_server_cipher_suites.unwrap_or(true);
        let names: &[&[u8]] = if self.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        server.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Ok(server)
    }

    /// The text of a key that stands in the file or in one of its own; where both are there, that of the file counts.
    fn pem(
        &mut self,
        inline: &str,
        text: Option<&str>,
        path: Option<&PathBuf>,
        most: u64,
    ) -> Option<(Path, Vec<u8>)> {
        let text = text.filter(|text| !text.is_empty());
        let key = at(&format!("{inline}_file"));
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            let text = text?.as_bytes().to_vec();
            return Some((at(inline), text));
        };
        if text.is_some() {
            self.notes.push(format!("tls_server_config.{inline} has no effect beside {inline}_file"));
        }
        let path = self.folder.join(path);
        match file::read(&path, most) {
            Ok(bytes) => {
                self.seen.extend_from_slice(&bytes);
                Some((key, bytes))
            }
            Err(why) => {
                self.check.wrong(&key, format!("cannot read {}: {why}", path.display()));
                None
            }
        }
    }

    fn certificates(&mut self) -> Option<Vec<CertificateDer<'static>>> {
        let before = self.check.problems.len();
        let tls = self.tls;
        let Some((path, pem)) = self.pem("cert", tls.cert.as_deref(), tls.cert_file.as_ref(), LONGEST) else {
            if self.check.problems.len() == before {
                self.missing("cert");
            }
            return None;
        };
        self.parse(&path, &pem)
    }

    fn key(&mut self) -> Option<PrivateKeyDer<'static>> {
        let before = self.check.problems.len();
        let tls = self.tls;
        let text = tls.key.as_ref().map(|key| key.expose());
        let Some((path, pem)) = self.pem("key", text, tls.key_file.as_ref(), LONGEST) else {
            if self.check.problems.len() == before {
                self.missing("key");
            }
            return None;
        };
        let key = PrivateKeyDer::from_pem_slice(&pem);
        if key.is_err() {
            let hint =
                self.check.wrong(&path, "there is no private key in it, as PEM and without a passphrase");
            if String::from_utf8_lossy(&pem).contains("ENCRYPTED") {
                *hint = Some("it is encrypted: openssl pkey -in KEY -out PLAIN".to_owned());
            }
        }
        key.ok()
    }

    fn missing(&mut self, key: &str) {
        let path = Path::from("tls_server_config");
        self.check.wrong(&path, format!("missing one of {key} or {key}_file"));
    }

    /// The certificates in a text; one at least.
    fn parse(&mut self, path: &Path, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let wrong = match all {
            Ok(all) if all.is_empty() => "there is no certificate in it, as PEM".to_owned(),
            Ok(all) => match all.iter().position(|one| Certificate::read(one).is_none()) {
                None => return Some(all),
                Some(index) => format!("certificate {} in it is none", index + 1),
            },
            Err(why) => format!("the certificates in it cannot be read: {why}"),
        };
        self.check.wrong(path, wrong);
        None
    }

    fn policy(&mut self) -> Policy {
        let name =
            self.tls.client_auth_type.as_deref().filter(|name| !name.is_empty()).unwrap_or("NoClientCert");
        if let Some((_, policy)) = POLICIES.iter().find(|(known, _)| *known == name) {
            return *policy;
        }
        self.unknown(&at("client_auth_type"), "policy", name, POLICIES.iter().map(|(known, _)| *known));
        Policy { asks: false, requires: false, verifies: false }
    }

    fn unknown<'a>(
        &mut self,
        path: &Path,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let meant = suggest(name, known.clone()).map(|meant| format!(", did you mean \"{meant}\"?"));
        let hint = self.check.wrong(path, format!("unknown {what} \"{name}\"{}", meant.unwrap_or_default()));
        *hint = Some(format!("one of {}", list(known)));
    }

    /// Who may sign for clients: as the file says, or whom the machine trusts.
    fn authorities(&mut self, policy: Policy) -> Option<Vec<CertificateDer<'static>>> {
        let before = self.check.problems.len();
        let tls = self.tls;
        let given =
            self.pem("client_ca", tls.client_ca.as_deref(), tls.client_ca_file.as_ref(), LONGEST_LIST);
        if self.check.problems.len() > before {
            return None;
        }
        match given {
            Some((path, _)) if !policy.asks => {
                let hint = self.check.wrong(
                    &path,
                    "authorities of clients are named, and client_auth_type asks for no certificate",
                );
                *hint = Some("client_auth_type: RequireAndVerifyClientCert".to_owned());
                None
            }
            Some((path, pem)) => self.parse(&path, &pem),
            None if policy.verifies => {
                self.notes.push(
                    "tls_server_config has no client_ca_file: every certificate for clients is taken that a public authority signed"
                        .to_owned(),
                );
                Some(rustls_native_certs::load_native_certs().certs)
            }
            None => Some(Vec::new()),
        }
    }

    /// The versions between the oldest and the newest that are allowed.
    fn versions(&mut self) -> Vec<&'static rustls::SupportedProtocolVersion> {
        let tls = self.tls;
        let mut place = |key: &str, written: &Option<String>, usual: usize| {
            let Some(name) = written.as_deref() else { return usual };
            VERSIONS.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                self.unknown(&at(key), "TLS version", name, VERSIONS.iter().map(|(known, _)| *known));
                usual
            })
        };
        let (oldest, newest) =
            (place("min_version", &tls.min_version, 2), place("max_version", &tls.max_version, 3));
        let spoken: Vec<_> =
            VERSIONS.iter().take(newest + 1).skip(oldest).filter_map(|(_, here)| *here).collect();
        if oldest > newest {
            self.check.wrong(&at("min_version"), "it is newer than max_version: no version is left");
        } else if spoken.is_empty() {
            let hint = self
                .check
                .wrong(&at("max_version"), "TLS 1.0 and 1.1 are not spoken here: no version is left");
            *hint = Some("max_version: TLS12".to_owned());
        } else if oldest < 2 {
            self.notes.push(
                "tls_server_config.min_version: TLS 1.0 and 1.1 are not spoken here; 1.2 is the oldest version that is".to_owned(),
            );
        }
        spoken
    }

    fn provider(&mut self, versions: &[&'static rustls::SupportedProtocolVersion]) -> CryptoProvider {
        let mut provider = ring::default_provider();
        let tls = self.tls;
        let old = versions.iter().any(|version| version.version == rustls::ProtocolVersion::TLSv1_2);
        if let Some(names) = tls.cipher_suites.as_ref().filter(|names| !names.is_empty()) {
            let path = at("cipher_suites");
            let mut chosen = Vec::new();
            for (index, name) in names.iter().enumerate() {
                match SUITES.iter().find(|suite| suite.name == name) {
                    None => self.unknown(&path.item(index), "cipher suite", name, SUITES.iter().map(|suite| suite.name)),
                    Some(suite) => match suite.here {
                        // Go chooses among those of TLS 1.3 itself, whatever the list says.
                        Some(here) if here.tls13().is_none() => chosen.push(here),
                        Some(_) => {}
                        None => self.notes.push(format!(
                            "tls_server_config.cipher_suites[{index}]: {name} is not offered here; suites with CBC are left out"
                        )),
                    },
                }
            }
            let of_http2 = names.iter().any(|name| OF_HTTP2.contains(&name.as_str()));
            if self.check.reported(&path) {
                return provider;
            }
            if old && chosen.is_empty() {
                let hint = self.check.wrong(&path, "none of these suites can be used with TLS 1.2 here");
                *hint = Some(format!("add {}, or set min_version: TLS13", OF_HTTP2[0]));
            } else if old && self.http2 && !of_http2 {
                let hint = self.check.wrong(&path, "HTTP/2 requires a suite that is not among these");
                *hint =
                    Some(format!("add {}, or set http_server_config.http2: false", OF_HTTP2.join(" or ")));
            }
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            provider.cipher_suites.extend(chosen);
        }
        if let Some(names) = tls.curve_preferences.as_ref().filter(|names| !names.is_empty()) {
            self.curves(names, &mut provider);
        }
        provider
    }

    fn curves(&mut self, names: &[String], provider: &mut CryptoProvider) {
        let path = at("curve_preferences");
        let mut chosen = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match CURVES.iter().find(|(known, _)| known == name) {
                None => {
                    self.unknown(&path.item(index), "curve", name, CURVES.iter().map(|(known, _)| *known));
                }
                Some((_, Some(here))) => chosen.push(*here),
                Some((_, None)) => self.notes.push(format!(
                    "tls_server_config.curve_preferences[{index}]: {name} is not offered here and left out"
                )),
            }
        }
        if chosen.is_empty() && !self.check.reported(&path) {
            let hint = self.check.wrong(&path, "none of these curves can be used here");
            *hint = Some("add X25519 or CurveP256".to_owned());
        }
        provider.kx_groups = chosen;
    }
}
