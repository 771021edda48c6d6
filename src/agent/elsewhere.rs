//! What a Prometheus says of the agent's alerts, where it evaluates them in the agent's place and the configuration names it under `ask`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alert::health::{Elsewhere, ServerRules};
use crate::ask::{Prometheus, Server};
use crate::clock::now;
use crate::http::Site;
use crate::promql::{Value, When, quoted};
use crate::source::aside::apart;
use crate::source::itself;

/// From one answer to the next question.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the reading of its secrets is called while it lasts.
const SECRETS: &str = "the secrets of ask.prometheus";
/// When a process started is known to the second, and moves with the clock.
const ABOUT: f64 = 2.0;

/// Who is asked, and about what.
pub(super) struct Listener {
    /// The server.
    pub(super) server: Prometheus,
    /// The names of the agent's alerts.
    pub(super) known: BTreeSet<String>,
    /// The label `job` that the server gives the agent.
    pub(super) job: String,
    /// The label `instance` that it would give by the agent's address, should several agents have begun when this one did.
    pub(super) instance: String,
}

impl Listener {
    /// Asks until `stop`, and shows what is said.
    pub(super) async fn listen(self, site: Arc<Site>, stop: CancellationToken) {
        let server = self.server.url.shown();
        let show = |said| site.elsewhere.store(Some(Arc::new(Elsewhere { server: server.clone(), said })));
        show(Err("it was not asked yet".to_owned()));
        let asking = async {
            loop {
                let late = |_| Err(format!("it does not answer within {} s", PATIENCE.as_secs()));
                show(tokio::time::timeout(PATIENCE, self.ask()).await.unwrap_or_else(late));
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = asking => {}
        }
        site.elsewhere.store(None);
    }

    async fn ask(&self) -> Result<ServerRules, String> {
        let settings = self.server.clone();
        let server = apart(SECRETS, PATIENCE, move || settings.open()).await.flatten()?;
        let instance = self.find(&server).await?;
        let asked = server.call("/api/v1/rules?type=alert", None).await;
        let (data, _) = asked.map_err(|failure| failure.why().to_owned())?;
        let said = ServerRules::read(&data, &self.known, &self.job, &instance);
        match said {
            None => Err("it lists no rules".to_owned()),
            Some(said) if said.is_empty() => Err("it evaluates none of the agent's alerts".to_owned()),
            Some(said) => Ok(said),
        }
    }

    /// The label `instance` that the server gives this agent: that of the one that began when it did.
    async fn find(&self, server: &Server) -> Result<String, String> {
        let started = itself::vitals().started;
        let expr = format!(
            "group by (instance) (abs(process_start_time_seconds{{job={}}} - {started}) < {ABOUT})",
            quoted(self.job.as_bytes())
        );
        let asked = server.ask(&expr, When::At(now().wall_milliseconds())).await;
        let answer = asked.map_err(|failure| failure.why().to_owned())?;
        let Value::Vector(found) = answer.value else { return Err("it answers with no series".to_owned()) };
        let mut all: Vec<&str> = found.iter().map(|one| one.labels.get("instance")).collect();
        if all.len() > 1 {
            all.retain(|instance| *instance == self.instance);
        }
        let job = &self.job;
        let first = all.first().map(|instance| (*instance).to_owned());
        first.ok_or_else(|| format!("it has not scraped this agent, as the job \"{job}\""))
    }
}
