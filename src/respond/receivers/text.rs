//! What people read: the same texts that are in Alertmanager's file, and the lists that Alertmanager writes by default.

use std::fmt::Write;

use super::Failure;
use crate::alert::Template;
use crate::alert::dispatch::{Message, PostedAlert};
use crate::promql::Labels;

/// Alerts that one text shows. Services cut what is longer, or refuse it.
const MOST: usize = 50;

/// One of the texts of Alertmanager's file, about a notification.
pub(super) fn written(template: &str, message: &Message, url: &str) -> Result<String, Failure> {
    let wrong = |why: String| Failure::lasting(format!("the text of a notification: {why}"));
    Template::parse(template).and_then(|template| template.notify(message, url)).map_err(wrong)
}

/// The same of the first alerts alone, with how many are left out.
pub(super) fn lines(template: &str, message: &Message, url: &str) -> Result<String, Failure> {
    let mut few = message.clone();
    few.alerts.truncate(MOST);
    let mut text = loop {
        match written(template, &few, url) {
            Ok(text) => break text,
            // A text has a bound, and who hears of some alerts is better off than who hears of none.
            Err(_) if few.alerts.len() > 1 => few.alerts.truncate(few.alerts.len() / 2),
            Err(why) => return Err(why),
        }
    };
    if let Some(more) = message.alerts.len().checked_sub(few.alerts.len()).filter(|more| *more > 0) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "and {more} more: {url}");
    }
    Ok(text)
}

/// Fact: `__text_alert_list` of Alertmanager's `default.tmpl`.
pub(super) fn list<'a>(alerts: impl Iterator<Item = &'a PostedAlert>) -> String {
    let mut text = String::new();
    let pairs = |text: &mut String, labels: &Labels| {
        for (name, value) in labels {
            // Writing to a string cannot fail.
            let _ = writeln!(text, " - {name} = {value}");
        }
    };
    for alert in alerts.take(MOST) {
        text.push_str("Labels:\n");
        pairs(&mut text, &alert.labels);
        text.push_str("Annotations:\n");
        pairs(&mut text, &alert.annotations);
        let _ = writeln!(text, "Source: {}", alert.link);
    }
    text
}

/// At most so many characters, with a mark where some are missing. Fact: `TruncateInRunes` of Alertmanager.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// SHA-256 of a text, in hexadecimal: what names a group to services that must not see its labels.
pub(super) fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Notifications for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use super::*;
    use crate::alert::dispatch::{Reason, Status};

    /// So many alerts of devices d0, d1, …
    pub(in crate::respond::receivers) fn message(
        alerts: usize,
        priority: &str,
        severity: &str,
        status: Status,
    ) -> Message {
        let alert = |index: usize| {
            let device = format!("d{index}");
            let labels =
                [("alertname", "X"), ("priority", priority), ("severity", severity), ("device", &device)];
            let posted = PostedAlert {
                labels: Labels::from_pairs(labels),
                annotations: Labels::from_pairs([("summary", device.as_str()), ("description", "<loud>")]),
                starts_at: 0,
                ends_at: 1,
                link: "http://lab/graph".into(),
                updated_at: 0,
            };
            (status, Arc::new(posted))
        };
        Message {
            receiver: "neural-p0".into(),
            group_key: "{}".into(),
            group_labels: Labels::empty(),
            alerts: (0..alerts).map(alert).collect(),
            reason: Reason::First,
            at: 0,
            sheet: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::message;
    use super::*;
    use crate::alert::dispatch::Status;
    use crate::render::message::{COLOR, LINES, PAGER, TITLE};

    #[test]
    fn a_group_has_the_key_that_alertmanager_gives_it() {
        let key = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), key);
    }

    #[test]
    fn the_texts_of_alertmanagers_file_are_carried_out() {
        let two = message(2, "P0", "critical", Status::Firing);
        let text = |template, message: &Message| written(template, message, "http://lab").unwrap();
        assert_eq!(text(TITLE, &two), "P0 X: firing (2)");
        assert_eq!((text(COLOR, &two), text(PAGER, &two)), ("danger".into(), "critical".into()));
        // What an alert does not have is an empty line.
        assert_eq!(text(LINES, &two), "• d0\n<loud>\n\n• d1\n<loud>\n\n");
        let over = message(1, "P0", "medium", Status::Resolved);
        assert_eq!((text(COLOR, &over), text(PAGER, &over)), ("good".into(), "warning".into()));
        assert_eq!(text(COLOR, &message(1, "P2", "low", Status::Firing)), "warning");
        assert!(written("{{ .Nothing.more }}", &two, "").unwrap_err().lasts);
    }

    #[test]
    fn many_alerts_are_cut_short_and_their_number_is_not() {
        let many = message(60, "P1", "high", Status::Firing);
        assert_eq!(written(TITLE, &many, "").unwrap(), "P1 X: firing (60)");
        let text = lines(LINES, &many, "http://lab").unwrap();
        assert!(text.contains("• d49\n") && !text.contains("• d50\n"));
        assert!(text.ends_with("and 10 more: http://lab\n"));
        assert_eq!((cut("äöü", 3), cut("äöüß", 3)), ("äöü".into(), "äö…".into()));
        let mut long = message(60, "P1", "high", Status::Firing);
        for (_, alert) in &mut long.alerts {
            let text = "x".repeat(4_000);
            std::sync::Arc::make_mut(alert).annotations =
                Labels::from_pairs([("description", text.as_str())]);
        }
        assert!(lines(LINES, &long, "").unwrap().ends_with("and 48 more: \n"));
        let list = list(message(1, "P1", "high", Status::Firing).with_status(Status::Firing));
        assert_eq!(
            list,
            "Labels:\n - alertname = X\n - device = d0\n - priority = P1\n - severity = high\nAnnotations:\n - description = <loud>\n - summary = d0\n\
             Source: http://lab/graph\n"
        );
    }
}
