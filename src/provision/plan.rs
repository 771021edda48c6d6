//! What must be done so that what is there becomes what is wanted. Pure: it asks nobody and changes nothing.

use serde::Serialize;

use super::diff::{conceal, diff};
use super::mark::{content, foreign, hash, mark};

/// What an object is. In the order in which they are written; they are removed in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A folder of Grafana.
    Folder,
    /// A data source of Grafana.
    DataSource,
    /// A dashboard.
    Dashboard,
    /// A contact point of Grafana.
    ContactPoint,
    /// A mute timing of Grafana.
    MuteTiming,
    /// A file of rules.
    RuleFile,
    /// A group of rules.
    RuleGroup,
    /// The notification policies of Grafana.
    Policies,
    /// Annotations that mark pushes on dashboards of Grafana.
    Annotations,
    /// The configuration of an Alertmanager.
    Config,
    /// Any other file.
    File,
}

impl Kind {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::DataSource => "data source",
            Self::Dashboard => "dashboard",
            Self::ContactPoint => "contact point",
            Self::MuteTiming => "mute timing",
            Self::RuleFile => "rule file",
            Self::RuleGroup => "rule group",
            Self::Policies => "policies",
            Self::Annotations => "annotations",
            Self::Config => "configuration",
            Self::File => "file",
        }
    }
}

/// An object that shall be there.
#[derive(Clone, Debug)]
pub struct DesiredObject {
    /// What it is.
    pub kind: Kind,
    /// What it is found by.
    pub name: String,
    /// Its whole content, in a form that the same content always has.
    pub text: String,
}

/// An object that is there.
#[derive(Clone, Debug)]
pub struct ActualObject {
    /// What it is.
    pub kind: Kind,
    /// What it is found by.
    pub name: String,
    /// Its content, in the form that [`DesiredObject::text`] has, as near as the server lets see it.
    pub text: String,
    /// The mark of what we wrote, if it is ours.
    pub mark: Option<String>,
    /// Whether it is no longer what we wrote.
    pub edited: bool,
    /// Why it cannot be written at all, if it cannot.
    pub locked: Option<String>,
    /// Why it must be written although it is what is wanted.
    pub stale: Option<String>,
    /// Why it is removed only by force, although it is ours and no longer wanted.
    pub shared: Option<String>,
}

impl ActualObject {
    /// An object whose content comes back as it was written.
    #[must_use]
    pub fn exact(kind: Kind, name: impl Into<String>, text: impl Into<String>, mark: Option<String>) -> Self {
        let text = text.into();
        let edited = mark.as_ref().is_some_and(|mark| content(mark) != hash(&text));
        Self { kind, name: name.into(), text, mark, edited, locked: None, stale: None, shared: None }
    }
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
    /// It is what it shall be.
    Unchanged,
    /// It is ours and no longer wanted, and stays.
    Leave,
    /// It cannot be done: it is not ours, it was edited, or it cannot be read.
    Refuse,
}

impl Action {
    /// Whether it changes something.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Unchanged => "unchanged",
            Self::Leave => "leave",
            Self::Refuse => "refuse",
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What the object is.
    pub kind: Kind,
    /// What it is found by.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// Why, if it does not go without saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What changes, by lines.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// What shall be there.
    #[serde(skip)]
    pub text: String,
    /// The mark that it then has.
    #[serde(skip)]
    pub mark: String,
}

impl Step {
    /// A step without a content: one that writes nothing, or removes.
    #[must_use]
    pub fn bare(kind: Kind, name: impl Into<String>, action: Action, why: Option<String>) -> Self {
        let (name, none) = (name.into(), String::new);
        Self { kind, name, action, why, diff: none(), text: none(), mark: none() }
    }
}

/// How far a plan may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// What is not ours, and what was edited, may be written over, too.
    pub force: bool,
    /// What is ours and no longer wanted is removed.
    pub prune: bool,
}

