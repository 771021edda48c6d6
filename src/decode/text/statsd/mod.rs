//! StatsD and DogStatsD, one line at a time.
//!
//! A line is cut into name, values, type, rate and tags, and no further: the bytes of name, type
//! and tags are the key of its series, and only a key that is new is spelled out, in `spelling`.

mod extra;
mod settings;
mod spelling;

use std::fmt::Debug;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use memchr::memchr;

pub use self::settings::{Gauges, Settings};
use self::spelling::Spelling;
use super::line::{Line, Lines};
use super::mapping::{Mapper, StatsdType, Verdict};
use super::number;
use super::tags::NameStyles;
use crate::decode::facts::{Carries, Facts};
use crate::decode::{Decoder, Sink};
use crate::event::{Body, Change, DropReason, Dropped, Fault, FaultKind, Observation};

/// Bytes of names whose verdict is remembered, for each connection; then it is asked again.
const VERDICTS: usize = 65_536;
/// Bytes that a verdict takes beside its name.
const VERDICT: usize = 64;

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts =
    Facts { baud: Some(115_200), ..Facts::new("statsd", Carries::Lines, |_| Box::new(Statsd::default())) };

/// Where the mapping rules are that are in force.
pub trait Rules: Send + Debug {
    /// Those of this moment.
    fn current(&self) -> Arc<Mapper>;
}

/// Rules that stay.
impl Rules for Arc<Mapper> {
    fn current(&self) -> Self {
        self.clone()
    }
}

/// Decodes lines of StatsD and DogStatsD.
#[derive(Debug)]
pub struct Statsd {
    lines: Lines,
    rules: Box<dyn Rules>,
    parser: Parser,
}

impl Default for Statsd {
    /// A decoder without mapping rules.
    fn default() -> Self {
        Self::new(&Settings::default(), Arc::<Mapper>::default())
    }
}

impl Statsd {
    /// A decoder that maps names by the rules in force when bytes come.
    #[must_use]
    pub fn new(settings: &Settings, rules: impl Rules + 'static) -> Self {
        let styles = NameStyles {
            librato: settings.librato_tags,
            influxdb: settings.influxdb_tags,
            signalfx: settings.signalfx_tags,
        };
        let parser = Parser {
            styles,
            dog: settings.dogstatsd_tags,
            absolute: settings.gauges == Gauges::Absolute,
            key: vec![0; EDITION],
            verdicts: HashMap::default(),
            remembered: 0,
        };
        Self { lines: Lines::new(settings.line_bytes), rules: Box::new(rules), parser }
    }

    /// Throws away the line that has begun, and says how many bytes of it came.
    pub(super) fn drop_partial(&mut self) -> u64 {
        self.lines.drop_partial()
    }
}

impl Decoder for Statsd {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let mapper = self.rules.current();
        let parser = &mut self.parser;
        parser.turn_to(&mapper);
        self.lines.feed(bytes, |line| parser.line(line, &mapper, out));
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        let mapper = self.rules.current();
        let parser = &mut self.parser;
        parser.turn_to(&mapper);
        self.lines.end(|line| parser.line(line, &mapper, out));
    }
}

/// Bytes at the front of a key that say which mapping file it was made under.
const EDITION: usize = 4;
/// Bytes before the name: the edition and the type.
const PREFIX: usize = EDITION + 1;
/// Stands between name and tags in a key. It is in no UTF-8 text.
const BETWEEN: u8 = 0xff;

#[derive(Debug)]
struct Parser {
    styles: NameStyles,
    dog: bool,
    absolute: bool,
    /// Edition, type, name, and after [`BETWEEN`] the tags: always the edition at least.
    key: Vec<u8>,
    verdicts: HashMap<Box<[u8]>, Verdict, RandomState>,
    /// Bytes of these.
    remembered: usize,
}

/// The type of a metric, as the byte in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Counter = b'c' as isize,
    Gauge = b'g' as isize,
    Timer = b'm' as isize,
    Histogram = b'h' as isize,
    Distribution = b'd' as isize,
    Set = b's' as isize,
}

impl Type {
    /// The type that `text` begins with, and how many bytes it takes.
    #[inline]
    fn leading(text: &[u8]) -> Option<(Self, usize)> {
        Some(match text {
            [b'm', b's', ..] => (Self::Timer, 2),
            [b'c', ..] => (Self::Counter, 1),
            [b'g', ..] => (Self::Gauge, 1),
            [b'h', ..] => (Self::Histogram, 1),
            [b'd', ..] => (Self::Distribution, 1),
            [b's', ..] => (Self::Set, 1),
            _ => return None,
        })
    }

