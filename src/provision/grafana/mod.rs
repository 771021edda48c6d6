//! Grafana 9 to 13 over its classic API, which they all have: a folder, dashboards, and more if it is configured.
//!
//! Objects are found by fixed ids, never by numbers, and written with the version that was read, never with
//! `overwrite`, so that no change is lost in between. A write that clashes with another one is followed by a new look
//! at that object: what is equal by then is done.

mod alerts;
mod annotation;
mod dashboard;
mod mute;
mod notify;
mod settings;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Failure, Request};
use super::escape;
use super::mark::hash;
use super::plan::{Action, ActualObject, DesiredObject, Kind, Step, plan};
use super::ruler::Ruler;
use super::target;
use super::{Bundle, Operation, Reporter, Run};
use crate::backoff::jittered;
use crate::quote::quote;
use crate::render::FOLDER;
pub use settings::{Alerts, Grafana};

/// How often an object is read and written again because another writer was faster.
const LOOKS: usize = 8;
/// The first pause before such a look; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(200);

/// Why something is left alone that cannot be changed over HTTP.
const PROVISIONED: &str = "it is provisioned from a file of the server; remove that file first";

/// Why rules stay where this agent wants none.
const SHARED: &str = "with alerts: none these rules may be those of another agent with the same alerts.job";

/// Why what those rules need stays with them.
const NEEDED: &str =
    "alert rules that stay need it, and may be those of another agent with the same alerts.job";

pub(super) struct Connection {
    pub(super) client: Client,
    settings: Grafana,
    /// How rules are evaluated here: never [`Alerts::Grafana`] once the server was asked.
    alerts: Alerts,
    ruler: Ruler,
    /// The versions of dashboards and data sources as they were read.
    versions: BTreeMap<(Kind, String), i64>,
    /// The ids of contact points that are there, by name.
    points: BTreeMap<String, Vec<String>>,
    /// The kinds of objects that this account may not read, and what the server says.
    unread: Vec<(Kind, String)>,
}

