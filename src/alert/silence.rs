//! Silences, as Alertmanager keeps and shows them: which alerts nobody is notified of, from when to when. Pure: time is data, in
//! milliseconds.
//!
//! Facts: `silence/silence.go`, and the API v2 of Alertmanager.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dispatch::Tests;
use crate::event::Jump;
use crate::promql::{Labels, moment_ms, read_moment};
use crate::re2::Room;
use crate::routing::{Compare, Matcher};

/// Silences that are known at once, those that are over included.
const MOST: usize = 1000;
/// For how long one that is over is shown, ms: Alertmanager's retention.
const KEPT: i64 = 120 * 3_600_000;
/// Bytes of the matchers and the comment of one.
const LONGEST: usize = 16 << 10;
/// Bytes that the regular expressions of all that are not over may take once they are compiled.
const PATTERNS: usize = 32 << 20;

/// A silence in Alertmanager's form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Its name; empty for one that is new.
    #[serde(default)]
    pub id: String,
    matchers: Vec<MatcherJson>,
    starts_at: String,
    ends_at: String,
    #[serde(default)]
    updated_at: String,
    created_by: String,
    comment: String,
}

/// A matcher in Alertmanager's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MatcherJson {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Silence {
    /// One of exactly these labels, from a time to another, ms.
    #[must_use]
    pub fn exactly(labels: &Labels, (from, to): (i64, i64), by: &str, why: &str) -> Self {
        let one = |(name, value): (&str, &str)| MatcherJson {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex: false,
            is_equal: true,
        };
        Self {
            id: String::new(),
            matchers: labels.iter().map(one).collect(),
            starts_at: moment_ms(from),
            ends_at: moment_ms(to),
            updated_at: String::new(),
            created_by: by.to_owned(),
            comment: why.to_owned(),
        }
    }
}

impl MatcherJson {
    fn matcher(&self) -> Matcher {
        let compare = match (self.is_regex, self.is_equal) {
            (false, true) => Compare::Equal,
            (false, false) => Compare::NotEqual,
            (true, true) => Compare::Matches,
            (true, false) => Compare::MatchesNot,
        };
        Matcher::new(&self.name, compare, self.value.clone())
    }
}

/// How it stands with a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Active,
    Pending,
    Expired,
}

#[derive(Clone, Debug)]
struct HeldSilence {
    silence: Silence,
    tests: Tests,
    /// Bytes that they take.
    weight: usize,
    starts: i64,
    ends: i64,
}

impl HeldSilence {
    fn read(silence: Silence, room: &mut Room) -> Result<Self, String> {
        let time = |name: &str, text: &str| {
            read_moment(text).ok_or_else(|| format!("{name} {text:?} is no time in the form of RFC 3339"))
        };
        let (starts, ends) = (time("startsAt", &silence.starts_at)?, time("endsAt", &silence.ends_at)?);
        if silence.matchers.is_empty() {
            return Err("invalid silence: at least one matcher required".into());
        }
        let texts = silence.matchers.iter().map(|one| one.name.len() + one.value.len()).sum::<usize>();
        if texts + silence.comment.len() + silence.created_by.len() > LONGEST {
            return Err(format!("invalid silence: its texts have more than {LONGEST} bytes"));
        }
        let matchers: Vec<Matcher> = silence.matchers.iter().map(MatcherJson::matcher).collect();
        if matchers.iter().any(|matcher| matcher.name.is_empty()) {
            return Err("invalid silence: a matcher without a name".into());
        }
        let before = room.left();
        let tests = Tests::within(room, &matchers)
            .map_err(|why| format!("invalid silence: invalid label matcher {why}"))?;
        if tests.all_hold_of_nothing() {
            return Err("invalid silence: at least one matcher must not match the empty string".into());
        }
        Ok(Self { silence, tests, weight: before.saturating_sub(room.left()), starts, ends })
    }

