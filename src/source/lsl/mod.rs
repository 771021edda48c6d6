//! Lab Streaming Layer: finds the streams of this machine or network, and follows those that are wanted.
//!
//! An inlet more costs an outlet one copy and is seen by no other inlet. It is read promptly, asks the outlet to keep
//! little for it, and in the mode `presence` opens no data connection. Nothing is sent but questions; samples are
//! judged here and go nowhere.

mod follow;
mod judged;
mod probe;
mod search;
mod settings;
mod table;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use search::Search;
pub use settings::{Mode, Scope, Settings, StreamFilter};

use super::Feed;
use super::kind::{Kind, Start};
use crate::analysis::quality;
use crate::clock::now;
use crate::decode::lsl::Info;
use crate::document::{Check, Path};
use crate::event::{Body, Expected, Link};
use follow::Follower;
use table::{Responder, Table};
use target::{Liveness, Target};

/// Streams that are followed at once.
const MOST: usize = 256;
/// The time between two looks at what there is to do.
const BEAT: Duration = Duration::from_millis(500);
/// Beats that are the first seconds.
const FIRST: u64 = 10;
/// Questions in which a stream that ended is looked for in haste: some seconds, for a program that is restarted.
const HASTE: u64 = 10;
/// Beats from one question to the next in the first seconds and where a stream just ended. A question wakes every outlet of the
/// machine.
const PACE_FIRST: u64 = 2;
/// The same where a stream is missing.
const PACE_MISSING: u64 = 4;
/// The same otherwise.
const PACE: u64 = 8;
/// Questions after which every outlet that is there has answered.
const ANSWERED: u64 = 5;
/// Questions after which a stream that is gone and not expected is forgotten: some ten minutes, as one is missing.
const FORGOTTEN: u64 = 300;

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        format!("session {}", self.session)
    }

    fn signal(&self) -> Option<&quality::Settings> {
        Some(&self.signal)
    }

    /// Names are searched for, and become labels.
    fn check(&self, check: &mut Check<'_>, path: &Path) {
        for (key, names) in [("expect", &self.expect), ("known_peers", &self.known_peers)] {
            for (index, name) in names.iter().enumerate() {
                let path = path.key(key).item(index);
                check.label(&path, name);
                if names.iter().take(index).any(|other| other == name) {
                    check.wrong(&path, format!("\"{name}\" is there already"));
                }
            }
        }
        check.label(&path.key("session"), &self.session);
        if self.session.contains('\'') && self.session.contains('"') {
            check.wrong(&path.key("session"), "a session name cannot contain both kinds of quotes");
        }
    }

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Looks for streams and follows them until it is cancelled.
///
/// # Errors
/// The socket for questions cannot be opened.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let search = Search::open(&settings).map_err(|why| format!("cannot search for streams: {why}"))?;
    feed.send(Body::Link(Link::Up));
    let mut watcher = Watcher {
        search,
        followed: Vec::new(),
        feeds: HashMap::new(),
        missing: Vec::new(),
        tasks: JoinSet::new(),
        stop: stop.child_token(),
        settings,
        feed,
    };
    watcher.settle();
    watcher.watch(&stop).await;
    watcher.stop.cancel();
    while watcher.tasks.join_next().await.is_some() {}
    watcher.feeds.values().for_each(Feed::retire);
    Ok(())
}

/// What finds streams and keeps those that follow them.
struct Watcher {
    settings: Settings,
    feed: Feed,
    search: Search,
    followed: Vec<Followed>,
    /// Of every stream that was followed and is not forgotten, by its name as a source.
    feeds: HashMap<String, Feed>,
    /// Expected streams that the log called missing.
    missing: Vec<String>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// A stream that is followed, there or not.
struct Followed {
    /// What it is; its start may be an older one.
    info: Info,
    /// The values of its labels.
    stream: String,
    host: String,
    /// Its name as a source.
    name: String,
    target: watch::Sender<Option<Arc<Target>>>,
    liveness: Arc<Liveness>,
    /// When it was last there.
    round: u64,
    stop: CancellationToken,
}

impl Followed {
    /// Whether it is where this start of a stream is.
    fn is_at(&self, uid: &str) -> bool {
        self.target.borrow().as_ref().is_some_and(|target| target.info.uid == uid)
    }

    /// Whether it ended a moment ago.
    fn just_ended(&self, round: u64) -> bool {
        self.liveness.is_over() && round < self.round + HASTE
    }

