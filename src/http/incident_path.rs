//! The paths of incidents.

use crate::alert::incident::Transition;

/// Where they begin.
const INCIDENTS: &str = "/api/v1/incidents";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IncidentRequest {
    List,
    Statistics,
    One(String),
}

impl IncidentRequest {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(INCIDENTS)? {
            "" => Self::List,
            "/stats" => Self::Statistics,
            rest => Self::One(number(rest.strip_prefix('/')?)?),
        })
    }
}

/// A number, or its beginning.
pub(super) fn number(text: &str) -> Option<String> {
    let hex = |c: char| c.is_ascii_hexdigit();
    ((1..=16).contains(&text.len()) && text.chars().all(hex)).then(|| text.to_ascii_lowercase())
}

/// What a request does about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Something that is kept with it.
    Transition(Transition),
    /// Its alert notifies nobody for a while.
    Silence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        for (path, asked) in [
            ("/api/v1/incidents", Some(IncidentRequest::List)),
            ("/api/v1/incidents/stats", Some(IncidentRequest::Statistics)),
            ("/api/v1/incidents/AB12", Some(IncidentRequest::One("ab12".into()))),
            ("/api/v1/incidents/", None),
            ("/api/v1/incidents/../x", None),
            ("/api/v1/incidents/0123456789abcdef0", None),
            ("/api/v1/incidentsab12", None),
            ("/api/v1/incidents/ab12/ack", None),
        ] {
            assert_eq!(IncidentRequest::of(path), asked, "{path}");
        }
    }
}
