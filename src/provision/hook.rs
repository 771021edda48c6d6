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

    /// Posts once, with these headers beside its own. Returns how the server answered.
    ///
    /// # Errors
    /// Why it did not do it.
    pub async fn post<'a>(
        &self,
        body: Vec<u8>,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<String, String> {
        let request = Request::post("").json_text(body).headers(headers);
        let sent = self.0.send_once(&request).await;
        sent.map(|answer| answer.describe()).map_err(|failure| failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_to_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/do", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let _ = client.read(&mut [0; 4096]).await;
            client.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
            let piece = [b"2000\r\n".to_vec(), vec![b'y'; 0x2000], b"\r\n".to_vec()].concat();
            let mut sent = 0;
            while client.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        });
        let hook = Hook::open(&Link::from(url), &Access::default()).unwrap();
        hook.post(b"{}".to_vec(), std::iter::empty()).await.unwrap();
        drop(hook);
        // What is between the two programs is in it.
        let sent = server.await.unwrap();
        assert!(sent < 16 << 20, "{sent}");
    }
}
