//! What a panel needs of the dashboard that it is on: the data source, the links to other dashboards.

use serde_json::{Value, json};

use super::board::BOARDS;

/// What a panel needs of its dashboard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The uid of the data source, or what stands for it.
    pub(super) datasource: &'a str,
    /// The names of the variables, to be carried along by links.
    pub(super) variables: &'a [&'a str],
    /// The key of the dashboard.
    pub(super) here: &'a str,
    /// Where the runbooks of alerts lie.
    pub(super) runbooks: &'a str,
}

/// What a query refers to.
pub(super) fn datasource(uid: &str) -> Value {
    json!({"type": "prometheus", "uid": uid})
}

/// The word for a dashboard's uid.
pub(super) fn uid(key: &str) -> String {
    format!("neural-{key}")
}

/// A dashboard at the same time, of the same data source, agents and machines.
pub(super) fn url(to: &str, frame: Frame<'_>) -> String {
    let mut url = format!("/d/{}?${{__url_time_range}}", uid(to));
    for variable in frame.variables.iter().filter(|of| ["datasource", "job", "instance"].contains(of)) {
        url.push_str(&["&${", variable, ":queryparam}"].concat());
    }
    url
}

pub(super) fn link(to: &str, frame: Frame<'_>) -> Value {
    let known = BOARDS.iter().find(|board| board.key == to).map_or(&[][..], |board| board.variables);
    let carried = known.iter().map(|(name, _)| *name).filter(|name| frame.variables.contains(name));
    let mut url = url(to, frame);
    for variable in carried {
        url.push_str(&["&${", variable, ":queryparam}"].concat());
    }
    // All the keys of a dashboard's link, which the schema asks for.
    json!({
        "type": "link",
        "title": "More of this",
        "url": url,
        "icon": "dashboard",
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": false,
        "targetBlank": false,
    })
}
