//! One run of a hook.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, Signal as Sent, getpgid, getpgrp, kill_process_group};

use super::settings::{Device, Exec, Hook, Signal, SignalName, Systemctl};
use crate::alert::action::Job;
use crate::alert::incident::Incident;
use crate::provision::hook;
use crate::quote::quote;
use crate::secret::Command;
use crate::source::aside::apart;
use crate::source::poller::exec::launch::{Run, environment, said, variable};
use crate::source::request::Devices;
use crate::trace::TraceContext;

/// Bytes that a program may print; one that prints more is ended.
const OUTPUT: usize = 1 << 20;
/// Bytes of that which are kept.
const KEPT: usize = 800;
/// Bytes of a file with the number of a process.
const PID_FILE: u64 = 64;

/// What a hook does, with every secret read.
#[derive(Debug)]
pub(super) enum Operation {
    Program(Exec),
    Post(hook::Hook),
    Signal(Signal),
    Systemctl(Systemctl),
    Device(Device, Devices),
}

impl Operation {
    /// Reads what it needs.
    pub(super) fn open(hook: &Hook, devices: &Devices) -> Result<Self, String> {
        if let Some(exec) = &hook.exec {
            return Ok(Self::Program(exec.clone()));
        }
        if let Some(http) = &hook.http {
            return hook::Hook::open(&http.url, &http.access).map(Self::Post);
        }
        if let Some(signal) = &hook.signal {
            return Ok(Self::Signal(signal.clone()));
        }
        if let Some(device) = &hook.device {
            return Ok(Self::Device(device.clone(), devices.clone()));
        }
        let systemctl = hook.systemctl.clone();
        systemctl.map(Self::Systemctl).ok_or_else(|| "it does nothing".to_owned())
    }

    /// What it does, in words, without secrets.
    pub(super) fn words(hook: &Hook) -> String {
        if let Some(Device { ask, source }) = &hook.device {
            let which = source.as_deref().unwrap_or("the device that the alert is about");
            return format!("{} {which}", ask.words());
        }
        match (&hook.exec, &hook.http, &hook.signal, &hook.systemctl) {
            (Some(exec), ..) => format!("run {}", exec.command),
            (_, Some(http), ..) => format!("post to {}", http.url.shown()),
            (_, _, Some(Signal { signal, unit: Some(unit), .. }), _) => {
                format!("send {} to {unit}", signal.as_str())
            }
            (_, _, Some(Signal { signal, process, .. }), _) => {
                format!("send {} to the group of {}", signal.as_str(), process.as_deref().unwrap_or_default())
            }
            (.., Some(of)) => format!("systemctl {}", arguments(of).join(" ")),
            _ => "do nothing".to_owned(),
        }
    }

    /// Does it. Dropping the future ends what it started.
    /// `trace` is what it belongs to.
    pub(super) async fn run(
        &self,
        job: &Job,
        trace: Option<&TraceContext>,
        timeout: Duration,
    ) -> Result<String, String> {
        let late = |_| Err(format!("it took more than {} s and was ended", timeout.as_secs_f64()));
        tokio::time::timeout(timeout, self.act(job, trace, timeout)).await.unwrap_or_else(late)
    }

    async fn act(
        &self,
        job: &Job,
        trace: Option<&TraceContext>,
        timeout: Duration,
    ) -> Result<String, String> {
        let body = job.incident.json().to_string().into_bytes();
        match self {
            Self::Program(exec) => {
                let own = environment(&exec.environment, timeout).await?;
                let trace = trace.into_iter().flat_map(TraceContext::variables);
                let all = variables(&job.incident).into_iter().chain(trace).chain(own.clone()).collect();
                let run = Run { command: &exec.command, environment: &all, input: &body, patience: timeout };
                let secrets: Vec<&str> =
                    own.values().map(String::as_str).chain(exec.command.secrets()).collect();
                ended(run, &secrets).await
            }
            Self::Post(server) => server.post(body, trace.into_iter().flat_map(TraceContext::headers)).await,
            Self::Systemctl(of) => systemctl(&arguments(of), timeout).await,
            Self::Device(Device { ask, source }, devices) => {
                let labels = &job.incident.labels;
                let mut about = ["device", "source"].map(|label| labels.get(label)).into_iter();
                let named = source.as_deref().or_else(|| about.find(|name| !name.is_empty()));
                let named =
                    named.ok_or("the alert has no label device or source, and the hook names no source")?;
                devices.ask(named, *ask).await
            }
            Self::Signal(Signal { signal, unit: Some(unit), .. }) => {
                let signal = format!("--signal={}", signal.as_str());
                systemctl(&["kill".into(), signal, "--".into(), unit.clone()], timeout).await
            }
            Self::Signal(signal) => {
                let (signal, key) = (signal.clone(), "a signal of a hook");
                apart(key, timeout.mul_f64(0.9), move || send(&signal)).await?
            }
        }
    }
}

/// The arguments of systemctl.
fn arguments(of: &Systemctl) -> Vec<String> {
    if of.restart {
        return ["restart", "--", &of.unit].map(str::to_owned).to_vec();
    }
    let properties = of.properties.iter().map(|(name, value)| format!("{name}={value}"));
    ["set-property", "--runtime", "--", &of.unit].map(str::to_owned).into_iter().chain(properties).collect()
}

async fn systemctl(arguments: &[String], timeout: Duration) -> Result<String, String> {
    let words: Vec<String> =
        std::iter::once("systemctl".to_owned()).chain(arguments.iter().cloned()).collect();
    let (command, environment) = (Command::from(words), BTreeMap::new());
    ended(Run { command: &command, environment: &environment, input: &[], patience: timeout }, &[]).await
}

