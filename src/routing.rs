//! Who hears of which alert, and when, in Alertmanager's terms: routes, inhibitions and times of day.
//!
//! One model for both who carries it out: `render` writes it into Alertmanager's file, `alert` dispatches by it. It decides nothing.

use std::fmt;

use serde::{Serialize, Serializer};

/// A tree of routes, and what mutes what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Routing {
    /// The root.
    pub route: Route,
    /// What mutes what.
    #[serde(rename = "inhibit_rules")]
    pub inhibitions: Vec<Inhibition>,
    /// Times that routes name.
    #[serde(rename = "time_intervals", skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Interval>,
}

/// A node of the tree. What it leaves out, it has from the node above it; matchers and times are its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Route {
    /// The name of its receiver.
    pub receiver: String,
    /// What an alert must have to come here; all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matchers: Vec<Matcher>,
    /// The labels by which alerts are grouped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// From the first alert of a group to its first notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<Time>,
    /// From one notification of a group that changed to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<Time>,
    /// From one notification of a group that did not change to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<Time>,
    /// Times in which nobody is notified, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mute_time_intervals: Vec<String>,
    /// Times outside of which nobody is notified, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active_time_intervals: Vec<String>,
    /// Whether an alert that comes here goes to the nodes beside it as well.
    #[serde(rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// The nodes below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Self>,
}

/// Whole seconds, written as `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub u32);

impl Time {
    /// In milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        i64::from(self.0) * 1000
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a matcher compares; in Alertmanager's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compare {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

impl Compare {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }
}

/// A label that must have a value, or must not: `priority=~"P1|P2"`. A label that is not there is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub compare: Compare,
    /// A text, or an expression that matches from beginning to end.
    pub value: String,
}

impl Matcher {
    /// A matcher.
    pub fn new(name: &str, compare: Compare, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), compare, value: value.into() }
    }
}

/// As Alertmanager writes it, in files and in the keys of groups.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}\"", self.name, self.compare.as_str())?;
        for c in self.value.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// While an alert of the one kind fires, nobody is notified of those of the other that have the same values of some labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inhibition {
    /// What mutes.
    #[serde(rename = "source_matchers")]
    pub source: Vec<Matcher>,
    /// What is muted.
    #[serde(rename = "target_matchers")]
    pub target: Vec<Matcher>,
    /// The labels that are equal in both; one that both lack is equal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equal: Vec<String>,
}

/// Times of a week, under a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The name.
    pub name: String,
    /// It is in the interval if one of them holds.
    #[serde(rename = "time_intervals")]
    pub spans: Vec<Span>,
}

/// Times of day on some days of the week. What is empty restricts nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Times of day; none goes past midnight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Times>,
    /// Days of the week.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// The time zone: `Europe/Berlin`.
    pub location: String,
}

/// From a minute of the day to one that does not belong to it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The first.
    #[serde(rename = "start_time")]
    pub from: Minute,
    /// The first after it.
    #[serde(rename = "end_time")]
    pub to: Minute,
}

/// A minute of a day, up to 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(pub u16);

impl Minute {
    /// The end of a day.
    pub const END: Self = Self(24 * 60);

    /// Reads `20:00`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:02}:{:02}", self.0 / 60, self.0 % 60))
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Weekday {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

impl Weekday {
    /// All of them, from Sunday on.
    pub const ALL: [Self; 7] = [
        Self::Sunday,
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
    ];
}

/// A time of the week at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The day.
    pub weekday: Weekday,
    /// The minute of the day.
    pub minute: Minute,
}

impl Local {
    /// So many seconds after 1970, at a place whose clocks are so many seconds ahead.
    #[must_use]
    pub fn at(seconds: i64, ahead: i32) -> Self {
        let seconds = seconds.saturating_add(i64::from(ahead));
        // The first of January 1970 was a Thursday.
        let day = seconds.div_euclid(86_400).saturating_add(4).rem_euclid(7);
        let minute = seconds.rem_euclid(86_400) / 60;
        Self {
            weekday: Weekday::ALL[usize::try_from(day).unwrap_or_default()],
            minute: Minute(u16::try_from(minute).unwrap_or_default()),
        }
    }
}

impl Span {
    /// Whether a time of its place is in it.
    #[must_use]
    pub fn holds(&self, at: Local) -> bool {
        (self.times.is_empty() || self.times.iter().any(|times| (times.from..times.to).contains(&at.minute)))
            && (self.weekdays.is_empty() || self.weekdays.contains(&at.weekday))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_alertmanager_reads() {
        let written: Vec<String> = [0, 5, 90, 300, 3600, 86_400].map(|s| Time(s).to_string()).into();
        assert_eq!(written, ["0s", "5s", "90s", "5m", "1h", "24h"]);
        let matcher = Matcher::new("a", Compare::MatchesNot, "x\"\\d\n");
        assert_eq!(matcher.to_string(), r#"a!~"x\"\\d\n""#);
        assert_eq!(serde_json::to_string(&[Minute(65), Minute::END]).unwrap(), r#"["01:05","24:00"]"#);
        assert_eq!(
            (Minute::read("07:30"), Minute::read("24:00"), Minute::read("x")),
            (Some(Minute(450)), None, None)
        );
    }

    #[test]
    fn a_time_is_in_a_span_by_its_minute_and_its_day() {
        // Thursday, the first of January 1970, 00:00 in London and 01:00 in Berlin.
        assert_eq!(Local::at(0, 3600), Local { weekday: Weekday::Thursday, minute: Minute(60) });
        assert_eq!(Local::at(0, -60), Local { weekday: Weekday::Wednesday, minute: Minute(1439) });
        let at = |weekday, minute| Local { weekday, minute: Minute(minute) };
        let night = Span {
            times: vec![
                Times { from: Minute(0), to: Minute(420) },
                Times { from: Minute(1200), to: Minute::END },
            ],
            weekdays: vec![Weekday::Monday],
            location: "UTC".into(),
        };
        let held = [0, 419, 420, 1199, 1200, 1439].map(|minute| night.holds(at(Weekday::Monday, minute)));
        assert_eq!(held, [true, true, false, false, true, true]);
        assert!(!night.holds(at(Weekday::Tuesday, 0)));
        let always = Span { times: vec![], weekdays: vec![], location: "UTC".into() };
        assert!(always.holds(at(Weekday::Sunday, 700)));
    }
}
