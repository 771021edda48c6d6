//! `run --once`: an agent that collects for a while, prints or pushes what a scrape would show, and ends.

use std::time::Duration;

use super::{Exit, print};
use crate::agent::Agent;
use crate::config::Config;
use crate::listen::Many;
use crate::pushgateway::{Common, Settings, push};
use crate::secret::Link;

/// The gateway at this address.
pub(super) fn gateway(url: &str) -> Result<Settings, String> {
    let link = Link::from(url);
    match url.parse::<reqwest::Url>() {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
            Ok(Settings::at(link))
        }
        Ok(_) => Err(format!(
            "--push: {link} is no address of a Pushgateway; write it like http://pushgateway:9091"
        )),
        Err(why) => Err(format!("--push: \"{link}\" is not a url: {why}")),
    }
}

/// What such an agent does not do: it ends before it is asked, and there may be one beside it that does.
pub(super) fn restrict(config: &mut Config) {
    config.listen = Many(Vec::new());
    config.history.enabled = false;
    config.remote_write.clear();
    config.provision.at_start = false;
}

/// Runs it for so long, or until it is asked to end.
pub(super) async fn collect(
    agent: Agent,
    stop: impl Future<Output = ()>,
    time: Duration,
    gateway: Option<Settings>,
) -> std::io::Result<()> {
    let common = agent.pushed();
    let mut outcome = Ok(());
    let over = async {
        tokio::select! {
            () = stop => {}
            () = tokio::time::sleep(time) => {}
        }
        // Before its sources end: how a device is now is known while it runs.
        outcome = finish(&common, gateway.as_ref()).await;
    };
    agent.run(over).await?;
    outcome
}

async fn finish(common: &Common, gateway: Option<&Settings>) -> std::io::Result<()> {
    if let Some(gateway) = gateway {
        let pushed = push(gateway, common).await;
        return pushed.map_err(|why| std::io::Error::other(format!("cannot push to {}: {why}", gateway.url)));
    }
    let scrape = common.scrape.clone();
    let printed = tokio::task::spawn_blocking(move || print(&scrape())).await;
    match printed {
        Ok(Exit::Fine) => Ok(()),
        _ => Err(std::io::Error::other("cannot write to standard output")),
    }
}
