//! A reload: everything new is opened beside what is open already, and only then does anything end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::pin::Pin;

use tokio::net::TcpListener;

use super::input::Input;
use super::push::Push;
use super::read::{self, Files};
use super::web::{self, Web};
use super::{Agent, CONFIGURATION, FILES, Failure, all, notify};
use crate::analysis::Peaks;
use crate::config::{Config, Source};
use crate::listen::{Address, Listen};
use crate::source::aside::apart;
use crate::source::kind::Prepared;
use crate::source::now;

/// The configuration and its files, while they are read.
pub(super) type Reading = Pin<Box<dyn Future<Output = Result<(Config, Files), String>> + Send>>;

impl Agent {
    /// Reads the configuration again, and the files that it names, while everything runs on.
    pub(super) fn read(&self) -> Reading {
        notify::reloading();
        let load = self.load.clone();
        // Certificates of what runs on need not be read again; mapping rules are.
        let running: Vec<Source> = self.inputs.values().filter_map(Input::keeps_files).collect();
        Box::pin(async move {
            let unread = |why| format!("cannot read the configuration: {why}");
            let config = apart(CONFIGURATION, read::PATIENCE, move || load()).await.map_err(unread)?;
            let config = config.map_err(|p| Failure::Config(p).to_string())?;
            let sources: Vec<Source> =
                config.sources.iter().filter(|source| !running.contains(source)).cloned().collect();
            let files = apart(FILES, read::PATIENCE, move || Files::of(&sources)).await.map_err(unread)?;
            Ok((config, files))
        })
    }

    /// Takes over what was read. What did not change runs on; if anything in the new one is
    /// wrong or cannot be opened, everything runs on.
    pub(super) async fn reload(
        &mut self,
        read: Result<(Config, Files), String>,
        web: &mut Web,
        push: &mut Push,
    ) -> Result<String, String> {
        let outcome = match read {
            Ok((config, files)) => self.try_reload(config, files, web).await,
            Err(why) => Err(why),
        };
        self.own.reloads.inc();
        match &outcome {
            Ok(done) => {
                self.own.loaded(now());
                self.own.config_successful.set(1);
                tracing::info!("{done}");
                std::mem::take(push).stop().await;
                *push = Push::start(&self.config, &self.own);
            }
            Err(why) => {
                self.own.reload_failures.inc();
                self.own.config_successful.set(0);
                tracing::error!("the configuration was not reloaded, the old one runs on:\n{why}");
            }
        }
        notify::ready(&self.status());
        outcome
    }

    async fn try_reload(
        &mut self,
        config: Config,
        mut files: Files,
        web: &mut Web,
    ) -> Result<String, String> {
        let runs = |source: &Source| self.inputs.get(source.name()).is_some_and(|i| i.runs(source, &config));
        // First everything new is opened, beside what is open already.
        let held: HashMap<Listen, _> = self.inputs.values().flat_map(Input::sockets).collect();
        let mut opened = BTreeMap::new();
        let mut wrong = Vec::new();
        let mut mappings = Vec::new();
        for input in config.sources.iter().filter(|s| runs(s)).filter_map(|s| self.inputs.get(s.name())) {
            match files.take(input.name()) {
                Some(Ok(Prepared::Mapping(mapper))) => mappings.push((input.name().to_owned(), mapper)),
                Some(Err(why)) => wrong.push(why),
                _ => {}
            }
        }
        for source in config.sources.iter().filter(|s| !runs(s)) {
            match Input::open(source, &config, &mut files, &held, &mut Vec::new()) {
                Ok(input) => drop(opened.insert(source.name().to_owned(), input)),
                Err(why) => wrong.push(why),
            }
        }
        let mut new_web: Vec<(Address, TcpListener)> = Vec::new();
        for address in config.listen.iter().filter(|a| !web.serves(a)) {
            match web::bind(address, &mut Vec::<(String, OwnedFd)>::new()) {
                Ok(listener) => new_web.push((address.clone(), listener)),
                Err(why) => wrong.push(why),
            }
        }
        drop(held);
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        // From here on nothing can fail.
        for input in opened.values_mut() {
            input.resume(self.inputs.values());
        }
        let wanted: HashSet<&str> = config.sources.iter().map(Source::name).collect();
        let removed: Vec<String> =
            self.inputs.keys().filter(|n| !wanted.contains(n.as_str())).cloned().collect();
        let (added, changed) =
            opened.keys().partition::<Vec<_>, _>(|n| !self.inputs.contains_key(n.as_str()));
        let summary = format!(
            "reloaded: {} added, {} changed, {} removed, {} as before",
            count("source", added.len()),
            changed.len(),
            removed.len(),
            config.sources.len() - opened.len()
        );
        let mut ending: Vec<_> = removed
            .iter()
            .filter_map(|name| self.inputs.remove(name))
            .map(|mut old| old.stop(true))
            .collect();
        let starting: Vec<String> = opened.keys().cloned().collect();
        for (name, mut input) in opened {
            if let Some(old) = self.inputs.get_mut(&name) {
                ending.push(old.stop(false));
                input.replace(old);
            }
            self.inputs.insert(name, input);
        }
        // The last words of a source must not be taken for those of who comes after it under its name.
        all(ending).await;
        for id in removed.iter().filter_map(|name| self.ids.get(name)) {
            self.hub.lock().retire(*id);
        }
        if config.intervals.pipeline != self.config.intervals.pipeline {
            self.hub.lock().peaks = Peaks::new(config.intervals.pipeline.0);
        }
        self.apply(&config);
        self.config = config;
        for (name, mapper) in mappings {
            if let Some(input) = self.inputs.get(&name) {
                input.set_mapping(mapper);
            }
        }
        self.own.config_hash.set(self.hash());
        for name in &starting {
            self.start(name);
        }
        web.keep(&self.config.listen).await;
        for (address, listener) in new_web {
            web.start(address, listener, &self.site);
        }
        self.list();
        Ok(summary)
    }
}

fn count(what: &str, n: usize) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
