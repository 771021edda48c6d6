//! Runbooks: for each alert a page for the person who has to do something, and a list of them all.

use std::fmt::Write;

use super::rules::{expression, limits, logs, parts, severity, span, text};
use super::{File, GENERATED, Settings};
use crate::catalog::Page;
use crate::catalog::alert::{Alert, Priority};
use crate::catalog::limit::{LIMITS, with_unit};

/// The folder.
const FOLDER: &str = "alert-rules/runbooks";

const INDEX: &str = "\
# Runbooks

What each alert means and what to do. The notification of an alert links to its page.

| priority | look at it |
|---|---|
| P0 | immediately: data is being lost, or a closed loop is broken |
| P1 | within 15 minutes |
| P2 | today |
| P3 | when you have time |

Change limits in the configuration under `alerts.limits`, and switch alerts off under `alerts.off`. While
you work on a device, [NeuralMaintenance](NeuralMaintenance.md) keeps its alerts quiet.
";

const HEAD: &str = "| alert | severity | priority | what is wrong |\n|---|---|---|---|\n";

/// The alert that nobody computes.
const MAINTENANCE: &str = "\
# NeuralMaintenance

You are working on a device, a service, a pipeline or a whole machine, and mute its alerts. No rule raises this
alert: you send it with an end time, and Alertmanager forgets it then.

## Begin

One label names the object: `device`, `service`, `pipeline` or `instance`.

```sh
amtool --alertmanager.url=http://127.0.0.1:9093 alert add NeuralMaintenance device=cyton \\
  --end=\"$(date --utc --date '+2 hours' +%Y-%m-%dT%H:%M:%SZ)\" --annotation=summary='new electrodes'
```

What is muted: every alert of this set that has the same value of that label. What is not muted: alerts of other
devices, and the agent's own.

## End early

Send the same alert again with an end in the past.

## Or one command, with and without Alertmanager

The same effect by a silence, which the agent keeps where it notifies by itself:

```sh
neural-exporter silence cyton --maintenance --for 2h --comment 'new electrodes'
neural-exporter silence cyton --maintenance --expire
```

## Or a silence

A silence does the same for any alert and any label, with author and comment:

```sh
amtool --alertmanager.url=http://127.0.0.1:9093 silence add device=cyton \\
  --duration=2h --author=\"$USER\" --comment='new electrodes'
```
";

pub(super) fn render(pages: &[&Page], settings: &Settings, files: &mut Vec<File>) {
    let parts = parts(pages, settings);
    let logs = logs(pages, settings);
    let known: Vec<&str> =
        parts.iter().chain(&logs).flat_map(|part| &part.alerts).map(|alert| alert.name).collect();
    let mut add = |alert: &Alert, language: &Language| {
        let path = format!("{FOLDER}/{}.md", alert.name);
        files.push(File { path, text: runbook(alert, language, &known, settings) });
    };
    let mut index = format!("<!-- {GENERATED} -->\n\n{INDEX}");
    for parts in parts.chunk_by(|a, b| a.page.id == b.page.id) {
        let page = parts.first().map(|part| part.page);
        // Writing to a string cannot fail.
        let _ = write!(index, "\n## {}\n\n{HEAD}", page.map_or("", |page| page.title));
        for alert in parts.iter().flat_map(|part| &part.alerts) {
            index += &row(alert, settings);
            add(alert, &METRICS);
        }
    }
    if let Some(part) = logs {
        let _ = write!(index, "\n## The agent's log, for Loki\n\n{HEAD}");
        for alert in part.alerts {
            index += &row(alert, settings);
            add(alert, &LOGS);
        }
    }
    files.push(File { path: format!("{FOLDER}/README.md"), text: index });
    let text = format!("<!-- {GENERATED} -->\n\n{MAINTENANCE}");
    files.push(File { path: format!("{FOLDER}/NeuralMaintenance.md"), text });
}