    /// Whether what it followed is gone: known to be, or silent while another start of it answers, which tells more
    /// where it has an id of its own.
    fn is_left(&self, table: &Table, round: u64) -> bool {
        let target = self.target.borrow();
        let Some(target) = &*target else { return true };
        let silent = table.get(&target.info.uid).is_none_or(|heard| heard.round < round);
        silent && !self.liveness.is_alive() && !target.info.source_id.is_empty()
    }
}

impl Watcher {
    async fn watch(&mut self, stop: &CancellationToken) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut beat, mut since) = (0_u64, u64::MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beats.tick() => {
                    since = since.saturating_add(1);
                    if since == 1 {
                        self.settle();
                    } else if beat < FIRST && since >= PACE_FIRST || since >= self.pace() {
                        self.search.send_query().await;
                        since = 0;
                    }
                    beat += 1;
                }
                fault = self.search.receive() => {
                    if let Some(fault) = fault {
                        self.feed.send(Body::Fault(fault));
                    }
                }
            }
        }
    }

    /// Beats from the last question to the next.
    fn pace(&self) -> u64 {
        let (table, round) = (self.search.table(), self.search.round());
        let gone = |one: &Followed| one.target.borrow().is_none();
        if self.followed.iter().any(|one| one.just_ended(round)) {
            PACE_FIRST
        } else if table.all().iter().any(|heard| heard.round < round)
            || self.followed.iter().any(gone)
            || self.settings.expect.iter().any(|name| !table.has(name))
        {
            PACE_MISSING
        } else {
            PACE
        }
    }

    /// Makes of the answers what is to be followed.
    fn settle(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        let Self { search, followed, .. } = self;
        let round = search.round();
        let table = search.table_mut();
        for one in followed.iter().filter(|one| one.liveness.is_over()) {
            // Nobody listens where the stream was: a new start of it needs not wait.
            if let Some(target) = &*one.target.borrow()
                && table.get(&target.info.uid).is_some_and(|heard| heard.round < round)
            {
                table.remove(&target.info.uid);
            }
        }
        table.forget(round, |uid| followed.iter().any(|one| one.liveness.is_alive() && one.is_at(uid)));
        for one in followed.iter_mut() {
            let Some(target) = one.target.borrow().clone() else { continue };
            let heard = table.get(&target.info.uid);
            if heard.is_some() {
                one.round = round;
            }
            let from = heard.map(|heard| heard.from);
            if from != Some(target.from) {
                let moved = from.map(|from| Arc::new(Target { info: target.info.clone(), from }));
                drop(one.target.send_replace(moved));
            }
        }
        let refused = self.admit();
        self.say();
        let expect = &self.settings.expect;
        let table = self.search.table();
        self.feed.batch(now(), |out| {
            out(Body::Streams(table.count(refused)));
            for stream in expect {
                out(Body::Expected(Expected { stream, present: table.has(stream) }));
            }
        });
        self.forget();
    }

    /// Says in the log which expected streams came and went.
    fn say(&mut self) {
        let table = self.search.table();
        for stream in &self.settings.expect {
            let place = self.missing.iter().position(|missing| missing == stream);
            match place {
                Some(place) if table.has(stream) => {
                    self.missing.swap_remove(place);
                    say!(self.feed, info, "an expected stream is present", stream);
                }
                None if !table.has(stream) && self.search.round() > ANSWERED => {
                    self.missing.push(stream.clone());
                    say!(self.feed, warn, "an expected stream is missing", stream);
                }
                _ => {}
            }
        }
    }

    /// Gives each stream that nobody follows to someone, and says how many are too many.
    fn admit(&mut self) -> usize {
        let mut refused = 0;
        let round = self.search.round();
        let nobodys = |uid: &str| !self.followed.iter().any(|one| one.is_at(uid));
        let wanted = |heard: &Responder| {
            let mode = self.settings.wants(&heard.info).filter(|_| nobodys(&heard.info.uid))?;
            Some((heard.info.clone(), heard.from, mode))
        };
        let mut new: Vec<_> = self.search.table().all().iter().filter_map(wanted).collect();
        // Of several of one name each has the same number after it at each start of the agent.
        new.sort_by(|one, other| one.0.lasting().cmp(&other.0.lasting()));
        for (info, from, mode) in new {
            let target = Some(Arc::new(Target { info: info.clone(), from }));
            let table = self.search.table();
            let left = |one: &&mut Followed| one.is_left(table, round);
            let mut vacant: Vec<_> = self.followed.iter_mut().filter(left).collect();
            if let Some(one) = vacant.iter_mut().find(|one| one.info.is_as(&info)) {
                one.round = round;
                one.liveness.begin();
                let before = one.target.send_replace(target);
                if let Some(before) = before {
                    self.search.table_mut().remove(&before.info.uid);
                }
                continue;
            }
            // One that came back with other channels or another rate keeps its name, and so does one whose program makes up
            // a new id at each start, if there is no doubt which it was.
            let mut kept = None;
            let mut named = vacant.iter_mut().filter(|one| one.info.is_called_as(&info));
            let one = match (named.next(), named.next()) {
                (Some(only), None) => Some(only),
                _ => vacant.iter_mut().find(|one| one.info.replaces(&info)),
            };
            if let Some(one) = one {
                one.stop.cancel();
                let (name, before) = (one.name.clone(), one.target.send_replace(None));
                kept = Some((one.stream.clone(), one.host.clone()));
                // Its follower ends without a word, and what it said that it is no longer holds.
                if let Some(feed) = self.feeds.get(&name) {
                    feed.send(Body::Link(Link::Down));
                }
                self.followed.retain(|one| one.name != name);
                if let Some(before) = before {
                    self.search.table_mut().remove(&before.info.uid);
                }
            }
            let room = self.followed.len() < MOST && {
                let labels = kept.unwrap_or_else(|| self.labels(&info));
                self.follow(info, labels, mode, target)
            };
            refused += usize::from(!room);
        }
        refused
    }

    /// The values of the labels `stream` and `machine` of a stream that is new.
    fn labels(&self, info: &Info) -> (String, String) {
        let host = if self.search.table().is_elsewhere(info) { info.hostname.clone() } else { String::new() };
        let taken = |stream: &str| self.followed.iter().any(|one| one.stream == stream && one.host == host);
        let mut stream = info.name.clone();
        let mut number = 2;
        while taken(&stream) {
            stream = format!("{}#{number}", info.name);
            number += 1;
        }
        (stream, host)
    }

    /// Follows a stream; says no if its name is one too many.
    fn follow(
        &mut self,
        info: Info,
        (stream, host): (String, String),
        mode: Mode,
        target: Option<Arc<Target>>,
    ) -> bool {
        let at = if host.is_empty() { String::new() } else { format!("@{host}") };
        let name = format!("{}/{stream}{at}", self.settings.name);
        let Some(feed) = self.feed.found(&name) else { return false };
        self.feeds.insert(name.clone(), feed.clone());
        let (sender, receiver) = watch::channel(target);
        let (liveness, stop) = (Arc::new(Liveness::default()), self.stop.child_token());
        let follower = Follower {
            source: self.settings.name.clone(),
            stream: stream.clone(),
            host: host.clone(),
            mode,
            read_blocking: self.settings.read_blocking,
            signal: self.settings.signal.clone(),
            target: receiver,
            liveness: liveness.clone(),
            feed,
        };
        let ended = stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // Once it is ended it says nothing more.
                biased;
                () = ended.cancelled() => {}
                () = follower.run() => {}
            }
        });
        say!(self.feed, info, "a stream is present", stream, host = info.hostname);
        self.followed.push(Followed {
            info,
            stream,
            host,
            name,
            target: sender,
            liveness,
            round: self.search.round(),
            stop,
        });
        true
    }

    /// Lets go of streams that are long gone.
    fn forget(&mut self) {
        let Self { followed, feeds, settings, search, .. } = self;
        let round = search.round();
        followed.retain(|one| {
            let keep = round < one.round + FORGOTTEN || settings.expect.contains(&one.info.name);
            if !keep {
                one.stop.cancel();
                if let Some(feed) = feeds.remove(&one.name) {
                    feed.retire();
                }
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_ended_is_not_in_haste_for_ever() {
        let liveness = Arc::new(Liveness::default());
        let (target, _) = watch::channel(None);
        let (info, stream, host, name) = Default::default();
        let stop = CancellationToken::new();
        let one = Followed { info, stream, host, name, target, liveness: liveness.clone(), round: 100, stop };
        assert!(!one.just_ended(101));
        liveness.end();
        let haste = (100..100 + FORGOTTEN).filter(|round| one.just_ended(*round)).count() as u64;
        assert_eq!(haste, HASTE);
    }
}
