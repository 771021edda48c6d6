//! The agent's own evaluation of rules, on the history's thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::alert_log::AlertLog;
use super::delivery::valid_until;
use super::event_log::AlertEvents;
use super::incidents::Incidents;
use super::lines::Lines;
use super::notify::Notifier;
use super::state::{self, StateFile, States};
use crate::alert::incident::{Notice, Origin, concerns};
use crate::alert::{
    ALERTS, ALERTS_FOR_STATE, Act, Context, Definition, Group, Health, Live, Rule, State, Storage, table_link,
};
use crate::clock::{SetClock, now};
use crate::promql::{Interrupt, Labels};

/// How long the rules of one group may take together, ns.
const PATIENCE: u64 = 10_000_000_000;
/// Values that the query of a rule may hold at once.
const SAMPLES: usize = 4_000_000;
/// The step of a subquery that names none, in milliseconds: Prometheus' default.
const SUBQUERY_STEP: i64 = 60_000;
/// From the start to the first evaluation, ns: sources come up meanwhile, and what is not up yet is not lost.
const GRACE: u64 = 3_000_000_000;

/// Rules by where they are from.
#[derive(Clone, Debug)]
pub struct RuleSource {
    /// The file, for people.
    pub file: String,
    /// The group.
    pub group: Definition,
}

/// The groups, for pages and the API.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<[Arc<Mutex<Group>>]>);

impl Shared {
    /// Shows each group, in order. A group that is being evaluated is waited for.
    pub fn visit(&self, see: &mut dyn FnMut(&Group)) {
        self.0.iter().for_each(|group| see(&group.lock()));
    }
}

#[derive(Debug)]
struct Slot {
    group: Arc<Mutex<Group>>,
    /// When its rules are evaluated next, ms.
    next: i64,
    /// Which of its rules look at what an event may change at any moment, or at what such a rule makes.
    prompt: Vec<bool>,
}

/// Which rules of a group look at such metrics, by themselves or through a rule before them.
fn prompt_rules(group: &Definition, prompt: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let (mut made, mut found) = (BTreeSet::new(), Vec::new());
    for Rule { expr, act, .. } in &group.rules {
        let looks = expr.metrics().any(|name| prompt(name) || made.contains(name));
        match act {
            Act::Record(name) if looks => made.extend([name.as_str()]),
            Act::Alert { .. } if looks => made.extend([ALERTS, ALERTS_FOR_STATE]),
            _ => {}
        }
        found.push(looks);
    }
    found
}

/// How the evaluation went, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    /// Rules that were evaluated.
    pub evaluations: u64,
    /// Those that failed.
    pub failures: u64,
    /// Seconds that all evaluations took.
    pub seconds: f64,
    /// Alerts that are pending, and that fire.
    pub alerts: (u64, u64),
}

/// Rules that are evaluated, and who is notified.
#[derive(Debug)]
pub struct Rules {
    slots: Vec<Slot>,
    shared: Shared,
    notifier: Arc<Notifier>,
    /// Who is told of every alert that fires.
    incidents: Option<Incidents>,
    events: AlertEvents,
    /// The step of the history, ms.
    step: i64,
    /// Where people reach the agent.
    url: Arc<str>,
    state: Option<StateFile>,
    /// Whether the clock was set since the last evaluation.
    last: SetClock,
    account: Account,
    /// Rules that failed when they were last evaluated, by group and name.
    failing: Vec<(String, String)>,
    /// What the log says of alerts.
    log: AlertLog,
    /// When the first evaluation is, ns of the steady clock.
    begins: u64,
    /// Milliseconds from one notice of an alert that fires on to the next.
    resend: i64,
}

impl Rules {
    /// Rules before their first evaluation. `step` is the interval of the history in milliseconds, `url` where people reach the agent,
    /// `prompt` says which metrics may change at any moment.
    #[must_use]
    pub fn new(
        sources: Vec<RuleSource>,
        notifier: Arc<Notifier>,
        step: i64,
        url: &str,
        prompt: &dyn Fn(&str) -> bool,
    ) -> Self {
        let slot = |RuleSource { file, group }: RuleSource| {
            let prompt = prompt_rules(&group, prompt);
            let group = Arc::new(Mutex::new(Group::new(&file, group, SUBQUERY_STEP)));
            Slot { group, next: i64::MIN, prompt }
        };
        let slots: Vec<Slot> = sources.into_iter().map(slot).collect();
        let groups = slots.iter().map(|slot| slot.group.clone()).collect();
        Self {
            slots,
            shared: Shared(groups),
            notifier,
            incidents: None,
            events: AlertEvents::default(),
            step,
            url: url.into(),
            state: None,
            last: SetClock::default(),
            account: Account::default(),
            failing: Vec::new(),
            log: AlertLog::default(),
            begins: now().steady.saturating_add(GRACE),
            resend: 60_000,
        }
    }

