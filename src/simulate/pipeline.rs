//! A simulated pipeline: a closed-loop decoder with a language model beside it, for demos and tests.
//!
//! It is a client like any other: it knows the socket and the JSON lines and nothing of the agent.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::dice::Dice;

/// Talks to the socket until it is dropped, and connects again when the agent goes away.
pub async fn pipeline(socket: PathBuf) {
    loop {
        // An agent that is not there, or left, is asked again.
        drop(talk(&socket).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn talk(socket: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15);
    stream.write_all(b"{\"type\":\"session\",\"pipeline\":\"decoder\",\"step\":\"started\"}\n").await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(40));
    for round in 0_u64.. {
        ticks.tick().await;
        stream.write_all(lines(round, &mut dice).as_bytes()).await?;
    }
    Ok(())
}

/// What the pipeline says in one round of 40 ms. Writing to a string cannot fail.
fn lines(round: u64, dice: &mut Dice) -> String {
    let mut text = String::new();
    let trace = format!("{:016x}{:016x}", dice.roll() | 1, dice.roll());
    for (stage, usual) in [("filter", 0.002), ("features", 0.006), ("classify", 0.014)] {
        // Long tails: most rounds are quick, a few are slow.
        let seconds = usual * (0.6 + 0.8 * dice.unit() + 4.0 * dice.unit().powi(24));
        let failed = dice.unit() < 0.004;
        let outcome = if failed { "\"error\",\"error\":\"timeout\"" } else { "\"ok\"" };
        let _ = writeln!(
            text,
            "{{\"type\":\"stage\",\"pipeline\":\"decoder\",\"stage\":\"{stage}\",\"seconds\":{seconds:.6},\
             \"outcome\":{outcome},\"items\":10,\"trace\":\"{trace}\"}}"
        );
    }
    let depth = (dice.unit() * 6.0).floor();
    let _ = writeln!(
        text,
        "{{\"type\":\"queue\",\"pipeline\":\"decoder\",\"queue\":\"epochs\",\"depth\":{depth},\"limit\":64}}"
    );
    let hit = u8::from(dice.unit() < 0.85);
    let _ = writeln!(
        text,
        "{{\"type\":\"cache\",\"pipeline\":\"decoder\",\"cache\":\"filters\",\"hits\":{hit},\"misses\":{}}}\n",
        1 - hit
    );
    if round.is_multiple_of(25) {
        let (quality, accuracy) = (0.93 + 0.05 * dice.unit(), 0.81 + 0.06 * dice.unit());
        let _ = writeln!(text, "{{\"type\":\"quality\",\"pipeline\":\"decoder\",\"ratio\":{quality:.4}}}");
        let _ = writeln!(
            text,
            "{{\"type\":\"accuracy\",\"pipeline\":\"decoder\",\"model\":\"lda\",\"ratio\":{accuracy:.4}}}"
        );
    }
    if round.is_multiple_of(50) {
        let (prompt, completion) =
            ((200.0 + 300.0 * dice.unit()).floor(), (40.0 + 90.0 * dice.unit()).floor());
        let first = 0.08 + 0.1 * dice.unit();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Protocol;
    use crate::event::Body;

    #[test]
    fn every_line_is_understood() {
        let mut decoder = Protocol::Jsonl.decoder();
        let mut dice = Dice::new(1);
        let mut events = 0;
        for round in 0..200 {
            decoder.decode(lines(round, &mut dice).as_bytes(), &mut |body| {
                assert!(!matches!(body, Body::Fault(_)), "{body:?}");
                events += 1;
            });
        }
        assert_eq!(events, 200 * 5 + 8 * 2 + 4);
    }
}
