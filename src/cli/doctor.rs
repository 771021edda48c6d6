//! `doctor`: what an expert would check by hand on this machine, each with what fixes it.
//!
//! What the configuration names is looked at as `check --live` does. It changes nothing, opens no port, and connects to no recording program.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::statvfs;

use super::server::{LoginArgs, ServerArgs};
use super::{Exit, FileArgs, Form, check, complain, devices, json, print, run, runtime};
use crate::agent::live::{self, Finding, Verdict};
use crate::agent::state_folder;
use crate::ask::Server;
use crate::catalog::doctor::{QUESTIONS, Question};
use crate::clock::now;
use crate::config::{self, Config};
use crate::promql::{Value, When};
use crate::source::port::usb::Roots;
use crate::sys;

/// Free bytes of a disk below which a recording or the history may end soon, and below which it is about to.
const LOW: u64 = 2 << 30;
const EMPTY: u64 = 128 << 20;
/// Where LSL looks for streams of this machine and its network.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 172, 215);
/// The port on which streams are found.
const DISCOVERY: u16 = 16_571;
/// What lets LSL through each firewall.
const OPEN_UFW: &str = "sudo ufw allow 16571:16604/udp && sudo ufw allow 16572:16604/tcp";
const OPEN_FIREWALLD: &str = "sudo firewall-cmd --permanent --add-port=16571-16604/udp --add-port=16572-16604/tcp && sudo firewall-cmd --reload";
/// Bytes that a burst of datagrams takes: what a source asks for where its configuration does not say.
const BURST: u64 = 4 << 20;
/// How long a packet to this machine's own group may take.
const ECHO: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    login: LoginArgs,
    /// The form of the list.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
    /// Where the system's files are: the host's, seen from a container that has them at another place.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

pub(super) fn doctor(args: &Args) -> Exit {
    let file = run::chosen(&args.file);
    let config = match file.as_deref().map_or_else(|| Ok(Config::default()), config::load_whole) {
        Ok(config) => config,
        Err(problems) => {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            complain(&format!(
                "the configuration has mistakes\n{}\n  hint: neural-exporter check",
                text.join("\n")
            ));
            return Exit::Usage;
        }
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let roots = args.root.as_deref().map_or_else(Roots::default, Roots::below);
    let found = runtime.block_on(async {
        let mut found = machine(&config, &roots);
        found.extend(live::look(&config).await);
        found.extend(agent(&args.file, &args.login).await);
        found
    });
    let failed = found.iter().any(|one| one.verdict == Verdict::Failed);
    let warned = found.iter().any(|one| one.verdict == Verdict::Warning);
    let text = match args.output {
        Form::Json => json(&found),
        Form::Text => {
            let mut text = check::table(&found);
            text.push_str(match (failed, warned) {
                (true, _) => "something does not work\n",
                (false, true) => "everything works, not everything as well as it could\n",
                (false, false) => "everything is as it should be\n",
            });
            text.into_bytes()
        }
    };
    match print(&text) {
        Exit::Fine if failed => Exit::Failed,
        done => done,
    }
}

/// What does not depend on what the configuration names.
fn machine(config: &Config, roots: &Roots) -> Vec<Finding> {
    let mut found = ports(roots);
    found.push(multicast());
    found.push(firewall(config, Path::new("/")));
    found.extend(buffers(Path::new("/proc/sys/net/core/rmem_max")));
    found.push(clock());
    let place = config.state_directory.clone().or_else(state_folder).unwrap_or_else(|| PathBuf::from("/"));
    found.extend(disk(&place));
    found
}

/// Each port: whether it may be opened, whether its name stays, and how long its bytes wait.
fn ports(roots: &Roots) -> Vec<Finding> {
    let mut found = Vec::new();
    for device in devices::found(roots) {
        let subject = device.node().display().to_string();
        if let Some(advice) = device.advice() {
            found.push(
                Finding::new("port", &subject, Verdict::Failed, "this user may not open it").hint(advice),
            );
        } else {
            found.push(Finding::new(
                "port",
                &subject,
                Verdict::Ok,
                format!("may be opened: {}", device.guess()),
            ));
        }
        if device.is_renumbered() {
            let message = "no name stays with it: after it is plugged in again it may have another number";
            found.push(
                Finding::new("udev", &subject, Verdict::Warning, message)
                    .hint("sudo apt-get install udev && sudo udevadm trigger --subsystem-match=tty"),
            );
        }
        if let Some(seconds) = device.latency_timer().filter(|seconds| *seconds > 0.001) {
            let name = device.node().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let message = format!(
                "bytes wait up to {:.0} ms in its chip; the agent sets 1 ms if it may",
                seconds * 1000.0
            );
            let mend = format!(
                "echo 1 | sudo tee /sys/bus/usb-serial/devices/{name}/latency_timer, or the udev rule in deploy"
            );
            found.push(Finding::new("latency timer", &subject, Verdict::Warning, message).hint(mend));
        }
    }
    if found.is_empty() {
        let message = "there is no serial port with hardware behind it";
        found.push(
            Finding::new("port", "/dev", Verdict::Skipped, message)
                .hint("neural-exporter devices says what to check"),
        );
    }
    found
}

/// Whether packets to LSL's group arrive on this machine: without them no stream is found.
fn multicast() -> Finding {
    let (path, subject) = ("LSL", GROUP);
    let echo = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_read_timeout(Some(ECHO))?;
        let port = socket.local_addr()?.port();
        socket.send_to(b"neural-exporter", (GROUP, port))?;
        let mut buffer = [0; 32];
        match socket.recv(&mut buffer) {
            Ok(_) => Ok(true),
            Err(why)
                if matches!(why.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                Ok(false)
            }
            Err(why) => Err(why),
        }
    };
    let open = "let UDP port 16571 and TCP and UDP ports 16572 to 16603 through the firewall; see `sudo nft list ruleset`";
    match echo() {
        Ok(true) => Finding::new(path, subject, Verdict::Ok, "multicast packets arrive on this machine"),
        Ok(false) => {
            let message =
                "a multicast packet to this machine itself did not arrive: streams may not be found";
            Finding::new(path, subject, Verdict::Warning, message).hint(open)
        }
        Err(why) => {
            let message = format!("multicast cannot be used: {why}; streams of other machines are not found");
            let mend = "switch a network on, or name the machines under known_peers of the lsl source";
            Finding::new(path, subject, Verdict::Warning, message).hint(mend)
        }
    }
}

