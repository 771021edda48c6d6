//! The vocabulary: what can happen at a source, and when.
//!
//! Data only. Names are borrowed from the bytes they arrived in, so an event costs no
//! allocation; a reader that keeps one copies what it needs. Base units throughout: seconds,
//! bytes, hertz, ratios from 0 to 1.

/// A closed list of words that are the values of a label.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of the label.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

mod device;
mod machine;
mod observation;
mod pipeline;
mod port;
mod probe;
mod program;
mod stream;
mod tap;
mod telemetry;

pub use device::*;
pub use machine::*;
pub use observation::*;
pub use pipeline::*;
pub use port::*;
pub use probe::*;
pub use program::*;
pub use stream::*;
pub use tap::*;
pub use telemetry::*;

/// When bytes arrived, by two clocks that are read together, once.
///
/// The steady clock is never set: intervals, rates, ages and losses come from it. The wall clock is what people and
/// other machines read, and it is set now and then, forward or back: it is for timestamps and days alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Nanoseconds by the steady clock. Its zero means nothing.
    pub steady: u64,
    /// Nanoseconds since the Unix epoch by the wall clock.
    pub wall: u64,
}

/// The wall clock was set. Milliseconds; times since 1970.
///
/// What it read since the machine was booted was wrong, and what is as long ago, or as far ahead, as before goes along. What was kept before the boot
/// was read from a clock that may have been right: a machine without a clock of its own begins in 1970 each time, and knows the time of
/// yesterday from its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// By how much.
    pub by: i64,
    /// What it read when the machine was booted.
    pub from: i64,
    /// What it would read now.
    pub to: i64,
}

impl Jump {
    /// What is due so much later was counted from a time of this clock.
    const AHEAD: i64 = 30 * 86_400_000;

    /// One that moves all times.
    #[must_use]
    pub const fn whole(by: i64) -> Self {
        Self { by, from: i64::MIN, to: i64::MAX }
    }

    /// Whether this is a time that the clock gave, or one that was counted from such a time.
    #[must_use]
    pub fn concerns(&self, time: i64) -> bool {
        (self.from..=self.to.saturating_add(Self::AHEAD)).contains(&time)
    }

    /// Moves a time along.
    pub fn shift(&self, time: &mut i64) {
        if self.concerns(*time) {
            *time = time.saturating_add(self.by);
        }
    }

    /// Whether everything that the clock said was far in the past.
    #[must_use]
    pub fn is_leap(&self) -> bool {
        self.by > Self::AHEAD
    }
}

/// Nanoseconds by which two clocks may seem to come apart although neither was set: they are read one after the other.
const SET: u128 = 100_000_000;

impl Timestamp {
    /// A moment at which both clocks read the same, as where only one is known.
    #[must_use]
    pub const fn both(nanos: u64) -> Self {
        Self { steady: nanos, wall: nanos }
    }

    /// Whole seconds by the steady clock, counted from 1: 0 is never.
    #[must_use]
    pub fn steady_second(self) -> u32 {
        u32::try_from(self.steady / 1_000_000_000 + 1).unwrap_or(u32::MAX)
    }

    /// Seconds since the epoch by the wall clock, with their fraction.
    #[must_use]
    pub fn wall_seconds(self) -> f64 {
        self.wall as f64 / 1e9
    }

    /// The time in milliseconds since the epoch, by the wall clock.
    #[must_use]
    pub fn wall_milliseconds(self) -> i64 {
        i64::try_from(self.wall / 1_000_000).unwrap_or(i64::MAX)
    }

    /// This moment in seconds since the epoch, by the wall clock as it counts at `now`. If the clock was set in
    /// between, the moment moves along with it: what is reported is as long ago as it is by the steady clock.
    #[must_use]
    pub fn wall_seconds_at(self, now: Self) -> f64 {
        let ahead = |time: Self| i128::from(time.wall) - i128::from(time.steady);
        let set = ahead(now) - ahead(self);
        if set.unsigned_abs() < SET {
            return self.wall_seconds();
        }
        (i128::from(self.wall) + set) as f64 / 1e9
    }

    /// Whole seconds since the epoch by the wall clock; enough until the year 2106.
    #[must_use]
    pub fn wall_second(self) -> u32 {
        u32::try_from(self.wall / 1_000_000_000).unwrap_or(u32::MAX)
    }
}

/// A configured source, as its position in the hub's list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

impl SourceId {
    /// What the agent reports of itself: no source has this number.
    pub const AGENT: Self = Self(u32::MAX);
}

