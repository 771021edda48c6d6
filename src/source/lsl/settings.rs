//! Which streams are followed, how closely, and where they are looked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::quality;
use crate::decode::lsl::Info;

/// Streams of the Lab Streaming Layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// How far away streams are looked for. Beyond this machine, the question goes out by broadcast and multicast.
    pub scope: Scope,
    /// Machines that are queried by name or IPv4 address, whatever the scope.
    pub known_peers: Vec<String>,
    /// The session that streams must belong to.
    pub session: String,
    /// The streams that are followed; all of them if there is nothing here.
    pub streams: Vec<StreamFilter>,
    /// How closely streams are followed.
    pub mode: Mode,
    /// Whether samples are read of streams whose outlet makes its program wait for each reader, too (liblsl's
    /// `transp_sync_blocking`, known from 1.18 on): when the agent stands still, that program does. Without this it is
    /// looked whether such a stream is there, and what its clock shows.
    pub read_blocking: bool,
    /// Names of streams that should be there.
    pub expect: Vec<String>,
    /// How the signal of a stream is judged.
    pub signal: quality::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "lsl".to_owned(),
            scope: Scope::default(),
            known_peers: Vec::new(),
            session: "default".to_owned(),
            streams: Vec::new(),
            mode: Mode::default(),
            read_blocking: false,
            expect: Vec::new(),
            signal: quality::Settings::default(),
        }
    }
}

/// How far away streams are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// On this machine.
    #[default]
    Machine,
    /// Also on the same network.
    Link,
    /// Also behind the routers of the site.
    Site,
}

/// How closely a stream is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every sample is read and judged.
    #[default]
    Full,
    /// Five seconds of each minute are read and judged; samples are not counted.
    Decimate,
    /// Markers and what else has no rate is read; of other streams it is looked whether they are there.
    Markers,
    /// Only the presence and the clock of the stream are monitored; no samples are read.
    Presence,
}

impl Mode {
    /// The mode for one stream.
    #[must_use]
    pub(super) fn of(self, info: &Info) -> Self {
        let comes_when_it_comes = info.rate <= 0.0;
        match self {
            Self::Markers if comes_when_it_comes => Self::Full,
            Self::Markers => Self::Presence,
            // Of what comes now and then a look would see nothing.
            Self::Decimate if comes_when_it_comes => Self::Full,
            mode => mode,
        }
    }
}

/// Streams that are followed: those of which everything is true that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamFilter {
    /// The stream's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its content type, such as `EEG`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The source id that its program gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// The machine that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How many channels a sample of it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// How closely it is followed, if not as the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

impl StreamFilter {
    fn admits(&self, info: &Info) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        same(&self.name, &info.name)
            && same(&self.kind, &info.kind)
            && same(&self.source_id, &info.source_id)
            && same(&self.hostname, &info.hostname)
            && self.channels.is_none_or(|channels| channels == info.channels)
    }
}

impl Settings {
    /// How closely a stream is followed; `None` if it is not.
    #[must_use]
    pub fn wants(&self, info: &Info) -> Option<Mode> {
        let mode = match self.streams.iter().find(|wanted| wanted.admits(info)) {
            Some(wanted) => wanted.mode.unwrap_or(self.mode),
            None if self.streams.is_empty() => self.mode,
            None => return None,
        };
        Some(mode.of(info))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted() {
        let stream = |name: &str, kind: &str, rate| Info {
            name: name.to_owned(),
            kind: kind.to_owned(),
            rate,
            ..Info::default()
        };
        let eeg = stream("a", "EEG", 250.0);
        let mut settings = Settings::default();
        assert_eq!(settings.wants(&eeg), Some(Mode::Full));
        let kind = Some("EEG".to_owned());
        settings.streams =
            vec![StreamFilter { kind: kind.clone(), mode: Some(Mode::Decimate), ..StreamFilter::default() }];
        assert_eq!(settings.wants(&eeg), Some(Mode::Decimate));
        assert_eq!(settings.wants(&stream("a", "Gaze", 250.0)), None);
        settings.streams[0].name = Some("b".to_owned());
        assert_eq!(settings.wants(&eeg), None);
        settings = Settings { mode: Mode::Markers, ..Settings::default() };
        assert_eq!(settings.wants(&eeg), Some(Mode::Presence));
        assert_eq!(settings.wants(&stream("m", "Markers", 0.0)), Some(Mode::Full));
    }
}
