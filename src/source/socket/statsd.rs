//! StatsD and DogStatsD, over sockets.

use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jsonl::{Jsonl, listening, options};
use super::{NewDecoder, Options};
use crate::decode::text::frame::{FRAME_BYTES, Frames};
use crate::decode::text::mapping::{self, Mapper};
use crate::decode::text::statsd::{self, Statsd as LineDecoder};
use crate::decode::{self, Decoder, Protocol};
use crate::document::{Check, Path, Problem};
use crate::listen::{Bytes, Listen, Many, Mode};
use crate::quote::{plain, quote};
use crate::source::kind::{Context, Kind, Prepared, Start};
use crate::source::record::Recorded;
use crate::sys::file;

/// Bytes a mapping file may have.
const MAPPING: u64 = 16 << 20;

listening! {
    /// StatsD and DogStatsD.
    pub struct Statsd {
        /// Where it listens.
        listen,
        /// Rules from names to metrics and labels, in the form of statsd_exporter's mapping file.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub mapping: Option<PathBuf>,
        /// Whether tags are read as DogStatsD writes them: `name:1|c|#tag:value`.
        pub dogstatsd_tags: bool,
        /// Whether tags are read as Librato writes them: `name#tag=value:1|c`.
        pub librato_tags: bool,
        /// Whether tags are read as InfluxDB writes them: `name,tag=value:1|c`.
        pub influxdb_tags: bool,
        /// Whether tags are read as SignalFx writes them: `name[tag=value]:1|c`.
        pub signalfx_tags: bool,
        /// What a sign before a gauge's value means.
        pub gauges: Gauges,
        /// How lines are separated in a stream.
        pub stream_framing: Framing,
    }
}

impl Default for Statsd {
    fn default() -> Self {
        let Jsonl { mode, group, receive_buffer, connections, events_per_second, line_bytes, .. } =
            Jsonl::default();
        Self {
            name: "statsd".to_owned(),
            listen: Many(vec![Listen::Udp(std::net::SocketAddr::from(([127, 0, 0, 1], 8125)))]),
            mode,
            group,
            receive_buffer,
            connections,
            events_per_second,
            line_bytes,
            mapping: None,
            dogstatsd_tags: true,
            librato_tags: true,
            influxdb_tags: true,
            signalfx_tags: true,
            gauges: Gauges::Signed,
            stream_framing: Framing::Lines,
        }
    }
}

/// What a sign before a gauge's value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gauges {
    /// `+1` and `-1` move the gauge.
    #[default]
    Signed,
    /// `-1` sets it to -1.
    Absolute,
}

/// How messages are separated in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A message ends with its line.
    #[default]
    Lines,
    /// Four bytes, little endian, say how long each packet is, as DogStatsD does on Unix streams.
    Length,
}

impl Kind for Statsd {
    fn name(&self) -> &str {
        &self.name
    }

    fn listen_addresses(&self) -> Vec<Listen> {
        self.listen.to_vec()
    }

    fn options(&self, context: &Context) -> Option<Options> {
        Some(options(self.receive_buffer, self.mode, self.group.as_ref(), self.connections, context))
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.mapping.iter_mut().collect()
    }

    fn check(&self, check: &mut Check<'_>, path: &Path) {
        if let (Some(folder), Some(file)) = (check.folder, &self.mapping) {
            let at = path.key("mapping");
            for problem in mapping_problems(&folder.join(file)) {
                // What is wrong in the file has its place there, a missing file the place of its name here.
                let Problem { file, message, line, .. } = &problem;
                let named = check.document.problem(&at, format!("{file}: {message}"));
                check.problems.push(if *line > 0 { problem } else { named });
            }
        }
        if self.listen.is_empty() {
            *check.wrong(&path.key("listen"), "the source listens nowhere") =
                Some("name an address such as udp://127.0.0.1:8125, or remove the source".to_owned());
        }
    }

    fn context(&self, all: &Context) -> Context {
        all.of_socket()
    }

