//! Streams for `devices`: which there are, what they carry and from where.
//!
//! Asks for them as the agent does, and connects to none. What a stream says of itself comes from the network: it is
//! printed without anything that moves a cursor.

use serde::Serialize;

use super::look;
use crate::alert::health::Status;
use crate::decode::lsl::Info;
use crate::source::lsl::{Scope, Search, Settings, StreamFilter};

/// Letters of a stream's name that are in that of its source.
const NAMED: usize = 40;

/// Which streams are looked for.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Look for no streams.
    #[arg(long)]
    no_streams: bool,
    /// How far away streams are looked for; beyond this machine by broadcast and multicast.
    #[arg(long, value_enum, default_value_t)]
    scope: Scope,
    /// The session that streams must belong to.
    #[arg(long, value_name = "NAME", default_value = "default")]
    session: String,
}

impl Options {
    /// A way to look for them. `None` if they are not wanted, or there is no network at all.
    pub(super) fn search(&self) -> Option<Search> {
        if self.no_streams {
            return None;
        }
        let settings = Settings { scope: self.scope, session: self.session.clone(), ..Settings::default() };
        match Search::open(&settings) {
            Ok(search) => Some(search),
            Err(error) => {
                super::complain(&format!("cannot search for streams: {error}"));
                None
            }
        }
    }
}

/// One stream, as JSON tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Stream {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// The machine it is on, in its own words, and where its answer came from.
    host: String,
    address: String,
    channels: u16,
    format: &'static str,
    /// Samples per second; 0 if they come when they come.
    rate: f64,
    source_id: String,
    session: String,
    protocol: String,
    /// New with each start.
    uid: String,
    /// A source for the configuration.
    config: String,
    /// Its name.
    #[serde(skip)]
    source: String,
    /// What finds it, and no other.
    #[serde(skip)]
    wanted: StreamFilter,
    /// How far away it was looked for.
    #[serde(skip)]
    scope: Scope,
}

impl Stream {
    fn of(info: &Info, address: &str, scope: Scope) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let name: String = info.name.chars().take(NAMED).map(plain).collect();
        Self {
            name: info.name.clone(),
            kind: info.kind.clone(),
            host: info.hostname.clone(),
            address: address.to_owned(),
            channels: info.channels,
            format: info.format.name(),
            rate: info.rate,
            source_id: info.source_id.clone(),
            session: info.session.clone(),
            protocol: format!("{}.{:02}", info.version / 100, info.version % 100),
            uid: info.uid.clone(),
            config: String::new(),
            source: String::new(),
            wanted: StreamFilter { name: Some(info.name.clone()), ..StreamFilter::default() },
            scope,
        }
        .called(&format!("lsl_{name}"))
    }

    /// With this name in the configuration.
    fn called(mut self, source: &str) -> Self {
        let mut named =
            serde_json::json!({ "name": source, "session": self.session, "streams": [self.wanted] });
        if let (Some(named), true) = (named.as_object_mut(), self.scope != Scope::default()) {
            // Without it the agent would not look where this was found.
            named.insert("scope".to_owned(), serde_json::json!(self.scope));
        }
        // JSON is YAML, and has its quotes right.
        self.config = format!("- lsl: {named}");
        self.source = source.to_owned();
        self
    }

    /// The source for the configuration.
    pub(super) fn config(&self) -> &str {
        &self.config
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let Self { name, kind, channels, format, rate, .. } = self;
        let (kind, many) =
            (if kind.is_empty() { "no type" } else { kind }, if *channels == 1 { "" } else { "s" });
        let rate = if *rate > 0.0 { format!("{rate} Hz") } else { "no rate".to_owned() };
        plain(&format!("{name}  {kind}, {channels} channel{many}, {format}, {rate}"))
    }
}

/// The streams that answered, in the order in which the agent numbers those of one name.
pub(super) fn streams(search: &Search) -> Vec<Stream> {
    let mut found: Vec<_> = search.found().collect();
    found.sort_by(|one, other| one.0.lasting().cmp(&other.0.lasting()));
    let scope = search.scope();
    apart(found.into_iter().map(|(info, from)| Stream::of(info, &from.to_string(), scope)).collect())
}

/// Says what is odd about what streams say of themselves, and who says it: some are not listed for it.
pub(super) fn complain(search: &Search) {
    for (from, odd) in search.odd() {
        super::complain(&format!("the stream description of {from} has errors: {odd}"));
    }
}