    /// Whether it covers these labels now.
    fn covers(&self, labels: &Labels, now: i64) -> bool {
        self.state(now) == State::Active && self.tests.hold(labels)
    }

    fn state(&self, now: i64) -> State {
        if now < self.starts {
            State::Pending
        } else if now > self.ends {
            State::Expired
        } else {
            State::Active
        }
    }

    fn set_times(&mut self, starts: i64, ends: i64, now: i64) {
        (self.starts, self.ends) = (starts, ends);
        self.silence.starts_at = moment_ms(starts);
        self.silence.ends_at = moment_ms(ends);
        self.silence.updated_at = moment_ms(now);
    }

    fn json(&self, now: i64) -> serde_json::Value {
        let state = match self.state(now) {
            State::Active => "active",
            State::Pending => "pending",
            State::Expired => "expired",
        };
        let mut json = serde_json::to_value(&self.silence).unwrap_or_default();
        json["status"] = serde_json::json!({ "state": state });
        json
    }
}

/// Why a silence is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceError {
    /// One is to be changed that is not there.
    Unknown,
    /// What is wrong with it.
    Wrong(String),
}

/// All silences.
#[derive(Clone, Debug, Default)]
pub struct Silences(BTreeMap<String, HeldSilence>);

impl Silences {
    /// Silences that were kept. What cannot be read is left out.
    #[must_use]
    pub fn restore(kept: Vec<Silence>) -> Self {
        let mut room = Room::new(PATTERNS);
        let read = |silence: Silence| Some((silence.id.clone(), HeldSilence::read(silence, &mut room).ok()?));
        Self(kept.into_iter().filter_map(read).take(MOST).collect())
    }

    /// What must outlive the process.
    #[must_use]
    pub fn save(&self) -> Vec<Silence> {
        self.0.values().map(|kept| kept.silence.clone()).collect()
    }

    /// Whether one covers these labels.
    #[must_use]
    pub fn cover(&self, labels: &Labels, now: i64) -> bool {
        self.0.values().any(|kept| kept.covers(labels, now))
    }

    /// Until when these labels are covered without a break by one of those that hold now, ms.
    #[must_use]
    pub fn until(&self, labels: &Labels, now: i64) -> Option<i64> {
        self.0.values().filter(|kept| kept.covers(labels, now)).map(|kept| kept.ends).max()
    }

    /// Makes one, or changes the one whose id it has; `id` is for one that is new. Gives its id.
    ///
    /// # Errors
    /// Why it is not made.
    pub fn set(&mut self, wanted: Silence, id: String, now: i64) -> Result<String, SilenceError> {
        self.sweep(now);
        let holds = |kept: &&HeldSilence| kept.state(now) != State::Expired;
        let taken: usize = self.0.values().filter(holds).map(|kept| kept.weight).sum();
        let mut room = Room::new(PATTERNS).without(taken);
        let mut new = HeldSilence::read(wanted, &mut room).map_err(SilenceError::Wrong)?;
        if new.starts >= new.ends {
            return Err(SilenceError::Wrong(
                "Failed to create silence: start time must be before end time".into(),
            ));
        }
        if new.ends < now {
            return Err(SilenceError::Wrong(
                "Failed to create silence: end time can't be in the past".into(),
            ));
        }
        let name = new.silence.id.clone();
        let known = self.0.get(&name);
        if known.is_none() && !name.is_empty() {
            return Err(SilenceError::Unknown);
        }
        if let Some(known) = known.filter(|known| may_become(known, &new, now)) {
            let starts = if known.state(now) == State::Active { known.starts } else { new.starts };
            new.set_times(starts, new.ends, now);
            self.0.insert(name.clone(), new);
            return Ok(name);
        }
        // Its own place becomes free.
        let others = self.0.values().filter(holds).count() - usize::from(known.as_ref().is_some_and(holds));
        if others >= MOST {
            return Err(SilenceError::Wrong(format!("exceeded maximum number of silences: {MOST}")));
        }
        // What one was before it was changed stays to be seen.
        self.end(&name, now);
        new.silence.id = id.clone();
        new.set_times(new.starts.max(now), new.ends, now);
        self.0.insert(id.clone(), new);
        self.make_room(now);
        Ok(id)
    }

