//! Alerts to an Alertmanager, by its API v2.

use super::Access;
use super::client::{Client, Request};
use crate::secret::Link;

/// An Alertmanager that takes alerts.
#[derive(Debug)]
pub struct Server(Client);

impl Server {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(url: &Link, access: &Access) -> Result<Self, String> {
        Client::open(url, access).map(Self)
    }

    /// Posts alerts, a list in JSON, with these headers beside its own. There is no second try: the sender knows what is newer by then.
    ///
    /// # Errors
    /// Why they were not taken.
    pub async fn post<'a>(
        &self,
        alerts: Vec<u8>,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), String> {
        let sent =
            self.0.send_once(&Request::post("/api/v2/alerts").json_text(alerts).headers(headers)).await;
        sent.map(drop).map_err(|failure| failure.to_string())
    }
}