    /// Whether clients write many values of it into one sample.
    fn packs(self) -> bool {
        matches!(self, Self::Timer | Self::Histogram | Self::Distribution)
    }

    /// What a mapping rule calls it.
    fn mapped(self) -> StatsdType {
        match self {
            Self::Counter => StatsdType::Counter,
            Self::Gauge | Self::Set => StatsdType::Gauge,
            Self::Timer | Self::Histogram | Self::Distribution => StatsdType::Observer,
        }
    }
}

/// What follows the values of a sample.
struct Tail<'l> {
    kind: Type,
    rate: f64,
    /// The rest of a line that sends another sample of the same name: `a:1|c:2|c`.
    again: Option<&'l [u8]>,
}

impl Parser {
    /// Makes keys under the rules of `mapper` from here on.
    fn turn_to(&mut self, mapper: &Mapper) {
        let edition = mapper.edition().to_ne_bytes();
        if !self.key.starts_with(&edition) {
            self.key.clear();
            self.key.extend_from_slice(&edition);
            self.verdicts.clear();
            self.remembered = 0;
        }
    }

    #[inline]
    fn line(&mut self, line: Line<'_>, mapper: &Mapper, out: &mut Sink<'_>) {
        match line {
            Line::Whole([]) => {}
            Line::Whole(line) => {
                if line.first() == Some(&b'_') && extra::read(line, &mut self.key, out) {
                    return;
                }
                self.metric(line, mapper, out);
            }
            Line::TooLong { bytes } => out(Body::Fault(Fault { kind: FaultKind::TooLong, bytes })),
        }
    }

    #[inline]
    fn metric(&mut self, line: &[u8], mapper: &Mapper, out: &mut Sink<'_>) {
        let Some((name, mut rest)) = memchr(b':', line).and_then(|at| around(line, at)) else {
            return fault(FaultKind::Syntax, line.len(), line, out);
        };
        if name.is_empty() {
            return fault(FaultKind::Syntax, line.len(), line, out);
        }
        let mut unread = line.len();
        loop {
            match self.sample((line, name), rest, unread, mapper, out) {
                Ok(None) => return,
                Ok(Some(again)) => (rest, unread) = (again, again.len()),
                Err(kind) => return fault(kind, unread, line, out),
            }
        }
    }

