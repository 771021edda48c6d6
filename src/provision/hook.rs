//! A server that is asked to do something about an alert.

use super::Access;
use super::client::{Client, Request};
use crate::secret::Link;

/// A server that takes alerts as JSON.
#[derive(Debug)]
pub struct Hook(Client);

impl Hook {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(url: &Link, access: &Access) -> Result<Self, String> {
        Client::open(url, access).map(Self)
    }

    /// Posts once. Returns how the server answered.
    ///
    /// # Errors
    /// Why it did not do it.
    pub async fn post(&self, body: Vec<u8>) -> Result<String, String> {
        let sent = self.0.send_once(&Request::post("").json_text(body)).await;
        sent.map(|answer| answer.describe()).map_err(|failure| failure.to_string())
    }
}
