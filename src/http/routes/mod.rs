//! What there is to fetch: a row for each path, with what answers it and what it takes.
//!
//! The server dispatches by these rows and the OpenAPI document is written from them, so that the document tells what the server does.
//! A path that is not documented is a page or a file for people.

mod former;
mod parts;
mod shapes;
mod table;

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::Value as Json;

use super::incident_path::Change;
use super::reply::Form;
pub(super) use shapes::{failure, problem};
pub(super) use table::ROUTES;

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Metrics,
    Healthy,
    Ready,
    Targets,
    Runbooks,
    Landing,
    /// The page of one card.
    Card,
    /// The sources, the alerts and the largest families as tables.
    Sources,
    /// The page of an alert.
    Alert,
    /// The page of an incident, or their list.
    Incident,
    /// The configuration in effect.
    Config,
    /// The last lines of the log.
    Log,
    /// What a device's signal looks like.
    Preview,
    /// How other programs reach the agent.
    Connect,
    /// The style and the script of pages.
    Style,
    Script,
    /// The pieces of the first page that change.
    Live,
    /// What the first page shows, as JSON.
    Snapshot,
    Files,
    Reload,
    /// Prometheus' API over the history.
    Api(Endpoint),
    /// Incidents, read.
    Incidents,
    /// Who acknowledges, closes or silences one.
    IncidentChange(Change),
    /// Alertmanager's webhook.
    Webhook,
    /// Silences, made and listed.
    Silences,
    /// One silence, shown and ended.
    Silence,
    /// Benchmarks, and comparisons with one.
    Benchmarks(Benchmark),
    /// What is worse than the baselines.
    Regressions,
    /// What the agent does from time to time.
    Tasks,
    /// Having it done now.
    TaskRun,
    /// Sessions, listed and begun.
    Sessions,
    /// One session.
    Session,
    /// The end of one that was begun by hand.
    SessionStop,
    /// What a report looks like as JSON.
    ReportSchema,
    /// The description of this API.
    OpenApi,
    /// Devices and pipelines as data.
    Devices,
    Device,
    Pipelines,
    Pipeline,
    /// How everything is now, in a few numbers.
    Realtime,
    /// The routes of the systems that are replaced.
    Former(Former),
}

/// A question of Prometheus' API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Query,
    QueryRange,
    Series,
    Labels,
    Values,
    Metadata,
    Exemplars,
    Rules,
    Alerts,
    Health,
    Report,
    Format,
    BuildInfo,
    RuntimeInfo,
    Tsdb,
}

/// A question of the systems that are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Former {
    Dashboard,
    Export,
    Metrics,
    System,
    Service,
    Prometheus,
    Health,
    Cleanup,
    Realtime,
    Report,
    Issues,
    Regressions,
    Benchmarks,
    Benchmark,
    Compare,
}

/// What a path of benchmarks is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Benchmark {
    /// All of them.
    List,
    /// One of a name.
    One,
    /// A comparison with one.
    Compare,
}

/// Who may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Any client, under any name.
    Open,
    /// A client that knows the agent by its name.
    Page,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It reads.
    Read,
    /// It reads; a long question comes as a form.
    Question,
    /// It changes something: no page of another origin may.
    Change,
    /// It changes what is kept: only programs of this machine may, for nobody says who asks.
    LocalChange,
}

/// A method that something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A schema, with what it refers to.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Json;

/// A path and what is there.
#[derive(Debug)]
pub(super) struct Row {
    /// The path. What stands in braces is any text without a slash; with a star, any text.
    pub(super) path: &'static str,
    pub(super) route: Route,
    /// The label `path` of its requests: several paths may share one.
    pub(super) label: &'static str,
    pub(super) access: Access,
    /// The form of its errors.
    pub(super) form: Form,
    /// Whether it is part of the API.
    pub(super) documented: bool,
    /// What can be done there.
    pub(super) operations: &'static [Operation],
}

/// Something that can be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) effect: Effect,
    /// Its name in the document: unique.
    pub(super) name: &'static str,
    /// What it does, in a sentence.
    pub(super) about: &'static str,
    /// What it takes in its path and its query.
    pub(super) asks: &'static [Parameter],
    /// What its body is.
    pub(super) body: Option<Content>,
    /// What it answers where it can.
    pub(super) gives: &'static [Content],
    /// Other statuses, beside those that any operation of its kind has.
    pub(super) fails: &'static [u16],
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Its JSON Schema.
    pub(super) schema: &'static str,
    pub(super) required: bool,
}

/// Bytes of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    /// The status that an answer has.
    pub(super) status: u16,
    /// The media type.
    pub(super) kind: &'static str,
    pub(super) shape: Shape,
}

/// A row that a path is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteMatch<'p> {
    pub(super) row: &'static Row,
    /// What stands in the place of the braces, as it was sent.
    pub(super) part: &'p str,
}

/// What is there. The first row stands.
pub(super) fn find(path: &str) -> Option<RouteMatch<'_>> {
    ROUTES.iter().find_map(|row| Some(RouteMatch { row, part: part_of(row.path, path)? }))
}

