//! The sessions that are known: which are open, and how those of before ended. Bounded in number and bytes.

use super::{Filed, Origin, Session, SessionNotice, State, plain};
use crate::event::{Jump, SessionStep, Timestamp};

/// Sessions that are open at once; beyond, the oldest is given up.
const OPEN: usize = 64;
/// Sessions that are known; beyond, the oldest goes.
const KNOWN: usize = 1_000;
/// Bytes of what a session says, all in all; beyond, the oldest goes.
const BYTES: usize = 512 << 10;
/// What a session takes beside its texts, in bytes, as it is written.
const EACH: usize = 250;
/// How long what is looked at has to be gone before its session has ended, ns: a stream that comes back at once never went.
const GONE: u64 = 10_000_000_000;
/// The same for what was open before a restart: sources take some time to find it again.
const GONE_AT_START: u64 = 60_000_000_000;
/// The shortest begin of an id that finds it.
const SHORT: usize = 6;

/// What opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession<'a> {
    /// Who says so.
    pub origin: Origin,
    /// The pipeline, source or stream.
    pub of: &'a str,
    /// What people call it; that of the pipeline, source or stream if it is empty.
    pub name: &'a str,
}

/// Which sessions are asked for. What is empty restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// In one of these states.
    pub states: Vec<State>,
    /// From one of these origins.
    pub origins: Vec<Origin>,
    /// Of this name.
    pub name: Option<String>,
    /// Those that began before this session, for the next page of a list.
    pub before: Option<String>,
}

/// All sessions, in the order in which they were told.
#[derive(Clone, Debug, Default)]
pub struct Book {
    all: Vec<Session>,
    /// Counts what changed, so that who keeps it knows.
    edition: u64,
    /// Reports that were never written, because their sessions were forgotten first.
    unwritten: u64,
}