/// Something happened, at a moment, at a source.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When its bytes arrived.
    pub at: Timestamp,
    /// Where it happened.
    pub source: SourceId,
    /// What happened.
    pub body: Body<'a>,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $origin:ident $labels:ident $name:ident $(($payload:ty))?,)*) => {
        /// What happened. Closed on purpose: a new kind of event is a new variant, which says where it comes from and
        /// who bounds its labels, and a test insists that at least one metric reads it.
        #[derive(Clone, Copy, Debug)]
        pub enum Body<'a> { $($(#[$doc])* $name $(($payload))?,)* }

        /// The variants of [`Body`] without their payload: what a metric listens to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Topic { $($(#[$doc])* $name,)* }

        impl Topic {
            /// Every topic, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Where its events come from.
            #[must_use]
            pub fn origin(self) -> Origin {
                match self { $(Self::$name => bodies!(@origin $origin),)* }
            }

            /// Who bounds the values of its labels.
            #[must_use]
            pub fn labels(self) -> Labels {
                match self { $(Self::$name => bodies!(@labels $labels),)* }
            }
        }

        impl Body<'_> {
            /// Which variant this is.
            #[must_use]
            pub fn topic(&self) -> Topic {
                match self { $(bodies!(@pattern $name $(($payload))?) => Topic::$name,)* }
            }
        }
    };
    (@pattern $name:ident ($payload:ty)) => { Body::$name(_) };
    (@pattern $name:ident) => { Body::$name };
    (@origin fact) => { Origin::Fact };
    (@origin news) => { Origin::News };
    (@origin derived) => { Origin::Derived };
    (@labels configured) => { Labels::Configured };
    (@labels measured) => { Labels::Measured };
    (@labels named) => { Labels::Named };
}

/// Where events of a topic come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A source sent it: it counts as an event.
    Fact,
    /// It is about the source, or the device: how it is, and what it lost.
    News,
    /// An analyser makes it of others, and nobody else does.
    Derived,
}

/// Who bounds the values of a topic's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The configuration: there are as many as sources.
    Configured,
    /// The agent, which measures or reads what is there.
    Measured,
    /// Nobody: the senders of lines name them.
    Named,
}

