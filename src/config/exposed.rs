//! Secrets that stand in a configuration rather than in files: where, and what to write instead.

use super::{Config, Source};
use crate::provision::{Access, Target};
use crate::render::Receiver;
use crate::secret::{Address, Command, Guarded, Value, names_a_secret};

impl Config {
    /// A sentence for each secret that stands in it. None of them tells one.
    #[must_use]
    pub fn exposed(&self) -> Vec<String> {
        let mut found = Found(Vec::new());
        for (index, source) in self.sources.iter().enumerate() {
            let at = |key: &str| format!("sources[{index}].{}.{key}", source.kind());
            match source {
                Source::Scrape(of) => {
                    found.link(&at("url"), &of.url, "url_file, or of a password in basic.password_file");
                    of.headers.iter().for_each(|(name, value)| found.value(&at("headers"), name, value));
                }
                Source::Exec(of) => {
                    if of.command.hides() {
                        found.add(
                            &at("command"),
                            &of.command,
                            "a file that the program reads, or in environment as {value_file: FILE}",
                        );
                    }
                    of.environment
                        .iter()
                        .for_each(|(name, value)| found.value(&at("environment"), name, value));
                }
                _ => {}
            }
        }
        let alerts = &self.alerts;
        let linked = "alerts link there: write it without";
        found.plain("alerts.runbooks", &alerts.runbooks, linked);
        alerts.grafana.iter().for_each(|url| found.plain("alerts.grafana", url, linked));
        let on = "a file on Alertmanager's machine, and name it in";
        if let Some(url) = alerts.watchdog.as_ref().filter(|url| url.hides()) {
            found.add("alerts.watchdog", url, &format!("{on} watchdog_file"));
        }
        for (index, receiver) in alerts.receivers.iter().enumerate() {
            let (Receiver::Webhook(of) | Receiver::Teams(of) | Receiver::Discord(of)) = receiver else {
                continue;
            };
            if let Some(url) = of.url.as_ref().filter(|url| url.hides()) {
                found.add(&format!("alerts.receivers[{index}].url"), url, &format!("{on} url_file"));
            }
        }
        for (index, target) in self.provision.targets.iter().enumerate() {
            let at = |key: &str| format!("provision.targets[{index}].{}.{key}", target.kind());
            let (url, access) = match target {
                Target::Grafana(of) => {
                    if let Some(source) = &of.datasource {
                        let hand = "Grafana shows it to everybody: give it the password by hand, and write";
                        found.plain(&at("datasource.url"), &source.url, hand);
                        source
                            .traces_url
                            .iter()
                            .for_each(|url| found.plain(&at("datasource.traces_url"), url, hand));
                    }
                    (&of.url, &of.server)
                }
                Target::Prometheus(of) => (&of.url, &of.server),
                Target::Mimir(of) | Target::Loki(of) => (&of.url, &of.server),
                Target::Alertmanager(of) => (&of.url, &of.server),
                Target::Directory(_) => continue,
            };
            found.link(&at("url"), url, "access.token_file or access.basic.password_file");
            let Access { proxy, .. } = access;
            proxy.iter().for_each(|proxy| found.link(&at("access.proxy"), proxy, "access.proxy_file"));
        }
        found.0
    }
}

struct Found(Vec<String>);

impl Found {
    fn add(&mut self, at: &str, shown: &dyn std::fmt::Display, instead: &str) {
        self.0.push(format!("{at}: a secret stands in the configuration ({shown}); put it into {instead}"));
    }

    fn link(&mut self, at: &str, link: &Guarded<Address>, file: &str) {
        if link.hides() {
            self.add(at, link, &format!("a file, and name that in {file}"));
        }
    }

    /// A link that cannot be in a file, because others are to see it.
    fn plain(&mut self, at: &str, link: &Guarded<Address>, why: &str) {
        if link.hides() {
            self.0.push(format!(
                "{at}: a secret stands in the configuration ({link}); {why} the address alone"
            ));
        }
    }

    fn value(&mut self, at: &str, name: &str, value: &Value) {
        if let Value::Text(text) = value
            && (names_a_secret(name) || Command::from(vec![text.expose().to_owned()]).hides())
        {
            self.add(&format!("{at}.{name}"), text, "a file, and write {value_file: FILE}");
        }
    }
}
