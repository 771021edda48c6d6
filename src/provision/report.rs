//! What came of a plan, object by object, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::plan::{Action, Kind, Step};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// It is said what would be done.
    Plan,
    /// It is done.
    Apply,
    /// What is ours is removed.
    Destroy,
}

/// What came of one step.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The target's name.
    pub target: String,
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What is worth knowing although it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether it failed after it had written, and what it wrote stands there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub written: bool,
}

impl Outcome {
    /// For a metric and a table: one word.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match (&self.failure, self.step.action) {
            (Some(_), _) => "failed",
            (None, Action::Create) => "created",
            (None, Action::Update) => "updated",
            (None, Action::Delete) => "deleted",
            (None, Action::Unchanged) => "unchanged",
            (None, Action::Leave) => "left",
            (None, Action::Refuse) => "refused",
        }
    }
}

/// Every word that [`Outcome::result`] has.
pub const RESULTS: &[&str] = &["created", "updated", "deleted", "unchanged", "left", "refused", "failed"];

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was to be done.
    pub operation: Operation,
    /// Every step of every target.
    pub outcomes: Vec<Outcome>,
    /// What kept a target from being looked at, by its name.
    pub troubles: Vec<Trouble>,
    /// What is worth knowing of a target as a whole, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Trouble>,
    /// Why objects of a kind that is wanted could not be read, so that they are refused; among the remarks as well.
    #[serde(skip)]
    pub unread: Vec<Trouble>,
    /// Requests sent that may change something, and files written.
    pub writes: u64,
}

/// What is to be said of a target: why it could not be looked at, or what is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its name.
    pub target: String,
    /// What is wrong.
    pub why: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Fine,
    /// A plan found something to do.
    Differences,
    /// Something could not be done.
    Failed,
}

impl Report {
    /// Steps of a target that would change something, or that are refused.
    #[must_use]
    pub fn pending(&self, target: &str) -> usize {
        let of = self.outcomes.iter().filter(|outcome| outcome.target == target);
        of.filter(|outcome| !matches!(outcome.step.action, Action::Unchanged | Action::Leave)).count()
    }

    /// A report of nothing yet.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            outcomes: Vec::new(),
            troubles: Vec::new(),
            remarks: Vec::new(),
            unread: Vec::new(),
            writes: 0,
        }
    }

    /// Notes something of a target, once.
    pub fn note(&mut self, target: &str, why: String) {
        let remark = Trouble { target: target.to_owned(), why };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// How it ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let refused = |outcome: &Outcome| outcome.step.action == Action::Refuse;
        let planned = self.operation == Operation::Plan;
        let failed = self.outcomes.iter().any(|o| o.failure.is_some() || (refused(o) && !planned));
        if failed || !self.troubles.is_empty() {
            Ending::Failed
        } else if planned && self.outcomes.iter().any(|o| o.step.action.writes() || refused(o)) {
            Ending::Differences
        } else {
            Ending::Fine
        }
    }

    /// Objects of a target by what became of them.
    #[must_use]
    pub fn count(&self, target: &str, result: &str) -> usize {
        self.outcomes.iter().filter(|o| o.target == target && o.result() == result).count()
    }

    /// The names of the targets, in their order.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let all = self.outcomes.iter().map(|o| &*o.target).chain(self.troubles.iter().map(|t| &*t.target));
        for name in all {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The table at the end, and one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = if self.outcomes.is_empty() { String::new() } else { self.table() };
        for remark in &self.remarks {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {}", remark.target, remark.why);
        }
        text.push_str(&self.sentence());
        text.push('\n');
        text
    }

    fn table(&self) -> String {
        let names = self.targets();
        let wide = names.iter().map(|name| name.len()).max().unwrap_or_default().max("target".len());
        let heads: Vec<&str> = RESULTS.iter().map(|result| head(self.operation, result)).collect();
        let mut text = format!("{:wide$}", "target");
        // Writing to a string cannot fail.
        for head in &heads {
            let _ = write!(text, "  {head:>9}");
        }
        text.push('\n');
        for name in names {
            let _ = write!(text, "{name:wide$}");
            for result in RESULTS {
                let _ = write!(text, "  {:>9}", self.count(name, result));
            }
            text.push('\n');
        }
        text
    }

    fn sentence(&self) -> String {
        let count = |of: &dyn Fn(&Outcome) -> bool| self.outcomes.iter().filter(|o| of(o)).count();
        let bad = count(&|o| o.failure.is_some() || o.step.action == Action::Refuse);
        let pending = count(&|o| o.step.action.writes() && (o.failure.is_none() || o.written));
        let targets = self.troubles.len();
        let done = if self.operation == Operation::Destroy { "removed" } else { "written" };
        match (self.operation, self.ending()) {
            (Operation::Plan, Ending::Fine) => "nothing to do".to_owned(),
            (Operation::Plan, Ending::Differences) => format!("{pending} to do, {bad} refused"),
            (Operation::Plan, Ending::Failed) => {
                format!("{pending} to do; {targets} of the targets could not be read")
            }
            (_, Ending::Fine | Ending::Differences) if pending == 0 => "nothing to do".to_owned(),
            (_, Ending::Fine | Ending::Differences) => format!("done: {pending} {done}"),
            (_, Ending::Failed) if pending > 0 => {
                format!("partial: {pending} {done}, {bad} refused or failed, {targets} targets not read")
            }
            (_, Ending::Failed) => {
                format!("failed: nothing {done}, {bad} refused or failed, {targets} targets not read")
            }
        }
    }
}

