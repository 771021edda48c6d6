//! A group whose time has come: what of it may be told, and to whom it is news.

use std::sync::Arc;

use super::log::{Parts, news};
use super::posted::order;
use super::{Around, Content, Dispatcher, Job, Key, Message, PostedAlert, Step};
use crate::promql::Labels;

impl Dispatcher {
    /// Looks at a group. Fact: `flush` in Alertmanager's `dispatch`, and the stages that follow it.
    pub(super) fn flush(&mut self, key: &Key, now: i64, around: &Around<'_>) {
        let node = &self.plan.nodes[key.0];
        let (repeat, integrations, receiver) =
            (node.repeat, node.integrations.clone(), node.receiver.clone());
        let mute = node.is_mute(now, around.zones);
        let Some(group) = self.groups.get_mut(key) else { return };
        group.next = now.saturating_add(node.interval);
        group.flushed = Some(now);
        let group_key = group.key.clone();
        let members: Vec<Arc<PostedAlert>> = group.members.values().cloned().collect();
        let mut unmuted: Vec<Arc<PostedAlert>> = if mute { Vec::new() } else { members };
        let alerts = &self.alerts;
        let fires = |labels: &Labels| alerts.get(labels).is_some_and(|(alert, _)| !alert.is_over(now));
        let plan = &mut self.plan;
        unmuted.retain(|alert| !plan.inhibits(&alert.labels, &fires) && !(around.silenced)(&alert.labels));
        unmuted.sort_by(|a, b| order(a, b));
        let parts = Parts::of(&unmuted, now);
        for integration in &integrations {
            let id = &integration.id;
            let Some(group) = self.groups.get_mut(key) else { return };
            let owed =
                group.owed.contains(id) || group.jobs.get(id).is_some_and(|job| job.step != Step::Refused);
            let last = self.log.get(&(group_key.clone(), id.clone()));
            let reason = news(last, &parts, integration.send_resolved, owed, repeat, now);
            let Some(reason) = reason.filter(|_| !unmuted.is_empty()) else {
                self.drop_job(key, id);
                continue;
            };
            let sent: Vec<Arc<PostedAlert>> = unmuted
                .iter()
                .filter(|alert| integration.send_resolved || !alert.is_over(now))
                .cloned()
                .collect();
            let message = Arc::new(Message::new(&receiver, &group_key, &key.1, sent, reason, now));
            let content = Content { message, parts: parts.clone(), at: now };
            if content.message.alerts.is_empty() {
                // The receiver does not hear of ends, but the log knows that the group is quiet.
                self.drop_job(key, id);
                self.record(key.0, group_key.clone(), id, &content);
                continue;
            }
            self.put(key, id, integration.endpoint, content);
        }
        self.settle(key);
    }

    /// Gives a receiver a notification, in the place of one that it did not take yet.
    fn put(&mut self, key: &Key, id: &Arc<str>, endpoint: usize, content: Content) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let since = content.at;
        match group.jobs.get_mut(id) {
            Some(job) if matches!(job.step, Step::Sent(_)) => job.newer = Some(content),
            Some(job) => {
                (job.content, job.step, job.attempts) = (content, Step::Waits, 0);
            }
            None => {
                let job = Job { content, newer: None, step: Step::Waits, endpoint, attempts: 0, since };
                group.jobs.insert(id.clone(), job);
            }
        }
        self.changes += 1;
    }

    /// What was to be sent after a notification that has arrived meanwhile, if it is still news.
    pub(super) fn want(&mut self, key: &Key, id: &Arc<str>, content: Content) {
        let node = &self.plan.nodes[key.0];
        let Some(integration) = node.integrations.iter().find(|integration| integration.id == *id).cloned()
        else {
            return;
        };
        let Some(group) = self.groups.get(key) else { return };
        let last = self.log.get(&(group.key.clone(), id.clone()));
        let resolved = integration.send_resolved;
        if news(last, &content.parts, resolved, false, node.repeat, content.at).is_some() {
            self.put(key, id, integration.endpoint, content);
        }
    }

    /// There is nothing to tell a receiver any more.
    fn drop_job(&mut self, key: &Key, id: &Arc<str>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let owed = group.owed.remove(id);
        let dropped = match group.jobs.get_mut(id) {
            Some(job) if matches!(job.step, Step::Sent(_)) => {
                job.newer = None;
                false
            }
            Some(_) => group.jobs.remove(id).is_some(),
            None => false,
        };
        self.changes += u64::from(owed || dropped);
    }

    /// Forgets alerts that are over once everybody knows.
    pub(super) fn settle(&mut self, key: &Key) {
        let Some(group) = self.groups.get(key) else { return };
        let Some(flushed) = group.flushed.filter(|_| group.jobs.is_empty() && group.owed.is_empty()) else {
            return;
        };
        let over = |alert: &&Arc<PostedAlert>| alert.is_over(flushed) && alert.updated_at <= flushed;
        let gone: Vec<Labels> =
            group.members.values().filter(over).map(|alert| alert.labels.clone()).collect();
        if !gone.is_empty() {
            self.remove(key, &gone);
        }
    }
}
