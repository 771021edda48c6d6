//! The messages of OTLP 1.9: what their fields are called, and what is in them [opentelemetry-proto].
//!
//! One table for the two forms: JSON is written as protobuf by it, and protobuf is checked by it.

use crate::event::FaultKind;
use crate::protobuf::{Fields, Value};

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    /// As JSON has it.
    pub name: &'static str,
    pub holds: Holds,
    pub repeats: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    Message(&'static Message),
    Text,
    /// Bytes that JSON writes as hexadecimal digits: ids.
    Id,
    /// Bytes that JSON writes in base 64.
    Bytes,
    Boolean,
    /// An integer or an enumeration, as a varint.
    Integer,
    /// A small integer that may be negative.
    Signed,
    Fixed32,
    Fixed64,
    /// Eight bytes with a sign.
    SignedFixed64,
    Double,
}

const fn one(number: u32, name: &'static str, holds: Holds) -> Field {
    Field { number, name, holds, repeats: false }
}

const fn many(number: u32, name: &'static str, holds: Holds) -> Field {
    Field { number, name, holds, repeats: true }
}

use Holds::{Boolean, Bytes, Double, Fixed32, Fixed64, Id, Integer, Signed, SignedFixed64, Text};

macro_rules! messages {
    ($($(#[$doc:meta])* $visibility:vis $name:ident: $($field:expr),+;)*) => {
        $($(#[$doc])* $visibility static $name: Message = Message { fields: &[$($field),+] };)*
    };
}

messages! {
    /// `ExportTraceServiceRequest`.
    pub(super) TRACES: many(1, "resourceSpans", Holds::Message(&RESOURCE_SPANS));
    /// `ExportMetricsServiceRequest`.
    pub(super) METRICS: many(1, "resourceMetrics", Holds::Message(&RESOURCE_METRICS));
    /// `ExportLogsServiceRequest`.
    pub(super) LOGS: many(1, "resourceLogs", Holds::Message(&RESOURCE_LOGS));
    RESOURCE: many(1, "attributes", Holds::Message(&KEY_VALUE));
    SCOPE:
        one(1, "name", Text), one(2, "version", Text), many(3, "attributes", Holds::Message(&KEY_VALUE));
    KEY_VALUE: one(1, "key", Text), one(2, "value", Holds::Message(&ANY));
    ANY:
        one(1, "stringValue", Text), one(2, "boolValue", Boolean), one(3, "intValue", Integer),
        one(4, "doubleValue", Double), one(5, "arrayValue", Holds::Message(&ARRAY)),
        one(6, "kvlistValue", Holds::Message(&LIST)), one(7, "bytesValue", Bytes);
    ARRAY: many(1, "values", Holds::Message(&ANY));
    LIST: many(1, "values", Holds::Message(&KEY_VALUE));
    RESOURCE_SPANS:
        one(1, "resource", Holds::Message(&RESOURCE)), many(2, "scopeSpans", Holds::Message(&SCOPE_SPANS)),
        one(3, "schemaUrl", Text);
    SCOPE_SPANS:
        one(1, "scope", Holds::Message(&SCOPE)), many(2, "spans", Holds::Message(&SPAN)),
        one(3, "schemaUrl", Text);
    SPAN:
        one(1, "traceId", Id), one(2, "spanId", Id), one(3, "traceState", Text), one(4, "parentSpanId", Id),
        one(16, "flags", Fixed32), one(5, "name", Text), one(6, "kind", Integer),
        one(7, "startTimeUnixNano", Fixed64), one(8, "endTimeUnixNano", Fixed64),
        many(9, "attributes", Holds::Message(&KEY_VALUE)), one(10, "droppedAttributesCount", Integer),
        many(11, "events", Holds::Message(&SPAN_EVENT)), one(12, "droppedEventsCount", Integer),
        many(13, "links", Holds::Message(&LINK)), one(14, "droppedLinksCount", Integer),
        one(15, "status", Holds::Message(&STATUS));
    SPAN_EVENT:
        one(1, "timeUnixNano", Fixed64), one(2, "name", Text),
        many(3, "attributes", Holds::Message(&KEY_VALUE)), one(4, "droppedAttributesCount", Integer);
    LINK:
        one(1, "traceId", Id), one(2, "spanId", Id), one(3, "traceState", Text),
        many(4, "attributes", Holds::Message(&KEY_VALUE)), one(5, "droppedAttributesCount", Integer),
        one(6, "flags", Fixed32);
    STATUS: one(2, "message", Text), one(3, "code", Integer);
    RESOURCE_METRICS:
        one(1, "resource", Holds::Message(&RESOURCE)),
        many(2, "scopeMetrics", Holds::Message(&SCOPE_METRICS)), one(3, "schemaUrl", Text);
    SCOPE_METRICS:
        one(1, "scope", Holds::Message(&SCOPE)), many(2, "metrics", Holds::Message(&METRIC)),
        one(3, "schemaUrl", Text);
    METRIC:
        one(1, "name", Text), one(2, "description", Text), one(3, "unit", Text),
        one(5, "gauge", Holds::Message(&GAUGE)), one(7, "sum", Holds::Message(&SUM)),
        one(9, "histogram", Holds::Message(&HISTOGRAM)),
        one(10, "exponentialHistogram", Holds::Message(&EXPONENTIAL)),
        one(11, "summary", Holds::Message(&SUMMARY)), many(12, "metadata", Holds::Message(&KEY_VALUE));
    GAUGE: many(1, "dataPoints", Holds::Message(&NUMBER));
    SUM:
        many(1, "dataPoints", Holds::Message(&NUMBER)), one(2, "aggregationTemporality", Integer),
        one(3, "isMonotonic", Boolean);
    HISTOGRAM:
        many(1, "dataPoints", Holds::Message(&HISTOGRAM_POINT)), one(2, "aggregationTemporality", Integer);
    EXPONENTIAL:
        many(1, "dataPoints", Holds::Message(&EXPONENTIAL_POINT)), one(2, "aggregationTemporality", Integer);
    SUMMARY: many(1, "dataPoints", Holds::Message(&SUMMARY_POINT));
    NUMBER:
        many(7, "attributes", Holds::Message(&KEY_VALUE)), one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64), one(4, "asDouble", Double), one(6, "asInt", SignedFixed64),
        many(5, "exemplars", Holds::Message(&EXEMPLAR)), one(8, "flags", Integer);
    HISTOGRAM_POINT:
        many(9, "attributes", Holds::Message(&KEY_VALUE)), one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64), one(4, "count", Fixed64), one(5, "sum", Double),
        many(6, "bucketCounts", Fixed64), many(7, "explicitBounds", Double),
        many(8, "exemplars", Holds::Message(&EXEMPLAR)), one(10, "flags", Integer), one(11, "min", Double),
        one(12, "max", Double);
    EXPONENTIAL_POINT:
        many(1, "attributes", Holds::Message(&KEY_VALUE)), one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64), one(4, "count", Fixed64), one(5, "sum", Double),
        one(6, "scale", Signed), one(7, "zeroCount", Fixed64), one(8, "positive", Holds::Message(&BUCKETS)),
        one(9, "negative", Holds::Message(&BUCKETS)), one(10, "flags", Integer),
        many(11, "exemplars", Holds::Message(&EXEMPLAR)), one(12, "min", Double), one(13, "max", Double),
        one(14, "zeroThreshold", Double);
    BUCKETS: one(1, "offset", Signed), many(2, "bucketCounts", Integer);
    SUMMARY_POINT:
        many(7, "attributes", Holds::Message(&KEY_VALUE)), one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64), one(4, "count", Fixed64), one(5, "sum", Double),
        many(6, "quantileValues", Holds::Message(&QUANTILE)), one(8, "flags", Integer);
    QUANTILE: one(1, "quantile", Double), one(2, "value", Double);
    EXEMPLAR:
        many(7, "filteredAttributes", Holds::Message(&KEY_VALUE)), one(2, "timeUnixNano", Fixed64),
        one(3, "asDouble", Double), one(6, "asInt", SignedFixed64), one(4, "spanId", Id),
        one(5, "traceId", Id);
    RESOURCE_LOGS:
        one(1, "resource", Holds::Message(&RESOURCE)), many(2, "scopeLogs", Holds::Message(&SCOPE_LOGS)),
        one(3, "schemaUrl", Text);
    SCOPE_LOGS:
        one(1, "scope", Holds::Message(&SCOPE)), many(2, "logRecords", Holds::Message(&RECORD)),
        one(3, "schemaUrl", Text);
    RECORD:
        one(1, "timeUnixNano", Fixed64), one(11, "observedTimeUnixNano", Fixed64),
        one(2, "severityNumber", Integer), one(3, "severityText", Text), one(5, "body", Holds::Message(&ANY)),
        many(6, "attributes", Holds::Message(&KEY_VALUE)), one(7, "droppedAttributesCount", Integer),
        one(8, "flags", Fixed32), one(9, "traceId", Id), one(10, "spanId", Id), one(12, "eventName", Text);
}