    /// Reads the mapping file, and says in the log what of it has no effect here.
    fn prepare(&self) -> Result<Prepared, String> {
        let Some(path) = &self.mapping else { return Ok(Prepared::Nothing) };
        let (mapper, notes) = read_mapping(&self.name, path)?;
        for note in notes {
            tracing::warn!(source = self.name, mapping = %path.display(), "{}", quote(note));
        }
        Ok(Prepared::Mapping(Arc::new(mapper)))
    }

    fn rereads_files(&self) -> bool {
        true
    }

    fn recorded(&self) -> Option<Recorded> {
        let protocol = match self.stream_framing {
            Framing::Lines => Protocol::Statsd,
            Framing::Length => Protocol::StatsdFrames,
        };
        let (name, protocol) = (self.name.clone(), protocol.name().to_owned());
        Some(Recorded { name, protocol, board: decode::Options::default() })
    }

    fn start(&self, start: Start) {
        let settings = self.decoder_settings(start.context.line_bytes);
        let framing = self.stream_framing;
        start.listen(self.events_per_second, |stream| {
            let (settings, mapper) = (settings.clone(), start.mapper.clone());
            let framed = stream && framing == Framing::Length;
            let new_decoder: Arc<NewDecoder> = Arc::new(move || -> Box<dyn Decoder> {
                let decoder = LineDecoder::new(&settings, mapper.clone());
                if framed { Box::new(Frames::new(decoder, FRAME_BYTES)) } else { Box::new(decoder) }
            });
            new_decoder
        });
    }
}

impl statsd::Rules for Arc<ArcSwap<Mapper>> {
    fn current(&self) -> Arc<Mapper> {
        self.load_full()
    }
}

impl Statsd {
    /// What of the mapping file has no effect here. Its mistakes are those of the configuration.
    #[must_use]
    pub fn mapping_notes(&self) -> Vec<String> {
        let Some(path) = &self.mapping else { return Vec::new() };
        let notes = read_mapping(&self.name, path).map(|(_, notes)| notes).unwrap_or_default();
        notes.into_iter().map(|note| format!("{}: {note}", path.display())).collect()
    }

    fn decoder_settings(&self, line_bytes: usize) -> statsd::Settings {
        statsd::Settings {
            mapping: None,
            dogstatsd_tags: self.dogstatsd_tags,
            librato_tags: self.librato_tags,
            influxdb_tags: self.influxdb_tags,
            signalfx_tags: self.signalfx_tags,
            gauges: match self.gauges {
                Gauges::Signed => statsd::Gauges::Signed,
                Gauges::Absolute => statsd::Gauges::Absolute,
            },
            line_bytes: self.line_bytes.unwrap_or(line_bytes),
        }
    }
}

/// The mapping rules in a file, and what of it has no effect here.
fn read_mapping(source: &str, path: &File) -> Result<(Mapper, Vec<String>), String> {
    let shown = path.display();
    let text = file::text(path, MAPPING)
        .map_err(|e| format!("cannot read the mapping of source {source}, {shown}: {}", plain(&e)))?;
    Mapper::parse(&text).map_err(|problems| {
        let line = |p: &mapping::Problem| match (p.line, p.column) {
            (Some(line), Some(column)) => format!("{shown}:{line}:{column}: {}", p.message),
            (Some(line), None) => format!("{shown}:{line}: {}", p.message),
            _ => format!("{shown}: {}", p.message),
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// What is wrong with a mapping file.
fn mapping_problems(path: &File) -> Vec<Problem> {
    let file = path.display().to_string();
    let text = match file::text(path, MAPPING) {
        Ok(text) => text,
        Err(why) => return vec![Problem::of_file(&file, format!("cannot read the file: {why}"))],
    };
    let of = |p: &mapping::Problem| Problem {
        line: p.line.unwrap_or(0),
        column: p.column.unwrap_or(0),
        ..Problem::of_file(&file, p.message.clone())
    };
    Mapper::parse(&text).err().iter().flatten().map(of).collect()
}
