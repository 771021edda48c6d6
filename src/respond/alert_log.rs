//! What the log says of alerts: a line when one fires, and one when it is over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::alert::{ALERT_NAME, Group, Live, State};
use crate::promql::Labels;
use crate::quote::quote;

/// The log has a line of an alert at most once in so many milliseconds.
const QUIET: i64 = 10_000;

/// What was last said of an alert.
#[derive(Debug)]
struct AlertLine {
    /// When, ms.
    at: i64,
    /// Whether it was said that it fires.
    fires: bool,
    /// The evaluation in which it last fired, ms.
    fired: i64,
    summary: String,
}

impl AlertLine {
    fn is_quiet(&self, at: i64) -> bool {
        (0..QUIET).contains(&at.saturating_sub(self.at))
    }
}

/// What the log says of alerts, but of those for information: one line for each in ten seconds, and at last how it is.
#[derive(Debug, Default)]
pub(super) struct AlertLog(BTreeMap<Labels, AlertLine>);

impl AlertLog {
    /// A group as it is at `at`: says what fires.
    pub(super) fn see(&mut self, group: &Group, at: i64) {
        let firing = group.rules.iter().flat_map(Live::active).filter(|alert| alert.state == State::Firing);
        for alert in firing.filter(|alert| alert.labels.get("severity") != "info") {
            let known = self.0.get_mut(&alert.labels);
            if let Some(said) = known {
                said.fired = at;
                if said.fires || said.is_quiet(at) {
                    continue;
                }
            }
            let summary = match alert.annotations.get("summary") {
                "" => Cow::Owned(alert.labels.to_string()),
                summary => Cow::Borrowed(summary),
            };
            let said = AlertLine { at, fires: true, fired: at, summary: quote(&*summary).to_string() };
            say(&alert.labels, &said);
            self.0.insert(alert.labels.clone(), said);
        }
    }

    /// All groups were seen at `at`: says what is over. It does not ask the rules for that, for they may have forgotten the alert: it may
    /// have been pending since, and its rule may be gone.
    pub(super) fn end(&mut self, at: i64) {
        for (labels, said) in &mut self.0 {
            if said.fires && said.fired != at && !said.is_quiet(at) {
                (said.at, said.fires) = (at, false);
                say(labels, said);
            }
        }
        self.0.retain(|_, said| said.fires || said.is_quiet(at));
    }
}

fn say(labels: &Labels, said: &AlertLine) {
    let name = labels.get(ALERT_NAME);
    let (severity, priority, summary) = (labels.get("severity"), labels.get("priority"), &said.summary);
    if said.fires {
        tracing::warn!(alert = name, severity, priority, "an alert fires: {summary}");
    } else {
        tracing::info!(alert = name, severity, priority, "an alert is over: {summary}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::testing::Memory;
    use crate::alert::{Context, RuleFile, Storage};
    use crate::promql::{Sample, read_labels};

    const RULE: &str = "groups:\n- name: g\n  rules:\n  - {alert: High, expr: level > 2, for: 3s}\n";

    /// What the log says of a rule that is pending for three seconds when levels are over 2, after each second.
    fn follow(levels: &[f64]) -> String {
        let definition = RuleFile::read("rules.yml", RULE).unwrap().groups.remove(0);
        let mut group = Group::new("rules.yml", definition, 60_000);
        let (mut log, memory) = (AlertLog::default(), Memory::default());
        let context = Context {
            storage: &memory,
            external_labels: &Labels::empty(),
            external_url: "",
            subquery_step: 60_000,
            max_samples: 1_000,
            interrupt: &|| None,
            clock: &|| 0,
        };
        let mut said = String::new();
        for (at, level) in (1_000_000..).step_by(1_000).zip(levels) {
            memory.append(&read_labels("level").unwrap(), Sample { t: at, v: *level });
            group.evaluate(at, &context);
            log.see(&group, at);
            log.end(at);
            said.push(log.0.values().next().map_or('-', |said| if said.fires { 'F' } else { 'o' }));
        }
        said
    }

    #[test]
    fn at_last_it_is_said_that_an_alert_is_over() {
        let levels = |text: &str| text.bytes().map(|byte| f64::from(byte - b'0')).collect::<Vec<_>>();
        // It is over after more than ten seconds, and may be forgotten ten seconds later.
        assert_eq!(follow(&levels("0999999999999990000000000000")), "----FFFFFFFFFFFoooooooooo---");
        // Within ten seconds nothing is said, and then how it is.
        assert_eq!(follow(&levels("0999900000000000")), "----FFFFFFFFFFoo");
        assert_eq!(follow(&levels("0999909999999999")), "----FFFFFFFFFFFF");
        // It is over, and pending again, and that ends: the rule knows nothing any more of what fired.
        assert_eq!(follow(&levels("0999900990000000")), "----FFFFFFFFFFoo");
    }
}
