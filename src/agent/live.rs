//! `check --live`: what the configuration names, looked for on this machine and its network.
//!
//! It writes nothing and opens no serial port. A socket is bound for a moment, to see that it can be; a client's
//! place of a recording program is not taken, since there may be one alone.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{files, place};
use crate::catalog::alert::CHAPTERS;
use crate::clock::now;
use crate::config::{Config, Source};
use crate::listen::{Address, Bytes, Listen};
use crate::promql::When;
use crate::provision::{self, Bundle, How, Operation, Run};
use crate::quote::plain;
use crate::source::kind::Context;
pub use crate::source::look::{Finding, Verdict};
use crate::source::look::{PATIENCE, folder, may_write, nearest};
use crate::source::socket;

/// Looks at everything that the configuration names, in its order.
pub async fn look(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut running = false;
    for address in config.listen.iter() {
        found.push(own_address(address, config.web.has_tls(), &mut running).await);
    }
    found.extend(web(config));
    if let Some(folder) = config.state_directory.clone().or_else(place::state_folder) {
        found.push(writable("state_directory", &folder));
    }
    for (index, source) in config.sources.iter().enumerate() {
        let path = format!("sources[{index}].{}", source.kind());
        sockets(&path, source, running, &mut found);
        found.extend(source.settings().look(&path, running).await);
    }
    asked(config, &mut found).await;
    targets(config, &mut found).await;
    found
}

/// Where `/metrics` is served; sets `running` if an agent serves it now.
async fn own_address(address: &Address, tls: bool, running: &mut bool) -> Finding {
    let Address::Tcp(at) = address else {
        return Finding::new(
            "listen",
            address,
            Verdict::Skipped,
            "systemd passes it when it starts the agent",
        );
    };
    match std::net::TcpListener::bind(at) {
        Ok(_) => Finding::new("listen", at, Verdict::Ok, "free"),
        Err(why) if why.kind() == io::ErrorKind::AddrInUse && answers(*at, tls).await => {
            *running = true;
            Finding::new("listen", at, Verdict::Ok, "a running neural-exporter serves it")
        }
        Err(why) => {
            Finding::new("listen", at, Verdict::Failed, plain(&why)).hint(who_has(&why, 't', at.port()))
        }
    }
}

/// What others may do there: whether TLS and authentication are on where other machines reach the agent, and how long the certificate
/// is valid.
fn web(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some((addresses, lacks)) = config.open_to_others() {
        let message = format!("other machines reach it {lacks}");
        let hint = "listen on 127.0.0.1, or name a file with a certificate and users: web_config";
        found.push(Finding::new("listen", addresses.join(", "), Verdict::Warning, message).hint(hint));
    }
    if let Some(ends) = config.web.certificate_ends() {
        let days = (ends - now().wall_milliseconds() / 1000).div_euclid(86_400);
        let (verdict, message) = match days {
            ..0 => (Verdict::Failed, "expired: clients refuse it".to_owned()),
            0..SOON => (Verdict::Warning, format!("expires in {days} days")),
            _ => (Verdict::Ok, format!("valid for {days} days")),
        };
        found.push(Finding::new("web_config", "certificate", verdict, message));
    }
    found
}

/// Days before its end at which a certificate is to be replaced.
const SOON: i64 = 14;

/// Whether an agent serves this address. One with TLS says so to who speaks without; a user is not needed for that.
async fn answers(at: std::net::SocketAddr, tls: bool) -> bool {
    let ip = match at.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect((ip, at.port())).await?;
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await;
    let Ok(Ok(answer)) = answer else { return false };
    let ends = |text: &str| answer.ends_with(text.as_bytes());
    ends(crate::http::HEALTHY) || ends(crate::http::UNKNOWN) || (tls && ends(crate::http::NO_TLS))
}

fn who_has(why: &io::Error, kind: char, port: u16) -> String {
    match why.kind() {
        io::ErrorKind::AddrInUse => format!("find the program that has it: ss -l{kind}np 'sport = :{port}'"),
        io::ErrorKind::AddrNotAvailable => "use an address of this machine: ip address show".to_owned(),
        io::ErrorKind::PermissionDenied => "use a port above 1023, or grant CAP_NET_BIND_SERVICE".to_owned(),
        _ => "use another address".to_owned(),
    }
}