/// Gives each stream a source of its own whose line finds it alone: all lines together are a configuration. Streams
/// that nothing lasting tells apart have the same line.
fn apart(found: Vec<Stream>) -> Vec<Stream> {
    let wanted: Vec<StreamFilter> = found.iter().map(|stream| stream.alone(&found)).collect();
    let mut apart: Vec<Stream> = Vec::new();
    for (stream, wanted) in found.into_iter().zip(wanted) {
        let stream = Stream { wanted, ..stream };
        let mut names = (0_u32..).map(|number| match number {
            0 => stream.source.clone(),
            _ => format!("{}_{}", stream.source, number + 1),
        });
        let other = |one: &Stream| (&one.wanted, &one.session) != (&stream.wanted, &stream.session);
        let free = |name: &String| !apart.iter().any(|one| one.source == *name && other(one));
        let name = names.find(free).unwrap_or_default();
        apart.push(stream.called(&name));
    }
    apart
}

impl Stream {
    /// What finds this one and none of the others: its name, and as much more as it takes, of what stays before what
    /// may change.
    fn alone(&self, found: &[Self]) -> StreamFilter {
        let mut wanted = StreamFilter { name: Some(self.name.clone()), ..StreamFilter::default() };
        let mut others: Vec<&Self> = found
            .iter()
            .filter(|other| {
                (&other.name, &other.session) == (&self.name, &self.session) && other.uid != self.uid
            })
            .collect();
        let mut narrow = |same: fn(&Self, &Self) -> bool| {
            let before = others.len();
            others.retain(|other| same(other, self));
            others.len() < before
        };
        if narrow(|one, other| one.source_id == other.source_id) {
            wanted.source_id = Some(self.source_id.clone());
        }
        if narrow(|one, other| one.host == other.host) {
            wanted.hostname = Some(self.host.clone());
        }
        if narrow(|one, other| one.kind == other.kind) {
            wanted.kind = Some(self.kind.clone());
        }
        if narrow(|one, other| one.channels == other.channels) {
            wanted.channels = Some(self.channels);
        }
        wanted
    }
}

/// One stream, as people read it.
pub(super) fn table(stream: &Stream) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: &str| rows.push((name.to_owned(), plain(value)));
    row("host", &format!("{} ({}), protocol {}", stream.host, stream.address, stream.protocol));
    let none = "none; after a restart it cannot be recognised";
    row("source id", if stream.source_id.is_empty() { none } else { &stream.source_id });
    row("config", &stream.config);
    let summary = stream.summary();
    let (name, what) = summary.split_once("  ").unwrap_or((&summary, ""));
    look::block(Status::Healthy, name, what, &rows)
}

/// What is said where no stream answered.
pub(super) const NOTHING: &str = "no LSL stream answered; --scope link searches the network as well\n";

/// What happened to a stream.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change<'a> {
    change: &'static str,
    stream: &'a Stream,
}

/// What changed between two looks. A start of a stream never changes.
pub(super) fn changes<'a>(before: &'a [Stream], now: &'a [Stream]) -> Vec<Change<'a>> {
    let without = |some: &'a [Stream], others: &'a [Stream], change| {
        let new = some.iter().filter(|one| !others.iter().any(|other| other.uid == one.uid));
        new.map(move |stream| Change { change, stream })
    };
    without(before, now, "left").chain(without(now, before, "appeared")).collect()
}

/// One change as a line.
pub(super) fn line(change: &Change<'_>, json: bool) -> String {
    let Change { change: what, stream } = change;
    if json {
        return serde_json::to_string(change).unwrap_or_default() + "\n";
    }
    format!("{what:8} {}; on {}\n", stream.summary(), plain(&stream.host))
}

