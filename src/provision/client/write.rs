//! One request of remote write or OTLP and what the server says of it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{Client, Part, body};
use crate::client::{causes, retry_after};
use crate::clock::now;
use crate::decode::otlp::answer;
use crate::provision::answer::Answer;

/// What a receiver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status of its answer.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// How many samples it says that it wrote.
    pub written: Option<u64>,
    /// How many exemplars.
    pub exemplars_written: Option<u64>,
    /// What is wrong, in its words; empty where nothing is.
    pub why: String,
    /// The body of an answer that says success, or its beginning.
    pub body: Vec<u8>,
}

impl Client {
    /// Posts a body once, whatever the status of the answer is.
    ///
    /// # Errors
    /// There is no answer.
    pub(in super::super) async fn write(
        &self,
        headers: HeaderMap,
        bytes: Vec<u8>,
        timeout: Duration,
    ) -> Result<Reply, String> {
        let mut all = self.headers.clone();
        all.remove(reqwest::header::ACCEPT);
        all.extend(headers);
        let request = self.http.post(&self.url).timeout(timeout).headers(all).body(bytes);
        let response = request
            .send()
            .await
            .map_err(|why| format!("cannot reach {}: {}", self.root, causes(&why.without_url())))?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let retry_after = retry_after(response.headers(), now().wall);
        let written = number("x-prometheus-remote-write-samples-written");
        let exemplars_written = number("x-prometheus-remote-write-exemplars-written");
        let status = response.status().as_u16();
        // What it said counts, also where the rest of the answer does not come.
        let status_message = is_protobuf(response.headers());
        let mut body = body(response, Part::Beginning).await.unwrap_or_default();
        let secrets = self.secrets.clone();
        if status_message && !(200..300).contains(&status) {
            body = answer::status_message(&body).as_bytes().to_vec();
        }
        let answer = Answer { url: self.root.clone(), status, body, secrets };
        let (body, why) = match answer.good() {
            Ok(answer) => (answer.body, String::new()),
            Err(failure) => (Vec::new(), failure.to_string()),
        };
        Ok(Reply { status, retry_after, written, exemplars_written, why, body })
    }
}

/// Whether a body is a message, as a server of OTLP says what is wrong.
fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-protobuf"))
}

/// Headers of given names and values.
///
/// # Errors
/// One is no header.
pub(in super::super) fn headers<'h>(
    all: impl IntoIterator<Item = (&'h str, &'h str)>,
) -> Result<HeaderMap, String> {
    let read = |(name, value): (&str, &str)| {
        let key =
            HeaderName::try_from(name).map_err(|_| format!("\"{name}\" is not the name of a header"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of the header {name} has characters that no header takes"))?;
        Ok((key, value))
    };
    all.into_iter().map(read).collect()
}
