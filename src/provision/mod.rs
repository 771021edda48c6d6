//! Pushes the generated files to the servers that show and evaluate them: read what is there, plan, then apply.
//!
//! [`plan`] is pure. Each target knows how to read its objects and how to write one; nothing here knows what is in
//! them. Only what carries our mark is changed or removed, unless it is forced.

mod access;
mod agent;
mod alertmanager;
mod answer;
mod asked;
mod bundle;
mod client;
mod diff;
mod directory;
pub(crate) mod endpoint;
mod evaluator;
mod files;
mod grafana;
pub mod hook;
mod mark;
pub mod notify;
mod plan;
#[cfg(test)]
mod played;
mod prometheus;
pub mod query;
pub mod receiver;
mod report;
mod ruler;
mod settings;
pub mod silence;
mod target;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use access::{Access, secret as read_secret};
pub use agent::Agent;
pub use alertmanager::Alertmanager;
pub use asked::{DashboardSource, DataSource, Itself};
pub use bundle::{Bundle, Dashboard, Group, RuleFile};
pub use diff::diff;
pub use directory::Directory;
pub use evaluator::evaluated_elsewhere;
pub use grafana::{Alerts, Grafana};
pub use mark::{hash, sign, unsign};
pub use plan::{Action, ActualObject, DesiredObject, How, Kind, Step, plan, strangers};
pub use prometheus::Prometheus;
pub use report::{Ending, Operation, Outcome, RESULTS, Report, Trouble, line};
pub use ruler::{Loki, Mimir};
pub use settings::{Settings, Target};
use target::Connection;
pub use target::{Rules, TargetKind};

/// What a run may do.
#[derive(Clone, Debug)]
pub struct Run {
    /// What to do.
    pub operation: Operation,
    /// Whether it is only reported what would be done.
    pub dry: bool,
    /// The names of the targets; all, if there are none.
    pub only: Vec<String>,
    /// How far it may go.
    pub how: How,
    /// Whose the objects are: `alerts.job`.
    pub owner: String,
    /// How long a server may take until it is ready.
    pub wait: Duration,
}

/// Why an object is refused of a kind that the account may not read; what the server says is a remark.
const UNREAD: &str = "these cannot be read; the reason is at the end";

/// A part of a path, with everything escaped that is not plain (RFC 3986: unreserved).
fn escape(part: &str) -> String {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(part, &RESERVED).to_string()
}

/// Hears of each step as it is done.
pub type Tell<'a> = &'a mut (dyn FnMut(&Outcome) + Send);

/// Writes down what came of the steps of one target, and passes it on.
struct Reporter<'a, 'b> {
    target: &'a str,
    report: &'a mut Report,
    tell: &'a mut (dyn FnMut(&Outcome) + Send + 'b),
}

impl Reporter<'_, '_> {
    fn done(&mut self, step: Step, result: Result<Option<String>, String>) {
        let (note, failure) = match result {
            Ok(note) => (note, None),
            Err(why) => (None, Some(why)),
        };
        self.push(Outcome { target: self.target.to_owned(), step, failure, note, written: false });
    }

    /// What concerns more than one step, said once.
    fn note(&mut self, why: String) {
        self.report.note(self.target, why);
    }

    /// A step that failed after it had written: what it wrote stands there.
    fn left(&mut self, step: Step, why: String) {
        let (target, failure) = (self.target.to_owned(), Some(why));
        self.push(Outcome { target, step, failure, note: None, written: true });
    }

    fn push(&mut self, outcome: Outcome) {
        (self.tell)(&outcome);
        self.report.outcomes.push(outcome);
    }
}

/// Why the names of targets cannot be meant, if one is none.
#[must_use]
pub fn unknown(targets: &[Target], only: &[String]) -> Option<String> {
    let unknown = only.iter().find(|only| targets.iter().all(|target| target.name() != *only))?;
    let names: Vec<&str> = targets.iter().map(Target::name).collect();
    Some(format!("unknown target \"{unknown}\"\n  hint: targets: {}", names.join(", ")))
}

