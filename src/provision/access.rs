//! How a server is reached, and what a request needs that stands in files: tokens, passwords, certificates, proxies with a password. They are read when
//! a run begins, a bounded number of bytes of regular files; no pipe is waited for.

use std::path::{Path, PathBuf};

use reqwest::Certificate;
use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::escape;
use crate::document::without_mark;
use crate::secret::{Basic, Exposed, Link, base64};
use crate::sys::file;

/// Bytes of a file with a secret.
const SECRET: u64 = 64 * 1024;
/// Bytes of a file with certificates.
const CERTIFICATES: u64 = 4 << 20;

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// A file whose text is sent as bearer token; read again for each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A user and the file with its password, in place of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A PEM file with the certificates that are trusted, in place of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A proxy, as `http://proxy:3128`; what the environment says (`HTTPS_PROXY`, `NO_PROXY`) if it is not set,
    /// for servers on other machines; none if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Link>,
    /// A file that holds the proxy, where a password is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_file: Option<PathBuf>,
}

impl Access {
    /// The files that are named, for the reader that resolves relative paths.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let password = self.basic.as_mut().map(|basic| &mut basic.password_file);
        self.token_file.iter_mut().chain(password).chain(&mut self.ca_file).chain(&mut self.proxy_file)
    }

    /// Says which secrets stand in the settings of a server at this address.
    pub fn expose(&self, url: &Link, found: &mut Exposed<'_>) {
        found.link("url", url, "access.token_file or access.basic.password_file");
        self.proxy.iter().for_each(|proxy| found.link("access.proxy", proxy, "access.proxy_file"));
    }
}

/// The proxy that is configured, by itself or in its file.
pub(super) fn chosen_proxy(access: &Access) -> Result<Option<Link>, String> {
    match (&access.proxy, &access.proxy_file) {
        (Some(_), Some(_)) => Err("it has a proxy and a proxy_file; remove one".to_owned()),
        (None, Some(file)) => secret(file).map(|proxy| Some(proxy.into())),
        (proxy, None) => Ok(proxy.clone()),
    }
}

/// The header, and in `secrets` each form in which a server might repeat what it is made of, the longest first.
pub(super) fn authorization(
    access: &Access,
    secrets: &mut Vec<String>,
) -> Result<Option<HeaderValue>, String> {
    let mut forms = |secret: &str| {
        let json = serde_json::to_string(secret).unwrap_or_default();
        secrets.extend([secret.to_owned(), escape(secret), json.trim_matches('"').to_owned()]);
    };
    let text = match (&access.token_file, &access.basic) {
        (Some(_), Some(_)) => return Err("it has a token_file and a basic user; remove one".to_owned()),
        (Some(file), None) => {
            let token = secret(file)?;
            forms(&token);
            format!("Bearer {token}")
        }
        (None, Some(basic)) => {
            let password = secret(&basic.password_file)?;
            forms(&password);
            let both = base64(&format!("{}:{password}", basic.user));
            forms(&both);
            format!("Basic {both}")
        }
        (None, None) => return Ok(None),
    };
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "the secret has characters that no header takes")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The text of a file, without white space around it.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn secret(path: &Path) -> Result<String, String> {
    let text = file::text(path, SECRET)
        .map_err(|why| format!("cannot read the secret in {}: {why}", path.display()))?;
    let text = without_mark(&text).trim();
    if text.is_empty() {
        Err(format!("the secret in {} is empty", path.display()))
    } else {
        Ok(text.to_owned())
    }
}

/// The certificates that are trusted in place of those of the system, if some are named.
pub(super) fn certificates(access: &Access) -> Result<Option<Vec<Certificate>>, String> {
    let Some(path) = &access.ca_file else { return Ok(None) };
    let pem = file::read(path, CERTIFICATES)
        .map_err(|why| format!("cannot read certificates from {}: {why}", path.display()))?;
    let all = Certificate::from_pem_bundle(&pem).ok().filter(|all| !all.is_empty());
    all.map(Some).ok_or_else(|| format!("cannot find a certificate in {}; it must be PEM", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::*;

    #[test]
    fn what_is_no_file_holds_nobody() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let password = Basic { user: "me".to_owned(), password_file: pipe.clone() };
        let of = || Access::default();
        for access in [
            Access { token_file: Some(pipe.clone()), ..of() },
            Access { basic: Some(password), ..of() },
            Access { ca_file: Some(pipe.clone()), ..of() },
            Access { proxy_file: Some(pipe.clone()), ..of() },
        ] {
            let why = Client::open(&"https://lab".into(), &access).unwrap_err();
            assert!(why.contains("pipe") && why.contains("it is not a file"), "{why}");
        }
        let long = folder.path().join("long");
        std::fs::write(&long, vec![b'a'; 5 << 20]).unwrap();
        for access in
            [Access { token_file: Some(long.clone()), ..of() }, Access { ca_file: Some(long), ..of() }]
        {
            let why = Client::open(&"https://lab".into(), &access).unwrap_err();
            assert!(why.contains("it has more than"), "{why}");
        }
    }
}