impl Book {
    /// The sessions of before. Those that were open still are, until their end is seen.
    #[must_use]
    pub fn new(kept: Vec<Session>) -> Self {
        let mut book = Self { all: kept, ..Self::default() };
        book.bound();
        book
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> &[Session] {
        &self.all
    }

    /// A number that is another one after each change.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// How many reports were still to be written when their sessions were forgotten.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// A session begins. One of the same name and origin that is open is given up: its end was not seen. Returns its id; nothing if it has no name.
    pub fn begin(&mut self, open: NewSession<'_>, at: Timestamp) -> Option<String> {
        let of = plain(open.of);
        let name = Some(plain(open.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| of.clone());
        if name.is_empty() {
            return None;
        }
        let same = |one: &Session| one.origin == open.origin && one.of == of && one.name == name;
        let again: Vec<String> = self.open().filter(|one| same(one)).map(|one| one.id.clone()).collect();
        again.iter().for_each(|id| self.give_up(id));
        let start = at.wall_milliseconds();
        let mut session = Session {
            id: identity(&[open.origin.as_str(), &of, &name, &start.to_string()]),
            name,
            origin: open.origin,
            of,
            state: State::Open,
            start,
            end: None,
            seen: start,
            seconds: None,
            clock_set: 0,
            report: None,
            steady: Some(at.steady),
            absent: None,
        };
        // One that ended in this very millisecond.
        while self.all.iter().any(|other| other.id == session.id) {
            session.id = identity(&[&session.id]);
        }
        let id = session.id.clone();
        self.all.push(session);
        self.edition += 1;
        self.bound();
        Some(id)
    }

    /// A session ends.
    pub fn end(&mut self, id: &str, at: Timestamp, state: State) {
        let Some(session) = self.all.iter_mut().find(|one| one.id == id && one.state == State::Open) else {
            return;
        };
        // A clock that was set back lets nothing end before it began.
        let end = at.wall_milliseconds().max(session.start);
        let steady = session.steady.map(|began| at.steady.saturating_sub(began) as f64 / 1e9);
        session.seconds = Some(steady.unwrap_or((end - session.start) as f64 / 1e3));
        (session.end, session.seen, session.state) = (Some(end), end, state);
        self.edition += 1;
    }

    /// The end of a session was not seen: it is taken to have ended when it was last seen.
    pub fn give_up(&mut self, id: &str) {
        let Some(session) = self.all.iter_mut().find(|one| one.id == id && one.state == State::Open) else {
            return;
        };
        let end = session.seen.max(session.start);
        session.seconds = Some((end - session.start) as f64 / 1e3);
        (session.end, session.state) = (Some(end), State::Lost);
        self.edition += 1;
    }

    /// Takes what a pipeline said. An end without a begin that says how long it lasted is a session as well: the agent began later.
    pub fn take(&mut self, told: &SessionNotice) {
        let open = NewSession { origin: Origin::Event, of: &told.pipeline, name: &told.name };
        let (seconds, state) = match told.step {
            SessionStep::Started => {
                self.begin(open, told.at);
                return;
            }
            SessionStep::Ended { seconds } => (seconds, State::Ended),
            SessionStep::Failed { seconds } => (seconds, State::Failed),
        };
        let (of, name) = (plain(&told.pipeline), plain(&told.name));
        let same = |one: &&Session| one.origin == Origin::Event && one.of == of;
        // Who does not say which one means the last.
        let which = self.open().filter(same).filter(|one| name.is_empty() || one.name == name).last();
        if let Some(id) = which.map(|one| one.id.clone()) {
            self.end(&id, told.at, state);
            return;
        }
        let Some(seconds) = seconds.filter(|seconds| (0.0..1e7).contains(seconds) && *seconds > 0.0) else {
            return;
        };
        let back = (seconds * 1e9) as u64;
        let began = Timestamp {
            steady: told.at.steady.saturating_sub(back),
            wall: told.at.wall.saturating_sub(back),
        };
        if let Some(id) = self.begin(open, began) {
            self.end(&id, told.at, state);
        }
    }

    /// These are open now, of an origin that is looked at: what is new begins, what is gone ends.
    pub fn look(&mut self, origin: Origin, present: &[(String, String)], at: Timestamp) {
        let mut gone = Vec::new();
        let open = self.all.iter_mut().filter(|one| one.state == State::Open && one.origin == origin);
        for one in open {
            if present.iter().any(|(of, _)| plain(of) == one.of) {
                one.absent = None;
                continue;
            }
            let since = *one.absent.get_or_insert(at);
            let patience = if one.steady.is_some() { GONE } else { GONE_AT_START };
            if at.steady.saturating_sub(since.steady) >= patience {
                gone.push((one.id.clone(), one.steady.map(|_| since)));
            }
        }
        for (id, since) in gone {
            match since {
                Some(since) => self.end(&id, since, State::Ended),
                // What was open before a restart, and is not there now, ended while nobody looked.
                None => self.give_up(&id),
            }
        }
        for (of, name) in present {
            let known = plain(of);
            let here =
                |one: &&mut Session| one.state == State::Open && one.origin == origin && one.of == known;
            match self.all.iter_mut().find(here) {
                // It went on while the agent was away.
                Some(one) if one.steady.is_none() => {
                    let ms =
                        u64::try_from(at.wall_milliseconds().saturating_sub(one.start)).unwrap_or_default();
                    one.steady = Some(at.steady.saturating_sub(ms.saturating_mul(1_000_000)));
                }
                Some(_) => {}
                None => drop(self.begin(NewSession { origin, of, name }, at)),
            }
        }
    }

    /// It is `at`: those that are open go on.
    pub fn see(&mut self, at: i64) {
        let there = |one: &&mut Session| one.state == State::Open && one.absent.is_none();
        for one in self.all.iter_mut().filter(there) {
            one.seen = at.max(one.start);
        }
    }

    /// The clock was set. A session that is open then covers what was before as well as what comes, as far as one time can.
    pub fn follow(&mut self, jump: &Jump) {
        for one in self.all.iter_mut().filter(|one| one.state == State::Open) {
            one.clock_set = one.clock_set.saturating_add(jump.by);
            if jump.is_leap() {
                // What the clock said before was no time at all.
                jump.shift(&mut one.start);
            } else if jump.by < 0 {
                one.start = one.start.min(jump.to.saturating_add(jump.by));
            }
            one.seen = one.start.max(jump.to.saturating_add(jump.by));
            self.edition += 1;
        }
    }

    /// What became of the report of a session.
    pub fn file(&mut self, id: &str, filed: Option<Filed>) {
        if let Some(one) = self.all.iter_mut().find(|one| one.id == id)
            && one.report != filed
        {
            one.report = filed;
            self.edition += 1;
        }
    }

    /// Those that are open, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Session> {
        self.all.iter().filter(|one| one.state == State::Open)
    }

    /// Those that are asked for, the newest first.
    pub fn list<'b>(&'b self, wanted: &'b SessionFilter) -> impl Iterator<Item = &'b Session> {
        let place = wanted.before.as_ref().and_then(|id| self.all.iter().position(|one| one.id == *id));
        let known = self.all.get(..place.unwrap_or(self.all.len())).unwrap_or_default();
        // What is gone by now has nothing before it.
        let known = if wanted.before.is_some() && place.is_none() { &[] } else { known };
        known.iter().rev().filter(|one| {
            (wanted.states.is_empty() || wanted.states.contains(&one.state))
                && (wanted.origins.is_empty() || wanted.origins.contains(&one.origin))
                && wanted.name.as_ref().is_none_or(|name| *name == one.name)
        })
    }

    /// The session of this id, or begin of an id, or the newest of this name; `last` is the one that ended last.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&Session, String> {
        if name == "last" {
            let ended = self.all.iter().filter(|one| one.state != State::Open);
            return ended
                .max_by_key(|one| one.end)
                .ok_or_else(|| "no session has ended yet; see `neural-exporter session list`".to_owned());
        }
        let id = |one: &&Session| name.len() >= SHORT && one.id.starts_with(name);
        let newest = || self.all.iter().rev();
        let found = newest().find(|one| one.name == name).or_else(|| newest().find(id));
        found.ok_or_else(|| format!("there is no session {name:?}; see `neural-exporter session list`"))
    }