/// The steps from what is there to what is wanted, in the order in which they are done. `owner` is the deployment.
#[must_use]
pub fn plan(wanted: &[DesiredObject], found: &[ActualObject], how: How, owner: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for want in wanted {
        let there = found.iter().find(|found| found.kind == want.kind && found.name == want.name);
        let (action, why) = there.map_or((Action::Create, None), |found| judge(want, found, how, owner));
        let old = there.map(|found| found.text.as_str()).unwrap_or_default();
        let diff =
            if action == Action::Unchanged { String::new() } else { shown(want.kind, old, &want.text) };
        steps.push(Step {
            kind: want.kind,
            name: want.name.clone(),
            action,
            why,
            diff,
            text: want.text.clone(),
            mark: mark(&want.text, owner),
        });
    }
    steps.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let spare = |found: &&ActualObject| {
        found.mark.is_some() && !wanted.iter().any(|want| want.kind == found.kind && want.name == found.name)
    };
    let mut gone: Vec<Step> = found.iter().filter(spare).map(|found| remove(found, how, owner)).collect();
    gone.sort_by(|a, b| (b.kind, &b.name).cmp(&(a.kind, &a.name)));
    steps.extend(gone);
    steps
}

fn judge(want: &DesiredObject, found: &ActualObject, how: How, owner: &str) -> (Action, Option<String>) {
    let same = match &found.mark {
        Some(mark) => content(mark) == hash(&want.text) && !found.edited,
        None => false,
    };
    if same {
        return match &found.stale {
            Some(why) => (Action::Update, Some(why.clone())),
            None => (Action::Unchanged, None),
        };
    }
    if let Some(why) = &found.locked {
        return (Action::Refuse, Some(why.clone()));
    }
    let equal = found.text == want.text;
    match (&found.mark, found.edited) {
        // What is equal already is taken over: that harms nobody.
        _ if equal => (Action::Update, Some("it is equal already and gets our mark".to_owned())),
        (Some(mark), false) if !foreign(mark, owner) => (Action::Update, None),
        _ if how.force => (Action::Update, Some("forced".to_owned())),
        (Some(mark), _) if foreign(mark, owner) => {
            let place = place(want.kind);
            let why = format!("{OTHER}; give this one {place} of its own, or take it over with --force");
            (Action::Refuse, Some(why))
        }
        (Some(_), _) => {
            let why = "it was edited since it was written; --force overwrites it";
            (Action::Refuse, Some(why.to_owned()))
        }
        (None, _) if want.kind == Kind::Config => {
            let why = "it is not ours: put the parts of provisioning/alertmanager/fragment.yml into it by hand; \
                       --force replaces it, and keeps it beside ours until destroy puts it back";
            (Action::Refuse, Some(why.to_owned()))
        }
        (None, _) => {
            (Action::Refuse, Some("it is not ours: it has no mark of ours; --force takes it over".to_owned()))
        }
    }
}

const OTHER: &str = "another deployment made it, one with another alerts.job";

/// What keeps two deployments apart.
fn place(kind: Kind) -> &'static str {
    match kind {
        Kind::RuleFile => "a rules_directory",
        Kind::RuleGroup => "a namespace (in Grafana a folder and folder_uid)",
        Kind::DataSource => "a datasource.uid and datasource.name",
        Kind::Config => "an Alertmanager",
        Kind::File => "a path",
        // Their ids are fixed, and unique in an organisation.
        _ => "an org",
    }
}

fn remove(found: &ActualObject, how: How, owner: &str) -> Step {
    let (action, why) = match &found.locked {
        Some(why) => (Action::Leave, Some(why.clone())),
        None if found.mark.as_ref().is_some_and(|mark| foreign(mark, owner)) => {
            (Action::Leave, Some(format!("{OTHER}; it is removed from there")))
        }
        None if found.shared.is_some() && !(how.prune && how.force) => {
            let options = if how.prune { "--force" } else { "--prune --force" };
            (Action::Leave, found.shared.as_ref().map(|why| format!("{why}; {options} removes them")))
        }
        None if !how.prune => (Action::Leave, Some("no longer generated; --prune removes it".to_owned())),
        None if found.edited && !how.force => {
            let why = "it was edited since it was written; --force removes it";
            (Action::Refuse, Some(why.to_owned()))
        }
        None => (Action::Delete, None),
    };
    Step::bare(found.kind, found.name.clone(), action, why)
}

