//! What is done about alerts: which hook, when, how often, and whether it helped.
//!
//! Pure: time is data, in milliseconds. Nothing is run here. A hook succeeded when the alert that it was for is over within the time it
//! has to show that; that it ended well says nothing.

use std::collections::{BTreeMap, VecDeque};

use super::incident::{FAILED, Incident, STARTED, SUCCEEDED};
use crate::event::Jump;
use crate::promql::Labels;

/// Runs that wait at most.
const WAITING: usize = 1_000;
/// Failures in a row after which a hook is not run for a while.
const FAILURES: u32 = 5;
/// For how long, ms. Then one run shows whether it works again.
const PAUSE: i64 = 600_000;
/// Between a run that failed and the next of the same, ms; each further pause is twice as long.
const RETRY: i64 = 2_000;
/// The longest.
const LONGEST_RETRY: i64 = 60_000;
/// Alerts of which the last run of a hook is remembered.
const REMEMBERED: usize = 10_000;

/// Which alerts a hook is for. What is empty restricts nothing; in values `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Names of alerts.
    pub alerts: Vec<String>,
    /// Severities.
    pub severities: Vec<String>,
    /// Labels that must have such a value.
    pub labels: BTreeMap<String, String>,
}

impl Matcher {
    /// Whether an alert with these labels is meant.
    #[must_use]
    pub fn takes(&self, labels: &Labels) -> bool {
        let one = |patterns: &[String], value: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, value))
        };
        one(&self.alerts, labels.get(super::ALERT_NAME))
            && one(&self.severities, labels.get("severity"))
            && self.labels.iter().all(|(name, pattern)| fits(pattern, labels.get(name)))
    }
}

/// Whether a value is what a pattern says. Takes at most as many steps as both are long, multiplied.
fn fits(pattern: &str, value: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| value.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some(at) = rest.find(before) else { return false };
            rest = rest.get(at + before.len()..).unwrap_or_default();
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// How a hook is run, whatever it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// For which alerts.
    pub matches: Matcher,
    /// From one run for an alert to the next, ms.
    pub cooldown: i64,
    /// How often one that failed is run again.
    pub retries: u32,
    /// Within which time after its end the alert has to be over, ms.
    pub verify: i64,
    /// Whether it is only said what it would do.
    pub dry_run: bool,
}

/// A hook that is to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which run this is.
    pub number: u64,
    /// Which hook, by its place.
    pub hook: usize,
    /// What for.
    pub incident: Incident,
    /// How often it was run before.
    pub tries: u32,
    /// Not before this time.
    after: i64,
}

/// What became of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It would have been run.
    DryRun,
    /// It is run.
    Started,
    /// It ended well; whether it helped will be seen.
    Ended,
    /// It failed and is run again.
    Retried,
    /// The agent ended while it ran: what it did is not known.
    Interrupted,
    /// The alert is over: it helped, or was not needed.
    Succeeded,
    /// It failed, or the alert is still there.
    Failed,
    /// It was not run: it was run for this alert a short time before.
    CoolingDown,
    /// It was not run: it failed too often.
    BreakerOpen,
    /// It was not run: too much waits.
    NoRoom,
}

impl Step {
    /// All of them.
    const ALL: [Self; 10] = [
        Self::DryRun,
        Self::Started,
        Self::Ended,
        Self::Retried,
        Self::Interrupted,
        Self::Succeeded,
        Self::Failed,
        Self::CoolingDown,
        Self::BreakerOpen,
        Self::NoRoom,
    ];

    /// The one of this name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Started => STARTED,
            Self::Ended => "ended",
            Self::Retried => "retried",
            Self::Interrupted => "interrupted",
            Self::Succeeded => SUCCEEDED,
            Self::Failed => FAILED,
            Self::CoolingDown => "cooling_down",
            Self::BreakerOpen => "breaker_open",
            Self::NoRoom => "no_room",
        }
    }

    /// Whether who comes next is to hear of it: what was to be done about the alert was not done, or did not help.
    #[must_use]
    pub fn escalates(self) -> bool {
        matches!(self, Self::Failed | Self::BreakerOpen | Self::NoRoom)
    }
}

/// Something that happened to a hook.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When, ms.
    pub at: i64,
    /// Which hook, by its place.
    pub hook: usize,
    /// What.
    pub step: Step,
    /// What for.
    pub incident: Incident,
    /// In words: what it wrote, or why it failed.
    pub text: String,
}

/// What is known of a hook.
#[derive(Clone, Debug, Default)]
struct Record {
    /// Failures since the last success.
    failures: u32,
    /// Until when it is not run.
    closed_until: Option<i64>,
    /// When it was last run for an alert.
    last: BTreeMap<Labels, i64>,
}

/// All hooks, and what of them is under way.
#[derive(Debug)]
pub struct Actions {
    plans: Vec<Plan>,
    at_once: usize,
    records: Vec<Record>,
    waiting: VecDeque<Job>,
    running: Vec<Job>,
    /// Those that ended well, and until when their alert has to be over.
    verifying: Vec<(Job, i64)>,
    happened: Vec<Happened>,
    next: u64,
}

