//! The one place where events are folded into state.

use parking_lot::{Mutex, MutexGuard};

use crate::event::Event;

/// Everything the agent knows, behind one lock.
#[derive(Debug, Default)]
pub struct Hub {
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub struct State {}

impl Hub {
    /// Waits for the state. Held for one batch of events or one slice of a scrape, never across an `await`.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Folds one event.
    pub fn fold(&mut self, _event: &Event<'_>) {}
}
