//! Pushes to a Pushgateway what a scrape would show: for an agent that ends before it is scraped.
//!
//! Each push replaces the whole group, so that none has to be made up for: one that fails is counted, and the next has everything.

mod settings;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::causes;
use crate::metrics::Own;
use crate::provision::endpoint::{Endpoint, Transport};
use crate::quote::quote;
use crate::source::aside::apart;
pub use settings::Settings;

/// Text format 0.0.4, which every Pushgateway takes.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Bytes of an answer that are read, to say what is wrong.
const ANSWER: usize = 4_096;
/// How long the reading of secrets may take.
const READ: Duration = Duration::from_secs(5);
/// How long the last push may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Gives the text of a scrape, in format 0.0.4.
pub type Scrape = dyn Fn() -> Vec<u8> + Send + Sync;

/// What all gateways have in common.
#[derive(Clone)]
pub struct Common {
    /// What is pushed.
    pub scrape: Arc<Scrape>,
    /// Where it is counted.
    pub own: Arc<Own>,
    /// The job of groups that name none.
    pub job: String,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Those that push.
#[derive(Debug, Default)]
pub struct Pushers {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Pushers {
    /// Begins to push to each of these.
    #[must_use]
    pub fn start(gateways: &[Settings], common: &Common) -> Self {
        let stop = CancellationToken::new();
        let tasks = gateways.iter().map(|settings| {
            let (stop, settings, common) = (stop.clone(), settings.clone(), common.clone());
            tokio::spawn(async move { run(&settings, &common, &stop).await })
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// Pushes once more, or deletes what was pushed, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A panic was said by the hook.
            drop(task.await);
        }
    }
}

/// Pushes once.
///
/// # Errors
/// What is wrong with the settings, or what the gateway says.
pub async fn push(settings: &Settings, common: &Common) -> Result<(), String> {
    let gateway = Gateway::open(settings, &common.job).await?;
    let scrape = common.scrape.clone();
    let text = tokio::task::spawn_blocking(move || scrape()).await.map_err(|why| why.to_string())?;
    gateway.send(Method::PUT, text).await
}

async fn run(settings: &Settings, common: &Common, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(settings.interval.0);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first is at once, when there is nothing to be seen.
    ticks.tick().await;
    let name = settings.url.to_string();
    common.own.pushes.begin(&name);
    let mut failing = None;
    loop {
        let ends = tokio::select! {
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let outcome = match ends {
            false => push(settings, common).await,
            true => {
                let last = end(settings, common);
                tokio::time::timeout(PATIENCE, last).await.unwrap_or_else(|_| Err("no answer".to_owned()))
            }
        };
        common.own.pushes.pushed(&name, outcome.is_ok());
        say(&name, outcome.err(), &mut failing);
        if ends {
            return;
        }
    }
}

/// What is done last.
async fn end(settings: &Settings, common: &Common) -> Result<(), String> {
    if settings.delete_at_end {
        return Gateway::open(settings, &common.job).await?.send(Method::DELETE, Vec::new()).await;
    }
    push(settings, common).await
}

/// Says what became of a push, where that is other than before.
fn say(name: &str, why: Option<String>, failing: &mut Option<String>) {
    match &why {
        Some(why) if failing.as_ref() != Some(why) => {
            tracing::warn!("nothing was pushed to {name}: {}; the next push has everything", quote(why));
        }
        None if failing.is_some() => tracing::info!("{name} takes pushes again"),
        _ => {}
    }
    *failing = why;
}

/// A gateway, with what is read from files: a token may be another one by now.
struct Gateway {
    endpoint: Endpoint,
    url: reqwest::Url,
}

impl Gateway {
    async fn open(settings: &Settings, job: &str) -> Result<Self, String> {
        let own = settings.clone();
        let open = move || {
            let transport = Transport { http2: false, timeout: own.timeout.0 };
            Endpoint::open(&own.url, &own.access, &own.headers, transport)
        };
        // Files may be on a disk that does not answer.
        let endpoint = apart(&format!("the secrets of {}", settings.url), READ, open).await??;
        let mut url = endpoint.url.clone();
        let path = format!("{}/{}", url.path().trim_end_matches('/'), settings.group(job));
        url.set_path(&path);
        Ok(Self { endpoint, url })
    }

    async fn send(&self, method: Method, body: Vec<u8>) -> Result<(), String> {
        let clean = |text: &str| self.endpoint.clean(text);
        let request =
            self.endpoint.http.request(method, self.url.clone()).headers(self.endpoint.headers.clone());
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static(TEXT)).body(body);
        let mut response = request.send().await.map_err(|why| clean(&causes(&why.without_url())))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let mut said = Vec::new();
        while said.len() < ANSWER
            && let Ok(Some(piece)) = response.chunk().await
        {
            said.extend_from_slice(&piece);
        }
        said.truncate(ANSWER);
        Err(clean(&format!("it answered {}: {}", status.as_u16(), String::from_utf8_lossy(&said).trim())))
    }
}