impl Actions {
    /// These hooks, so many of them at once.
    #[must_use]
    pub fn new(plans: Vec<Plan>, at_once: usize) -> Self {
        Self {
            records: plans.iter().map(|_| Record::default()).collect(),
            plans,
            at_once: at_once.max(1),
            waiting: VecDeque::new(),
            running: Vec::new(),
            verifying: Vec::new(),
            happened: Vec::new(),
            next: 0,
        }
    }

    /// Takes over from incidents when their hooks were run and how that went: an agent before this one did it, or this one before a
    /// reload. Times that are yet to come are of a clock that was set back.
    pub fn recall(&mut self, incidents: &[Incident], now: i64) {
        for (plan, record) in self.plans.iter().zip(&mut self.records) {
            let mut outcomes = Vec::new();
            for incident in incidents {
                let Some(run) = incident.runs.get(&plan.name) else { continue };
                if let Some(started) = run.started {
                    let last = record.last.get(&incident.labels).copied().unwrap_or(i64::MIN);
                    record.remember(&incident.labels, started.min(now).max(last));
                }
                let step = incident.actions.get(&plan.name).and_then(|step| Step::read(step));
                if let (Some(judged), Some(Step::Failed | Step::Succeeded)) = (run.judged, step) {
                    outcomes.push((judged.min(now), step == Some(Step::Failed)));
                }
            }
            outcomes.sort_unstable();
            let failed = outcomes.iter().rev().take_while(|(_, failed)| *failed);
            record.failures = u32::try_from(failed.count()).unwrap_or(u32::MAX);
            record.closed_until = match outcomes.last() {
                Some((at, true)) if record.failures >= FAILURES => Some(at.saturating_add(PAUSE)),
                _ => None,
            };
        }
    }

    /// An incident is open: the hooks that are for its alert, and were not run for it, are run as soon as there is room. One that was
    /// under way when an agent before this one ended has its time to show that it helped. Says whether there is a hook for it.
    pub fn opened(&mut self, incident: &Incident, now: i64) -> bool {
        let all = self.plans.iter().enumerate();
        let meant = all.filter(|(_, plan)| plan.matches.takes(&incident.labels));
        let meant: Vec<(usize, Plan)> = meant.map(|(hook, plan)| (hook, plan.clone())).collect();
        for (hook, plan) in &meant {
            if self.is_under_way(*hook, incident) {
                continue;
            }
            match incident.actions.get(&plan.name).and_then(|step| Step::read(step)) {
                step @ (None | Some(Step::Retried)) => self.plan(*hook, plan, incident, step.is_some(), now),
                Some(Step::Started) => {
                    let why = "the agent was ended while it ran: what it did is not known".to_owned();
                    self.tell(now, *hook, Step::Interrupted, incident, why);
                    self.verify(*hook, plan, incident, now);
                }
                Some(Step::Ended | Step::Interrupted) => self.verify(*hook, plan, incident, now),
                Some(_) => {}
            }
        }
        !meant.is_empty()
    }

    fn is_under_way(&self, hook: usize, incident: &Incident) -> bool {
        let verifying = self.verifying.iter().map(|(job, _)| job);
        let mut all = self.waiting.iter().chain(&self.running).chain(verifying);
        all.any(|job| job.hook == hook && job.incident.id == incident.id)
    }

    /// A hook is to be run; `again`, because it failed before an agent that was ended could try it again.
    fn plan(&mut self, hook: usize, plan: &Plan, incident: &Incident, again: bool, now: i64) {
        let Some(record) = self.records.get_mut(hook) else { return };
        let recent = record.last.get(&incident.labels);
        let step = match record.closed_until {
            _ if plan.dry_run => Step::DryRun,
            Some(until) if now < until => Step::BreakerOpen,
            _ if !again && recent.is_some_and(|last| now.saturating_sub(*last) < plan.cooldown) => {
                Step::CoolingDown
            }
            _ if self.waiting.len() >= WAITING => Step::NoRoom,
            _ => {
                record.remember(&incident.labels, now);
                let job = self.job(hook, incident, now);
                self.waiting.push_back(job);
                return;
            }
        };
        let text = match step {
            Step::BreakerOpen => format!("it failed {FAILURES} times in a row and is not run for a while"),
            Step::NoRoom => format!("{WAITING} runs wait already"),
            _ => String::new(),
        };
        self.tell(now, hook, step, incident, text);
    }

    /// A hook was run before: its alert has to be over in time.
    fn verify(&mut self, hook: usize, plan: &Plan, incident: &Incident, now: i64) {
        let job = self.job(hook, incident, now);
        self.verifying.push((job, now.saturating_add(plan.verify)));
    }

    fn job(&mut self, hook: usize, incident: &Incident, now: i64) -> Job {
        let number = self.next;
        self.next += 1;
        Job { number, hook, incident: incident.clone(), tries: 0, after: now }
    }