fn row(alert: &Alert, settings: &Settings) -> String {
    let levels: Vec<_> = alert.levels().collect();
    let bad: Vec<_> = levels.iter().map(|level| severity(level, settings)).collect();
    let soon: Vec<_> = levels.iter().map(|level| level.priority.as_str()).collect();
    let what = plain(&text(alert.summary, settings));
    format!("| [{0}]({0}.md) | {1} | {2} | {what} |\n", alert.name, bad.join(", "), soon.join(", "))
}

/// A template with the names of labels where their values would be.
fn plain(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after.split_once("}}").unwrap_or((after, ""));
        let inside = inside.trim();
        text.push_str(before);
        match inside.strip_prefix("$labels.") {
            Some(name) => text.extend(["*", name, "*"]),
            None => text.push_str("*value*"),
        }
        rest = behind;
    }
    text + rest
}

/// What queries are written in.
struct Language {
    /// The word behind a fence.
    name: &'static str,
    /// Who answers them.
    server: &'static str,
}

const METRICS: Language = Language { name: "promql", server: "Prometheus" };
const LOGS: Language = Language { name: "logql", server: "Loki" };

fn runbook(alert: &Alert, language: &Language, known: &[&str], settings: &Settings) -> String {
    let mut page = format!(
        "<!-- {GENERATED} -->\n\n# {}\n\n{}.\n\n{}\n\n",
        alert.name,
        plain(&text(alert.summary, settings)),
        plain(&text(alert.description, settings))
    );
    page += "## What it means\n\n";
    page += &text(alert.meaning, settings);
    page += "\n";
    let lists = [
        ("Immediately", alert.immediate),
        ("Within the day", alert.short_term),
        ("Prevention", alert.long_term),
    ];
    for (title, steps) in lists.into_iter().filter(|(_, steps)| !steps.is_empty()) {
        let _ = write!(page, "\n## {title}\n\n");
        for (number, step) in steps.iter().enumerate() {
            let _ = writeln!(page, "{}. {}", number + 1, text(step, settings));
        }
    }
    if !alert.queries.is_empty() {
        let _ =
            writeln!(page, "\n## Where to look\n\nQueries for {}, or Grafana's Explore:", language.server);
        for query in alert.queries {
            let _ = write!(page, "\n```{}\n{}\n```\n", language.name, expression(query, settings));
        }
    }
    page += "\n## When it fires\n";
    for level in alert.levels() {
        let hold = span(level.hold).map_or_else(|| "immediately".to_owned(), |hold| format!("after {hold}"));
        let _ = write!(
            page,
            "\nAs **{}** ({}, {}), {hold}:\n\n```{}\n{}\n```\n",
            severity(level, settings),
            level.priority.as_str(),
            within(level.priority),
            language.name,
            expression(level.expr, settings)
        );
    }
    if let Some(longer) = span(alert.keep_firing) {
        let _ = write!(page, "\nIt keeps firing for {longer} after the condition ends.\n");
    }
    let of = limits(alert);
    let limits: Vec<_> = LIMITS.iter().filter(|limit| of.contains(limit.id)).collect();
    if !limits.is_empty() {
        page += "\n## Limits\n\nChange them in the configuration, under `alerts.limits`.\n\n";
        page += "| id | number | meaning |\n|---|---|---|\n";
        for limit in limits {
            let number = settings.limits.of(limit);
            let _ = writeln!(
                page,
                "| `{}` | {number} ({}) | {} |",
                limit.id,
                with_unit(number, limit.unit),
                limit.help
            );
        }
    }
    let related: Vec<_> = alert.related.iter().filter(|name| known.contains(name)).collect();
    if !related.is_empty() {
        page += "\n## See also\n\n";
        for name in related {
            let _ = writeln!(page, "- [{name}]({name}.md)");
        }
    }
    page
}

fn within(priority: Priority) -> &'static str {
    match priority {
        Priority::P0 => "look immediately",
        Priority::P1 => "look within 15 minutes",
        Priority::P2 => "look today",
        Priority::P3 => "look when you have time",
    }
}
