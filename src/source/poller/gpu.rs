//! Graphics processors as a source of every maker.
//!
//! Where there is neither a driver nor a card the source stays down, says so once and looks again
//! from time to time. How a maker's cards are asked stands in a file of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::amd;
use super::nvidia::Nvidia;
use crate::clock::now;
use crate::event::{Body, Gpu, Link};
use crate::setting::Span;
use crate::source::aside::{Attempt, SHORTEST, USUAL, Worker};
use crate::source::kind::{Context, Kind, Start};
use crate::source::{Feed, poll};

/// Which graphics processors are read, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The source's name.
    pub name: String,
    /// How often the cards are read, 100 ms at least; `intervals.system` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Cards of NVIDIA, through the library that comes with their driver.
    pub nvidia: bool,
    /// Cards of AMD, through the kernel (Linux).
    pub amd: bool,
    /// Whose processes hold how much of a card's memory (NVIDIA).
    pub processes: bool,
    /// Traffic over PCIe (NVIDIA). To measure it takes 40 ms a card.
    pub pcie: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "gpu".to_owned(), interval: None, nvidia: true, amd: true, processes: true, pcie: false }
    }
}

/// How long a pass waits for the cards.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until a card or a driver that was not there is looked for again.
const RETRY: Duration = Duration::from_secs(300);

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn context(&self, all: &Context) -> Context {
        all.of_system()
    }

    /// A machine without a graphics processor is no fault.
    fn is_optional(&self) -> bool {
        true
    }

    fn start(&self, start: Start) {
        let mut own = self.clone();
        own.interval.get_or_insert(Span(start.context.system));
        start.run(run(own, start.listed, start.feed.clone(), start.stop.clone()));
    }
}

/// Reads the cards at each interval until it is cancelled. Only if one is `expected` is the source down
/// as long as there is none.
pub async fn run(settings: Settings, expected: bool, feed: Feed, stop: CancellationToken) {
    let Some(cards) = appear(&settings, expected, &feed, stop.clone()).await else { return };
    let ask = move |feed: &Feed| -> Attempt {
        let (feed, cards) = (feed.clone(), cards.clone());
        Box::pin(async move {
            let found = cards.run(PATIENCE).await??;
            feed.batch(now(), |out| found.iter().for_each(|gpu| out(Body::Gpu(gpu))));
            Ok(())
        })
    };
    poll(feed, settings.interval.unwrap_or(USUAL).0.max(SHORTEST), PATIENCE * 2, stop, ask).await;
}

/// Waits until there is a card. `None` if it is cancelled before.
async fn appear(
    settings: &Settings,
    expected: bool,
    feed: &Feed,
    stop: CancellationToken,
) -> Option<Worker<Result<Vec<Gpu>, String>>> {
    let mut said = false;
    loop {
        let mut cards = Cards::new(settings, "/sys");
        let missing = match Worker::start("gpu", move || cards.read()) {
            Ok(aside) => {
                let answer = tokio::select! {
                    () = stop.cancelled() => return None,
                    answer = aside.run(PATIENCE) => answer,
                };
                match answer.and_then(|found| found) {
                    Ok(_) => return Some(aside),
                    Err(missing) => missing,
                }
            }
            Err(why) => format!("cannot start a thread to read graphics processors: {why}"),
        };
        if !said {
            tracing::info!(reason = %missing, "no graphics processor to read");
            if expected {
                feed.down(&missing);
                feed.send(Body::Link(Link::Down));
            }
            said = true;
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// All cards, kept between readings.
struct Cards {
    settings: Settings,
    sys: PathBuf,
    nvidia: Option<Nvidia>,
    tried: Option<Instant>,
    /// The number of the first card of AMD: one more than the last of NVIDIA ever seen.
    first_amd: u32,
}

impl Cards {
    fn new(settings: &Settings, sys: impl Into<PathBuf>) -> Self {
        Self { settings: settings.clone(), sys: sys.into(), nvidia: None, tried: None, first_amd: 0 }
    }

    fn read(&mut self) -> Result<Vec<Gpu>, String> {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        if self.settings.nvidia {
            match self.nvidia() {
                Ok(cards) if cards.is_empty() => missing.push("no card of NVIDIA answers".to_owned()),
                Ok(cards) => found = cards,
                Err(why) => missing.push(why),
            }
            if let Some(last) = found.last() {
                self.first_amd = self.first_amd.max(last.index + 1);
            }
        }
        if self.settings.amd {
            let cards = amd::cards(&self.sys, self.first_amd);
            if cards.is_empty() {
                missing.push("no card of AMD".to_owned());
            }
            found.extend(cards);
        }
        if found.is_empty() { Err(missing.join(", ")) } else { Ok(found) }
    }

    fn nvidia(&mut self) -> Result<Vec<Gpu>, String> {
        if self.nvidia.is_none() {
            if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
                return Err("no driver of NVIDIA".to_owned());
            }
            #[expect(clippy::disallowed_methods, reason = "a missing card is searched for once in a while")]
            let now = Instant::now();
            self.tried = Some(now);
            self.nvidia = Some(Nvidia::open(self.settings.processes, self.settings.pcie)?);
        }
        let Some(nvidia) = &mut self.nvidia else { return Ok(Vec::new()) };
        nvidia.read().inspect_err(|_| self.nvidia = None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_card_the_reason_is_said_and_the_library_not_asked_again() {
        let root = tempfile::tempdir().unwrap();
        let mut cards = Cards::new(&Settings { nvidia: false, ..Settings::default() }, root.path());
        assert_eq!(cards.read(), Err("no card of AMD".to_owned()));

        let mut cards = Cards::new(&Settings { amd: false, ..Settings::default() }, root.path());
        // On a machine with such a card there is nothing to see here.
        if cards.read().is_err() {
            #[expect(clippy::disallowed_methods, reason = "the test measures")]
            let clock = Instant::now();
            assert_eq!(cards.read(), Err("no driver of NVIDIA".to_owned()));
            assert!(clock.elapsed() < Duration::from_millis(20));
        }
    }

    #[test]
    fn cards_of_two_makers_have_different_numbers() {
        let root = tempfile::tempdir().unwrap();
        amd::tests::write_card(root.path(), 1);
        let mut cards = Cards::new(&Settings { nvidia: false, ..Settings::default() }, root.path());
        cards.first_amd = 2;
        assert_eq!(cards.read().unwrap()[0].index, 2);
    }

    #[test]
    fn settings_return() {
        let settings = Settings { pcie: true, ..Settings::default() };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        assert!(serde_json::from_str::<Settings>("{\"intel\": true}").is_err());
    }

    #[tokio::test]
    async fn it_stops_while_it_waits_for_a_card() {
        let (_, feed) = crate::source::aside::tests::feed("gpu");
        let stop = CancellationToken::new();
        let settings = Settings { amd: false, nvidia: false, ..Settings::default() };
        let task = tokio::spawn(run(settings, true, feed, stop.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!task.is_finished());
        stop.cancel();
        task.await.unwrap();
    }
}