    /// Forgets those that are over for longest, where there are too many.
    fn make_room(&mut self, now: i64) {
        while self.0.len() > MOST || self.0.values().map(|kept| kept.weight).sum::<usize>() > PATTERNS {
            let over = self.0.iter().filter(|(_, kept)| kept.state(now) == State::Expired);
            let Some(oldest) = over.min_by_key(|(_, kept)| kept.ends).map(|(id, _)| id.clone()) else {
                return;
            };
            self.0.remove(&oldest);
        }
    }

    /// Ends one. Says whether it is there.
    pub fn end(&mut self, id: &str, now: i64) -> bool {
        let Some(kept) = self.0.get_mut(id) else { return false };
        match kept.state(now) {
            State::Active => kept.set_times(kept.starts, now.saturating_sub(1), now),
            State::Pending => kept.set_times(now, now.saturating_sub(1), now),
            State::Expired => {}
        }
        true
    }

    /// The clock was set from a time far in the past: what was made by it holds for as long as it was made for. Otherwise a silence ends when
    /// people read its end on a clock.
    pub fn shift(&mut self, jump: &Jump, now: i64) {
        for kept in self.0.values_mut().filter(|kept| jump.is_leap() && jump.concerns(kept.starts)) {
            kept.set_times(kept.starts.saturating_add(jump.by), kept.ends.saturating_add(jump.by), now);
        }
    }

    /// Forgets those that are over for long.
    pub fn sweep(&mut self, now: i64) {
        self.0.retain(|_, kept| kept.ends.saturating_add(KEPT) > now);
    }

    /// One, as JSON.
    #[must_use]
    pub fn one(&self, id: &str, now: i64) -> Option<serde_json::Value> {
        self.0.get(id).map(|kept| kept.json(now))
    }

    /// All of them, as JSON: those that hold, by their end, then those that will, by their beginning, then those that are over.
    #[must_use]
    pub fn list(&self, now: i64) -> serde_json::Value {
        let mut all: Vec<(State, i64, &HeldSilence)> = Vec::new();
        for kept in self.0.values() {
            let state = kept.state(now);
            let by = match state {
                State::Active => kept.ends,
                State::Pending => kept.starts,
                State::Expired => kept.ends.saturating_neg(),
            };
            all.push((state, by, kept));
        }
        all.sort_by_key(|(state, by, _)| (*state, *by));
        all.into_iter().map(|(_, _, kept)| kept.json(now)).collect()
    }
}

