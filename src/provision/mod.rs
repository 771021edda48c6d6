//! Brings the generated files to the servers that show and evaluate them: read what is there, plan, then apply.
//!
//! [`plan`] is pure. Each target knows how to read its objects and how to write one; nothing here knows what is in
//! them. Only what carries our mark is changed or removed, unless it is forced.

mod access;
mod alertmanager;
mod answer;
mod bundle;
mod client;
mod diff;
mod directory;
mod evaluator;
mod files;
mod grafana;
mod mark;
mod plan;
#[cfg(test)]
mod played;
mod prometheus;
mod report;
mod ruler;
mod settings;
pub mod silence;

use std::time::Duration;

pub use bundle::{Bundle, Dashboard, Group, RuleFile};
pub use diff::diff;
pub use mark::{hash, sign, unsign};
pub use plan::{Action, Found, How, Kind, Step, Wanted, plan, strangers};
pub use report::{Ending, Operation, Outcome, RESULTS, Report, Trouble, line};
pub use settings::*;

/// What a run may do.
#[derive(Clone, Debug)]
pub struct Run {
    /// What is to be done.
    pub operation: Operation,
    /// Whether it is only told what would be done.
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
pub const UNREAD: &str = "these cannot be read; the reason is at the end";

/// A moment within a time, by chance: agents that start at once do not push at once.
#[must_use]
pub fn by_chance(most: Duration) -> Duration {
    most.mul_f64(client::chance())
}

/// Hears of each step as it is done.
pub type Tell<'a> = &'a mut (dyn FnMut(&Outcome) + Send);

/// A target that can be read and written.
enum Place {
    Grafana(Box<grafana::Place>),
    Prometheus(prometheus::Place),
    Ruler(ruler::Place),
    Alertmanager(alertmanager::Place),
    Directory(directory::Place),
}

impl Place {
    fn open(target: &Target) -> Result<Self, String> {
        Ok(match target {
            Target::Grafana(of) => Self::Grafana(Box::new(grafana::Place::open(of)?)),
            Target::Prometheus(of) => Self::Prometheus(prometheus::Place::open(of)?),
            Target::Mimir(of) => Self::Ruler(ruler::Place::open(of, ruler::Over::Metrics)?),
            Target::Loki(of) => Self::Ruler(ruler::Place::open(of, ruler::Over::Logs)?),
            Target::Alertmanager(of) => Self::Alertmanager(alertmanager::Place::open(of)?),
            Target::Directory(of) => Self::Directory(directory::Place::open(of)),
        })
    }

    async fn ready(&mut self, within: Duration) -> Result<(), String> {
        match self {
            Self::Grafana(of) => of.ready(within).await,
            Self::Prometheus(of) => of.ready(within).await,
            Self::Ruler(of) => of.ready(within).await,
            Self::Directory(_) => Ok(()),
            Self::Alertmanager(of) => of.ready(within).await,
        }
    }

    /// What shall be there, of everything that is generated; nothing of a target's settings if it is all to go.
    fn wanted(&self, bundle: &Bundle) -> Result<Vec<Wanted>, String> {
        match self {
            Self::Grafana(of) => of.wanted(bundle),
            Self::Prometheus(of) => Ok(of.wanted(bundle)),
            Self::Ruler(of) => Ok(of.wanted(bundle)),
            Self::Alertmanager(of) => Ok(of.wanted(bundle)),
            Self::Directory(of) => Ok(of.wanted(bundle)),
        }
    }

    async fn read(&mut self, wanted: &[Wanted]) -> Result<Vec<Found>, String> {
        match self {
            Self::Grafana(of) => of.read(wanted).await,
            Self::Prometheus(of) => of.read().await,
            Self::Ruler(of) => of.read().await,
            Self::Alertmanager(of) => of.read().await,
            Self::Directory(of) => of.read(wanted),
        }
    }

    /// The kinds of objects that could not be read, and why; what is of another kind goes on.
    fn unread(&mut self) -> Vec<(Kind, String)> {
        match self {
            Self::Grafana(of) => std::mem::take(&mut of.unread),
            _ => Vec::new(),
        }
    }

