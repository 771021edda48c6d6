//! Programs that acquire or record, watched from beside: what they send is read, what they say is asked for.
//!
//! No command is sent that changes what they do, and no port is taken that another program has. Each file knows one
//! program. What they share is what is expected of a program, a connection that is read, and datagrams that are heard.

pub mod brainflow;
pub mod cerebus;
mod client;
mod datagram;
pub mod fieldtrip;
pub mod intan;
pub mod open_ephys;
pub mod openbci_gui;
pub mod rda;
mod stream;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::ProgramState;

/// What a program should do at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Acquire, whether it is recorded or not.
    Acquiring,
    /// Acquire, and record as soon as it is triggered.
    Waiting,
    /// Record.
    Recording,
}

impl Expect {
    /// Whether a program that does this does at least what is expected.
    #[must_use]
    pub fn is_met_by(self, state: ProgramState) -> bool {
        state
            >= match self {
                Self::Acquiring => ProgramState::Acquiring,
                Self::Waiting => ProgramState::Waiting,
                Self::Recording => ProgramState::Recording,
            }
    }
}

/// What was last known of what a program does.
#[derive(Clone, Copy, Debug, Default)]
struct LastState(Option<ProgramState>);

impl LastState {
    /// Takes what it does now. Says whether that is something else.
    fn changes(&mut self, state: ProgramState) -> bool {
        self.0.replace(state) != Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_expected_is_as_expected() {
        let met = |expect: Expect| ProgramState::ALL.iter().map(move |state| expect.is_met_by(*state));
        assert!(met(Expect::Acquiring).eq([false, true, true, true]));
        assert!(met(Expect::Waiting).eq([false, false, true, true]));
        assert!(met(Expect::Recording).eq([false, false, false, true]));
    }
}
