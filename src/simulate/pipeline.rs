//! A simulated pipeline, a closed-loop decoder with a language model beside it, and the services around it, for the
//! demo.
//!
//! It is a client like any other: it knows the sockets and what is written to them, and nothing of the agent. All is
//! well for the first minutes; then a stage slows down, and later a service fails.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixDatagram, UnixStream};

use super::rng::Rng;

/// Seconds from one round to the next.
const ROUND: f64 = 0.04;
/// Rounds in a second.
const SECOND: u64 = 25;
/// When the classifier is slow, seconds since the start.
const SLOW: Range<f64> = 270.0..330.0;
/// When the storage fails its check, and what needs it fails with it.
const FAILING: Range<f64> = 360.0..420.0;
/// Share of runs that fail while all is well: a fifth of what the objective of 99.9 % allows.
const FAILURES: f64 = 0.0002;

/// Talks to the sockets of events and of StatsD until it is dropped, and connects again when the agent goes away.
pub async fn pipeline(events: PathBuf, statsd: PathBuf) {
    // The story continues where it was when the agent went away.
    let mut story = Story::default();
    loop {
        // An agent that is not there, or left, is asked again.
        drop(talk(&events, &statsd, &mut story).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn talk(events: &Path, statsd: &Path, story: &mut Story) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(events).await?;
    let checked = UnixDatagram::unbound()?;
    stream.write_all(b"{\"type\":\"session\",\"pipeline\":\"decoder\",\"step\":\"started\"}\n").await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(ROUND));
    loop {
        ticks.tick().await;
        let (lines, services) = story.round();
        stream.write_all(lines.as_bytes()).await?;
        if let Some(services) = services {
            checked.send_to(services.as_bytes(), statsd).await?;
        }
    }
}

/// What the pipeline and its services say, round by round, for a clock that is not this machine's.
#[derive(Debug)]
pub struct Story {
    round: u64,
    rng: Rng,
}

impl Default for Story {
    fn default() -> Self {
        Self { round: 0, rng: Rng::new(0x9e37_79b9_7f4a_7c15) }
    }
}

impl Story {
    /// Whether a round is due at this time, ms since the start.
    #[must_use]
    pub fn is_due(&self, ms: i64) -> bool {
        seconds(self.round) * 1000.0 <= ms as f64
    }

    /// The lines of the next round, and the checks of the services where they are made.
    pub fn round(&mut self) -> (String, Option<String>) {
        let services = self.round.is_multiple_of(SECOND).then(|| checks(self.round));
        let text = lines(self.round, &mut self.rng);
        self.round += 1;
        (text, services)
    }
}

/// Seconds since the start.
fn seconds(round: u64) -> f64 {
    round as f64 * ROUND
}

/// What the services say of themselves: 0 is well, 2 is critical.
fn checks(round: u64) -> String {
    let storage = if FAILING.contains(&seconds(round)) { 2 } else { 0 };
    format!("_sc|storage|{storage}\n_sc|license|0\n_sc|network|0")
}

/// What the pipeline says in one round of 40 ms. Writing to a string cannot fail.
fn lines(round: u64, rng: &mut Rng) -> String {
    let mut text = String::new();
    let (slow, failing) = (SLOW.contains(&seconds(round)), FAILING.contains(&seconds(round)));
    let trace = format!("{:016x}{:016x}", rng.roll() | 1, rng.roll());
    for (stage, usual) in
        [("filter", 0.002), ("features", 0.006), ("classify", if slow { 0.16 } else { 0.014 })]
    {
        // Long tails: most rounds are quick, a few are slow.
        let seconds = usual * (0.6 + 0.8 * rng.unit() + 4.0 * rng.unit().powi(24));
        let failed = rng.unit() < FAILURES;
        let outcome = if failed { "\"error\",\"error\":\"timeout\"" } else { "\"ok\"" };
        let _ = writeln!(
            text,
            "{{\"type\":\"stage\",\"pipeline\":\"decoder\",\"stage\":\"{stage}\",\"seconds\":{seconds:.6},\
             \"outcome\":{outcome},\"items\":10,\"trace\":\"{trace}\"}}"
        );
    }
    // What comes faster than it is classified waits.
    let depth = ((rng.unit() + if slow { 4.0 } else { 0.0 }) * 6.0).floor();
    let _ = writeln!(
        text,
        "{{\"type\":\"queue\",\"pipeline\":\"decoder\",\"queue\":\"epochs\",\"depth\":{depth},\"limit\":64}}"
    );
    let hit = u8::from(rng.unit() < 0.85);
    let _ = writeln!(
        text,
        "{{\"type\":\"cache\",\"pipeline\":\"decoder\",\"cache\":\"filters\",\"hits\":{hit},\"misses\":{}}}",
        1 - hit
    );
    if round.is_multiple_of(5) {
        service(failing, rng, &mut text);
    }
    if round.is_multiple_of(SECOND) {
        let (quality, accuracy) = (0.93 + 0.05 * rng.unit(), 0.81 + 0.06 * rng.unit());
        let _ = writeln!(text, "{{\"type\":\"quality\",\"pipeline\":\"decoder\",\"ratio\":{quality:.4}}}");
        let _ = writeln!(
            text,
            "{{\"type\":\"accuracy\",\"pipeline\":\"decoder\",\"model\":\"lda\",\"ratio\":{accuracy:.4}}}"
        );
    }
    if round.is_multiple_of(50) {
        let (prompt, completion) = ((200.0 + 300.0 * rng.unit()).floor(), (40.0 + 90.0 * rng.unit()).floor());
        let first = 0.08 + 0.1 * rng.unit();
        let seconds = first + completion * 0.011;
        let cost = prompt * 1e-6 + completion * 4e-6;
        let _ = writeln!(
            text,
            "{{\"type\":\"call\",\"model\":\"report-writer\",\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\
             \"cost\":{cost:.7},\"seconds\":{seconds:.4},\"first_token_seconds\":{first:.4},\"cache_hit\":false,\"outcome\":\"ok\"}}"
        );
    }
    text
}

/// A request to a service, and the query that it makes of its database.
fn service(failing: bool, rng: &mut Rng, text: &mut String) {
    let (method, route, operation) = match rng.roll() % 4 {
        0 => ("POST", "/trials", "insert"),
        1 => ("GET", "/subjects/{id}", "select"),
        _ => ("GET", "/trials/{id}", "select"),
    };
    let lost = failing && rng.unit() < 0.4;
    let status = match (lost, rng.unit() < 0.02) {
        (true, _) => 503,
        (false, true) => 404,
        (false, false) => 200,
    };
    let query = (0.002 + 0.01 * rng.unit()) * if failing { 40.0 } else { 1.0 };
    let whole = query + 0.005 + 0.02 * rng.unit();
    let outcome = if lost { "\"error\",\"error\":\"timeout\"" } else { "\"ok\"" };
    let _ = writeln!(
        text,
        "{{\"type\":\"request\",\"service\":\"records\",\"method\":\"{method}\",\"route\":\"{route}\",\
         \"status\":{status},\"seconds\":{whole:.6}}}"
    );
    let _ = writeln!(
        text,
        "{{\"type\":\"query\",\"database\":\"trials\",\"operation\":\"{operation}\",\"seconds\":{query:.6},\
         \"outcome\":{outcome}}}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::limit::{Limits, SLO_STAGE_SUCCESS, STAGE_LATENCY};
    use crate::decode::Protocol;
    use crate::event::Body;

    #[test]
    fn every_line_is_understood() {
        let mut decoder = Protocol::Jsonl.decoder();
        let mut rng = Rng::new(1);
        for round in 0..200 {
            let text = lines(round, &mut rng);
            let mut events = 0;
            decoder.decode(text.as_bytes(), &mut |body| {
                assert!(!matches!(body, Body::Fault(_)), "{body:?}");
                events += 1;
            });
            assert_eq!(events, text.lines().count(), "{text}");
        }
    }

    /// Seconds of the slowest run and whether anything failed, of each stage of rounds in a row.
    fn stages(rounds: Range<u64>) -> (f64, f64) {
        let mut decoder = Protocol::Jsonl.decoder();
        let mut rng = Rng::new(1);
        let (mut runs, mut slow, mut failed) = (0, 0, 0);
        for round in rounds {
            decoder.decode(lines(round, &mut rng).as_bytes(), &mut |body| {
                if let Body::Stage(stage) = body {
                    runs += 1;
                    slow += u32::from(stage.seconds > Limits::default().of(&STAGE_LATENCY));
                    failed += u32::from(stage.error.is_some());
                }
            });
        }
        (f64::from(slow) / f64::from(runs), f64::from(failed) / f64::from(runs))
    }

    #[test]
    fn all_is_well_at_first_and_then_a_stage_slows_and_a_service_fails() {
        let at = |seconds: f64| (seconds / ROUND) as u64;
        let (slow, failed) = stages(0..at(SLOW.start));
        let allowed = 1.0 - Limits::default().of(&SLO_STAGE_SUCCESS);
        assert!(slow == 0.0 && failed < allowed / 2.0, "{slow} {failed}");
        let (slow, _) = stages(at(SLOW.start)..at(SLOW.end));
        assert!(slow > 0.3, "{slow}");
        assert_eq!(stages(at(SLOW.end)..at(FAILING.start)).0, 0.0);
        assert!(!checks(at(60.0)).contains('2') && checks(at(FAILING.start) + 1).contains("_sc|storage|2"));
        assert!(!checks(at(FAILING.end) + 1).contains('2'));
    }
}
