//! What goes wrong, as it is asked for on the command line, and when.
//!
//! Faults are given in seconds of the stream and act on frames: a fault at 5 s begins with the first frame of
//! that second, whatever the machine does meanwhile. So what is injected is known to the unit.

use std::str::FromStr;
use std::time::Duration;

/// What `--fault` takes, for the help text.
pub const HELP: &str = "\
Faults are NAME[=VALUE][@FROM[..TO]], times in seconds of the stream (5s, 500ms), and can be given more than once:
  lose=300@5s           300 packets never arrive; the counter continues
  lose=1%[@5s..9s]      each packet is lost with this chance
  dropout=2s@10s        nothing for two seconds; the counter continues
  silent@20s            nothing any more
  stall@20s             nothing until the stream is stopped and started again; a start command alone does not help
  truncate@6s           half a frame, the rest of it never comes
  garbage=37@4s         so many bytes that are no frame, before the frame of that moment
  duplicate@7s          a frame comes twice
  rail=3[@5s..8s]       channel 3 reads its highest count
  flat=5[@5s..8s]       channel 5 does not move
  unplug-channel=4[@..] the electrode of channel 4 touches nothing: hum and noise
  hum=50:80uV[@..]      that much hum, amplitude, in all channels; 60:1mV as well
  drift=+200ppm         the board's clock is that much fast
  burst=100ms[@..]      what the board sends is released so seldom, as by a slow chip
  battery=15%[@5s]      charge, on a device that reports it
  reset@8s              the board restarts: its banner, then silence until a start command
  off[@8s]              the board is off, behind a dongle that is not
  status-only[@8s]      the board says how it is and sends no samples any more, on a device that does
  die@20s               the cable is pulled: the terminal closes and the simulation ends
  die=3s@20s            the same, and it is plugged in again after three seconds";

/// One kind of fault, with its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disturbance {
    /// So many packets are lost.
    Lose(u64),
    /// Packets are lost with this chance.
    Chance(f64),
    /// Nothing for so many seconds.
    Dropout(f64),
    /// Nothing any more.
    Silent,
    /// Nothing in this stream any more.
    Stall,
    /// Half a frame.
    Truncate,
    /// Bytes that are no frame.
    Garbage(usize),
    /// A frame comes twice.
    Duplicate,
    /// A channel, from 0, reads its highest count.
    Rail(usize),
    /// A channel does not move.
    Flat(usize),
    /// An electrode touches nothing.
    Unplug(usize),
    /// Hertz, and microvolts of amplitude.
    Hum(f64, f64),
    /// Parts of a million by which the clock is fast.
    Drift(f64),
    /// Bytes are released so seldom.
    Burst(Duration),
    /// Charge, 0 to 1.
    Battery(f64),
    /// The board starts again.
    Reset,
    /// The board is off.
    Off,
    /// The board says how it is and sends no samples.
    StatusOnly,
    /// The terminal closes, and opens again after a while.
    Die(Option<Duration>),
}

/// A fault and its time, seconds of the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub what: Disturbance,
    /// Since when; from the beginning if it was not said.
    pub from: Option<f64>,
    /// Until when; for ever if it was not said.
    pub to: Option<f64>,
}

impl Fault {
    /// Whether a fault that lasts acts at this frame.
    #[must_use]
    pub fn acts(&self, frame: u64, rate: f64) -> bool {
        frame >= first(self.from.unwrap_or(0.0), rate) && self.to.is_none_or(|to| frame < first(to, rate))
    }

    /// Whether a fault of a moment happens at this frame.
    #[must_use]
    pub fn happens(&self, frame: u64, rate: f64) -> bool {
        frame == first(self.from.unwrap_or(0.0), rate)
    }

    /// Whether this frame is among the `frames` that follow the fault's moment.
    #[must_use]
    pub fn follows(&self, frame: u64, rate: f64, frames: u64) -> bool {
        let from = first(self.from.unwrap_or(0.0), rate);
        frame >= from && frame - from < frames
    }
}

