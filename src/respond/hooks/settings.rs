//! What can be set of hooks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::action::{Matcher, Plan};
use crate::listen::Bytes;
use crate::provision::Access;
use crate::render::Urgency;
use crate::secret::{Command, Exposed, Link, Value};
use crate::setting::Span;
use crate::source::request::Ask;

/// What holds for all hooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Actions")]
pub struct Actions {
    /// Whether hooks only say what they would do, in the log, the audit and the incident. A hook may say otherwise for itself.
    pub dry_run: bool,
    /// Hooks that run at once; others wait.
    #[schemars(range(min = 1, max = 16))]
    pub at_once: usize,
    /// The units of systemd that hooks may signal, restart or set properties of.
    pub units: Vec<String>,
    /// Bytes of the audit, `actions.jsonl` in the state directory; beyond, it becomes `actions.jsonl.1` and another one begins.
    pub audit_bytes: Bytes,
    /// Incidents that no hook is for, though there are hooks.
    pub missing: Missing,
}

/// Incidents that should have a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "MissingAction")]
pub struct Missing {
    /// Of which priorities. That there is no hook for one is recorded with it and counted.
    pub priorities: Vec<Urgency>,
    /// Whether such an incident is escalated at once, as one whose hook failed.
    pub escalate: bool,
}

impl Default for Missing {
    fn default() -> Self {
        Self { priorities: vec![Urgency::P0, Urgency::P1], escalate: false }
    }
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            dry_run: true,
            at_once: 3,
            units: Vec::new(),
            audit_bytes: Bytes(16_000_000),
            missing: Missing::default(),
        }
    }
}

/// What the agent does when an alert becomes an incident. Exactly one of `exec`, `http`, `signal`, `systemctl` and `device` says what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name, in the audit, the incident and the metrics.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// For which alerts; for all if omitted.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Run a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Post the alert to a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Send a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Restart a unit of systemd, or set properties of it until the machine is booted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemctl: Option<Systemctl>,
    /// Ask a device that the agent reads itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// How long it may take before it is ended with all that it started.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// From one run for an alert to the next.
    #[serde(default = "cooldown")]
    pub cooldown: Span,
    /// How often a run that failed is repeated, with pauses that grow.
    #[serde(default)]
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// Within which time after its end the alert has to be over: then it succeeded, else it failed and the incident is escalated.
    #[serde(default = "verify")]
    pub verify: Span,
    /// Whether it only says what it would do; as `respond.actions.dry_run` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

fn timeout() -> Span {
    Span::seconds(30)
}

fn cooldown() -> Span {
    Span::seconds(600)
}

fn verify() -> Span {
    Span::seconds(300)
}

/// Which alerts a hook is for. All that is named must fit; in values `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HookMatch")]
pub struct Match {
    /// Names of alerts, one of which it has: `NeuralHostMemory`.
    pub alerts: Vec<String>,
    /// Severities, one of which it has: `critical`.
    pub severities: Vec<String>,
    /// Labels that must have such a value.
    pub labels: BTreeMap<String, String>,
}

/// A program that is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookExec")]
pub struct Exec {
    /// The program and its arguments. No shell reads them. It gets the incident as JSON on its standard input and in variables
    /// (`NEURAL_ALERT`, `NEURAL_SUMMARY`, `NEURAL_LABEL_DEVICE`, …).
    pub command: Command,
    /// Its environment, beside `PATH` and the variables of the incident: each a text, or `{value_file: /run/secrets/key}`.
    #[serde(default)]
    pub environment: BTreeMap<String, Value>,
}

/// A server that the incident is posted to, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookHttp")]
pub struct Http {
    /// Where: the pipeline's own control endpoint.
    pub url: Link,
    /// How it is reached.
    #[serde(default)]
    pub access: Access,
}

/// A signal, to a unit of systemd or to the process group of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookSignal")]
pub struct Signal {
    /// Which one.
    pub signal: SignalName,
    /// The unit, one of `respond.actions.units`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The file that has the number of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// The name that the process must have: a number may be another one's by now. Needed with `pid_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub process: Option<String>,
}