bodies! {
    /// The source can, or can no longer, be heard.
    news configured Link(Link),
    /// A read returned this much.
    news configured Received(Received),
    /// Input that made no sense.
    news configured Fault(Fault),
    /// The line that the fault just reported is about, where the input is lines.
    news measured Refused(&'a [u8]),
    /// Events that were dropped on purpose.
    news configured Dropped(Dropped),
    /// A polled source was asked once.
    news configured Poll(Poll),
    /// How the target of a probe is.
    news configured Probe(Probe),
    /// What the kernel says of a socket.
    news configured Socket(SocketState<'a>),
    /// Clients of a listening source.
    news configured Clients(Clients),
    /// A file of metrics was looked at.
    news configured Textfile(Textfile<'a>),
    /// One run of a pipeline stage.
    fact named Stage(Stage<'a>),
    /// The depth of a queue.
    fact named Queue(Queue<'a>),
    /// Look-ups in a cache.
    fact named Cache(Cache<'a>),
    /// One call of a language model.
    fact named Call(Call<'a>),
    /// An error outside any stage.
    fact named Error(PipelineError<'a>),
    /// How good a pipeline's data or answers are.
    fact named Score(Score<'a>),
    /// A recording or user session began or ended.
    fact named Session(Session<'a>),
    /// One request to an API.
    fact named Request(Request<'a>),
    /// One database query.
    fact named Query(Query<'a>),
    /// A service's own verdict on itself.
    fact named Check(Check<'a>),
    /// One span of a trace.
    fact named Span(Span<'a>),
    /// One record of a log.
    fact named LogRecord(LogRecord<'a>),
    /// A service sent spans, data points or records.
    news named Export(Export<'a>),
    /// A metric that is declared by a user, or by the line that names it.
    fact named Observation(Observation<'a>),
    /// One reading of the machine.
    fact measured Host(&'a Host),
    /// One reading of the watched processes of one name.
    fact measured Process(&'a ProcessGroup),
    /// One reading of a graphics processor.
    fact measured Gpu(&'a Gpu),
    /// What an acquisition device is.
    news measured Device(Device),
    /// Samples of an acquisition device.
    fact measured Samples(Samples<'a>),
    /// A jump of a device's counter.
    news measured Lost(Lost),
    /// Samples that are missing because packets are.
    news measured LostSamples(LostSamples),
    /// Packets that came more than once.
    news measured Repeated(Repeated),
    /// Packets that came after those that were sent later.
    news measured Overtaken(Overtaken),
    /// Text, or a message, that a device wrote in place of frames.
    fact measured Answer(Answer<'a>),
    /// A message that was understood and holds no samples.
    fact measured ProgramMessage(ProgramMessage),
    /// Whether one electrode touches.
    news measured Contact(Contact),
    /// What a device measured between an electrode and the skin.
    news measured Impedance(Impedance),
    /// A device's own state.
    news measured Vital(Vital),
    /// What passed between a device and the program that records it.
    news measured Tap(&'a Tap<'a>),
    /// The port of a device.
    news measured Port(Port<'a>),
    /// Streams that a network has.
    news measured Streams(Streams),
    /// Whether a stream is there that is expected.
    news measured Expected(Expected<'a>),
    /// What a stream is.
    news measured Stream(Stream<'a>),
    /// A channel, as its stream describes it.
    news measured Channel(Channel<'a>),
    /// How a stream is.
    news measured StreamState(&'a StreamState<'a>),
    /// How a program is that acquires or records.
    fact measured Program(Program<'a>),
    /// How long samples take through a step of a program.
    fact measured Processing(Processing<'a>),
    /// A part of a program that writes files.
    fact measured RecordNode(RecordNode<'a>),
    /// What a program hands on.
    fact measured Output(Output<'a>),
    /// The agent's clock, once a second.
    news measured Tick,
    /// The busiest window of a stage.
    derived named StagePeak(Peak<'a>),
    /// The fullest moment of a queue.
    derived named QueuePeak(Peak<'a>),
    /// What language models used today.
    derived measured Spent(Spent<'a>),
    /// Packets that a device's counter hid.
    derived measured Hidden(Hidden),
    /// How a device streams.
    derived measured Flow(Flow),
    /// How late a device's packets came.
    derived measured Arrivals(Arrivals<'a>),
    /// For how much of the last minutes a device streamed.
    derived measured Stability(Stability),
    /// One second of a channel, judged.
    derived measured Quality(&'a Quality),
    /// One second of a device's signal, judged.
    derived measured Signal(&'a Signal),
}

/// Whether a source is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Configured, not opened yet. Announces the source's series at zero.
    Waiting,
    /// Open and listening, or answering.
    Up,
    /// Gone; what lived with the link is forgotten.
    Down,
}

/// What one read of a source returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes read.
    pub bytes: u64,
    /// Datagrams, or reads of a stream.
    pub reads: u64,
    /// Events that were understood and counted.
    pub events: u64,
}

/// One attempt to ask a polled source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poll {
    /// How long it took.
    pub seconds: f64,
    /// Whether it was answered.
    pub ok: bool,
}

/// A message of a program that was understood and says nothing of its device: a greeting, a header, a message of
/// another kind. Nothing that reads devices reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramMessage {
    /// Bytes it took.
    pub bytes: u64,
}

/// What the kernel says of a receiving socket (`SO_MEMINFO`, `SO_RCVBUF`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketState<'a> {
    /// Where the socket listens, as configured.
    pub listen: &'a str,
    /// Datagrams dropped by the kernel since the last report.
    pub drops: u64,
    /// Receive buffer asked for, bytes.
    pub asked: u64,
    /// Receive buffer granted, bytes, as the kernel accounts them.
    pub granted: u64,
    /// Bytes waiting in the buffer now.
    pub queued: u64,
}

/// News of the clients of a listening source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that ended.
    pub ended: u64,
    /// Connections refused, because the limit was reached.
    pub refused: u64,
}

/// What became of a file of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Textfile<'a> {
    /// Its name.
    pub file: &'a str,
    /// When it was written, in seconds since the epoch, if that can be seen.
    pub written: Option<f64>,
    /// Whether it could be read.
    pub ok: bool,
}

/// Events that were dropped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub events: u64,
}

labels! {
    /// Why events are dropped on purpose. Closed, because it becomes a label.
    DropReason {
        /// The source sends more events per second than its configured limit.
        RateLimit = "rate_limit",
        /// A mapping rule drops them.
        Mapping = "mapping",
    }
}

/// Input that made no sense, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was wrong.
    pub kind: FaultKind,
    /// Bytes it took.
    pub bytes: u64,
}

labels! {
    /// Why a piece of input was rejected. Closed, because it becomes a label.
    FaultKind {
        /// Not in the format at all.
        Syntax = "syntax",
        /// Not UTF-8.
        Encoding = "encoding",
        /// Longer than the limit.
        TooLong = "too_long",
        /// The stream ended inside it.
        Cut = "truncated",
        /// A type of message that does not exist.
        UnknownType = "unknown_type",
        /// A field that must be there is not.
        MissingField = "missing_field",
        /// A field holds what it cannot hold.
        BadValue = "bad_value",
        /// A number is NaN or infinite.
        NotFinite = "not_finite",
        /// A number that cannot be negative is.
        Negative = "negative",
        /// It ended before it began.
        ClockSkew = "clock_skew",
        /// A metric or label name that is not one.
        BadName = "bad_name",
        /// A metric that already exists with another type or other label names, or a sender where another one is.
        Conflict = "conflict",
        /// A metric that would be one too many, or one with too many labels.
        Limit = "limit",
        /// Bytes between the frames of a device.
        Frame = "framing",
        /// A frame whose checksum is wrong.
        Checksum = "checksum",
    }
}