/// Whether a firewall that is on lets LSL through, as far as its files say: its rules themselves are for root alone.
fn firewall(config: &Config, root: &Path) -> Finding {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let ufw = read("etc/ufw/ufw.conf").lines().any(|line| line.trim().eq_ignore_ascii_case("enabled=yes"));
    let firewalld = root.join("run/firewalld").is_dir() || root.join("run/firewalld.pid").exists();
    let (subject, rules, mend) = match (ufw, firewalld) {
        (true, _) => ("ufw", read("etc/ufw/user.rules"), OPEN_UFW),
        (false, true) => ("firewalld", read("etc/firewalld/zones/public.xml"), OPEN_FIREWALLD),
        (false, false) => {
            let message =
                "neither ufw nor firewalld is on; `sudo nft list ruleset` shows what else may filter";
            return Finding::new("firewall", "this machine", Verdict::Ok, message);
        }
    };
    if rules.contains(&DISCOVERY.to_string()) {
        return Finding::new("firewall", subject, Verdict::Ok, "is on, and has a rule for the ports of LSL");
    }
    if !config.sources.iter().any(|source| source.kind() == "lsl") {
        return Finding::new("firewall", subject, Verdict::Skipped, "is on, and no lsl source is configured");
    }
    let message =
        "is on, and no rule for the ports of LSL is seen: streams of other machines may not be found";
    Finding::new("firewall", subject, Verdict::Warning, message).hint(mend)
}

/// Whether the kernel grants buffers in which a burst of datagrams has room.
fn buffers(limit: &Path) -> Option<Finding> {
    let most: u64 = std::fs::read_to_string(limit).ok()?.trim().parse().ok()?;
    let message = format!("datagrams may wait in {most} bytes");
    let finding = |verdict| Finding::new("rmem_max", "net.core.rmem_max", verdict, message.clone());
    if most >= BURST {
        return Some(finding(Verdict::Ok));
    }
    let mend = format!("sudo sysctl -w net.core.rmem_max={BURST}, and into /etc/sysctl.d to keep it");
    Some(finding(Verdict::Warning).hint(mend))
}

/// Whether the kernel says that its clock is kept by a time service.
fn clock() -> Finding {
    match sys::clock_is_synchronized() {
        Some(true) => Finding::new("clock", "this machine", Verdict::Ok, "synchronised"),
        Some(false) => {
            let message = "not synchronised: its times cannot be compared with those of other machines";
            Finding::new("clock", "this machine", Verdict::Warning, message)
                .hint("sudo timedatectl set-ntp true, or start chrony")
        }
        None => Finding::new(
            "clock",
            "this machine",
            Verdict::Skipped,
            "the kernel does not say whether it is synchronised",
        ),
    }
}