    /// Sends what fires on again after so many milliseconds.
    #[must_use]
    pub fn resending(self, resend: i64) -> Self {
        Self { resend, ..self }
    }

    /// Begins to evaluate with the first scrape.
    #[cfg(test)]
    pub(super) fn without_grace(mut self) -> Self {
        self.begins = 0;
        self
    }

    /// Tells of every alert that fires.
    pub fn report_to(&mut self, incidents: Option<Incidents>, events: Lines) {
        self.incidents = incidents;
        self.events = AlertEvents::new(events);
    }

    /// Keeps the states of alerts in their file, and takes over what was in it.
    pub fn keep_in(&mut self, states: States) {
        for kept in &states.kept {
            if let Some(group) = self.group(&kept.file, &kept.group) {
                group.lock().restore(&kept.rule, kept.alert.clone());
            }
        }
        self.state = Some(StateFile::new(states.path, states.kept));
    }

    /// Takes over the alerts of rules that end, where the same rules are here.
    pub fn take_over(&mut self, mut old: Self) {
        old.stop();
        for slot in &old.slots {
            let group = slot.group.lock();
            let Some(own) = self.group(&group.file, &group.name) else { continue };
            let mut own = own.lock();
            for live in &group.rules {
                live.alerts().for_each(|alert| own.restore(live.rule.name(), alert.clone()));
            }
        }
        self.events.take_over(old.events);
        (self.account, self.begins, self.log) = (old.account, old.begins, std::mem::take(&mut old.log));
    }

    /// The group of this name in this file.
    fn group(&self, file: &str, name: &str) -> Option<&Mutex<Group>> {
        let is_it = |group: &&Arc<Mutex<Group>>| {
            let group = group.lock();
            group.file == file && group.name == name
        };
        self.shared.0.iter().find(is_it).map(|group| &**group)
    }

    /// The groups, for pages and the API.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// How the evaluation goes.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account
    }

    /// A scrape was taken at `at`, ms. `woken`: out of its turn, because something changed.
    pub fn observe(&mut self, at: i64, storage: &dyn Storage, woken: bool) {
        self.follow_clock(at);
        let began = now().steady;
        if began < self.begins {
            return;
        }
        let (mut counts, mut failing) = (Account::default(), Vec::new());
        for slot in &mut self.slots {
            let mut group = slot.group.lock();
            let on_time = at >= slot.next;
            if on_time {
                slot.next = at.saturating_add(group.interval);
            }
            let whole = on_time || group.due().is_some_and(|due| due <= at);
            if whole || woken && slot.prompt.contains(&true) {
                let some = (!whole).then_some(&*slot.prompt);
                evaluate(&mut group, at, storage, (&self.url, self.notifier.external_labels()), some);
                let looked = |live: &&Live| live.evaluated_at == Some(at);
                counts.evaluations += group.rules.iter().filter(looked).count() as u64;
                notify(&mut group, at, (&self.url, self.resend), &self.notifier);
            } else {
                group.repeat(at, storage);
            }
            self.log.see(&group, at);
            for live in &group.rules {
                if let Health::Failed(why) = &live.health {
                    counts.failures += u64::from(live.evaluated_at == Some(at));
                    failing.push((group.name.clone(), live.rule.name().to_owned(), why.clone()));
                }
                for alert in live.active() {
                    let (pending, firing) = &mut counts.alerts;
                    *(if alert.state == State::Firing { firing } else { pending }) += 1;
                }
            }
        }
        self.log.end(at);
        if self.events.is_on() {
            self.events.survey(at, firing(&self.shared));
        }
        counts.seconds = now().steady.saturating_sub(began) as f64 / 1e9;
        self.account.add(counts);
        self.complain(failing);
        if let Some(incidents) = &self.incidents {
            let external = self.notifier.external_labels();
            let firing = self.slots.iter().flat_map(|slot| notices(&slot.group.lock(), external)).collect();
            incidents.survey(|| firing);
        }
        if let Some(state) = &mut self.state {
            let kept = self
                .slots
                .iter()
                .flat_map(|slot| state::of_group(&slot.group.lock(), &self.notifier))
                .collect();
            state.keep(at, kept);
        }
    }

    /// Says once of each rule that it fails, and why.
    fn complain(&mut self, failing: Vec<(String, String, String)>) {
        for (group, rule, why) in &failing {
            if !self.failing.iter().any(|(known, name)| known == group && name == rule) {
                tracing::warn!(group, rule, "a rule cannot be evaluated: {why}");
            }
        }
        self.failing = failing.into_iter().map(|(group, rule, _)| (group, rule)).collect();
    }

    /// When it wants to see a scrape before the next regular one, ms.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let now = now();
        if let Some(left) = self.begins.checked_sub(now.steady).filter(|_| !self.slots.is_empty()) {
            let left = i64::try_from(left / 1_000_000).unwrap_or(i64::MAX);
            return Some(now.wall_milliseconds().saturating_add(left).saturating_add(1));
        }
        let due = self.slots.iter().filter_map(|slot| {
            let group = slot.group.lock();
            let own = (group.interval < self.step && slot.next > i64::MIN).then_some(slot.next);
            own.into_iter().chain(group.due()).min()
        });
        due.min()
    }

    /// A clock that is set neither ends a time of waiting nor begins it again: the states go along with it.
    fn follow_clock(&mut self, at: i64) {
        if let Some(jump) = self.last.jump(at, now().steady) {
            for slot in &mut self.slots {
                slot.group.lock().shift(&jump);
                slot.next = if slot.next == i64::MIN { slot.next } else { slot.next.saturating_add(jump.by) };
            }
        }
    }

    /// Writes the states a last time.
    pub fn stop(&mut self) {
        if let Some(state) = self.state.take() {
            state.stop(now().wall_milliseconds());
        }
    }
}

