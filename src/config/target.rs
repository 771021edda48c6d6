//! What is wrong with the servers that are pushed to, beyond the schema.

use std::collections::BTreeMap;

use crate::document::{Check, Path};
use crate::provision::Target;

use super::Config;

impl Check<'_> {
    pub(super) fn provision(&mut self) {
        let provision = Path::from("provision");
        let targets = provision.key("targets");
        self.source(&provision.key("datasource"));
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for index in 0..self.document.len(&targets) {
            let path = targets.item(index);
            for kind in self.document.keys(&path) {
                let path = path.key(&kind);
                self.url(&path.key("url"));
                self.source(&path.key("datasource"));
            }
            let Some(target) = self.document.part::<Target>(&path) else { continue };
            if let Some(first) = names.insert(target.name().to_owned(), index) {
                let message = format!("the name \"{}\" is taken by targets[{first}]", target.name());
                *self.wrong(&path.key(target.kind()).key("name"), message) =
                    Some("give each target a name of its own".to_owned());
            }
        }
        self.agent();
    }

    /// Where a data source is, unless it is the agent.
    fn source(&mut self, path: &Path) {
        for key in ["url", "traces_url"] {
            self.url(&path.key(key));
        }
    }

    /// Whether each Grafana that is to ask the agent reaches it.
    fn agent(&mut self) {
        let provision = Path::from("provision");
        let parts = ["listen", "http", "history", "provision"];
        if parts.iter().any(|part| self.document.omits(&Path::from(*part))) {
            return;
        }
        // Where this is none, what is wrong has been reported.
        let Some(config) = self.document.part::<Config>(&Path::default()) else { return };
        let (agent, given) = (config.agent(), config.provision.datasource.as_ref());
        if let Some(Err(why)) = given.map(|asked| asked.source(&agent, None)) {
            return self.unreachable(&provision.key("datasource"), &why);
        }
        for (index, mut target) in config.provision.targets.into_iter().enumerate() {
            let path = provision.key("targets").item(index).key(target.kind());
            let Err(why) = target.settings_mut().settle(given, &agent) else { continue };
            let own = path.key("datasource");
            let written = self.document.part::<crate::provision::DashboardSource>(&own).is_some();
            self.unreachable(if written { &own } else { &path }, &why);
        }
    }

    fn unreachable(&mut self, path: &Path, why: &str) {
        let (message, hint) = why.split_once("\n  hint: ").unwrap_or((why, ""));
        *self.wrong(path, message) = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn told(text: &str) -> String {
        let problems = parse("config.yml", text).err().unwrap_or_default();
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    fn urls(text: &str) -> Vec<String> {
        let config = parse("config.yml", text).unwrap();
        let of = |target: &Target| target.settings().source().map(|source| source.url.to_string());
        config.targets().unwrap().iter().filter_map(of).collect()
    }

    #[test]
    fn a_grafana_asks_the_agent_where_that_is_said() {
        let text = "provision: {targets: [{grafana: {url: 'http://localhost:3000', datasource: agent}}]}\n";
        assert_eq!(urls(text), ["http://127.0.0.1:9612"]);
        let config = parse("config.yml", text).unwrap();
        let source = config.settings().source;
        assert_eq!((&*source.uid, &*source.interval), ("neural-agent-127-0-0-1-9612", "5s"));
        let printed = config.print();
        assert!(printed.contains("datasource: agent"), "{printed}");
        assert_eq!(parse("config.yml", &printed).unwrap(), config);
    }

    #[test]
    fn what_is_said_once_holds_for_each_grafana_that_says_nothing() {
        let text = "listen: [127.0.0.1:1, '10.0.0.7:2']\nhistory: {interval: 2s}\nprovision:\n  datasource: agent\n  \
                    targets:\n  - grafana: {name: a, url: 'http://lab'}\n  - grafana: {name: b, url: 'http://127.0.0.1:3000'}\n  \
                    - grafana: {name: c, url: 'http://c', datasource: {url: 'http://prometheus:9090'}}\n  - directory: {path: /d}\n";
        assert_eq!(urls(text), ["http://10.0.0.7:2", "http://127.0.0.1:1", "http://prometheus:9090"]);
        let source = |text: &str| parse("config.yml", text).unwrap().settings().source;
        let first = source(text);
        assert_eq!((&*first.url.to_string(), &*first.interval), ("http://10.0.0.7:2", "2s"));
        // Files alone are for a Grafana of this machine.
        assert_eq!(source("provision: {datasource: agent}\n").url.expose(), "http://127.0.0.1:9612");
        assert_eq!(source("").url.expose(), "http://prometheus:9090");
        let other = source("provision: {datasource: {url: 'http://p', uid: p}}\n");
        assert_eq!((&*other.uid, other.url.expose()), ("p", "http://p"));
    }

    #[test]
    fn an_agent_that_cannot_be_asked_is_told_where_it_is_named() {
        let grafana = "provision: {targets: [{grafana: {url: 'http://lab', datasource: agent}}]}\n";
        let why = told(grafana);
        assert!(
            why.contains(
                "config.yml:1:65: provision.targets[0].grafana.datasource: the Grafana at lab does not"
            ),
            "{why}"
        );
        assert!(why.contains("hint: listen on an address"), "{why}");
        let why = told(&format!("listen: systemd\n{grafana}"));
        assert!(
            why.contains("only sockets that systemd opens") && why.contains("hint: add one to listen"),
            "{why}"
        );
        let why = told(&format!("history: {{enabled: false}}\n{grafana}"));
        assert!(why.contains("history.enabled is false") && why.contains("name a Prometheus"), "{why}");
        let given = "provision: {datasource: agent, targets: [{grafana: {url: 'http://lab'}}]}\n";
        let why = told(given);
        assert!(why.contains("provision.targets[0].grafana: the Grafana at lab does not reach"), "{why}");
        let why = told(&format!("listen: systemd\n{given}"));
        assert!(why.contains("provision.datasource: listen has no address"), "{why}");
        assert_eq!(why.matches("listen has no address").count(), 1, "{why}");
        let why = told("provision: {datasource: agnet}\n");
        assert!(why.contains("did you mean \"agent\""), "{why}");
        let why = told("provision: {datasource: {url: 'prometheus:9090'}}\n");
        assert!(why.contains("provision.datasource.url: the url has no scheme"), "{why}");
    }

    #[test]
    fn agents_with_long_names_have_ids_that_grafana_takes() {
        let host = "a-machine-with-a-long-name.institute.example.org";
        let text = format!(
            "listen: 0.0.0.0:9612\nhttp: {{hosts: [{host}]}}\nprovision: {{targets: [{{grafana: {{url: 'http://g', datasource: agent}}}}]}}\n"
        );
        let source = parse("config.yml", &text).unwrap().settings().source;
        assert_eq!(source.url.expose(), format!("http://{host}:9612"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(source.uid.len() <= 40 && source.uid.chars().all(plain), "{}", source.uid);
    }
}