impl Connection {
    pub(super) fn open(settings: &Grafana) -> Result<Self, String> {
        let mut client = Client::open(&settings.url, &settings.server)?.grafana();
        if let Some(org) = settings.org {
            client.always("x-grafana-org-id", &org.to_string())?;
        }
        if settings.alerts != Alerts::None && alerts_source(settings).is_none() {
            return Err("rules need a data source: set alerts_datasource or datasource".to_owned());
        }
        let mut ruler = Ruler::new("/api/convert/prometheus/config/v1/rules", &settings.folder);
        if let Some(uid) = alerts_source(settings) {
            ruler.headers = vec![
                ("x-grafana-alerting-datasource-uid", uid.to_owned()),
                ("x-grafana-alerting-target-datasource-uid", uid.to_owned()),
            ];
        }
        let (alerts, settings) = (settings.alerts, settings.clone());
        let (versions, points, unread) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { client, settings, alerts, ruler, versions, points, unread })
    }

    /// Whether the alert rules are evaluated here.
    fn evaluates(&self) -> bool {
        self.settings.alerts != Alerts::None
    }

    async fn read_rules(&mut self, wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, Failure> {
        let read = match self.alerts {
            Alerts::Import => self.ruler.read(&self.client).await,
            Alerts::RuleGroups => alerts::read(self, wanted).await,
            Alerts::None | Alerts::Grafana => Ok(Vec::new()),
        };
        if self.evaluates() {
            return read;
        }
        // A token for dashboards may not see rules, and other rules of the folder are none of our business then.
        // Those with our mark may be of another agent of this deployment, one whose alerts Grafana evaluates.
        let ours = read.unwrap_or_default().into_iter().filter(|found| found.mark.is_some());
        Ok(ours.map(|found| ActualObject { shared: Some(SHARED.to_owned()), ..found }).collect())
    }

    /// What was read of a kind. One that this account may not read does not keep the others from being pushed.
    fn allowed(
        &mut self,
        kind: Kind,
        read: Result<Vec<ActualObject>, Failure>,
    ) -> Result<Vec<ActualObject>, String> {
        match read {
            Err(failure) if failure.status() == Some(403) => {
                self.unread.push((kind, format!("no {} is pushed: {failure}", kind.word())));
                Ok(Vec::new())
            }
            read => read.map_err(String::from),
        }
    }

    /// One object as it is now.
    async fn look(&mut self, want: &DesiredObject) -> Result<Vec<ActualObject>, Failure> {
        let one = std::slice::from_ref(want);
        let mut found = match want.kind {
            Kind::Folder => self.read_folder(want).await?.into_iter().collect(),
            Kind::DataSource => source::read(self, want).await?.into_iter().collect(),
            Kind::Dashboard => dashboard::one(self, &want.name).await?.into_iter().collect(),
            Kind::RuleGroup if self.alerts == Alerts::RuleGroups => {
                alerts::one(self, &want.name, one).await?.into_iter().collect()
            }
            Kind::RuleGroup => self.read_rules(one).await?,
            Kind::ContactPoint => notify::read_points(self).await?,
            Kind::Policies => notify::read_tree(self, one).await?,
            Kind::MuteTiming => mute::read(self, one).await?,
            Kind::Annotations | Kind::RuleFile | Kind::Config | Kind::File => Vec::new(),
        };
        found.retain(|found| (found.kind, &found.name) == (want.kind, &want.name));
        Ok(found)
    }

    /// The folder. Its title is the user's once it is there.
    async fn read_folder(&mut self, want: &DesiredObject) -> Result<Option<ActualObject>, Failure> {
        let answer = self.get_object(&format!("/api/folders/{}", escape(&want.name))).await?;
        let Some(folder) = answer else { return Ok(None) };
        if let Some(title) = folder.get("title").and_then(Value::as_str) {
            title.clone_into(&mut self.ruler.namespace);
        }
        let locked =
            (want.name != FOLDER).then(|| "the folder was named in the configuration: it stays".to_owned());
        let mark = Some(hash(&want.text));
        Ok(Some(ActualObject { locked, ..ActualObject::exact(Kind::Folder, &*want.name, &*want.text, mark) }))
    }

    /// What is at a path; nothing if it is not there.
    async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self.client.send(Request::get(path)).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer =
            answer.good().map_err(|why| why.map_reason(|why| format!("cannot read {path}: {why}")))?;
        Ok(Some(answer.json()?))
    }

    /// What is at the path of one object. To all but admins Grafana answers 403, and not 404, for what is not there;
    /// the same account may be allowed to make it.
    async fn get_object(&self, path: &str) -> Result<Option<Value>, Failure> {
        match self.get(path).await {
            Err(failure) if failure.status() == Some(403) => Ok(None),
            read => read,
        }
    }

    /// Writes, and where another writer was faster looks at the object and continues from there.
    async fn done(&mut self, step: &mut Step, run: &Run) -> Result<Option<String>, Failure> {
        let mut result = self.write(step, &run.owner).await;
        for look in 1..=LOOKS {
            let clash = result.as_ref().is_err_and(Failure::clashes);
            if !clash || step.action == Action::Delete {
                break;
            }
            tokio::time::sleep(jittered(PAUSE * u32::try_from(look).unwrap_or(1))).await;
            let want = DesiredObject { kind: step.kind, name: step.name.clone(), text: step.text.clone() };
            let found = match self.look(&want).await {
                Ok(found) => found,
                // The reason to look is what a person has to know first.
                Err(more) => {
                    return result.map_err(|first| {
                        first.map_reason(|why| format!("{why}\nand it cannot be read again: {more}"))
                    });
                }
            };
            let Some(again) = plan(&[want], &found, run.how, &run.owner).pop() else { break };
            match again.action {
                Action::Unchanged => {
                    step.action = Action::Unchanged;
                    step.why = Some("another writer made the same change".to_owned());
                    return Ok(None);
                }
                Action::Refuse => {
                    *step = again;
                    return Ok(None);
                }
                _ => {
                    step.action = again.action;
                    result = self.write(step, &run.owner).await;
                }
            }
        }
        result
    }

    async fn write(&mut self, step: &mut Step, owner: &str) -> Result<Option<String>, Failure> {
        if !step.action.writes() {
            return Ok(None);
        }
        match step.kind {
            Kind::Folder => self.write_folder(step).await,
            Kind::DataSource => source::write(self, step).await,
            Kind::Dashboard => dashboard::write(self, step).await,
            Kind::RuleGroup if self.alerts == Alerts::Import => self.ruler.write(&self.client, step).await,
            Kind::RuleGroup => alerts::write(self, step).await,
            Kind::MuteTiming => mute::write(self, step).await,
            Kind::ContactPoint | Kind::Policies => notify::write(self, step).await,
            Kind::Annotations => annotation::remove(self, owner).await,
            Kind::RuleFile | Kind::Config | Kind::File => Err("Grafana has no such thing".to_owned().into()),
        }
    }

    async fn write_folder(&mut self, step: &mut Step) -> Result<Option<String>, Failure> {
        let uid = &step.name;
        let path = format!("/api/folders/{}", escape(uid));
        if step.action == Action::Delete {
            let left = self.contents(uid).await?;
            if left > 0 {
                step.action = Action::Leave;
                step.why = Some(format!("{left} other objects in it remain"));
                return Ok(None);
            }
            let answer = self.client.send(Request::delete(path)).await?;
            return if answer.status == 404 { Ok(None) } else { answer.good().map(|_| None) };
        }
        let body = json!({"uid": uid, "title": self.settings.folder});
        let answer = self.client.send(Request::post("/api/folders").json(&body)).await?;
        match answer.status {
            // Before Grafana 11 the title may be taken as well as the id.
            409 | 412 if self.get_object(&path).await?.is_none() => {
                let words = answer.words();
                Err(format!(
                    "{words}: another folder has this title, or this account may not see the folder (folders:read); set \
                     folder or folder_uid to something else, or share the folder with the account"
                )
                .into())
            }
            409 | 412 => Ok(None),
            403 => Err(answer.failure().map_reason(|why| {
                format!("{why}: to make the folder it needs folders:create, which the role Editor has")
            })),
            _ => answer.good().map(|_| None),
        }
    }

    /// How many things there are in a folder.
    async fn contents(&self, uid: &str) -> Result<i64, Failure> {
        if let Some(Value::Object(counts)) = self.get(&format!("/api/folders/{}/counts", escape(uid))).await?
        {
            return Ok(counts.values().filter_map(Value::as_i64).sum());
        }
        // Servers that do not count refuse to delete a folder with rules in it; dashboards are looked for.
        let path = format!("/api/search?type=dash-db&folderUIDs={}&limit=5000", escape(uid));
        let all = self.get(&path).await?.unwrap_or_default();
        let of = |item: &&Value| item.get("folderUid").and_then(Value::as_str) == Some(uid);
        Ok(all.as_array().map_or(0, |all| i64::try_from(all.iter().filter(of).count()).unwrap_or(i64::MAX)))
    }
}