/// What is there and was not made by us: a run that removes what is ours says that it leaves it.
#[must_use]
pub fn strangers(found: &[ActualObject]) -> Vec<Step> {
    let theirs = found.iter().filter(|found| found.mark.is_none());
    let leave = |found: &ActualObject| {
        let why = found.locked.clone().unwrap_or_else(|| "it is not ours: it has no mark of ours".to_owned());
        Step::bare(found.kind, found.name.clone(), Action::Leave, Some(why))
    };
    theirs.map(leave).collect()
}

/// The diff as it may be shown.
fn shown(kind: Kind, old: &str, new: &str) -> String {
    match kind {
        Kind::Config => diff(&if old.is_empty() { String::new() } else { conceal(old) }, &conceal(new)),
        // Contact points are secrets through and through.
        Kind::ContactPoint => String::new(),
        Kind::Dashboard => super::diff::boards(old, new),
        _ => diff(old, new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(name: &str, text: &str) -> DesiredObject {
        DesiredObject { kind: Kind::Dashboard, name: name.to_owned(), text: text.to_owned() }
    }

    fn there(name: &str, text: &str, written: Option<&str>) -> ActualObject {
        ActualObject::exact(Kind::Dashboard, name, text, written.map(hash))
    }

    fn actions(wanted: &[DesiredObject], found: &[ActualObject], how: How) -> Vec<(String, Action)> {
        plan(wanted, found, how, "neural").into_iter().map(|step| (step.name, step.action)).collect()
    }

    const FORCE: How = How { force: true, prune: false };
    const PRUNE: How = How { force: false, prune: true };

    #[test]
    fn each_object_meets_its_fate() {
        let wanted = ["new", "same", "old", "edited", "foreign", "equal"].map(|name| want(name, "x"));
        let found = [
            there("same", "x", Some("x")),
            there("old", "w", Some("w")),
            there("edited", "y", Some("x")),
            there("foreign", "y", None),
            there("equal", "x", None),
            there("spare", "z", Some("z")),
            there("not ours", "z", None),
        ];
        let reported = |how| {
            let mut reported = actions(&wanted, &found, how);
            reported.sort_by(|a, b| a.0.cmp(&b.0));
            reported.into_iter().map(|(_, action)| action).collect::<Vec<_>>()
        };
        use Action::{Create, Delete, Leave, Refuse, Unchanged, Update};
        assert_eq!(reported(How::default()), [Refuse, Update, Refuse, Create, Update, Unchanged, Leave]);
        assert_eq!(reported(FORCE), [Update, Update, Update, Create, Update, Unchanged, Leave]);
        assert_eq!(reported(PRUNE), [Refuse, Update, Refuse, Create, Update, Unchanged, Delete]);
    }

    #[test]
    fn a_server_that_writes_defaults_in_makes_no_difference() {
        // The mark is of what was written, and it was not edited, whatever it looks like now.
        let found = ActualObject { edited: false, ..there("a", "x plus defaults", Some("x")) };
        assert_eq!(
            actions(&[want("a", "x")], &[found], How::default()),
            [("a".to_owned(), Action::Unchanged)]
        );
    }

    #[test]
    fn what_may_be_of_another_agent_goes_by_force_alone() {
        let shared = ActualObject { shared: Some("maybe".to_owned()), ..there("a", "y", Some("y")) };
        let both = How { force: true, prune: true };
        for (how, action) in [
            (How::default(), Action::Leave),
            (PRUNE, Action::Leave),
            (FORCE, Action::Leave),
            (both, Action::Delete),
        ] {
            assert_eq!(actions(&[], std::slice::from_ref(&shared), how)[0].1, action, "{how:?}");
        }
    }

    #[test]
    fn what_is_locked_stays_whatever_is_forced() {
        let locked = ActualObject { locked: Some("by a file".to_owned()), ..there("a", "y", Some("y")) };
        let all = How { force: true, prune: true };
        assert_eq!(actions(&[want("a", "x")], std::slice::from_ref(&locked), all)[0].1, Action::Refuse);
        assert_eq!(actions(&[], &[locked], all)[0].1, Action::Leave);
    }

    #[test]
    fn nothing_is_removed_that_was_edited() {
        let found = [there("a", "y", Some("x"))];
        assert_eq!(actions(&[], &found, PRUNE)[0].1, Action::Refuse);
        assert_eq!(actions(&[], &found, How { force: true, prune: true })[0].1, Action::Delete);
    }

    #[test]
    fn what_is_not_ours_is_listed_as_left() {
        let locked = ActualObject { locked: Some("from a file".to_owned()), ..there("locked", "z", None) };
        let steps = strangers(&[there("ours", "x", Some("x")), there("theirs", "z", None), locked]);
        let reported: Vec<_> =
            steps.iter().map(|s| (&*s.name, s.action, s.why.as_deref().unwrap())).collect();
        let why = "it is not ours: it has no mark of ours";
        assert_eq!(reported, [("theirs", Action::Leave, why), ("locked", Action::Leave, "from a file")]);
    }

    #[test]
    fn folders_come_first_and_go_last() {
        let of = |kind, name: &str| DesiredObject { kind, name: name.to_owned(), text: String::new() };
        let wanted = [of(Kind::Policies, "p"), of(Kind::Dashboard, "d"), of(Kind::Folder, "f")];
        let kinds = |steps: Vec<Step>| steps.iter().map(|step| step.kind).collect::<Vec<_>>();
        assert_eq!(
            kinds(plan(&wanted, &[], How::default(), "neural")),
            [Kind::Folder, Kind::Dashboard, Kind::Policies]
        );
        let found = wanted.map(|of| ActualObject::exact(of.kind, of.name, "", Some(hash(""))));
        assert_eq!(
            kinds(plan(&[], &found, PRUNE, "neural")),
            [Kind::Policies, Kind::Dashboard, Kind::Folder]
        );
    }

    #[test]
    fn what_another_deployment_made_is_refused_and_said() {
        let of = |name: &str, text: &str, owner: &str| {
            ActualObject::exact(Kind::RuleFile, name, text, Some(mark(text, owner)))
        };
        let want = |name: &str, text: &str| DesiredObject { kind: Kind::RuleFile, ..want(name, text) };
        let wanted = [want("old", "x"), want("other", "x"), want("same", "x")];
        let found = [
            of("old", "w", "neural"),
            of("other", "w", "rig2"),
            of("same", "x", "rig2"),
            of("spare", "w", "rig2"),
        ];
        use Action::{Leave, Refuse, Unchanged, Update};
        let all = How { force: true, prune: true };
        for (how, want) in [
            (How::default(), [Update, Refuse, Unchanged, Leave]),
            (PRUNE, [Update, Refuse, Unchanged, Leave]),
            (all, [Update, Update, Unchanged, Leave]),
        ] {
            let steps = plan(&wanted, &found, how, "neural");
            assert_eq!(steps.iter().map(|step| step.action).collect::<Vec<_>>(), want, "{how:?}");
            assert_eq!(steps[1].mark, mark("x", "neural"));
            if how == PRUNE {
                let why = steps[1].why.as_deref().unwrap();
                assert!(why.contains("another alerts.job") && why.contains("a rules_directory of its own"));
            }
        }
        // Destroying one leaves the other.
        assert!(plan(&[], &found[1..], all, "neural").iter().all(|step| step.action == Leave));
    }

    #[test]
    fn a_plan_that_is_done_is_done() {
        let wanted = [want("a", "x"), want("b", "y")];
        let written = wanted.iter().map(|w| there(&w.name, &w.text, Some(&w.text))).collect::<Vec<_>>();
        assert!(plan(&wanted, &written, PRUNE, "neural").iter().all(|step| !step.action.writes()));
    }
}
