//! A server that takes remote write, or metrics of OTLP.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

use super::Access;
pub use super::client::Reply;
use super::client::{Client, headers};
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

    /// Posts a body once, with headers that say what it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn post(&self, says: &[(&'static str, &'static str)], body: Vec<u8>) -> Result<Reply, String> {
        let mut all = self.headers.clone();
        for (name, value) in says {
            all.insert(*name, HeaderValue::from_static(value));
        }
        self.client.write(all, body, self.timeout).await
    }
}