    /// Begins one by hand.
    ///
    /// # Errors
    /// It has no name, or one of its name is open.
    pub fn start(&mut self, name: &str, at: Timestamp) -> Result<Session, String> {
        let wanted = plain(name);
        if self.open().any(|one| one.origin == Origin::Hand && one.name == wanted) {
            return Err(format!("the session {wanted:?} is open already; stop it first"));
        }
        if wanted == "last" {
            return Err("\"last\" is how the last session is called; name it otherwise".to_owned());
        }
        let id = self.begin(NewSession { origin: Origin::Hand, of: "", name }, at);
        let id = id.ok_or_else(|| "a session needs a name".to_owned())?;
        self.find(&id).cloned()
    }

    /// Ends one that was begun by hand.
    ///
    /// # Errors
    /// None is open, or several are.
    pub fn stop(&mut self, name: &str, at: Timestamp) -> Result<Session, String> {
        let wanted = plain(name);
        let by_hand = self.open().filter(|one| one.origin == Origin::Hand);
        let found = by_hand.filter(|one| wanted.is_empty() || one.name == wanted || one.id == wanted);
        let found: Vec<(String, String)> = found.map(|one| (one.id.clone(), one.name.clone())).collect();
        let id = match found.as_slice() {
            [(id, _)] => id.clone(),
            [] if wanted.is_empty() => return Err("no session that was begun by hand is open".to_owned()),
            [] => return Err(format!("no session {wanted:?} that was begun by hand is open")),
            several => {
                let names: Vec<&str> = several.iter().map(|(_, name)| &**name).collect();
                return Err(format!("several are open; say which one: {}", names.join(", ")));
            }
        };
        self.end(&id, at, State::Ended);
        self.find(&id).cloned()
    }

