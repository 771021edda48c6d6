//! Whether a password is a user's: known from before, or found out aside, one after the other.
//!
//! bcrypt is slow on purpose. One hash is computed at a time, on a thread that may wait; after a wrong password the next one
//! waits three times as long as the wrong one took, so that guessing takes a quarter of one core at most, however many guess. Right
//! ones are known from then on, one for each user, and no number of wrong ones takes their place. What is kept is not the password
//! but its code under a key of this process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use super::users::{Hash, LONGEST, Users};

/// Wrong passwords that are known.
const WRONG: usize = 256;
/// Checks that wait; for one more, one of the network that has most of them is refused.
const WAITING: usize = 32;
/// Networks whose last turn is known.
const TURNS: usize = 64;
/// After a wrong password, so many times as long as it took nothing is checked.
const REST: u32 = 3;
/// How long a rest may be: a hash that costs minutes is the user's own choice.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// The code of a user, a hash and a password, under the key of this process.
type Code = [u8; 32];

/// What came of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many wait to be checked.
    Busy,
}

/// Who was let in, who was not, and who waits to be checked.
pub(in crate::http) struct Logins {
    key: hmac::Key,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    right: HashMap<String, Code>,
    wrong: VecDeque<Code>,
    waiting: Vec<PendingCheck>,
    /// The networks that had a turn, the last one at the end.
    turns: VecDeque<u128>,
    working: bool,
}

struct PendingCheck {
    network: u128,
    user: String,
    known: bool,
    hash: Hash,
    password: Vec<u8>,
    code: Code,
    answer: oneshot::Sender<Outcome>,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins")
    }
}

impl Default for Logins {
    fn default() -> Self {
        let mut key = [0; 32];
        // Where the system gives no chance, codes are those of a known key: they are kept in memory alone.
        let _ = SystemRandom::new().fill(&mut key);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), state: Mutex::default() }
    }
}

impl Logins {
    /// Whether this is the password of this user. Waits for its turn.
    pub(super) async fn check(
        self: &Arc<Self>,
        users: &Users,
        network: u128,
        user: &str,
        password: &[u8],
    ) -> Outcome {
        let hash = users.hash(user, &self.code(&[user.as_bytes()]));
        let code = self.code(&[user.as_bytes(), &hash.bytes(), password]);
        let known = users.has(user);
        let (answer, wait) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if let Some(outcome) = state.known(user, &code) {
                return outcome;
            }
            let password = password.get(..LONGEST).unwrap_or(password).to_vec();
            let user = user.to_owned();
            state.add(PendingCheck { network, user, known, hash, password, code, answer });
            if !std::mem::replace(&mut state.working, true) {
                tokio::spawn(self.clone().work());
            }
        }
        wait.await.unwrap_or(Outcome::Busy)
    }

    /// Forgets the right passwords of users that are no more.
    pub(super) fn keep(&self, users: &Users) {
        self.state.lock().right.retain(|user, _| users.has(user));
    }

    fn code(&self, parts: &[&[u8]]) -> Code {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut code = [0; 32];
        code.copy_from_slice(context.sign().as_ref());
        code
    }

    /// Checks what waits, until nothing does.
    #[expect(clippy::disallowed_methods, reason = "how long a hash takes is measured here")]
    async fn work(self: Arc<Self>) {
        loop {
            let Some(next) = self.state.lock().next() else { return };
            // Who asked may have gone, or the same may have been found out meanwhile.
            let before = self.state.lock().known(&next.user, &next.code);
            if next.answer.is_closed() || before.is_some() {
                let _ = next.answer.send(before.unwrap_or(Outcome::Busy));
                continue;
            }
            let (hash, password, began) = (next.hash, next.password, std::time::Instant::now());
            let fits = tokio::task::spawn_blocking(move || hash.fits(&password)).await.unwrap_or(false);
            let took = began.elapsed();
            let right = fits && next.known;
            self.state.lock().remember(next.user, next.code, right);
            let _ = next.answer.send(if right { Outcome::Right } else { Outcome::Wrong });
            if !right {
                tokio::time::sleep((took * REST).min(LONGEST_REST)).await;
            }
        }
    }
}

impl State {
    /// What is known of a password.
    fn known(&self, user: &str, code: &Code) -> Option<Outcome> {
        // Codes cannot be told from outside, so that comparing them tells nothing.
        if self.right.get(user) == Some(code) {
            return Some(Outcome::Right);
        }
        self.wrong.contains(code).then_some(Outcome::Wrong)
    }

