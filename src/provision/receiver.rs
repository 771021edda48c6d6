//! A server that takes remote write.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::Access;
pub use super::client::Reply;
use super::client::{Client, KIND, headers};
use crate::secret::Link;

/// A server that takes remote write.
#[derive(Debug)]
pub struct Receiver {
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
}

impl Receiver {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open<'h>(
        url: &Link,
        access: &Access,
        own: impl IntoIterator<Item = (&'h str, &'h str)>,
        timeout: Duration,
    ) -> Result<Self, String> {
        Ok(Self { client: Client::open(url, access)?, headers: headers(own)?, timeout })
    }

    /// Posts a compressed body once, of this type and version.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn post(
        &self,
        kind: &'static str,
        version: &'static str,
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        let mut all = self.headers.clone();
        all.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        all.insert(KIND, HeaderValue::from_static(kind));
        all.insert("x-prometheus-remote-write-version", HeaderValue::from_static(version));
        self.client.write(all, body, self.timeout).await
    }
}