/// Runs a program to its end. Returns what it printed, if it ended well.
async fn ended(run: Run<'_>, secrets: &[&str]) -> Result<String, String> {
    let printed = run.finish(Some(OUTPUT)).await?.success(run.command, secrets.iter().copied())?;
    Ok(said(printed.get(..KEPT).unwrap_or(&printed), secrets.iter().copied()))
}

/// The variables of an incident. A label whose name is none of a variable's is in the JSON alone.
fn variables(incident: &Incident) -> BTreeMap<String, String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let mut all: BTreeMap<String, String> = [
        ("NEURAL_INCIDENT", incident.id.clone()),
        ("NEURAL_ALERT", incident.alert.clone()),
        ("NEURAL_SEVERITY", incident.severity.clone()),
        ("NEURAL_PRIORITY", incident.priority.as_str().to_owned()),
        ("NEURAL_SUMMARY", incident.summary().to_owned()),
        ("NEURAL_VALUE", number(incident.values.end)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (name, value) in &incident.labels {
        if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            all.insert(format!("NEURAL_LABEL_{}", name.to_ascii_uppercase()), value.to_owned());
        }
    }
    all.values_mut().for_each(|value| *value = variable(value));
    all
}

/// Sends a signal to the process group of a process that has the name that it should have.
fn send(of: &Signal) -> Result<String, String> {
    let (Some(file), Some(name)) = (&of.pid_file, &of.process) else {
        return Err("it names no process".into());
    };
    let text = crate::sys::file::text(file, PID_FILE)
        .map_err(|why| format!("cannot read {}: {why}", file.display()))?;
    let id = text.trim().parse::<i32>().ok().filter(|id| *id > 1).and_then(Pid::from_raw);
    let id = id.ok_or_else(|| format!("{} has not the number of a process", file.display()))?;
    let is = std::fs::read_to_string(format!("/proc/{}/comm", id.as_raw_nonzero()))
        .map_err(|_| format!("process {} is not there", id.as_raw_nonzero()))?;
    if is.trim_end() != name {
        return Err(format!("process {} is {}, not {name}", id.as_raw_nonzero(), quote(is.trim_end())));
    }
    let group = getpgid(Some(id)).map_err(|why| format!("process {}: {why}", id.as_raw_nonzero()))?;
    if group == getpgrp() || group.as_raw_nonzero().get() <= 1 {
        return Err(format!("process {} is of the agent's own group", id.as_raw_nonzero()));
    }
    let signal = match of.signal {
        SignalName::Hup => Sent::HUP,
        SignalName::Int => Sent::INT,
        SignalName::Term => Sent::TERM,
        SignalName::Usr1 => Sent::USR1,
        SignalName::Usr2 => Sent::USR2,
    };
    kill_process_group(group, signal)
        .map_err(|why| format!("cannot signal group {}: {why}", group.as_raw_nonzero()))?;
    Ok(format!("{} was sent to group {}", of.signal.as_str(), group.as_raw_nonzero()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use super::*;

    #[test]
    fn variables_of_a_label_from_outside_cannot_be_others() {
        let labels = [
            ("alertname", "Lost"),
            ("severity", "critical"),
            ("device", "a\0b"),
            ("é=x", "y"),
            ("path", "/x"),
            ("long", &"x".repeat(3_000_000)),
        ];
        let all = variables(&crate::alert::incident::testing::incident(&labels, 0));
        assert_eq!((&*all["NEURAL_ALERT"], &*all["NEURAL_LABEL_DEVICE"]), ("Lost", "ab"));
        assert_eq!(all["NEURAL_LABEL_LONG"].len(), 4_096);
        assert!(all.keys().all(|name| name.starts_with("NEURAL_") && !name.contains('=')), "{all:?}");
    }

    #[test]
    fn systemctl_is_asked_for_nothing_else() {
        let of = |restart, properties: &[(&str, &str)]| Systemctl {
            unit: "--force".into(),
            restart,
            properties: properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        assert_eq!(arguments(&of(true, &[])), ["restart", "--", "--force"]);
        assert_eq!(
            arguments(&of(false, &[("CPUWeight", "20")])),
            ["set-property", "--runtime", "--", "--force", "CPUWeight=20"]
        );
    }

    #[test]
    fn a_signal_goes_to_the_group_of_the_process_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut child = std::process::Command::new("sleep").arg("30").process_group(0).spawn().unwrap();
        let of = |process: &str| Signal {
            signal: SignalName::Term,
            unit: None,
            pid_file: Some(file.clone()),
            process: Some(process.to_owned()),
        };
        for (text, why) in
            [("", "has not the number"), ("1", "has not the number"), ("-5", "has not the number")]
        {
            std::fs::write(&file, text).unwrap();
            assert!(send(&of("sleep")).unwrap_err().contains(why), "{text}");
        }
        std::fs::write(&file, format!("{}\n", child.id())).unwrap();
        // A process has its name a moment after it was started.
        let name = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&name).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
        assert!(send(&of("other")).unwrap_err().ends_with("is sleep, not other"));
        assert!(child.try_wait().unwrap().is_none());
        assert!(send(&of("sleep")).unwrap().starts_with("TERM was sent to group"));
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        // Never to itself.
        std::fs::write(&file, std::process::id().to_string()).unwrap();
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert!(send(&of(own.trim_end())).unwrap_err().ends_with("of the agent's own group"));
    }
}
