//! Templates of notifications: what Alertmanager puts into their dot. Fact: `Data` in Alertmanager's `template/template.go`.

use std::collections::BTreeMap;

use super::execute;
use super::parse::Node;
use super::{Data, Value};
use crate::alert::dispatch::{Message, PostedAlert, Status};
use crate::promql::{Element, Labels};

pub(super) fn run(nodes: &[Node], message: &Message, url: &str) -> Result<String, String> {
    let query = |_: &str| -> Result<Vec<Element>, String> { Err("a notification asks nothing".into()) };
    let none = Labels::empty();
    let data = Data {
        labels: &none,
        value: 0.0,
        external_labels: &none,
        external_url: url,
        now: message.at,
        query: &query,
    };
    execute::run_with(nodes, &data, &dot(message, url))
}

fn dot(message: &Message, url: &str) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let alert = |(status, alert): &(Status, std::sync::Arc<PostedAlert>)| {
        fields([
            ("Status", text(status.as_str())),
            ("Labels", Value::Labels(alert.labels.clone())),
            ("Annotations", Value::Labels(alert.annotations.clone())),
            ("StartsAt", Value::Time(alert.starts_at)),
            ("EndsAt", Value::Time(alert.ends_at)),
            ("GeneratorURL", text(&alert.link)),
        ])
    };
    fields([
        ("Receiver", text(&message.receiver)),
        ("Status", text(message.status().as_str())),
        ("Alerts", Value::List(message.alerts.iter().map(alert).collect())),
        ("GroupLabels", Value::Labels(message.group_labels.clone())),
        ("CommonLabels", Value::Labels(message.common_labels())),
        ("CommonAnnotations", Value::Labels(message.common_annotations())),
        ("ExternalURL", text(url)),
    ])
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>())
}