/// Signals that a program may take as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignalName {
    /// Often: read your configuration again.
    Hup,
    /// End, as from a keyboard.
    Int,
    /// End.
    Term,
    /// What the program says.
    Usr1,
    /// What the program says.
    Usr2,
}

impl SignalName {
    /// Its name without SIG.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}

/// What `systemctl` is asked. Exactly one of `restart` and `properties`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookSystemctl")]
pub struct Systemctl {
    /// The unit, one of `respond.actions.units`.
    pub unit: String,
    /// Restart it.
    #[serde(default)]
    pub restart: bool,
    /// Set these: `CPUWeight: 20`, `MemoryHigh: 2G`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// What a device on a serial port is asked for. Never through a tap: that port is the recording program's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookDevice")]
pub struct Device {
    /// To start its stream again: its stop command, then its start command. Or to connect again: its port is closed and opened.
    pub ask: Ask,
    /// The name of its source. If omitted, the one that the alert is about: its label `device`, else `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Hook {
    /// How it is run.
    #[must_use]
    pub fn plan(&self, actions: &Actions) -> Plan {
        let ms = |span: Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        let Match { alerts, severities, labels } = self.matches.clone();
        Plan {
            name: self.name.clone(),
            matches: Matcher { alerts, severities, labels },
            cooldown: ms(self.cooldown),
            retries: self.retries,
            verify: ms(self.verify),
            dry_run: self.dry_run.unwrap_or(actions.dry_run),
        }
    }

    /// Files that are named.
    pub fn paths(&mut self) -> Vec<&mut PathBuf> {
        let environment = self.exec.iter_mut().flat_map(|exec| exec.environment.values_mut());
        let mut all: Vec<&mut PathBuf> = environment.filter_map(Value::path).collect();
        all.extend(self.http.iter_mut().flat_map(|http| http.access.paths()));
        all.extend(self.signal.iter_mut().filter_map(|signal| signal.pid_file.as_mut()));
        all
    }

    /// Secrets that are written in the configuration itself.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        if let Some(exec) = &self.exec {
            found.program("exec.", &exec.command, &exec.environment);
        }
        if let Some(http) = &self.http {
            http.access.expose(&http.url, found);
        }
    }
}

/// What is wrong with hooks: which one, the key below it, and why.
#[must_use]
pub fn problems(actions: &Actions, hooks: &[Hook]) -> Vec<(usize, &'static str, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (index, hook) in hooks.iter().enumerate() {
        let mut wrong = |key, why: String| found.push((index, key, why));
        if !names.insert(&hook.name) {
            wrong("name", format!("another hook has the name \"{}\"", hook.name));
        }
        let kinds = [
            hook.exec.is_some(),
            hook.http.is_some(),
            hook.signal.is_some(),
            hook.systemctl.is_some(),
            hook.device.is_some(),
        ];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            wrong("name", "a hook has exactly one of exec, http, signal, systemctl and device".to_owned());
        }
        if hook.exec.as_ref().is_some_and(|exec| exec.command.expose().first().is_none_or(String::is_empty)) {
            wrong("exec", "the command is empty".to_owned());
        }
        let unlisted = |unit: &String| {
            format!(
                "\"{unit}\" is not one of the units that hooks may act on; add it to respond.actions.units"
            )
        };
        if let Some(signal) = &hook.signal {
            let named = signal.pid_file.is_some() && signal.process.is_some();
            let process = signal.pid_file.is_some() || signal.process.is_some();
            if signal.unit.is_some() == process || process && !named {
                wrong("signal", "a signal goes to a unit, or to a process with its pid_file".to_owned());
            }
            if let Some(unit) = signal.unit.as_ref().filter(|unit| !actions.units.contains(unit)) {
                wrong("signal", unlisted(unit));
            }
        }
        if let Some(systemctl) = &hook.systemctl {
            if systemctl.restart != systemctl.properties.is_empty() {
                wrong("systemctl", "it has exactly one of restart: true and properties".to_owned());
            }
            if !actions.units.contains(&systemctl.unit) {
                wrong("systemctl", unlisted(&systemctl.unit));
            }
            let good = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
            if let Some(name) = systemctl.properties.keys().find(|name| !good(name)) {
                wrong("systemctl", format!("\"{name}\" is not the name of a property"));
            }
        }
    }
    found
}
