//! What pipelines tell: stages, queues, caches, model calls, sessions, requests.

/// A W3C trace id; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub std::num::NonZeroU128);

/// A W3C id of a span; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub std::num::NonZeroU64);

/// The trace that an event belongs to, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Which trace.
    pub id: TraceId,
    /// The span that it is a part of, if it says so.
    pub parent: Option<SpanId>,
    /// Whether it was read from a span that there is already, so that it needs none of its own.
    pub is_span: bool,
}

impl Trace {
    /// A trace of which no more is known.
    #[must_use]
    pub const fn of(id: TraceId) -> Self {
        Self { id, parent: None, is_span: false }
    }
}

/// One run of one stage of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// The stage's name.
    pub stage: &'a str,
    /// How long it took.
    pub seconds: f64,
    /// `Some` with the kind of error if it failed.
    pub error: Option<&'a str>,
    /// Items worked on in this run.
    pub items: Option<f64>,
    /// When it ended on the sender's clock, seconds since the epoch.
    pub ended: Option<f64>,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// The depth of a queue at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// The queue's name.
    pub queue: &'a str,
    /// Items waiting.
    pub depth: f64,
    /// Items it can hold, if it says so.
    pub limit: Option<f64>,
}

/// Look-ups in a cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// The cache's name.
    pub cache: &'a str,
    /// Look-ups that found something.
    pub hits: f64,
    /// Look-ups that found nothing.
    pub misses: f64,
}

/// One call of a language model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call<'a> {
    /// The model's name.
    pub model: &'a str,
    /// Tokens sent.
    pub prompt_tokens: f64,
    /// Tokens received.
    pub completion_tokens: f64,
    /// What it cost, in the configured currency.
    pub cost: Option<f64>,
    /// From request to last token.
    pub seconds: Option<f64>,
    /// From request to first token.
    pub first_token_seconds: Option<f64>,
    /// Whether the answer came from a cache, if it says so.
    pub cache_hit: Option<bool>,
    /// `Some` with the kind of error if it failed.
    pub error: Option<&'a str>,
    /// When it ended on the sender's clock, seconds since the epoch.
    pub ended: Option<f64>,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// An error outside any stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PipelineError<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// What kind of error: a short word.
    pub kind: &'a str,
}

/// How good a pipeline's data or answers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// What was judged.
    pub of: ScoreSubject<'a>,
    /// From 0 to 1.
    pub ratio: f64,
}

/// What a score judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreSubject<'a> {
    /// The data that goes in.
    Data,
    /// The answers of a model.
    Model(&'a str),
}

/// A recording or user session began or ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Session<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// What people call it; empty where it is not said. It is for a report of it, and never a label.
    pub name: &'a str,
    /// What happened to it.
    pub step: SessionStep,
}

/// The life of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SessionStep {
    /// It began.
    Started,
    /// It ended as it should.
    Ended {
        /// How long it lasted, if it says so.
        seconds: Option<f64>,
    },
    /// It broke off.
    Failed {
        /// How long it lasted, if it says so.
        seconds: Option<f64>,
    },
}

/// One request to an API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a> {
    /// The service that answered.
    pub service: &'a str,
    /// The HTTP method, or the like.
    pub method: &'a str,
    /// The route's template, never the raw path.
    pub route: &'a str,
    /// The status code.
    pub status: u16,
    /// How long it took.
    pub seconds: f64,
    /// When it ended on the sender's clock, seconds since the epoch.
    pub ended: Option<f64>,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// One database query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query<'a> {
    /// The database.
    pub database: &'a str,
    /// The kind of query, never its text.
    pub operation: &'a str,
    /// How long it took.
    pub seconds: f64,
    /// Whether it failed.
    pub failed: bool,
    /// When it ended on the sender's clock, seconds since the epoch.
    pub ended: Option<f64>,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// A service's own verdict on itself, as a DogStatsD service check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// The check's name.
    pub check: &'a str,
    /// 0 fine, 1 warning, 2 critical, 3 unknown.
    pub status: u8,
}

/// The greatest value of something within the last minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak<'a> {
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// The stage or queue.
    pub name: &'a str,
    /// Runs a second, or items.
    pub peak: f64,
}

/// What language models used since 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent<'a> {
    /// Tokens sent and received.
    pub tokens: f64,
    /// Cost in the configured currency.
    pub cost: f64,
    /// What costs are counted in.
    pub currency: &'a str,
    /// Tokens that may be used in a day.
    pub tokens_budget: Option<f64>,
    /// Cost that may be incurred in a day.
    pub cost_budget: Option<f64>,
}
