//! What the dashboards of a Grafana ask: a Prometheus, or the agent itself, which answers as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// The id of the data source that has the traces (Tempo, Jaeger): exemplars lead to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_datasource: Option<String>,
    /// What stands before a trace's id where traces are looked at: `http://jaeger:16686/trace/`. In place of
    /// `traces_datasource`, or besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_url: Option<Link>,
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
                traces_datasource: None,
                traces_url: None,
            });
        };
        Ok((**server).clone())
    }

    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        let Self::Server(source) = self else { return };
        let hand = "Grafana shows it to every user: give it the password by hand, and write";
        found.plain("datasource.url", &source.url, hand);
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
            traces: source.traces_datasource.clone(),
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

fn scrape_interval() -> Span {
    Span::seconds(15)
}
