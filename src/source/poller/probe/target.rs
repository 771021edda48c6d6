//! What a check is to the rest of a probe: what it looks at, and how it makes an attempt.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use super::state::Outcome;
use crate::secret::Exposed;

/// One attempt.
pub(super) type Asking = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// Makes one attempt each time. The caller keeps the time, by dropping what is not answered.
pub(super) type Ask = Box<dyn Fn() -> Asking + Send + Sync>;

/// What a check looks at.
pub(super) trait Target {
    /// What it is, as the page of sources shows it.
    fn place(&self) -> String;

    /// The files that it names.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Says which secrets stand in its settings.
    fn expose(&self, _found: &mut Exposed<'_>) {}

    /// Reads what is needed before the first attempt, for the probe of this name.
    ///
    /// # Errors
    /// What is wrong with the settings.
    fn open(&self, name: &str, timeout: Duration) -> Result<Ask, String>;
}
