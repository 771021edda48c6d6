//! For how much of the last ten minutes a device streamed: what is left of it when it was unplugged, fell
//! silent or came back.

use crate::event::Stability;

/// Ticks that are remembered.
const MEMORY: usize = 600;

/// Whether a device streamed, tick by tick.
#[derive(Debug)]
pub(super) struct Memory {
    ticks: [bool; MEMORY],
    next: usize,
    filled: usize,
    /// At the tick that is being reported.
    pub(super) streaming: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { ticks: [false; MEMORY], next: 0, filled: 0, streaming: false }
    }
}

impl Memory {
    /// One more tick.
    pub(super) fn report(&mut self) -> Stability {
        if let Some(tick) = self.ticks.get_mut(self.next) {
            *tick = std::mem::take(&mut self.streaming);
        }
        self.next = (self.next + 1) % MEMORY;
        self.filled = MEMORY.min(self.filled + 1);
        let streamed = self.ticks.iter().filter(|tick| **tick).count();
        Stability { ratio: streamed as f64 / self.filled as f64 }
    }
}
