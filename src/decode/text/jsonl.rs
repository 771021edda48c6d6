//! JSON lines: what pipelines tell of stages, queues, caches, model calls and the rest.
//!
//! One object a line; the schema is in `deploy/events.schema.json`. Unknown fields are skipped, so
//! that newer senders can talk to older agents. What a pipeline sends on a bad day is a fault of
//! its kind and costs nothing else.

mod metric;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use self::metric::Declared;
use super::line::{Line, Lines};
use crate::decode::facts::{Carries, Facts};
use crate::decode::{Decoder, Sink};
use crate::event::{
    Body, Cache, Call, Change, Fault, FaultKind, Kind, Observation, PipelineError, Query, Queue, Request,
    Score, ScoreSubject, Session, SessionStep, SpanId, Stage, Trace, TraceId,
};

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts = Facts {
    baud: Some(115_200),
    ..Facts::new("jsonl", Carries::Lines, |_| Box::new(Jsonl::new(65_536, Arc::default())))
};

/// What a million tokens of a model cost, in the configured currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of the tokens sent.
    pub prompt_per_million: f64,
    /// Of the tokens received.
    pub completion_per_million: f64,
}

/// Prices by model, for calls that do not say what they cost.
pub type Prices = BTreeMap<String, Price>;

/// What a call of a model costs that took so many tokens, if the model has a price.
pub(in crate::decode) fn cost_of(prices: &Prices, model: &str, prompt: f64, completion: f64) -> Option<f64> {
    let price = prices.get(model)?;
    Some((prompt * price.prompt_per_million + completion * price.completion_per_million) / 1e6)
}

/// Decodes JSON lines.
#[derive(Debug)]
pub struct Jsonl {
    lines: Lines,
    reader: Reader,
}

/// What reading a line needs beside the line.
#[derive(Debug)]
struct Reader {
    prices: Arc<Prices>,
    key: Vec<u8>,
}

impl Jsonl {
    /// A decoder of lines of at most `line_bytes` bytes.
    #[must_use]
    pub fn new(line_bytes: usize, prices: Arc<Prices>) -> Self {
        Self { lines: Lines::new(line_bytes), reader: Reader { prices, key: Vec::new() } }
    }
}

impl Decoder for Jsonl {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let Self { lines, reader } = self;
        lines.feed(bytes, |line| reader.line(line, out));
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        let Self { lines, reader } = self;
        lines.end(|line| reader.line(line, out));
    }
}

impl Reader {
    fn line(&mut self, line: Line<'_>, out: &mut Sink<'_>) {
        match line {
            Line::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Line::Whole(text) => {
                if let Err(kind) = self.read(text, out) {
                    out(Body::Fault(Fault { kind, bytes: text.len() as u64 }));
                    out(Body::Refused(text));
                }
            }
            Line::TooLong { bytes } => out(Body::Fault(Fault { kind: FaultKind::TooLong, bytes })),
        }
    }

    fn read(&mut self, text: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let text = std::str::from_utf8(text).map_err(|_| FaultKind::Encoding)?;
        let mut fields = Fields::default();
        let mut json = serde_json::Deserializer::from_str(text);
        Fill(&mut fields).deserialize(&mut json).and_then(|()| json.end()).map_err(|e| why(&e, text))?;
        if fields.metric.is_some() {
            return self.metric(&fields, out);
        }
        let kind = text_of(&fields.kind)?;
        match kind {
            "stage" => stage(&fields, out),
            "call" | "llm" => self.call(&fields, out),
            "queue" => queue(&fields, out),
            "cache" => cache(&fields, out),
            "error" => error(&fields, out),
            "quality" => score(&fields, ScoreSubject::Data, out),
            "accuracy" => score(&fields, ScoreSubject::Model(text_of(&fields.model)?), out),
            "session" => session(&fields, out),
            "request" => request(&fields, out),
            "query" => query(&fields, out),
            _ => Err(FaultKind::UnknownType),
        }
    }

    fn call(&self, f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let model = text_of(&f.model)?;
        let prompt_tokens = amount(f.prompt_tokens)?.unwrap_or_default();
        let completion_tokens = amount(f.completion_tokens)?.unwrap_or_default();
        let priced = || cost_of(&self.prices, model, prompt_tokens, completion_tokens);
        out(Body::Call(Call {
            model,
            prompt_tokens,
            completion_tokens,
            cost: amount(f.cost)?.or_else(priced),
            seconds: duration(f)?,
            first_token_seconds: amount(f.first_token_seconds)?,
            cache_hit: f.cache_hit,
            error: failure(f)?,
            ended: f.end.filter(|end| *end > ANY_DATE),
            trace: trace(f),
        }));
        Ok(())
    }

