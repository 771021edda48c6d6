//! Tasks over HTTP: how each stands, and who has one run now.

use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::gate::Pass;
use super::{Reply, Site, reply};

/// Why a task is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// There is none of that name.
    Unknown,
    /// It runs already.
    Running,
    /// Too many wait.
    Busy,
}

/// Begins a task now; gives how many runs of it ended before.
pub type Begin = dyn Fn(&str) -> Result<u64, NotBegun> + Send + Sync;

/// The tasks of the agent.
pub struct Tasks {
    /// How each stands, as JSON.
    pub list: Box<dyn Fn() -> Json + Send + Sync>,
    /// Begins one.
    pub begin: Box<Begin>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl Site {
    /// Lists the tasks.
    pub(super) fn list_tasks(&self) -> Reply {
        let all = self.tasks.load_full().map_or_else(|| json!([]), |tasks| (tasks.list)());
        success(&json!({ "tasks": all }))
    }

    /// Begins a task.
    pub(super) fn begin_task(&self, name: &str, _: Pass) -> Reply {
        let begun = self.tasks.load_full().map_or(Err(NotBegun::Unknown), |tasks| (tasks.begin)(name));
        let (status, why) = match begun {
            Ok(runs) => return success(&json!({ "name": name, "runs": runs })),
            Err(NotBegun::Unknown) => {
                (StatusCode::NOT_FOUND, "there is no task of that name; see respond.tasks")
            }
            Err(NotBegun::Running) => (StatusCode::CONFLICT, "it runs already"),
            Err(NotBegun::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "too many tasks wait"),
        };
        let body = json!({ "status": "error", "errorType": "bad_data", "error": why });
        reply::json(status, body.to_string())
    }
}

fn success(data: &Json) -> Reply {
    reply::json(StatusCode::OK, json!({ "status": "success", "data": data }).to_string())
}