    /// The agent ends, and with it what runs.
    pub fn end(&mut self, now: i64) {
        for job in std::mem::take(&mut self.running) {
            let why = "the agent ended, and it with it".to_owned();
            self.tell(now, job.hook, Step::Interrupted, &job.incident, why);
        }
    }

    /// An incident is over: what waits for it is not needed, and what was done for it helped.
    pub fn resolved(&mut self, incident: &Incident, now: i64) {
        self.waiting.retain(|job| job.incident.id != incident.id);
        let over = |job: &Job| job.incident.id == incident.id;
        for job in self.running.iter_mut().filter(|job| over(job)) {
            job.incident = incident.clone();
        }
        let (over, rest) = std::mem::take(&mut self.verifying).into_iter().partition(|(job, _)| over(job));
        self.verifying = rest;
        for (job, _) in over {
            self.succeed(&job, now);
        }
    }

    /// The next one to run now, if there is room.
    pub fn start(&mut self, now: i64) -> Option<Job> {
        if self.running.len() >= self.at_once {
            return None;
        }
        let place = self.waiting.iter().position(|job| job.after <= now)?;
        let job = self.waiting.remove(place)?;
        self.running.push(job.clone());
        self.tell(now, job.hook, Step::Started, &job.incident, String::new());
        Some(job)
    }

    /// A run ended: with what it wrote, or why it failed.
    pub fn ended(&mut self, number: u64, outcome: Result<String, String>, now: i64) {
        let Some(place) = self.running.iter().position(|job| job.number == number) else { return };
        let mut job = self.running.remove(place);
        let Some(plan) = self.plans.get(job.hook) else { return };
        let (retries, verify) = (plan.retries, plan.verify);
        match outcome {
            Ok(text) => {
                self.tell(now, job.hook, Step::Ended, &job.incident, text);
                if job.incident.resolved.is_some() {
                    self.succeed(&job, now);
                } else {
                    self.verifying.push((job, now.saturating_add(verify)));
                }
            }
            Err(why) if job.tries < retries && job.incident.resolved.is_none() => {
                let pause = RETRY.saturating_mul(1 << job.tries.min(10)).min(LONGEST_RETRY);
                job.tries += 1;
                job.after = now.saturating_add(pause);
                self.tell(now, job.hook, Step::Retried, &job.incident, why);
                self.waiting.push_back(job);
            }
            Err(why) => self.fail(&job, &why, now),
        }
    }

    /// Looks whether the time is up for alerts that had to be over.
    pub fn tick(&mut self, now: i64) {
        let (late, rest) =
            std::mem::take(&mut self.verifying).into_iter().partition(|(_, until)| *until <= now);
        self.verifying = rest;
        for (job, _) in late {
            let verify = self.plans.get(job.hook).map_or(0, |plan| plan.verify / 1000);
            self.fail(&job, &format!("the alert is still there {verify} s after it ended"), now);
        }
    }

    /// The clock was set by so many milliseconds.
    pub fn shift(&mut self, jump: &Jump) {
        let moved = |time: &mut i64| jump.shift(time);
        self.waiting.iter_mut().for_each(|job| moved(&mut job.after));
        self.verifying.iter_mut().for_each(|(_, until)| moved(until));
        for record in &mut self.records {
            record.closed_until.iter_mut().for_each(moved);
            record.last.values_mut().for_each(moved);
        }
    }

    /// What happened since it was last asked.
    pub fn take_happened(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    /// How many run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether a hook is not run at `now` because it failed too often.
    #[must_use]
    pub fn is_closed(&self, hook: usize, now: i64) -> bool {
        let until = self.records.get(hook).and_then(|record| record.closed_until);
        until.is_some_and(|until| now < until)
    }

    /// The hooks, in order.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    fn succeed(&mut self, job: &Job, now: i64) {
        if let Some(record) = self.records.get_mut(job.hook) {
            (record.failures, record.closed_until) = (0, None);
        }
        self.tell(now, job.hook, Step::Succeeded, &job.incident, "the alert is over".into());
    }

    fn fail(&mut self, job: &Job, why: &str, now: i64) {
        if let Some(record) = self.records.get_mut(job.hook) {
            record.failures = record.failures.saturating_add(1);
            if record.failures >= FAILURES {
                record.closed_until = Some(now.saturating_add(PAUSE));
            }
        }
        self.tell(now, job.hook, Step::Failed, &job.incident, why.to_owned());
    }

    fn tell(&mut self, at: i64, hook: usize, step: Step, incident: &Incident, text: String) {
        self.happened.push(Happened { at, hook, step, incident: incident.clone(), text });
    }
}

impl Record {
    fn remember(&mut self, labels: &Labels, now: i64) {
        self.last.insert(labels.clone(), now);
        if self.last.len() > REMEMBERED {
            let oldest = self.last.iter().min_by_key(|(_, at)| **at).map(|(labels, _)| labels.clone());
            oldest.map(|labels| self.last.remove(&labels));
        }
    }
}

#[cfg(test)]
mod tests;
