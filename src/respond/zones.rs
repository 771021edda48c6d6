//! The time of a place, from the time zones of this machine.

use std::collections::BTreeMap;
use std::path::Path;

use tz::TimeZone;

use crate::routing::{Interval, Local};

/// Where they are. Fact: tzfile(5).
const FOLDER: &str = "/usr/share/zoneinfo";
/// Bytes of one.
const LONGEST: u64 = 1 << 20;

/// Time zones by name. What is not there is taken for UTC.
#[derive(Debug, Default)]
pub(super) struct Zones(BTreeMap<String, TimeZone>);

impl Zones {
    /// Reads the zones that these intervals name.
    pub(super) fn of(intervals: &[Interval]) -> Self {
        let mut zones = Self::default();
        for span in intervals.iter().flat_map(|interval| &interval.spans) {
            let name = &span.location;
            if name == "UTC" || zones.0.contains_key(name) {
                continue;
            }
            match read(name) {
                Ok(zone) => drop(zones.0.insert(name.clone(), zone)),
                Err(why) => tracing::warn!(
                    "the time zone {name} cannot be read, its times are taken for UTC: {why}\n  hint: install tzdata"
                ),
            }
        }
        zones
    }

    /// The time of a place.
    pub(super) fn local(&self, place: &str, milliseconds: i64) -> Local {
        let seconds = milliseconds.div_euclid(1000);
        let here = self.0.get(place).and_then(|zone| zone.find_local_time_type(seconds).ok());
        Local::at(seconds, here.map_or(0, |here| here.ut_offset()))
    }
}

fn read(name: &str) -> Result<TimeZone, String> {
    let inside = |part: &str| !part.is_empty() && !part.starts_with('.');
    if !name.split('/').all(inside) {
        return Err("no name of a time zone".into());
    }
    let bytes =
        crate::sys::file::read(&Path::new(FOLDER).join(name), LONGEST).map_err(|why| why.to_string())?;
    TimeZone::from_tz_data(&bytes).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Minute, Span, Weekday};

    fn zones(names: &[&str]) -> Zones {
        let span = |name: &&str| Span { times: vec![], weekdays: vec![], location: (*name).to_owned() };
        Zones::of(&[Interval { name: "x".into(), spans: names.iter().map(span).collect() }])
    }

    #[test]
    fn summer_and_winter_are_told_apart() {
        let zones = zones(&["Europe/Berlin", "../../../etc/passwd", "Nowhere/City"]);
        assert_eq!(zones.0.len(), 1);
        // The last second of winter in 2026, and the first of summer.
        let at = |seconds: i64, place| zones.local(place, seconds * 1000).minute;
        assert_eq!(at(1_774_745_999, "Europe/Berlin"), Minute(119));
        assert_eq!(at(1_774_746_000, "Europe/Berlin"), Minute(180));
        // A year that the table of the file does not reach goes by its rule.
        assert_eq!(zones.local("Europe/Berlin", 4_070_908_800_000).minute, Minute(60));
        for place in ["UTC", "Nowhere/City", "../../../etc/passwd"] {
            assert_eq!(zones.local(place, 0), Local { weekday: Weekday::Thursday, minute: Minute(0) });
        }
    }
}