    /// Gives up the oldest that are open, and forgets the oldest of all.
    fn bound(&mut self) {
        let open: Vec<String> = self.open().map(|one| one.id.clone()).collect();
        open.iter().take(open.len().saturating_sub(OPEN)).for_each(|id| self.give_up(id));
        let mut bytes: usize = self.all.iter().map(size).sum();
        let mut gone = self.all.len().saturating_sub(KNOWN);
        bytes -= self.all.iter().take(gone).map(size).sum::<usize>();
        for one in self.all.iter().skip(gone) {
            if bytes <= BYTES {
                break;
            }
            bytes -= size(one);
            gone += 1;
        }
        let waits = |one: &Session| matches!(one.report, Some(Filed::Waiting { .. }));
        self.unwritten += self.all.drain(..gone).filter(waits).count() as u64;
    }
}

/// The bytes of a session as it is written, about.
fn size(one: &Session) -> usize {
    let filed: usize = match &one.report {
        Some(Filed::Written { files }) => files.iter().map(|file| file.len() + 3).sum(),
        Some(Filed::Waiting { why } | Filed::Not { why }) => why.len(),
        None => 0,
    };
    EACH + one.name.len() + one.of.len() + filed
}

/// 64 bits of FNV-1a as hexadecimal digits.
fn identity(parts: &[&str]) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_796_047_427_000;

    /// So many seconds after the begin.
    fn at(seconds: u64) -> Timestamp {
        let ns = seconds * 1_000_000_000;
        Timestamp { steady: 5_000_000_000_000 + ns, wall: BEGAN.unsigned_abs() * 1_000_000 + ns }
    }

    fn told(name: &str, step: SessionStep, seconds: u64) -> SessionNotice {
        SessionNotice { pipeline: "decoder".into(), name: name.into(), step, at: at(seconds) }
    }

    /// Name, state, seconds of each.
    fn brief(book: &Book) -> Vec<(String, State, Option<f64>)> {
        book.all().iter().map(|one| (one.name.clone(), one.state, one.seconds)).collect()
    }

    #[test]
    fn an_event_begins_and_ends_one() {
        let mut book = Book::default();
        book.take(&told("", SessionStep::Started, 0));
        assert_eq!(brief(&book), [("decoder".into(), State::Open, None)]);
        book.take(&told("", SessionStep::Ended { seconds: None }, 60));
        assert_eq!(brief(&book), [("decoder".into(), State::Ended, Some(60.0))]);
        let one = book.find("last").unwrap();
        assert_eq!((one.start, one.end), (BEGAN, Some(BEGAN + 60_000)));
        // Two at once, of which the first ends first; then one whose name is not told.
        book.take(&told("a", SessionStep::Started, 70));
        book.take(&told("b", SessionStep::Started, 71));
        book.take(&told("a", SessionStep::Failed { seconds: None }, 80));
        book.take(&told("", SessionStep::Ended { seconds: None }, 90));
        assert_eq!(
            brief(&book)[1..],
            [("a".into(), State::Failed, Some(10.0)), ("b".into(), State::Ended, Some(19.0))]
        );
        // It began before the agent did, and says how long it lasted; one that does not say is no session.
        book.take(&told("", SessionStep::Ended { seconds: None }, 100));
        book.take(&told("c", SessionStep::Ended { seconds: Some(30.0) }, 100));
        assert_eq!(brief(&book)[3..], [("c".into(), State::Ended, Some(30.0))]);
        assert_eq!(book.find("c").unwrap().start, BEGAN + 70_000);
    }

    #[test]
    fn one_that_begins_again_was_lost_when_it_was_last_seen() {
        let mut book = Book::default();
        book.take(&told("", SessionStep::Started, 0));
        book.see(BEGAN + 5_000);
        book.take(&told("", SessionStep::Started, 60));
        assert_eq!(
            brief(&book),
            [("decoder".into(), State::Lost, Some(5.0)), ("decoder".into(), State::Open, None)]
        );
    }

    #[test]
    fn what_records_is_open_and_what_stops_ends() {
        let mut book = Book::default();
        let intan = [("intan".to_owned(), "intan".to_owned())];
        book.look(Origin::Program, &intan, at(0));
        book.look(Origin::Program, &intan, at(1));
        // Those of others are not looked at here.
        book.look(Origin::Stream, &[], at(2));
        assert_eq!(brief(&book), [("intan".into(), State::Open, None)]);
        // A moment without it is nothing.
        book.look(Origin::Program, &[], at(2));
        book.look(Origin::Program, &intan, at(9));
        book.look(Origin::Program, &[], at(10));
        book.look(Origin::Program, &intan, at(11));
        book.see(BEGAN + 12_000);
        assert_eq!(brief(&book), [("intan".into(), State::Open, None)]);
        // The agent is killed. Afterwards it records on, and stops.
        let text = serde_json::to_string(book.all()).unwrap();
        let mut again = Book::new(serde_json::from_str(&text).unwrap());
        again.look(Origin::Program, &[], at(14));
        again.look(Origin::Program, &intan, at(40));
        again.look(Origin::Program, &[], at(50));
        again.see(BEGAN + 55_000);
        again.look(Origin::Program, &[], at(60));
        assert_eq!(brief(&again), [("intan".into(), State::Ended, Some(50.0))]);
        // Or it has stopped meanwhile: what is known of it is until when it was seen.
        let mut again = Book::new(serde_json::from_str(&text).unwrap());
        again.look(Origin::Program, &[], at(14));
        again.see(BEGAN + 20_000);
        again.look(Origin::Program, &[], at(74));
        assert_eq!(brief(&again), [("intan".into(), State::Lost, Some(12.0))]);
    }

    #[test]
    fn by_hand_one_needs_a_name_of_its_own() {
        let mut book = Book::default();
        assert!(book.start(" \n", at(0)).unwrap_err().contains("needs a name"));
        assert!(book.start("last", at(0)).is_err());
        assert!(book.stop("", at(0)).unwrap_err().contains("no session"));
        let one = book.start("rest\u{1b}[31m", at(0)).unwrap();
        assert_eq!(one.name, "rest [31m");
        assert!(book.start("rest [31m", at(1)).unwrap_err().contains("is open already"));
        book.start("other", at(2)).unwrap();
        assert!(book.stop("", at(3)).unwrap_err().contains("rest [31m, other"));
        assert_eq!(book.stop("other", at(3)).unwrap().seconds, Some(1.0));
        assert_eq!(book.stop("", at(4)).unwrap().id, one.id);
        // What pipelines began ends by their word.
        book.take(&told("x", SessionStep::Started, 5));
        assert!(book.stop("x", at(6)).is_err());
    }

    #[test]
    fn one_is_found_by_name_by_number_and_as_the_last() {
        let mut book = Book::default();
        assert!(book.find("last").unwrap_err().contains("no session has ended"));
        for (begin, end) in [(0, 50), (10, 20), (60, 61)] {
            let id = book
                .begin(NewSession { origin: Origin::Hand, of: "", name: &format!("n{begin}") }, at(begin))
                .unwrap();
            if begin < 60 {
                book.end(&id, at(end), State::Ended);
            }
        }
        assert_eq!(book.find("last").unwrap().name, "n0", "it ended last");
        let id = book.find("n10").unwrap().id.clone();
        assert_eq!(book.find(id.get(..7).unwrap()).unwrap().name, "n10");
        assert!(book.find(id.get(..3).unwrap()).is_err() && book.find("").is_err());
        let names =
            |wanted: &SessionFilter| book.list(wanted).map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&SessionFilter::default()), ["n60", "n10", "n0"]);
        assert_eq!(
            names(&SessionFilter { states: vec![State::Ended], ..SessionFilter::default() }),
            ["n10", "n0"]
        );
        assert_eq!(names(&SessionFilter { before: Some(id), ..SessionFilter::default() }), ["n0"]);
        assert!(names(&SessionFilter { before: Some("gone".into()), ..SessionFilter::default() }).is_empty());
    }

    #[test]
    fn the_book_is_bounded_and_so_are_names() {
        let mut book = Book::default();
        for second in 0..200 {
            book.take(&told(&format!("n{second}"), SessionStep::Started, second));
        }
        assert_eq!(book.open().count(), OPEN);
        for second in 200..3_000 {
            book.take(&told(&"ä".repeat(5_000), SessionStep::Started, second));
            book.take(&told("", SessionStep::Ended { seconds: None }, second));
        }
        assert!(book.all().len() <= KNOWN && book.all().iter().all(|one| one.name.len() <= NAME_MOST));
        let written = serde_json::to_string(book.all()).unwrap().len();
        assert!(written < BYTES + (BYTES >> 2), "{written}");
    }

    #[test]
    fn reports_of_sessions_that_are_forgotten_are_counted() {
        let mut book = Book::default();
        let waiting = |book: &mut Book, second| {
            let id =
                book.begin(NewSession { origin: Origin::Event, of: "p", name: "n" }, at(second)).unwrap();
            book.end(&id, at(second), State::Ended);
            book.file(&id, Some(Filed::Waiting { why: String::new() }));
        };
        (0..KNOWN as u64).for_each(|second| waiting(&mut book, second));
        assert_eq!(book.unwritten(), 0);
        (0..3).for_each(|more| waiting(&mut book, 2_000 + more));
        assert_eq!((book.all().len(), book.unwritten()), (KNOWN, 3));
        // Those that are written, or are not wanted, are no loss.
        let ids: Vec<String> = book.all().iter().map(|one| one.id.clone()).collect();
        ids.iter().for_each(|id| book.file(id, Some(Filed::Not { why: "x".into() })));
        (0..3).for_each(|more| waiting(&mut book, 3_000 + more));
        assert_eq!(book.unwritten(), 3);
    }

    const NAME_MOST: usize = super::super::NAME;

    #[test]
    fn a_clock_that_is_set_costs_itself_alone() {
        let mut book = Book::default();
        book.take(&told("x", SessionStep::Started, 0));
        // An hour forward: the begin stays, and a part of the time is not known.
        let jump = Jump { by: 3_600_000, from: 0, to: BEGAN + 10_000 };
        book.follow(&jump);
        let later = Timestamp { wall: at(20).wall + 3_600_000_000_000, ..at(20) };
        book.take(&SessionNotice { at: later, ..told("x", SessionStep::Ended { seconds: None }, 0) });
        let one = book.find("x").unwrap();
        assert_eq!((one.start, one.seconds, one.clock_set), (BEGAN, Some(20.0), 3_600_000));
        // Back: it begins when the clock has come to, at the latest, and does not end before it begins.
        book.take(&told("y", SessionStep::Started, 30));
        book.follow(&Jump { by: -3_600_000, from: 0, to: BEGAN + 40_000 });
        let back = Timestamp { wall: at(50).wall - 3_600_000_000_000, ..at(50) };
        book.take(&SessionNotice { at: back, ..told("y", SessionStep::Ended { seconds: None }, 0) });
        let one = book.find("y").unwrap();
        assert_eq!((one.start, one.end), (BEGAN + 40_000 - 3_600_000, Some(BEGAN + 50_000 - 3_600_000)));
        assert_eq!(one.seconds, Some(20.0));
        // Whose clock said 1970: it began when it did.
        let epoch = |ms: u64| Timestamp { steady: 9_000_000_000_000 + ms * 1_000_000, wall: ms * 1_000_000 };
        book.take(&SessionNotice { at: epoch(100_000), ..told("z", SessionStep::Started, 0) });
        book.follow(&Jump { by: BEGAN, from: 0, to: 110_000 });
        assert_eq!(book.find("z").unwrap().start, BEGAN + 100_000);
        // Those that ended stay as they are.
        assert_eq!(book.find("x").unwrap().start, BEGAN);
    }
}