    fn remember(&mut self, user: String, code: Code, right: bool) {
        if right {
            self.right.insert(user, code);
            return;
        }
        if self.wrong.len() == WRONG {
            self.wrong.pop_front();
        }
        self.wrong.push_back(code);
    }

    /// One more waits; if that is too many, the last of the network that has most of them does not.
    fn add(&mut self, one: PendingCheck) {
        self.waiting.push(one);
        if self.waiting.len() > WAITING {
            let mut held: HashMap<u128, usize> = HashMap::new();
            for waiting in &self.waiting {
                *held.entry(waiting.network).or_default() += 1;
            }
            let most = |(_, one): &(usize, &PendingCheck)| held.get(&one.network).copied();
            // Of several that are equal, the last.
            let last = self.waiting.iter().enumerate().max_by_key(most).map(|(index, _)| index);
            if let Some(refused) = last.map(|index| self.waiting.remove(index)) {
                let _ = refused.answer.send(Outcome::Busy);
            }
        }
    }

    /// The one whose turn it is: of the network whose last turn is longest ago, the first. Where nobody waits, the work ends.
    fn next(&mut self) -> Option<PendingCheck> {
        let turn = |waiting: &PendingCheck| {
            self.turns.iter().rposition(|network| *network == waiting.network).map_or(0, |place| place + 1)
        };
        let Some(index) = (0..self.waiting.len()).min_by_key(|index| turn(&self.waiting[*index])) else {
            self.working = false;
            return None;
        };
        let next = self.waiting.remove(index);
        self.turns.retain(|network| *network != next.network);
        self.turns.push_back(next.network);
        if self.turns.len() > TURNS {
            self.turns.pop_front();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::users::tests::users;
    use super::*;

    #[tokio::test]
    async fn a_password_is_checked_once_and_known_then() {
        let (logins, all) = (Arc::new(Logins::default()), users(&[("alice", "right"), ("bob", "other")]));
        for _ in 0..2 {
            assert_eq!(logins.check(&all, 1, "alice", b"right").await, Outcome::Right);
            assert_eq!(logins.check(&all, 1, "alice", b"wrong").await, Outcome::Wrong);
            assert_eq!(logins.check(&all, 1, "nobody", b"right").await, Outcome::Wrong);
        }
        let state = logins.state.lock();
        assert_eq!((state.right.len(), state.wrong.len(), state.waiting.len()), (1, 2, 0));
    }

    #[tokio::test]
    async fn no_number_of_wrong_passwords_makes_a_right_one_unknown() {
        let (logins, all) = (Arc::new(Logins::default()), users(&[("alice", "right")]));
        assert_eq!(logins.check(&all, 1, "alice", b"right").await, Outcome::Right);
        {
            let mut state = logins.state.lock();
            for number in 0..10_000_u32 {
                let mut code = [0; 32];
                code[..4].copy_from_slice(&number.to_be_bytes());
                state.remember("alice".to_owned(), code, false);
            }
            assert_eq!((state.right.len(), state.wrong.len()), (1, WRONG));
        }
        // Another password for the same name is another one.
        let changed = users(&[("alice", "new")]);
        assert_eq!(logins.check(&changed, 1, "alice", b"right").await, Outcome::Wrong);
        assert_eq!(logins.check(&changed, 1, "alice", b"new").await, Outcome::Right);
        logins.keep(&users(&[("bob", "x")]));
        assert!(logins.state.lock().right.is_empty());
    }

    fn waiting(network: u128, number: u8) -> (PendingCheck, oneshot::Receiver<Outcome>) {
        let (answer, wait) = oneshot::channel();
        let hash = users(&[("u", "p")]).hash("u", &[0; 32]);
        let one = PendingCheck {
            network,
            user: number.to_string(),
            known: true,
            hash,
            password: Vec::new(),
            code: [number; 32],
            answer,
        };
        (one, wait)
    }

    #[test]
    fn who_guesses_much_keeps_nobody_from_being_checked() {
        let mut state = State::default();
        let mut guesses = Vec::new();
        for number in 0..100 {
            let (one, wait) = waiting(1, number);
            state.add(one);
            guesses.push(wait);
        }
        assert_eq!(state.waiting.len(), WAITING);
        let refused = guesses.iter_mut().filter_map(|wait| wait.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(refused, vec![Outcome::Busy; 100 - WAITING]);
        assert_eq!(state.next().unwrap().user, "0");
        let (one, mut wait) = waiting(2, 200);
        state.add(one);
        let (more, _) = waiting(1, 201);
        state.add(more);
        assert!(wait.try_recv().is_err(), "the scrape waits still");
        assert_eq!(state.next().unwrap().user, "200", "and is the next one");
        assert_eq!(state.next().unwrap().user, "1");
    }
}