/// The text with what steers a terminal written out.
fn plain(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::lsl::Format;

    fn stream(name: &str, uid: &str) -> Stream {
        let info = Info {
            name: name.into(),
            kind: "EEG".into(),
            channels: 8,
            format: Format::Float32,
            rate: 250.0,
            version: 110,
            uid: uid.into(),
            session: "default".into(),
            hostname: "lab".into(),
            ..Info::default()
        };
        Stream::of(&info, "10.0.0.5", Scope::Machine)
    }

    #[test]
    fn a_stream_is_described_and_steers_no_terminal() {
        let text = table(&stream("bad\u{1b}[2J\n\"name\"", "1"));
        for part in
            ["bad\\u{1b}[2J\\n\"name\"  EEG, 8 channels, float32, 250 Hz", "lab (10.0.0.5), protocol 1.10"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text.lines().count(), 4, "{text}");
        let marks = Stream { rate: 0.0, channels: 1, kind: String::new(), ..stream("marks", "1") };
        assert_eq!(marks.summary(), "marks  no type, 1 channel, float32, no rate");
    }

    #[test]
    fn what_is_suggested_can_be_read() {
        for name in ["EEG", "a \"b\": {c}, 'd'#", "ümlaut"] {
            let text = format!("sources:\n  {}\n", stream(name, "1").config);
            let config = crate::config::parse("config.yml", &text).unwrap_or_else(|e| panic!("{text}{e:?}"));
            assert_eq!(config.sources.len(), 1, "{text}");
        }
        let all = ["EEG", "eeg", "Gaze L", "\u{8111}\u{7535}", "\u{808c}\u{7535}", ""]
            .map(|name| stream(name, "1"));
        let lines: String = apart(all.into()).iter().map(|one| format!("  {}\n", one.config)).collect();
        let text = format!("sources:\n{lines}");
        let config = crate::config::parse("config.yml", &text).unwrap_or_else(|e| panic!("{text}{e:?}"));
        assert_eq!(config.sources.len(), 6, "{text}");
        let twice = apart(vec![stream("EEG", "1"), stream("EEG", "2")]);
        assert_eq!(twice[0].config, twice[1].config);
        assert!(twice[0].config.contains("\"lsl_eeg\""), "{}", twice[0].config);
    }

    #[test]
    fn each_line_finds_exactly_one_where_it_was_found() {
        use crate::source::lsl::Mode;
        let info = |source_id: &str, kind: &str, channels, hostname: &str, uid: &str| Info {
            name: "user1".into(),
            kind: kind.into(),
            channels,
            rate: 250.0,
            uid: uid.into(),
            session: "default".into(),
            source_id: source_id.into(),
            hostname: hostname.into(),
            ..Info::default()
        };
        let all = [
            info("a", "EEG", 8, "lab", "1"),
            info("b", "EEG", 8, "lab", "2"),
            info("b", "EEG", 8, "office", "3"),
            info("b", "Gaze", 8, "lab", "4"),
            info("", "EEG", 8, "lab", "5"),
            info("", "EEG", 4, "lab", "6"),
            Info { name: "other".into(), ..info("a", "EEG", 8, "lab", "7") },
        ];
        let lines = |scope, order: &[usize]| {
            let mut found: Vec<_> = order.iter().map(|at| &all[*at]).collect();
            found.sort_by(|one, other| one.lasting().cmp(&other.lasting()));
            apart(found.into_iter().map(|info| Stream::of(info, "10.0.0.5", scope)).collect())
        };
        let message = lines(Scope::Link, &[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(message, lines(Scope::Link, &[6, 5, 4, 3, 2, 1, 0]), "in whatever order they answer");
        let text: String = message.iter().map(|one| format!("  {}\n", one.config)).collect();
        let config = crate::config::parse("config.yml", &format!("sources:\n{text}")).unwrap();
        assert_eq!(config.sources.len(), all.len(), "{text}");
        for stream in &message {
            let settings: Settings = {
                let line = stream.config.strip_prefix("- lsl: ").unwrap();
                serde_json::from_str(line).unwrap()
            };
            assert_eq!(settings.scope, Scope::Link, "{}", stream.config);
            let finds: Vec<&str> = all
                .iter()
                .filter(|info| settings.wants(info) == Some(Mode::Full))
                .map(|info| &*info.uid)
                .collect();
            assert_eq!(finds, [&*stream.uid], "{}", stream.config);
        }
        // What is found without looking far has no need to say so, and one of its name no need of more.
        let plain = lines(Scope::Machine, &[6])[0].config.clone();
        assert!(!plain.contains("scope") && !plain.contains("source_id"), "{plain}");
    }

    #[test]
    fn a_restart_is_two_changes() {
        let (old, new) = ([stream("a", "1"), stream("b", "2")], [stream("a", "3"), stream("b", "2")]);
        let all = changes(&old, &new);
        assert_eq!(
            all.iter().map(|c| (c.change, &*c.stream.uid)).collect::<Vec<_>>(),
            [("left", "1"), ("appeared", "3")]
        );
        assert!(line(&all[0], true).starts_with("{\"change\":\"left\",\"stream\":{"));
        assert!(line(&all[1], false).starts_with("appeared a  EEG, 8 channels"));
    }
}
