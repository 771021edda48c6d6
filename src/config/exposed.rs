//! Secrets that stand in a configuration rather than in files: where, and what to write instead.

use super::Config;
use crate::render::Receiver;
use crate::secret::Exposed;

impl Config {
    /// A sentence for each secret that stands in it. None of them tells one.
    #[must_use]
    pub fn exposed(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut add = |path: &str, look: &dyn Fn(&mut Exposed<'_>)| {
            let mut found = Exposed::of(path);
            look(&mut found);
            all.extend(found.sentences());
        };
        for (index, source) in self.sources.iter().enumerate() {
            let path = format!("sources[{index}].{}", source.kind());
            add(&path, &|found| source.settings().expose(found));
        }
        let alerts = &self.alerts;
        let on = "a file on Alertmanager's machine, and name it in";
        add("alerts", &|found| {
            let linked = "alerts link there: write it without";
            alerts.runbooks.iter().for_each(|url| found.plain("runbooks", url, linked));
            alerts.grafana.iter().for_each(|url| found.plain("grafana", url, linked));
            if let Some(url) = alerts.watchdog.as_ref().filter(|url| url.hides()) {
                found.add("watchdog", url, &format!("{on} watchdog_file"));
            }
        });
        let alerted = alerts
            .every_receiver()
            .map(|(list, index, receiver)| (format!("alerts.{}[{index}]", list.key()), receiver));
        let reported = self.reports.receivers.iter().enumerate();
        let reported = reported.map(|(index, receiver)| (format!("reports.receivers[{index}]"), receiver));
        for (path, receiver) in alerted.chain(reported) {
            match receiver {
                Receiver::Webhook(of) | Receiver::Teams(of) | Receiver::Discord(of) => {
                    if let Some(url) = of.url.as_ref().filter(|url| url.hides()) {
                        add(&path, &|found| found.add("url", url, &format!("{on} url_file")));
                    }
                }
                Receiver::Program(of) => {
                    add(&path, &|found| found.program("exec.", &of.command, &of.environment));
                }
                _ => {}
            }
        }
        add("provision", &|found| self.provision.datasource.iter().for_each(|asked| asked.expose(found)));
        for (index, server) in self.respond.alertmanagers.iter().enumerate() {
            let path = format!("respond.alertmanagers[{index}]");
            add(&path, &|found| server.access.expose(&server.url, found));
        }
        for (index, hook) in self.respond.hooks.iter().enumerate() {
            add(&format!("respond.hooks[{index}]"), &|found| hook.expose(found));
        }
        for (index, task) in self.respond.tasks.iter().enumerate() {
            add(&format!("respond.tasks[{index}]"), &|found| task.expose(found));
        }
        for (index, target) in self.trace.targets.iter().enumerate() {
            add(&format!("trace.targets[{index}]"), &|found| target.expose(found));
        }
        add("ask.prometheus", &|found| self.ask.expose(found));
        for (index, target) in self.remote_write.iter().enumerate() {
            add(&format!("remote_write[{index}]"), &|found| target.expose(found));
        }
        for (index, gateway) in self.push.iter().enumerate() {
            add(&format!("push[{index}]"), &|found| gateway.expose(found));
        }
        for (index, target) in self.provision.targets.iter().enumerate() {
            let path = format!("provision.targets[{index}].{}", target.kind());
            add(&path, &|found| target.settings().expose(found));
        }
        all
    }
}
