//! The pause before something that failed is tried again, and moments by chance, so that the agents of a room do not all
//! do the same at once.

use std::time::Duration;

/// Between two tries where nothing else is known.
pub const PAUSE: Backoff = Backoff::between(Duration::from_millis(250), Duration::from_secs(10));

/// Each pause is twice the one before, shortened by chance.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        PAUSE
    }
}

impl Backoff {
    /// Pauses from the first to the longest.
    #[must_use]
    pub const fn between(first: Duration, most: Duration) -> Self {
        Self { next: first, most }
    }

    /// The next pause.
    pub fn delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        jittered(whole)
    }
}

/// A pause shortened by chance, by half at most.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + 0.5 * chance())
}

/// A moment within a time, by chance.
#[must_use]
pub fn within(most: Duration) -> Duration {
    most.mul_f64(chance())
}

/// A number from 0 to 1.
fn chance() -> f64 {
    (draw() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number by chance. The standard library draws keys for its tables at random.
#[must_use]
pub fn draw() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..9).map(|_| backoff.delay()).collect();
        for (number, backoff) in pauses.iter().enumerate() {
            let whole = (PAUSE.next * 2_u32.pow(number as u32)).min(PAUSE.most);
            assert!(*backoff >= whole / 2 && *backoff <= whole, "{number}: {backoff:?}");
        }
        let drawn: Vec<f64> = (0..20).map(|_| chance()).collect();
        assert!(drawn.iter().any(|other| (other - drawn[0]).abs() > 1e-9), "{drawn:?}");
    }
}