/// Room on the disk that the agent writes to.
fn disk(folder: &Path) -> Option<Finding> {
    let there = folder.ancestors().find(|above| above.exists())?;
    let stat = statvfs(there).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let message = format!("{} MB are free", free / 1_000_000);
    let verdict = match free {
        _ if free < EMPTY => Verdict::Failed,
        _ if free < LOW => Verdict::Warning,
        _ => Verdict::Ok,
    };
    let finding = Finding::new("disk", there.display(), verdict, message);
    let mend =
        format!("find what takes the room: sudo du -xh --max-depth=2 {} | sort -h | tail", there.display());
    Some(if verdict == Verdict::Ok { finding } else { finding.hint(mend) })
}

/// What the running agent says of itself.
async fn agent(file: &FileArgs, login: &LoginArgs) -> Vec<Finding> {
    let Some(server) = ServerArgs::of(file, login).open() else { return Vec::new() };
    let mut found = Vec::new();
    for question in QUESTIONS {
        match asked(&server, question).await {
            Ok(Some(finding)) => found.push(finding),
            Ok(None) => {}
            Err(why) => {
                let finding = Finding::new("agent", server.root(), Verdict::Skipped, why);
                return vec![
                    finding.hint("start it, to have it looked at as well: systemctl status neural-exporter"),
                ];
            }
        }
    }
    if found.is_empty() {
        found.push(Finding::new(
            "agent",
            server.root(),
            Verdict::Ok,
            "runs, and has nothing to say against itself",
        ));
    }
    found
}

async fn asked(server: &Server, question: &Question) -> Result<Option<Finding>, String> {
    let answer = server.ask(question.expr, When::At(now().wall_milliseconds())).await;
    let Value::Vector(series) = answer.map_err(|failure| failure.why().to_owned())?.value else {
        return Ok(None);
    };
    let Some(first) = series.first() else { return Ok(None) };
    let labels: Vec<&str> = question
        .labels
        .iter()
        .map(|label| first.labels.get(label))
        .filter(|value| !value.is_empty())
        .collect();
    let subject = if labels.is_empty() { server.root().to_owned() } else { labels.join(" ") };
    let more = if series.len() > 1 { format!(", and {} more", series.len() - 1) } else { String::new() };
    let message = format!("{}{more}", question.says);
    Ok(Some(Finding::new("agent", subject, Verdict::Warning, message).hint(question.mend)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{OWN, PAGES};
    use crate::promql;

    #[test]
    fn every_question_asks_for_what_there_is() {
        let all = PAGES.iter().chain(OWN).flat_map(|page| page.metrics);
        let families: Vec<String> = all.map(|metric| metric.family()).collect();
        for question in QUESTIONS {
            for name in promql::parse(question.expr).unwrap().metrics() {
                assert!(families.iter().any(|known| known == name.trim_end_matches("_total")), "{name}");
            }
        }
    }

    #[test]
    fn a_firewall_that_is_on_is_told_with_what_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let at = folder.path().join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        };
        let lsl = config::parse("f", "sources: [lsl: {}]").unwrap();
        let found = |config: &Config| firewall(config, folder.path());
        assert_eq!(found(&lsl).verdict, Verdict::Ok);
        put("etc/ufw/ufw.conf", "# ufw\nENABLED=no\n");
        assert_eq!(found(&lsl).verdict, Verdict::Ok);
        put("etc/ufw/ufw.conf", "# ufw\nENABLED=yes\n");
        let closed = found(&lsl);
        assert_eq!((closed.verdict, closed.hint.as_deref()), (Verdict::Warning, Some(OPEN_UFW)));
        assert_eq!(found(&Config::default()).verdict, Verdict::Skipped);
        put("etc/ufw/user.rules", "-A ufw-user-input -p udp -m multiport --dports 16571:16604 -j ACCEPT\n");
        assert_eq!(found(&lsl).verdict, Verdict::Ok);
        put("etc/ufw/ufw.conf", "ENABLED=no\n");
        put("run/firewalld/x", "");
        let closed = found(&lsl);
        assert_eq!((&*closed.subject, closed.hint.as_deref()), ("firewalld", Some(OPEN_FIREWALLD)));
    }

    #[test]
    fn small_buffers_are_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let of = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            buffers(file.path()).map(|found| (found.verdict, found.hint.is_some()))
        };
        assert_eq!(of("212992\n"), Some((Verdict::Warning, true)));
        assert_eq!(of("8388608\n"), Some((Verdict::Ok, false)));
        assert_eq!(of("?"), None);
    }

    #[test]
    fn a_full_disk_fails() {
        let found = disk(Path::new("/proc/none/at/all"));
        // What has no blocks has no room.
        assert_eq!(found.map(|one| one.verdict), Some(Verdict::Failed));
        assert!(disk(&std::env::temp_dir()).unwrap().message.ends_with("MB are free"));
    }
}