impl target::Connection for Connection {
    fn unread(&mut self) -> Vec<(Kind, String)> {
        std::mem::take(&mut self.unread)
    }

    fn writes(&self) -> u64 {
        self.client.writes()
    }

    async fn ready(&mut self, within: Duration) -> Result<(), String> {
        self.client.ready("/api/health", within).await?;
        if matches!(self.alerts, Alerts::Grafana | Alerts::None) {
            // The version may be hidden, so the endpoint itself is asked for. Rules of an earlier push are looked for
            // even where none are wanted any more: they would continue to notify.
            let answer = self.client.send(Request::get(&self.ruler.path)).await?;
            self.alerts = if answer.status == 404 { Alerts::RuleGroups } else { Alerts::Import };
            // Whether it may be read is seen when it is.
            if self.evaluates() && self.alerts == Alerts::Import && !matches!(answer.status, 401 | 403) {
                answer.good().map_err(|why| format!("cannot read imported rules: {why}"))?;
            }
        }
        Ok(())
    }

    fn wanted(&self, bundle: &Bundle) -> Result<Vec<DesiredObject>, String> {
        let settings = &self.settings;
        let mut wanted = vec![DesiredObject {
            kind: Kind::Folder,
            name: settings.folder_uid.clone(),
            text: format!("title: {}\n", settings.folder),
        }];
        wanted.extend(settings.server_asked().into_iter().flat_map(source::wanted));
        wanted.extend(bundle.dashboards.iter().map(|board| dashboard::wanted(board, &settings.folder_uid)));
        match (self.alerts, alerts_source(settings)) {
            _ if !self.evaluates() => {}
            (Alerts::Import, _) => wanted.extend(Ruler::wanted(&bundle.rules)),
            (Alerts::RuleGroups, Some(uid)) => wanted.extend(alerts::wanted(bundle, uid)),
            _ => {}
        }
        wanted.extend(notify::wanted(settings)?);
        wanted.extend(mute::wanted(settings, bundle));
        Ok(wanted)
    }