/// The first frame at or after a moment.
fn first(seconds: f64, rate: f64) -> u64 {
    // A hair less, so that 0.3 s at 10 frames per second is the third.
    (seconds * rate - 1e-6).ceil().max(0.0) as u64
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (spec, time) = text.split_once('@').map_or((text, None), |(spec, time)| (spec, Some(time)));
        let (name, value) = spec.split_once('=').map_or((spec, None), |(name, value)| (name, Some(value)));
        let (from, to) =
            match time.map(|time| time.split_once("..").map_or((time, None), |(a, b)| (a, Some(b)))) {
                None => (None, None),
                Some((from, to)) => (Some(seconds(from)?), to.map(seconds).transpose()?),
            };
        if from.zip(to).is_some_and(|(from, to)| to <= from) {
            return Err(format!("{text}: it ends before it begins"));
        }
        let what = what(name, value)?;
        let momentary = matches!(
            what,
            Disturbance::Lose(_)
                | Disturbance::Dropout(_)
                | Disturbance::Stall
                | Disturbance::Truncate
                | Disturbance::Garbage(_)
                | Disturbance::Duplicate
                | Disturbance::Reset
                | Disturbance::Die(_)
        );
        if momentary && (from.is_none() || to.is_some()) {
            return Err(format!("{name} happens at a moment: {name}…@5s"));
        }
        if matches!(what, Disturbance::Drift(_)) && from.is_some() {
            return Err("drift has no time: a clock is fast or it is not".to_owned());
        }
        if to.is_some()
            && matches!(
                what,
                Disturbance::Silent | Disturbance::Off | Disturbance::StatusOnly | Disturbance::Battery(_)
            )
        {
            return Err(format!("{name} has no end; say when it begins: {name}…@5s"));
        }
        Ok(Self { what, from, to })
    }
}

fn what(name: &str, value: Option<&str>) -> Result<Disturbance, String> {
    let needed = |example: &str| value.ok_or_else(|| format!("{name} needs a value: {name}={example}"));
    let what = match name {
        "lose" => match needed("300")?.strip_suffix('%') {
            Some(share) => Disturbance::Chance(ratio(share)?),
            None => Disturbance::Lose(number(needed("300")?)?),
        },
        "dropout" => Disturbance::Dropout(seconds(needed("2s")?)?),
        "garbage" => Disturbance::Garbage(number::<usize>(needed("37")?)?.min(65_536)),
        "rail" => Disturbance::Rail(channel(needed("3")?)?),
        "flat" => Disturbance::Flat(channel(needed("5")?)?),
        "unplug-channel" => Disturbance::Unplug(channel(needed("4")?)?),
        "hum" => {
            let (hertz, volts) =
                needed("50:80uV")?.split_once(':').ok_or("hum is hertz:volts, as 50:80uV")?;
            Disturbance::Hum(number(hertz)?, microvolts(volts)?)
        }
        "drift" => Disturbance::Drift(number(needed("+200ppm")?.trim_end_matches("ppm"))?),
        "burst" => Disturbance::Burst(Duration::from_secs_f64(seconds(needed("100ms")?)?)),
        "battery" => {
            let value = needed("15%")?;
            Disturbance::Battery(ratio(value.strip_suffix('%').unwrap_or(value))?)
        }
        "die" => Disturbance::Die(value.map(seconds).transpose()?.map(Duration::from_secs_f64)),
        "silent" => Disturbance::Silent,
        "stall" => Disturbance::Stall,
        "truncate" => Disturbance::Truncate,
        "duplicate" => Disturbance::Duplicate,
        "reset" => Disturbance::Reset,
        "off" => Disturbance::Off,
        "status-only" => Disturbance::StatusOnly,
        _ => {
            let known =
                ["lose", "dropout", "silent", "stall", "truncate", "garbage", "duplicate", "rail", "flat"];
            let more =
                ["unplug-channel", "hum", "drift", "burst", "battery", "reset", "off", "status-only", "die"];
            let all = [&known[..], &more].concat().join(", ");
            return Err(format!("there is no fault {name:?}; there are {all}"));
        }
    };
    let valueless = matches!(
        what,
        Disturbance::Silent
            | Disturbance::Truncate
            | Disturbance::Duplicate
            | Disturbance::Reset
            | Disturbance::Off
    ) || matches!(what, Disturbance::StatusOnly | Disturbance::Stall);
    if valueless && value.is_some() {
        return Err(format!("{name} takes no value"));
    }
    Ok(what)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// A share of percent.
fn ratio(percent: &str) -> Result<f64, String> {
    let share = number::<f64>(percent)? / 100.0;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("{percent}% is not between 0% and 100%"))
    }
}