    async fn apply(&mut self, steps: Vec<Step>, run: &Run, tell: &mut Teller<'_, '_>) {
        match self {
            Self::Grafana(of) => of.apply(steps, run, tell).await,
            Self::Prometheus(of) => of.apply(steps, tell).await,
            Self::Ruler(of) => of.apply(steps, tell).await,
            Self::Alertmanager(of) => of.apply(steps, tell).await,
            Self::Directory(of) => of.apply(steps, tell),
        }
    }

    fn writes(&self) -> u64 {
        match self {
            Self::Grafana(of) => of.client.writes(),
            Self::Prometheus(of) => of.writes(),
            Self::Ruler(of) => of.writes(),
            Self::Alertmanager(of) => of.writes(),
            Self::Directory(of) => of.writes,
        }
    }
}

/// Writes down what came of the steps of one target, and passes it on.
struct Teller<'a, 'b> {
    target: &'a str,
    report: &'a mut Report,
    tell: &'a mut (dyn FnMut(&Outcome) + Send + 'b),
}

impl Teller<'_, '_> {
    fn done(&mut self, step: Step, result: Result<Option<String>, String>) {
        let (note, failure) = match result {
            Ok(note) => (note, None),
            Err(why) => (None, Some(why)),
        };
        self.push(Outcome { target: self.target.to_owned(), step, failure, note, written: false });
    }

    /// What concerns more than one step, said once.
    fn remark(&mut self, why: String) {
        self.report.remark(self.target, why);
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
    Some(format!("there is no target \"{unknown}\"\n  hint: there are: {}", names.join(", ")))
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
            let why = format!(
                "{other} evaluates the alert rules as well: each alert exists twice and notifies twice"
            );
            report.remark(name, why);
        }
        if let Err(why) = one(target, &share, bundle, run, &mut report, tell).await {
            report.troubles.push(Trouble { target: name.to_owned(), why });
        }
    }
    report
}

async fn one(
    target: &Target,
    share: &evaluator::Share,
    bundle: &Bundle,
    run: &Run,
    report: &mut Report,
    tell: Tell<'_>,
) -> Result<(), String> {
    let mut place = Place::open(target)?;
    place.ready(run.wait).await?;
    let all = place.wanted(&share.part(target, bundle))?;
    let found = place.read(&all).await?;
    let dry = report.operation == Operation::Plan;
    let mut teller = Teller { target: target.name(), report, tell };
    let mut steps: Vec<Step> = Vec::new();
    let mut kept = Kept { wanted: all, found };
    for (kind, why) in place.unread() {
        let refused = kept.refuse(&|want| (want.kind == kind).then(|| UNREAD.to_owned()));
        if !refused.is_empty() || run.operation == Operation::Destroy {
            teller.remark(why);
        }
        steps.extend(refused);
    }
    if run.operation == Operation::Destroy {
        kept.found.iter_mut().for_each(|found| found.shared = None);
        steps.extend(plan(&[], &kept.found, How { prune: true, ..run.how }, &run.owner));
        steps.extend(strangers(&kept.found));
    } else {
        for remark in share.remarks(target, bundle) {
            teller.remark(remark);
        }
        let orphans = share.orphans(target, bundle);
        let orphan =
            |want: &Wanted| orphans.get(&want.name).filter(|_| want.kind == Kind::RuleGroup).cloned();
        steps.extend(kept.refuse(&orphan));
        steps.extend(plan(&kept.wanted, &kept.found, run.how, &run.owner));
        if let Some(why) = share.doubled(target, &steps) {
            teller.remark(why);
        }
    }
    if dry {
        for step in steps {
            teller.done(step, Ok(None));
        }
    } else if steps.iter().any(|step| step.action.writes()) {
        place.apply(steps, run, &mut teller).await;
    } else {
        for step in steps {
            teller.done(step, Ok(None));
        }
    }
    report.writes += place.writes();
    Ok(())
}

/// What shall be there and what is there, less what is not touched.
struct Kept {
    wanted: Vec<Wanted>,
    found: Vec<Found>,
}

impl Kept {
    /// Takes out the objects that there is a reason against, and gives the steps that say so.
    fn refuse(&mut self, against: &dyn Fn(&Wanted) -> Option<String>) -> Vec<Step> {
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
