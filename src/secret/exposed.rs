//! Secrets that stand in a configuration rather than in files: where, and what to write instead.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Address, Command, Guarded, Value, names_a_secret};

/// A sentence for each secret that stands in the settings at a path. None of them tells one.
#[derive(Debug)]
pub struct Exposed<'p> {
    path: &'p str,
    found: Vec<String>,
}

impl<'p> Exposed<'p> {
    /// None yet, of the settings at this path.
    #[must_use]
    pub fn of(path: &'p str) -> Self {
        Self { path, found: Vec::new() }
    }

    /// The sentences.
    #[must_use]
    pub fn sentences(self) -> Vec<String> {
        self.found
    }

    /// What is shown like this is a secret; `instead` has it.
    pub fn add(&mut self, key: &str, shown: &dyn Display, instead: &str) {
        let path = self.path;
        self.found.push(format!(
            "{path}.{key}: the configuration contains a secret ({shown}); put it into {instead}"
        ));
    }

    /// A link that can be in a file, which the setting `file` names.
    pub fn link(&mut self, key: &str, link: &Guarded<Address>, file: &str) {
        if link.hides() {
            self.add(key, link, &format!("a file, and name that in {file}"));
        }
    }

    /// A link that cannot be in a file, because others are to see it.
    pub fn plain(&mut self, key: &str, link: &Guarded<Address>, why: &str) {
        if link.hides() {
            let path = self.path;
            self.found.push(format!(
                "{path}.{key}: the configuration contains a secret ({link}); {why} the address alone"
            ));
        }
    }

    /// The values of headers or variables, by name.
    pub fn values<'v>(&mut self, key: &str, values: impl IntoIterator<Item = (&'v String, &'v Value)>) {
        for (name, value) in values {
            if let Value::Text(text) = value
                && (names_a_secret(name) || Command::from(vec![text.expose().to_owned()]).hides())
            {
                self.add(&format!("{key}.{name}"), text, "a file, and write {value_file: FILE}");
            }
        }
    }
    /// A program, in the mapping that `key` names with a dot behind it, or in the settings themselves: its arguments, and its environment.
    pub fn program(&mut self, key: &str, command: &Command, environment: &BTreeMap<String, Value>) {
        if command.hides() {
            let instead = "a file that the program reads, or in environment as {value_file: FILE}";
            self.add(&format!("{key}command"), command, instead);
        }
        self.values(&format!("{key}environment"), environment);
    }
}
