//! What a kind of target is to the rest of the agent: its settings, and the server or folder behind them.
//!
//! Each kind implements [`TargetKind`] beside its settings, and [`Target`](super::Target) lists the kinds, one row
//! each. Nobody else tells one kind from another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent::Agent;
use super::asked::DashboardSource;
use super::plan::{ActualObject, DesiredObject, Kind, Step};
use super::{Bundle, Reporter, Run};
use crate::render::Source;
use crate::secret::{Exposed, Link};

/// What becomes of the alert and recording rules that a target gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// It evaluates all of them; where Grafana evaluates the alert rules, the recording rules alone.
    Evaluated,
    /// They are files, which some server evaluates in the same way.
    Filed,
    /// It is a Grafana that evaluates the alert rules.
    Alerting,
    /// It is a Grafana that evaluates none.
    Shown,
    /// It takes none of those over metrics.
    Apart,
}

/// A kind of target, with the settings of one.
pub trait TargetKind {
    /// Its name.
    fn name(&self) -> &str;

    /// The files and folders that it names.
    fn paths(&mut self) -> Vec<&mut PathBuf>;

    /// What becomes of rules there.
    fn rules(&self) -> Rules;

    /// The folder in which its files are written, or what is there above it, where it makes that folder itself.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Where people see the dashboards.
    fn dashboards(&self) -> Option<&Link> {
        None
    }

    /// Settles what its dashboards ask: `given` where it does not say, and where that is if it is the agent.
    ///
    /// # Errors
    /// The address of the agent cannot be derived.
    fn settle(&mut self, _given: Option<&DashboardSource>, _agent: &Agent) -> Result<(), String> {
        Ok(())
    }

    /// What its dashboards ask, once that is settled.
    fn source(&self) -> Option<Source> {
        None
    }

    /// Says which secrets stand in its settings.
    fn expose(&self, _found: &mut Exposed<'_>) {}
}

/// Settings with which a target is read and written.
pub(super) trait TargetSettings: TargetKind {
    /// The target, opened.
    type Connection: Connection;

    /// # Errors
    /// The settings are not possible, or a file that they name cannot be read.
    fn open(&self) -> Result<Self::Connection, String>;
}

/// A target that can be read and written.
pub(super) trait Connection {
    /// Waits until it is ready, for so long at most.
    async fn ready(&mut self, within: Duration) -> Result<(), String>;

    /// What shall be there, of everything that is generated.
    fn wanted(&self, bundle: &Bundle) -> Result<Vec<DesiredObject>, String>;

    /// What is there.
    async fn read(&mut self, wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String>;

    /// What earlier runs left beside what is wanted, which goes when all that is ours goes.
    async fn left(&mut self, _owner: &str) -> Result<Option<ActualObject>, String> {
        Ok(None)
    }

    /// The kinds of objects that could not be read, and why; what is of another kind goes on.
    fn unread(&mut self) -> Vec<(Kind, String)> {
        Vec::new()
    }

    /// Does the steps, and says what came of each.
    async fn apply(&mut self, steps: Vec<Step>, run: &Run, tell: &mut Reporter<'_, '_>);

    /// How often it was written to.
    fn writes(&self) -> u64;
}
