//! How often a request is sent, and what is waited for.
//!
//! A client waits and asks again where that may help (429, 502, 503, 504, no connection, the locked database of a Grafana), a
//! bounded number of times, and nowhere else. Once a request was given up, the next ones are not waited for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;

use super::super::answer::Busy;
use super::{Answer, Attempt, Client, Failure, Request, RequestError, Retry};
use crate::backoff::jittered;
use crate::quote::quote;

/// How often a request is sent at most.
const TRIES: u32 = 5;
/// The same where a Grafana's database is locked. One that evaluates holds its SQLite for up to 20 s on a busy machine.
const TRIES_LOCKED: u32 = 10;
/// Requests in a row without an answer after which no other one is sent. One that finds no connection is enough.
const SILENT: u32 = 3;
/// The first pause between two tries; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two tries of ours.
const LONGEST: Duration = Duration::from_secs(8);
/// The longest pause, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How long a server is waited for before that is logged.
const NOTICED: Duration = Duration::from_secs(2);

impl Client {
    /// Asks until `path` answers 200, or until the time is over.
    pub(in super::super) async fn ready(&self, path: &str, within: Duration) -> Result<(), String> {
        self.until(path, within, |status| status == 200).await
    }

    /// Asks until `path` answers anything but that the server is not there yet.
    pub(in super::super) async fn answers(&self, path: &str, within: Duration) -> Result<(), String> {
        self.until(path, within, |status| !matches!(status, 429 | 502..=504)).await
    }