/// Where a source listens, and what the kernel grants it.
fn sockets(path: &str, source: &Source, running: bool, found: &mut Vec<Finding>) {
    let settings = source.settings();
    let listens: Vec<Listen> =
        settings.listen_addresses().into_iter().chain(settings.datagram_address().cloned()).collect();
    let options = settings.options(&Context::default());
    for listen in &listens {
        let bound = match listen {
            Listen::Udp(at) => {
                std::net::UdpSocket::bind(at).map(drop).map_err(|why| (who_has(&why, 'u', at.port()), why))
            }
            Listen::Tcp(at) => {
                std::net::TcpListener::bind(at).map(drop).map_err(|why| (who_has(&why, 't', at.port()), why))
            }
            Listen::Unix(at) | Listen::UnixDatagram(at) => socket_file(at, listen).map_err(|why| {
                (format!("the agent's user must be able to write in {}", folder(at).display()), why)
            }),
            Listen::Systemd(_) => {
                let why = "systemd passes it when it starts the agent";
                found.push(Finding::new(path, listen, Verdict::Skipped, why));
                continue;
            }
        };
        found.push(match bound {
            Ok(()) => Finding::new(path, listen, Verdict::Ok, "free"),
            Err((_, why)) if why.kind() == io::ErrorKind::AddrInUse && running => {
                Finding::new(path, listen, Verdict::Ok, "in use while a neural-exporter runs")
            }
            Err((hint, why)) => Finding::new(path, listen, Verdict::Failed, plain(&why)).hint(hint),
        });
    }
    let group = options.as_ref().and_then(|options| options.group.as_deref());
    if let Some(name) = group.filter(|name| socket::group_id(name).is_none()) {
        let hint = format!("create it: sudo groupadd --system {name}");
        found.push(Finding::new(path, format!("group {name}"), Verdict::Failed, "no such group").hint(hint));
    }
    let datagrams = listens.iter().any(|l| matches!(l, Listen::Udp(_) | Listen::UnixDatagram(_)));
    let most = std::fs::read_to_string("/proc/sys/net/core/rmem_max");
    let most = most.ok().and_then(|text| text.trim().parse::<u64>().ok());
    let asked = options.map(|options| Bytes(options.receive_buffer as u64));
    if let (Some(asked), Some(most), true) = (asked, most, datagrams) {
        found.push(if asked.0 <= most {
            let message = format!("{asked}; net.core.rmem_max is {most} bytes");
            Finding::new(path, "receive_buffer", Verdict::Ok, message)
        } else {
            let message =
                format!("{asked} is more than net.core.rmem_max, {most} bytes, which the kernel grants");
            let hint =
                format!("sudo sysctl -w net.core.rmem_max={}, and into /etc/sysctl.d to keep it", asked.0);
            Finding::new(path, "receive_buffer", Verdict::Warning, message).hint(hint)
        });
    }
}

/// Whether a socket could be made there.
fn socket_file(at: &Path, listen: &Listen) -> io::Result<()> {
    if std::fs::symlink_metadata(at).is_ok() {
        let answer = match listen {
            Listen::Unix(_) => UnixStream::connect(at).map(drop),
            _ => UnixDatagram::unbound().and_then(|socket| socket.connect(at)),
        };
        return match answer {
            // A crash left it behind; the agent takes its place.
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(why) => Err(why),
            Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        };
    }
    may_write(nearest(folder(at)))
}

fn writable(path: &str, at: &Path) -> Finding {
    match may_write(nearest(at)) {
        Ok(()) => Finding::new(path, at.display(), Verdict::Ok, "can be written"),
        Err(why) => {
            let hint =
                "without it the day's totals are lost at a restart: name another folder, or change its owner";
            Finding::new(path, at.display(), Verdict::Warning, format!("cannot be written: {}", plain(&why)))
                .hint(hint)
        }
    }
}

/// The server that answers questions of the past: it is asked one.
async fn asked(config: &Config, found: &mut Vec<Finding>) {
    let Some(server) = &config.ask.prometheus else { return };
    let (path, url) = ("ask.prometheus", server.url.shown());
    let asked = match server.open() {
        Ok(server) => {
            let time = i64::try_from(now().wall / 1_000_000).unwrap_or(i64::MAX);
            server.ask("vector(1)", When::At(time)).await.map_err(|failure| failure.why().to_owned())
        }
        Err(why) => Err(why),
    };
    let answers = asked.is_ok();
    found.push(match asked {
        Ok(_) => Finding::new(path, &url, Verdict::Ok, "answers"),
        Err(why) => {
            Finding::failed(path, &url, &why).or_hint(format!("curl -sS -i {url} shows what it answers"))
        }
    });
    // What it evaluates is of use where the agent does not.
    if answers && !config.evaluates() {
        found.push(loaded(config, path, &url).await);
    }
}

/// Whether the server has the rules that are generated.
async fn loaded(config: &Config, path: &str, url: &str) -> Finding {
    let mend = "neural-exporter generate --out DIR, and DIR/alert-rules/*.yml under rule_files of the server; or let provision push them";
    let call = async {
        let server = config.ask.prometheus.as_ref().ok_or_else(String::new)?.open()?;
        server.call("/api/v1/rules?type=alert", None).await.map_err(|failure| failure.why().to_owned())
    };
    let there = match call.await {
        Ok((data, _)) => names(&data),
        Err(why) => {
            let hint = format!("curl -sS -i {url}/api/v1/rules shows what it answers");
            return Finding::failed(path, format!("rules of {url}"), &why).or_hint(hint);
        }
    };
    let off = &config.alerts.off;
    let wanted = CHAPTERS.iter().flat_map(|chapter| chapter.alerts).map(|alert| alert.name);
    let wanted: Vec<&str> = wanted.filter(|name| !off.iter().any(|off| off == name)).collect();
    let missing = wanted.iter().filter(|name| !there.contains(**name)).count();
    let subject = format!("rules of {url}");
    match missing {
        0 => Finding::new(path, subject, Verdict::Ok, format!("all {} alerts are loaded", wanted.len())),
        _ => {
            let message = format!("{missing} of {} alerts are not loaded there", wanted.len());
            Finding::new(path, subject, Verdict::Warning, message).hint(mend)
        }
    }
}