/// Runs over the targets, one after the other; one that fails does not keep the others from being done.
pub async fn run(targets: &[Target], bundle: &Bundle, run: &Run, tell: Tell<'_>) -> Report {
    let operation = if run.dry { Operation::Plan } else { run.operation };
    let mut report = Report::new(operation);
    for target in targets {
        let name = target.name();
        if !run.only.is_empty() && !run.only.iter().any(|only| only == name) {
            continue;
        }
        let share = evaluator::Share::of(targets);
        for other in evaluator::others(target, targets) {
            let why = format!("{other} evaluates the alert rules as well: each alert notifies twice");
            report.note(name, why);
        }
        let push = Push { share: &share, bundle, run, report: &mut report, tell };
        if let Err(why) = target.push(push).await {
            report.troubles.push(Trouble { target: name.to_owned(), why });
        }
    }
    report
}

/// What is pushed to one target, and who hears of it.
struct Push<'a, 'b> {
    share: &'a evaluator::Share,
    bundle: &'a Bundle,
    run: &'a Run,
    report: &'a mut Report,
    tell: &'a mut (dyn FnMut(&Outcome) + Send + 'b),
}

impl Push<'_, '_> {
    async fn over(self, target: &Target, mut connection: impl Connection) -> Result<(), String> {
        let Self { share, bundle, run, report, tell } = self;
        connection.ready(run.wait).await?;
        let all = connection.wanted(&share.part(target, bundle))?;
        let found = connection.read(&all).await?;
        let dry = report.operation == Operation::Plan;
        let mut reporter = Reporter { target: target.name(), report, tell };
        let mut steps: Vec<Step> = Vec::new();
        let mut kept = Comparison { wanted: all, found };
        for (kind, why) in connection.unread() {
            let refused = kept.refuse(&|want| (want.kind == kind).then(|| UNREAD.to_owned()));
            if !refused.is_empty() {
                reporter.report.unread.push(Trouble { target: target.name().to_owned(), why: why.clone() });
            }
            if !refused.is_empty() || run.operation == Operation::Destroy {
                reporter.note(why);
            }
            steps.extend(refused);
        }
        if run.operation == Operation::Destroy {
            kept.found.extend(connection.left(&run.owner).await?);
            steps.extend(plan(&[], &kept.found, How { prune: true, ..run.how }, &run.owner));
            steps.extend(strangers(&kept.found));
        } else {
            for remark in share.remarks(target, bundle) {
                reporter.note(remark);
            }
            let orphans = share.orphans(target, bundle);
            let orphan = |want: &DesiredObject| {
                orphans.get(&want.name).filter(|_| want.kind == Kind::RuleGroup).cloned()
            };
            steps.extend(kept.refuse(&orphan));
            steps.extend(plan(&kept.wanted, &kept.found, run.how, &run.owner));
            if let Some(why) = share.doubled(target, &steps) {
                reporter.note(why);
            }
        }
        if !dry && steps.iter().any(|step| step.action.writes()) {
            connection.apply(steps, run, &mut reporter).await;
        } else {
            for step in steps {
                reporter.done(step, Ok(None));
            }
        }
        report.writes += connection.writes();
        Ok(())
    }
}

/// What shall be there and what is there, less what is not touched.
struct Comparison {
    wanted: Vec<DesiredObject>,
    found: Vec<ActualObject>,
}

impl Comparison {
    /// Takes out the objects that there is a reason against, and gives the steps that say so.
    fn refuse(&mut self, against: &dyn Fn(&DesiredObject) -> Option<String>) -> Vec<Step> {
        let (mut steps, mut kept) = (Vec::new(), Vec::new());
        for want in std::mem::take(&mut self.wanted) {
            let Some(why) = against(&want) else {
                kept.push(want);
                continue;
            };
            self.found.retain(|found| (found.kind, &found.name) != (want.kind, &want.name));
            steps.push(Step::bare(want.kind, want.name, Action::Refuse, Some(why)));
        }
        self.wanted = kept;
        steps
    }
}
