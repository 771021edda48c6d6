//! What an open device is asked for beside its stream: to start it again, or to connect again.
//!
//! A source that can be asked takes a [`Place`] while its port is open; who asks knows its name alone. A port with a tap says so
//! and has no place: nothing can be asked of it. Nobody waits here: the source looks when it comes round, and answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Stop the stream and start it again.
    RestartStream,
    /// Close the port and open it again, which starts the stream as well.
    Reconnect,
}

impl Ask {
    /// In words: what is done.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::RestartStream => "restart the stream of",
            Self::Reconnect => "reconnect",
        }
    }
}

/// What came of it: a sentence.
pub type Outcome = Result<String, String>;

/// A question, and whom to answer.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub ask: Ask,
    answer: oneshot::Sender<Outcome>,
}

impl Request {
    /// Answers. Who asked may have gone.
    pub fn answer(self, outcome: Outcome) {
        drop(self.answer.send(outcome));
    }
}

/// What waits for a source.
type Slot = Arc<Mutex<Option<Request>>>;

/// The devices that are open, by the name of their source.
#[derive(Clone, Debug, Default)]
pub struct Devices(Arc<Mutex<BTreeMap<String, Option<Slot>>>>);

impl Devices {
    /// The source of this name can be asked, until the place is dropped.
    #[must_use]
    pub fn open(&self, name: &str) -> Place {
        let slot = Slot::default();
        self.0.lock().insert(name.to_owned(), Some(slot.clone()));
        Place { devices: self.clone(), name: name.to_owned(), slot: Some(slot) }
    }

    /// The port of this name is a recording program's, until the place is dropped.
    #[must_use]
    pub fn tapped(&self, name: &str) -> Place {
        self.0.lock().insert(name.to_owned(), None);
        Place { devices: self.clone(), name: name.to_owned(), slot: None }
    }

    /// Asks a device, and waits for its answer.
    ///
    /// # Errors
    /// It cannot be asked, or what was asked could not be done.
    pub async fn ask(&self, name: &str, ask: Ask) -> Outcome {
        let answer = {
            let open = self.0.lock();
            match open.get(name) {
                None => return Err(format!("no port of a source \"{name}\" is open")),
                Some(None) => {
                    return Err(format!(
                        "{name} is read through a tap: nothing is written to it, and it stays open"
                    ));
                }
                Some(Some(slot)) => {
                    let mut waiting = slot.lock();
                    if waiting.is_some() {
                        return Err(format!("{name} is asked already"));
                    }
                    let (sender, answer) = oneshot::channel();
                    *waiting = Some(Request { ask, answer: sender });
                    answer
                }
            }
        };
        answer.await.unwrap_or_else(|_| Err(format!("the port of {name} was closed meanwhile")))
    }
}

/// A source's place among those that can be asked.
#[derive(Debug)]
pub struct Place {
    devices: Devices,
    name: String,
    slot: Option<Slot>,
}

impl Place {
    /// What it is asked for.
    #[must_use]
    pub fn asked(&self) -> Option<Request> {
        self.slot.as_ref()?.lock().take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.devices.0.lock();
        let same = |other: &Option<Slot>| match (other, &self.slot) {
            (Some(other), Some(own)) => Arc::ptr_eq(other, own),
            (other, own) => other.is_none() && own.is_none(),
        };
        // A source of the same name may have taken it meanwhile.
        if open.get(&self.name).is_some_and(same) {
            open.remove(&self.name);
        }
        // Who waits for an answer gets none.
        self.slot.iter().for_each(|slot| drop(slot.lock().take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_open_is_asked_and_what_is_not_says_so() {
        let devices = Devices::default();
        let gone = devices.ask("board", Ask::Reconnect).await.unwrap_err();
        assert_eq!(gone, "no port of a source \"board\" is open");
        let place = devices.open("board");
        assert!(place.asked().is_none());
        let answered = async {
            let request = loop {
                match place.asked() {
                    Some(request) => break request,
                    None => tokio::task::yield_now().await,
                }
            };
            assert_eq!(request.ask, Ask::RestartStream);
            // While it does that.
            request.answer(Ok("it streams".to_owned()));
        };
        let (outcome, ()) = tokio::join!(devices.ask("board", Ask::RestartStream), answered);
        assert_eq!(outcome.as_deref(), Ok("it streams"));
        // One that is closed before it came round, and one that is asked twice.
        let (first, second, ()) = tokio::join!(
            devices.ask("board", Ask::RestartStream),
            devices.ask("board", Ask::RestartStream),
            async { drop(place) }
        );
        assert_eq!(first.unwrap_err(), "the port of board was closed meanwhile");
        assert_eq!(second.unwrap_err(), "board is asked already");
        assert!(devices.ask("board", Ask::Reconnect).await.unwrap_err().starts_with("no port"));
    }

    #[tokio::test]
    async fn a_tap_is_never_asked_and_a_place_frees_its_own_alone() {
        let devices = Devices::default();
        let tap = devices.tapped("board");
        let why = devices.ask("board", Ask::RestartStream).await.unwrap_err();
        assert!(why.contains("through a tap") && tap.asked().is_none(), "{why}");
        let (old, new) = (devices.open("board"), devices.open("board"));
        drop((tap, old));
        assert!(devices.0.lock().contains_key("board"));
        drop(new);
        assert!(devices.0.lock().is_empty());
    }
}