/// The names of the rules in an answer of `/api/v1/rules`.
fn names(data: &serde_json::Value) -> BTreeSet<String> {
    let list = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(serde_json::Value::as_array).cloned().unwrap_or_default()
    };
    let rules = list(data, "groups").into_iter().flat_map(|group| list(&group, "rules"));
    rules.filter_map(|rule| Some(rule.get("name")?.as_str()?.to_owned())).collect()
}

/// The servers that are pushed to: each is read, none is written.
async fn targets(config: &Config, found: &mut Vec<Finding>) {
    let targets = match config.targets() {
        Ok(targets) => targets,
        Err(why) => return found.push(Finding::failed("provision", "data source", &why)),
    };
    if targets.is_empty() {
        return;
    }
    let bundle = match Bundle::of(files(config)) {
        Ok(bundle) => bundle,
        Err(wrong) => {
            found.push(Finding::new("provision", "generated files", Verdict::Failed, wrong.join("; ")));
            return;
        }
    };
    let run = Run {
        operation: Operation::Plan,
        dry: true,
        only: Vec::new(),
        how: How { force: false, prune: false },
        owner: config.alerts.job.clone(),
        wait: PATIENCE,
    };
    let report = provision::run(&targets, &bundle, &run, &mut |_| {}).await;
    for (index, target) in targets.iter().enumerate() {
        let path = format!("provision.targets[{index}].{}", target.kind());
        let trouble = report.troubles.iter().find(|trouble| trouble.target == target.name());
        let unread = report.unread.iter().find(|unread| unread.target == target.name());
        let name = target.name();
        found.push(match (trouble.or(unread), target.settings().folder().map(may_write)) {
            (Some(trouble), _) => {
                Finding::failed(&path, name, &trouble.why).or_hint("neural-exporter provision plan says more")
            }
            (None, Some(Err(why))) => {
                let message = format!("files cannot be written there: {}", plain(&why));
                Finding::new(&path, name, Verdict::Failed, message)
                    .hint("let the agent's user write in that folder")
            }
            (None, Some(Ok(()))) => {
                Finding::new(&path, name, Verdict::Ok, "may be read, and its folder be written")
            }
            (None, None) => match report.pending(name) {
                0 => Finding::new(&path, name, Verdict::Ok, "answers, and has what would be pushed"),
                pending => {
                    let message =
                        format!("answers, and {pending} of its objects are not what would be pushed");
                    Finding::new(&path, name, Verdict::Warning, message)
                        .hint("neural-exporter provision plan, and then provision apply")
                }
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_when_the_agent_runs_is_not_ok() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("file"), "").unwrap();
        std::fs::write(at("taken"), "").unwrap();
        let text = format!(
            "listen: 127.0.0.1:0\nsources:\n\
             - serial: {{name: a, port: {file}, protocol: cyton, tap: {taken}}}\n\
             - serial: {{name: b, port: /dev/null, protocol: cyton, tap: {file}/none/tap}}\n\
             - serial: {{name: c, port: {none}, protocol: cyton, tap: /proc/none/tap}}\n\
             - serial: {{name: d, port: {none}2, protocol: cyton, tap: {new}}}\n\
             provision: {{targets: [{{directory: {{name: bad, path: /proc/none}}}}, {{directory: {{name: good, path: {out}}}}}]}}\n",
            file = at("file"),
            taken = at("taken"),
            none = at("none"),
            new = at("new/tap"),
            out = at("out/all"),
        );
        let config = crate::config::parse("f", &text).unwrap();
        let found = look(&config).await;
        let is = |path: &str, subject: &str, verdict: Verdict, part: &str| {
            let fits = |of: &&Finding| {
                of.path.starts_with(path) && of.subject == subject && of.message.contains(part)
            };
            let of = found.iter().find(fits).unwrap_or_else(|| panic!("{path} {subject} {part}: {found:#?}"));
            assert_eq!(of.verdict, verdict, "{of:?}");
        };
        is("sources[0]", &at("file"), Verdict::Failed, "is not a serial port");
        is("sources[0]", &at("taken"), Verdict::Failed, "is no link");
        is("sources[1]", &at("file/none/tap"), Verdict::Failed, "");
        is("sources[2]", "/proc/none/tap", Verdict::Failed, "the link cannot be made");
        is("sources[3]", &at("new/tap"), Verdict::Ok, "the link can be made");
        is("provision.targets[0]", "bad", Verdict::Failed, "cannot be written");
        is("provision.targets[1]", "good", Verdict::Ok, "");
        if Path::new("/sys/dev/char/1:3/subsystem").exists() {
            is("sources[1]", "/dev/null", Verdict::Failed, "is not a serial port");
        } else {
            eprintln!("no sysfs: that /dev/null is no serial port is not tested");
        }
    }
}