    /// A metric that is declared in a user pack, or by the line itself.
    fn metric(&mut self, f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let name = text_of(&f.metric)?;
        let value = f.value.ok_or(FaultKind::MissingField)?;
        let (kind, change) = match f.kind.as_ref().map(|k| &*k.0) {
            None | Some("metric") => (None, Change::Takes(value)),
            Some("counter") if value < 0.0 => return Err(FaultKind::Negative),
            Some("counter") => (Some(Kind::Counter), Change::Add(value)),
            Some("gauge") => (Some(Kind::Gauge), Change::Set(value)),
            Some("histogram") => (Some(Kind::Histogram), Change::Observe { value, weight: 1.0 }),
            Some(_) => return Err(FaultKind::UnknownType),
        };
        let labels = f.labels.map_or("", RawValue::get);
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        self.key.extend_from_slice(&[0xff, kind.map_or(0, |k| k as u8)]);
        self.key.extend_from_slice(labels.as_bytes());
        let spelling = Declared { name, kind, labels, help: f.help.as_ref().map_or("", |h| &*h.0) };
        out(Body::Observation(Observation {
            key: &self.key,
            spelling: &spelling,
            change,
            trace: trace(f).map(|trace| trace.id),
        }));
        Ok(())
    }
}

macro_rules! fields {
    ($($key:literal $name:ident: $type:ty,)*) => {
        /// A line's fields. All optional: which must be there depends on the type.
        #[derive(Default)]
        struct Fields<'a> { $($name: Option<$type>,)* }

        /// The name of a field.
        #[derive(Deserialize)]
        #[serde(field_identifier)]
        #[expect(non_camel_case_types, reason = "these are the fields of the struct")]
        enum Name { $(#[serde(rename = $key)] $name,)* #[serde(other)] Unknown }

        impl<'a> Visitor<'a> for Fill<'_, 'a> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
                while let Some(field) = map.next_key()? {
                    match field {
                        $(Name::$name => self.0.$name = map.next_value()?,)*
                        Name::Unknown => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(())
            }
        }
    };
}

/// Fills fields in place: giving them back by value would copy most of a kilobyte a line, a fifth
/// of the time that a line takes.
struct Fill<'f, 'a>(&'f mut Fields<'a>);

impl<'a> DeserializeSeed<'a> for Fill<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

fields! {
    "type" kind: Text<'a>,
    "pipeline" pipeline: Text<'a>,
    "name" name: Text<'a>,
    "stage" stage: Text<'a>,
    "seconds" seconds: f64,
    "start" start: f64,
    "end" end: f64,
    "outcome" outcome: Text<'a>,
    "error" error: Text<'a>,
    "items" items: f64,
    "trace" trace: Text<'a>,
    "queue" queue: Text<'a>,
    "depth" depth: f64,
    "limit" limit: f64,
    "cache" cache: Text<'a>,
    "hits" hits: f64,
    "misses" misses: f64,
    "model" model: Text<'a>,
    "prompt_tokens" prompt_tokens: f64,
    "completion_tokens" completion_tokens: f64,
    "cost" cost: f64,
    "first_token_seconds" first_token_seconds: f64,
    "cache_hit" cache_hit: bool,
    "ratio" ratio: f64,
    "step" step: Text<'a>,
    "service" service: Text<'a>,
    "method" method: Text<'a>,
    "route" route: Text<'a>,
    "status" status: u16,
    "database" database: Text<'a>,
    "operation" operation: Text<'a>,
    "metric" metric: Text<'a>,
    "value" value: f64,
    "labels" labels: &'a RawValue,
    "help" help: Text<'a>,
}

/// A string that stays in the line unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn stage(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    out(Body::Stage(Stage {
        pipeline: text_of(&f.pipeline)?,
        stage: text_of(&f.stage)?,
        seconds: duration(f)?.ok_or(FaultKind::MissingField)?,
        error: failure(f)?,
        items: amount(f.items)?,
        ended: f.end.filter(|end| *end > ANY_DATE),
        trace: trace(f),
    }));
    Ok(())
}

fn queue(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    out(Body::Queue(Queue {
        pipeline: text_of(&f.pipeline)?,
        queue: text_of(&f.queue)?,
        depth: amount(f.depth)?.ok_or(FaultKind::MissingField)?,
        limit: amount(f.limit)?,
    }));
    Ok(())
}

fn cache(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    if f.hits.is_none() && f.misses.is_none() {
        return Err(FaultKind::MissingField);
    }
    out(Body::Cache(Cache {
        pipeline: text_of(&f.pipeline)?,
        cache: text_of(&f.cache)?,
        hits: amount(f.hits)?.unwrap_or_default(),
        misses: amount(f.misses)?.unwrap_or_default(),
    }));
    Ok(())
}

fn error(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    out(Body::Error(PipelineError { pipeline: text_of(&f.pipeline)?, kind: text_of(&f.error)? }));
    Ok(())
}

fn score(f: &Fields<'_>, of: ScoreSubject<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    let ratio = amount(f.ratio)?.ok_or(FaultKind::MissingField)?;
    if ratio > 1.0 {
        return Err(FaultKind::BadValue);
    }
    out(Body::Score(Score { pipeline: text_of(&f.pipeline)?, of, ratio }));
    Ok(())
}