    async fn read(&mut self, wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String> {
        let mut found = Vec::new();
        for want in wanted {
            match want.kind {
                Kind::Folder => found.extend(self.read_folder(want).await?),
                Kind::DataSource => found.extend(source::read(self, want).await?),
                _ => {}
            }
        }
        found.extend(dashboard::read(self, wanted).await?);
        let rules = self.read_rules(wanted).await;
        let rules = self.allowed(Kind::RuleGroup, rules)?;
        if rules.iter().any(|rules| rules.shared.is_some()) {
            let needed = |found: &&mut ActualObject| matches!(found.kind, Kind::Folder | Kind::DataSource);
            found.iter_mut().filter(needed).for_each(|found| found.shared = Some(NEEDED.to_owned()));
        }
        found.extend(rules);
        let points = notify::read_points(self).await;
        found.extend(self.allowed(Kind::ContactPoint, points)?);
        let tree = notify::read_tree(self, wanted).await;
        found.extend(self.allowed(Kind::Policies, tree)?);
        let timings = mute::read(self, wanted).await;
        found.extend(self.allowed(Kind::MuteTiming, timings)?);
        Ok(found)
    }

    async fn left(&mut self, owner: &str) -> Result<Option<ActualObject>, String> {
        let read = annotation::read(self, owner).await.map(|found| found.into_iter().collect());
        Ok(self.allowed(Kind::Annotations, read)?.pop())
    }

    async fn apply(&mut self, steps: Vec<Step>, run: &Run, tell: &mut Reporter<'_, '_>) {
        let (mut rules, mut changed) = (false, Vec::new());
        let mut steps = steps.into_iter().peekable();
        while let Some(mut step) = steps.next() {
            let result = self.done(&mut step, run).await.map_err(String::from);
            if step.action.writes() && result.is_ok() {
                rules |= step.kind == Kind::RuleGroup;
                changed.push(format!("{}{}{}", step.kind.word(), step.name, hash(&step.text)));
            }
            let group = step.kind == Kind::RuleGroup;
            tell.done(step, result);
            // Before the folder may go, what was noted of rules must.
            let last = group && steps.peek().is_none_or(|next| next.kind != Kind::RuleGroup);
            if last && rules && self.alerts == Alerts::Import {
                rules = false;
                if let Err(why) = self.ruler.finish(&self.client).await {
                    tracing::error!(
                        "cannot note which rules were pushed to {}: {}",
                        self.client.root(),
                        quote(why.to_string())
                    );
                }
            }
        }
        if self.settings.annotate && run.operation == Operation::Apply && !changed.is_empty() {
            let result = annotation::write(self, &changed.join("\n"), changed.len(), &run.owner).await;
            if let Err(why) = result {
                tracing::warn!(
                    "cannot mark the push on the dashboards of {}: {}",
                    self.client.root(),
                    quote(why.to_string())
                );
            }
        }
    }
}

fn alerts_source(settings: &Grafana) -> Option<&str> {
    let made = settings.server_asked().map(|source| &*source.uid);
    settings.alerts_datasource.as_deref().or(made)
}

#[cfg(test)]
mod tests {
    use super::super::How;
    use super::super::played::script;
    use super::*;

    #[tokio::test]
    async fn a_look_that_fails_does_not_hide_the_clash() {
        let (url, _) = script(|_, asked| match asked.split(' ').next() {
            Some("GET") => (500, "{\"message\":\"oops\"}".to_owned()),
            _ => (409, "{\"message\":\"the group was changed\"}".to_owned()),
        });
        let settings = serde_json::json!({"url": url, "alerts": "grafana", "alerts_datasource": "p"});
        let mut connection = Connection::open(&serde_json::from_value(settings).unwrap()).unwrap();
        connection.alerts = Alerts::Import;
        let run = Run {
            operation: Operation::Apply,
            dry: false,
            only: Vec::new(),
            how: How::default(),
            owner: "neural".to_owned(),
            wait: Duration::ZERO,
        };
        let mut step = Step::bare(Kind::RuleGroup, "a", Action::Create, None);
        let why = connection.done(&mut step, &run).await.unwrap_err().to_string();
        let (clash, look) = why.split_once("and it cannot be read again: ").unwrap();
        assert!(clash.contains("409: the group was changed") && look.contains("500: oops"), "{why}");
    }
}
