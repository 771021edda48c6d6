//! A routing made ready: routes in a row, expressions compiled, and who is behind each receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use crate::promql::Labels;
use crate::re2::Room;
use crate::routing::{Compare, Inhibition, Interval, Local, Matcher, Route, Routing, Span};

/// Alertmanager's times for a root that names none, in milliseconds: wait, interval, repeat.
const DEFAULTS: (i64, i64, i64) = (30_000, 300_000, 4 * 3_600_000);

/// Bytes that the regular expressions of one route or rule may take together once they are compiled.
const PATTERNS: usize = 64 << 20;

/// Who is notified by a receiver: there may be several behind one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// What it is called in the notification log. It outlives a restart.
    pub id: Arc<str>,
    /// Where it sends: integrations with the same number go to the same place.
    pub endpoint: usize,
    /// Whether it hears that alerts are over.
    pub send_resolved: bool,
}

/// Tells the time of a place: a name of a time zone, milliseconds since 1970.
pub type Zones<'z> = &'z dyn Fn(&str, i64) -> Local;

/// A matcher that was compiled.
#[derive(Clone, Debug)]
pub(super) struct Test {
    name: String,
    compare: Compare,
    value: String,
    expression: Option<Regex>,
}

impl Test {
    pub(super) fn new(matcher: &Matcher, room: &mut Room) -> Result<Self, String> {
        let expression = match matcher.compare {
            Compare::Equal | Compare::NotEqual => None,
            Compare::Matches | Compare::MatchesNot => {
                Some(room.anchored(&matcher.value).map_err(|why| format!("{matcher}: {why}"))?)
            }
        };
        let Matcher { name, compare, value } = matcher.clone();
        Ok(Self { name, compare, value, expression })
    }

    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name);
        let is = self.expression.as_ref().map_or_else(|| value == self.value, |of| of.is_match(value));
        is == matches!(self.compare, Compare::Equal | Compare::Matches)
    }
}

/// Several matchers, all of which must hold.
#[derive(Clone, Debug)]
pub(in crate::alert) struct Tests(Vec<Test>);

impl Tests {
    /// Those of the configuration.
    fn new(matchers: &[Matcher]) -> Result<Self, String> {
        Self::within(&mut Room::new(PATTERNS), matchers)
    }

    /// The same, within the room that all patterns of a client have together.
    pub(in crate::alert) fn within(room: &mut Room, matchers: &[Matcher]) -> Result<Self, String> {
        matchers.iter().map(|matcher| Test::new(matcher, room)).collect::<Result<_, _>>().map(Self)
    }

    pub(in crate::alert) fn hold(&self, labels: &Labels) -> bool {
        self.0.iter().all(|test| test.holds(labels))
    }

    /// Whether all of them hold of an alert without labels.
    pub(in crate::alert) fn all_hold_of_nothing(&self) -> bool {
        self.hold(&Labels::empty())
    }
}

/// A route with everything that it has from those above it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) receiver: Arc<str>,
    pub(super) integrations: Vec<Integration>,
    group_by: Vec<String>,
    pub(super) wait: i64,
    pub(super) interval: i64,
    pub(super) repeat: i64,
    /// The times in which it is mute, and those outside of which it is.
    mute: Vec<Vec<Span>>,
    active: Vec<Vec<Span>>,
    /// What the keys of its groups begin with.
    key: String,
    tests: Tests,
    continues: bool,
    below: Vec<usize>,
}

impl Node {
    /// The labels of the group to which an alert belongs.
    pub(super) fn group_labels(&self, labels: &Labels) -> Labels {
        Labels::from_pairs(labels.iter().filter(|(name, _)| self.group_by.iter().any(|by| by == name)))
    }

    /// The key of a group. Fact: `GroupKey` of Alertmanager.
    pub(super) fn group_key(&self, labels: &Labels) -> Arc<str> {
        format!("{}:{labels}", self.key).into()
    }

    /// Whether it is quiet at this time.
    pub(super) fn is_mute(&self, now: i64, zones: Zones<'_>) -> bool {
        let holds = |spans: &Vec<Span>| spans.iter().any(|span| span.holds(zones(&span.location, now)));
        self.mute.iter().any(holds) || !self.active.is_empty() && !self.active.iter().any(holds)
    }
}

/// What mutes what, with the alerts that may mute, by their values of the labels that must be equal.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    source: Tests,
    target: Tests,
    equal: Vec<String>,
    sources: BTreeMap<Vec<Box<str>>, Vec<Labels>>,
}

impl Rule {
    fn new(of: &Inhibition) -> Result<Self, String> {
        let (source, target) = (Tests::new(&of.source)?, Tests::new(&of.target)?);
        Ok(Self { source, target, equal: of.equal.clone(), sources: BTreeMap::new() })
    }

