//! Files as exporter-toolkit takes and refuses them.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use super::certificate::Certificate;
use super::client_certificates::ClientCertificates;
use super::names::POLICIES;
use super::*;

fn folder() -> PathBuf {
    File::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/web")
}

/// Reads a text as a file beside the certificates of the tests.
fn read(text: &str) -> Result<WebConfig, Vec<Problem>> {
    let (settings, document) = document::read::<Settings>("web.yml", text, FORMATS, |_| Vec::new())?;
    WebConfig::of(&settings, &document, &folder(), &mut Vec::new())
}

/// The same, after a certificate and its key.
fn with_tls(more: &str) -> Result<WebConfig, Vec<Problem>> {
    read(&format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}"))
}

/// The first mistake.
fn wrong(read: Result<WebConfig, Vec<Problem>>) -> String {
    let problems = read.map(|read| format!("{read:?}")).expect_err("it is taken");
    problems[0].to_string()
}

#[test]
fn what_exporter_toolkit_takes_is_taken() {
    let hash = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";
    let sample = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n\nbasic_auth_users:\n  alice: {hash}\n\
         \nrate_limit:\n  interval: \"1s\"\n  burst: 20\n"
    );
    let sample = read(&sample).unwrap();
    assert!(sample.has_tls() && sample.authenticates() && sample.rate.is_some() && sample.notes.is_empty());
    let empty = read("").unwrap();
    assert!(!empty.has_tls() && !empty.authenticates());
    let headers = read(
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n    X-Content-Type-Options: nosniff\n    \
         Strict-Transport-Security: max-age=31536000; includeSubDomains\n    Content-Security-Policy: \"default-src 'self'\"\n",
    );
    assert_eq!(headers.unwrap().headers.len(), 5);
    for more in [
        "  client_auth_type: \"\"\n",
        "  client_auth_type: RequestClientCert\n",
        "  client_auth_type: RequireAnyClientCert\n",
        "  client_auth_type: RequireClientCert\n",
        "  client_auth_type: VerifyClientCertIfGiven\n",
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [one, test3]\n",
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_AES_128_GCM_SHA256]\n",
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  max_version: TLS12\nhttp_server_config: {http2: false}\n",
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]\n  min_version: TLS13\n",
        "  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]\n",
        "  min_version: TLS10\n",
        "  prefer_server_cipher_suites: false\n",
        "rate_limit: {interval: 0, burst: 0}\n",
    ] {
        assert!(with_tls(more).is_ok_and(|read| read.has_tls()), "{more}: {:?}", with_tls(more).err());
    }
    let inline = std::fs::read_to_string(folder().join("server.crt")).unwrap().replace('\n', "\n    ");
    let inline =
        read(&format!("tls_server_config:\n  cert: |\n    {inline}\n  key_file: server.key\n")).unwrap();
    assert!(inline.has_tls() && inline.certificate_ends().is_some_and(|ends| ends > 4_000_000_000));
}