/// Messages within each other, beyond which nothing is read: those of OTLP are six, and values may hold values.
pub(super) const DEPTH: u32 = 64;

impl Message {
    /// Whether `bytes` are this message, to the innermost field, and every text of it is one.
    ///
    /// # Errors
    /// What is wrong: nothing of it should be read then.
    pub(super) fn check(&self, bytes: &[u8], depth: u32) -> Result<(), FaultKind> {
        let mut fields = Fields::of(bytes);
        while let Some((number, value)) = fields.read().map_err(|_| FaultKind::Syntax)? {
            let Value::Bytes(bytes) = value else { continue };
            match self.fields.iter().find(|field| field.number == number).map(|field| field.holds) {
                Some(Holds::Message(_)) if depth == 0 => return Err(FaultKind::Limit),
                Some(Holds::Message(message)) => message.check(bytes, depth - 1)?,
                Some(Text) if std::str::from_utf8(bytes).is_err() => return Err(FaultKind::Encoding),
                _ => {}
            }
        }
        Ok(())
    }

    /// The field that JSON calls so.
    pub(super) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_and_no_name_is_given_twice() {
        fn look(message: &'static Message, seen: &mut Vec<*const Message>) {
            if seen.contains(&std::ptr::from_ref(message)) {
                return;
            }
            seen.push(message);
            for (at, field) in message.fields.iter().enumerate() {
                let others = &message.fields[..at];
                assert!(!others.iter().any(|other| other.number == field.number || other.name == field.name));
                if let Holds::Message(inner) = field.holds {
                    look(inner, seen);
                }
            }
        }
        let mut seen = Vec::new();
        [&TRACES, &METRICS, &LOGS].into_iter().for_each(|message| look(message, &mut seen));
        assert_eq!(seen.len(), 33);
    }

    #[test]
    fn what_is_wrong_deep_inside_is_found() {
        let wrap = |tag: u8, inner: &[u8]| [&[tag, u8::try_from(inner.len()).unwrap()][..], inner].concat();
        let traces = |span: &[u8]| wrap(0x0a, &wrap(0x12, &wrap(0x12, span)));
        assert_eq!(TRACES.check(&traces(&wrap(0x2a, b"name")), DEPTH), Ok(()));
        assert_eq!(TRACES.check(&traces(&wrap(0x2a, b"\xff")), DEPTH), Err(FaultKind::Encoding));
        assert_eq!(TRACES.check(&traces(&[0x2a, 9]), DEPTH), Err(FaultKind::Syntax));
        // A field of another type than ours is one that is not known.
        assert_eq!(TRACES.check(&traces(&[0x28, 9]), DEPTH), Ok(()));
        let mut deep = Vec::new();
        for _ in 0..30 {
            deep = wrap(0x2a, &wrap(0x0a, &deep));
        }
        assert_eq!(ANY.check(&deep, DEPTH), Ok(()));
        assert_eq!(ANY.check(&deep, 40), Err(FaultKind::Limit));
    }
}