/// What stands in a path in the place of the braces of a template; empty if it has none. Nothing if it is another path.
fn part_of<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let Some((begin, rest)) = template.split_once('{') else { return (template == path).then_some("") };
    let (name, end) = rest.split_once('}')?;
    let part = path.strip_prefix(begin)?.strip_suffix(end)?;
    let any = name.ends_with('*');
    (any || !part.is_empty() && !part.contains('/')).then_some(part)
}

impl Operation {
    /// The parameters that are no lists.
    pub(super) fn singles(&self) -> impl Iterator<Item = &'static str> {
        self.asks.iter().filter(|asked| !asked.schema.contains(r#""type":"array""#)).map(|asked| asked.name)
    }
}

impl RouteMatch<'_> {
    /// The part, decoded; nothing if it is no text.
    pub(super) fn decoded(&self) -> Option<String> {
        percent_encoding::percent_decode_str(self.part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    }
}

impl Row {
    /// What a method does. Who asks for the head alone is answered as who asks for all.
    pub(super) fn operation(&self, method: &Method) -> Option<&'static Operation> {
        let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.operations.iter().find(|operation| operation.verb.as_str() == wanted)
    }

    /// The methods that it takes, as the header `Allow` has them.
    pub(super) fn methods(&self) -> String {
        let mut all: Vec<&str> = Vec::new();
        for operation in self.operations {
            all.push(operation.verb.as_str());
            if operation.verb == Verb::Get {
                all.push("HEAD");
            }
        }
        all.join(", ")
    }

    /// Whether it is a path of Prometheus' own API. Health and reports are not, though their answers have its form.
    pub(super) fn is_prometheus(&self) -> bool {
        matches!(self.route, Route::Api(endpoint) if !matches!(endpoint, Endpoint::Health | Endpoint::Report))
    }

    /// Whether a body may be a message of thousands of alerts.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.route, Route::Webhook | Route::Benchmarks(Benchmark::List))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_are_told_apart() {
        let singles = |path: &str| -> Vec<&str> {
            find(path).unwrap().row.operation(&Method::GET).unwrap().singles().collect()
        };
        assert!(singles("/api/performance/regressions").contains(&"hours"));
        let of = singles("/api/v1/incidents");
        assert!(of.contains(&"limit") && !of.contains(&"state"), "{of:?}");
    }

    #[test]
    fn a_path_has_its_row() {
        for (path, route, part) in [
            ("/", Route::Landing, ""),
            ("/provision", Route::Files, ""),
            ("/provision/", Route::Files, ""),
            ("/provision/dashboards/a.json", Route::Files, "dashboards/a.json"),
            ("/api/v1/query", Route::Api(Endpoint::Query), ""),
            ("/api/v1/label/a%20b/values", Route::Api(Endpoint::Values), "a%20b"),
            ("/api/v1/incidents/stats", Route::Incidents, ""),
            ("/api/v1/incidents/ab12", Route::Incidents, "ab12"),
            ("/api/v2/silence/x", Route::Silence, "x"),
            ("/api/v1/tasks/a.b-c/run", Route::TaskRun, "a.b-c"),
        ] {
            let found = find(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.row.route, found.part), (route, part), "{path}");
        }
        for path in [
            "",
            "/x",
            "/metrics/",
            "/api/v1/",
            "/api/v1/label//values",
            "/api/v1/label/a/b/values",
            "/api/v1/labels/x",
            "/api/v1/tasks//run",
            "/api/v1/tasks/a",
            "/api/v1/tasks/a/b/run",
            "/api/v1/tasksa/run",
            "/api/v1/incidentsab12",
            "/api/v1/incidents/",
            "/api/v1/incidents/../x",
            "/api/v2/silence/",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn no_row_hides_another_and_each_operation_has_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        for row in ROUTES {
            let example = row.path.split('{').next().unwrap_or_default().to_owned();
            let end = row.path.split('}').nth(1).unwrap_or_default();
            let example = if row.path.contains('{') { format!("{example}0a{end}") } else { example };
            let found = find(&example).unwrap_or_else(|| panic!("{example}"));
            assert_eq!(found.row.path, row.path, "{example}");
            assert!(!row.operations.is_empty() && row.path.matches('{').count() < 2, "{}", row.path);
            for operation in row.operations.iter().filter(|_| row.documented) {
                assert!(names.insert(operation.name), "{} is there twice", operation.name);
                let parts =
                    operation.asks.iter().filter(|asked| row.path.contains(&format!("{{{}}}", asked.name)));
                assert_eq!(parts.count(), row.path.matches('{').count(), "{}", row.path);
                assert!(!operation.gives.is_empty(), "{} answers nothing", operation.name);
            }
        }
    }

    #[test]
    fn what_reads_takes_get_and_what_changes_does_not() {
        for row in ROUTES {
            for operation in row.operations {
                let reads = operation.effect == Effect::Read;
                assert_eq!(operation.verb == Verb::Get, reads, "{:?} {}", operation.verb, row.path);
                let open = row.access == Access::Open;
                assert!(!open || reads, "{} is open and changes something", row.path);
            }
        }
    }
}
