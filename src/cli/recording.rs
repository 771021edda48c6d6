//! `record` and `replay`: raw bytes to a file, and through the same decoders again.

use std::path::Path;
use std::time::Duration;

use super::{Exit, FileArgs, complain, print, run};
use crate::hub::Hub;
use crate::metrics::Format;
use crate::source::record::RECORDED;
use crate::source::replay::{Played, play_at_once};

pub(super) fn record(args: &FileArgs, output: &Path, seconds: Option<u64>) -> Exit {
    let file = run::chosen(args);
    let to = output.to_owned();
    run::start(
        move || run::load(file.as_deref()),
        move |agent| agent.record(&to).map_err(|e| format!("cannot record to {}: {e}", to.display())),
        |agent, stop| async move {
            let (recorded, not): (Vec<_>, Vec<_>) =
                agent.sources().into_iter().partition(|source| agent.is_recorded(&source.name));
            for source in recorded {
                tracing::info!("recording {} ({})", source.name, source.place);
            }
            if !not.is_empty() {
                let names: Vec<_> = not.iter().map(|source| &*source.name).collect();
                tracing::warn!("not recorded: {}; {RECORDED}", names.join(", "));
            }
            agent.run(stop_after(stop, seconds)).await
        },
    )
}

pub(super) fn replay(file: &Path, openmetrics: bool) -> Exit {
    let hub = std::sync::Arc::new(Hub::default());
    let Played { pieces, cut, broken, last, missing } = match play_at_once(file, &hub) {
        Ok(played) => played,
        Err(error) => {
            complain(&format!("cannot replay {}: {error}", file.display()));
            return Exit::Failed;
        }
    };
    let mut out = Vec::new();
    let format = if openmetrics { Format::OpenMetrics } else { Format::Classic };
    hub.write(format, last, &mut out);
    if openmetrics {
        out.extend_from_slice(b"# EOF\n");
    }
    complain(&format!("played {pieces} pieces"));
    if missing > 0 {
        complain(&format!(
            "warning: {missing} pieces are missing: the disk was full or too slow when it was recorded"
        ));
    }
    // As a crash leaves it: what came before is whole.
    if let Some(at) = cut {
        complain(&format!(
            "warning: the recording ends in the middle of a piece, which begins at byte {at}; the data after it is missing"
        ));
    } else if pieces == 0 && broken.is_none() {
        complain(&"warning: the recording is empty: its sources sent no bytes");
    }
    let printed = print(&out);
    if let Some(why) = broken {
        complain(&format!("cannot replay all of {}: {why}", file.display()));
        return Exit::Failed;
    }
    printed
}

/// Ready when the process is asked to end, or after so many seconds.
pub(super) async fn stop_after(stop: run::Stop, seconds: Option<u64>) {
    match seconds {
        None => stop.await,
        Some(seconds) => tokio::select! {
            () = stop => {}
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        },
    }
}