#[test]
fn what_exporter_toolkit_refuses_is_refused_with_its_place() {
    let hash = "basic_auth_users:\n  john: doe\n";
    for (text, why) in [
        (
            "tls_server_config: {cert_filse: server.crt}",
            "web.yml:1:21: tls_server_config.cert_filse: unknown key; did you mean \"cert_file\"?",
        ),
        (
            "tls_server_config: {cert_file: \"\", key_file: server.key}",
            "web.yml:1:20: tls_server_config: missing one of cert or cert_file",
        ),
        ("tls_server_config: {cert: \"\", key_file: server.key}", "missing one of cert or cert_file"),
        ("tls_server_config: {cert_file: server.crt, key_file: \"\"}", "missing one of key or key_file"),
        ("tls_server_config: {cert_file: server.crt}", "missing one of key or key_file"),
        ("tls_server_config: {client_auth_type: x}", "missing one of cert or cert_file"),
        (
            "tls_server_config: {cert_file: none, key_file: server.key}",
            "web.yml:1:32: tls_server_config.cert_file: cannot read",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: none}",
            "tls_server_config.key_file: cannot read",
        ),
        ("http_server_config: {headers: {X-Frame-Options: foo}}", "the header has no such value"),
        ("http_server_config: {headers: {X-Content-Type-Options: sniff}}", "the header has no such value"),
        ("http_server_config: {headers: {Content-Type: foo}}", "this header cannot be configured"),
        (hash, "web.yml:2:9: basic_auth_users.john: it is not the hash of a password by bcrypt"),
        ("rate_limit: {interval: 1x}", "\"1x\" is not a duration"),
        ("rate_limit: {burst: -1}", "rate_limit.burst"),
        ("- a list", "web.yml"),
    ] {
        let said = wrong(read(text));
        assert!(said.contains(why), "{text}: {said}");
    }
    for (more, why) in [
        (
            "  client_ca_file: somefile\n  client_auth_type: VerifyClientCertIfGiven\n",
            "tls_server_config.client_ca_file: cannot read",
        ),
        ("  client_ca_file: ca.crt\n", "client_auth_type asks for no certificate"),
        (
            "  client_auth_type: RequireClientCerts\n",
            "unknown policy \"RequireClientCerts\", did you mean \"RequireClientCert\"?",
        ),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048]\n",
            "cipher_suites[0]: unknown cipher suite",
        ),
        ("  curve_preferences: [CurveP257]\n", "curve_preferences[0]: unknown curve"),
        ("  min_version: TLS111\n", "web.yml:4:16: tls_server_config.min_version: unknown TLS version"),
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n", "HTTP/2 requires a suite"),
        // What rustls does not have.
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]\n", "none of these suites"),
        ("  curve_preferences: [CurveP521]\n", "none of these curves"),
        ("  min_version: TLS10\n  max_version: TLS11\n", "TLS 1.0 and 1.1 are not spoken here"),
        ("  min_version: TLS13\n  max_version: TLS12\n", "no version is left"),
    ] {
        let said = wrong(with_tls(more));
        assert!(said.contains(why), "{more}: {said}");
    }
    let other = wrong(read("tls_server_config: {cert_file: client.crt, key_file: server.key}"));
    assert!(other.contains("the certificate and the key cannot be used"), "{other}");
    let encrypted = wrong(read("tls_server_config: {cert_file: server.crt, key_file: encrypted.key}"));
    assert!(encrypted.contains("hint: it is encrypted"), "{encrypted}");
    let none = wrong(read("tls_server_config: {cert_file: server.key, key_file: server.key}"));
    assert!(none.contains("there is no certificate in it"), "{none}");
}

#[test]
fn secrets_stay_where_they_are() {
    let key = std::fs::read_to_string(folder().join("server.key")).unwrap().replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key: |\n    {key}\nbasic_auth_users:\n  a: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJP\n"
    );
    let problems = read(&text).err().unwrap();
    let said = format!("{problems:?}");
    assert!(!said.contains("mDwo") && !said.contains("MIGH"), "{said}");
    let wrong =
        read("tls_server_config: {key: [MIGHsecret]}\nbasic_auth_users: {a: [mDwosecret]}\n").err().unwrap();
    assert!(!format!("{wrong:?}").contains("secret"), "{wrong:?}");
}

#[test]
fn what_has_another_effect_than_it_seems_is_noted() {
    for (text, note) in [
        ("tls_server_config: {min_version: TLS13}", "TLS is off"),
        ("rate_limit: {interval: 1s}", "every request is refused"),
        (
            "basic_auth_users: {a: $2y$18$4VeFDzXIoPHKnKTU3O3GH.N.vZu06CVqczYZ8WvfzrddFU6tGqjR.}",
            "takes seconds",
        ),
    ] {
        assert!(read(text).unwrap().notes[0].contains(note), "{text}");
    }
    for (more, note) in [
        ("  min_version: TLS10\n", "1.2 is the oldest"),
        ("  client_allowed_sans: [a]\n", "has no effect"),
        ("  cert: x\n", "tls_server_config.cert has no effect beside cert_file"),
        ("  client_auth_type: VerifyClientCertIfGiven\n", "a public authority signed"),
        ("  curve_preferences: [CurveP521, X25519]\n", "CurveP521 is not offered here"),
    ] {
        assert!(with_tls(more).unwrap().notes.iter().any(|one| one.contains(note)), "{more}");
    }
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder().join(name)).unwrap()
}