    /// Reads `values|type|fields` of a line and its name. An error spoils the rest of the line, which is `unread` bytes; what
    /// a single value is wrong in does not.
    #[inline]
    fn sample<'l>(
        &mut self,
        (line, name): (&[u8], &[u8]),
        text: &'l [u8],
        unread: usize,
        mapper: &Mapper,
        out: &mut Sink<'_>,
    ) -> Result<Option<&'l [u8]>, FaultKind> {
        let plain = number::leading(text).filter(|(_, length)| text.get(*length) == Some(&b'|'));
        let bar = plain.map(|(_, length)| length).or_else(|| memchr(b'|', text)).ok_or(FaultKind::Syntax)?;
        let (values, tail) = around(text, bar).ok_or(FaultKind::Syntax)?;
        let tail = self.tail(name, tail)?;
        let scale = if mapper.decides() { self.verdict(name, tail.kind, mapper) } else { Some(1.0) };
        let Some(scale) = scale else {
            // Each value is an event, and one that a rule drops is dropped on purpose.
            let values = 1 + values.iter().filter(|byte| **byte == b':' && tail.kind != Type::Set).count();
            out(Body::Dropped(Dropped { reason: DropReason::Mapping, events: values as u64 }));
            return Ok(tail.again);
        };
        let name_ends = PREFIX + name.len();
        let series = Spelling { key: &self.key, name_ends, kind: tail.kind, styles: self.styles, mapper };
        let absolute = self.absolute;
        let mut value = |text: &[u8], known: Option<f64>| {
            let signed = !absolute && matches!(text, [b'+' | b'-', ..]);
            match number(text, known).and_then(|value| change(tail.kind, value * scale, tail.rate, signed)) {
                Ok(change) => out(Body::Observation(Observation {
                    key: series.key,
                    spelling: &series,
                    change,
                    trace: None,
                })),
                // A value alone takes everything said of it along.
                Err(kind) if text.len() == values.len() => {
                    fault(kind, unread - tail.again.map_or(0, <[u8]>::len), line, out);
                }
                // The character before it is part of it, so that even an empty one is something.
                Err(kind) => fault(kind, text.len() + 1, line, out),
            }
        };
        match plain {
            _ if tail.kind == Type::Set => {
                if values.is_empty() {
                    return Err(FaultKind::BadValue);
                }
                let member = Change::Member(FixedState::with_seed(0).hash_one(values));
                out(Body::Observation(Observation {
                    key: series.key,
                    spelling: &series,
                    change: member,
                    trace: None,
                }));
            }
            Some((number, _)) => value(values, Some(number)),
            // Of many observations the good ones count. Of a counter or gauge the name may have had a colon, and then
            // every number in it would be another's.
            None if tail.kind.packs()
                || values.split(|b| *b == b':').all(|text| number::whole(text).is_some()) =>
            {
                values.split(|b| *b == b':').for_each(|text| value(text, None));
            }
            None => value(values, None),
        }
        Ok(tail.again)
    }

    /// Reads `type|fields` and builds the key.
    #[inline]
    fn tail<'l>(&mut self, name: &[u8], text: &'l [u8]) -> Result<Tail<'l>, FaultKind> {
        let (kind, length) = match Type::leading(text) {
            Some(known) => known,
            None if text.is_empty() => return Err(FaultKind::Syntax),
            None => return Err(FaultKind::UnknownType),
        };
        self.key.truncate(EDITION);
        self.key.push(kind as u8);
        self.key.extend_from_slice(name);
        let mut tagged = false;
        let mut tail = Tail { kind, rate: 1.0, again: None };
        let mut rest = text.get(length..).unwrap_or_default();
        loop {
            match rest {
                [] => return Ok(tail),
                [b':', again @ ..] => {
                    tail.again = Some(again);
                    return Ok(tail);
                }
                [b'|', b'@', field @ ..] => {
                    let length = field.iter().position(|b| matches!(b, b'|' | b':')).unwrap_or(field.len());
                    let (rate, after) = field.split_at_checked(length).unwrap_or((field, &[]));
                    tail.rate = number::whole(rate)
                        .filter(|rate| *rate > 0.0 && *rate <= 1.0 && (1.0 / rate).is_finite())
                        .ok_or(FaultKind::BadValue)?;
                    rest = after;
                }
                [b'|', field @ ..] => {
                    let length = memchr(b'|', field).unwrap_or(field.len());
                    let (field, after) = field.split_at_checked(length).unwrap_or((field, &[]));
                    if let [b'#', tags @ ..] = field
                        && self.dog
                        && !tags.is_empty()
                    {
                        self.key.push(if tagged { b',' } else { BETWEEN });
                        self.key.extend_from_slice(tags);
                        tagged = true;
                    }
                    rest = after;
                }
                _ => return Err(FaultKind::UnknownType),
            }
        }
    }

    /// What values of this name are multiplied by; `None` if they are dropped.
    fn verdict(&mut self, name: &[u8], kind: Type, mapper: &Mapper) -> Option<f64> {
        // Type and name stand together in the key already.
        let known_as = self.key.get(EDITION..PREFIX + name.len()).unwrap_or_default();
        let verdict = match self.verdicts.get(known_as) {
            Some(verdict) => *verdict,
            None => {
                let verdict = spelling::verdict(name, kind, self.styles, mapper);
                let bytes = known_as.len() + VERDICT;
                if self.remembered + bytes > VERDICTS {
                    self.verdicts.clear();
                    self.remembered = 0;
                }
                if bytes <= VERDICTS {
                    self.verdicts.insert(known_as.into(), verdict);
                    self.remembered += bytes;
                }
                verdict
            }
        };
        (!verdict.drop).then_some(verdict.scale)
    }
}

#[inline]
fn number(text: &[u8], known: Option<f64>) -> Result<f64, FaultKind> {
    known.or_else(|| number::whole(text)).ok_or(FaultKind::BadValue)
}

/// What one value does to its series.
#[inline]
fn change(kind: Type, value: f64, rate: f64, signed: bool) -> Result<Change<'static>, FaultKind> {
    let (size, change) = match kind {
        Type::Counter if value < 0.0 => return Err(FaultKind::Negative),
        Type::Counter => (value / rate, Change::Add(value / rate)),
        Type::Gauge if signed => (value, Change::Shift(value)),
        Type::Gauge | Type::Set => (value, Change::Set(value)),
        Type::Timer => (value, Change::Observe { value: value / 1000.0, weight: 1.0 / rate }),
        Type::Histogram | Type::Distribution => (value, Change::Observe { value, weight: 1.0 / rate }),
    };
    if size.is_finite() { Ok(change) } else { Err(FaultKind::NotFinite) }
}

/// What is before and after the byte at `at`.
#[inline]
fn around(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cold]
fn fault(kind: FaultKind, bytes: usize, line: &[u8], out: &mut Sink<'_>) {
    out(Body::Fault(Fault { kind, bytes: bytes as u64 }));
    out(Body::Refused(line));
}

#[cfg(test)]
mod tests;
