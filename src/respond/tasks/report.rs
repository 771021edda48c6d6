//! A report of the last days, into the folder of reports and to receivers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::alert::dispatch::{Message, PostedAlert, Reason, Sheet, Status};
use crate::clock::now;
use crate::promql::Labels;
use crate::respond::receivers;
use crate::respond::sessions::{WrittenReport, file_window};
use crate::setting::Span;
use crate::source::aside::apart;

/// What the making of it is called while it lasts.
const REPORT: &str = "the report of a task";
/// Attempts to send it to a receiver, and the pause between them.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_secs(5);
/// Characters of what is wrong that a notification tells.
const SHOWN: usize = 1_500;

/// It is filed in `reports.folder` and sent to `reports.receivers`: one of them has to be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TaskReport")]
pub struct Settings {
    /// The time that it is about, up to now.
    pub last: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { last: Span::seconds(86_400) }
    }
}

impl Job for Settings {
    fn problem(&self) -> Option<String> {
        (self.last < Span::seconds(60)).then(|| format!("{} is too short; the minimum is 1m", self.last))
    }

    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a> {
        Box::pin(async move {
            let reports = &around.reports;
            if reports.folder.is_none() && reports.receivers.is_empty() {
                return Err("nobody gets it; set reports.folder or reports.receivers".to_owned());
            }
            let end = now().wall_milliseconds();
            let start = end.saturating_sub(i64::try_from(self.last.0.as_millis()).unwrap_or(i64::MAX));
            let made = made(around, patience, (start, end)).await?;
            let name = match self.last.0.as_secs() {
                86_400 => "day",
                604_800 => "week",
                _ => "report",
            };
            let (mut done, mut failed) = (Vec::new(), Vec::new());
            if let Some(folder) = reports.folder.clone() {
                match file_window(PathBuf::from(&folder), &reports.formats, name, start, &made).await {
                    Ok(files) => done.push(format!("{} in {}", files.join(", "), folder.display())),
                    Err(why) => failed.push(why),
                }
            }
            let message = message(&made, name, (start, end), &around.url);
            for receiver in &reports.receivers {
                match send(receiver, &message, &around.url).await {
                    Ok(who) => done.push(format!("sent to {who}")),
                    Err(why) => failed.push(why),
                }
            }
            if failed.is_empty() { Ok(done.join("; ")) } else { Err(failed.join("; ")) }
        })
    }
}

/// Makes it. A task may run before the history is there, right after the start.
async fn made(around: &Around, patience: Duration, time: (i64, i64)) -> Result<WrittenReport, String> {
    for attempt in 1.. {
        let make = around.make.clone();
        match apart(REPORT, patience, move || make(None, time)).await.flatten() {
            Err(_) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            made => return made,
        }
    }
    Err("it was not made".to_owned())
}

/// Sends it to one receiver. What passes is tried again.
async fn send(receiver: &crate::render::Receiver, message: &Message, url: &str) -> Result<String, String> {
    let target = receivers::open(receiver)?;
    let who = format!("{} {}", target.kind, target.name);
    for attempt in 1.. {
        match target.how.deliver(message, url, None).await {
            Ok(()) => return Ok(who),
            Err(why) if why.lasts || attempt >= ATTEMPTS => {
                return Err(format!("not sent to {who}: {}", why.why));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(format!("not sent to {who}"))
}

/// The verdict as a notification, of the form that receivers know.
fn message(made: &WrittenReport, name: &str, (start, end): (i64, i64), url: &str) -> Message {
    let said: String = made.said.join("\n").chars().take(SHOWN).collect();
    let labels = Labels::from_pairs([("alertname", "NeuralReport"), ("report", name), ("severity", "info")]);
    let link = format!("{url}/api/v1/report?format=html&start={}&end={}", start / 1000, end / 1000);
    let annotations =
        Labels::from_pairs([("summary", &*made.verdict), ("description", &*said), ("dashboard_url", &*link)]);
    let posted = PostedAlert {
        labels: labels.clone(),
        annotations,
        starts_at: start,
        ends_at: end.saturating_add(3_600_000),
        link: Arc::from(&*link),
        updated_at: end,
    };
    let sheet = Sheet {
        title: format!("Report of the last {name}: {}", made.verdict),
        file: format!("{}.html", crate::session::name::dated(start, name, 1)),
        html: made.html.clone(),
    };
    Message {
        receiver: Arc::from("reports"),
        group_key: Arc::from(format!("reports:{name}")),
        group_labels: labels,
        alerts: vec![(Status::Firing, Arc::new(posted))],
        reason: Reason::First,
        at: end,
        sheet: Some(Arc::new(sheet)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_has_the_verdict_and_what_is_wrong() {
        let made = WrittenReport {
            html: "<h1>x</h1>".into(),
            json: String::new(),
            verdict: "Usable with care: cyton lost 2 % of its packets".into(),
            said: vec!["cyton lost 2 % of its packets".into(), "x".repeat(5_000)],
        };
        let message = message(&made, "day", (1_000_000, 2_000_000), "http://lab:9612");
        let (_, alert) = &message.alerts[0];
        assert_eq!(alert.annotations.get("summary"), made.verdict);
        assert!(alert.annotations.get("description").starts_with("cyton lost"));
        assert!(alert.annotations.get("description").chars().count() <= SHOWN);
        assert_eq!(&*alert.link, "http://lab:9612/api/v1/report?format=html&start=1000&end=2000");
        assert_eq!(message.status(), Status::Firing);
        let sheet = message.sheet.unwrap();
        assert_eq!((&*sheet.file, &*sheet.html), ("1970-01-01T00-16_day.html", "<h1>x</h1>"));
        assert!(sheet.title.contains("Usable with care"));
    }

    #[test]
    fn a_time_that_says_nothing_is_refused() {
        assert!(Settings { last: Span::seconds(5) }.problem().is_some());
        assert!(Settings::default().problem().is_none());
    }
}