#[test]
fn a_certificate_says_its_names_and_its_time() {
    let client = Certificate::read(&certificate("client.crt")).unwrap();
    let names = ["prometheus.lab", "lab@example.org", "spiffe://lab/prometheus", "10.0.0.7", "fd00::7"];
    assert_eq!(client.names, names);
    assert_eq!(client.valid, (1_796_135_688, 4_949_735_688));
    assert!(client.of_client && !Certificate::read(&certificate("server.crt")).unwrap().of_client);
    assert!(Certificate::read(&certificate("self.crt")).unwrap().of_client, "without purposes it is for all");
    let whole = certificate("client.crt");
    for end in 0..whole.len() {
        assert_eq!(Certificate::read(&whole[..end]), None, "{end}");
    }
}

#[test]
fn certificates_of_clients_are_judged_as_the_policy_says() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let judge = |policy: &str, authority: Option<&str>, names: Option<&[&str]>, given: &str, at: u64| {
        let policy = POLICIES.iter().find(|(name, _)| *name == policy).unwrap().1;
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let authorities = authority.map(certificate).into_iter().collect();
        let clients = ClientCertificates::new(policy, authorities, names, &provider).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let taken = clients.verify_client_cert(&certificate(given), &[], now).is_ok();
        (taken, clients.client_auth_mandatory())
    };
    let now = 1_800_000_000;
    let strict = "RequireAndVerifyClientCert";
    assert_eq!(judge("RequestClientCert", None, None, "self.crt", now), (true, false));
    assert_eq!(judge("RequireAnyClientCert", None, None, "self.crt", now), (true, true));
    assert_eq!(judge("VerifyClientCertIfGiven", Some("ca.crt"), None, "client.crt", now), (true, false));
    assert_eq!(judge("VerifyClientCertIfGiven", Some("ca.crt"), None, "self.crt", now), (false, false));
    assert_eq!(judge("VerifyClientCertIfGiven", None, None, "client.crt", now), (false, false));
    assert_eq!(judge(strict, Some("ca.crt"), None, "client.crt", now), (true, true));
    assert_eq!(judge(strict, Some("ca.crt"), None, "client.crt", 1_700_000_000), (false, true), "not yet");
    assert_eq!(judge(strict, Some("ca.crt"), None, "client.crt", 5_000_000_000), (false, true), "expired");
    assert_eq!(judge(strict, Some("ca.crt"), None, "server.crt", now), (false, true), "not for clients");
    assert_eq!(judge(strict, Some("self.crt"), None, "client.crt", now), (false, true));
    // A certificate that signs itself is its own authority.
    assert_eq!(judge(strict, Some("self.crt"), None, "self.crt", now), (true, true));
    assert_eq!(judge(strict, Some("self.crt"), None, "self.crt", 5_000_000_000), (false, true));
    assert_eq!(judge(strict, Some("self.crt"), None, "self.crt", 1_700_000_000), (false, true));
    for name in ["prometheus.lab", "10.0.0.7", "fd00::7", "lab@example.org", "spiffe://lab/prometheus"] {
        assert_eq!(
            judge(strict, Some("ca.crt"), Some(&["x", name]), "client.crt", now),
            (true, true),
            "{name}"
        );
    }
    assert_eq!(judge(strict, Some("ca.crt"), Some(&["prometheus"]), "client.crt", now), (false, true));
    assert_eq!(judge(strict, Some("ca.crt"), Some(&[]), "client.crt", now), (false, true));
    assert_eq!(judge("RequestClientCert", None, Some(&["test3"]), "self.crt", now), (true, true));
}

#[test]
fn a_file_that_changes_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    for name in ["server.crt", "server.key"] {
        std::fs::copy(self::folder().join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(&path, "tls_server_config: {cert_file: server.crt, key_file: server.key}\n").unwrap();
    let first = WebConfig::read(&path).unwrap();
    assert!(first.is_current() && first == WebConfig::read(&path).unwrap());
    std::fs::write(folder.path().join("server.crt"), "").unwrap();
    assert!(!first.is_current());
    let why = WebConfig::read(&path).err().unwrap()[0].to_string();
    assert!(why.contains(":1:32: tls_server_config.cert_file: there is no certificate"), "{why}");
}

#[test]
fn credentials_are_those_of_basic() {
    let of = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        credentials(&headers)
    };
    assert_eq!(of("Basic YTpiOmM="), Some(("a".to_owned(), b"b:c".to_vec())));
    assert_eq!(of("basic YTo="), Some(("a".to_owned(), Vec::new())));
    for none in ["Bearer YTpi", "Basic", "Basic !", "Basic YQ=="] {
        assert_eq!(of(none), None, "{none}");
    }
}
