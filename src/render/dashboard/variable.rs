//! What can be chosen at the top of a dashboard: job, instance, and labels of its metrics.

use std::collections::BTreeSet;

use super::query::samples;
use crate::catalog::Page;

/// One choice.
#[derive(Debug)]
pub struct Variable {
    /// What queries call it.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The query for its values.
    pub values: String,
    /// What stands for all of them: for labels that every series has, anything but nothing.
    pub all: String,
}

/// The choices of a dashboard: `asked` labels that some query uses, behind job and instance.
pub(super) fn variables(
    asked: &[(&'static str, &'static str)],
    used: &BTreeSet<String>,
    pages: &[&Page],
    components: &str,
) -> Vec<Variable> {
    let mut chosen = Vec::new();
    let mut choice = |name: &str, label: &str, values: String, every: &str| {
        let (name, label, all) = (name.to_owned(), label.to_owned(), every.to_owned());
        chosen.push(Variable { name, label, values, all });
    };
    if used.contains("job") {
        choice("job", "Job", "label_values(neural_agent_build_info, job)".to_owned(), ".+");
        choice(
            "instance",
            "Instance",
            "label_values(neural_agent_build_info{job=~\"$job\"}, instance)".to_owned(),
            ".+",
        );
    }
    let mut before: Vec<&str> = Vec::new();
    for (name, label) in asked.iter().filter(|(name, _)| used.contains(*name)) {
        if ["severity", "component"].contains(name) {
            let values = format!("label_values(ALERTS{{component=~\"{components}\"}}, {name})");
            choice(name, label, values, if *name == "component" { components } else { ".*" });
            continue;
        }
        // The metric with the most of what was chosen before, so that a stage is one of the pipeline's.
        let metrics = pages.iter().flat_map(|page| page.metrics).filter(|m| m.labels.contains(name));
        let count = |labels: &[&str]| before.iter().filter(|label| labels.contains(label)).count();
        let Some(metric) = metrics.rev().max_by_key(|metric| count(metric.labels)) else { continue };
        let Some(sample) = samples(metric).pop() else { continue };
        let mut selector = "job=~\"$job\",instance=~\"$instance\"".to_owned();
        for earlier in before.iter().filter(|earlier| metric.labels.contains(earlier)) {
            selector.push_str(&[",", earlier, "=~\"$", earlier, "\""].concat());
        }
        let label = if label.is_empty() { name } else { label };
        choice(name, label, format!("label_values({sample}{{{selector}}}, {name})"), ".*");
        before.push(name);
    }
    chosen
}
