//! The kinds of sources: one row each. What a kind is and does stands in its own file, behind [`Kind`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::kind::Kind;
use crate::source::lsl;
use crate::source::poller::{exec, gpu, host, probe, process, scrape, textfile};
use crate::source::program::{brainflow, cerebus, fieldtrip, intan, open_ephys, openbci_gui, rda};

pub use crate::source::port::serial::Serial;
pub use crate::source::replay::Replay;
pub use crate::source::socket::jsonl::Jsonl;
pub use crate::source::socket::otlp::Otlp;
pub use crate::source::socket::statsd::{Framing, Gauges, Statsd};

macro_rules! kinds {
    ($($(#[$about:meta])* $key:literal => $kind:ident($settings:ty),)*) => {
        /// One source: its kind, and the settings of that kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub enum Source {
            $($(#[$about])* #[serde(rename = $key)] $kind($settings),)*
        }

        impl Source {
            /// The key of its kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $key,)*
                }
            }

            /// Its settings.
            #[must_use]
            pub fn settings(&self) -> &dyn Kind {
                match self {
                    $(Self::$kind(of) => of,)*
                }
            }

            /// Its settings, to be changed.
            pub(super) fn settings_mut(&mut self) -> &mut dyn Kind {
                match self {
                    $(Self::$kind(of) => of,)*
                }
            }
        }
    };
}

kinds! {
    /// JSON lines from pipelines.
    "jsonl" => Jsonl(Jsonl),
    /// StatsD and DogStatsD.
    "statsd" => Statsd(Statsd),
    /// Metrics, traces and logs by OpenTelemetry, over HTTP and gRPC.
    "otlp" => Otlp(Otlp),
    /// A Prometheus endpoint nearby, asked and passed on.
    "scrape" => Scrape(scrape::Settings),
    /// A folder of files in the text format.
    "textfile" => Textfile(textfile::Settings),
    /// A command whose output is in the text format.
    "exec" => Exec(exec::Settings),
    /// Something that is looked at: an endpoint, a port, a process, a unit, a command, a name.
    "probe" => Probe(probe::Settings),
    /// The machine.
    "host" => Host(host::Settings),
    /// Processes, by name or unit.
    "process" => Process(process::Settings),
    /// Graphics processors.
    "gpu" => Gpu(gpu::Settings),
    /// Lines, or an acquisition device, on a serial port.
    "serial" => Serial(Serial),
    /// Streams of the Lab Streaming Layer.
    "lsl" => Lsl(lsl::Settings),
    /// Intan RHX.
    "intan" => Intan(intan::Settings),
    /// Open Ephys GUI.
    "open_ephys" => OpenEphys(open_ephys::Settings),
    /// A FieldTrip buffer.
    "fieldtrip" => Fieldtrip(fieldtrip::Settings),
    /// BrainVision Recorder, through its Remote Data Access.
    "rda" => Rda(rda::Settings),
    /// The packages that BrainFlow streams to a group.
    "brainflow" => Brainflow(brainflow::Settings),
    /// The packets of a Blackrock Cerebus or Gemini.
    "cerebus" => Cerebus(cerebus::Settings),
    /// What the OpenBCI GUI sends over UDP.
    "openbci_gui" => OpenbciGui(openbci_gui::Settings),
    /// A recording, played again.
    "replay" => Replay(Replay),
}

impl Source {
    /// What runs if no sources are configured.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Jsonl(Jsonl::default()),
            Self::Statsd(Statsd::default()),
            Self::Host(host::Settings::default()),
            Self::Gpu(gpu::Settings::default()),
        ]
    }

    /// Its name: the `source` label.
    #[must_use]
    pub fn name(&self) -> &str {
        self.settings().name()
    }
}
