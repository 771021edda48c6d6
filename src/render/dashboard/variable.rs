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
    /// Where nobody chooses and a text follows from the query: what of the answer it is.
    pub derived: Option<&'static str>,
}

/// The name of the variable that stands behind the name of a line: the machine where there are several, else nothing.
pub(super) const MACHINE: &str = "shown_machine";

/// The same for names of rows, which lose their beginning where there is no room: there the machine stands first.
pub(super) const MACHINE_FIRST: &str = "machine_first";

/// Its values. A legend takes variables before labels, so the answer may name one.
macro_rules! machines {
    ($shown:literal) => {
        concat!(
            "query_result(label_replace(count(count by (instance) (neural_agent_build_info{job=~\"$job\",instance=~\"$instance\"})) > 1, \"shown\", \"",
            $shown,
            "\", \"\", \"\"))"
        )
    };
}

/// The choices of a dashboard: `asked` labels that some query uses, behind job and instance.
pub(super) fn variables(
    asked: &[(&'static str, &'static str)],
    used: &BTreeSet<String>,
    pages: &[&Page],
    components: &str,
    job: &str,
) -> Vec<Variable> {
    let mut chosen = Vec::new();
    let mut choice = |name: &str, label: &str, values: String, every: &str| {
        let (name, label, all) = (name.to_owned(), label.to_owned(), every.to_owned());
        chosen.push(Variable { name, label, values, all, derived: None });
    };
    if used.contains("job") {
        // Anything at all would be Prometheus itself and every other program that it scrapes.
        let job = regex::escape(job).replace('\\', "\\\\");
        choice("job", "Job", "label_values(neural_agent_build_info, job)".to_owned(), &job);
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
    let machines = [(MACHINE, machines!("· {{instance}}")), (MACHINE_FIRST, machines!("{{instance}} ·"))];
    for (name, values) in machines.into_iter().filter(|(name, _)| used.contains(*name)) {
        chosen.push(Variable {
            name: name.to_owned(),
            label: "Machine".to_owned(),
            values: values.to_owned(),
            all: String::new(),
            derived: Some("/shown=\"([^\"]*)\"/"),
        });
    }
    chosen
}
