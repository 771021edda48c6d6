//! Which spans are sent: a share of all traces, the same in every program that decides by the trace, and each span that failed or was slow.

use std::collections::HashMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::TraceId;
use crate::setting::Span as Time;

/// The bits of a trace that are random: its last seven bytes.
///
/// Fact: W3C trace context, level 2; OpenTelemetry's specification of probability sampling in `tracestate`.
const RANDOM: u32 = 56;

/// Which spans are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TraceSampling")]
pub struct Settings {
    /// The share of traces whose spans are all sent, decided by the trace's id as OpenTelemetry's samplers of a consistent probability decide it:
    /// 1 for all, 0 for none but those that failed or were slow.
    #[schemars(range(min = 0, max = 1))]
    pub ratio: f64,
    /// A span that takes longer is sent whatever its trace is; 0s for none.
    pub slower_than: Time,
    /// The same for spans of which it is known how long they may take.
    #[schemars(length(max = 1_000))]
    pub limits: Vec<Slow>,
}

/// How long one kind of span may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TraceLimit")]
pub struct Slow {
    /// The service, or the pipeline.
    pub service: String,
    /// The name of the span, or the stage.
    pub name: String,
    /// How long it may take.
    pub slower_than: Time,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ratio: 1.0, slower_than: Time::seconds(1), limits: Vec::new() }
    }
}

/// Decides of each span.
#[derive(Debug)]
pub struct Sampling {
    /// Traces whose random part is at least this are sent.
    threshold: u64,
    /// The threshold as `tracestate` says it: hexadecimal digits without the zeros at their end.
    state: Box<str>,
    /// Nanoseconds beyond which a span is slow.
    slow: u64,
    limits: HashMap<Box<str>, HashMap<Box<str>, u64>>,
}

/// What is asked of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct SamplingQuestion<'a> {
    pub trace: TraceId,
    pub service: &'a str,
    /// The parts of its name, with a space between them if there are two.
    pub name: (&'a str, &'a str),
    pub nanos: u64,
    pub failed: bool,
}

impl Sampling {
    /// What the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let whole = (1_u64 << RANDOM) as f64;
        // Truncation decides of one trace in 2^56.
        let threshold = ((1.0 - settings.ratio.clamp(0.0, 1.0)) * whole) as u64;
        let mut limits: HashMap<Box<str>, HashMap<Box<str>, u64>> = HashMap::new();
        for limit in &settings.limits {
            let of = limits.entry(limit.service.as_str().into()).or_default();
            of.insert(limit.name.as_str().into(), nanos(limit.slower_than.0));
        }
        let digits = format!("{threshold:014x}");
        let digits = if threshold == 0 { "0" } else { digits.trim_end_matches('0') };
        let state = format!("ot=th:{digits}").into();
        Self { threshold, state, slow: nanos(settings.slower_than.0), limits }
    }

    /// Whether every span is sent.
    pub(super) fn is_all(&self) -> bool {
        self.threshold == 0
    }

    /// The `tracestate` of spans of this trace: how many traces it stands for. There is none where only what failed or was slow is sent.
    pub(super) fn state(&self, trace: TraceId) -> Option<&str> {
        (random(trace) >= self.threshold).then_some(&*self.state)
    }

    /// Whether this one is.
    pub(super) fn keeps(&self, asked: &SamplingQuestion<'_>) -> bool {
        if random(asked.trace) >= self.threshold || asked.failed {
            return true;
        }
        let own = if self.limits.is_empty() { None } else { self.limits.get(asked.service) };
        let own = own.and_then(|of| match asked.name {
            (name, "") => of.get(name),
            (first, second) => of.get(&*format!("{first} {second}")),
        });
        let limit = own.copied().unwrap_or(self.slow);
        limit > 0 && asked.nanos > limit
    }
}

fn random(trace: TraceId) -> u64 {
    (trace.0.get() & ((1 << RANDOM) - 1)) as u64
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU128;

    use super::*;

    fn asked(trace: u128) -> SamplingQuestion<'static> {
        let trace = TraceId(NonZeroU128::new(trace).unwrap());
        SamplingQuestion { trace, service: "s", name: ("n", ""), nanos: 1_000, failed: false }
    }

    #[test]
    fn a_share_of_traces_is_sent_and_the_same_whoever_decides() {
        // The thresholds of the specification: `th:8` is a half, `th:c` a quarter; the random part is the last seven bytes alone.
        let of = |ratio| Sampling::new(&Settings { ratio, ..Settings::default() });
        for (ratio, threshold, state) in
            [(1.0, 0, "0"), (0.5, 0x80_0000_0000_0000, "8"), (0.25, 0xc0_0000_0000_0000, "c")]
        {
            let sampling = of(ratio);
            assert_eq!(sampling.threshold, threshold, "{ratio}");
            let high = 0xff_u128 << 100;
            let said = |random: u64| {
                let question = asked(high | u128::from(random));
                sampling.state(question.trace).map(str::to_owned)
            };
            assert_eq!(said(threshold), Some(format!("ot=th:{state}")));
            assert!(threshold == 0 || said(threshold - 1).is_none(), "how many it stands for is not known");
            assert!(sampling.keeps(&asked(high | u128::from(threshold))));
            assert!(threshold == 0 || !sampling.keeps(&asked(high | u128::from(threshold - 1))), "{ratio}");
        }
        let none = of(0.0);
        assert!(!none.keeps(&asked(u128::MAX)));
        // What a smaller share has, a larger one has too.
        let (small, large) = (of(0.1), of(0.3));
        let mut seed = 7_u64;
        let mut kept = [0_u32; 2];
        for _ in 0..20_000 {
            seed = super::super::ids::mix(seed);
            let trace = asked(u128::from(seed) << 64 | u128::from(super::super::ids::mix(seed)));
            let both = [small.keeps(&trace), large.keeps(&trace)];
            assert!(!both[0] || both[1]);
            kept.iter_mut().zip(both).for_each(|(kept, one)| *kept += u32::from(one));
        }
        assert!(kept[0].abs_diff(2_000) < 200 && kept[1].abs_diff(6_000) < 300, "{kept:?}");
    }

    #[test]
    fn what_failed_or_was_slow_is_always_sent() {
        let limit = |service: &str, name: &str, ms| Slow {
            service: service.into(),
            name: name.into(),
            slower_than: Time::millis(ms),
        };
        let limits = vec![limit("s", "n", 5), limit("s", "never", 0), limit("s", "GET /x", 5)];
        let sampling = Sampling::new(&Settings { ratio: 0.0, slower_than: Time::millis(100), limits });
        let at = |name, ms: u64| SamplingQuestion { name: (name, ""), nanos: ms * 1_000_000, ..asked(1) };
        assert!(sampling.keeps(&SamplingQuestion { failed: true, ..asked(1) }));
        assert!(!sampling.keeps(&at("n", 5)) && sampling.keeps(&at("n", 6)));
        assert!(!sampling.keeps(&at("other", 100)) && sampling.keeps(&at("other", 101)));
        let request = SamplingQuestion { name: ("GET", "/x"), ..at("", 6) };
        assert!(
            sampling.keeps(&request) && !sampling.keeps(&SamplingQuestion { name: ("GET", "/y"), ..request })
        );
        assert!(!sampling.keeps(&at("never", 10_000)), "its limit is none");
    }
}
