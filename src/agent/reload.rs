//! A reload: everything new is opened beside what is open already, and only then does anything end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::input::Input;
use super::push::Push;
use super::read::{self, Files};
use super::web::{self, Web};
use super::{Agent, CONFIGURATION, FILES, Failure, all, notify};
use crate::analysis::Peaks;
use crate::clock::now;
use crate::config::{Config, Source};
use crate::decode::text::mapping::Mapper;
use crate::listen::{Address, Listen};
use crate::source::aside::apart;
use crate::source::kind::Prepared;
use crate::view::html::InEffect;

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

    /// Shows the configuration that is in effect from now on.
    pub(super) fn show_config(&self) {
        let (text, loaded) = (self.config.print(), now().wall_milliseconds());
        self.site.config.store(Arc::new(InEffect { text, loaded, refused: None }));
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
                self.show_config();
                tracing::info!("{done}");
                std::mem::take(push).stop().await;
                *push = Push::start(&self.config, &self.own);
            }
            Err(why) => {
                self.own.reload_failures.inc();
                self.own.config_successful.set(0);
                let kept = (**self.site.config.load()).clone();
                let refused = Some((now().wall_milliseconds(), why.clone()));
                self.site.config.store(Arc::new(InEffect { refused, ..kept }));
                tracing::error!("the configuration was not reloaded, the previous one stays active:\n{why}");
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
        let wanted = config.sources.iter().map(|source| {
            let name = source.name();
            (name, self.inputs.get(name).is_some_and(|input| input.runs(source, &config)))
        });
        let plan = Plan::new(self.inputs.keys().map(String::as_str), wanted);
        let opened = self.open(&plan, &config, &mut files, web)?;
        self.take_over(&plan, opened, config, web).await;
        Ok(plan.summary())
    }

    /// Opens everything new beside what is open already. Nothing changes.
    fn open(&self, plan: &Plan, config: &Config, files: &mut Files, web: &Web) -> Result<Opened, String> {
        let held: HashMap<Listen, _> = self.inputs.values().flat_map(Input::sockets).collect();
        let mut opened = Opened { inputs: BTreeMap::new(), mappings: Vec::new(), web: Vec::new() };
        let mut wrong = Vec::new();
        for name in &plan.state_file {
            match files.take(name) {
                Some(Ok(Prepared::Mapping(mapper))) => opened.mappings.push((name.clone(), mapper)),
                Some(Err(why)) => wrong.push(why),
                _ => {}
            }
        }
        for source in config.sources.iter().filter(|source| plan.opens(source.name())) {
            match Input::open(source, config, files, &held, &mut Vec::new()) {
                Ok(mut input) => {
                    input.resume(self.inputs.values());
                    opened.inputs.insert(source.name().to_owned(), input);
                }
                Err(why) => wrong.push(why),
            }
        }
        for address in config.listen.iter().filter(|address| !web.serves(address)) {
            match web::bind(address, &mut Vec::<(String, OwnedFd)>::new()) {
                Ok(listener) => opened.web.push((address.clone(), listener)),
                Err(why) => wrong.push(why),
            }
        }
        if wrong.is_empty() { Ok(opened) } else { Err(wrong.join("\n")) }
    }

    /// Puts what was opened in the place of what ends. Nothing of it can fail.
    async fn take_over(&mut self, plan: &Plan, opened: Opened, config: Config, web: &mut Web) {
        let removed = plan.removed.iter().filter_map(|name| self.inputs.remove(name));
        let mut ending: Vec<_> = removed.map(|mut old| old.stop(true)).collect();
        let starting: Vec<String> = opened.inputs.keys().cloned().collect();
        for (name, mut input) in opened.inputs {
            if let Some(old) = self.inputs.get_mut(&name) {
                ending.push(old.stop(false));
                input.replace(old);
            }
            self.inputs.insert(name, input);
        }
        // The last words of a source must not be taken for those of who comes after it under its name.
        all(ending).await;
        for id in plan.removed.iter().filter_map(|name| self.ids.get(name)) {
            self.hub.lock().retire(*id);
        }
        if config.intervals.pipeline != self.config.intervals.pipeline {
            self.hub.lock().peaks = Peaks::new(config.intervals.pipeline.0);
        }
        self.apply(&config);
        self.config = config;
        for (name, mapper) in opened.mappings {
            if let Some(input) = self.inputs.get(&name) {
                input.set_mapping(mapper);
            }
        }
        self.own.config_hash.set(self.hash());
        for name in &starting {
            self.start(name);
        }
        web.keep(&self.config.listen).await;
        for (address, listener) in opened.web {
            web.start(address, listener, &self.site);
        }
        self.list();
    }
}

/// What a reload does with each source, by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    state_file: Vec<String>,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Plan {
    /// From the names of what runs, and of what is wanted, with whether it runs like that already.
    fn new<'n>(
        running: impl Iterator<Item = &'n str>,
        wanted: impl Iterator<Item = (&'n str, bool)>,
    ) -> Self {
        let mut ends: BTreeSet<&str> = running.collect();
        let mut plan = Self::default();
        for (name, runs) in wanted {
            let there = ends.remove(name);
            let part = match (runs, there) {
                (true, _) => &mut plan.state_file,
                (false, true) => &mut plan.changed,
                (false, false) => &mut plan.added,
            };
            part.push(name.to_owned());
        }
        plan.removed = ends.into_iter().map(str::to_owned).collect();
        plan
    }

    /// Whether a source is opened.
    fn opens(&self, name: &str) -> bool {
        self.added.iter().chain(&self.changed).any(|opened| opened == name)
    }

    fn summary(&self) -> String {
        let Self { state_file, added, changed, removed } = self;
        let (added, changed, removed, state_file) =
            (added.len(), changed.len(), removed.len(), state_file.len());
        let sources = if added == 1 { "source" } else { "sources" };
        format!(
            "reloaded: {added} {sources} added, {changed} changed, {removed} removed, {state_file} as before"
        )
    }
}

/// What a reload opened.
struct Opened {
    inputs: BTreeMap<String, Input>,
    /// Mapping rules of sources that run on.
    mappings: Vec<(String, Arc<Mapper>)>,
    web: Vec<(Address, TcpListener)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_runs_on_and_what_ends() {
        let running = ["a", "b", "c"].into_iter();
        let plan = Plan::new(running, [("d", false), ("b", true), ("a", false)].into_iter());
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (state_file, added) = (all(&["b"]), all(&["d"]));
        assert_eq!(plan, Plan { state_file, added, changed: all(&["a"]), removed: all(&["c"]) });
        assert!(plan.opens("d") && plan.opens("a") && !plan.opens("b") && !plan.opens("c"));
        assert_eq!(plan.summary(), "reloaded: 1 source added, 1 changed, 1 removed, 1 as before");
    }
}