/// Whether one is changed where it is, and not ended and made again. Fact: `canUpdate` of Alertmanager.
fn may_become(known: &HeldSilence, new: &HeldSilence, now: i64) -> bool {
    known.silence.matchers == new.silence.matchers
        && match known.state(now) {
            State::Active => known.starts / 1000 == new.starts / 1000 && new.ends >= now,
            State::Pending => new.starts >= now,
            State::Expired => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::read_labels;

    const NOW: i64 = 1_800_000_000_000;

    fn wanted(id: &str, value: &str, from: i64, to: i64) -> Silence {
        let json = serde_json::json!({
            "id": id, "matchers": [{"name": "device", "value": value, "isRegex": true}],
            "startsAt": moment_ms(from), "endsAt": moment_ms(to), "createdBy": "me", "comment": "why",
        });
        serde_json::from_value(json).unwrap()
    }

    fn states(silences: &Silences, now: i64) -> Vec<String> {
        let word = |one: &serde_json::Value| {
            format!("{} {}", one["id"].as_str().unwrap(), one["status"]["state"].as_str().unwrap())
        };
        silences.list(now).as_array().unwrap().iter().map(word).collect()
    }

    #[test]
    fn a_silence_covers_what_it_matches_while_it_lasts() {
        let mut silences = Silences::default();
        assert_eq!(
            silences.set(wanted("", "a|b", NOW - 5000, NOW + 60_000), "1".into(), NOW),
            Ok("1".into())
        );
        let labels = read_labels(r#"{alertname="X",device="b"}"#).unwrap();
        let covered = [NOW - 1, NOW, NOW + 60_000, NOW + 60_001].map(|at| silences.cover(&labels, at));
        assert_eq!(covered, [false, true, true, false]);
        let until = [NOW - 1, NOW, NOW + 60_001].map(|at| silences.until(&labels, at));
        assert_eq!(until, [None, Some(NOW + 60_000), None]);
        assert!(!silences.cover(&read_labels(r#"{device="ab"}"#).unwrap(), NOW));
        // What is kept says the same.
        let kept = serde_json::to_vec(&silences.save()).unwrap();
        let again = Silences::restore(serde_json::from_slice(&kept).unwrap());
        assert!(again.cover(&labels, NOW) && again.list(NOW) == silences.list(NOW));
        assert!(silences.end("1", NOW + 10) && !silences.end("2", NOW));
        assert!(!silences.cover(&labels, NOW + 10));
        silences.sweep(NOW + KEPT + 20);
        assert!(silences.one("1", NOW).is_none());
    }

    #[test]
    fn one_that_was_made_by_a_clock_of_1970_holds_as_long_as_it_was_made_for() {
        let mut silences = Silences::restore(vec![wanted("yesterday", "a", NOW - 60_000, NOW + 60_000)]);
        silences.set(wanted("", "b", 5_000, 65_000), "early".into(), 5_000).unwrap();
        assert_eq!(states(&silences, 6_000), ["early active", "yesterday pending"]);
        let jump = Jump { by: NOW - 10_000, from: 0, to: 10_000 };
        silences.shift(&jump, NOW);
        assert_eq!(states(&silences, NOW + 54_000), ["early active", "yesterday active"]);
        assert_eq!(states(&silences, NOW + 56_000), ["yesterday active", "early expired"]);
        // People read its end on a clock: one that is set by an hour changes it not.
        let before = silences.list(NOW);
        silences.shift(&Jump { by: 3_600_000, from: NOW - 86_400_000, to: NOW }, NOW);
        assert_eq!(silences.list(NOW), before);
    }

    #[test]
    fn a_silence_of_an_alert_covers_that_alert_alone() {
        let mut silences = Silences::default();
        let of = |text: &str| read_labels(text).unwrap();
        let alert = of(r#"{alertname="X",device="a.b (1)"}"#);
        let silence = Silence::exactly(&alert, (NOW, NOW + 60_000), "me", "why");
        silences.set(silence, "1".into(), NOW).unwrap();
        assert!(silences.cover(&alert, NOW));
        for other in [r#"{alertname="X",device="aXb (1)"}"#, r#"{alertname="Y",device="a.b (1)"}"#] {
            assert!(!silences.cover(&of(other), NOW), "{other}");
        }
    }

    #[test]
    fn one_that_is_changed_keeps_its_name_if_it_matches_the_same() {
        let mut silences = Silences::default();
        let mut set = |of: Silence, id: &str, now| silences.set(of, id.into(), now).unwrap();
        set(wanted("", "a", NOW, NOW + 60_000), "1", NOW);
        assert_eq!(set(wanted("1", "a", NOW, NOW + 90_000), "2", NOW + 10), "1");
        assert_eq!(set(wanted("1", "b", NOW, NOW + 90_000), "2", NOW + 20), "2");
        set(wanted("", "c", NOW + 50_000, NOW + 60_000), "3", NOW + 20);
        assert_eq!(states(&silences, NOW + 30), ["2 active", "3 pending", "1 expired"]);
        assert_eq!(silences.set(wanted("9", "a", NOW, NOW + 1), "4".into(), NOW), Err(SilenceError::Unknown));
    }

    #[test]
    fn those_that_are_over_keep_nobody_out() {
        let mut silences = Silences::default();
        // A script that makes one and ends it, each five minutes, for four days.
        for turn in 0..i64::try_from(MOST).unwrap() + 200 {
            let (id, now) = (format!("{turn:04}"), NOW + turn * 300_000);
            assert_eq!(silences.set(wanted("", "a", now, now + 60_000), id.clone(), now), Ok(id.clone()));
            assert!(silences.end(&id, now + 30_000));
        }
        let now = NOW + 1_200 * 300_000;
        assert!(
            silences.0.len() <= MOST
                && silences.one("1199", now).is_some()
                && silences.one("0100", now).is_none()
        );
        // Those that hold keep others out, and can be changed all the same.
        for turn in 0..MOST {
            silences.set(wanted("", "a", now, now + 60_000), format!("held {turn}"), now).unwrap();
        }
        let more = silences.set(wanted("", "a", now, now + 60_000), "more".into(), now);
        assert!(
            matches!(&more, Err(SilenceError::Wrong(why)) if why.contains("exceeded maximum number")),
            "{more:?}"
        );
        let other = silences.set(wanted("held 5", "b", now, now + 60_000), "other".into(), now);
        assert_eq!((other, silences.0.len()), (Ok("other".into()), MOST));
    }

    #[test]
    fn expressions_that_need_megabytes_are_bounded_together() {
        let mut silences = Silences::default();
        let mut set =
            |value: &str, id: String, now: i64| silences.set(wanted("", value, now, now + 60_000), id, now);
        let many = (0..100).take_while(|turn| set(r"x\pL{30}", turn.to_string(), NOW).is_ok()).count();
        assert!((3..50).contains(&many), "{many}");
        assert!(
            matches!(set(r"x\pL{30}", "more".into(), NOW), Err(SilenceError::Wrong(why)) if why.contains("MiB together"))
        );
        // Once they are over they make room.
        for turn in 0..many {
            set(r"x\pL{30}", format!("later {turn}"), NOW + 90_000).unwrap();
        }
        assert!(silences.0.values().map(|kept| kept.weight).sum::<usize>() <= PATTERNS);
        let again = Silences::restore(silences.save());
        assert_eq!(again.list(NOW), silences.list(NOW));
    }

    #[test]
    fn what_alertmanager_refuses_is_refused() {
        let mut silences = Silences::default();
        let mut why = |of: Silence| match silences.set(of, "1".into(), NOW) {
            Err(SilenceError::Wrong(why)) => why,
            other => format!("{other:?}"),
        };
        assert!(why(wanted("", "a", NOW + 5, NOW + 5)).contains("start time must be before"));
        assert!(why(wanted("", "a", NOW - 9, NOW - 5)).contains("in the past"));
        assert!(why(wanted("", ".*", NOW, NOW + 5)).contains("must not match the empty string"));
        assert!(why(wanted("", "(", NOW, NOW + 5)).contains("invalid label matcher"));
        assert!(why(wanted("", &"x".repeat(LONGEST), NOW, NOW + 5)).contains("bytes"));
        let mut none = wanted("", "a", NOW, NOW + 5);
        none.matchers.clear();
        assert!(why(none).contains("at least one matcher"));
        let mut when = wanted("", "a", NOW, NOW + 5);
        when.ends_at = "tomorrow".into();
        assert!(why(when).contains("RFC 3339"));
        for i in 0..=MOST {
            let set = silences.set(wanted("", "a", NOW, NOW + 5), i.to_string(), NOW);
            assert_eq!(set.is_ok(), i < MOST);
        }
    }
}