    fn key(&self, labels: &Labels) -> Vec<Box<str>> {
        self.equal.iter().map(|name| labels.get(name).into()).collect()
    }
}

/// A routing made ready.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) nodes: Vec<Node>,
    rules: Vec<Rule>,
}

impl Plan {
    /// Makes a routing ready. `behind` says who is behind the name of a receiver; whom it does not know, nobody is.
    ///
    /// # Errors
    /// A matcher is wrong.
    pub fn new(routing: &Routing, behind: &dyn Fn(&str) -> Vec<Integration>) -> Result<Self, String> {
        let mut nodes = Vec::new();
        add(&mut nodes, &routing.route, None, &routing.intervals, behind)?;
        let rules = routing.inhibitions.iter().map(Rule::new).collect::<Result<_, _>>()?;
        Ok(Self { nodes, rules })
    }

    /// The routes of an alert, by number. Fact: `Route.Match` of Alertmanager.
    pub(super) fn route(&self, labels: &Labels) -> Vec<usize> {
        self.nodes.first().map(|_| self.matching(0, labels)).unwrap_or_default()
    }

    fn matching(&self, at: usize, labels: &Labels) -> Vec<usize> {
        let node = &self.nodes[at];
        if !node.tests.hold(labels) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for below in &node.below {
            let found = self.matching(*below, labels);
            let stops = !found.is_empty() && !self.nodes[*below].continues;
            all.extend(found);
            if stops {
                break;
            }
        }
        if all.is_empty() { vec![at] } else { all }
    }

    /// Takes an alert into account as one that may mute others.
    pub(super) fn may_mute(&mut self, labels: &Labels) {
        for rule in &mut self.rules {
            if rule.source.hold(labels) {
                let key = rule.key(labels);
                let sources = rule.sources.entry(key).or_default();
                if !sources.contains(labels) {
                    sources.push(labels.clone());
                }
            }
        }
    }

    /// Whether an alert is muted by another that fires. Fact: `Mutes` and `hasEqual` of Alertmanager's `inhibit`.
    pub(super) fn inhibits(&mut self, labels: &Labels, fires: &dyn Fn(&Labels) -> bool) -> bool {
        self.rules.iter_mut().any(|rule| {
            if !rule.target.hold(labels) {
                return false;
            }
            let key = rule.key(labels);
            let Some(sources) = rule.sources.get_mut(&key) else { return false };
            sources.retain(|source| fires(source));
            if sources.is_empty() {
                rule.sources.remove(&key);
                return false;
            }
            // Alerts that are on both sides do not mute each other.
            let both = rule.source.hold(labels);
            sources.iter().any(|source| !(both && rule.target.hold(source)))
        })
    }
}

/// Adds a route and those below it; gives its number.
fn add(
    nodes: &mut Vec<Node>,
    route: &Route,
    above: Option<usize>,
    intervals: &[Interval],
    behind: &dyn Fn(&str) -> Vec<Integration>,
) -> Result<usize, String> {
    let mut sorted: Vec<&Matcher> = route.matchers.iter().collect();
    sorted.sort_by_key(|matcher| (&matcher.name, &matcher.value, matcher.compare));
    let own = sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let above = above.and_then(|at| nodes.get(at)).cloned();
    let (wait, interval, repeat) = above.as_ref().map_or(DEFAULTS, |of| (of.wait, of.interval, of.repeat));
    let named = |names: &[String]| -> Vec<Vec<Span>> {
        let of = |name: &String| intervals.iter().find(|interval| interval.name == *name);
        names.iter().filter_map(of).map(|interval| interval.spans.clone()).collect()
    };
    let receiver: Arc<str> = match (&*route.receiver, &above) {
        ("", Some(above)) => above.receiver.clone(),
        (own, _) => own.into(),
    };
    let node = Node {
        integrations: behind(&receiver),
        receiver,
        group_by: route
            .group_by
            .clone()
            .unwrap_or_else(|| above.as_ref().map_or_else(Vec::new, |of| of.group_by.clone())),
        wait: route.group_wait.map_or(wait, |time| time.milliseconds()),
        interval: route.group_interval.map_or(interval, |time| time.milliseconds()).max(1),
        repeat: route.repeat_interval.map_or(repeat, |time| time.milliseconds()),
        mute: named(&route.mute_time_intervals),
        active: named(&route.active_time_intervals),
        key: above.map_or_else(String::new, |of| of.key + "/") + "{" + &own + "}",
        tests: Tests::new(&route.matchers)?,
        continues: route.continues,
        below: Vec::new(),
    };
    let at = nodes.len();
    nodes.push(node);
    for below in &route.routes {
        let below = add(nodes, below, Some(at), intervals, behind)?;
        nodes[at].below.push(below);
    }
    Ok(at)
}
