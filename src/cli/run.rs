//! `run`: the agent until it is commanded to stop.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

use super::{Exit, FileArgs, RunArgs, complain, once};
use crate::agent::{self, Agent, Failure};
use crate::config::{self, Config, LogFormat};
use crate::document::Problem;
use crate::listen::{Address, Many};
use crate::setting::Invalid;
use crate::sys;

/// Where packages put the configuration.
const USUAL: &str = "/etc/neural-exporter/config.yml";

pub(super) fn run(args: &RunArgs) -> Exit {
    let file = chosen(&args.file);
    let mut listen = Vec::new();
    for text in &args.listen {
        match addresses(text) {
            Ok(addresses) => listen.extend(addresses),
            Err(why) => {
                complain(&format!("--listen: {why}"));
                return Exit::Usage;
            }
        }
    }
    let gateway = match args.push.as_deref().map(once::gateway).transpose() {
        Ok(gateway) => gateway,
        Err(why) => {
            complain(&why);
            return Exit::Usage;
        }
    };
    let (log, alone, time, web) = (args.log.clone(), args.once, args.collect.0, args.web.clone());
    let load = move || {
        let mut config = load(file.as_deref())?;
        if alone {
            once::restrict(&mut config);
            "warn".clone_into(&mut config.log.level);
        }
        if !listen.is_empty() {
            config.listen = Many(listen.clone());
        }
        if let Some(level) = &log {
            config.log.level.clone_from(level);
        }
        if let Some(file) = &web {
            config.web_config = Some(file.clone());
        }
        config.read_web()?;
        match config.exposes_signals() {
            Some(problem) => Err(vec![problem]),
            None => Ok(config),
        }
    };
    start(
        load,
        |_| Ok(()),
        |agent, stop| async move {
            if alone {
                return Box::pin(once::collect(agent, stop, time, gateway)).await;
            }
            let scheme = agent.scheme();
            for address in agent.addresses() {
                tracing::info!("serving {scheme}://{address}/metrics");
            }
            agent.run(stop).await
        },
    )
}

/// Builds an agent, shows it to `before`, and lets `then` run it until it is asked to end.
pub(super) fn start<F>(
    load: impl Fn() -> Result<Config, Vec<Problem>> + Send + Sync + 'static,
    before: impl FnOnce(&mut Agent) -> Result<(), String>,
    then: impl FnOnce(Agent, Stop) -> F,
) -> Exit
where
    F: Future<Output = std::io::Result<()>>,
{
    sys::bound_memory_kept();
    // Before anything is opened that could be taken for a socket of systemd's.
    sys::take_activated();
    let files = sys::raise_file_limit();
    if let Err(error) = agent::log::open() {
        complain(&format!("cannot start: {error}"));
        return Exit::Failed;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Each costs a stack; readings of the machine and files need one or two.
        .max_blocking_threads(16)
        .thread_name("neural-exporter")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Exit::Failed;
        }
    };
    // Before anything else, so that whatever is opened is also closed in order.
    let stop = heard(&runtime);
    let first = match load() {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    if let Err(why) = log(&first) {
        complain(&why);
        return Exit::Usage;
    }
    tracing::debug!(before = files.before, now = files.now, "files that may be open");
    let exit = runtime.block_on(async {
        let mut agent = match Agent::build(Box::new(load)) {
            Ok(agent) => agent,
            Err(failure) => {
                complain(&failure);
                return if matches!(failure, Failure::Config(_)) { Exit::Usage } else { Exit::Failed };
            }
        };
        if let Err(why) = before(&mut agent) {
            complain(&why);
            return Exit::Failed;
        }
        match then(agent, stop).await {
            Ok(()) => Exit::Fine,
            Err(error) => {
                complain(&error);
                Exit::Failed
            }
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    exit
}

/// What `--listen` says. A port alone is that port on all addresses, as other exporters have it.
fn addresses(text: &str) -> Result<Vec<Address>, String> {
    let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) else {
        return text.parse().map(|address| vec![address]).map_err(|why: Invalid| why.to_string());
    };
    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    // A machine may be without IPv6.
    let six = std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|all| !all.is_empty());
    let six = six.then(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    Ok(std::iter::once(all).chain(six).map(Address::Tcp).collect())
}

/// The one address of a text that is read as `--listen` is.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    match addresses(text)?.into_iter().next() {
        Some(Address::Tcp(address)) => Ok(address),
        _ => Err(format!("\"{text}\" is not an address with a port; write it like 127.0.0.1:9612")),
    }
}

/// The file that was named, there or in the environment, or the usual one if it is there. A variable that is empty is
/// as good as none.
pub(super) fn chosen(args: &FileArgs) -> Option<PathBuf> {
    let from_environment =
        std::env::var_os("NEURAL_EXPORTER_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
    args.config.clone().or(from_environment).or_else(|| Some(PathBuf::from(USUAL)).filter(|p| p.is_file()))
}

/// Reads a configuration file, or gives the defaults.
pub(super) fn load(file: Option<&Path>) -> Result<Config, Vec<Problem>> {
    file.map_or_else(|| Ok(Config::default()), config::load)
}

/// Sets the log up, once a process.
pub(super) fn log(config: &Config) -> Result<(), String> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let filter = EnvFilter::builder().parse(&config.log.level).map_err(|e| format!("log.level: {e}"))?;
    // The journal stamps lines itself.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    agent::log::open().map_err(|e| format!("the log: {e}"))?;
    // An error of the log has nowhere to go: written to standard error it would end the thread.
    let out = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| agent::log::Line)
        .log_internal_errors(false)
        .with_target(false);
    let color =
        std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    match config.log.format {
        LogFormat::Json => out.json().with_timer(Clock).init(),
        LogFormat::Text if journal => out.with_ansi(false).without_time().init(),
        LogFormat::Text => out.with_ansi(color).with_timer(Clock).init(),
    }
    Ok(())
}

/// The time of a log line, in UTC: `2026-11-21T10:20:30.123Z`.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        let ms = crate::clock::now().wall / 1_000_000;
        let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(w, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, ms % 1000)
    }
}

/// Year, month and day of a day since the epoch: the civil calendar, with years that begin in March.
pub(super) fn date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// What [`stop_signal`] gives, from outside the runtime.
fn heard(runtime: &tokio::runtime::Runtime) -> Stop {
    let _within = runtime.enter();
    stop_signal()
}

/// Ready when the process is asked to end.
pub(super) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// From this call on, the process is not killed when it is asked to end; what it gives is ready then. Must be called
/// within the runtime.
pub(super) fn stop_signal() -> Stop {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    Box::pin(async {
        let (Ok(mut term), Ok(mut interrupt)) = heard else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_all_addresses() {
        let all = addresses(":9612").unwrap();
        assert_eq!(all[0].to_string(), "0.0.0.0:9612");
        assert!(all.iter().skip(1).all(|address| address.to_string() == "[::]:9612"));
        assert_eq!(addresses("[::1]:1").unwrap()[0].to_string(), "[::1]:1");
        assert!(addresses(":x").is_err() && addresses("9612").is_err());
    }

    #[test]
    fn dates() {
        for (days, want) in
            [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_778, (2026, 11, 21))]
        {
            assert_eq!(date(days), want);
        }
    }
}