fn session(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    let step = match text_of(&f.step)? {
        "started" => SessionStep::Started,
        "ended" => SessionStep::Ended { seconds: duration(f)? },
        "failed" => SessionStep::Failed { seconds: duration(f)? },
        _ => return Err(FaultKind::BadValue),
    };
    let name = if f.name.is_some() { text_of(&f.name)? } else { "" };
    out(Body::Session(Session { pipeline: text_of(&f.pipeline)?, name, step }));
    Ok(())
}

fn request(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    out(Body::Request(Request {
        service: text_of(&f.service)?,
        method: text_of(&f.method)?,
        route: text_of(&f.route)?,
        status: f.status.ok_or(FaultKind::MissingField)?,
        seconds: duration(f)?.ok_or(FaultKind::MissingField)?,
        ended: f.end.filter(|end| *end > ANY_DATE),
        trace: trace(f),
    }));
    Ok(())
}

fn query(f: &Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    out(Body::Query(Query {
        database: text_of(&f.database)?,
        operation: text_of(&f.operation)?,
        seconds: duration(f)?.ok_or(FaultKind::MissingField)?,
        failed: failure(f)?.is_some(),
        ended: f.end.filter(|end| *end > ANY_DATE),
        trace: trace(f),
    }));
    Ok(())
}

/// A name that must be there and say something.
fn text_of<'f>(field: &'f Option<Text<'_>>) -> Result<&'f str, FaultKind> {
    match field {
        None => Err(FaultKind::MissingField),
        Some(Text(text)) if text.is_empty() => Err(FaultKind::BadValue),
        Some(Text(text)) => Ok(text),
    }
}

/// Beyond 2^53 a float cannot count by ones: no time, amount or price is that large, and sums of such numbers would end in
/// the infinite.
const MOST: f64 = 9_007_199_254_740_992.0;
/// The year 2000, seconds since the epoch: the clock of a run that ended before it does not count from the epoch.
const ANY_DATE: f64 = 946_684_800.0;

/// A number that cannot be negative.
fn amount(field: Option<f64>) -> Result<Option<f64>, FaultKind> {
    match field {
        Some(n) if n < 0.0 => Err(FaultKind::Negative),
        Some(n) if n > MOST => Err(FaultKind::BadValue),
        n => Ok(n),
    }
}

/// How long it took: said, or the end less the start.
fn duration(f: &Fields<'_>) -> Result<Option<f64>, FaultKind> {
    match (f.seconds, f.start, f.end) {
        (None, Some(start), Some(end)) if end < start => Err(FaultKind::ClockSkew),
        (None, Some(start), Some(end)) => amount(Some(end - start)),
        (seconds, ..) => amount(seconds),
    }
}

/// The kind of error, if it failed.
fn failure<'f>(f: &'f Fields<'_>) -> Result<Option<&'f str>, FaultKind> {
    let error = f.error.as_ref().map(|e| &*e.0).filter(|e| !e.is_empty());
    match f.outcome.as_ref().map(|o| &*o.0) {
        None => Ok(error),
        Some("ok") => Ok(None),
        Some("error") => Ok(Some(error.unwrap_or("unknown"))),
        Some(_) => Err(FaultKind::BadValue),
    }
}

/// The trace: 32 hexadecimal digits, or a W3C `traceparent`. Anything else is no trace.
fn trace(f: &Fields<'_>) -> Option<Trace> {
    let text = &*f.trace.as_ref()?.0;
    let (id, parent) = match text.len() {
        32 => (text, None),
        // Of versions to come the first part is read as that of version 0; `ff` is none.
        55.. if is_traceparent(text.as_bytes()) => (text.get(3..35)?, text.get(36..52)),
        _ => return None,
    };
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok().and_then(NonZeroU128::new).map(TraceId)?;
    let parent = parent.and_then(|parent| u64::from_str_radix(parent, 16).ok());
    Some(Trace { parent: parent.and_then(NonZeroU64::new).map(SpanId), ..Trace::of(id) })
}

/// Whether this is a version, two ids and flags, each after a dash.
fn is_traceparent(text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first_chunk::<55>() else { return false };
    let dash = |at: usize| matches!(at, 2 | 35 | 52);
    let shaped = first
        .iter()
        .enumerate()
        .all(|(at, byte)| if dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() });
    let version = first.first_chunk::<2>();
    let ends = rest.is_empty() || rest.first() == Some(&b'-') && version != Some(b"00");
    shaped && ends && version.is_some_and(|version| !version.eq_ignore_ascii_case(b"ff"))
}

/// What was wrong with a line that could not be read. Seldom asked, so it may take its time.
#[cold]
fn why(error: &serde_json::Error, text: &str) -> FaultKind {
    match error.classify() {
        Category::Eof => FaultKind::Cut,
        Category::Data => FaultKind::BadValue,
        _ if not_finite(text) || error.to_string().starts_with("number out of range") => FaultKind::NotFinite,
        _ => FaultKind::Syntax,
    }
}

/// Whether the text holds what Python and JavaScript write for numbers that JSON does not have.
fn not_finite(text: &str) -> bool {
    ["NaN", "Infinity", "nan", "inf"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
