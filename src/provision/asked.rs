//! What the dashboards of a Grafana ask: a Prometheus, or the agent itself, which answers as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agent::Agent;
use super::mark::hash;
use crate::render::Source;
use crate::secret::{Exposed, Link};
use crate::setting::Span;

/// What the dashboards ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DashboardSource {
    /// The agent itself, which answers from its history as a Prometheus does.
    Agent(Itself),
    /// A server.
    Server(Box<DataSource>),
}

/// The word for the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Itself {
    /// The agent itself, which answers from its history. Its address is derived from `listen`, and from `http.hosts` where
    /// Grafana is on another machine.
    Agent,
}

/// A Prometheus data source in Grafana.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Its fixed id.
    #[serde(default = "datasource")]
    pub uid: String,
    /// Its name.
    #[serde(default = "datasource_name")]
    pub name: String,
    /// Where Prometheus is, seen from Grafana.
    pub url: Link,
    /// How often Prometheus scrapes; panels of rates are empty if this is wrong.
    #[serde(default = "scrape_interval")]
    pub scrape_interval: Span,
    /// The server that has the traces: a data source is made for it, and exemplars lead to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceSource>,
    /// The id of a data source of traces that is there already: exemplars lead to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_datasource: Option<String>,
    /// What stands before a trace's id where traces are looked at: `http://jaeger:16686/trace/`. In place of
    /// `traces_datasource`, or besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_url: Option<Link>,
}

/// A data source of traces in Grafana.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSource {
    /// What the server is.
    #[serde(rename = "type")]
    pub server: TraceServer,
    /// Where it is, seen from Grafana: `http://tempo:3200`, `http://jaeger:16686`.
    pub url: Link,
    /// Its fixed id.
    #[serde(default = "traces")]
    pub uid: String,
    /// Its name.
    #[serde(default = "traces_name")]
    pub name: String,
}

/// A server that keeps traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceServer {
    /// Grafana Tempo. It draws the service graph of the metrics that its generator writes into the data source of metrics.
    Tempo,
    /// Jaeger.
    Jaeger,
}

impl TraceSource {
    /// As the API takes it, less its id. `metrics` is the id of the data source that has the metrics of the service graph.
    #[must_use]
    pub(super) fn model(&self, metrics: &str) -> Value {
        let mut data = json!({"nodeGraph": {"enabled": true}});
        if self.server == TraceServer::Tempo {
            data["serviceMap"] = json!({"datasourceUid": metrics});
        }
        json!({"name": self.name, "type": self.server, "access": "proxy", "url": self.url.expose(), "jsonData": data})
    }
}

impl DashboardSource {
    /// The data source, seen from a Grafana; from one of this machine where none is named.
    ///
    /// # Errors
    /// It is the agent, and its address cannot be derived.
    pub fn source(&self, agent: &Agent, grafana: Option<&Link>) -> Result<DataSource, String> {
        let Self::Server(server) = self else {
            let url = agent.seen_from(grafana.map(Link::expose))?;
            let place = url.trim_start_matches("http://").trim_start_matches("https://");
            return Ok(DataSource {
                uid: agent_uid(place),
                name: format!("neural-exporter at {place}"),
                url: Link::from(&url),
                scrape_interval: agent.interval.unwrap_or_else(scrape_interval),
                traces: None,
                traces_datasource: None,
                traces_url: None,
            });
        };
        if server.traces.is_some() && server.traces_datasource.is_some() {
            return Err("datasource has traces and traces_datasource: remove one".to_owned());
        }
        Ok((**server).clone())
    }

    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        let Self::Server(source) = self else { return };
        let hand = "Grafana shows it to every user: give it the password by hand, and write";
        found.plain("datasource.url", &source.url, hand);
        source.traces.iter().for_each(|traces| found.plain("datasource.traces.url", &traces.url, hand));
        source.traces_url.iter().for_each(|url| found.plain("datasource.traces_url", url, hand));
    }
}

/// The fixed id of an agent's data source: agents that push to one Grafana have one each. It has 40 characters at most.
fn agent_uid(place: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = place.chars().map(plain).collect();
    if slug.len() <= 27 { format!("neural-agent-{slug}") } else { format!("neural-agent-{}", hash(place)) }
}

impl From<&DataSource> for Source {
    fn from(source: &DataSource) -> Self {
        Self {
            uid: source.uid.clone(),
            name: source.name.clone(),
            url: source.url.clone(),
            interval: source.scrape_interval.to_string(),
            traces: source
                .traces
                .as_ref()
                .map(|traces| &traces.uid)
                .or(source.traces_datasource.as_ref())
                .cloned(),
            traces_url: source.traces_url.clone(),
        }
    }
}

fn datasource() -> String {
    "neural-prometheus".to_owned()
}

fn datasource_name() -> String {
    "Prometheus (neural)".to_owned()
}

fn traces() -> String {
    "neural-traces".to_owned()
}

fn traces_name() -> String {
    "Traces (neural)".to_owned()
}

fn scrape_interval() -> Span {
    Span::seconds(15)
}