/// A channel's place, from its number.
fn channel(text: &str) -> Result<usize, String> {
    number::<usize>(text)?.checked_sub(1).ok_or_else(|| "channels begin with 1".to_owned())
}

/// Seconds of `5s`, `500ms` or `5`; at most a day.
pub fn seconds(text: &str) -> Result<f64, String> {
    let (digits, unit) = text
        .strip_suffix("ms")
        .map(|digits| (digits, 1e-3))
        .or_else(|| text.strip_suffix('s').map(|digits| (digits, 1.0)))
        .unwrap_or((text, 1.0));
    let time = number::<f64>(digits)? * unit;
    if (0.0..=86_400.0).contains(&time) {
        Ok(time)
    } else {
        Err(format!("{text} is no time between 0 and a day"))
    }
}

fn microvolts(text: &str) -> Result<f64, String> {
    let (digits, unit) = text
        .strip_suffix("uV")
        .or_else(|| text.strip_suffix("µV"))
        .map(|digits| (digits, 1.0))
        .or_else(|| text.strip_suffix("mV").map(|digits| (digits, 1e3)))
        .ok_or_else(|| format!("{text}: write volts as 80uV or 1mV"))?;
    Ok(number::<f64>(digits)? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn faults_are_read_as_the_help_writes_them() {
        let at = |what, from, to| Fault { what, from, to };
        assert_eq!(fault("lose=300@5s"), at(Disturbance::Lose(300), Some(5.0), None));
        assert_eq!(fault("lose=1%"), at(Disturbance::Chance(0.01), None, None));
        assert_eq!(fault("dropout=2s@10s"), at(Disturbance::Dropout(2.0), Some(10.0), None));
        assert_eq!(fault("rail=3@5s..8s"), at(Disturbance::Rail(2), Some(5.0), Some(8.0)));
        assert_eq!(fault("hum=50:80uV"), at(Disturbance::Hum(50.0, 80.0), None, None));
        assert_eq!(fault("drift=+200ppm"), at(Disturbance::Drift(200.0), None, None));
        assert_eq!(fault("burst=100ms"), at(Disturbance::Burst(Duration::from_millis(100)), None, None));
        assert_eq!(
            fault("die=3s@500ms"),
            at(Disturbance::Die(Some(Duration::from_secs(3))), Some(0.5), None)
        );
        for line in HELP.lines().skip(1) {
            let example = line.split_whitespace().next().unwrap().replace("[@..]", "@1s..2s");
            fault(&example.replace(['[', ']'], ""));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("loose=3", "there is no fault"),
            ("lose=3", "at a moment"),
            ("lose@3s", "needs a value"),
            ("lose=200%", "between"),
            ("rail=0", "begin with 1"),
            ("rail=1@5s..4s", "ends before"),
            ("silent=3@4s", "no value"),
            ("stall", "at a moment"),
            ("hum=50:80", "uV"),
            ("dropout=-2s@1s", "no time"),
            ("drift=9ppm@3s", "no time"),
        ] {
            let output = text.parse::<Fault>().unwrap_err();
            assert!(output.contains(why), "{text}: {output}");
        }
    }

    #[test]
    fn moments_are_frames() {
        let lose = fault("lose=3@300ms");
        let lost: Vec<u64> = (0..10).filter(|frame| lose.follows(*frame, 10.0, 3)).collect();
        assert_eq!(lost, [3, 4, 5]);
        let rail = fault("rail=1@0.1s..0.25s");
        assert_eq!((0..10).filter(|frame| rail.acts(*frame, 10.0)).collect::<Vec<_>>(), [1, 2]);
    }
}