impl Account {
    /// Adds an evaluation; alerts are those of now.
    fn add(&mut self, other: Self) {
        self.evaluations += other.evaluations;
        self.failures += other.failures;
        self.seconds += other.seconds;
        self.alerts = other.alerts;
    }
}

/// The alerts that fire, each with its summary.
fn firing(groups: &Shared) -> BTreeMap<Labels, String> {
    let mut firing = BTreeMap::new();
    groups.visit(&mut |group| {
        for alert in group.rules.iter().flat_map(Live::active).filter(|alert| alert.state == State::Firing) {
            firing.insert(alert.labels.clone(), alert.annotations.get("summary").to_owned());
        }
    });
    firing
}

/// The alerts of a group that fire, as incidents are told of them: with the labels that a server beside this one gives them.
fn notices(group: &Group, external: &Labels) -> Vec<Notice> {
    let mut notices = Vec::new();
    for live in &group.rules {
        let worse = live.rule.expr.worse();
        let firing = live.active().filter(|alert| alert.state == State::Firing && concerns(&alert.labels));
        notices.extend(firing.map(|alert| Notice {
            labels: alert.labels.or(external),
            annotations: alert.annotations.clone(),
            value: Some(alert.value),
            worse,
            started: alert.fired_at.unwrap_or(alert.active_at),
            origin: Origin::Agent,
        }));
    }
    notices
}

/// Evaluates the rules of a group: all, or those whose place is true.
fn evaluate(
    group: &mut Group,
    at: i64,
    storage: &dyn Storage,
    (url, external_labels): (&str, &Labels),
    some: Option<&[bool]>,
) {
    let until = now().steady.saturating_add(PATIENCE);
    let context = Context {
        storage,
        external_labels,
        external_url: url,
        subquery_step: SUBQUERY_STEP,
        max_samples: SAMPLES,
        interrupt: &|| (now().steady > until).then_some(Interrupt::Timeout),
        clock: &|| now().steady,
    };
    match some {
        None => group.evaluate(at, &context),
        Some(some) => group.evaluate_some(at, &context, some),
    }
}

/// Gives what is to be sent to who is notified.
fn notify(group: &mut Group, at: i64, (url, resend): (&str, i64), notifier: &Notifier) {
    if notifier.is_empty() {
        return;
    }
    let valid = valid_until(at, resend, group.interval);
    for live in &mut group.rules {
        let due = live.sent(at, resend);
        if !due.is_empty() {
            let link = format!("{}{}", url.trim_end_matches('/'), table_link(&live.rule.text));
            notifier.send(&due, &link.into(), valid);
        }
    }
}