    async fn until(&self, path: &str, within: Duration, good: fn(u16) -> bool) -> Result<(), String> {
        let last = parking_lot::Mutex::new(String::new());
        #[expect(clippy::disallowed_methods, reason = "how long a server is waited for is measured here")]
        let (begun, mut reported) = (tokio::time::Instant::now(), false);
        let asking = async {
            loop {
                if !reported && begun.elapsed() >= NOTICED {
                    reported = true;
                    let why = last.lock().clone();
                    tracing::info!(
                        "waiting for {} (up to {} s): {}",
                        self.root,
                        within.as_secs_f64(),
                        quote(&why)
                    );
                }
                match self.once(&Request::get(path)).await {
                    Ok(answer) if good(answer.status) => return Ok(()),
                    // Time gives no permission, and moves no server.
                    Ok(answer) if matches!(answer.status, 300..=399 | 401 | 403) => {
                        return Err(format!("{}{path} answers {}", self.root, answer.describe()));
                    }
                    Ok(answer) => *last.lock() = format!("it answers {}", answer.describe()),
                    // Nor does it make a certificate a better one.
                    Err(RequestError { why, retry: Retry::Never }) => return Err(why),
                    Err(RequestError { why, .. }) => *last.lock() = why,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| {
            let (root, last) = (&self.root, last.lock().clone());
            let last = if last.is_empty() { "no answer".to_owned() } else { last };
            Err(format!("{root} was not ready within {} s: {last}", within.as_secs_f64()))
        })
    }

    /// The answer, after as many tries as it takes; whatever its status is.
    ///
    /// # Errors
    /// No answer.
    pub(in super::super) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        if self.silent.load(Ordering::Relaxed) >= SILENT {
            let root = &self.root;
            return Err(format!(
                "not sent, because {root} did not answer before\n  hint: check that it runs, and run this again"
            )
            .into());
        }
        let (mut pause, mut sent) = (self.pause, 0);
        loop {
            let tried = self.once(&request).await;
            sent += 1;
            let again = match &tried {
                Ok(answer) => answer.busy(self.grafana),
                Err(RequestError { retry: Retry::Soon, .. }) => Some(Busy::Overloaded),
                Err(_) => None,
            };
            let tries = match again {
                None => 1,
                Some(_) if self.busy.load(Ordering::Relaxed) => 1,
                Some(Busy::Overloaded) => TRIES,
                Some(Busy::Locked) => TRIES_LOCKED,
            };
            if sent >= tries {
                self.learn(&request, &tried, again);
                return tried.map(|answer| answer.answer).map_err(|RequestError { why, .. }| why.into());
            }
            let (asked, why) = match tried {
                Ok(answer) => (answer.wait.unwrap_or_default(), answer.describe()),
                Err(RequestError { why, .. }) => (Duration::ZERO, why),
            };
            // A server may want to be left alone for longer than we would leave it, not for less.
            let wait = asked.max(jittered(pause)).min(LONGEST_PAUSE);
            let (method, path, why) = (&request.method, &request.path, quote(&why));
            if sent == 1 {
                tracing::info!("{method} {}{path}: {why}; retrying in {wait:?}", self.root);
            } else {
                tracing::debug!("{method} {}{path}: {why}; retrying in {wait:?}", self.root);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Notes how a request ended, for those that follow: what one was given up for, they would wait for as well.
    fn learn(&self, request: &Request<'_>, tried: &Result<Attempt, RequestError>, busy: Option<Busy>) {
        match tried {
            Ok(_) => {
                self.silent.store(0, Ordering::Relaxed);
                // A database that is locked can be read all the same.
                if busy.is_some() || request.method != Method::GET {
                    self.busy.store(busy.is_some(), Ordering::Relaxed);
                }
            }
            Err(RequestError { retry: Retry::Soon, .. }) => self.silent.store(SILENT, Ordering::Relaxed),
            Err(RequestError { retry: Retry::NotThisRequest, .. }) => {
                self.silent.fetch_add(1, Ordering::Relaxed);
            }
            Err(RequestError { retry: Retry::Never, .. }) => {}
        }
    }

    /// The answer, if its status says success.
    ///
    /// # Errors
    /// No answer, or one that says what is wrong.
    pub(in super::super) async fn call(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.send(request).await?.good()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::access::Access;
    use super::super::super::played::{script, server};
    use super::*;

    /// The first pause of tests, in place of [`PAUSE`].
    const QUICK: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_server_is_waited_for_as_long_as_is_said() {
        let asleep = |number: usize, _: &str| (if number < 3 { 503 } else { 200 }, "ok".to_owned());
        let (url, asked) = script(asleep);
        quick(&url).ready("/ready", Duration::from_secs(60)).await.unwrap();
        assert_eq!(asked.lock().len(), 4, "it is asked until it is ready, and not once more");

        let url = server("503 Service Unavailable", "not yet");
        let (client, within) = (quick(&url), Duration::from_millis(1200));
        let early = tokio::time::timeout(within / 2, client.ready("/ready", within)).await;
        assert!(early.is_err(), "it is waited for until the time is over");
        let late = tokio::time::timeout(within * 5, client.ready("/ready", within)).await;
        let why = late.expect("and no longer").unwrap_err();
        assert!(why.starts_with(&format!("{url} was not ready within 1.2 s: it answers 503")), "{why}");
    }

    #[tokio::test]
    async fn a_server_that_went_away_is_waited_for_once() {
        // An address of its own: a port that is free on the usual one is another test's at once.
        let listener = std::net::TcpListener::bind("127.84.1.9:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = quick(&url);
        let why = client.call(Request::post("/a")).await.unwrap_err().to_string();
        assert!(why.contains("check that it runs and listens there"), "{why}");
        assert_eq!(client.writes(), u64::from(TRIES));
        for _ in 0..200 {
            let why = client.call(Request::post("/a")).await.unwrap_err().to_string();
            assert!(why.contains("did not answer before"), "{why}");
        }
        assert_eq!(client.writes(), u64::from(TRIES), "no other request was sent");
    }

    /// A client that does not let a test wait.
    fn quick(url: &str) -> Client {
        Client { pause: QUICK, ..Client::open(&url.into(), &Access::default()).unwrap() }
    }

    /// How many requests each of three objects takes, and how long all of them take, while `status` is the answer.
    async fn tries(status: &'static str, body: &'static str, grafana: bool) -> (Vec<u64>, Duration) {
        let client = quick(&server(status, body));
        let client = if grafana { client.grafana() } else { client };
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let (mut counts, begun) = (Vec::new(), std::time::Instant::now());
        for _ in 0..3 {
            let before = client.writes();
            assert!(client.call(Request::post("/a")).await.is_err());
            counts.push(client.writes() - before);
        }
        (counts, begun.elapsed())
    }

    #[tokio::test]
    async fn one_object_is_waited_for_and_not_each() {
        let (busy, locked) = ("503 Busy", "500 Error");
        assert_eq!(tries(busy, "", false).await.0, [u64::from(TRIES), 1, 1]);
        let body = "{\"message\":\"database is locked\"}";
        assert_eq!(tries(locked, body, true).await.0, [u64::from(TRIES_LOCKED), 1, 1]);
        assert_eq!(tries(locked, body, false).await.0, [1, 1, 1], "no other server has this database");
        assert_eq!(tries(locked, "failed to reload config: a", false).await.0, [1, 1, 1]);
    }

    #[tokio::test]
    async fn a_server_that_wants_no_pause_gets_one() {
        let status = "503 Busy\r\nRetry-After: 0";
        let (counts, took) = tries(status, "", false).await;
        assert_eq!(counts[0], u64::from(TRIES));
        assert!(took >= QUICK * ((1 << (TRIES - 1)) - 1) / 2, "{took:?}");
    }

    #[tokio::test]
    async fn a_server_that_answers_again_is_waited_for_again() {
        let (url, asked) = script(|number, _| match number {
            0..5 => (503, String::new()),
            5 => (200, String::new()),
            6 => (503, String::new()),
            _ => (200, String::new()),
        });
        let client = quick(&url);
        assert!(client.call(Request::post("/a")).await.is_err());
        assert!(client.call(Request::post("/b")).await.is_ok());
        assert!(client.call(Request::post("/c")).await.is_ok(), "sent twice");
        assert_eq!(asked.lock().len(), 8);
    }

    #[test]
    fn pauses_differ_and_stay_within_bounds() {
        let pauses: Vec<Duration> = (0..20).map(|_| jittered(PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE / 2..=PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        let starts: Vec<Duration> = (0..20).map(|_| crate::backoff::within(PAUSE)).collect();
        assert!(starts.iter().all(|start| *start <= PAUSE) && starts.iter().any(|start| *start != starts[0]));
    }
}