/// A plan speaks of what would be.
fn head(operation: Operation, result: &'static str) -> &'static str {
    match (operation, result) {
        (Operation::Plan, "created") => "create",
        (Operation::Plan, "updated") => "update",
        (Operation::Plan, "deleted") => "delete",
        (Operation::Plan, "refused") => "refuse",
        _ => result,
    }
}

/// One step, as it is printed while it happens. What is as it shall be is in the table alone: nothing is said of it.
#[must_use]
pub fn line(operation: Operation, outcome: &Outcome) -> String {
    let Outcome { target, step, failure, note, .. } = outcome;
    if outcome.result() == "unchanged" {
        return String::new();
    }
    let word = if operation == Operation::Plan { step.action.word() } else { outcome.result() };
    let mut text = format!("{target}: {word} {} {}", step.kind.word(), name(step.kind, &step.name));
    for more in [&step.why, note, failure].into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}", more.trim_end().replace('\n', "\n  "));
    }
    text
}

fn name(kind: Kind, name: &str) -> String {
    if kind == Kind::Policies { String::new() } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(action: Action, failure: Option<&str>) -> Outcome {
        let step = Step::bare(Kind::Dashboard, "a", action, None);
        Outcome {
            target: "g".to_owned(),
            step,
            failure: failure.map(str::to_owned),
            note: None,
            written: false,
        }
    }

    fn ending(operation: Operation, outcomes: &[Outcome]) -> Ending {
        Report { outcomes: outcomes.to_vec(), ..Report::new(operation) }.ending()
    }

    #[test]
    fn what_is_unchanged_is_in_the_table_alone() {
        let same = outcome(Action::Unchanged, None);
        for operation in [Operation::Plan, Operation::Apply, Operation::Destroy] {
            assert_eq!(line(operation, &same), "");
        }
        let report = Report { outcomes: vec![same], ..Report::new(Operation::Apply) };
        assert!(report.summary().contains("unchanged") && report.summary().ends_with("nothing to do\n"));
        assert_eq!(
            line(Operation::Apply, &outcome(Action::Unchanged, Some("500"))),
            "g: failed dashboard \"a\"\n  500"
        );
    }

    #[test]
    fn what_goes_is_removed() {
        let gone = outcome(Action::Delete, None);
        let summary =
            |outcomes: Vec<Outcome>| Report { outcomes, ..Report::new(Operation::Destroy) }.summary();
        assert!(summary(vec![gone.clone()]).ends_with("done: 1 removed\n"));
        let stays = outcome(Action::Delete, Some("500"));
        assert!(summary(vec![gone, stays.clone()]).contains("partial: 1 removed, 1 refused or failed"));
        assert!(summary(vec![stays]).contains("failed: nothing removed"));
    }

    #[test]
    fn where_nothing_was_looked_at_there_is_no_table() {
        let trouble = Trouble { target: "g".to_owned(), why: "down".to_owned() };
        let report = Report { troubles: vec![trouble], ..Report::new(Operation::Plan) };
        assert_eq!(report.summary(), "0 to do; 1 of the targets could not be read\n");
    }

    #[test]
    fn the_ending_says_what_is_left() {
        let [new, same, refused] =
            [Action::Create, Action::Unchanged, Action::Refuse].map(|a| outcome(a, None));
        let broken = outcome(Action::Create, Some("500"));
        assert_eq!(ending(Operation::Plan, std::slice::from_ref(&same)), Ending::Fine);
        assert_eq!(ending(Operation::Plan, &[same.clone(), new.clone()]), Ending::Differences);
        assert_eq!(ending(Operation::Plan, std::slice::from_ref(&refused)), Ending::Differences);
        assert_eq!(ending(Operation::Apply, &[new.clone(), same]), Ending::Fine);
        assert_eq!(ending(Operation::Apply, &[new.clone(), refused]), Ending::Failed);
        assert_eq!(ending(Operation::Apply, &[new.clone(), broken.clone()]), Ending::Failed);
        let report = Report { outcomes: vec![new, broken], ..Report::new(Operation::Apply) };
        assert!(report.summary().contains("partial: 1 written, 1 refused or failed"), "{}", report.summary());
        // Files that stand there are written, loaded or not.
        let left = Outcome { written: true, ..outcome(Action::Create, Some("403")) };
        let report = Report { outcomes: vec![left.clone(), left], ..Report::new(Operation::Apply) };
        assert!(report.summary().contains("partial: 2 written, 2 refused or failed"), "{}", report.summary());
    }
}
