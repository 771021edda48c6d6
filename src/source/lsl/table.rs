//! Which streams there are, by what answered to the last questions.
//!
//! It asks nobody and follows nothing; time is the number of the question.

use std::net::SocketAddr;

use crate::decode::lsl::Info;
use crate::event::Streams;

/// Streams that are remembered.
const MOST: usize = 1024;
/// Questions that a stream may leave without an answer before it is gone.
const SILENT: u64 = 4;

/// A stream that answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Responder {
    pub(super) info: Info,
    /// From where.
    pub(super) from: SocketAddr,
    /// The number of the last question it answered to.
    pub(super) round: u64,
}

/// Streams that answered to the last questions.
#[derive(Debug, Default)]
pub(super) struct Table {
    heard: Vec<Responder>,
}

impl Table {
    /// A stream that is known answered once more. Says whether it is known.
    pub(super) fn renew(&mut self, uid: &str, from: SocketAddr, round: u64) -> bool {
        let Some(known) = self.heard.iter_mut().find(|heard| heard.info.uid == uid) else { return false };
        known.round = known.round.max(round);
        // Outlets answer over a version of IP that they send no samples over.
        if !is_reachable(&known.info, known.from) && is_reachable(&known.info, from) {
            known.from = from;
        }
        true
    }

    /// Takes an answer. A stream answers once for each way that the question took.
    pub(super) fn receive(&mut self, heard: Responder) {
        if !self.renew(&heard.info.uid, heard.from, heard.round) && self.heard.len() < MOST {
            self.heard.push(heard);
        }
    }

    /// Forgets the streams that were silent for too long, but for those that are known to be alive.
    pub(super) fn forget(&mut self, round: u64, alive: impl Fn(&str) -> bool) {
        self.heard.retain_mut(|heard| {
            if alive(&heard.info.uid) {
                heard.round = round;
            }
            heard.round + SILENT >= round
        });
    }

    /// A stream's place is known to be empty.
    pub(super) fn remove(&mut self, uid: &str) {
        self.heard.retain(|heard| heard.info.uid != uid);
    }

    pub(super) fn all(&self) -> &[Responder] {
        &self.heard
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Responder> {
        self.heard.iter().find(|heard| heard.info.uid == uid)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.heard.iter().any(|heard| heard.info.name == name)
    }

    /// Whether there is a stream of this name on another machine.
    pub(super) fn is_elsewhere(&self, info: &Info) -> bool {
        let elsewhere =
            |heard: &Responder| heard.info.name == info.name && heard.info.hostname != info.hostname;
        self.heard.iter().any(elsewhere)
    }

    /// How many there are, and how many are like another.
    pub(super) fn count(&self, refused: usize) -> Streams {
        let like = |same: &dyn Fn(&Info, &Info) -> bool| {
            let twice = |one: &&Responder| {
                let others = self.heard.iter().filter(|other| other.info.uid != one.info.uid);
                others.map(|other| &other.info).any(|other| same(&one.info, other))
            };
            number(self.heard.iter().filter(twice).count())
        };
        Streams {
            found: number(self.heard.len()),
            same_name: like(&|one, other| one.name == other.name),
            same_id: like(&|one, other| !one.source_id.is_empty() && one.source_id == other.source_id),
            refused: number(refused),
        }
    }
}

/// Whether a stream sends samples over the version of IP that it answered over.
fn is_reachable(info: &Info, from: SocketAddr) -> bool {
    (if from.is_ipv4() { info.data_port } else { info.data_port_v6 }) > 0
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str, source_id: &str, uid: &str) -> Info {
        let [name, source_id, uid] = [name, source_id, uid].map(str::to_owned);
        Info { name, source_id, uid, ..Info::default() }
    }

    #[test]
    fn a_stream_is_where_it_can_be_reached() {
        let [fourth, sixth, other] =
            ["10.0.0.5:16571", "[fe80::1%3]:16571", "[fe80::2%3]:16571"].map(|from| from.parse().unwrap());
        let mut table = Table::default();
        let info = Info { data_port_v6: 16572, ..stream("a", "1", "u1") };
        table.receive(Responder { info, from: fourth, round: 1 });
        for (from, then) in [(fourth, fourth), (sixth, sixth), (fourth, sixth), (other, sixth)] {
            assert!(table.renew("u1", from, 2));
            assert_eq!(table.get("u1").unwrap().from, then);
        }
        assert!(!table.renew("u2", fourth, 2));
    }

    #[test]
    fn streams_come_go_and_are_alike() {
        let from = SocketAddr::from(([127, 0, 0, 1], 16572));
        let mut table = Table::default();
        let hear = |table: &mut Table, info, round| table.receive(Responder { info, from, round });
        hear(&mut table, stream("a", "1", "u1"), 1);
        hear(&mut table, stream("a", "1", "u1"), 1);
        hear(&mut table, stream("a", "2", "u2"), 1);
        hear(&mut table, stream("b", "2", "u3"), 1);
        hear(&mut table, stream("c", "", "u4"), 1);
        hear(&mut table, stream("d", "", "u5"), 1);
        assert_eq!(table.count(0), Streams { found: 5, same_name: 2, same_id: 2, refused: 0 });
        assert!(table.has("a") && !table.has("e") && table.get("u3").is_some());
        hear(&mut table, stream("b", "2", "u3"), 4);
        table.forget(6, |uid| uid == "u4");
        assert_eq!(table.all().iter().map(|heard| &*heard.info.uid).collect::<Vec<_>>(), ["u3", "u4"]);
        table.remove("u4");
        table.forget(8, |_| false);
        assert_eq!(table.count(1), Streams { found: 1, refused: 1, ..Streams::default() });
        let far = Info { hostname: "far".into(), ..stream("b", "", "u6") };
        assert!(table.is_elsewhere(&far));
        (0..5000).for_each(|i| hear(&mut table, stream("x", "", &i.to_string()), 8));
        assert_eq!(table.all().len(), MOST);
    }
}
